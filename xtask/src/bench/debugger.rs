//! As much of GDB's remote protocol as it takes to stop a machine at an address and to ask its emulator something
//! ("Debugging with GDB", appendix E).

use crate::failure::{Failure, Outcome};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// Longer than any boot takes under a busy software emulation.
const PATIENCE: Duration = Duration::from_secs(600);

/// A connection to the debugger's end of an emulator, whose machine has not started yet.
pub struct Debugger {
    stream: UnixStream,
    received: Vec<u8>,
}

impl Debugger {
    /// Begins to talk over a connected stream.
    pub fn new(stream: UnixStream) -> Outcome<Self> {
        stream.set_read_timeout(Some(PATIENCE)).map_err(|error| silent(&error))?;
        Ok(Self { stream, received: Vec::new() })
    }

    /// Lets the machine run until it is about to execute the instruction at this address.
    pub fn run_to(&mut self, address: u64) -> Outcome {
        self.expect(&format!("Z1,{address:x},1"), "OK")?;
        // The emulator reports the stop (signal 2) that our connecting made, at a time of its choice.
        let mut stop = self.ask("c")?;
        while stop.starts_with("T02") {
            stop = self.ask("c")?;
        }
        if !stop.starts_with("T05") {
            let reason = format!("the machine ended before it came to address {address:#x} (`{stop}`)");
            return Err(Failure::new(reason));
        }
        self.expect(&format!("z1,{address:x},1"), "OK")
    }

    /// What the emulator's monitor answers to a command.
    pub fn monitor(&mut self, command: &str) -> Outcome<String> {
        let digits: String = command.bytes().map(|byte| format!("{byte:02x}")).collect();
        let mut answer = String::new();
        let mut packet = self.ask(&format!("qRcmd,{digits}"))?;
        while let Some(part) = packet.strip_prefix('O').filter(|part| *part != "K") {
            answer += &from_digits(part).unwrap_or_default();
            packet = self.receive()?;
        }
        Ok(answer)
    }

    fn expect(&mut self, question: &str, answer: &str) -> Outcome {
        match self.ask(question)? {
            given if given == answer => Ok(()),
            given => Err(Failure::new(format!("the emulator answered `{given}` to `{question}`"))),
        }
    }

    fn ask(&mut self, question: &str) -> Outcome<String> {
        self.stream.write_all(packet(question).as_bytes()).map_err(|error| silent(&error))?;
        self.receive()
    }

    fn receive(&mut self) -> Outcome<String> {
        loop {
            if let Some(text) = take_packet(&mut self.received) {
                self.stream.write_all(b"+").map_err(|error| silent(&error))?;
                return Ok(text);
            }
            let mut chunk = [0; 1024];
            match self.stream.read(&mut chunk) {
                Ok(0) => return Err(Failure::new("the emulator ended before its machine got there")),
                Ok(count) => self.received.extend_from_slice(&chunk[..count]),
                Err(error) => return Err(silent(&error)),
            }
        }
    }
}

fn silent(error: &std::io::Error) -> Failure {
    Failure::new(format!("the emulator does not answer its debugger: {error}"))
}

/// `$TEXT#XX`, with the sum of the text's bytes modulo 256.
fn packet(text: &str) -> String {
    let sum = text.bytes().fold(0u8, u8::wrapping_add);
    format!("${text}#{sum:02x}")
}

/// Takes the first whole packet out of what was received, and whatever stands before it (acknowledgements).
fn take_packet(received: &mut Vec<u8>) -> Option<String> {
    let start = received.iter().position(|&byte| byte == b'$')?;
    let length = received[start..].iter().position(|&byte| byte == b'#')?;
    let end = start + length + "#00".len();
    if received.len() < end {
        return None;
    }
    let text = String::from_utf8_lossy(&received[start + 1..start + length]).into_owned();
    received.drain(..end);
    Some(text)
}

fn from_digits(digits: &str) -> Option<String> {
    let bytes = digits.as_bytes().chunks(2).map(|pair| {
        let pair = std::str::from_utf8(pair).ok()?;
        u8::from_str_radix(pair, 16).ok()
    });
    bytes.collect::<Option<Vec<u8>>>().map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn packets_are_taken_whole_and_in_order() {
        let mut received = b"+$OK#9a+$T05thr".to_vec();
        assert_eq!(take_packet(&mut received).as_deref(), Some("OK"));
        assert_eq!(take_packet(&mut received), None);
        received.extend(b"ead:01;#0");
        assert_eq!(take_packet(&mut received), None);
        received.push(b'7');
        assert_eq!(take_packet(&mut received).as_deref(), Some("T05thread:01;"));
        assert!(received.is_empty());
    }

    /// What an emulator was asked, and its end of the socket: closed early, it would break the last acknowledgement.
    type Served = (Vec<String>, UnixStream);

    /// Answers each packet with the next of `answers`.
    fn emulator(answers: &'static [&'static str]) -> (Debugger, thread::JoinHandle<Served>) {
        let (near, mut far) = UnixStream::pair().expect("a socket pair");
        let served = thread::spawn(move || {
            let (mut received, mut questions) = (Vec::new(), Vec::new());
            for answer in answers {
                let question = loop {
                    if let Some(question) = take_packet(&mut received) {
                        break question;
                    }
                    let mut byte = [0];
                    far.read_exact(&mut byte).expect("a question");
                    received.extend(byte);
                };
                questions.push(question);
                for part in answer.split(' ') {
                    far.write_all(packet(part).as_bytes()).expect("an open socket");
                }
            }
            (questions, far)
        });
        (Debugger::new(near).expect("a fresh socket"), served)
    }

    #[test]
    fn it_runs_on_until_the_breakpoint() {
        let (mut debugger, served) = emulator(&["OK", "T02thread:01;", "T05thread:01;", "OK"]);
        assert!(debugger.run_to(0x10).is_ok());
        assert_eq!(served.join().expect("it served").0, ["Z1,10,1", "c", "c", "z1,10,1"]);
        let (mut debugger, served) = emulator(&["OK", "W00"]);
        let failure = debugger.run_to(0x10).expect_err("the machine ended");
        assert!(failure.to_string().contains("before it came to address 0x10"), "{failure}");
        served.join().expect("it served");
    }

    #[test]
    fn the_monitor_answers_in_parts() {
        let (mut debugger, served) = emulator(&["O6869 O0a OK"]);
        assert_eq!(debugger.monitor("ab").ok().as_deref(), Some("hi\n"));
        assert_eq!(served.join().expect("it served").0, ["qRcmd,6162"]);
    }
}
