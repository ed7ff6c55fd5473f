//! What one supervisor runs: units, and what they are wired to. Everything is decided; nothing is opened yet.
//!
//! PID 1 reads the plan of its machine from the image; at the place `host` one plan holds the units of all machines.

use serde::{Deserialize, Serialize};

use crate::description::{DescriptionError, GiveUp, Readiness, Restart, Wait};
use crate::network::SystemNetwork;

/// Where the plan lies in the image of a machine that belongs to a system. It holds the machine's secret key, so nobody but
/// PID 1 may read it.
pub const PATH: &str = "/etc/solum/plan";

/// What one supervisor runs. Units name each other, programs, devices and links by their places in these lists.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The name of the system.
    pub system: String,
    /// The executables.
    pub programs: Vec<Program>,
    /// The units, in the order of the description.
    pub units: Vec<Unit>,
    /// The links of which at least one end is here.
    pub links: Vec<Link>,
    /// The disks.
    pub disks: Vec<Disk>,
    /// The screens.
    pub screens: Vec<Screen>,
    /// The keyboards.
    pub keys: Vec<Keys>,
    /// Where units listen for TCP connections.
    pub listeners: Vec<Listener>,
    /// What happens when a unit failed too often.
    pub give_up: GiveUp,
    /// The network to the other machines, if links lead there.
    pub network: Option<SystemNetwork>,
}

/// An executable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    /// Its name in the description.
    pub name: String,
    /// Its absolute path, on the host or in the image.
    pub path: String,
    /// Whether it reaches the world through its ports alone.
    pub ported: bool,
}

/// A program occupying a processing unit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unit {
    /// The machine that it belongs to.
    pub machine: String,
    /// Its name there.
    pub name: String,
    /// Which program it runs first.
    pub program: usize,
    /// Which programs it may be given, its own among them: those that its wiring fits.
    pub fits: Vec<usize>,
    /// Arguments, without the program's own name.
    pub arguments: Vec<String>,
    /// Environment.
    pub environment: Vec<(String, String)>,
    /// What is plugged into its ports.
    pub plugs: Vec<Plug>,
    /// Whether it runs as root.
    pub root: bool,
    /// The most memory it may have, in bytes.
    pub memory: Option<u64>,
    /// The processors that it may run on, by the machine's numbers: those that it has for itself, or those that nobody has
    /// for itself. Any, if none is named.
    pub cores: Vec<usize>,
    /// Units that have to be ready before it starts.
    pub needs: Vec<usize>,
    /// What has to have happened before it starts.
    pub wait: Vec<Wait>,
    /// When it is started again.
    pub restart: Restart,
    /// When it counts as ready.
    pub ready: Readiness,
    /// How long it may take to become ready, in milliseconds.
    pub ready_within_ms: u32,
    /// How long it may take to stop, in milliseconds.
    pub grace_ms: u32,
    /// How much of what it prints is kept, in bytes.
    pub log_bytes: u64,
}

impl Unit {
    /// The name that is unique in the system: `machine.unit`.
    pub fn full_name(&self) -> String {
        format!("{}.{}", self.machine, self.name)
    }
}

/// What is plugged into one port, in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plug {
    /// The port.
    pub port: String,
    /// The devices.
    pub devices: Vec<Device>,
}

/// What is plugged into a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Device {
    /// One of [`Plan::disks`].
    Disk(usize),
    /// One of [`Plan::screens`].
    Screen(usize),
    /// One of [`Plan::keys`].
    Keys(usize),
    /// One of [`Plan::listeners`].
    Listener(usize),
    /// The asking end of one of [`Plan::links`].
    Client(usize),
    /// The answering end of one of [`Plan::links`].
    Server(usize),
    /// The power over the units of its machine.
    Units,
}

/// What two units say to each other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// Who asks: `machine.unit`.
    pub client: String,
    /// Who answers: `machine.unit`.
    pub server: String,
    /// The name of the interface.
    pub interface: String,
    /// Its other end, if that is on another machine.
    pub remote: Option<Remote>,
}

/// The end of a link that is on another machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remote {
    /// The number of the link, the same in the plans of both machines.
    pub id: u32,
    /// The end that is here.
    pub here: End,
    /// The machine of the other.
    pub machine: String,
}

/// One of the two ends of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum End {
    /// The one that asks.
    Client,
    /// The one that answers.
    Server,
}

/// A disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disk {
    /// Its machine.
    pub machine: String,
    /// Its name there.
    pub name: String,
    /// Its capacity in bytes.
    pub bytes: u64,
    /// What it reads and writes at once, in bytes.
    pub block_bytes: u32,
}

/// A screen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Screen {
    /// Its machine.
    pub machine: String,
    /// Its name there.
    pub name: String,
    /// Pixels in a line.
    pub width: u32,
    /// Lines.
    pub height: u32,
}

/// A keyboard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keys {
    /// Its machine.
    pub machine: String,
}

/// Where a unit listens for TCP connections.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listener {
    /// Its machine.
    pub machine: String,
    /// The unit that listens.
    pub unit: String,
    /// The unit's port.
    pub port: String,
    /// The number in the description.
    pub number: u16,
}

impl Plan {
    /// The bytes that go into an image.
    pub fn to_bytes(&self) -> Vec<u8> {
        // Serialising plain structures into memory has no way to fail.
        postcard::to_stdvec(self).unwrap_or_default()
    }

    /// Reads what [`to_bytes`](Self::to_bytes) wrote.
    ///
    /// # Errors
    ///
    /// [`DescriptionError`] for bytes of another version of Solum, for fewer bytes and for more.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DescriptionError> {
        match postcard::take_from_bytes(bytes) {
            Ok((plan, [])) => Ok(plan),
            _ => Err(DescriptionError),
        }
    }

    /// The plans of several machines as one list of what there is, for whoever looks after all of them. A link between two of
    /// them is there twice, once for each end, and no machine's network is.
    pub fn of_all(plans: impl IntoIterator<Item = Self>) -> Self {
        let mut all = Self::default();
        for plan in plans {
            all.add(plan);
        }
        all
    }

    fn add(&mut self, plan: Self) {
        let before = Counts::of(self);
        let units = plan.units.into_iter().map(|mut unit| {
            unit.program += before.programs;
            unit.fits.iter_mut().for_each(|program| *program += before.programs);
            unit.needs.iter_mut().for_each(|needed| *needed += before.units);
            let devices = unit.plugs.iter_mut().flat_map(|plug| &mut plug.devices);
            devices.for_each(|device| *device = before.behind(*device));
            unit
        });
        self.units.extend(units);
        self.system = plan.system;
        self.programs.extend(plan.programs);
        self.links.extend(plan.links);
        self.disks.extend(plan.disks);
        self.screens.extend(plan.screens);
        self.keys.extend(plan.keys);
        self.listeners.extend(plan.listeners);
    }

    /// Whether a unit here has a link to another machine.
    pub fn reaches_out(&self) -> bool {
        self.links.iter().any(|link| link.remote.is_some())
    }

    /// The place of the unit with this full name, or with this name if only one machine has it.
    ///
    /// # Errors
    ///
    /// A sentence that says which units there are.
    pub fn find(&self, name: &str) -> Result<usize, String> {
        let full = self.units.iter().position(|unit| unit.full_name() == name);
        let found = full.or_else(|| {
            let mut same = self.units.iter().enumerate().filter(|(_, unit)| unit.name == name);
            match (same.next(), same.next()) {
                (Some((index, _)), None) => Some(index),
                _ => None,
            }
        });
        found.ok_or_else(|| {
            let names: Vec<String> = self.units.iter().map(Unit::full_name).collect();
            format!("there is no unit `{name}`, or several machines have it; there are {}", names.join(", "))
        })
    }
}

/// How much of everything there is in a plan, before more is put behind it.
struct Counts {
    programs: usize,
    units: usize,
    links: usize,
    disks: usize,
    screens: usize,
    keys: usize,
    listeners: usize,
}

impl Counts {
    fn of(plan: &Plan) -> Self {
        Self {
            programs: plan.programs.len(),
            units: plan.units.len(),
            links: plan.links.len(),
            disks: plan.disks.len(),
            screens: plan.screens.len(),
            keys: plan.keys.len(),
            listeners: plan.listeners.len(),
        }
    }

    /// What a device is called that is put behind these.
    fn behind(&self, device: Device) -> Device {
        match device {
            Device::Disk(place) => Device::Disk(self.disks + place),
            Device::Screen(place) => Device::Screen(self.screens + place),
            Device::Keys(place) => Device::Keys(self.keys + place),
            Device::Listener(place) => Device::Listener(self.listeners + place),
            Device::Client(place) => Device::Client(self.links + place),
            Device::Server(place) => Device::Server(self.links + place),
            Device::Units => Device::Units,
        }
    }
}

impl Screen {
    /// The name that is unique in the system: `machine.screen`.
    pub fn full_name(&self) -> String {
        format!("{}.{}", self.machine, self.name)
    }
}

impl Listener {
    /// The name that is unique in the system: `machine.unit.port`.
    pub fn full_name(&self) -> String {
        format!("{}.{}.{}", self.machine, self.unit, self.port)
    }
}
