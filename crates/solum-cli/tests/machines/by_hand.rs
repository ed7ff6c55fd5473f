//! QEMU as a person starts it, with what `solum run --dry-run` printed: no host listens, and the buttons can be pressed.

use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};

use crate::harness::kernel::{option, words_of};
use crate::harness::monitor::Monitor;
use crate::harness::{Finished, Scratch};

/// What `solum run` is to be given. A microvm has no buttons.
pub const OPTIONS: [&str; 3] = ["--machine", "q35", "--dry-run"];

pub struct ByHand {
    qemu: Child,
    output: BufReader<ChildStdout>,
    monitor: Monitor,
    /// What the dry run left for QEMU.
    initramfs: Option<PathBuf>,
    seen: String,
}

/// Starts what was printed, with more words.
pub fn start(scratch: &Scratch, printed: &Finished, more: &[&str]) -> ByHand {
    printed.exits(0);
    launch(scratch, &words_of(&printed.stdout()), more)
}

/// As [`start`], but a machine that reboots does so in the same QEMU, as hardware does: what is no memory stays, such as the
/// firmware's variables.
pub fn start_for_good(scratch: &Scratch, printed: &Finished) -> ByHand {
    printed.exits(0);
    let mut words = words_of(&printed.stdout());
    words.retain(|word| word != "-no-reboot");
    launch(scratch, &words, &[])
}

fn launch(scratch: &Scratch, words: &[String], more: &[&str]) -> ByHand {
    let socket = scratch.path("monitor");
    // An image that firmware boots has none.
    let initramfs = words.iter().any(|word| word == "-initrd").then(|| option(words, "-initrd").into());
    let mut qemu = Command::new(&words[0])
        .args(&words[1..])
        .args(["-qmp", &format!("unix:{},server=on,wait=off", socket.display())])
        .args(more)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(qemu.stdout.take().unwrap());
    let mut seen = String::new();
    // The monitor is there before the machine says anything.
    output.read_line(&mut seen).unwrap();
    ByHand { qemu, output, monitor: Monitor::connect(&socket), initramfs, seen }
}

impl ByHand {
    /// Reads until the machine has said this; gives all that it said so far. To drop it then is to pull the plug.
    pub fn until(&mut self, text: &str) -> String {
        while !self.seen.contains(text) {
            let mut line = Vec::new();
            assert!(self.output.read_until(b'\n', &mut line).unwrap() > 0, "it ended:\n{}", self.seen);
            self.seen += &String::from_utf8_lossy(&line);
        }
        self.seen.clone()
    }

    pub fn press_power_button(&mut self) {
        self.monitor.press_power_button();
    }

    /// Presses these keys together, named as QEMU's `QKeyCode`.
    pub fn press_keys(&mut self, keys: &[&str]) {
        let keys = keys.iter().map(|key| format!(r#"{{"type":"qcode","data":"{key}"}}"#));
        let keys = keys.collect::<Vec<_>>().join(",");
        self.monitor.ask(&format!(r#"{{"execute":"send-key","arguments":{{"keys":[{keys}]}}}}"#));
    }

    /// Waits for its end; gives all that it said.
    pub fn ends(mut self) -> String {
        let mut rest = Vec::new();
        self.output.read_to_end(&mut rest).unwrap();
        self.seen += &String::from_utf8_lossy(&rest);
        assert!(self.qemu.wait().unwrap().success(), "{}", self.seen);
        std::mem::take(&mut self.seen)
    }
}

impl Drop for ByHand {
    fn drop(&mut self) {
        // Of a test that failed.
        let _ = self.qemu.kill();
        let _ = self.qemu.wait();
        self.initramfs.iter().for_each(|path| drop(std::fs::remove_file(path)));
    }
}
