//! The system as a picture: machines as boxes, units and devices in them, links between ports.
//!
//! Machines that are alike are drawn once. The picture is a function of the system, to the byte.

mod layered;
mod svg;
mod text;

use std::collections::BTreeMap;

use super::draft::{Draft, Group};
use super::target::{MachineTarget, Target, Which};
use super::{Device, Disk, Machine, Screen, System};
use crate::ByteSize;
use crate::ports::Direction;

/// A picture of a system, in no language yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Graph {
    name: String,
    machines: Vec<Frame>,
    lines: Vec<Line>,
}

/// A machine, or several that are alike.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Frame {
    name: String,
    count: Option<u32>,
    /// Memory and cores.
    detail: String,
    nodes: Vec<Node>,
}

/// A unit or a device.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Node {
    kind: Kind,
    name: String,
    detail: String,
    /// Ports through which it is asked; a disk has one without a name.
    left: Vec<String>,
    /// Ports through which it asks.
    right: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Unit,
    Disk,
    Screen,
    Keys,
    Tcp,
}

impl Kind {
    /// Something comes in through it.
    const fn is_input(self) -> bool {
        matches!(self, Self::Keys | Self::Tcp)
    }
}

/// Something is plugged in: from a port that asks to a port that is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Line {
    from: Pin,
    to: Pin,
    /// The interface, where units speak it.
    label: String,
    /// It leaves the machine.
    is_remote: bool,
}

/// A port of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Pin {
    machine: usize,
    node: usize,
    port: usize,
}

impl Graph {
    /// The picture of a system, with every port and interface.
    pub fn of_system(system: &System) -> Self {
        // The first of machines that are alike stands for all of them.
        let shown: Vec<&Machine> =
            system.machines.iter().filter(|machine| machine.number.unwrap_or(0) == 0).collect();
        let mut builder = Builder::default();
        for machine in &shown {
            let alike = system.machines.iter().filter(|other| other.group == machine.group).count();
            builder.frame(machine, machine.number.map(|_| u32::try_from(alike).unwrap_or(u32::MAX)));
            for unit in &machine.units {
                builder.unit(&machine.group, &unit.name, &unit.program);
                for plug in unit.plugs.iter().filter(|plug| plug.direction == Direction::Serves) {
                    builder.served((&machine.group, &unit.name), &plug.port);
                }
            }
        }
        let group = |name: &str| system.machine(name).map_or(String::new(), |machine| machine.group.clone());
        for machine in &shown {
            for unit in &machine.units {
                let own = (machine.group.as_str(), unit.name.as_str());
                for plug in unit.plugs.iter().filter(|plug| plug.direction == Direction::Uses) {
                    let mut servers: BTreeMap<(usize, String, &str, &str), u32> = BTreeMap::new();
                    for (index, device) in plug.devices.iter().enumerate() {
                        let Device::Link(link) = device else {
                            builder.device(own, &plug.port, device);
                            continue;
                        };
                        let Some(link) = system.links.get(*link) else { continue };
                        let server = &link.server;
                        // In the order of the plugs, and each server once.
                        let group = group(&server.machine);
                        let key = (server.unit.as_str(), server.port.as_str());
                        let known = servers
                            .keys()
                            .find(|(_, name, unit, port)| *name == group && (*unit, *port) == key);
                        let place = known.map_or(index, |(place, ..)| *place);
                        *servers.entry((place, group, key.0, key.1)).or_default() += 1;
                    }
                    for ((_, group, unit, port), count) in servers {
                        let times = if count > 1 { format!(" × {count}") } else { String::new() };
                        let is_remote = group != machine.group || count > 1;
                        let label = format!("{}{times}", plug.interface.name);
                        builder.link(own, &plug.port, (&group, unit, port), label, is_remote);
                    }
                }
            }
        }
        builder.graph(&system.name)
    }

    /// The picture of a description alone: without the interfaces, and without ports that nothing is plugged into.
    pub fn of_draft(draft: &Draft) -> Self {
        let mut builder = Builder::default();
        for group in &draft.groups {
            builder.frame(&group.machine, group.count);
            for unit in &group.units {
                builder.unit(&group.name.value, &unit.name.value, &unit.program.value);
            }
        }
        for group in &draft.groups {
            for unit in &group.units {
                let own = (group.name.value.as_str(), unit.name.value.as_str());
                for plug in &unit.plugs {
                    for target in &plug.targets {
                        plugged(&mut builder, draft, group, own, &plug.port.value, &target.value);
                    }
                }
            }
        }
        builder.graph(&draft.name)
    }
}

fn plugged(
    builder: &mut Builder,
    draft: &Draft,
    group: &Group,
    own: (&str, &str),
    port: &str,
    target: &Target,
) {
    let device = match target {
        Target::Disk(name) => Device::Disk(name.clone()),
        Target::Screen(name) => Device::Screen(name.clone()),
        Target::Keys => Device::Keys,
        Target::Tcp(number) => Device::Tcp(*number),
        Target::Unit { machine, unit, port: server } => {
            let name = machine.as_ref().map_or(&group.name.value, |machine| &machine.name);
            let is_all = matches!(machine, Some(MachineTarget { which: Which::All, .. }));
            let count =
                draft.groups.iter().find(|group| group.name.value == *name).and_then(|group| group.count);
            let label = count.filter(|_| is_all).map_or_else(String::new, |count| format!("× {count}"));
            let is_remote = *name != group.name.value || is_all;
            builder.link(own, port, (name, unit, server), label, is_remote);
            return;
        }
    };
    builder.device(own, port, &device);
}

/// Collects nodes, by their names.
#[derive(Default)]
struct Builder {
    machines: Vec<Frame>,
    lines: Vec<Line>,
}

impl Builder {
    fn frame(&mut self, machine: &Machine, count: Option<u32>) {
        let cores = if machine.cores == 1 { "1 core".to_owned() } else { format!("{} cores", machine.cores) };
        let mut nodes = Vec::new();
        for Disk { name, bytes, .. } in &machine.disks {
            nodes.push(Node {
                kind: Kind::Disk,
                name: format!("disk.{name}"),
                detail: ByteSize::bytes(*bytes).to_string(),
                left: vec![String::new()],
                right: Vec::new(),
            });
        }
        for Screen { name, width, height } in &machine.screens {
            nodes.push(Node {
                kind: Kind::Screen,
                name: format!("screen.{name}"),
                detail: format!("{width} × {height}"),
                left: vec![String::new()],
                right: Vec::new(),
            });
        }
        if machine.keys {
            let right = vec![String::new()];
            nodes.push(Node {
                kind: Kind::Keys,
                name: "keys".into(),
                detail: "keyboard".into(),
                left: Vec::new(),
                right,
            });
        }
        self.machines.push(Frame {
            name: machine.group.clone(),
            count,
            detail: format!("{} · {cores}{}", machine.memory, if count.is_some() { " each" } else { "" }),
            nodes,
        });
    }

    fn unit(&mut self, machine: &str, name: &str, program: &str) {
        let Some(frame) = self.machines.iter_mut().find(|frame| frame.name == machine) else { return };
        let detail = if name == program { String::new() } else { program.to_owned() };
        let (left, right) = (Vec::new(), Vec::new());
        frame.nodes.push(Node { kind: Kind::Unit, name: name.to_owned(), detail, left, right });
    }

    /// The place of a node, if there is one with this name that is (or is not) a unit.
    fn place(&self, machine: &str, is_unit: bool, name: &str) -> Option<(usize, usize)> {
        let number = self.machines.iter().position(|frame| frame.name == machine)?;
        let is_it = |node: &Node| (node.kind == Kind::Unit) == is_unit && node.name == name;
        Some((number, self.machines[number].nodes.iter().position(is_it)?))
    }

    fn pin(&mut self, (machine, node): (usize, usize), is_left: bool, port: &str) -> Pin {
        let found = &mut self.machines[machine].nodes[node];
        let ports = if is_left { &mut found.left } else { &mut found.right };
        let port = ports.iter().position(|known| known == port).unwrap_or_else(|| {
            ports.push(port.to_owned());
            ports.len() - 1
        });
        Pin { machine, node, port }
    }

    fn served(&mut self, (machine, unit): (&str, &str), port: &str) {
        if let Some(place) = self.place(machine, true, unit) {
            self.pin(place, true, port);
        }
    }

    fn link(
        &mut self,
        own: (&str, &str),
        port: &str,
        server: (&str, &str, &str),
        label: String,
        is_remote: bool,
    ) {
        let client = self.place(own.0, true, own.1);
        let (Some(client), Some(place)) = (client, self.place(server.0, true, server.1)) else { return };
        let (from, to) = (self.pin(client, false, port), self.pin(place, true, server.2));
        self.lines.push(Line { from, to, label, is_remote });
    }

    /// What comes in (keys, requests) is drawn before the unit, what goes out (blocks, pixels) behind it.
    fn device(&mut self, own: (&str, &str), port: &str, device: &Device) {
        let (name, is_input) = match device {
            Device::Disk(name) => (format!("disk.{name}"), false),
            Device::Screen(name) => (format!("screen.{name}"), false),
            Device::Keys => ("keys".to_owned(), true),
            Device::Tcp(number) => (format!("tcp.{number}"), true),
            // Not things that are drawn: every unit has them, or they are the supervisor's.
            Device::Units | Device::Link(_) => return,
        };
        if self.place(own.0, false, &name).is_none()
            && let Some(frame) = self.machines.iter_mut().find(|frame| frame.name == own.0)
        {
            let right = vec![String::new()];
            let name = name.clone();
            frame.nodes.push(Node { kind: Kind::Tcp, name, detail: String::new(), left: Vec::new(), right });
        }
        let unit = self.place(own.0, true, own.1);
        let (Some(unit), Some(place)) = (unit, self.place(own.0, false, &name)) else { return };
        let (from, to) = if is_input {
            (self.pin(place, false, ""), self.pin(unit, true, port))
        } else {
            (self.pin(unit, false, port), self.pin(place, true, ""))
        };
        self.lines.push(Line { from, to, label: String::new(), is_remote: false });
    }

    fn graph(self, name: &str) -> Graph {
        Graph { name: name.to_owned(), machines: self.machines, lines: self.lines }
    }
}
