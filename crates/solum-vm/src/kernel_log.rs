//! The machine's kernel log, as its serial port carries it.

use std::collections::VecDeque;
use std::iter::Peekable;
use std::str::Chars;

use crate::report::HALTED;

/// Lines that are kept: enough for an oops with its registers and the messages before it.
const LINES_MAX: usize = 1000;

/// A longer line is cut; the kernel's own limit is 1024 bytes (kernel/printk, `PRINTK_MESSAGE_MAX`).
const LINE_MAX: usize = 2048;

/// The newest lines of a kernel log.
#[derive(Debug, Default)]
pub(crate) struct KernelLog {
    lines: VecDeque<String>,
    partial: Vec<u8>,
}

impl KernelLog {
    /// Adds bytes as they came, and calls `seen` for each line that is now whole.
    pub(crate) fn push(&mut self, bytes: &[u8], seen: &mut dyn FnMut(&str)) {
        for &byte in bytes {
            match byte {
                b'\n' => self.end_line(seen),
                _ if self.partial.len() < LINE_MAX => self.partial.push(byte),
                _ => {}
            }
        }
        // These are last words: no end of line follows.
        if self.partial.ends_with(HALTED.as_bytes()) {
            self.end_line(seen);
        }
    }

    /// The log is complete: what is left is a line too.
    pub(crate) fn finish(&mut self, seen: &mut dyn FnMut(&str)) {
        self.end_line(seen);
    }

    fn end_line(&mut self, seen: &mut dyn FnMut(&str)) {
        let line = printable(&std::mem::take(&mut self.partial));
        if line.is_empty() {
            return;
        }
        seen(&line);
        if self.lines.len() == LINES_MAX {
            self.lines.pop_front();
        }
        self.lines.push_back(line);
    }

    pub(crate) fn into_lines(self) -> Vec<String> {
        self.lines.into()
    }
}

/// Text without control sequences: firmware clears the screen, and nothing in a log may reach a terminal raw.
fn printable(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut line = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\x1b' => skip_escape(&mut chars),
            '\t' => line.push(' '),
            c if c.is_control() => {}
            c => line.push(c),
        }
    }
    line.truncate(line.trim_end().len());
    line
}

/// ECMA-48 5.4: a control sequence starts with `ESC [` and ends with a byte from 0x40 to 0x7E.
fn skip_escape(chars: &mut Peekable<Chars<'_>>) {
    if chars.next_if_eq(&'[').is_some() {
        while chars.next_if(|c| !('@'..='~').contains(c)).is_some() {}
    }
    chars.next();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(bytes: &[u8], chunk: usize) -> Vec<String> {
        let mut log = KernelLog::default();
        let mut seen = Vec::new();
        for part in bytes.chunks(chunk) {
            log.push(part, &mut |line| seen.push(line.to_owned()));
        }
        log.finish(&mut |line| seen.push(line.to_owned()));
        assert_eq!(log.into_lines(), seen);
        seen
    }

    #[test]
    fn lines_are_whole_and_printable_however_they_arrive() {
        let bytes = b"\x1bc\x1b[2J\x1b[1;31mred\x1b[0m\r\n\r\n[    0.1] caf\xc3\xa9\ttab\x07\r\nlast \xff";
        for chunk in 1..bytes.len() {
            assert_eq!(
                lines(bytes, chunk),
                ["red", "[    0.1] café tab", "last \u{fffd}"],
                "chunks of {chunk}"
            );
        }
    }

    #[test]
    fn last_words_need_no_end_of_line() {
        let mut log = KernelLog::default();
        let mut seen = Vec::new();
        log.push(b"data is corrupt\n\n -- System halted", &mut |line| seen.push(line.to_owned()));
        assert_eq!(seen, ["data is corrupt", " -- System halted"]);
    }

    #[test]
    fn memory_is_bounded() {
        let mut log = KernelLog::default();
        log.push(&vec![b'x'; 10 * LINE_MAX], &mut |_| {});
        for number in 0..LINES_MAX {
            log.push(format!("\n{number}").as_bytes(), &mut |_| {});
        }
        log.push(b"\n", &mut |_| {});
        let lines = log.into_lines();
        assert_eq!(lines.len(), LINES_MAX);
        assert_eq!(lines[0], "0", "the oldest line went first");
    }
}
