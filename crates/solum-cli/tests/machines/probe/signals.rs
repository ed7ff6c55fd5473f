//! Being asked to end.

use std::mem::MaybeUninit;

const SIGTERM: i32 = 15;
const SIG_BLOCK: i32 = 0;
const SIG_IGN: usize = 1;

/// glibc's `sigset_t`.
type SignalSet = [u64; 16];

unsafe extern "C" {
    fn sigemptyset(set: *mut SignalSet) -> i32;
    fn sigaddset(set: *mut SignalSet, signal: i32) -> i32;
    fn sigprocmask(how: i32, set: *const SignalSet, old: *mut SignalSet) -> i32;
    fn sigwait(set: *const SignalSet, signal: *mut i32) -> i32;
    fn signal(signal: i32, handler: usize) -> usize;
}

/// Waits for SIGTERM and ends with status 7.
pub fn end_when_asked() -> u8 {
    let mut set = MaybeUninit::<SignalSet>::zeroed();
    let mut received = 0;
    // SAFETY: the set is large enough for glibc's and outlives the calls; nobody else uses the signal.
    unsafe {
        sigemptyset(set.as_mut_ptr());
        sigaddset(set.as_mut_ptr(), SIGTERM);
        sigprocmask(SIG_BLOCK, set.as_ptr(), std::ptr::null_mut());
        println!("ready");
        sigwait(set.as_ptr(), &mut received);
    }
    println!("asked to end by signal {received}");
    7
}

/// Does not hear SIGTERM.
pub fn ignore_term() {
    // SAFETY: sets the disposition of a signal that has no handler.
    unsafe { signal(SIGTERM, SIG_IGN) };
}

/// Ignores SIGTERM for ever.
pub fn never_end() -> ! {
    ignore_term();
    println!("ready");
    loop {
        std::thread::park();
    }
}
