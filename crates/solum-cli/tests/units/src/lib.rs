//! What the programs of these tests share.

use solum::{Console, Error};

/// Answers the same words.
#[solum::interface(version = 1)]
pub trait Echo {
    /// The words, and who answers.
    #[retry]
    fn echo(&mut self, words: String) -> String;
    /// Never answers.
    #[once]
    fn hang(&mut self);
}

/// The arguments of this process, as they are written in the description.
pub fn arguments() -> Vec<String> {
    std::env::args().skip(1).collect()
}

/// Prints numbered lines of 64 bytes.
///
/// # Errors
///
/// Those of the console.
pub fn flood(console: &mut Console, lines: &str) -> Result<(), Error> {
    for line in 1..=lines.parse().unwrap_or(0u32) {
        console.line(format_args!("{line:08} {}", "~".repeat(54)))?;
    }
    Ok(())
}

/// From now on this process does not hear SIGTERM.
pub fn ignore_requests_to_end() {
    const SIGTERM: i32 = 15;
    const SIG_IGN: usize = 1;
    unsafe extern "C" {
        fn signal(signal: i32, handler: usize) -> usize;
    }
    // SAFETY: sets the disposition of a signal that has no handler.
    unsafe { signal(SIGTERM, SIG_IGN) };
}
