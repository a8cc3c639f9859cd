// SPDX-License-Identifier: GPL-2.0-only

//! The kernel command line: which stage this boot executes, and the line of the next kernel.

use plan::HOP_PARAM;

use crate::failure::Failure;

/// The most that an x86 kernel takes: `COMMAND_LINE_SIZE - 1` of `arch/x86/include/asm/setup.h`, which
/// `kexec_file_load` refuses to exceed. Checked here as well because its only answer is `EINVAL`.
pub(crate) const LIMIT: usize = 2047;

/// How many kexecs came before, from this boot's command line; none without the parameter.
pub(crate) fn hop(line: &str) -> Result<u32, Failure> {
    match line.split_ascii_whitespace().rev().find_map(value) {
        None => Ok(0),
        Some(text) => text
            .parse()
            .map_err(|_| Failure::new(format!("{HOP_PARAM}={text} on the kernel command line: want a number"))),
    }
}

/// This boot's command line with the hop counted up, without the words of `drop`, and `append` at its end. What earlier kexecs
/// appended stays. A word to drop that is not there is a mistake: the next kernel would run with what it was not to have.
pub(crate) fn next(line: &str, append: &str, drop: &[String]) -> Result<String, Failure> {
    if let Some(word) = drop.iter().find(|word| !line.split_ascii_whitespace().any(|there| there == *word)) {
        return Err(Failure::new(format!("`drop`: {word:?} is no word of this kernel's command line: {line:?}")));
    }
    let next = hop(line)?.checked_add(1).ok_or_else(|| Failure::new(format!("{HOP_PARAM} cannot count further")))?;
    let rest = line
        .split_ascii_whitespace()
        .filter(|word| value(word).is_none() && !drop.iter().any(|dropped| dropped == word));
    let hop = format!("{HOP_PARAM}={next}");
    let next = rest.chain([hop.as_str()]).chain(append.split_ascii_whitespace()).collect::<Vec<_>>().join(" ");
    if next.len() > LIMIT {
        return Err(Failure::new(format!(
            "the next kernel's command line has {} bytes, x86 takes {LIMIT}; shorten `append`",
            next.len()
        )));
    }
    Ok(next)
}

fn value(word: &str) -> Option<&str> {
    word.strip_prefix(HOP_PARAM)?.strip_prefix('=')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hop_is_read() {
        assert_eq!(hop("console=ttyS0 phasectl.hop=3 quiet\n").unwrap(), 3);
        assert_eq!(hop("console=ttyS0 phasectl.hopper=3").unwrap(), 0);
        assert!(hop("phasectl.hop=x").unwrap_err().to_string().contains("phasectl.hop=x"));
    }

    #[test]
    fn the_hop_is_counted_up_and_the_rest_stays() {
        assert_eq!(next("a phasectl.hop=9 b=\"c d\"\n", "", &[]).unwrap(), "a b=\"c d\" phasectl.hop=10");
        assert_eq!(next("a", " x=1  y ", &[]).unwrap(), "a phasectl.hop=1 x=1 y");
        next(&format!("phasectl.hop={}", u32::MAX), "", &[]).unwrap_err();
    }

    #[test]
    fn dropped_words_are_whole_and_must_be_there() {
        let drop = ["pci=noari".to_owned()];
        assert_eq!(
            next("pci=noari a pci=noari,x pci=noari", "pci=y", &drop).unwrap(),
            "a pci=noari,x phasectl.hop=1 pci=y"
        );
        let text = next("a pci=noari,x", "", &drop).unwrap_err().to_string();
        assert!(text.contains(r#""pci=noari" is no word"#), "{text}");
    }

    #[test]
    fn the_limit_is_that_of_x86() {
        let fixed = " phasectl.hop=1".len();
        assert_eq!(next(&"a".repeat(LIMIT - fixed), "", &[]).unwrap().len(), LIMIT);
        let text = next(&"a".repeat(LIMIT - fixed), "b", &[]).unwrap_err().to_string();
        assert!(text.contains("2049 bytes") && text.contains("2047"), "{text}");
    }
}
