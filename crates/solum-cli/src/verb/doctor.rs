//! `solum doctor`: what is there, what is missing, and how to get it.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Stdio};

use serde::Serialize;
use solum_image::Architecture;
use solum_kernel::parts::{Availability, Parts};
use solum_kernel::{BuildTool, Host, Kernel, Profile};
use solum_spec::ByteSize;
use solum_vm::accelerator::{self, KvmError, Requested};

use crate::arguments::Doctor;
use crate::cache::Cache;
use crate::cargo::StaticTarget;
use crate::exit_code::ExitCode;
use crate::failure::Failure;
use crate::output::{print_json, print_line};

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Finding {
    what: &'static str,
    state: State,
    detail: String,
    /// The command that gets what is missing.
    remedy: Option<String>,
}

/// How it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    /// As it should be.
    Ok,
    /// Not there, and not needed for running machines.
    Optional,
    /// Not there, and machines cannot run without it.
    Missing,
}

/// Looks at everything and prints it; exits with [`ExitCode::ToolMissing`] if machines cannot run.
pub fn doctor(arguments: &Doctor) -> Result<u8, Failure> {
    let cache = Cache::of_user()?;
    let findings = tools()
        .into_iter()
        .chain(build_tools(&Host::current()))
        .chain([static_target(), accelerator(), kernels(&cache), host_kernel()])
        .chain(parts(&cache))
        .chain([cache_size(&cache)])
        .collect::<Vec<_>>();
    if arguments.json {
        print_json(&findings);
    } else {
        findings.iter().for_each(print);
    }
    let missing = findings.iter().any(|finding| finding.state == State::Missing);
    Ok(if missing { ExitCode::ToolMissing as u8 } else { 0 })
}

fn print(finding: &Finding) {
    let mark = match finding.state {
        State::Ok => "ok      ",
        State::Optional => "optional",
        State::Missing => "MISSING ",
    };
    print_line(&format!("{mark}  {:<14} {}", finding.what, finding.detail));
    if let Some(remedy) = &finding.remedy {
        print_line(&format!("          {:<14} {remedy}", "→"));
    }
}

fn tools() -> Vec<Finding> {
    let emulator = format!("qemu-system-{}", Architecture::HOST);
    let package = match Architecture::HOST {
        Architecture::X86_64 => "qemu-system-x86",
        Architecture::Aarch64 => "qemu-system-arm",
    };
    vec![
        tool("QEMU", &emulator, State::Missing, format!("apt-get install --no-install-recommends {package}")),
        tool("Cargo", "cargo", State::Optional, "see https://rustup.rs; only needed to run packages".into()),
        tool("apt", "apt-get", State::Optional, "only needed for the kernel provider debian".into()),
    ]
}

/// What building kernels needs, one by one; the last that is missing has the command that gets them all.
fn build_tools(host: &Host) -> Vec<Finding> {
    let tools = BuildTool::all(host).unwrap_or_default();
    let mut packages: Vec<&str> =
        tools.iter().filter(|tool| !tool.is_installed).map(|tool| tool.package).collect();
    packages.sort_unstable();
    packages.dedup();
    let last_missing = tools.iter().rposition(|tool| !tool.is_installed);
    let finding = |(position, tool): (usize, &BuildTool)| {
        let is_last_missing = last_missing == Some(position);
        let (state, detail) = match tool.is_installed {
            true => (State::Ok, "is there, for building kernels"),
            false => (State::Optional, "is not installed; only needed to build kernels"),
        };
        let remedy = is_last_missing
            .then(|| format!("apt-get install --no-install-recommends {}", packages.join(" ")));
        Finding { what: tool.name, state, detail: detail.to_owned(), remedy }
    };
    tools.iter().enumerate().map(finding).collect()
}

fn tool(what: &'static str, program: &str, if_missing: State, remedy: String) -> Finding {
    let output = Command::new(program).arg("--version").stdin(Stdio::null()).stderr(Stdio::null()).output();
    match output {
        Ok(output) if !output.status.success() => {
            let detail = format!("{program} is there, but does not work: it ends with {}", output.status);
            Finding { what, state: if_missing, detail, remedy: Some(remedy) }
        }
        Ok(output) => {
            let version = String::from_utf8_lossy(&output.stdout);
            let detail = version.lines().next().unwrap_or(program).to_owned();
            Finding { what, state: State::Ok, detail, remedy: None }
        }
        Err(error) => {
            let detail = format!("{program} cannot be started: {}", crate::failure::reason(&error));
            Finding { what, state: if_missing, detail, remedy: Some(remedy) }
        }
    }
}

fn static_target() -> Finding {
    let target = StaticTarget::best_for(Path::new("."), Architecture::HOST);
    let is_musl = target.triple.ends_with("-musl");
    let remedy =
        format!("rustup target add {}-unknown-linux-musl; programs get 0.9 MB smaller", Architecture::HOST);
    Finding {
        what: "static target",
        state: if is_musl { State::Ok } else { State::Optional },
        detail: target.triple,
        remedy: (!is_musl).then_some(remedy),
    }
}

fn accelerator() -> Finding {
    let facts = accelerator::facts();
    let choice = accelerator::choose(Requested::Auto, &facts);
    let detail = format!("{}: {}", choice.accelerator, choice.reason);
    let remedy = match (facts.kvm, fs::metadata("/dev/kvm")) {
        (Err(KvmError::Forbidden), Ok(device)) => {
            let groups = fs::read_to_string("/etc/group").unwrap_or_default();
            Some(way_to_kvm(device.gid(), device.mode(), &groups))
        }
        _ => None,
    };
    let state = if remedy.is_some() { State::Optional } else { State::Ok };
    Finding { what: "accelerator", state, detail, remedy }
}

/// How a user who may not open `/dev/kvm` comes to do so, by the group that the device belongs to.
fn way_to_kvm(gid: u32, mode: u32, groups: &str) -> String {
    // NAME:PASSWORD:GID:MEMBERS, group(5).
    let name = groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(gid)).then_some(name)
    });
    match name {
        // Root's own group would open much more than this device.
        Some(group) if gid != 0 && mode & 0o060 == 0o060 => {
            format!("sudo usermod --append --groups {group} \"$USER\", then log in again")
        }
        _ => "sudo chgrp kvm /dev/kvm && sudo chmod g+rw /dev/kvm; its group cannot open it now".to_owned(),
    }
}

fn kernels(cache: &Cache) -> Finding {
    let kernels = solum_kernel::Cache::new(cache.root());
    let entries = kernels.list().unwrap_or_default();
    let built = matches!(Kernel::newest_built(&kernels, Profile::Vm), Ok(Some(_)));
    let is_older = Kernel::is_built_for_older_profile(&kernels).unwrap_or_default();
    let names: Vec<&str> = entries.iter().map(|entry| entry.name.as_str()).collect();
    Finding {
        what: "kernels",
        state: if built { State::Ok } else { State::Optional },
        detail: if names.is_empty() {
            "none yet; the first run fetches one".into()
        } else {
            names.join(", ")
        },
        remedy: match (built, is_older) {
            (true, _) => None,
            (false, true) => Some("the built kernel is of an older profile: solum kernel build".into()),
            (false, false) => {
                Some("solum kernel build, for machines that boot in a third of the time".into())
            }
        },
    }
}

fn host_kernel() -> Finding {
    match Kernel::from_host(&Host::current()) {
        Ok(kernel) => Finding {
            what: "host kernel",
            state: State::Ok,
            detail: format!("Linux {} at {}", kernel.version, kernel.image.display()),
            remedy: None,
        },
        Err(error) => {
            Finding { what: "host kernel", state: State::Optional, detail: error.to_string(), remedy: None }
        }
    }
}

/// What others make and images need: it is fetched when it is needed, so none of it must be there.
fn parts(cache: &Cache) -> Vec<Finding> {
    let (host, kernels) = (Host::current(), solum_kernel::Cache::new(cache.root()));
    let architecture = solum_kernel::Architecture::of_host().unwrap_or(solum_kernel::Architecture::X86_64);
    let parts = Parts { host: &host, cache: &kernels, architecture, progress: &solum_kernel::Silent };
    let survey = match parts.survey() {
        Ok(survey) => survey,
        Err(error) => {
            let (what, state) = ("image parts", State::Optional);
            return vec![Finding { what, state, detail: error.to_string(), remedy: error.hint() }];
        }
    };
    let finding = |part: Availability| match part.found {
        Some(found) => {
            let package = found.package.map(|package| format!(" ({} {})", package.name, package.version));
            let detail = format!("{}{}", found.path.display(), package.unwrap_or_default());
            Finding { what: part.name, state: State::Ok, detail, remedy: None }
        }
        None => Finding {
            what: part.name,
            state: State::Optional,
            detail: format!("is not installed; only needed {}, and fetched then", part.purpose),
            remedy: Some(format!("apt-get install --no-install-recommends {}", part.packages.join(" "))),
        },
    };
    survey.into_iter().map(finding).collect()
}

fn cache_size(cache: &Cache) -> Finding {
    let size =
        |part: &str| ByteSize::bytes(solum_kernel::size_of_tree(&cache.root().join(part))).as_mebibytes();
    let parts =
        ["kernels", "parts", "downloads", "images", "init"].map(|part| format!("{part} {} MiB", size(part)));
    Finding {
        what: "cache",
        state: State::Ok,
        detail: format!("{}: {}", cache.root().display(), parts.join(", ")),
        remedy: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_group_that_opens_kvm_is_named() {
        let groups = "root:x:0:\nkvm:x:104:somebody\nvirtualization:x:1040:\n";
        let table = [
            (104, 0o020_660, "--groups kvm "),
            (1040, 0o020_666, "--groups virtualization "),
            (104, 0o020_600, "sudo chgrp kvm"),
            (0, 0o020_660, "sudo chgrp kvm"),
            (7, 0o020_660, "sudo chgrp kvm"),
        ];
        for (gid, mode, words) in table {
            let remedy = way_to_kvm(gid, mode, groups);
            assert!(remedy.contains(words), "{gid} {mode:o}: {remedy}");
        }
    }
}
