//! `solum kernel`: the cache of kernels, and what fills it.

use std::fs;
use std::path::Path;

use serde::Serialize;
use solum_kernel::{Cache as Kernels, Entry, Kernel as Resolved, Mirror, Profile, Selection, SourceRequest};
use solum_spec::ByteSize;

use crate::arguments::{Kernel, KernelBuild, KernelProfile};
use crate::cache::Cache;
use crate::exit_code::ExitCode;
use crate::failure::Failure;
use crate::kernel_choice::{failed, resolve};
use crate::output::{print_json, print_line, write_whole};
use crate::terminal::say;

/// Carries out one of the kernel verbs.
pub fn kernel(verb: &Kernel) -> Result<(), Failure> {
    let cache = Cache::of_user()?;
    let kernels = Kernels::new(cache.root());
    match verb {
        Kernel::Build(arguments) => build(arguments, &cache),
        Kernel::List { json } => list(&kernels, *json),
        Kernel::Show { id, json } => show(&find(&kernels, id)?, *json),
        Kernel::Remove { ids, all } => remove(&kernels, ids, *all),
    }
}

fn build(arguments: &KernelBuild, cache: &Cache) -> Result<(), Failure> {
    let request = SourceRequest {
        profile: match arguments.profile {
            KernelProfile::Vm => Profile::Vm,
            KernelProfile::Pc => Profile::Pc,
        },
        version: arguments.version.clone(),
        mirror: arguments.mirror.as_deref().map(Mirror::parse),
        tree: arguments.tree.clone(),
        fragments: arguments.fragments.clone(),
        jobs: None,
    };
    let selection = Selection::parse(&arguments.kernel);
    let says_what_to_build = arguments.version.is_some()
        || arguments.mirror.is_some()
        || arguments.tree.is_some()
        || !arguments.fragments.is_empty();
    if says_what_to_build && !matches!(selection, Selection::Source | Selection::SourcePc) {
        return Err(Failure::new(
            ExitCode::UnusableInput,
            "--version, --mirror, --config and --tree say what to build, but another kernel was asked for",
        )
        .hint("leave --kernel out, or write --kernel source".to_owned()));
    }
    let built = resolve(&selection, &request, cache)?;
    if let Some(out) = &arguments.out {
        let bytes =
            fs::read(&built.image).map_err(|error| Failure::file("cannot read", &built.image, &error))?;
        write_whole(out, &bytes)?;
    }
    if arguments.json {
        print_json(&Built::from(&built));
    } else {
        print_line(&format!("{}", arguments.out.as_deref().unwrap_or(&built.image).display()));
    }
    Ok(())
}

/// What `build --json` prints.
#[derive(Serialize)]
struct Built<'a> {
    provider: &'static str,
    version: &'a str,
    image: &'a Path,
    vmlinux: Option<&'a Path>,
    config: Option<&'a Path>,
    hash: &'a str,
}

impl<'a> From<&'a Resolved> for Built<'a> {
    fn from(kernel: &'a Resolved) -> Self {
        Self {
            provider: kernel.provider.name(),
            version: &kernel.version,
            image: &kernel.image,
            vmlinux: kernel.vmlinux.as_deref(),
            config: kernel.config.as_deref(),
            hash: &kernel.hash,
        }
    }
}

/// What `list --json` and `show --json` print.
#[derive(Serialize)]
struct Listed<'a> {
    id: &'a str,
    bytes: u64,
    directory: &'a Path,
    damaged: Option<String>,
    manifest: Option<&'a solum_kernel::Manifest>,
}

impl<'a> From<&'a Entry> for Listed<'a> {
    fn from(entry: &'a Entry) -> Self {
        Self {
            id: &entry.name,
            bytes: entry.size,
            directory: &entry.directory,
            damaged: entry.kernel().err().map(|error| error.to_string()),
            manifest: entry.manifest.as_ref(),
        }
    }
}

fn list(kernels: &Kernels, json: bool) -> Result<(), Failure> {
    let entries = kernels.list().map_err(|error| failed(&error))?;
    if json {
        print_json(&entries.iter().map(Listed::from).collect::<Vec<_>>());
        return Ok(());
    }
    if entries.is_empty() {
        say("the cache holds no kernel; `solum kernel build` makes one, `solum run` fetches one");
    }
    let width = entries.iter().map(|entry| entry.name.len()).max().unwrap_or_default();
    for entry in &entries {
        let state = if entry.kernel().is_ok() { "" } else { "  damaged" };
        print_line(&format!("{:width$}  {:>9}{state}", entry.name, mebibytes(entry.size)));
    }
    Ok(())
}

fn show(entry: &Entry, json: bool) -> Result<(), Failure> {
    if json {
        print_json(&Listed::from(entry));
        return Ok(());
    }
    let kernel = entry.kernel().map_err(|error| failed(&error))?;
    print_line(&entry.name);
    let modules =
        kernel.modules.as_ref().map_or_else(|| "none, all built in".into(), |m| m.len().to_string());
    let path =
        |path: Option<&Path>| path.map_or_else(|| "none".to_owned(), |path| path.display().to_string());
    for (name, value) in [
        ("version", kernel.version.clone()),
        ("provider", kernel.provider.to_string()),
        ("size", mebibytes(entry.size)),
        ("image", path(Some(&kernel.image))),
        ("vmlinux", path(kernel.vmlinux.as_deref())),
        ("modules", modules),
        ("config", path(kernel.config.as_deref())),
        ("hash", kernel.hash.clone()),
    ] {
        print_line(&format!("  {name:<9} {value}"));
    }
    for (name, value) in entry.manifest.iter().flat_map(|manifest| &manifest.inputs) {
        print_line(&format!("  made from {name}: {value}"));
    }
    Ok(())
}

fn remove(kernels: &Kernels, ids: &[String], all: bool) -> Result<(), Failure> {
    let entries = if all {
        kernels.list().map_err(|error| failed(&error))?
    } else {
        // All are found before the first is removed, so a typing mistake removes nothing.
        ids.iter().map(|id| find(kernels, id)).collect::<Result<Vec<_>, _>>()?
    };
    for entry in entries {
        let bytes = kernels.remove(&entry.name).map_err(|error| failed(&error))?;
        say(&format!("removed {}, {}", entry.name, mebibytes(bytes)));
    }
    if all {
        let bytes = kernels.sweep().map_err(|error| failed(&error))?;
        if bytes > 0 {
            say(&format!("removed what was left unfinished, {}", mebibytes(bytes)));
        }
    }
    Ok(())
}

/// The one entry whose name is `id` or begins with it.
fn find(kernels: &Kernels, id: &str) -> Result<Entry, Failure> {
    let entries = kernels.list().map_err(|error| failed(&error))?;
    if let Some(entry) = entries.iter().find(|entry| entry.name == id) {
        return Ok(entry.clone());
    }
    let is_meant = |entry: &&Entry| names_provider(&entry.name, id);
    let is_alone = entries.iter().filter(is_meant).count() == 1;
    let mut matching =
        entries.iter().filter(|entry| if is_alone { is_meant(entry) } else { entry.name.starts_with(id) });
    match (matching.next(), matching.next()) {
        (Some(entry), None) => Ok(entry.clone()),
        (None, _) => kernels.entry(id).map_err(|error| failed(&error)),
        (Some(first), Some(second)) => Err(Failure::new(
            ExitCode::UnusableInput,
            format_args!("`{id}` is the beginning of several kernels: {}, {}, …", first.name, second.name),
        )
        .hint("write more of the name".to_owned())),
    }
}

/// Whether `id` is the provider's word in the name of an entry, as a whole: `debian` is not short for `debian-pc`.
fn names_provider(name: &str, id: &str) -> bool {
    let version = name.strip_prefix(id).and_then(|rest| rest.strip_prefix('-'));
    version.is_some_and(|version| version.starts_with(|first: char| first.is_ascii_digit()))
}

fn mebibytes(bytes: u64) -> String {
    format!("{} MiB", ByteSize::bytes(bytes).as_mebibytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_provider_is_named_by_its_whole_word() {
        let table = [
            ("debian-6.12.117+deb12-cloud-amd64-5195b288", "debian", true),
            ("debian-pc-6.12.117+deb12-amd64-803d36a7", "debian", false),
            ("debian-pc-6.12.117+deb12-amd64-803d36a7", "debian-pc", true),
            ("debian-6.12.117+deb12-cloud-amd64-5195b288", "debian-6", false),
            ("source-vm-6.12.117-15f65819b2c5", "source", false),
        ];
        for (name, id, expected) in table {
            assert_eq!(names_provider(name, id), expected, "{id} {name}");
        }
    }
}
