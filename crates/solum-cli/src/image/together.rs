//! Images that are booted together: one of each machine of a system, made of the same description, with keys that fit.

use std::collections::BTreeMap;
use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use solum_link::stream::SecretKey;
use solum_spec::ByteSize;
use solum_spec::network::SystemNetwork;
use solum_spec::plan::{Link, Plan};

use super::inspect::{self, inspect};
use super::recognise::{Kind, recognise};
use crate::exit_code::ExitCode;
use crate::failure::Failure;

/// The image of one machine of a system.
#[derive(Clone, Debug)]
pub struct Member {
    /// Where it is.
    pub file: PathBuf,
    /// What it is.
    pub kind: Kind,
    /// Its machine.
    pub machine: String,
    /// The memory that it was described with.
    pub memory: Option<ByteSize>,
    /// The processors that it was described with.
    pub cpus: Option<u16>,
    /// What its machine runs.
    pub plan: Plan,
}

/// Why images cannot be booted together.
#[derive(Debug, PartialEq, Eq)]
struct Misfit {
    why: String,
    hint: &'static str,
}

/// The images in a directory, in the order of the machines' addresses. All of them are of one system, and none is missing.
pub fn find_together(directory: &Path) -> Result<Vec<Member>, Failure> {
    let mut members: Vec<Member> =
        entries(directory)?.into_iter().map(member).collect::<Result<_, Failure>>()?;
    members.sort_by_key(|member| member.plan.network.as_ref().map(|network| network.address));
    match misfit(&members) {
        None => Ok(members),
        Some(Misfit { why, hint }) => {
            let message = format!("the images in {} are no system: {why}", directory.display());
            Err(Failure::new(ExitCode::UnusableInput, message).hint(hint.to_owned()))
        }
    }
}

/// Everything in it whose name does not begin with a dot.
fn entries(directory: &Path) -> Result<Vec<PathBuf>, Failure> {
    let unreadable = |error: std::io::Error| Failure::file("cannot read", directory, &error);
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        if !entry.file_name().as_encoded_bytes().starts_with(b".") {
            found.push(entry.path());
        }
    }
    found.sort();
    if found.is_empty() {
        let message = format!("{} is a directory without an image in it", directory.display());
        return Err(Failure::new(ExitCode::UnusableInput, message)
            .hint("make images with `solum build SYSTEM --format FORMAT --output DIRECTORY/`".to_owned()));
    }
    Ok(found)
}

fn member(file: PathBuf) -> Result<Member, Failure> {
    let beside =
        "a directory with the images of a system has nothing else in it, but for names that begin with a dot";
    // What keeps it from being read is worth more than this hint.
    let kind = recognise(&file).map_err(|failure| match fs::metadata(&file) {
        Ok(_) => failure.hint(beside.to_owned()),
        Err(_) => failure,
    })?;
    let report = inspect(&file)?;
    let Some((description, Some(plan))) = inspect::told(&report) else {
        let alone = || {
            let words = ["solum".as_ref(), "run".as_ref(), "--image".as_ref(), file.as_os_str()];
            format!("boot it alone: {}", solum_vm::shell::quote(&words))
        };
        let (why, hint) = match (report.damage.first(), report.notes.first()) {
            (Some(damage), _) => (format!("is damaged: {damage}"), ANEW.to_owned()),
            (None, Some(note)) => (format!("shows no machine of a system: {note}"), ANEW.to_owned()),
            (None, None) => ("is no machine of a system".to_owned(), alone()),
        };
        return Err(Failure::new(ExitCode::UnusableInput, format!("{} {why}", file.display())).hint(hint));
    };
    let machine = plan.units.first().map_or(description.host_name, |unit| unit.machine.clone());
    let memory = description.memory_bytes.map(ByteSize::bytes);
    Ok(Member { file, kind, machine, memory, cpus: description.cpus, plan })
}

const ANEW: &str = "build all of them anew: `solum build SYSTEM --format FORMAT --output DIRECTORY/`";

fn misfit(members: &[Member]) -> Option<Misfit> {
    let (first, others) = members.split_first()?;
    let mut seen = BTreeMap::from([(&first.machine, first)]);
    for member in others {
        if member.plan.system != first.plan.system {
            let (one, other) = (told(first), told(member));
            let why = format!("{one} is of `{}`, and {other} of `{}`", first.plan.system, member.plan.system);
            return Some(Misfit { why, hint: "give each system a directory of its own" });
        }
        if let Some(before) = seen.insert(&member.machine, member) {
            let why = format!("{} and {} are both machine {}", told(before), told(member), member.machine);
            return Some(Misfit { why, hint: "keep one format in the directory" });
        }
    }
    others
        .iter()
        .find_map(|member| of_another_description(first, member))
        .or_else(|| missing(members))
        .or_else(|| members.iter().find_map(|member| stranger(member, &seen)))
}

/// Both say which machines the system has.
fn of_another_description(one: &Member, other: &Member) -> Option<Misfit> {
    let hosts = |member: &Member| member.plan.network.as_ref().map(|network| network.hosts.clone());
    let is_same = matches!((hosts(one), hosts(other)), (Some(one), Some(other)) if one == other);
    (!is_same).then(|| Misfit {
        why: format!("{} and {} were built of different descriptions", told(one), told(other)),
        hint: ANEW,
    })
}

/// A machine of the system has no image.
fn missing(members: &[Member]) -> Option<Misfit> {
    let network = |member: &'_ Member| -> Option<SystemNetwork> { member.plan.network.clone() };
    let here: Vec<Ipv4Addr> = members.iter().filter_map(network).map(|network| network.address).collect();
    let hosts = members.first().and_then(network)?.hosts;
    let (name, _) = hosts.into_iter().find(|(_, address)| !here.contains(address))?;
    Some(Misfit { why: format!("machine {name} is missing"), hint: ANEW })
}

/// A machine at the other end of a link is not the one that was meant.
fn stranger(member: &Member, all: &BTreeMap<&String, &Member>) -> Option<Misfit> {
    let misfit = |other: &Member, why: &str| Misfit {
        why: format!("{} and {} {why}", told(member), told(other)),
        hint: ANEW,
    };
    let unknown = |machine: &str| Misfit {
        why: format!("{} speaks with machine {machine}, which is not there", told(member)),
        hint: ANEW,
    };
    for peer in member.plan.network.iter().flat_map(|network| &network.peers) {
        let other = all.get(&peer.machine).and_then(|other| Some((other, other.plan.network.as_ref()?)));
        let Some((other, network)) = other else { return Some(unknown(&peer.machine)) };
        if SecretKey::from_bytes(network.secret.0).public().to_bytes() != peer.public {
            return Some(misfit(
                other,
                "were built with different keys, and would not speak with each other",
            ));
        }
    }
    for link in &member.plan.links {
        let Some(remote) = &link.remote else { continue };
        let Some(other) = all.get(&remote.machine) else { return Some(unknown(&remote.machine)) };
        let is_other_end = |known: &Link| {
            known.remote.as_ref().is_some_and(|known| known.id == remote.id && known.here != remote.here)
                && (&known.client, &known.server, &known.interface)
                    == (&link.client, &link.server, &link.interface)
        };
        if !other.plan.links.iter().any(is_other_end) {
            return Some(misfit(other, "were built of different descriptions"));
        }
    }
    None
}

fn told(member: &Member) -> String {
    member.file.file_name().map_or_else(|| member.machine.clone(), |name| name.to_string_lossy().into_owned())
}
