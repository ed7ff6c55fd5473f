//! The second step: every plug against the ports that programs declare.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use super::diagnostic::Diagnostic;
use super::draft::{Draft, DraftPlug, DraftUnit, Group, in_order};
use super::names::host_name;
use super::raw::Located;
use super::suggest::hint;
use super::target::{Target, Which};
use super::{Device, End, Link, Machine, Plug, Program, System, Unit};
use crate::description::Readiness;
use crate::ports::{Count, Declaration, Direction, Interface};

/// Each program's ports by its name, as its executable declares them; `None` for a plain program.
pub type Ports = BTreeMap<String, Option<Vec<Declaration>>>;

/// Built-in interfaces that need not be plugged in.
const BY_THEMSELVES: [&str; 5] = ["clock", "entropy", "console", "health", "units"];

/// Built-in interfaces through which a program answers others, and is ready when it first waits to be asked.
const ANSWERING: [&str; 2] = ["http", "tcp"];

impl Draft {
    /// Checks every plug against the ports that programs declare. A program that `ports` does not name is plain.
    ///
    /// # Errors
    ///
    /// Everything that is wrong, in the order of the text.
    pub fn wire(&self, ports: &Ports) -> Result<System, Vec<Diagnostic>> {
        let mut check = Check { draft: self, ports, diagnostics: Vec::new() };
        for group in &self.groups {
            for unit in &group.units {
                check.unit(group, unit);
            }
        }
        if !check.diagnostics.is_empty() {
            return Err(in_order(check.diagnostics));
        }
        let system = check.system();
        if check.diagnostics.is_empty() { Ok(system) } else { Err(in_order(check.diagnostics)) }
    }

    fn group(&self, name: &str) -> Option<&Group> {
        self.groups.iter().find(|group| group.name.value == name)
    }
}

struct Check<'a> {
    draft: &'a Draft,
    ports: &'a Ports,
    diagnostics: Vec<Diagnostic>,
}

impl<'a> Check<'a> {
    fn wrong(&mut self, diagnostic: Diagnostic) {
        self.diagnostics.push(diagnostic);
    }

    /// The ports of a unit's program; `None` if it is plain.
    fn ports_of(&self, unit: &DraftUnit) -> Option<&'a [Declaration]> {
        self.ports.get(&unit.program.value)?.as_deref()
    }

    fn unit(&mut self, group: &Group, unit: &DraftUnit) {
        match self.ports_of(unit) {
            None => self.plain(unit),
            Some(declared) => self.ported(group, unit, declared),
        }
    }

    fn plain(&mut self, unit: &DraftUnit) {
        let program = &unit.program.value;
        for plug in &unit.plugs {
            self.wrong(
                Diagnostic::new(
                    plug.port.span.clone(),
                    format!("program `{program}` is plain, and has no ports"),
                )
                .related(unit.program.span.clone(), "the program")
                .hint("only Rust programs made with the `solum` SDK have ports; leave it out".to_owned()),
            );
        }
        if let Some(Located { span, value: Readiness::Told }) = &unit.ready {
            let message = format!("program `{program}` is plain, and cannot say that it is ready");
            self.wrong(Diagnostic::new(span.clone(), message).hint("write `ready = \"start\"`".to_owned()));
        }
    }

    fn ported(&mut self, group: &Group, unit: &DraftUnit, declared: &[Declaration]) {
        let program = &unit.program.value;
        for (at, what) in [(&unit.assets_at, "opens no files"), (&unit.root_at, "never runs as root")] {
            if let Some(at) = at {
                let message = format!("program `{program}` has ports, so it {what}");
                self.wrong(
                    Diagnostic::new(at.clone(), message)
                        .hint("leave it out; it is for plain programs".to_owned()),
                );
            }
        }
        for plug in &unit.plugs {
            match declared.iter().find(|port| port.name == plug.port.value) {
                None => {
                    let known = declared.iter().map(|port| port.name.as_str());
                    let message = format!("program `{program}` has no port `{}`", plug.port.value);
                    self.wrong(Diagnostic::new(plug.port.span.clone(), message).hint(hint(
                        &plug.port.value,
                        known,
                        "it has",
                    )));
                }
                Some(port) => self.plug(group, unit, plug, port),
            }
        }
        for port in declared {
            let is_wanted = port.direction == Direction::Uses
                && port.count != Count::Optional
                && !BY_THEMSELVES.contains(&port.interface.name.as_str());
            if is_wanted && !unit.plugs.iter().any(|plug| plug.port.value == port.name) {
                let message =
                    format!("unit `{}` has nothing plugged into its port `{}`", unit.name.value, port.name);
                let label = format!("`{program}` asks for {}", shown(port));
                self.wrong(
                    Diagnostic::new(unit.name.span.clone(), message).label(label).hint(plug_hint(port)),
                );
            }
        }
    }

    fn plug(&mut self, group: &Group, unit: &DraftUnit, plug: &DraftPlug, port: &Declaration) {
        let name = &port.name;
        let message = if port.direction == Direction::Serves {
            format!(
                "port `{name}` of program `{}` serves, and nothing is plugged into it",
                unit.program.value
            )
        } else if BY_THEMSELVES.contains(&port.interface.name.as_str()) {
            format!("port `{name}` is a `{}`, which comes by itself", port.interface.name)
        } else {
            self.count(plug, port);
            for target in &plug.targets {
                self.target(group, port, target);
            }
            return;
        };
        let hint = match port.direction {
            Direction::Serves => {
                format!("leave it out here; other units name it as `{}.{name}`", unit.name.value)
            }
            Direction::Uses => "leave it out".to_owned(),
        };
        self.wrong(Diagnostic::new(plug.port.span.clone(), message).hint(hint));
    }

    fn count(&mut self, plug: &DraftPlug, port: &Declaration) {
        let name = &port.name;
        let all = plug.targets.iter().find(|target| {
            matches!(&target.value, Target::Unit { machine: Some(machine), .. } if machine.which == Which::All)
        });
        let wrong = match (port.count, plug.targets.as_slice(), all) {
            (Count::Many, ..) => return,
            (_, _, Some(all)) => Diagnostic::new(
                all.span.clone(),
                format!("port `{name}` takes one `{}`, and this is one of each machine", port.interface.name),
            )
            .hint("write the number of one machine in place of `*`".to_owned()),
            (Count::One, [], _) => {
                Diagnostic::new(plug.at.clone(), format!("nothing is plugged into port `{name}`"))
                    .hint(plug_hint(port))
            }
            (_, [_, second, ..], _) => Diagnostic::new(
                second.span.clone(),
                format!(
                    "port `{name}` takes one `{}`, and {} are plugged in",
                    port.interface.name,
                    plug.targets.len()
                ),
            )
            .hint("leave all but one of them out".to_owned()),
            _ => return,
        };
        self.wrong(wrong);
    }

    fn target(&mut self, group: &Group, port: &Declaration, target: &Located<Target>) {
        let wanted = port.interface.name.as_str();
        let (found, what) = match &target.value {
            Target::Disk(_) => ("disk", "a disk"),
            Target::Screen(_) => ("screen", "a screen"),
            Target::Keys => ("keys", "a keyboard"),
            Target::Tcp(_) if wanted == "http" => return,
            Target::Tcp(_) => ("tcp", "a TCP port"),
            Target::Unit { machine, unit, port: server } => {
                let machine = machine.as_ref().map_or(&group.name.value, |machine| &machine.name);
                self.server(port, target, (machine, unit, server));
                return;
            }
        };
        if wanted != found {
            let message = format!("port `{}` is for `{wanted}`, and `{}` is {what}", port.name, target.value);
            self.wrong(Diagnostic::new(target.span.clone(), message).hint(plug_hint(port)));
        }
    }

    fn server(
        &mut self,
        port: &Declaration,
        target: &Located<Target>,
        (machine, unit, server): (&str, &str, &str),
    ) {
        let units = self.draft.group(machine).map_or(&[][..], |group| &group.units);
        let Some(found) = units.iter().find(|found| found.name.value == unit) else { return };
        let program = &found.program.value;
        let at = || target.span.clone();
        let Some(declared) = self.ports_of(found) else {
            let message = format!("unit `{unit}` serves nothing, because its program `{program}` is plain");
            let wrong =
                Diagnostic::new(at(), message).related(found.program.span.clone(), "the plain program");
            return self.wrong(wrong.hint("plug in a unit whose program serves a port".to_owned()));
        };
        let served = || {
            declared.iter().filter(|port| port.direction == Direction::Serves).map(|port| port.name.as_str())
        };
        let wrong = match declared.iter().find(|port| port.name == server) {
            None => Diagnostic::new(at(), format!("unit `{unit}` has no port `{server}`")).hint(hint(
                server,
                served(),
                "it serves",
            )),
            Some(found) if found.direction == Direction::Uses => Diagnostic::new(
                at(),
                format!("port `{server}` of unit `{unit}` uses something, and serves nothing"),
            )
            .hint(served().next().map(|_| hint("", served(), "it serves").unwrap_or_default())),
            Some(found) => match differs(&port.interface, &found.interface) {
                None => return,
                Some((message, hint)) => Diagnostic::new(
                    at(),
                    message
                        .replace("PORT", &format!("`{}`", port.name))
                        .replace("TARGET", &format!("`{}`", target.value)),
                )
                .hint(hint),
            },
        };
        self.wrong(wrong);
    }

    /// The system, if every plug fits its port.
    fn system(&mut self) -> System {
        let mut links = Vec::new();
        let mut machines = Vec::new();
        for group in &self.draft.groups {
            for number in numbers(group) {
                let mut machine = Machine {
                    name: machine_name(&group.name.value, number),
                    number,
                    host_name: host_name(&group.name.value, number),
                    ..group.machine.clone()
                };
                machine.units =
                    group.units.iter().map(|unit| self.wired(&machine.name, unit, &mut links)).collect();
                machines.push(machine);
            }
        }
        self.number_clients(&mut links);
        attach_servers(&mut machines, &links);
        let programs = self.draft.programs.iter().map(|program| Program {
            name: program.name.value.clone(),
            source: program.source.clone(),
            ports: self.ports.get(&program.name.value).cloned().flatten(),
        });
        System {
            name: self.draft.name.clone(),
            programs: programs.collect(),
            machines,
            links: links.into_iter().map(|(link, _)| link).collect(),
            simulation: self.draft.simulation().map(|(simulation, _)| simulation.clone()),
        }
    }

    /// A unit of one machine with what it uses plugged in; its links are added to `links`.
    fn wired(&self, machine: &str, unit: &DraftUnit, links: &mut Vec<(Link, Range<usize>)>) -> Unit {
        let declared = self.ports_of(unit);
        // A program that answers is ready when it first waits to be asked; of any other, nobody could say when it is.
        let answers = declared.unwrap_or_default().iter().any(|port| {
            port.direction == Direction::Serves || ANSWERING.contains(&port.interface.name.as_str())
        });
        let by_itself = if answers { Readiness::Told } else { Readiness::Start };
        let ready = unit.ready.as_ref().map_or(by_itself, |ready| ready.value);
        let plugs = declared.unwrap_or_default().iter().map(|port| {
            let mut devices = Vec::new();
            if port.direction == Direction::Uses && port.interface.name == "units" {
                devices.push(Device::Units);
            }
            let targets =
                unit.plugs.iter().filter(|plug| plug.port.value == port.name).flat_map(|plug| &plug.targets);
            for target in targets {
                self.devices(machine, unit, port, target, &mut devices, links);
            }
            Plug {
                port: port.name.clone(),
                interface: port.interface.clone(),
                direction: port.direction,
                devices,
            }
        });
        Unit { ready, plugs: plugs.collect(), ..unit.unit.clone() }
    }

    fn devices(
        &self,
        own: &str,
        unit: &DraftUnit,
        port: &Declaration,
        target: &Located<Target>,
        devices: &mut Vec<Device>,
        links: &mut Vec<(Link, Range<usize>)>,
    ) {
        let (machine, server, server_port) = match &target.value {
            Target::Disk(name) => return devices.push(Device::Disk(name.clone())),
            Target::Screen(name) => return devices.push(Device::Screen(name.clone())),
            Target::Keys => return devices.push(Device::Keys),
            Target::Tcp(number) => return devices.push(Device::Tcp(*number)),
            Target::Unit { machine, unit, port } => (machine, unit, port),
        };
        let machines: Vec<String> = match machine {
            None => vec![own.to_owned()],
            Some(machine) => match machine.which {
                Which::Only => vec![machine.name.clone()],
                Which::Number(number) => vec![machine_name(&machine.name, Some(number))],
                Which::All => {
                    let all = self.draft.group(&machine.name).into_iter().flat_map(numbers);
                    all.map(|number| machine_name(&machine.name, number)).collect()
                }
            },
        };
        for machine in machines {
            let client = End {
                machine: own.to_owned(),
                unit: unit.name.value.clone(),
                port: port.name.clone(),
                index: devices.len(),
            };
            let server = End { machine, unit: server.clone(), port: server_port.clone(), index: 0 };
            devices.push(Device::Link(links.len()));
            links.push((Link { client, server, interface: port.interface.clone() }, target.span.clone()));
        }
    }

    /// Numbers the clients of each server, of which a disk has one.
    fn number_clients(&mut self, links: &mut [(Link, Range<usize>)]) {
        let mut clients: HashMap<End, Vec<(String, Range<usize>)>> = HashMap::new();
        for (link, at) in links {
            let clients = clients.entry(link.server.clone()).or_default();
            if let ("disk", [(first, first_at)]) = (link.interface.name.as_str(), clients.as_slice()) {
                let message = format!(
                    "disk `{}` of unit `{}` is plugged in twice, and a disk has one writer",
                    link.server.port, link.server
                );
                let wrong = Diagnostic::new(at.clone(), message).label(format!("for `{}`", link.client));
                // Machines that are alike plug it in at one place.
                let wrong = if first_at == at {
                    wrong
                } else {
                    wrong.related(first_at.clone(), format!("for `{first}`"))
                };
                let hint = "let one unit own the disk, and serve what the others need";
                self.diagnostics.push(wrong.hint(hint.to_owned()));
            }
            link.server.index = clients.len();
            clients.push((link.client.to_string(), at.clone()));
        }
    }
}

/// Gives every port that serves a link for each client.
fn attach_servers(machines: &mut [Machine], links: &[(Link, Range<usize>)]) {
    let mut by_server: HashMap<(&str, &str, &str), Vec<Device>> = HashMap::new();
    for (index, (Link { server, .. }, _)) in links.iter().enumerate() {
        by_server.entry((&server.machine, &server.unit, &server.port)).or_default().push(Device::Link(index));
    }
    for machine in machines {
        for unit in &mut machine.units {
            for plug in unit.plugs.iter_mut().filter(|plug| plug.direction == Direction::Serves) {
                let key = (machine.name.as_str(), unit.name.as_str(), plug.port.as_str());
                plug.devices = by_server.remove(&key).unwrap_or_default();
            }
        }
    }
}

fn numbers(group: &Group) -> Vec<Option<u32>> {
    group.count.map_or_else(|| vec![None], |count| (0..count).map(Some).collect())
}

fn machine_name(group: &str, number: Option<u32>) -> String {
    number.map_or_else(|| group.to_owned(), |number| format!("{group}.{number}"))
}

/// What a port takes, for people.
fn shown(port: &Declaration) -> String {
    let name = &port.interface.name;
    match port.count {
        Count::One | Count::Optional => format!("a `{name}` there"),
        Count::Many => format!("any number of `{name}` there"),
    }
}

/// What can be written for a port.
fn plug_hint(port: &Declaration) -> String {
    let form = match port.interface.name.as_str() {
        "disk" => "\"disk.NAME\"",
        "screen" => "\"screen.NAME\"",
        "keys" => "\"keys\"",
        "http" | "tcp" => "\"tcp.8080\"",
        _ => "\"UNIT.PORT\"",
    };
    match port.count {
        Count::Many => format!("write `ports.{} = [{form}]`, or `[]` for none", port.name),
        Count::One | Count::Optional => format!("write `ports.{} = {form}`", port.name),
    }
}

/// How two interfaces differ, and what to do about it. `PORT` and `TARGET` stand for the two ends.
fn differs(wanted: &Interface<String>, served: &Interface<String>) -> Option<(String, String)> {
    if wanted.name != served.name {
        return Some((
            format!("port PORT is for `{}`, and TARGET serves `{}`", wanted.name, served.name),
            format!("plug in something that serves `{}`", wanted.name),
        ));
    }
    let name = &wanted.name;
    if wanted.version != served.version {
        return Some((
            format!(
                "port PORT speaks version {} of `{name}`, and TARGET serves version {}",
                wanted.version, served.version
            ),
            "build both programs with the same version of the interface".to_owned(),
        ));
    }
    (wanted.fingerprint != served.fingerprint).then(|| {
        (
            format!("port PORT and TARGET both speak version {} of `{name}`, but it is not the same", wanted.version),
            format!("its methods differ: build both programs from the same `{name}`, and count its version up when it changes"),
        )
    })
}
