//! Following a machine while it runs.

use rustix::process::{Signal, kill_process};

use super::Running;

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

    /// Sends `solum` itself a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }
}
