//! Which modules an image gets, of a kernel that has its drivers as modules.

use std::path::Path;

use solum_image::initramfs::Module;
use solum_kernel::{Presence, hardware};

use crate::arguments::ModuleChoice;
use crate::exit_code::ExitCode;
use crate::failure::Failure;
use crate::kernel_choice::{Chosen, failed, showing};

/// What the modules are for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Modules {
    /// The virtual machines that Solum runs.
    VirtualMachines,
    /// Computers of which nothing is known.
    Computers,
    /// A computer with this hardware, as the kernel names it.
    Hardware(Vec<String>),
    /// Whatever these modules are for.
    Named(Vec<String>),
}

impl Modules {
    /// What a user asked for; `otherwise`, where nothing was.
    pub fn of(choice: &ModuleChoice, otherwise: Self) -> Result<Self, Failure> {
        if !choice.modules.is_empty() {
            return Ok(Self::Named(choice.modules.clone()));
        }
        match choice.modules_for.as_deref() {
            None => Ok(otherwise),
            Some("vm") => Ok(Self::VirtualMachines),
            Some("pc") => Ok(Self::Computers),
            Some("this-host") => {
                hardware::of_host(Path::new("/")).map(Self::Hardware).map_err(|error| failed(&error))
            }
            Some(file) => listed(Path::new(file)),
        }
    }
}

fn listed(file: &Path) -> Result<Modules, Failure> {
    let hint = "give vm, pc, this-host, or a file that lists hardware; on the machine it is for: \
                find /sys/devices -name modalias -exec cat {} +";
    let text = std::fs::read_to_string(file).map_err(|error| {
        Failure::file("cannot read the list of hardware", file, &error).hint(hint.to_owned())
    })?;
    hardware::parse(&text).map(Modules::Hardware).map_err(|(line, content)| {
        let message = format!("{}, line {line}: `{content}` names no hardware", file.display());
        Failure::new(ExitCode::UnusableInput, message).hint(hint.to_owned())
    })
}

impl Chosen {
    /// The modules for this, and what they need, in the order of loading; none where the kernel has its drivers built in.
    pub fn modules_for(&self, wanted: &Modules) -> Result<Vec<Module>, Failure> {
        let Some(tree) = self.tree() else { return Ok(Vec::new()) };
        let mut names: Vec<String> = match wanted {
            Modules::VirtualMachines => return self.every_module(),
            Modules::Computers => hardware::common_computers().map(str::to_owned).collect(),
            Modules::Hardware(ids) => showing(|_, bars| tree.serving(ids, bars))?,
            Modules::Named(names) => {
                // A name that was typed and is none must not be left out silently.
                tree.closure(names).map_err(|error| failed(&error))?;
                names.clone()
            }
        };
        names.extend(hardware::beside_hardware().map(str::to_owned));
        names.retain(|name| tree.presence(name) == Some(Presence::Loadable));
        let modules = tree.closure(&names).map_err(|error| failed(&error))?;
        Ok(modules.into_iter().map(|module| Module { name: module.name, bytes: module.bytes }).collect())
    }
}
