//! Running a chapter: all of its commands in one bash, as a person would type them.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;

use rustix::process::{Pid, Signal, kill_process_group};
use tempfile::TempDir;

use crate::answer;
use crate::chapter::{Block, Chapter, Step};
use crate::repository;

/// No chapter takes this long. It only ends what hangs; no check depends on it.
const WATCHDOG: Duration = Duration::from_secs(900);

/// Ends what a command printed; its status follows, to the end of the line (ASCII's record separator).
const MARK: char = '\x1e';

/// The shell's own question for a status, which is then no failure.
const ASKS_FOR_STATUS: &str = "echo $?";

/// A chapter as a script.
pub struct Session<'a> {
    name: &'a str,
    directory: TempDir,
    script: String,
    steps: Vec<&'a Step>,
}

impl<'a> Session<'a> {
    /// Runs the chapter, and fails with every answer that is not what the guide says.
    pub fn play(chapter: &'a Chapter) {
        let mut session = Self {
            name: &chapter.name,
            directory: directory(),
            // What a chapter forgets in the background ends with it.
            script: "trap 'kill $(jobs -p) 2>/dev/null' EXIT\n".to_owned(),
            steps: Vec::new(),
        };
        for (name, content) in &chapter.files {
            let path = session.directory.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        chapter.blocks.iter().for_each(|block| session.add(block));
        if !session.steps.is_empty() {
            prepare();
            session.run();
        }
    }

    fn add(&mut self, block: &'a Block) {
        let Some(first) = block.steps.first().filter(|_| !block.shown) else { return };
        if let Some(missing) = block.needs.iter().find(|need| !is_there(need)) {
            println!("skipped: {} needs {missing}, which is not there", first.place);
            return;
        }
        let directory = if block.clone { &repository() } else { self.directory.path() };
        let _ = writeln!(self.script, "cd {}", solum_vm::shell::quote(&[directory]));
        for step in &block.steps {
            // The mark gives the status on, so that the next command can ask for it.
            let mark = format!("__status=$?; printf '{MARK}%s\\n' $__status; (exit $__status)");
            let _ = write!(self.script, "{}\n{mark}\n", step.command);
            self.steps.push(step);
        }
    }

    fn run(mut self) {
        let transcript = self.transcript();
        let mut answers = Vec::new();
        let mut rest = &*transcript;
        while let Some((printed, after)) = rest.split_once(MARK) {
            let (status, after) = after.split_once('\n').unwrap_or((after, ""));
            answers.push((printed, status));
            rest = after;
        }
        // Where the session broke off, the shell has said why.
        answers.resize(self.steps.len(), (rest, "none, the session ended here"));
        let mut wrong = String::new();
        for (index, (step, (printed, status))) in self.steps.iter().zip(&answers).enumerate() {
            let is_asked = self.steps.get(index + 1).is_some_and(|next| next.command == ASKS_FOR_STATUS);
            let lines: Vec<&str> = printed.lines().collect();
            if !answer::fits(&step.expected, &lines) || (*status != "0" && !is_asked) {
                let _ = write!(
                    wrong,
                    "{}: $ {}\n  should print:\n{}  printed, and ended with status {status}:\n{}",
                    step.place,
                    step.command,
                    indented(step.expected.iter().map(String::as_str)),
                    indented(lines.into_iter()),
                );
            }
        }
        if !wrong.is_empty() {
            self.directory.disable_cleanup(true);
            let directory = self.directory.path().display();
            let replay = format!("cargo test --package solum-cli --test guide -- --exact {}", self.name);
            panic!("{wrong}replay: {replay}\n        the session is in {directory}");
        }
    }

    /// Runs the script; gives back everything that was printed.
    fn transcript(&self) -> String {
        let script = self.directory.path().join(".session.sh");
        let printed = self.directory.path().join(".session.out");
        fs::write(&script, &self.script).unwrap();
        // A file and not a pipe, which a command left in the background would keep open.
        let output = File::create(&printed).unwrap();
        let mut bash = Command::new("bash");
        bash.arg(&script).stdout(output.try_clone().unwrap()).stderr(output);
        let mut child = like_a_user(&mut bash).spawn().unwrap();
        let watchdog = watch_over(&child);
        child.wait().unwrap();
        drop(watchdog);
        String::from_utf8_lossy(&fs::read(&printed).unwrap()).into_owned()
    }
}

/// A directory as a user makes one: a temporary one is usually its owner's alone.
fn directory() -> TempDir {
    let permissions = fs::Permissions::from_mode(0o755);
    tempfile::Builder::new().prefix("solum-guide-").permissions(permissions).tempdir().unwrap()
}

/// What a command finds around it: what a user has, without what Cargo tells its tests.
fn like_a_user(command: &mut Command) -> &mut Command {
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if name == "CARGO" || name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&*name);
        }
    }
    // Nobody wants windows of a test.
    command.env_remove("DISPLAY").env_remove("WAYLAND_DISPLAY");
    let own = Path::new(env!("CARGO_BIN_EXE_solum")).parent().unwrap();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path =
        std::env::join_paths([own.to_owned()].into_iter().chain(std::env::split_paths(&path))).unwrap();
    command.env("PATH", path).env("LC_ALL", "C.UTF-8").env("TERM", "linux").env("CARGO_TERM_QUIET", "true");
    command.stdin(Stdio::null()).process_group(0)
}

/// What only the first run on a machine says: fetching a kernel, building the init.
fn prepare() {
    static PREPARED: OnceLock<()> = OnceLock::new();
    PREPARED.get_or_init(|| {
        let mut solum = Command::new(env!("CARGO_BIN_EXE_solum"));
        solum.args(["run", "--dry-run", "examples/hello"]).current_dir(repository());
        let output = like_a_user(&mut solum).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    });
}

/// A kernel that was built has more file systems than a distribution's for virtual machines.
const BUILT_KERNEL: &str = "built-kernel";

fn is_there(need: &str) -> bool {
    if need == BUILT_KERNEL {
        // What a run takes if nobody asks for another: the doctor is content only with one that was built.
        let doctor = Command::new(env!("CARGO_BIN_EXE_solum")).arg("doctor").output().unwrap();
        let findings = String::from_utf8_lossy(&doctor.stdout).into_owned();
        return findings.lines().any(|line| line.split_whitespace().take(2).eq(["ok", "kernels"]));
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|directory| directory.join(need).is_file())
}

/// Ends a session that hangs. Dropping what this returns calls it off.
fn watch_over(child: &Child) -> Sender<()> {
    let (sender, receiver) = channel();
    let group = Pid::from_child(child);
    thread::spawn(move || {
        if receiver.recv_timeout(WATCHDOG) == Err(RecvTimeoutError::Timeout) {
            let _ = kill_process_group(group, Signal::KILL);
        }
    });
    sender
}

fn indented<'a>(lines: impl Iterator<Item = &'a str>) -> String {
    lines.map(|line| format!("    | {line}\n")).collect()
}
