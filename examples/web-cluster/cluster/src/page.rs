//! Lists of keys, a page at a time.

use serde::{Deserialize, Serialize};

use crate::Key;

/// The most bytes of keys on a page: it travels in one message.
pub const PAGE_BYTES_MAX: usize = 32 * 1024;

/// Keys in the order of their files' names, as they were all at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    /// The keys.
    pub keys: Vec<Key>,
    /// There may be more behind the last one.
    pub has_more: bool,
}

impl Page {
    /// Takes one more key, if there is room.
    pub fn push(&mut self, key: Key) {
        // Each travels with the length of its text, which takes two bytes at most.
        let bytes: usize = self.keys.iter().chain([&key]).map(|key| key.as_str().len() + 2).sum();
        if bytes <= PAGE_BYTES_MAX && !self.has_more {
            self.keys.push(key);
        } else {
            self.has_more = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_page_says_that_there_is_more_and_has_no_gap() {
        let mut page = Page::default();
        for number in 0..1000 {
            page.push(Key::new(format!("{number:0200}")).unwrap());
        }
        page.push(Key::new("z").unwrap());
        assert!(page.has_more);
        assert_eq!(page.keys.len(), PAGE_BYTES_MAX / 202);
        assert!(page.keys.iter().all(|key| key.as_str() != "z"));
    }
}
