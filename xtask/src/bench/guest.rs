//! A machine whose instructions are counted.
//!
//! QEMU counts every instruction that its processor executes while it records a run (`-icount …,rr=record`;
//! docs/system/replay.rst), and its monitor tells the count. A debugger stops the machine at the two addresses
//! between which is counted. Waiting costs no instructions, and the clock follows the count, so the same kernel
//! and the same initramfs give the same number, on any machine.

use super::debugger::Debugger;
use super::lab::Lab;
use super::probe;
use super::table::grouped;
use crate::failure::{Failure, Outcome};
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Instructions since the kernel's entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Counts {
    /// From the machine's start until the kernel's entry: not part of the others.
    pub before: u64,
    /// Until the program's first instruction.
    pub started: u64,
    /// Until its first line is written.
    pub line: u64,
}

/// The same count, twice.
#[derive(Clone, Copy)]
pub struct Twice {
    /// The first one.
    pub first: Counts,
    /// The second one.
    pub second: Counts,
}

/// Counts twice, to see how far the counts are apart.
pub fn twice(mut count: impl FnMut() -> Outcome<Counts>) -> Outcome<Twice> {
    Ok(Twice { first: count()?, second: count()? })
}

impl std::fmt::Display for Twice {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let spread = self.first.line.abs_diff(self.second.line);
        let Counts { started, line, .. } = self.first;
        write!(
            formatter,
            "{} instructions, the program's own start at {}; a second run differs by {}",
            grouped(line),
            grouped(started),
            grouped(spread)
        )
    }
}

/// How long an instruction takes on the machine's clock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pace {
    /// One nanosecond.
    Nanosecond,
    /// Eight. Firmware watches the clock until it has waited long enough, which takes an eighth of the instructions.
    EightNanoseconds,
}

impl Pace {
    /// `shift` of QEMU's `-icount`: an instruction takes two to the power of that in nanoseconds.
    fn shift(self) -> u32 {
        match self {
            Self::Nanosecond => 0,
            Self::EightNanoseconds => 3,
        }
    }
}

/// Boots the machine of these words of QEMU's, and counts between the kernel's entry and the probe's line.
pub fn count(words: Vec<String>, pace: Pace, entry: u64) -> Outcome<Counts> {
    let mut guest = Guest::start(counting(words, pace)?)?;
    let mut count_at = |address| {
        guest.debugger.run_to(address)?;
        instruction_count(&guest.debugger.monitor("info replay")?)
    };
    let before = count_at(entry)?;
    let started = count_at(probe::ENTRY)? - before;
    Ok(Counts { before, started, line: count_at(probe::LINE_WRITTEN)? - before })
}

/// The program whose first line is waited for, as a file that `solum` can be given.
pub fn write_probe(lab: &Lab) -> Outcome<String> {
    let program = lab.workspace.scratch("probe")?;
    write_executable(&program, &probe::executable())?;
    Ok(program.display().to_string())
}

/// Writes a file that can be executed.
pub fn write_executable(path: &Path, bytes: &[u8]) -> Outcome {
    fs::write(path, bytes)
        .and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(0o755)))
        .map_err(|error| Failure::new(format!("{} could not be written: {error}", path.display())))
}

/// Solum's machine, made countable: nothing comes from outside but what the recording knows of.
fn counting(mut words: Vec<String>, pace: Pace) -> Outcome<Vec<String>> {
    // Standard input is the debugger's, and nobody reads the console.
    let stdio = words.iter_mut().find(|word| word.starts_with("stdio,"));
    let stdio =
        stdio.ok_or_else(|| Failure::new("Solum's machine has another console than this benchmark knows"))?;
    *stdio = "null,id=console,mux=on".into();
    // Waiting jumps to the next timer.
    let recording = format!("shift={},sleep=off,rr=record,rrfile=/dev/null", pace.shift());
    let more = [
        ("-icount", recording.as_str()),
        ("-rtc", "base=2026-01-01,clock=vm"),
        ("-seed", "1"),
        ("-object", "filter-replay,id=recorder,netdev=net0"),
        ("-chardev", "socket,id=debugger,fd=0"),
        ("-gdb", "chardev:debugger"),
    ];
    words.push("-S".into());
    words.extend(more.iter().flat_map(|(name, value)| [(*name).to_owned(), (*value).to_owned()]));
    Ok(words)
}

/// An emulator that ends with this value.
struct Guest {
    process: Child,
    debugger: Debugger,
}

impl Guest {
    fn start(words: Vec<String>) -> Outcome<Self> {
        let failed =
            |error: std::io::Error| Failure::new(format!("the emulator could not be started: {error}"));
        let (near, far) = UnixStream::pair().map_err(failed)?;
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).stdin(OwnedFd::from(far)).stdout(Stdio::null());
        let process = command.spawn().map_err(failed)?;
        Ok(Self { process, debugger: Debugger::new(near)? })
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        // It may have ended by itself; and what is counted is counted.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Reads "Recording execution '…': instruction count = 253358922" (monitor/replay: `hmp_info_replay`).
fn instruction_count(answer: &str) -> Outcome<u64> {
    answer
        .rsplit_once("instruction count = ")
        .and_then(|(_, number)| number.trim().parse().ok())
        .ok_or_else(|| Failure::new(format!("the emulator counts no instructions: `{}`", answer.trim())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_is_read_from_what_the_monitor_says() {
        let answer = "Recording execution '/dev/null': instruction count = 15872572\r\n";
        assert_eq!(instruction_count(answer).ok(), Some(15_872_572));
        assert!(instruction_count("unknown command: 'info replay'\r\n").is_err());
    }

    #[test]
    fn a_machine_without_the_known_console_is_refused() {
        let words = |console: &str| vec!["qemu".to_owned(), "-chardev".to_owned(), console.to_owned()];
        assert!(counting(words("socket,id=console"), Pace::Nanosecond).is_err());
        let counted = counting(words("stdio,id=console,mux=on,signal=off"), Pace::EightNanoseconds)
            .expect("it is known");
        assert_eq!(counted[2], "null,id=console,mux=on");
        assert!(counted.contains(&"chardev:debugger".to_owned()));
        assert!(counted.iter().any(|word| word.starts_with("shift=3,")));
    }
}
