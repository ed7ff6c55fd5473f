//! Escapes in an executable that is linked with the library, as a user's simulation is: what is noticed, where, and which
//! statics it has.

#![cfg(target_env = "gnu")]
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::collections::HashMap;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use corosensei::{Coroutine, CoroutineResult};
use solum_sim::escape::{Guard, Unreadable, What, statics, taken};

/// What a careless program keeps from call to call.
static CALLS: AtomicU64 = AtomicU64::new(0);
static NAMES: [&str; 2] = ["a", "b"];

thread_local! {
    static LAST: OnceLock<u64> = const { OnceLock::new() };
}

/// A program that is not only careless with statics.
fn careless() -> usize {
    let calls = CALLS.fetch_add(1, Ordering::Relaxed) as usize;
    let last = LAST.with(|last| *last.get_or_init(|| 1));
    let map = HashMap::from([(last, Instant::now())]);
    std::hint::black_box(&map);
    NAMES[calls % 2].len()
}

#[test]
fn a_program_in_a_coroutine_is_noticed_with_its_place() {
    let mut program = Coroutine::new(|yielder, ()| {
        careless();
        yielder.suspend(());
        careless();
    });
    let mut resume = |unit| {
        let _guard = Guard::enter(unit);
        matches!(program.resume(()), CoroutineResult::Return(()))
    };
    assert!(!resume(7));
    // This is the simulation's own, between two turns.
    std::hint::black_box((Instant::now(), HashMap::<u8, u8>::new()));
    assert!(resume(7));
    let escapes = taken();
    let noticed: Vec<_> =
        escapes.iter().map(|escape| (escape.unit, escape.what, escape.call, escape.times)).collect();
    assert_eq!(noticed, [(7, What::Clock, "clock_gettime", 2), (7, What::Hash, "RandomState::new", 2)]);
    let place = escapes[0].place().unwrap();
    // Modules and lines are known if they were built in.
    assert!(place.trim_start_matches("escapes::").starts_with("careless"), "{place}");
    assert!(place.contains("escapes.rs:") || !cfg!(debug_assertions), "{place}");
    assert_eq!(escapes[1].place(), None);
}

#[test]
fn a_program_has_the_statics_that_keep_something() {
    careless();
    let executable = std::fs::read(std::env::current_exe().unwrap()).unwrap();
    let found = statics(&executable, &["escapes"]).unwrap();
    let named = |name: &str| found.iter().find(|found| found.name.contains(name));
    let calls = named("CALLS").unwrap();
    assert_eq!((calls.name.as_str(), calls.bytes, calls.is_thread_local), ("escapes::CALLS", 8, false));
    assert!(named("LAST").is_some_and(|last| last.is_thread_local && last.name.starts_with("escapes::LAST")));
    assert_eq!(named("NAMES"), None);
    assert_eq!(calls.to_string(), "escapes::CALLS: a static of 8 bytes that can be written");
}

/// What rustc makes of a program with statics.
fn executable(arguments: &[&str]) -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    let (source, executable) = (directory.path().join("a.rs"), directory.path().join("a"));
    let text = r#"
        use std::sync::{Mutex, OnceLock};
        static LIST: Mutex<Vec<u8>> = Mutex::new(Vec::new());
        static mut NUMBER: u32 = 5;
        static NAMES: [&str; 2] = ["a", "b"];
        static LENGTH: usize = 3;
        struct Page;
        impl std::fmt::Display for Page {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                static ONCE: OnceLock<u8> = OnceLock::new();
                write!(f, "{}", ONCE.get_or_init(|| 1))
            }
        }
        fn main() {
            LIST.lock().unwrap().push(1);
            unsafe { NUMBER += 1 };
            println!("{Page} {} {} {}", unsafe { NUMBER }, NAMES[std::env::args().count()], std::hint::black_box(&LENGTH));
        }
    "#;
    std::fs::write(&source, text).unwrap();
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = std::process::Command::new(rustc)
        .args(["--edition", "2024", "--crate-name", "my_program"])
        .args(arguments)
        .args([source.as_os_str(), "-o".as_ref(), executable.as_os_str()])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    std::fs::read(executable).unwrap()
}

#[test]
fn statics_are_found_however_names_are_mangled() {
    for arguments in [&[][..], &["-Csymbol-mangling-version=v0"]] {
        let found = statics(&executable(arguments), &["other", "my-program"]).unwrap();
        assert!(found.iter().all(|found| found.krate == "my-program" && !found.is_thread_local), "{found:?}");
        let names: Vec<_> =
            found.iter().map(|found| found.name.rsplit("::").next().unwrap_or_default()).collect();
        assert_eq!(names, ["ONCE", "LIST", "NUMBER"], "{found:?}");
    }
}

#[test]
fn an_executable_without_symbols_is_an_error() {
    assert_eq!(statics(&executable(&["-Cstrip=symbols"]), &["my-program"]), Err(Unreadable::Stripped));
}
