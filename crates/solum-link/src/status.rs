//! The life of one side, as the other sees it, in one word: nobody ever reads half of a change.
//!
//! The supervisor writes that a process was attached and its epoch, or that it ended; the process itself adds that it has
//! opened its end, so that nobody greets who does not listen yet.

const ALIVE: u32 = 1;
const OPENED: u32 = 2;
const EPOCH_SHIFT: u32 = 2;

/// The last epoch before they begin again at 1. 0 means nobody.
pub(crate) const LAST_EPOCH: u32 = u32::MAX >> EPOCH_SHIFT;

pub(crate) fn attached(epoch: u32) -> u32 {
    epoch << EPOCH_SHIFT | ALIVE
}

pub(crate) fn opened(status: u32) -> u32 {
    status | OPENED
}

pub(crate) fn detached(status: u32) -> u32 {
    status & !(ALIVE | OPENED)
}

pub(crate) fn is_attached(status: u32) -> bool {
    status & ALIVE != 0 && epoch(status) != 0
}

pub(crate) fn epoch(status: u32) -> u32 {
    status >> EPOCH_SHIFT
}

/// The epoch of who is there and listens.
pub(crate) fn present(status: u32) -> Option<u32> {
    (status & (ALIVE | OPENED) == ALIVE | OPENED && epoch(status) != 0).then(|| epoch(status))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_side_is_present_between_its_opening_and_its_end() {
        let status = attached(7);
        assert_eq!((is_attached(status), present(status)), (true, None));
        let status = opened(status);
        assert_eq!(present(status), Some(7));
        let status = detached(status);
        assert_eq!((is_attached(status), present(status), epoch(status)), (false, None, 7));
        assert_eq!(epoch(opened(attached(LAST_EPOCH))), LAST_EPOCH);
    }
}
