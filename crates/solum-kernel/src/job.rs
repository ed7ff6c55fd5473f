//! Commands that never outlive this process, nor leave behind what they started themselves.
//!
//! A compiler is the child of a shell, which is a child of `make`, which is a child of ours: the death of a parent tells
//! a grandchild nothing (`PR_SET_PDEATHSIG` is cleared by fork, prctl(2)), and SIGKILL leaves no time to tell it. So
//! each command runs in a process group of its own. The leader of the group is a shell that waits for the end of a pipe
//! of which only this process has the other end: however this process dies, the shell then kills the group.

use std::io::{self, PipeWriter};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::process::{Pid, Signal, kill_process_group};

use crate::error::Error;

/// Waits for the end of its input, then kills its own process group. POSIX has all of it built into the shell.
const GUARD: &str = "read -r line; kill -s KILL 0";

/// Stops what a [`Host`](crate::Host) is doing, from another thread.
///
/// Its clones are the same. Once raised, running commands are killed, new ones do not start, and whatever was under way
/// returns [`Error::Interrupted`] after removing what it had not finished.
#[derive(Clone, Debug, Default)]
pub struct Interrupt {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    raised: bool,
    /// The process groups of the commands that run.
    groups: Vec<Pid>,
}

impl Interrupt {
    /// Stops everything.
    pub fn raise(&self) {
        let mut state = self.state();
        state.raised = true;
        for group in &state.groups {
            // A group that is gone already needs no killing.
            let _ = kill_process_group(*group, Signal::KILL);
        }
    }

    /// Runs a command to its end, and ends with it what it leaves behind. `None` where everything was told to stop.
    ///
    /// # Errors
    ///
    /// If it cannot be started.
    pub fn run(&self, command: &mut Command) -> io::Result<Option<ExitStatus>> {
        let Some((mut child, group)) = self.start(command)? else { return Ok(None) };
        let status = child.wait();
        drop(group);
        if self.is_raised() { Ok(None) } else { status.map(Some) }
    }

    /// Whether everything was told to stop.
    pub fn is_raised(&self) -> bool {
        self.state().raised
    }

    /// [`Error::Interrupted`], if it was raised.
    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.is_raised() { Err(Error::Interrupted) } else { Ok(()) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts a command in a guarded group. `None` where everything was told to stop.
    pub(crate) fn start(&self, command: &mut Command) -> io::Result<Option<(Child, Group)>> {
        // Held until the command is in its group: whoever raises meanwhile would miss it.
        let mut state = self.state();
        if state.raised {
            return Ok(None);
        }
        let (reader, lifeline) = io::pipe()?;
        let mut guard = Command::new("/bin/sh");
        guard.args(["-c", GUARD]).env_clear().process_group(0);
        let guard = guard.stdin(reader).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let leader = Pid::from_child(&guard);
        let started = command.process_group(leader.as_raw_nonzero().get()).spawn();
        state.groups.push(leader);
        drop(state);
        let group = Group { interrupt: self.clone(), leader, guard, _lifeline: lifeline };
        Ok(Some((started?, group)))
    }
}

/// The process group of a command. What is left of it when this is dropped is killed.
pub(crate) struct Group {
    interrupt: Interrupt,
    leader: Pid,
    guard: Child,
    _lifeline: PipeWriter,
}

impl Drop for Group {
    fn drop(&mut self) {
        self.interrupt.state().groups.retain(|group| *group != self.leader);
        // The leader has not been waited for, so the number still is its group's. Failing, there is none to kill.
        let _ = kill_process_group(self.leader, Signal::KILL);
        let _ = self.guard.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader, PipeReader, Read};
    use std::sync::mpsc::channel;
    use std::thread;
    use std::time::Duration;

    /// A shell that waits for its child, which holds one pipe, and waits for another that nobody writes to.
    struct Tree {
        group: Option<Group>,
        child: Child,
        held: BufReader<PipeReader>,
        _awaited: PipeWriter,
    }

    fn tree(interrupt: &Interrupt) -> Tree {
        let (held, writer) = io::pipe().unwrap();
        let (blocked, awaited) = io::pipe().unwrap();
        let mut shell = Command::new("/bin/sh");
        // A shell gives its background jobs no input (POSIX, 2.9.3), but a copy of it under another number.
        shell.args(["-c", "exec 3<&0; (echo ready; read -r line <&3) & wait"]).stdin(blocked).stdout(writer);
        let (child, group) = interrupt.start(&mut shell).unwrap().unwrap();
        drop(shell);
        let mut held = BufReader::new(held);
        let mut line = String::new();
        held.read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        Tree { group: Some(group), child, held, _awaited: awaited }
    }

    impl Tree {
        /// The pipe ends when all who had it are gone.
        #[track_caller]
        fn check_gone(mut self) {
            const PATIENCE: Duration = Duration::from_secs(20);
            let (sender, receiver) = channel();
            thread::spawn(move || sender.send(self.held.read_to_end(&mut Vec::new()).unwrap()));
            assert_eq!(receiver.recv_timeout(PATIENCE), Ok(0), "the grandchild should be gone");
            assert!(!self.child.wait().unwrap().success());
        }
    }

    #[test]
    fn an_interrupt_kills_grandchildren_and_lets_nothing_new_begin() {
        let interrupt = Interrupt::default();
        let tree = tree(&interrupt);
        interrupt.raise();
        tree.check_gone();
        assert!(interrupt.start(&mut Command::new("/bin/sh")).unwrap().is_none());
        assert!(matches!(interrupt.check(), Err(Error::Interrupted)));
    }

    #[test]
    fn what_a_command_left_behind_ends_with_it() {
        let mut tree = tree(&Interrupt::default());
        tree.child.kill().unwrap();
        tree.child.wait().unwrap();
        tree.group = None;
        tree.check_gone();
    }

    #[test]
    fn the_guard_kills_the_group_when_the_lifeline_is_cut() {
        let mut tree = tree(&Interrupt::default());
        // What the death of this process does: its end of the pipe is closed.
        let (_, another) = io::pipe().unwrap();
        let group = tree.group.as_mut().unwrap();
        drop(std::mem::replace(&mut group._lifeline, another));
        tree.check_gone();
    }
}
