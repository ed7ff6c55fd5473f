//! Command lines as a person can paste them into a shell.

use std::ffi::OsStr;

/// Quotes words for a POSIX shell (XCU 2.2): as they are where that is safe, else within single quotes.
///
/// Bytes that are not UTF-8 are shown as replacement characters.
pub fn quote<S: AsRef<OsStr>>(words: &[S]) -> String {
    words.iter().map(|word| quote_word(&word.as_ref().to_string_lossy())).collect::<Vec<_>>().join(" ")
}

fn quote_word(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_back_what_was_quoted() {
        let words = ["plain-1.0", "", "two words", "it's", "$HOME", "a\nb", "*", "~", "k=\"v\"", "größe"];
        let script = format!("printf '%s\\0' {}", quote(&words));
        let output = std::process::Command::new("sh").arg("-c").arg(script).output().unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        assert_eq!(printed.split_terminator('\0').collect::<Vec<_>>(), words);
    }

    #[test]
    fn what_needs_no_quotes_gets_none() {
        assert_eq!(quote(&["-m", "64M", "user,id=net0,hostfwd=tcp:127.0.0.1:80-:80"]).find('\''), None);
    }
}
