//! Following a machine while it runs.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{PidfdFlags, Signal, kill_process, pidfd_open};

use super::{Finished, Running};

impl Running {
    /// Waits until this is in its standard output. What hangs, the harness ends; what ends without it, fails.
    #[track_caller]
    pub fn until_it_prints(self, text: &str) -> Self {
        let seen = self.stdout.wait_for(text);
        self.or_fail(seen, &format!("it should print {text:?}"))
    }

    /// Waits until this is in its standard error.
    #[track_caller]
    pub fn until_it_says(self, text: &str) -> Self {
        let seen = self.stderr.wait_for(text);
        self.or_fail(seen, &format!("it should say {text:?}"))
    }

    #[track_caller]
    fn or_fail(self, seen: bool, what: &str) -> Self {
        if !seen {
            self.finish().check(false, what);
            unreachable!("the check fails");
        }
        self
    }

    /// Sends `solum` itself a signal until it is taken for a second request: those that follow each other closely are one.
    #[track_caller]
    pub fn insist(self, signal: Signal) -> Finished {
        let process = pidfd_open(self.pid(), PidfdFlags::empty()).unwrap();
        let pause = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
        // Readable when the process has ended (pidfd_open(2)).
        let has_ended = || poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&pause)).unwrap() > 0;
        while !self.stderr.has("solum: killing\n") && !has_ended() {
            self.signal(signal);
        }
        self.finish()
    }

    /// Sends `solum` itself a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }
}
