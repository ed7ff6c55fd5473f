//! Whether lists of keys can be, for keys that are put once and perhaps deleted once.

use std::collections::BTreeMap;

/// When something was asked for, and when it was answered, if it was.
pub type Span = (u64, Option<u64>);

/// What was done to the keys, and what lists showed.
#[derive(Clone, Debug, Default)]
pub struct Lists {
    /// When each was put.
    pub puts: BTreeMap<String, Span>,
    /// When each was deleted.
    pub deletions: BTreeMap<String, Span>,
    /// When a list was asked for, when it was answered, and which keys it showed.
    pub seen: Vec<(u64, u64, Vec<String>)>,
}

impl Lists {
    /// Everything that cannot be, as sentences.
    pub fn violations(&self) -> Vec<String> {
        let mut violations = Vec::new();
        for (began, ended, keys) in &self.seen {
            for key in keys.iter().filter(|key| !self.puts.contains_key(*key)) {
                violations.push(format!("the list of {began} to {ended} shows {key}, which nobody put"));
            }
            for (key, put) in &self.puts {
                let is_shown = keys.contains(key);
                if let Some(why) = self.contradiction(key, *put, *began, *ended, is_shown) {
                    violations.push(format!("the list of {began} to {ended} {why}: {key}"));
                }
            }
        }
        violations
    }

    fn contradiction(
        &self,
        key: &str,
        put: Span,
        began: u64,
        ended: u64,
        is_shown: bool,
    ) -> Option<&'static str> {
        let was_put_before = put.1.is_some_and(|end| end < began);
        let deletion = self.deletions.get(key);
        let may_be_deleted = deletion.is_some_and(|(start, _)| *start <= ended);
        let was_deleted_before = deletion.is_some_and(|(_, end)| end.is_some_and(|end| end < began));
        match is_shown {
            true if put.0 > ended => Some("shows what was put later"),
            true if was_deleted_before => Some("shows what had been deleted"),
            false if was_put_before && !may_be_deleted => Some("lacks what had been put"),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_show_what_is_there_and_nothing_else() {
        let mut lists = Lists::default();
        lists.puts.insert("a".into(), (0, Some(10)));
        lists.deletions.insert("a".into(), (20, Some(30)));
        let mut check = |began, ended, keys: &[&str]| {
            lists.seen = vec![(began, ended, keys.iter().map(ToString::to_string).collect())];
            lists.violations().len()
        };
        for (began, ended) in [(1, 2), (5, 15), (15, 25), (25, 35)] {
            assert_eq!(check(began, ended, &["a"]), 0, "{began}");
        }
        for (began, ended) in [(1, 2), (15, 25), (31, 35)] {
            assert_eq!(check(began, ended, &[]), 0, "{began}");
        }
        assert_eq!(check(11, 15, &[]), 1, "lost");
        assert_eq!(check(31, 35, &["a"]), 1, "deleted");
        assert_eq!(check(5, 15, &["a", "b"]), 1, "from nowhere");
    }
}
