//! From a validated machine to the bytes of its initramfs.

use std::env::VarError;

use solum_image::compress::{self, Compression};
use solum_image::initramfs::{self, Bundled, BundledContent, Module};
use solum_spec::description::{self, Description, Mount, Network, Unit};
use solum_spec::machine::{DEFAULT_MEMORY, Draft, Machine, MachineError};
use solum_spec::plan::Plan;
use solum_spec::storage::{E2FSCK, FileSystem, Kind, Source};
use solum_spec::{Share, outer_first};

use crate::arguments::Inside;
use crate::exit_code::ExitCode;
use crate::failure::Failure;
use crate::parts::Parts;
use crate::program::Found;
use crate::terminal::say;
use crate::{bundle, certificates, signals};

/// What goes into the initramfs of a machine, whatever that is packed into.
#[derive(Clone)]
pub struct Contents {
    /// What PID 1 is told. Its modules are those below.
    pub description: Description,
    /// What it runs, if the machine belongs to a system.
    pub plan: Option<Plan>,
    /// PID 1, unless the program is that itself.
    pub init: Option<Vec<u8>>,
    /// Programs, with their paths in the machine.
    pub programs: Vec<(String, Vec<u8>)>,
    /// Modules of the kernel that will boot it, in the order of loading.
    pub modules: Vec<Module>,
    /// Files that belong to root.
    pub provided: Vec<Bundled>,
    /// The user's files.
    pub bundled: Vec<Bundled>,
    /// A program that is its whole machine need not be told anything.
    is_silent: bool,
}

/// Reads `NAME=VALUE`, or copies NAME from this process's environment.
pub fn environment(given: &[String]) -> Result<Vec<(String, String)>, Failure> {
    given
        .iter()
        .map(|text| match text.split_once('=') {
            Some((name, value)) => Ok((name.to_owned(), value.to_owned())),
            None => std::env::var(text).map(|value| (text.clone(), value)).map_err(|error| {
                let why = match error {
                    VarError::NotPresent => "there is no such variable to copy from here",
                    VarError::NotUnicode(_) => "its value here is not UTF-8, so it cannot be copied",
                };
                Failure::new(ExitCode::UnusableInput, format_args!("--env {text}: {why}"))
                    .hint(format!("write --env {text}=VALUE"))
            }),
        })
        .collect()
}

/// The terminal's kind travels into the machine, because the program draws on it.
fn with_terminal(mut environment: Vec<(String, String)>) -> Vec<(String, String)> {
    let has_own = environment.iter().any(|(name, _)| name == "TERM");
    if let (false, Ok(terminal)) = (has_own, std::env::var("TERM")) {
        environment.insert(0, ("TERM".to_owned(), terminal));
    }
    environment
}

/// Turns arguments into a draft of the machine; the caller adds what is around it.
pub fn draft(inside: &Inside, arguments: &[String], program: &Found) -> Result<Draft, Failure> {
    Ok(Draft {
        name: inside.name.clone().unwrap_or_else(|| program.name.clone()),
        memory: DEFAULT_MEMORY,
        cpus: 1,
        network: inside.network(),
        publish: Vec::new(),
        shares: Vec::new(),
        file_systems: inside.file_systems.clone(),
        arguments: arguments.to_vec(),
        environment: environment(&inside.environment)?,
        root: inside.root || program.executable.is_machine,
        wait: inside.wait.iter().map(|wait| (*wait).into()).collect(),
        grace_ms: inside.grace_seconds().saturating_mul(1000),
    })
}

/// What a user is told whose wishes contradict each other.
pub fn contradiction(error: &MachineError) -> Failure {
    Failure::new(ExitCode::UnusableInput, error).hint(error.hint())
}

/// The tag of the share with this index.
pub fn share_tag(index: usize) -> String {
    format!("share{index}")
}

/// What PID 1 of a machine of one program is told.
fn describe(machine: &Machine, inside: &Inside, program: &str) -> Description {
    let mount = |(index, share): (usize, &Share)| Mount {
        tag: share_tag(index),
        target: share.target.clone(),
        read_only: share.read_only,
    };
    let mut shares: Vec<Mount> = machine.shares.iter().enumerate().map(mount).collect();
    outer_first(&mut shares, |mount| &mount.target);
    Description {
        host_name: machine.name.clone(),
        modules: Vec::new(),
        shares,
        file_systems: machine.file_systems.clone(),
        network: machine.network.clone(),
        time_servers: inside.time_servers.clone(),
        when_ended: inside.when_ended(),
        memory_bytes: None,
        cpus: None,
        unit: Unit {
            name: program.to_owned(),
            path: initramfs::program_path(program),
            arguments: machine.arguments.clone(),
            environment: with_terminal(machine.environment.clone()),
            user_id: if machine.root { 0 } else { user_id() },
            wait: machine.wait.clone(),
            grace_ms: machine.grace_ms,
        },
    }
}

/// Programs have the user's own number, so that files in shares belong to the same person on both sides.
fn user_id() -> u32 {
    match rustix::process::getuid().as_raw() {
        0 => description::DEFAULT_USER_ID,
        own => own,
    }
}

impl Contents {
    /// Those of a machine of one program, still without modules.
    pub fn of_program(
        machine: &Machine,
        inside: &Inside,
        program: Found,
        init: Option<Vec<u8>>,
    ) -> Result<Self, Failure> {
        let bundled = bundle::read(&inside.files, &inside.directories)?;
        let provided = certificates::wanted(inside.ca_certificates, [&*program.bytes], &bundled)?;
        let description = describe(machine, inside, &program.name);
        let is_silent = inside.name.is_none()
            && inside.grace.is_none()
            && machine.wait.is_empty()
            && machine.arguments.is_empty()
            && machine.environment.is_empty()
            && machine.shares.is_empty()
            && machine.network == Network::default()
            && inside.when_ended.is_none()
            && inside.time_servers.is_empty();
        let programs = vec![(description.unit.path.clone(), program.bytes)];
        Ok(Self {
            description,
            plan: None,
            init,
            programs,
            modules: Vec::new(),
            provided,
            bundled,
            is_silent,
        })
    }

    /// Those of a machine of a system, still without modules.
    pub fn of_machine(
        description: Description,
        plan: Plan,
        init: Vec<u8>,
        programs: Vec<(String, Vec<u8>)>,
        provided: Vec<Bundled>,
        bundled: Vec<Bundled>,
    ) -> Self {
        let (plan, init) = (Some(plan), Some(init));
        Self { description, plan, init, programs, modules: Vec::new(), provided, bundled, is_silent: false }
    }

    /// Adds the program that checks ext file systems, if one may be mounted and the user brings none.
    pub fn provide_checker(&mut self, parts: &Parts<'_>) -> Result<(), Failure> {
        let may_be_ext = |one: &FileSystem| {
            one.source != Source::Memory
                && matches!(one.kind, None | Some(Kind::Ext2 | Kind::Ext3 | Kind::Ext4))
        };
        let is_wanted = self.description.file_systems.iter().any(may_be_ext);
        if is_wanted && self.bundled.iter().all(|file| file.path != E2FSCK) {
            let content = BundledContent::File(parts.e2fsck()?);
            self.provided.push(Bundled { path: E2FSCK.to_owned(), permissions: 0o755, content });
        }
        Ok(())
    }

    /// The same for a machine of this host: it runs without, and its user is told.
    pub fn offer_checker(&mut self, parts: &Parts<'_>) -> Result<(), Failure> {
        match self.provide_checker(parts) {
            Err(why) if signals::asked().is_none() => {
                say(&format!("warning: the machine cannot check file systems: {}", why.message()));
                Ok(())
            }
            done => done,
        }
    }

    /// The bytes of the machine's initramfs, uncompressed.
    pub fn archive(mut self) -> Result<Vec<u8>, Failure> {
        let path = |module: &Module| initramfs::module_path(&module.name);
        self.description.modules = self.modules.iter().map(path).collect();
        let built = match self.init {
            Some(init) => initramfs::with_init(
                init,
                &self.description,
                self.plan.as_ref(),
                self.programs,
                self.modules,
                self.provided,
                self.bundled,
            ),
            None => {
                if !self.is_silent || !self.description.file_systems.is_empty() {
                    self.bundled.push(Bundled {
                        path: description::PATH.to_owned(),
                        permissions: 0o444,
                        content: BundledContent::File(self.description.to_bytes()),
                    });
                }
                let program = self.programs.into_iter().next().map(|(_, bytes)| bytes).unwrap_or_default();
                self.bundled.extend(self.provided);
                initramfs::single_file(program, self.modules, self.bundled)
            }
        };
        built.map_err(|error| Failure::new(ExitCode::UnusableInput, &error).hint(error.hint()))
    }
}

/// Compresses an initramfs.
pub fn compress(archive: Vec<u8>, compression: Compression) -> Result<Vec<u8>, Failure> {
    compress::compress(archive, compression).map_err(|error| {
        Failure::new(ExitCode::HostRefuses, format_args!("the image could not be compressed: {error}"))
    })
}
