//! Builds of kernels that do not come to their end.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat};
use rustix::process::{Signal, kill_process};

use crate::harness::running::Running;
use crate::harness::{Finished, Scratch};

/// The dead need no time; it only ends a test that fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// "Compiles" by a grandchild that has the pipe `alive`, and waits for the pipe `never`, to which nobody writes.
const MAKEFILE: &str = "\
allnoconfig:
\tcp $(KCONFIG_ALLCONFIG) $(O)/.config
bzImage:
\techo object > $(O)/object
\texec 3> $(CURDIR)/alive; echo started >&3; sh -c 'cat $(CURDIR)/never; true'; true
";

/// A build that has begun to compile.
struct Build {
    scratch: Scratch,
    running: Running,
    alive: BufReader<File>,
}

fn build() -> Build {
    let scratch = Scratch::new();
    for program in ["ld", "flex", "bison", "bc", "zstd", "xz", "strip"] {
        scratch.executable(&format!("programs/{program}"), "#!/bin/sh\n");
    }
    scratch.executable("programs/gcc", "#!/bin/sh\necho gcc 12.2.0\n");
    scratch.file("tree/Makefile", MAKEFILE);
    scratch.file("tree/Kconfig", "");
    for pipe in ["alive", "never"] {
        let path = scratch.path(format!("tree/{pipe}"));
        mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    }
    let running = scratch
        .solum(&["kernel", "build", "--tree", "[SCRATCH]/tree"])
        .env("SOLUM_CACHE", "[SCRATCH]/cache")
        .env("PATH", "[SCRATCH]/programs:/usr/bin:/bin")
        .start();
    assert!(running.stderr.wait_for("compiling the kernel"), "this needs make and tar");
    // Waits until the compiler opens it for writing.
    let mut alive = BufReader::new(File::open(scratch.path("tree/alive")).unwrap());
    let mut line = String::new();
    alive.read_line(&mut line).unwrap();
    assert_eq!(line, "started\n");
    Build { scratch, running, alive }
}

impl Build {
    /// Sends a signal, and gives what became of `solum`. Everything that it had started must be gone as well.
    #[track_caller]
    fn end_by(self, signal: Signal) -> (Scratch, Finished) {
        kill_process(self.running.pid(), signal).unwrap();
        let finished = self.running.finish();
        let (sender, receiver) = channel();
        let mut alive = self.alive;
        // It ends when the last process that has it is gone.
        thread::spawn(move || sender.send(alive.read_to_end(&mut Vec::new()).unwrap()));
        let are_gone = receiver.recv_timeout(PATIENCE).is_ok();
        // Should something live on after all, this ends it.
        let never = self.scratch.path("tree/never");
        let nonblocking = i32::try_from(OFlags::NONBLOCK.bits()).unwrap();
        drop(OpenOptions::new().write(true).custom_flags(nonblocking).open(never));
        finished.check(are_gone, "all that it started should be gone");
        (self.scratch, finished)
    }
}

#[test]
fn an_interrupted_build_ends_with_its_compilers_and_leaves_nothing() {
    for (signal, status) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let (scratch, finished) = build().end_by(signal);
        finished.exits(status).prints("").mentions("solum: stopping; once more ends at once\n");
        finished.mentions("error: getting a kernel was interrupted\n");
        assert!(scratch.names("cache/kernels/.staging/source").is_empty());
    }
}

#[test]
fn a_build_that_is_killed_takes_its_compilers_along_and_what_it_left_can_be_removed() {
    let (scratch, finished) = build().end_by(Signal::KILL);
    assert_eq!(finished.status.code(), None);
    assert_eq!(scratch.names("cache/kernels/.staging/source").len(), 1);
    let removed = scratch.solum(&["kernel", "remove", "--all"]).env("SOLUM_CACHE", "[SCRATCH]/cache").run();
    removed.exits(0).prints("").says("solum: removed what was left unfinished, 1 MiB\n");
    assert!(scratch.names("cache/kernels/.staging").is_empty());
}
