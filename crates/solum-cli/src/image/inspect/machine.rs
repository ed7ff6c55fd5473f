//! What an initramfs says of the machine that comes up.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};
use solum_image::Architecture;
use solum_image::cpio::{Member, MemberKind};
use solum_image::executable;
use solum_image::initramfs::{INIT_PATH, MODULE_DIRECTORY, PROGRAM_DIRECTORY};
use solum_image::oci::CERTIFICATES_PATH;
use solum_spec::description::{self, Description, Network, WhenEnded};
use solum_spec::network::SystemNetwork;
use solum_spec::plan::{self, Device, Plan};
use solum_spec::storage::E2FSCK;

use super::report::{Executable, File, Machine, Mount, Unit};

/// What is there in every machine, and nobody's.
const EVERYWHERE: &str = "/dev/null";

/// What the versions of executables are by their hashes, from a bill of materials.
pub type Versions = BTreeMap<String, String>;

/// Reads it, and says what could not be read.
pub fn read(members: &[Member<'_>], versions: &Versions) -> (Machine, Vec<String>) {
    let mut notes = Vec::new();
    let files: BTreeMap<String, &Member<'_>> =
        members.iter().map(|member| (format!("/{}", member.path), member)).collect();
    let content = |path: &str| files.get(path).map(|member| member.content);
    let description = content(description::PATH).map(Description::from_bytes);
    let plan = content(plan::PATH).map(Plan::from_bytes);
    if matches!(description, Some(Err(_))) || matches!(plan, Some(Err(_))) {
        notes.push("its description was written by another version of Solum".to_owned());
    }
    let (description, plan) = (description.and_then(Result::ok), plan.and_then(Result::ok));
    let executable = |name: &str, path: &str| {
        let member = files.get(path).filter(|member| member.kind == MemberKind::File)?;
        let sha256 = sha256(member.content);
        Some(Executable {
            name: name.to_owned(),
            path: path.to_owned(),
            version: versions.get(&sha256).cloned(),
            size_bytes: member.content.len() as u64,
            sha256,
        })
    };
    let mut machine = Machine::default();
    if let Some(description) = &description {
        describe(&mut machine, description);
    }
    let name_of_init = if description.is_some() { "solum-init" } else { "init" };
    machine.init = executable(name_of_init, INIT_PATH);
    if description.is_none() {
        let own = content(INIT_PATH)
            .and_then(|bytes| executable::inspect(bytes, Architecture::HOST).ok())
            .is_some_and(|found| found.is_machine);
        notes.extend(
            (!own).then(|| "it has no description of a machine: it is not of Solum's making".to_owned()),
        );
    }
    let programs: Vec<(String, String)> = match (&plan, &description) {
        (Some(plan), _) => plan.programs.iter().map(|one| (one.name.clone(), one.path.clone())).collect(),
        (None, Some(one)) => vec![(one.unit.name.clone(), one.unit.path.clone())],
        (None, None) => Vec::new(),
    };
    machine.programs = programs.iter().filter_map(|(name, path)| executable(name, path)).collect();
    match (&plan, &description) {
        (Some(plan), _) => plan_units(&mut machine, plan),
        (None, Some(description)) => machine.units.push(only_unit(&description.unit)),
        (None, None) => {}
    }
    machine.modules = modules(&files, description.as_ref());
    machine.has_ca_certificates = files.contains_key(CERTIFICATES_PATH);
    let is_ours = |path: &str| {
        let own = [INIT_PATH, EVERYWHERE, description::PATH, plan::PATH, CERTIFICATES_PATH, E2FSCK];
        own.contains(&path)
            || path.starts_with(MODULE_DIRECTORY)
            || (path.starts_with(PROGRAM_DIRECTORY) && programs.iter().any(|(_, program)| program == path))
    };
    let users = files.iter().filter(|(path, one)| one.kind != MemberKind::Directory && !is_ours(path));
    machine.files = users.map(|(path, one)| file(path, one)).collect();
    (machine, notes)
}

fn file(path: &str, member: &Member<'_>) -> File {
    let size = if member.kind == MemberKind::File { member.content.len() } else { 0 };
    File { path: path.to_owned(), size_bytes: size as u64 }
}

/// The SHA-256 of bytes, in hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    base16ct::lower::encode_string(&Sha256::digest(bytes))
}

/// In the order in which they are loaded, where that is said.
fn modules(files: &BTreeMap<String, &Member<'_>>, description: Option<&Description>) -> Vec<File> {
    let found = |path: &String| files.get(path).map(|member| file(path, member));
    match description {
        Some(description) => description.modules.iter().filter_map(found).collect(),
        None => files.keys().filter(|path| path.ends_with(".ko")).filter_map(found).collect(),
    }
}

fn describe(machine: &mut Machine, description: &Description) {
    machine.name = Some(description.host_name.clone());
    machine.network = Some(network(&description.network));
    machine.memory_bytes = description.memory_bytes;
    machine.cpus = description.cpus;
    machine.time_servers.clone_from(&description.time_servers);
    let ended = match description.when_ended {
        WhenEnded::PowerOff => "poweroff",
        WhenEnded::Reboot => "reboot",
        WhenEnded::Restart => "restart",
        WhenEnded::Halt => "halt",
    };
    machine.when_ended = Some(ended.to_owned());
    machine.mounts.extend(description.file_systems.iter().map(|one| Mount {
        source: one.source.to_string(),
        path: one.target.clone(),
        kind: one.kind.map(|kind| kind.name()),
        read_only: one.read_only,
        grow: one.grow,
        required: one.required,
    }));
    machine.mounts.extend(description.shares.iter().map(|share| Mount {
        source: "host".to_owned(),
        path: share.target.clone(),
        kind: Some("9p"),
        read_only: share.read_only,
        grow: false,
        required: true,
    }));
}

fn network(network: &Network) -> String {
    match network {
        Network::None => "none".to_owned(),
        Network::Automatic => "dhcp".to_owned(),
        Network::Static(fixed) => {
            let mut text = format!("{}/{}", fixed.address, fixed.prefix);
            fixed.gateway.iter().for_each(|gateway| text += &format!(",gateway={gateway}"));
            fixed.dns.iter().for_each(|server| text += &format!(",dns={server}"));
            text
        }
    }
}

fn only_unit(unit: &description::Unit) -> Unit {
    Unit {
        name: unit.name.clone(),
        program: unit.name.clone(),
        arguments: unit.arguments.clone(),
        environment: unit.environment.iter().map(|(name, _)| name.clone()).collect(),
        root: unit.user_id == 0,
        memory_bytes: None,
        needs: Vec::new(),
        ports: BTreeMap::new(),
    }
}

/// A plan has a secret key in its network, which is not looked at here.
fn plan_units(machine: &mut Machine, plan: &Plan) {
    machine.system = Some(plan.system.clone());
    // Who belongs to a system ends with it, whatever the description says of its one program.
    machine.when_ended = None;
    machine.disks = plan.disks.iter().map(|disk| (disk.name.clone(), disk.bytes)).collect();
    if let Some(SystemNetwork { address, prefix, mac, .. }) = &plan.network {
        machine.network = Some(format!("{address}/{prefix}"));
        machine.mac = Some(mac.map(|byte| format!("{byte:02x}")).join(":"));
    }
    let name_of = |place: usize| plan.units.get(place).map_or(String::new(), |unit| unit.name.clone());
    machine.units.extend(plan.units.iter().map(|unit| {
        Unit {
            name: unit.name.clone(),
            program: plan.programs.get(unit.program).map_or(String::new(), |program| program.name.clone()),
            arguments: unit.arguments.clone(),
            environment: unit.environment.iter().map(|(name, _)| name.clone()).collect(),
            root: unit.root,
            memory_bytes: unit.memory,
            needs: unit.needs.iter().map(|place| name_of(*place)).collect(),
            ports: unit
                .plugs
                .iter()
                .map(|plug| (plug.port.clone(), plug.devices.iter().map(|one| device(plan, *one)).collect()))
                .collect(),
        }
    }));
}

/// As a description writes it.
fn device(plan: &Plan, device: Device) -> String {
    let link = |place: usize| plan.links.get(place);
    let named = match device {
        Device::Disk(place) => plan.disks.get(place).map(|disk| format!("disk.{}", disk.name)),
        Device::Screen(place) => plan.screens.get(place).map(|screen| format!("screen.{}", screen.name)),
        Device::Keys(_) => Some("keys".to_owned()),
        Device::Listener(place) => {
            plan.listeners.get(place).map(|listener| format!("tcp.{}", listener.number))
        }
        Device::Client(place) => link(place).map(|link| format!("asks {} ({})", link.server, link.interface)),
        Device::Server(place) => {
            link(place).map(|link| format!("serves {} ({})", link.client, link.interface))
        }
        Device::Units => Some("units".to_owned()),
    };
    named.unwrap_or_else(|| "unknown".to_owned())
}
