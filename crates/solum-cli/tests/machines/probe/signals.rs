//! Being asked to end.

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
    fn kill(process: i32, signal: i32) -> i32;
    fn ioctl(descriptor: i32, request: u64, ...) -> i32;
}

/// Keeps SIGTERM waiting until somebody waits for it.
fn block_term() -> SignalSet {
    let mut set = [0; 16];
    // SAFETY: the set is as large as glibc's and outlives the calls.
    unsafe {
        sigemptyset(&mut set);
        sigaddset(&mut set, SIGTERM);
        sigprocmask(SIG_BLOCK, &set, std::ptr::null_mut());
    }
    set
}

/// Waits for SIGTERM and ends with status 7.
pub fn end_when_asked() -> u8 {
    let set = block_term();
    println!("ready");
    let mut received = 0;
    // SAFETY: both places outlive the call.
    unsafe { sigwait(&set, &mut received) };
    println!("asked to end by signal {received}");
    7
}

/// Asks PID 1 to end the machine, and holds back what that means for the probe until it waits for it.
pub fn terminate_pid_1() {
    block_term();
    send(1, SIGTERM);
}

/// Has a command ask for the machine's end, and holds back what that means for the probe until it waits for it.
pub fn ask(command: &str) -> std::io::Result<()> {
    block_term();
    let status = std::process::Command::new(command).status()?;
    println!("{command}: {:?}", status.code());
    Ok(())
}

/// Has its terminal take a Ctrl-S as if it were typed, and holds back what a request to end means for the probe until it waits
/// for it.
pub fn type_ctrl_s() {
    const TIOCSTI: u64 = 0x5412;
    block_term();
    println!("nothing will be seen from here on");
    let key = 0x13u8;
    // SAFETY: the kernel reads one byte (ioctl_tty(2)).
    assert_eq!(unsafe { ioctl(0, TIOCSTI, &raw const key) }, 0, "{}", std::io::Error::last_os_error());
}

/// Sends a process a signal.
pub fn send(process: i32, signal: i32) {
    // SAFETY: takes two integers and touches no memory.
    assert_eq!(unsafe { kill(process, signal) }, 0, "{}", std::io::Error::last_os_error());
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
