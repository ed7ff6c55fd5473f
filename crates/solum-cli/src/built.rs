//! A system whose programs are built: what the image of each of its machines is made of.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use solum_image::initramfs;
use solum_link::stream::{KeyPair, SecretKey};
use solum_spec::Bundle;
use solum_spec::description::{DEFAULT_USER_ID, Description, Network, Unit, Wait};
use solum_spec::network::{Keys, Secret};
use solum_spec::plan::{self, Plan};
use solum_spec::system::{Asset, Machine, System};

use crate::arguments::Inside;
use crate::assemble::Contents;
use crate::exit_code::ExitCode;
use crate::failure::{Failure, reason};
use crate::program::Found;
use crate::running::{STATE, state_directory};
use crate::system::Executables;
use crate::{bundle, certificates};

/// The file with the keys of a system's machines, in its state directory.
const KEYS: &str = "keys";

/// A system and all that its machines' images are made of.
pub struct Built<'a> {
    directory: &'a Path,
    system: &'a System,
    executables: Executables,
    /// Where each program is in a machine.
    paths: BTreeMap<String, String>,
    init: Vec<u8>,
    /// Of each machine, in the order of the description.
    keys: Vec<Keys>,
}

impl<'a> Built<'a> {
    /// Takes the parts together. `keys` are those of all machines, in their order.
    pub fn new(
        directory: &'a Path,
        system: &'a System,
        executables: Executables,
        init: Vec<u8>,
        keys: Vec<Keys>,
    ) -> Self {
        let path = |program: &solum_spec::system::Program| {
            (program.name.clone(), initramfs::program_path(&program.name))
        };
        let paths = system.programs.iter().map(path).collect();
        Self { directory, system, executables, paths, init, keys }
    }

    /// The directory from which the description's paths are seen.
    pub fn directory(&self) -> &Path {
        self.directory
    }

    /// PID 1.
    pub fn init(&self) -> &[u8] {
        &self.init
    }

    /// The programs of a plan.
    pub fn programs<'b>(&'b self, plan: &'b Plan) -> impl Iterator<Item = &'b Found> {
        let used: BTreeSet<usize> = plan.units.iter().map(|unit| unit.program).collect();
        used.into_iter().filter_map(|program| self.executables.get(&plan.programs.get(program)?.name))
    }

    /// What one supervisor would run that had the units of all machines.
    pub fn whole_plan(&self) -> Plan {
        let everything: Vec<&Machine> = self.system.machines.iter().collect();
        self.system.plan(&everything, &self.paths)
    }

    /// What the supervisor of a machine runs.
    pub fn plan(&self, machine: &Machine) -> Plan {
        let mut plan = self.system.plan(&[machine], &self.paths);
        plan.network = self.system.network(machine, &self.keys);
        plan
    }

    /// What goes into the initramfs of a machine, still without modules.
    pub fn contents(&self, machine: &Machine, plan: Plan, inside: &Inside) -> Result<Contents, Failure> {
        let used: BTreeSet<usize> = plan.units.iter().map(|unit| unit.program).collect();
        let programs = used.into_iter().filter_map(|program| {
            let program = plan.programs.get(program)?;
            Some((program.path.clone(), self.executables.get(&program.name)?.bytes.clone()))
        });
        let programs = programs.collect();
        let description = Description {
            host_name: machine.host_name.clone(),
            modules: Vec::new(),
            shares: Vec::new(),
            file_systems: machine.file_systems.clone(),
            network: if needs_network(&plan) { Network::Automatic } else { Network::None },
            time_servers: inside.time_servers.clone(),
            when_ended: machine.when_ended,
            memory_bytes: Some(machine.memory.as_bytes()),
            cpus: Some(machine.cores),
            unit: no_unit(),
        };
        let assets = bundle::read_either(self.assets(machine))?;
        let executables = self.programs(&plan).map(|found| &*found.bytes);
        let provided = certificates::wanted(inside.ca_certificates, executables, &assets)?;
        Ok(Contents::of_machine(description, plan, self.init.clone(), programs, provided, assets))
    }

    /// What the machine's units find there. Two of them may want the same.
    fn assets(&self, machine: &Machine) -> Vec<Bundle> {
        let mut assets: Vec<&Asset> = Vec::new();
        for asset in machine.units.iter().flat_map(|unit| &unit.assets) {
            if !assets.contains(&asset) {
                assets.push(asset);
            }
        }
        let from = |asset: &Asset| Bundle {
            source: self.directory.join(&asset.source),
            target: asset.target.clone(),
        };
        assets.into_iter().map(from).collect()
    }
}

/// Whether a machine has to be reached, or its programs may want to reach something.
pub fn needs_network(plan: &Plan) -> bool {
    let waits = plan
        .units
        .iter()
        .any(|unit| unit.wait.iter().any(|wait| matches!(wait, Wait::Network | Wait::Clock)));
    let is_plain = |unit: &plan::Unit| plan.programs.get(unit.program).is_some_and(|program| !program.ported);
    waits || !plan.listeners.is_empty() || plan.units.iter().any(is_plain)
}

/// A machine of a system has a plan instead of a single unit.
fn no_unit() -> Unit {
    Unit {
        name: String::new(),
        path: String::new(),
        arguments: Vec::new(),
        environment: Vec::new(),
        user_id: DEFAULT_USER_ID,
        wait: Vec::new(),
        grace_ms: 0,
    }
}

/// Keys that live as long as this run.
pub fn new_keys(system: &System) -> Result<Vec<Keys>, Failure> {
    let generated = system.machines.iter().map(|_| Ok(keys(KeyPair::generate()?)));
    generated.collect::<io::Result<_>>().map_err(|error| {
        Failure::new(ExitCode::HostRefuses, format_args!("no keys for the machines: {}", reason(&error)))
    })
}

fn keys(pair: KeyPair) -> Keys {
    Keys { secret: Secret(pair.secret.to_bytes()), public: pair.public.to_bytes() }
}

/// The keys by which the images of a system know each other, from a file that is made with the first image: images that
/// are built later must fit those that run, and the same inputs must give the same bytes. `elsewhere` is a directory in place of
/// the system's own.
pub fn kept_keys(system: &System, directory: &Path, elsewhere: Option<&Path>) -> Result<Vec<Keys>, Failure> {
    if system.machines.len() < 2 {
        // Nobody else knows them, and they are not in the image.
        return new_keys(system);
    }
    let state = elsewhere.map_or_else(|| state_directory(directory), |elsewhere| Ok(elsewhere.to_owned()))?;
    let path = state.join(KEYS);
    // Two first builds at once would make two sets, and the images of one of them would know nobody. It ends with this function.
    let _locked = fs::File::open(&state)
        .and_then(|state| state.lock().map(|()| state))
        .map_err(|error| Failure::file("cannot lock", &state, &error))?;
    let kept = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(Failure::file("cannot read", &path, &error)),
    };
    let mut known: BTreeMap<String, SecretKey> = BTreeMap::new();
    for line in kept.lines() {
        let key = line.split_once(' ').and_then(|(name, hex)| Some((name, secret(hex)?)));
        let (name, key) = key.ok_or_else(|| {
            let message = format!("{} does not hold keys, or not whole ones", path.display());
            Failure::new(ExitCode::UnusableInput, message).hint(
                "remove it to have new ones; images that were built with the old ones then fit no new one"
                    .to_owned(),
            )
        })?;
        known.insert(name.to_owned(), key);
    }
    let mut all = Vec::new();
    let mut has_new = false;
    for machine in &system.machines {
        let pair = match known.remove(&machine.name) {
            Some(secret) => KeyPair { public: secret.public(), secret },
            None => {
                has_new = true;
                KeyPair::generate().map_err(|error| Failure::file("cannot make keys for", &path, &error))?
            }
        };
        all.push((machine.name.clone(), keys(pair)));
    }
    if has_new {
        write_keys(&path, &all).map_err(|error| Failure::file("cannot write", &path, &error))?;
    }
    Ok(all.into_iter().map(|(_, keys)| keys).collect())
}

/// Puts the keys that a system has, if it has any, into another directory.
pub fn copy_keys(directory: &Path, elsewhere: &Path) -> Result<(), Failure> {
    let path = directory.join(STATE).join(KEYS);
    match fs::copy(&path, elsewhere.join(KEYS)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Failure::file("cannot read", &path, &error))
        }
        _ => Ok(()),
    }
}

fn secret(hex: &str) -> Option<SecretKey> {
    Some(SecretKey::from_bytes(base16ct::lower::decode_vec(hex).ok()?.try_into().ok()?))
}

/// Nobody but the user may read them, and a file that is cut off is worse than none.
fn write_keys(path: &Path, keys: &[(String, Keys)]) -> io::Result<()> {
    let hex = |keys: &Keys| base16ct::lower::encode_string(&keys.secret.0);
    let text: String = keys.iter().map(|(name, keys)| format!("{name} {}\n", hex(keys))).collect();
    let beside = path.with_extension("new");
    let mut file =
        fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&beside, path)
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use solum_spec::system::Draft;

    use super::*;

    fn two_machines() -> System {
        let text = "[system]\nname = \"s\"\n[program.p]\nfile = \"p\"\n\
                    [machine.a.unit.x]\nprogram = \"p\"\n[machine.b.unit.y]\nprogram = \"p\"\n";
        let programs = BTreeMap::from([("p".to_owned(), None)]);
        Draft::read(text).unwrap().wire(&programs).unwrap()
    }

    fn public(keys: Vec<Keys>) -> Vec<[u8; 32]> {
        keys.into_iter().map(|keys| keys.public).collect()
    }

    #[test]
    fn keys_elsewhere_are_those_that_are_kept_or_others_that_are_not() {
        let system = two_machines();
        let places = [(); 3].map(|()| tempfile::tempdir().unwrap());
        let [directory, before, after] = &places;
        let elsewhere = |place: &tempfile::TempDir| {
            copy_keys(directory.path(), place.path()).unwrap();
            public(kept_keys(&system, directory.path(), Some(place.path())).unwrap())
        };
        let made = elsewhere(before);
        assert_eq!(made, elsewhere(before));
        assert!(!directory.path().join(STATE).exists());
        let kept = public(kept_keys(&system, directory.path(), None).unwrap());
        assert_eq!(elsewhere(after), kept);
        assert_ne!(made, kept);
    }

    #[test]
    fn builds_at_the_same_time_have_the_same_keys() {
        const BUILDS: usize = 8;
        let directory = tempfile::tempdir().unwrap();
        let system = two_machines();
        let together = Barrier::new(BUILDS);
        let build = || {
            together.wait();
            public(kept_keys(&system, directory.path(), None).unwrap())
        };
        let all: Vec<_> = std::thread::scope(|scope| {
            let running: Vec<_> = (0..BUILDS).map(|_| scope.spawn(build)).collect();
            running.into_iter().map(|running| running.join().unwrap()).collect()
        });
        assert!(all.iter().all(|keys| keys.len() == 2 && *keys == all[0]), "{all:?}");
    }
}
