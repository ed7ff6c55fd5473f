//! From a system to what each supervisor runs.

use std::collections::BTreeMap;

use super::fitting::fits;
use super::{Device, Machine, System, Unit};
use crate::description::GiveUp;
use crate::network::{self, Keys, SystemNetwork};
use crate::plan::{self, Plan};
use crate::ports::Direction;

impl System {
    /// What a supervisor runs that has the units of these machines. `paths` tells where each program's executable is, there.
    pub fn plan(&self, machines: &[&Machine], paths: &BTreeMap<String, String>) -> Plan {
        let here = machines.iter().map(|machine| machine.name.as_str()).collect();
        let mut planner = Planner { system: self, here, plan: Plan::default(), links: BTreeMap::new() };
        planner.plan.system.clone_from(&self.name);
        planner.plan.programs = self.programs.iter().map(|program| planned_program(program, paths)).collect();
        // One supervisor of several machines is a workstation's: it is not started anew for one of them.
        planner.plan.give_up = match machines {
            [machine] => machine.give_up,
            _ => GiveUp::Degrade,
        };
        for machine in machines {
            planner.machine(machine);
        }
        planner.plan
    }

    /// The place of a machine in the network of its system: nothing, if there is no other machine. `keys` are those of all
    /// machines, in their order. Of the others the image learns public halves only, and of its peers alone.
    pub fn network(&self, machine: &Machine, keys: &[Keys]) -> Option<SystemNetwork> {
        let place = |name: &str| self.machines.iter().position(|machine| machine.name == name);
        let own = place(&machine.name)?;
        if self.machines.len() < 2 {
            return None;
        }
        let ends =
            self.links.iter().flat_map(|link| [(&link.client, &link.server), (&link.server, &link.client)]);
        let mut names: Vec<&str> = ends
            .filter(|(here, there)| here.machine == machine.name && there.machine != machine.name)
            .map(|(_, there)| there.machine.as_str())
            .collect();
        names.sort_unstable();
        names.dedup();
        let peer = |name: &str| {
            let place = place(name)?;
            let public = keys.get(place)?.public;
            Some(network::Peer { machine: name.to_owned(), address: network::address(place)?, public })
        };
        let host =
            |(place, machine): (usize, &Machine)| Some((machine.host_name.clone(), network::address(place)?));
        Some(SystemNetwork {
            address: network::address(own)?,
            prefix: network::PREFIX,
            mac: network::mac(own)?,
            hosts: self.machines.iter().enumerate().filter_map(host).collect(),
            port: network::LINK_PORT,
            secret: keys.get(own)?.secret.clone(),
            peers: names.into_iter().filter_map(peer).collect(),
        })
    }
}

fn planned_program(program: &super::Program, paths: &BTreeMap<String, String>) -> plan::Program {
    plan::Program {
        name: program.name.clone(),
        path: paths.get(&program.name).cloned().unwrap_or_default(),
        ported: program.ports.is_some(),
    }
}

struct Planner<'a> {
    system: &'a System,
    /// The machines whose units are in the plan.
    here: Vec<&'a str>,
    plan: Plan,
    /// Places in the plan, by places in the system.
    links: BTreeMap<usize, usize>,
}

impl Planner<'_> {
    fn machine(&mut self, machine: &Machine) {
        let first_unit = self.plan.units.len();
        self.plan.disks.extend(machine.disks.iter().map(|disk| plan::Disk {
            machine: machine.name.clone(),
            name: disk.name.clone(),
            bytes: disk.bytes,
            block_bytes: disk.block_bytes,
        }));
        self.plan.screens.extend(machine.screens.iter().map(|screen| plan::Screen {
            machine: machine.name.clone(),
            name: screen.name.clone(),
            width: screen.width,
            height: screen.height,
        }));
        if machine.keys {
            self.plan.keys.push(plan::Keys { machine: machine.name.clone() });
        }
        let own = |unit: &Unit| usize::from(unit.cores.unwrap_or(0));
        let reserved: usize = machine.units.iter().map(own).sum();
        let shared = if reserved == 0 { 0..0 } else { reserved..usize::from(machine.cores) };
        let mut next_core = 0;
        for unit in &machine.units {
            let needs = unit
                .needs
                .iter()
                .filter_map(|need| machine.units.iter().position(|unit| unit.name == *need))
                .map(|place| first_unit + place)
                .collect();
            let cores = if unit.cores.is_some() { next_core..next_core + own(unit) } else { shared.clone() };
            next_core += own(unit);
            let planned = self.unit(machine, unit, needs, cores.collect());
            self.plan.units.push(planned);
        }
    }

    fn unit(&mut self, machine: &Machine, unit: &Unit, needs: Vec<usize>, cores: Vec<usize>) -> plan::Unit {
        let plugs = unit
            .plugs
            .iter()
            .map(|plug| plan::Plug {
                port: plug.port.clone(),
                devices: plug
                    .devices
                    .iter()
                    .filter_map(|device| self.device(machine, unit, plug, device))
                    .collect(),
            })
            .collect();
        let programs = &self.system.programs;
        let program = programs.iter().position(|program| program.name == unit.program);
        let fits = program.and_then(|own| programs.get(own)).map(|own| {
            let places = programs.iter().enumerate();
            places.filter(|(_, other)| fits(unit, own, other)).map(|(place, _)| place).collect()
        });
        plan::Unit {
            machine: machine.name.clone(),
            name: unit.name.clone(),
            // A system that fits together has the program of each unit.
            program: program.unwrap_or_default(),
            fits: fits.unwrap_or_default(),
            arguments: unit.arguments.clone(),
            environment: unit.environment.clone(),
            plugs,
            root: unit.root,
            memory: unit.memory.map(crate::ByteSize::as_bytes),
            cores,
            needs,
            wait: unit.wait.clone(),
            restart: unit.restart,
            ready: unit.ready,
            ready_within_ms: unit.ready_within_ms,
            grace_ms: unit.grace_ms,
            log_bytes: unit.log.as_bytes(),
        }
    }

    fn device(
        &mut self,
        machine: &Machine,
        unit: &Unit,
        plug: &super::Plug,
        device: &Device,
    ) -> Option<plan::Device> {
        let here = |owner: &str| owner == machine.name;
        Some(match device {
            Device::Disk(name) => plan::Device::Disk(
                self.plan.disks.iter().position(|disk| here(&disk.machine) && disk.name == *name)?,
            ),
            Device::Screen(name) => plan::Device::Screen(
                self.plan.screens.iter().position(|screen| here(&screen.machine) && screen.name == *name)?,
            ),
            Device::Keys => plan::Device::Keys(self.plan.keys.iter().position(|keys| here(&keys.machine))?),
            Device::Tcp(number) => {
                self.plan.listeners.push(plan::Listener {
                    machine: machine.name.clone(),
                    unit: unit.name.clone(),
                    port: plug.port.clone(),
                    number: *number,
                });
                plan::Device::Listener(self.plan.listeners.len() - 1)
            }
            Device::Units => plan::Device::Units,
            Device::Link(link) => {
                let place = self.link(*link)?;
                match plug.direction {
                    Direction::Uses => plan::Device::Client(place),
                    Direction::Serves => plan::Device::Server(place),
                }
            }
        })
    }

    fn link(&mut self, index: usize) -> Option<usize> {
        let link = self.system.links.get(index)?;
        let is_here = |end: &super::End| self.here.contains(&end.machine.as_str());
        let id = u32::try_from(index).ok()?;
        let remote = |here, there: &super::End| plan::Remote { id, here, machine: there.machine.clone() };
        let remote = match (is_here(&link.client), is_here(&link.server)) {
            (true, false) => Some(remote(plan::End::Client, &link.server)),
            (false, true) => Some(remote(plan::End::Server, &link.client)),
            _ => None,
        };
        let plan = &mut self.plan;
        Some(*self.links.entry(index).or_insert_with(|| {
            plan.links.push(plan::Link {
                client: link.client.to_string(),
                server: link.server.to_string(),
                interface: link.interface.name.clone(),
                remote,
            });
            plan.links.len() - 1
        }))
    }
}
