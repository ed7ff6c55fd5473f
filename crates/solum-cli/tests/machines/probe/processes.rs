//! Processes that fail, and processes that leave others behind.

use std::io::{self, Read, Write};
use std::path::Path;

use crate::signals;

unsafe extern "C" {
    fn fork() -> i32;
    fn _exit(status: i32) -> !;
}

/// Ends by SIGSEGV.
pub fn bad_access() -> ! {
    // SAFETY: none; that is the errand.
    unsafe { std::ptr::with_exposed_provenance_mut::<u8>(8).write_volatile(1) };
    panic!("the memory at address 8 could be written");
}

/// Takes memory until the kernel ends it.
pub fn hog() -> ! {
    let mut taken = Vec::new();
    loop {
        taken.push(vec![1u8; 1 << 20]);
    }
}

/// Leaves processes behind that do not end when asked.
pub fn leave_orphans() {
    signals::ignore_term();
    for _ in 0..3 {
        // SAFETY: the probe has one thread.
        if unsafe { fork() } == 0 {
            loop {
                std::thread::park();
            }
        }
    }
    println!("left three behind");
}

/// Makes an orphan, lets it end, and sees it vanish: its new parent has waited for it.
pub fn see_an_orphan_reaped() -> io::Result<()> {
    let (mut told, mut tell) = io::pipe()?;
    let (mut leash, hold) = io::pipe()?;
    // SAFETY: the probe has one thread; the children use only what they inherited, and _exit.
    unsafe {
        if fork() == 0 {
            if fork() == 0 {
                drop(hold);
                let _ = tell.write_all(&std::process::id().to_le_bytes());
                // Ends when the probe lets go.
                let _ = leash.read(&mut [0]);
            }
            _exit(0);
        }
    }
    drop(leash);
    let mut number = [0; 4];
    told.read_exact(&mut number)?;
    let process = format!("/proc/{}", u32::from_le_bytes(number));
    println!("orphan seen: {}", Path::new(&process).exists());
    drop(hold);
    while Path::new(&process).exists() {
        std::thread::yield_now();
    }
    println!("orphan reaped");
    Ok(())
}

/// Ends the process of this name, and waits until there is another.
pub fn kill_role(name: &str) -> io::Result<()> {
    const SIGKILL: i32 = 9;
    let first = wait_for(name, None)?;
    signals::send(first, SIGKILL);
    println!("ended {name}");
    wait_for(name, Some(first))?;
    println!("it is back");
    Ok(())
}

/// Looks through /proc until a process has this as its first word, and another number than `old`.
fn wait_for(name: &str, old: Option<i32>) -> io::Result<i32> {
    loop {
        for entry in std::fs::read_dir("/proc")? {
            let entry = entry?;
            let Ok(number) = entry.file_name().to_string_lossy().parse::<i32>() else { continue };
            let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
            if line.split(|byte| *byte == 0).next() == Some(name.as_bytes()) && Some(number) != old {
                return Ok(number);
            }
        }
        std::thread::yield_now();
    }
}
