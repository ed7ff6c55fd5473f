//! `solum doctor`: what is there, what is missing, and how to get it.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use serde::Serialize;
use solum_image::Architecture;
use solum_kernel::{Host, Kernel};
use solum_spec::ByteSize;
use solum_vm::accelerator::{self, Requested};

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
        .chain([static_target(), accelerator(), kernels(&cache), host_kernel(), cache_size(&cache)])
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
        tool(
            "make",
            "make",
            State::Optional,
            "apt-get install make gcc flex bison bc libelf-dev xz-utils zstd; only needed to build kernels"
                .into(),
        ),
    ]
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
    let choice = accelerator::choose(Requested::Auto, &accelerator::facts());
    let detail = format!("{}: {}", choice.accelerator, choice.reason);
    Finding { what: "accelerator", state: State::Ok, detail, remedy: None }
}

fn kernels(cache: &Cache) -> Finding {
    let kernels = solum_kernel::Cache::new(cache.root());
    let entries = kernels.list().unwrap_or_default();
    let built = matches!(Kernel::newest_built(&kernels), Ok(Some(_)));
    let names: Vec<&str> = entries.iter().map(|entry| entry.name.as_str()).collect();
    Finding {
        what: "kernels",
        state: if built { State::Ok } else { State::Optional },
        detail: if names.is_empty() {
            "none yet; the first run fetches one".into()
        } else {
            names.join(", ")
        },
        remedy: (!built).then(|| "solum kernel build, for machines that boot in a third of the time".into()),
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

fn cache_size(cache: &Cache) -> Finding {
    let size = |part: &str| ByteSize::bytes(size_of_tree(&cache.root().join(part))).as_mebibytes();
    let parts = ["kernels", "downloads", "images", "init"].map(|part| format!("{part} {} MiB", size(part)));
    Finding {
        what: "cache",
        state: State::Ok,
        detail: format!("{}: {}", cache.root().display(), parts.join(", ")),
        remedy: None,
    }
}

fn size_of_tree(directory: &Path) -> u64 {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => size_of_tree(&entry.path()),
            Ok(metadata) => metadata.len(),
            Err(_) => 0,
        })
        .sum()
}
