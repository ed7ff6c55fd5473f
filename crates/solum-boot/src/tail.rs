//! The program's standard error on its way to the host, of which PID 1 remembers the last.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::pipe::{PipeFlags, pipe_with};

/// What is kept of a failed program's last words, in bytes.
pub const LAST_WORDS_MAX: usize = 64 * 1024;

/// What is written at once. A terminal that says that there is room may have little of it (`WAKEUP_CHARS` in
/// include/linux/tty.h), and PID 1 shall not wait for the rest.
const CHUNK: usize = 256;
/// What is read at once, from a pipe that holds 16 times as much (pipe(7)).
const READ: usize = 4096;

/// A pipe from the program, what it leads to, and what came through last.
pub struct Tail {
    pipe: Option<File>,
    /// Where it goes; nothing once nobody is there any more.
    output: Option<File>,
    chunk: usize,
    waiting: Vec<u8>,
    last: Vec<u8>,
}

impl Tail {
    /// A way to `output`, on which something waits already, and the program's end of it.
    pub fn new(output: File, is_terminal: bool, waiting: Vec<u8>) -> io::Result<(Self, OwnedFd)> {
        let (ours, theirs) = pipe_with(PipeFlags::CLOEXEC)?;
        rustix::io::ioctl_fionbio(&ours, true)?;
        let chunk = if is_terminal { CHUNK } else { READ };
        Ok((
            Self { pipe: Some(File::from(ours)), output: Some(output), chunk, waiting, last: Vec::new() },
            theirs,
        ))
    }

    /// What was not taken yet.
    pub fn into_unwritten(self) -> Vec<u8> {
        self.waiting
    }

    /// What to wait on: the program first, and then whoever takes it, so that neither is faster than the other.
    pub fn poll_descriptor(&self) -> Option<PollFd<'_>> {
        match (&self.output, &self.pipe) {
            (Some(output), _) if !self.waiting.is_empty() => Some(PollFd::new(output, PollFlags::OUT)),
            (_, Some(pipe)) => Some(PollFd::new(pipe, PollFlags::IN)),
            _ => None,
        }
    }

    /// Carries on what is there, without waiting.
    pub fn turn(&mut self) {
        if self.waiting.is_empty() {
            self.read();
        }
        self.write();
    }

    /// The last that came, once the program is gone and so cannot write more.
    pub fn last_words(&mut self) -> &[u8] {
        // What it started may live on and write without end.
        for _ in 0..64 {
            if !self.read() {
                break;
            }
        }
        &self.last
    }

    /// Carries on everything that is there, for so long at most.
    pub fn drain(&mut self, patience: Duration) {
        let end = Instant::now() + patience;
        while self.read() || !self.waiting.is_empty() {
            self.write();
            let (Some(left), Some(output)) = (end.checked_duration_since(Instant::now()), &self.output)
            else {
                return;
            };
            if !self.waiting.is_empty() {
                let timeout = Timespec::try_from(left).ok();
                let _ = poll(&mut [PollFd::new(output, PollFlags::OUT)], timeout.as_ref());
            }
        }
    }

    /// Whether something came.
    fn read(&mut self) -> bool {
        let Some(pipe) = &mut self.pipe else { return false };
        let mut buffer = [0; READ];
        match pipe.read(&mut buffer) {
            Ok(0) => self.pipe = None,
            Ok(length) => {
                let bytes = &buffer[..length];
                if self.output.is_some() {
                    self.waiting.extend_from_slice(bytes);
                }
                if self.last.len() + length > 2 * LAST_WORDS_MAX {
                    self.last.drain(..self.last.len() - LAST_WORDS_MAX);
                }
                self.last.extend_from_slice(bytes);
                return true;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return true,
            Err(_) => {}
        }
        false
    }

    fn write(&mut self) {
        let Some(output) = &mut self.output else { return };
        while !self.waiting.is_empty() {
            let mut ready = [PollFd::new(&*output, PollFlags::OUT)];
            let _ = poll(&mut ready, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }));
            let events = ready[0].revents();
            if events.is_empty() {
                return;
            }
            let length = self.waiting.len().min(self.chunk);
            // One that has hung up is ready all the time and takes nothing.
            let written =
                if events.contains(PollFlags::OUT) { output.write(&self.waiting[..length]) } else { Ok(0) };
            match written {
                Ok(0) => break,
                Ok(written) => drop(self.waiting.drain(..written)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => break,
            }
        }
        if !self.waiting.is_empty() {
            // Nobody will read it. The program need not wait for that; its last words are kept all the same.
            self.output = None;
            self.waiting = Vec::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;

    fn tail() -> (Tail, File, UnixStream) {
        let (output, host) = UnixStream::pair().unwrap();
        let (tail, program) = Tail::new(File::from(OwnedFd::from(output)), false, Vec::new()).unwrap();
        (tail, File::from(program), host)
    }

    #[test]
    fn everything_arrives_in_order_and_the_last_is_remembered() {
        let (mut tail, mut program, mut host) = tail();
        let sent: Vec<u8> = (0..500_000u32).map(|number| (number ^ number >> 8) as u8).collect();
        let expected = sent.clone();
        let writer = std::thread::spawn(move || program.write_all(&sent).unwrap());
        let reader = std::thread::spawn(move || {
            let mut received = Vec::new();
            host.read_to_end(&mut received).unwrap();
            received
        });
        while let Some(descriptor) = tail.poll_descriptor() {
            poll(&mut [descriptor], None).unwrap();
            tail.turn();
        }
        let last = tail.last_words();
        assert!(last.len() >= LAST_WORDS_MAX && expected.ends_with(last));
        drop(tail);
        writer.join().unwrap();
        assert!(reader.join().unwrap() == expected);
    }

    #[test]
    fn a_host_that_does_not_read_makes_the_program_wait() {
        let (mut tail, program, mut host) = tail();
        rustix::io::ioctl_fionbio(&program, true).unwrap();
        let mut taken = 0;
        loop {
            let written = rustix::io::write(&program, &[7; 4096]).unwrap_or(0);
            taken += written;
            let before = tail.waiting.len();
            tail.turn();
            if written == 0 && tail.waiting.len() == before {
                break;
            }
        }
        assert!(tail.waiting.len() <= READ, "it is not PID 1 that keeps it");
        drop(program);
        let reader = std::thread::spawn(move || {
            let mut received = Vec::new();
            host.read_to_end(&mut received).unwrap();
            received.len()
        });
        tail.drain(Duration::from_secs(600));
        drop(tail);
        assert_eq!(reader.join().unwrap(), taken);
    }

    #[test]
    fn a_host_that_is_gone_costs_nothing_but_its_output() {
        let (mut tail, mut program, host) = tail();
        drop(host);
        program.write_all(b"last words").unwrap();
        tail.turn();
        assert!(tail.output.is_none());
        assert_eq!(tail.last_words(), b"last words");
        tail.drain(Duration::from_secs(600));
    }
}
