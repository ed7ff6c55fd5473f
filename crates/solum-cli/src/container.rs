//! A container that Podman runs for `solum run --image`, and how it is ended.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::driven::Tool;
use crate::terminal::say;

/// What runs containers.
pub const PODMAN: Tool = Tool { program: "podman", package: "podman", purpose: "to run containers" };

/// A container that is about to run, or runs. Clones are the same.
#[derive(Clone)]
pub struct Container {
    shared: Arc<Shared>,
}

struct Shared {
    name: String,
    place: PathBuf,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    is_over: bool,
    is_killed: bool,
    /// Who asks Podman for its end.
    asking: Vec<JoinHandle<()>>,
}

/// How soon Podman is asked again. It refuses as long as there is no container yet, and says yes to one that has not begun.
const AGAIN: Duration = Duration::from_millis(200);

impl Container {
    /// One of this name. What lies at `place` is removed where nobody waits for its end any more.
    pub fn new(name: String, place: PathBuf) -> Self {
        let shared = Shared { name, place, state: Mutex::default(), changed: Condvar::new() };
        Self { shared: Arc::new(shared) }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// Where its files are.
    pub fn place(&self) -> &Path {
        &self.shared.place
    }

    /// Lets its program end. Podman kills one that does not (podman-stop(1), `--time`).
    pub fn stop(&self) {
        self.ask("stop");
    }

    /// Ends its program now.
    pub fn kill(&self) {
        self.state().is_killed = true;
        self.ask("kill");
    }

    /// Whether it was to be killed.
    pub fn is_killed(&self) -> bool {
        self.state().is_killed
    }

    /// Nobody waits for its end any more.
    pub fn abandon(&self) {
        let _ = fs::remove_dir_all(&self.shared.place);
        let name = &self.shared.name;
        say(&format!(
            "warning: {name} may be left in Podman's store; `podman rmi --force {name}` removes it"
        ));
    }

    /// It has ended; nobody asks for that any more.
    pub fn over(&self) {
        let mut state = self.state();
        state.is_over = true;
        let asking = std::mem::take(&mut state.asking);
        drop(state);
        self.shared.changed.notify_all();
        for thread in asking {
            // A panic of that thread has been reported by it.
            let _ = thread.join();
        }
    }

    /// Asks Podman until it is over: it may not even have begun.
    fn ask(&self, verb: &'static str) {
        let container = self.clone();
        self.state().asking.push(thread::spawn(move || {
            let Shared { name, state: _, changed, .. } = &*container.shared;
            let mut state = container.state();
            while !state.is_over {
                drop(state);
                podman(&[verb, name]);
                let waited = changed.wait_timeout_while(container.state(), AGAIN, |state| !state.is_over);
                state = waited.unwrap_or_else(PoisonError::into_inner).0;
            }
        }));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Has Podman do something of which nobody needs to hear more than whether it was done.
pub fn podman(words: &[&str]) -> bool {
    let mut command = Command::new(PODMAN.program);
    command.args(words).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    // Ctrl-C is for Solum alone, which needs Podman to do what it asks for.
    command.process_group(0);
    command.status().is_ok_and(|status| status.success())
}
