// SPDX-License-Identifier: GPL-2.0-only

//! Small things about text that several commands print.

/// `1 patch`, `2 patches`.
pub(crate) fn count(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// `2 boots, 1 kexec`.
pub(crate) fn ran(boots: usize, kexecs: usize) -> String {
    format!("{}, {}", count(boots, "boot", "boots"), count(kexecs, "kexec", "kexecs"))
}

/// Names for a message.
pub(crate) fn listing<S: AsRef<str>>(names: &[S]) -> String {
    if names.is_empty() {
        return "(there is none)".to_owned();
    }
    names.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(", ")
}

/// Breaks a text at blanks so that no line is longer than `width`, where its words allow. The first line begins with
/// `first`, the others with `rest`.
pub(crate) fn wrap(text: &str, width: usize, first: &str, rest: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = first.to_owned();
    let mut empty = true;
    for word in text.split_whitespace() {
        if !empty && line.chars().count() + 1 + word.chars().count() > width {
            lines.push(std::mem::replace(&mut line, rest.to_owned()));
            empty = true;
        }
        if !empty {
            line.push(' ');
        }
        line.push_str(word);
        empty = false;
    }
    lines.push(line);
    lines
}

/// 1234567 as `1,234,567`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrapped() {
        assert_eq!(wrap("one two three", 9, "- ", "  "), ["- one two", "  three"]);
        assert_eq!(wrap("unbreakable", 4, "", ""), ["unbreakable"]);
        assert_eq!(wrap("", 4, "- ", "  "), ["- "]);
    }

    #[test]
    fn digits_in_threes() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(number), text);
        }
    }
}
