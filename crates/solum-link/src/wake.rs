//! Sleeping and waking without a wake-up ever lost, and without a system call while both are awake.
//!
//! Who sleeps says so, and looks once more before it does; who publishes does so, and then looks whether the other said
//! so. A fence stands between the two steps on either side, so at least one of them sees the other.

use crate::frame::Side;
use crate::memory::Word;
use crate::shared::Shared;
use std::time::Duration;

const AWAKE: u32 = 0;
const FUTEX: u32 = 1;
const POLL: u32 = 2;
const MODE: u32 = 3;
/// Space in the ring is a reason too. Otherwise each message that a peer takes would wake who waits for its answer.
const FOR_SPACE: u32 = 4;

/// Why somebody may have to be woken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Reason {
    /// There is a frame.
    Frames,
    /// There is space for one.
    Space,
    /// A side came or went.
    Life,
}

fn armed(mode: u32, for_space: bool) -> u32 {
    if for_space { mode | FOR_SPACE } else { mode }
}

/// To be called after something was published: wakes that side, if it sleeps and this is a reason.
#[inline]
pub(crate) fn wake<S: Shared>(shared: &S, side: Side, reason: Reason) {
    shared.fence();
    let armed = shared.load(Word::Armed(side));
    if armed == AWAKE || (reason == Reason::Space && armed & FOR_SPACE == 0) {
        return;
    }
    match shared.swap(Word::Armed(side), AWAKE) & MODE {
        FUTEX => shared.futex_wake(Word::Armed(side)),
        POLL => shared.ring_bell(side),
        _ => {}
    }
}

/// Sleeps until woken, or until the time is over; not at all, if `ready` says so once everybody can see the intention.
pub(crate) fn sleep<S: Shared>(
    shared: &S,
    side: Side,
    for_space: bool,
    timeout: Option<Duration>,
    ready: impl FnOnce() -> bool,
) {
    let armed = armed(FUTEX, for_space);
    // Exchanged rather than stored, so that loom knows its order among the peer's exchanges.
    shared.swap(Word::Armed(side), armed);
    shared.fence();
    if !ready() {
        shared.futex_wait(Word::Armed(side), armed, timeout);
    }
    shared.store(Word::Armed(side), AWAKE);
}

/// Announces sleep on the bell. If `ready` says that there is no reason to, takes that back and returns false.
pub(crate) fn arm<S: Shared>(shared: &S, side: Side, for_space: bool, ready: impl FnOnce() -> bool) -> bool {
    shared.swap(Word::Armed(side), armed(POLL, for_space));
    shared.fence();
    if ready() {
        shared.store(Word::Armed(side), AWAKE);
        return false;
    }
    true
}

/// Awake again, after [`arm`]. The bell is to be silenced after this and before looking for news: a ring that comes later
/// than that ends another sleep too early, which does no harm, but one that nobody silenced would end each.
pub(crate) fn disarm<S: Shared>(shared: &S, side: Side) {
    shared.store(Word::Armed(side), AWAKE);
}
