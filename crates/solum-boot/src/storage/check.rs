//! What e2fsck(8) found, and what follows.

/// What is done with a file system that was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is sound; the text says so if something was repaired.
    Sound(Option<String>),
    /// It needs a person; the text says what the check said last.
    Damaged(String),
}

/// Judges by the exit code (e2fsck(8), "EXIT CODE": a sum of bits) and what was printed. `None` if a signal ended it.
pub fn judge(code: Option<i32>, printed: &str) -> Verdict {
    let said = last_words(printed);
    match code {
        Some(0) => Verdict::Sound(None),
        // Errors corrected; "the system should be rebooted" concerns what was mounted meanwhile, and this was not.
        Some(code) if code & !3 == 0 => Verdict::Sound(Some(said)),
        Some(code) => Verdict::Damaged(format!("e2fsck ended with {code} and said: {said}")),
        None => Verdict::Damaged(format!("e2fsck was ended before it was done, and had said: {said}")),
    }
}

/// The last two lines that mean something.
fn last_words(printed: &str) -> String {
    let is_telling = |line: &&str| !line.is_empty() && !line.starts_with("(i.e.");
    let mut lines: Vec<&str> = printed.lines().map(str::trim).filter(is_telling).rev().take(2).collect();
    lines.reverse();
    lines.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_decide() {
        assert_eq!(judge(Some(0), "data: clean, 11/64 files"), Verdict::Sound(None));
        for code in [1, 2, 3] {
            assert_eq!(judge(Some(code), "data: fixed\n"), Verdict::Sound(Some("data: fixed".into())));
        }
        let printed = "data: old\n\ndata: Inode 12 has illegal block(s).\n\n\
                       data: UNEXPECTED INCONSISTENCY; RUN fsck MANUALLY.\n\t(i.e., without -a or -p options)\n";
        assert_eq!(
            judge(Some(4), printed),
            Verdict::Damaged(
                "e2fsck ended with 4 and said: data: Inode 12 has illegal block(s).; data: UNEXPECTED INCONSISTENCY; RUN \
                 fsck MANUALLY."
                    .into()
            )
        );
        for code in [Some(5), Some(8), Some(32), None] {
            assert!(matches!(judge(code, ""), Verdict::Damaged(_)), "{code:?}");
        }
    }
}
