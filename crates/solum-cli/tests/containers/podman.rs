//! Podman with a store of its own, so that no test sees the images of another or of the user.

use std::io::Write;
use std::process::{Child, Command, Output, Stdio};

use crate::harness::{Scratch, is_root};

/// A place for images and containers in a scratch directory.
pub struct Podman<'a> {
    scratch: &'a Scratch,
}

/// Containers without a network and without groups of processes: neither is what is tested, and neither works everywhere.
/// Locks are files, because the default is one shared memory for all stores of the host.
const CONFIGURATION: &str = r#"
[containers]
cgroups = "disabled"
netns = "none"
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
log_driver = "k8s-file"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "none"
lock_type = "file"
runtime = "crun"
tmp_dir = "[SCRATCH]/podman/tmp"
"#;

/// crun refuses a host with both versions of control groups (libcrun, `libcrun_get_cgroup_mode`), even if it shall make none.
/// In a mount namespace of its own it sees the second alone.
const ALONE: &str = r#"mount -t cgroup2 none /sys/fs/cgroup && exec "$@""#;

/// A test that failed leaves no container behind.
impl Drop for Podman<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.run(&["rm", "--all", "--force", "--time", "0"]);
        }
    }
}

impl<'a> Podman<'a> {
    /// One, if this host can run it; else it says that the test is skipped.
    pub fn new(scratch: &'a Scratch) -> Option<Self> {
        let missing = ["podman", "crun", "unshare"].into_iter().find(|name| {
            let found = Command::new(name).arg("--version").stdout(Stdio::null()).status();
            found.is_err()
        });
        if let Some(missing) = missing {
            println!("skipped: there is no {missing}");
            return None;
        }
        if !is_root() {
            println!("skipped: containers are made by root here");
            return None;
        }
        scratch.directory("podman/tmp");
        scratch.file("podman/containers.conf", scratch.expand(CONFIGURATION));
        Some(Self { scratch })
    }

    /// A command of it. `[SCRATCH]` stands for the scratch directory.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-c", ALONE, "sh"]);
        command.args(["podman", "--log-level", "error", "--storage-driver", "vfs"]);
        command.arg("--root").arg(self.scratch.path("podman/root"));
        command.arg("--runroot").arg(self.scratch.path("podman/run"));
        command.args(arguments.iter().map(|argument| self.scratch.expand(argument)));
        command.current_dir(self.scratch.path(""));
        command.env("CONTAINERS_CONF", self.scratch.path("podman/containers.conf"));
        command.env("HOME", self.scratch.path("podman")).env("TMPDIR", self.scratch.path("podman/tmp"));
        command.env_remove("XDG_RUNTIME_DIR").env_remove("REGISTRY_AUTH_FILE");
        command
    }

    /// A directory with a `podman` that is this one, for the PATH of who starts it himself.
    pub fn for_path(&self) -> String {
        let mut command = self.command(&[]);
        // Else it would find itself.
        command.env("PATH", std::env::var_os("PATH").unwrap());
        let quoted = |text: &std::ffi::OsStr| format!("'{}'", text.to_str().unwrap().replace('\'', "'\\''"));
        let words = std::iter::once(command.get_program()).chain(command.get_args()).map(quoted);
        let exports = command.get_envs().filter_map(|(name, value)| {
            Some(format!("export {}={}\n", name.to_str().unwrap(), quoted(value?)))
        });
        let script = format!(
            "#!/bin/sh\n{}exec {} \"$@\"\n",
            exports.collect::<String>(),
            words.collect::<Vec<_>>().join(" ")
        );
        let script = self.scratch.executable("with-podman/podman", script);
        script.parent().unwrap().to_str().unwrap().to_owned()
    }

    /// Runs it to its end.
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).stdin(Stdio::null()).output().unwrap()
    }

    /// Runs it, and it has to succeed; gives what it printed.
    #[track_caller]
    pub fn done(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "podman {arguments:?}: {}\n{said}", output.status);
        String::from_utf8(output.stdout).unwrap()
    }

    /// Starts it, to be read from.
    pub fn start(&self, arguments: &[&str]) -> Child {
        let mut command = self.command(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Logs in to a registry, as a user does.
    #[track_caller]
    pub fn log_in(&self, registry: &str, user: &str, password: &str) {
        let mut command =
            self.command(&["login", "--tls-verify=false", "--username", user, "--password-stdin"]);
        command.args(["--authfile".as_ref(), self.scratch.path("auth.json").as_os_str(), registry.as_ref()]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(password.as_bytes()).unwrap();
        assert!(child.wait().unwrap().success(), "podman cannot log in to {registry}");
    }
}
