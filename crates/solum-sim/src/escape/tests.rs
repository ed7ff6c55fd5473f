//! Each kind of escape, on a thread of its own, and the same calls outside of a unit.

#![cfg(target_env = "gnu")]

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io::ErrorKind;
use std::time::{Duration, Instant, SystemTime};

use super::*;

/// What a unit with the number 3 gave, and what was noticed meanwhile.
fn unit<T: Send + 'static>(code: impl FnOnce() -> T + Send + 'static) -> (T, Vec<Escape>) {
    let run = move || {
        let guard = Guard::enter(3);
        let outcome = code();
        drop(guard);
        (outcome, taken())
    };
    std::thread::spawn(run).join().unwrap()
}

/// What was noticed, in short.
fn told(escapes: &[Escape]) -> Vec<(u32, What, &'static str, u64)> {
    escapes.iter().map(|escape| (escape.unit, escape.what, escape.call, escape.times)).collect()
}

#[test]
fn a_clock_is_noticed_and_goes_on_the_same_way_each_time() {
    let clocks =
        || (Instant::now().elapsed(), SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap());
    let (first, escapes) = unit(clocks);
    assert_eq!(told(&escapes), [(3, What::Clock, "clock_gettime", 3)]);
    assert_eq!(first, unit(clocks).0);
    assert_eq!(first.0, Duration::from_millis(1));
    // SAFETY: a null pointer is allowed.
    let (_, escapes) = unit(|| unsafe { libc::time(std::ptr::null_mut()) });
    assert_eq!(told(&escapes), [(3, What::Clock, "time", 1)]);
}

/// As the standard library does it, until a moment or for some time.
fn sleep(flags: i32, seconds: i64, nanoseconds: i64) {
    let wanted = libc::timespec { tv_sec: seconds, tv_nsec: nanoseconds };
    // SAFETY: the first pointer is to a value, and the other one may be null.
    let outcome =
        unsafe { libc::clock_nanosleep(libc::CLOCK_REALTIME, flags, &wanted, std::ptr::null_mut()) };
    assert_eq!(outcome, 0);
}

#[test]
fn sleep_is_noticed_and_moves_the_pretended_clock() {
    let (passed, escapes) = unit(|| {
        let begin = SystemTime::now();
        sleep(0, 3600, 0);
        let end = SystemTime::now();
        let until = end.duration_since(SystemTime::UNIX_EPOCH).unwrap() + Duration::from_secs(60);
        sleep(libc::TIMER_ABSTIME, until.as_secs() as i64, i64::from(until.subsec_nanos()));
        [end, SystemTime::now()].map(|moment| moment.duration_since(begin).unwrap().as_millis())
    });
    assert_eq!(passed, [3_600_001, 3_660_001]);
    assert_eq!(told(&escapes)[1], (3, What::Sleep, "clock_nanosleep", 2));
}

#[test]
fn a_thread_is_refused() {
    let (kind, escapes) = unit(|| std::thread::Builder::new().spawn(|| ()).unwrap_err().kind());
    assert_eq!(kind, ErrorKind::WouldBlock);
    assert_eq!(told(&escapes), [(3, What::Thread, "pthread_create", 1)]);
}

/// Bytes from the system, as most crates get them.
fn random() -> [u8; 16] {
    let mut bytes = [0; 16];
    // SAFETY: so many bytes are there.
    let length = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) };
    assert_eq!(length, 16);
    bytes
}

#[test]
fn randomness_is_noticed_and_the_same_each_time() {
    let (first, escapes) = unit(|| [random(), random()]);
    assert_eq!(told(&escapes), [(3, What::Randomness, "getrandom", 2)]);
    assert_ne!(first[0], first[1]);
    assert_eq!(first, unit(|| [random(), random()]).0);
    let mut bytes = [0; 16];
    // SAFETY: so many bytes are there.
    let (_, escapes) = unit(move || unsafe { libc::getentropy(bytes.as_mut_ptr().cast(), bytes.len()) });
    assert_eq!(told(&escapes), [(3, What::Randomness, "getentropy", 1)]);
}

#[test]
fn each_hash_map_is_noticed_even_if_the_thread_had_one_before() {
    let (_, escapes) = unit(|| (HashMap::<u8, u8>::new().len(), HashSet::from([1]).len()));
    assert_eq!(told(&escapes), [(3, What::Hash, "RandomState::new", 2)]);
    let before = std::thread::spawn(|| {
        drop(RandomState::new());
        let guard = Guard::enter(5);
        drop(guard);
        let none = taken();
        // What nobody's code makes is no escape; what a unit makes is.
        drop(RandomState::new());
        let guard = Guard::enter(6);
        drop(RandomState::new());
        drop(guard);
        (none, taken())
    });
    let (none, one) = before.join().unwrap();
    assert!(none.is_empty(), "{none:?}");
    assert_eq!(told(&one), [(6, What::Hash, "RandomState::new", 1)]);
}

#[test]
fn hash_maps_of_a_fresh_thread_have_the_same_order_each_time() {
    let hash = || RandomState::new().hash_one(7);
    assert_eq!(unit(hash).0, unit(hash).0);
}

#[test]
fn files_are_refused() {
    let (kind, escapes) = unit(|| File::open("/proc/self/exe").unwrap_err().kind());
    assert_eq!(kind, ErrorKind::PermissionDenied);
    assert_eq!(told(&escapes), [(3, What::File, "open64", 1)]);
    let (_, escapes) = unit(|| {
        assert!(std::fs::read_dir("/").is_err());
        assert!(!std::path::Path::new("/").exists());
        assert!(std::fs::create_dir("/nobody-makes-this").is_err());
        assert!(std::fs::rename("/nobody-made-this", "/nor-this").is_err());
        assert!(std::fs::remove_file("/nobody-made-this").is_err());
        assert!(std::fs::remove_dir("/nobody-made-this").is_err());
    });
    let calls: Vec<_> = escapes.iter().map(|escape| escape.call).collect();
    assert_eq!(calls, ["opendir", "statx", "mkdir", "rename", "unlink", "rmdir"]);
}

#[test]
fn sockets_and_names_are_refused() {
    let (_, escapes) = unit(|| {
        assert!(std::net::TcpStream::connect("127.0.0.1:1").is_err());
        assert!(std::os::unix::net::UnixStream::pair().is_err());
        assert!(std::net::ToSocketAddrs::to_socket_addrs("localhost:1").is_err());
    });
    let calls: Vec<_> = escapes.iter().map(|escape| (escape.what, escape.call)).collect();
    assert_eq!(
        calls,
        [(What::Socket, "socket"), (What::Socket, "socketpair"), (What::Socket, "getaddrinfo")]
    );
}

#[test]
fn processes_are_refused() {
    let (_, escapes) = unit(|| assert!(std::process::Command::new("true").status().is_err()));
    assert!(escapes.iter().any(|escape| escape.what == What::Process), "{escapes:?}");
    // SAFETY: it is refused, so there is no second process.
    let (process, escapes) = unit(|| unsafe { libc::fork() });
    assert_eq!((process, told(&escapes)), (-1, vec![(3, What::Process, "fork", 1)]));
}

#[test]
fn outside_of_a_unit_everything_is_as_it_was() {
    let run = || {
        drop(Guard::enter(1));
        let guard = Guard::enter(2);
        let outside = Guard::outside();
        let begin = Instant::now();
        sleep(0, 0, 1_000_000);
        assert!(begin.elapsed() >= Duration::from_millis(1));
        assert!(SystemTime::now() > SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000));
        assert_eq!(std::thread::spawn(|| 7).join().unwrap(), 7);
        assert_ne!(random(), random());
        drop(RandomState::new());
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a");
        std::fs::write(&path, "text").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "text");
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
        std::fs::remove_file(&path).unwrap();
        assert!(!path.exists());
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        assert!(std::process::Command::new("true").status().unwrap().success());
        drop(outside);
        drop(guard);
        taken()
    };
    let escapes = std::thread::spawn(run).join().unwrap();
    assert!(escapes.is_empty(), "{escapes:?}");
}

#[test]
fn other_threads_are_not_the_unit() {
    let (to_unit, from_test) = std::sync::mpsc::channel::<()>();
    let (to_test, from_unit) = std::sync::mpsc::channel::<()>();
    let unit = std::thread::spawn(move || {
        let guard = Guard::enter(1);
        to_test.send(()).unwrap();
        from_test.recv().unwrap();
        drop(guard);
    });
    from_unit.recv().unwrap();
    assert!(SystemTime::now() > SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000));
    to_unit.send(()).unwrap();
    unit.join().unwrap();
    assert!(taken().is_empty());
}

#[test]
fn a_panic_may_print_its_backtrace() {
    let run = || {
        let outcome = std::panic::catch_unwind(|| {
            let guard = Guard::enter(1);
            let _told = OpensWhenDropped;
            std::hint::black_box(&guard);
            std::panic::resume_unwind(Box::new(()));
        });
        assert!(outcome.is_err());
        taken()
    };
    assert!(std::thread::spawn(run).join().unwrap().is_empty());
}

struct OpensWhenDropped;

impl Drop for OpensWhenDropped {
    fn drop(&mut self) {
        assert!(File::open("/proc/self/exe").is_ok());
    }
}

#[test]
fn an_escape_tells_where_it_was() {
    let (_, escapes) = unit(Instant::now);
    assert_eq!(escapes[0].to_string(), "read the system's clock (clock_gettime, 1 times)");
    let trace = "   0: solum_sim::escape::record\n             at ./crates/solum-sim/src/escape/mod.rs:1:2\n   1: \
                 clock_gettime\n   2: std::time::Instant::now\n             at /rustc/std/src/time.rs:3:4\n   3: \
                 <front::Unit as cluster::calls::Service>::look\n             at ./front/src/lib.rs:45:9\n";
    let here = "<front::Unit as cluster::calls::Service>::look (./front/src/lib.rs:45:9)";
    assert_eq!(place(trace, "clock_gettime").as_deref(), Some(here));
    assert_eq!(place("   0: clock_gettime\n", "clock_gettime"), None);
    // With nothing but tables of lines.
    let trace = "   0: {closure#1}\n             at ./src/escape/mod.rs:238:67\n   1: clock_gettime\n             at \
                 ./src/escape/clock.rs:3:4\n   2: now\n             at /rustc/std/src/time.rs:3:4\n   3: look\n             \
                 at ./front/src/lib.rs:45:9\n";
    assert_eq!(place(trace, "clock_gettime").as_deref(), Some("look (./front/src/lib.rs:45:9)"));
}
