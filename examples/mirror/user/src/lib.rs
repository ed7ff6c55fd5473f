//! A unit that writes to a disk, reads it again, and tells how the mirror below is.

use std::time::Duration;

use raid::{Status, StatusCalls};
use solum::{Clock, Console, Disk, Link};

/// How many blocks are written in turn.
const BLOCKS: u64 = 1024;

/// Between two rounds.
const PAUSE: Duration = Duration::from_secs(1);

/// What the unit reaches.
#[derive(solum::Ports)]
pub struct Ports {
    /// What is written and read.
    pub disk: Disk,
    /// How the mirror below is, if it is one.
    pub status: Option<Link<Status>>,
    /// For the pause between two rounds.
    pub clock: Clock,
    /// Where each round is told.
    pub console: Console,
}

/// The program.
///
/// # Errors
///
/// What was read and not written, or a device that failed before the first round, for people.
pub fn user(mut ports: Ports) -> Result<(), String> {
    let mut round = next_round(&mut ports).map_err(|error| error.to_string())?;
    loop {
        match write_and_read(&mut ports, round) {
            Ok(true) => say(&mut ports, &format!("round {round}: what was written was read"))?,
            Ok(false) => return Err(format!("round {round}: another block was read than was written")),
            Err(error) => say(&mut ports, &format!("round {round}: {error}; it is tried again"))?,
        }
        let report = ports.status.as_mut().map(|status| status.report());
        match report {
            Some(Ok(report)) => say(&mut ports, &format!("mirror: {report}"))?,
            Some(Err(error)) => say(&mut ports, &format!("mirror: {error}"))?,
            None => {}
        }
        round += 1;
        ports.clock.sleep(PAUSE).map_err(|error| error.to_string())?;
    }
}

fn say(ports: &mut Ports, text: &str) -> Result<(), String> {
    ports.console.line(text).map_err(|error| error.to_string())
}

/// The round after the newest on the disk: what was flushed in an earlier life must be there.
fn next_round(ports: &mut Ports) -> solum::Result<u64> {
    let mut block = vec![0; ports.disk.block_size() as usize];
    let mut newest = 0;
    let blocks = BLOCKS.min(ports.disk.capacity() / block.len() as u64);
    for index in 0..blocks {
        ports.disk.read_at(index * block.len() as u64, &mut block)?;
        newest = newest.max(number(&block));
    }
    let capacity = ports.disk.capacity();
    ports.console.line(format_args!("a disk of {capacity} bytes; the last round on it was {newest}"))?;
    Ok(newest + 1)
}

/// Writes a block full of the round's number, and reads it and the one before.
fn write_and_read(ports: &mut Ports, round: u64) -> solum::Result<bool> {
    let length = ports.disk.block_size() as usize;
    let blocks = BLOCKS.min(ports.disk.capacity() / length as u64);
    let written = round.to_le_bytes().repeat(length / 8);
    let offset = |round: u64| round % blocks * length as u64;
    ports.disk.write_at(offset(round), &written)?;
    ports.disk.flush()?;
    let (mut read, mut before) = (vec![0; length], vec![0; length]);
    ports.disk.read_at(offset(round), &mut read)?;
    ports.disk.read_at(offset(round - 1), &mut before)?;
    // A round whose write failed left what was there before.
    let before = number(&before);
    let is_before_right = before == 0 || (before < round && before % blocks == (round - 1) % blocks);
    Ok(read == written && is_before_right)
}

fn number(block: &[u8]) -> u64 {
    block.iter().take(8).rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}
