//! What the host says on the kernel's command line.

use std::fs;

/// Whether this word stands there.
pub fn has(word: &str) -> bool {
    is_in(&fs::read_to_string("/proc/cmdline").unwrap_or_default(), word)
}

/// The number in the word that begins so, if there is one.
pub fn value(prefix: &str) -> Option<u64> {
    let line = fs::read_to_string("/proc/cmdline").unwrap_or_default();
    words(&line).find_map(|word| word.strip_prefix(prefix)?.parse().ok())
}

fn words(command_line: &str) -> impl Iterator<Item = &str> {
    command_line.split_whitespace().take_while(|own| *own != "--")
}

/// Behind `--` stand the arguments of PID 1, which are the user's (Documentation/admin-guide/kernel-parameters.rst).
fn is_in(command_line: &str, word: &str) -> bool {
    words(command_line).any(|own| own == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_whole_and_stands_before_the_arguments() {
        assert!(is_in("quiet solum.end=reboot panic=-1\n", "solum.end=reboot"));
        assert!(!is_in("quiet xsolum.end=reboots\n", "solum.end=reboot"));
        assert!(!is_in("quiet -- solum.end=reboot\n", "solum.end=reboot"));
        assert!(!is_in("", "solum.end=reboot"));
    }
}
