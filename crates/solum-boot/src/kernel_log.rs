//! What PID 1 and its roles have to say goes to the kernel's log, the one place that exists on every machine.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};

/// Opens the kernel's log for writing (Documentation/ABI/testing/dev-kmsg).
pub fn open() -> io::Result<File> {
    OpenOptions::new().write(true).open("/dev/kmsg")
}

/// Something is wrong and the machine cannot go on.
pub fn error(text: &str) {
    write(3, text);
}

/// Something is wrong, but the machine goes on.
pub fn warning(text: &str) {
    write(4, text);
}

/// Something worth knowing.
pub fn info(text: &str) {
    write(6, text);
}

/// Levels are those of syslog(3). A record ends at the first newline, so there is one record a line.
fn write(level: u8, text: &str) {
    if let Ok(mut log) = open() {
        for line in text.lines() {
            // Without a log there is nowhere to complain to.
            let _ = log.write_all(format!("<{level}>solum: {line}").as_bytes());
        }
    }
}
