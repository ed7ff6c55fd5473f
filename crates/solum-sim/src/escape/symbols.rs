//! Functions of the C library, defined once more.
//!
//! An executable's own definition of a name is the one that everybody gets, Rust's standard library as well. While no
//! unit runs, each passes on to the next definition of its name, which is the C library's. While one does, it is written down
//! and answered: with what is the same each time, or else with an error.

use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

use libc::{clockid_t, mode_t, pid_t, pthread_attr_t, pthread_t, size_t, sockaddr, socklen_t, ssize_t};
use libc::{time_t, timespec, timeval};

use super::What::{Clock, File, Process, Randomness, Sleep, Socket, Thread};
use super::{CLOCK, RANDOM, notice, seeds};

/// When the pretended clock begins: the year 2000.
const BEGIN_SECONDS: u64 = 946_684_800;
/// How far it goes each time it is read, so that who waits for it in a loop comes to an end.
const STEP_NANOSECONDS: u64 = 1_000_000;
const NANOSECONDS: u64 = 1_000_000_000;

/// What a thread begins with.
type Start = extern "C" fn(*mut c_void) -> *mut c_void;

/// The next definition of a name.
struct Next {
    name: &'static CStr,
    /// Null as long as nobody asked.
    address: AtomicPtr<c_void>,
}

impl Next {
    const fn of(name: &'static str) -> Self {
        match CStr::from_bytes_with_nul(name.as_bytes()) {
            Ok(name) => Self { name, address: AtomicPtr::new(ptr::null_mut()) },
            Err(_) => panic!("a name ends with a zero byte"),
        }
    }

    /// Where it is, if the C library is new enough to have it.
    fn find(&self) -> Option<*mut c_void> {
        let mut address = self.address.load(Ordering::Relaxed);
        if address.is_null() {
            // SAFETY: the name is a C string, and RTLD_NEXT asks for what comes after this executable.
            address = unsafe { libc::dlsym(libc::RTLD_NEXT, self.name.as_ptr()) };
            self.address.store(address, Ordering::Relaxed);
        }
        (!address.is_null()).then_some(address)
    }
}

/// Defines functions: name and type as in C, past which port it reaches, and what it answers to a unit.
macro_rules! define {
    ($(fn $name:ident($($argument:ident: $type:ty),*) -> $result:ty: $what:ident => $answer:expr;)*) => {$(
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $name($($argument: $type),*) -> $result {
            static NEXT: Next = Next::of(concat!(stringify!($name), "\0"));
            if notice($what, stringify!($name)) {
                return $answer;
            }
            match NEXT.find() {
                // SAFETY: what has this name in the C library has this type; or it takes a variable number of arguments, of
                // which this is the longest, and on these architectures integers are handed to both in the same
                // way. Whoever called answers for the arguments.
                Some(next) => unsafe {
                    std::mem::transmute::<*mut c_void, unsafe extern "C" fn($($type),*) -> $result>(next)($($argument),*)
                },
                None => {
                    failed(libc::ENOSYS);
                    <$result as Failure>::FAILURE
                }
            }
        }
    )*};
}

define! {
    fn clock_gettime(_clock: clockid_t, at: *mut timespec) -> c_int: Clock => put(at, timespec_of(read()));
    fn gettimeofday(at: *mut timeval, _zone: *mut c_void) -> c_int: Clock => put(at, timeval_of(read()));
    fn time(at: *mut time_t) -> time_t: Clock => {
        let seconds = (read() / NANOSECONDS) as time_t;
        put(at, seconds);
        seconds
    };
    fn nanosleep(wanted: *const timespec, _left: *mut timespec) -> c_int: Sleep => slept(wanted, false);
    fn clock_nanosleep(
        _clock: clockid_t, flags: c_int, wanted: *const timespec, _left: *mut timespec
    ) -> c_int: Sleep => slept(wanted, flags & libc::TIMER_ABSTIME != 0);
    fn usleep(_microseconds: c_uint) -> c_int: Sleep => 0;
    fn sleep(_seconds: c_uint) -> c_int: Sleep => 0;

    fn getrandom(buffer: *mut c_void, length: size_t, _flags: c_uint) -> ssize_t: Randomness => {
        fill(buffer, length);
        length as ssize_t
    };
    fn getentropy(buffer: *mut c_void, length: size_t) -> c_int: Randomness => {
        fill(buffer, length);
        0
    };

    fn pthread_create(
        _thread: *mut pthread_t, _attributes: *const pthread_attr_t, _start: Start, _argument: *mut c_void
    ) -> c_int: Thread => libc::EAGAIN;

    fn open(_path: *const c_char, _flags: c_int, _mode: mode_t) -> c_int: File => refused();
    fn open64(_path: *const c_char, _flags: c_int, _mode: mode_t) -> c_int: File => refused();
    fn openat(_directory: c_int, _path: *const c_char, _flags: c_int, _mode: mode_t) -> c_int: File => refused();
    fn openat64(_directory: c_int, _path: *const c_char, _flags: c_int, _mode: mode_t) -> c_int: File => refused();
    fn opendir(_path: *const c_char) -> *mut c_void: File => {
        refused();
        ptr::null_mut()
    };
    fn statx(
        _directory: c_int, _path: *const c_char, _flags: c_int, _mask: c_uint, _out: *mut c_void
    ) -> c_int: File => refused();
    fn mkdir(_path: *const c_char, _mode: mode_t) -> c_int: File => refused();
    fn rename(_from: *const c_char, _to: *const c_char) -> c_int: File => refused();
    fn rmdir(_path: *const c_char) -> c_int: File => refused();
    fn unlink(_path: *const c_char) -> c_int: File => refused();

    fn socket(_domain: c_int, _kind: c_int, _protocol: c_int) -> c_int: Socket => refused();
    fn socketpair(_domain: c_int, _kind: c_int, _protocol: c_int, _pair: *mut c_int) -> c_int: Socket => refused();
    fn connect(_socket: c_int, _to: *const sockaddr, _length: socklen_t) -> c_int: Socket => refused();
    fn getaddrinfo(
        _name: *const c_char, _service: *const c_char, _hints: *const c_void, _out: *mut *mut c_void
    ) -> c_int: Socket => libc::EAI_FAIL;

    fn fork() -> pid_t: Process => refused();
    fn execve(
        _path: *const c_char, _arguments: *const *const c_char, _environment: *const *const c_char
    ) -> c_int: Process => refused();
    fn execvp(_file: *const c_char, _arguments: *const *const c_char) -> c_int: Process => refused();
    fn posix_spawn(
        _process: *mut pid_t, _path: *const c_char, _actions: *const c_void, _attributes: *const c_void,
        _arguments: *const *const c_char, _environment: *const *const c_char
    ) -> c_int: Process => libc::EPERM;
    fn posix_spawnp(
        _process: *mut pid_t, _file: *const c_char, _actions: *const c_void, _attributes: *const c_void,
        _arguments: *const *const c_char, _environment: *const *const c_char
    ) -> c_int: Process => libc::EPERM;
}

/// What a function answers that the C library is too old to have, beside the error number.
trait Failure {
    const FAILURE: Self;
}

impl Failure for c_int {
    const FAILURE: Self = -1;
}

impl Failure for ssize_t {
    const FAILURE: Self = -1;
}

impl Failure for time_t {
    const FAILURE: Self = -1;
}

impl Failure for *mut c_void {
    const FAILURE: Self = ptr::null_mut();
}

fn failed(error: c_int) -> c_int {
    // SAFETY: the address of this thread's error number is always valid.
    unsafe { *libc::__errno_location() = error };
    -1
}

fn refused() -> c_int {
    failed(libc::EPERM)
}

/// Puts a value where C wants it, if it does.
fn put<T>(at: *mut T, value: T) -> c_int {
    if !at.is_null() {
        // SAFETY: a function of C that takes this pointer may write there, so says whoever called it.
        unsafe { at.write(value) };
    }
    0
}

/// What the pretended clock shows, in nanoseconds. It goes on.
fn read() -> u64 {
    let now = CLOCK.get();
    CLOCK.set(now.saturating_add(STEP_NANOSECONDS));
    BEGIN_SECONDS.saturating_mul(NANOSECONDS).saturating_add(now)
}

fn timespec_of(nanoseconds: u64) -> timespec {
    // SAFETY: a structure of integers, for which zero is a value; it may have fields that only some systems have.
    let mut time: timespec = unsafe { std::mem::zeroed() };
    time.tv_sec = (nanoseconds / NANOSECONDS) as time_t;
    time.tv_nsec = (nanoseconds % NANOSECONDS) as _;
    time
}

fn timeval_of(nanoseconds: u64) -> timeval {
    timeval {
        tv_sec: (nanoseconds / NANOSECONDS) as time_t,
        tv_usec: (nanoseconds % NANOSECONDS / 1000) as _,
    }
}

/// Moves the pretended clock instead of sleeping.
fn slept(wanted: *const timespec, is_absolute: bool) -> c_int {
    // SAFETY: null, or what C may read, so says whoever called.
    let Some(wanted) = (unsafe { wanted.as_ref() }) else { return libc::EINVAL };
    let seconds = u64::try_from(wanted.tv_sec).unwrap_or(0);
    let nanoseconds =
        seconds.saturating_mul(NANOSECONDS).saturating_add(u64::try_from(wanted.tv_nsec).unwrap_or(0));
    CLOCK.set(match is_absolute {
        true => CLOCK.get().max(nanoseconds.saturating_sub(BEGIN_SECONDS.saturating_mul(NANOSECONDS))),
        false => CLOCK.get().saturating_add(nanoseconds),
    });
    0
}

/// Bytes that are others each time, and the same in each run. Hash maps of a thread all begin with the same.
fn fill(buffer: *mut c_void, length: size_t) {
    for index in 0..length {
        let count =
            if seeds::is_making() { index as u64 } else { RANDOM.replace(RANDOM.get().wrapping_add(1)) };
        // SAFETY: so many bytes can be written, so says whoever called the function of C that takes them.
        unsafe { buffer.cast::<u8>().add(index).write(mixed(count)) };
    }
}

/// The end of splitmix64, of which one byte is enough.
fn mixed(count: u64) -> u8 {
    let mut value = count.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (value >> 56) as u8
}
