// SPDX-License-Identifier: GPL-2.0-only

//! Source text without what is not code: comments, strings and characters become blanks, line by line at the same places.
//!
//! It knows C and Rust as far as that is needed. It need not be perfect: who writes code that this cannot read will be told where.

/// A file in two layers of the same shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Layers {
    /// Code alone.
    pub(super) code: Vec<String>,
    /// Comments alone.
    pub(super) comments: Vec<String>,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    Code,
    Line,
    Block(usize),
    Text { hashes: usize, raw: bool },
}

/// Splits a text. `rust`: block comments nest, strings may be raw, and a lone quotation mark is a lifetime.
pub(super) fn layers(text: &str, rust: bool) -> Layers {
    let chars: Vec<char> = text.chars().collect();
    let (mut code, mut comments) = (String::new(), String::new());
    let mut state = State::Code;
    let mut at = 0;
    while at < chars.len() {
        let (this, next) = (chars[at], chars.get(at + 1).copied().unwrap_or('\n'));
        let mut length = 1;
        let mut comment = matches!(state, State::Line | State::Block(_));
        let mut is_code = state == State::Code;
        match state {
            State::Code => match (this, next) {
                ('/', '/') => (state, comment, is_code) = (State::Line, true, false),
                ('/', '*') => (state, comment, is_code, length) = (State::Block(1), true, false, 2),
                ('"', _) => state = State::Text { hashes: 0, raw: false },
                ('r', '"' | '#') if rust && !word_before(&chars, at) => {
                    let hashes = chars[at + 1..].iter().take_while(|c| **c == '#').count();
                    if chars.get(at + 1 + hashes) == Some(&'"') {
                        (state, length) = (State::Text { hashes, raw: true }, hashes + 2);
                    }
                }
                ('\'', _) => length = character(&chars, at, rust),
                _ => {}
            },
            State::Line if this == '\n' => state = State::Code,
            State::Block(depth) => match (this, next) {
                ('*', '/') => {
                    state = if depth == 1 { State::Code } else { State::Block(depth - 1) };
                    length = 2;
                }
                ('/', '*') if rust => (state, length) = (State::Block(depth + 1), 2),
                _ => {}
            },
            State::Text { raw: false, .. } if this == '\\' => length = 2,
            State::Text { hashes, .. } if this == '"' && closes(&chars, at, hashes) => {
                (state, length, is_code) = (State::Code, 1 + hashes, true);
            }
            _ => {}
        }
        // Of what is longer than one character, a literal or the ends of one, only its ends are code.
        let end = (at + length).min(chars.len());
        for (offset, &c) in chars[at..end].iter().enumerate() {
            let ends = offset == 0 || at + offset + 1 == end;
            let blank = |kept: bool| if c == '\n' || kept { c } else { ' ' };
            code.push(blank(is_code && ends));
            comments.push(blank(comment));
        }
        at = end;
    }
    let lines = |text: &str| text.lines().map(str::to_owned).collect();
    Layers { code: lines(&code), comments: lines(&comments) }
}

fn word_before(chars: &[char], at: usize) -> bool {
    // `br"..."` and `cr"..."` are strings too.
    let before = |back: usize| at.checked_sub(back).and_then(|at| chars.get(at)).copied().unwrap_or(' ');
    let word = |c: char| c.is_alphanumeric() || c == '_';
    let prefix = "bc".contains(before(1)) && !word(before(2));
    word(before(1)) && !prefix
}

fn closes(chars: &[char], at: usize, hashes: usize) -> bool {
    chars[at + 1..].iter().take(hashes).filter(|c| **c == '#').count() == hashes
}

/// Length of the character literal that begins here; 1 if it is a lifetime.
fn character(chars: &[char], at: usize, rust: bool) -> usize {
    let end = if chars.get(at + 1) == Some(&'\\') { 3 } else { 2 };
    let found = (at + end..(at + 12).min(chars.len())).find(|&index| chars[index] == '\'');
    match found {
        Some(index) if end == 3 || !rust || index == at + 2 => index + 1 - at,
        _ => 1,
    }
}

/// The positions (line index, byte column) at which a word stands.
pub(super) fn words<'a>(lines: &'a [String], word: &'a str) -> impl Iterator<Item = (usize, usize)> + 'a {
    lines.iter().enumerate().flat_map(move |(number, line)| {
        let part = |c: char| c.is_alphanumeric() || c == '_';
        line.match_indices(word)
            .filter(move |(at, _)| !line[..*at].ends_with(part) && !line[at + word.len()..].starts_with(part))
            .map(move |(at, _)| (number, at))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rust() {
        let text =
            "let a = \"// no\"; // yes\n/* one /* two */ three */ b('{', '\\'', 'x);\nc(r#\"{\"{\"#, br\"\\\");\n";
        let layers = layers(text, true);
        assert_eq!(layers.code[0].trim_end(), "let a = \"     \";");
        assert_eq!(layers.comments[0].trim(), "// yes");
        assert_eq!(layers.code[1].trim_start(), "b(' ', '  ', 'x);");
        assert_eq!(layers.comments[1].trim(), "/* one /* two */ three */");
        assert!(!layers.code[2].contains('{') && layers.code[2].ends_with(");"), "{:?}", layers.code[2]);
    }

    #[test]
    fn c() {
        let layers = layers("x = '\"'; /* a\n * b */ y = \"\\\"/*\";\n#define z '{'\n", false);
        assert_eq!(layers.code[0].trim_end(), "x = ' ';");
        assert_eq!(layers.comments[1].trim_end(), " * b */");
        assert!(layers.code[1].contains("y = \"") && layers.code[1].ends_with("\";"));
        assert!(!layers.code[2].contains('{'));
    }

    #[test]
    fn whole_words() {
        let lines = ["foo(foo_bar, a.foo)".to_owned(), "xfoo foo".to_owned()];
        assert_eq!(words(&lines, "foo").collect::<Vec<_>>(), [(0, 0), (0, 15), (1, 5)]);
    }
}
