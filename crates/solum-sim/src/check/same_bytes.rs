//! Whether copies hold the same.

use std::fmt;

/// How many blocks are described.
const DESCRIBED: usize = 8;
/// How many bytes of a block are shown.
const SHOWN_BYTES: usize = 8;

/// Copies that differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// How many blocks are not the same everywhere; 0 if it is the lengths that differ.
    pub blocks: usize,
    /// How many blocks there are.
    pub of: usize,
    /// The first of them.
    pub first: Vec<DifferentBlock>,
    /// The copies' names, and how many bytes each has.
    pub copies: Vec<(String, usize)>,
}

/// A block that is not the same in all copies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DifferentBlock {
    /// Its number, from 0.
    pub number: usize,
    /// Where the first byte is that differs, within the block.
    pub at: usize,
    /// Copies that hold the same, by name, and what they hold there; the largest group first.
    pub groups: Vec<(Vec<String>, Vec<u8>)>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.blocks == 0 {
            let copies: Vec<_> =
                self.copies.iter().map(|(name, bytes)| format!("{name} has {bytes} bytes")).collect();
            return write!(f, "the copies are not of one length: {}", copies.join(", "));
        }
        write!(f, "{} of {} blocks are not the same in all copies:", self.blocks, self.of)?;
        for block in &self.first {
            write!(f, "\n  block {}, from its byte {} on:", block.number, block.at)?;
            for (index, (names, bytes)) in block.groups.iter().enumerate() {
                let bytes: Vec<_> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
                let have = if names.len() == 1 { "has" } else { "have" };
                let separator = if index == 0 { "" } else { ";" };
                write!(f, "{separator} {} {have} {}", names.join(" and "), bytes.join(" "))?;
            }
        }
        if self.first.len() < self.blocks {
            write!(f, "\n  and {} more", self.blocks - self.first.len())?;
        }
        Ok(())
    }
}

impl std::error::Error for Difference {}

/// Whether all copies hold the same bytes; each has a name for the message.
///
/// ```
/// use solum_sim::check::same_bytes;
///
/// let (one, mut other) = (vec![0; 2048], vec![0; 2048]);
/// assert!(same_bytes(&[("disk.a", &one), ("disk.b", &other)], 512).is_ok());
/// other[520] = 7;
/// let difference = same_bytes(&[("disk.a", &one), ("disk.b", &other), ("disk.c", &one)], 512).unwrap_err();
/// assert_eq!(
///     difference.to_string(),
///     "1 of 4 blocks are not the same in all copies:\n  \
///      block 1, from its byte 8 on: disk.a and disk.c have 00 00 00 00 00 00 00 00; disk.b has 07 00 00 00 00 00 00 00",
/// );
/// ```
///
/// # Errors
///
/// [`Difference`] with the first blocks that differ, and who holds what there.
///
/// # Panics
///
/// If `block_bytes` is 0.
pub fn same_bytes(copies: &[(&str, &[u8])], block_bytes: usize) -> Result<(), Difference> {
    let Some((_, first)) = copies.first() else { return Ok(()) };
    let blocks = first.len().div_ceil(block_bytes);
    let named = || copies.iter().map(|(name, bytes)| ((*name).to_owned(), bytes.len())).collect();
    if copies.iter().any(|(_, bytes)| bytes.len() != first.len()) {
        return Err(Difference { blocks: 0, of: blocks, first: Vec::new(), copies: named() });
    }
    // Most of the time all is well, and then this is all there is to do.
    if copies.iter().all(|(_, bytes)| bytes == first) {
        return Ok(());
    }
    let different: Vec<_> = (0..blocks).filter_map(|number| compare(copies, number, block_bytes)).collect();
    let count = different.len();
    let described = different.into_iter().take(DESCRIBED).collect();
    Err(Difference { blocks: count, of: blocks, first: described, copies: named() })
}

fn compare(copies: &[(&str, &[u8])], number: usize, block_bytes: usize) -> Option<DifferentBlock> {
    let block = |bytes: &'_ [u8]| {
        let start = number * block_bytes;
        start..bytes.len().min(start + block_bytes)
    };
    let (_, first) = copies.first()?;
    let range = block(first);
    let differs = |at: &usize| copies.iter().any(|(_, bytes)| bytes[*at] != first[*at]);
    let at = range.clone().find(differs)?;
    let mut groups: Vec<(Vec<String>, &[u8])> = Vec::new();
    for (name, bytes) in copies {
        let held = &bytes[range.clone()];
        match groups.iter_mut().find(|(_, other)| *other == held) {
            Some((names, _)) => names.push((*name).to_owned()),
            None => groups.push((vec![(*name).to_owned()], held)),
        }
    }
    groups.sort_by_key(|(names, _)| std::cmp::Reverse(names.len()));
    let at = at - range.start;
    let shown = |held: &[u8]| held[at..held.len().min(at + SHOWN_BYTES)].to_vec();
    let groups = groups.into_iter().map(|(names, held)| (names, shown(held))).collect();
    Some(DifferentBlock { number, at, groups })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_of_other_lengths_are_told_apart() {
        assert_eq!(same_bytes(&[], 512), Ok(()));
        let difference = same_bytes(&[("a", &[0; 10]), ("b", &[0; 11])], 4).unwrap_err();
        assert_eq!(
            difference.to_string(),
            "the copies are not of one length: a has 10 bytes, b has 11 bytes"
        );
    }

    #[test]
    fn who_is_alone_is_named_last_and_only_the_first_blocks_are_described() {
        let (mut a, b) = (vec![0; 100], vec![0; 100]);
        for block in 2..20 {
            a[block * 5 + 4] = block as u8;
        }
        let difference = same_bytes(&[("a", &a), ("b", &b), ("c", &b)], 5).unwrap_err();
        assert_eq!((difference.blocks, difference.of, difference.first.len()), (18, 20, DESCRIBED));
        let first = &difference.first[0];
        assert_eq!((first.number, first.at), (2, 4));
        let names = |index: usize| first.groups[index].0.join("");
        assert_eq!((names(0), names(1)), ("bc".to_owned(), "a".to_owned()));
        assert!(difference.to_string().ends_with("and 10 more"), "{difference}");
    }

    #[test]
    fn the_last_block_may_be_short() {
        let difference = same_bytes(&[("a", &[0, 0, 0]), ("b", &[0, 0, 1])], 2).unwrap_err();
        assert_eq!((difference.of, difference.first[0].number, difference.first[0].at), (2, 1, 0));
    }
}
