//! When has everything a machine wrote arrived?
//!
//! QEMU holds back what a full socket does not take, and hands it over when there is room. One reply on the
//! monitor means that QEMU's main loop went round, and so that it noticed the room; writing what it held back is
//! the business of another round. So: a few replies in a row without a new byte, and there is nothing left.

/// Replies without new bytes that prove it: one to notice the room, one to write, one to spare.
const QUIET_ROUNDS: u32 = 3;

/// Counts quiet rounds.
#[derive(Debug, Default)]
pub(crate) struct Drain {
    quiet_rounds: u32,
    bytes_before: Option<u64>,
}

impl Drain {
    /// A round is over, and `bytes` have arrived in all since the machine started. True when nothing is left; else
    /// another round is needed.
    pub(crate) fn round(&mut self, bytes: u64) -> bool {
        self.quiet_rounds = if self.bytes_before == Some(bytes) { self.quiet_rounds + 1 } else { 0 };
        self.bytes_before = Some(bytes);
        self.quiet_rounds >= QUIET_ROUNDS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_rounds_in_a_row_count() {
        let mut drain = Drain::default();
        let rounds = [0, 0, 0, 5, 5, 5, 7, 7, 7, 7].map(|bytes| drain.round(bytes));
        assert_eq!(rounds.iter().position(|&done| done), Some(9));
    }
}
