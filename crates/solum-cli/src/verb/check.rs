//! `solum check`: whether a description is right.

use serde::Serialize;
use solum_spec::count;
use solum_spec::ports::Direction;
use solum_spec::system::{self, Device, Draft, System};

use crate::arguments::Check;
use crate::failure::{Failure, Wrong};
use crate::output::{print, print_json, print_line};
use crate::system::Described;

/// Reads the description, builds the programs, wires the units, and says what there is.
pub fn check(arguments: &Check) -> Result<u8, Failure> {
    if arguments.schema {
        print(&system::schema_text());
        return Ok(0);
    }
    let checked = checked(arguments);
    if !arguments.json {
        let (draft, system) = checked?;
        print_line(&match &system {
            Some(system) => summary(system),
            None => {
                format!("{}: the text is right; the ports of its programs were not looked at", draft.name())
            }
        });
        return Ok(0);
    }
    match checked {
        Ok((_, system)) => {
            let system = system.as_ref().map(Wired::from);
            print_json(&Checked { valid: true, errors: Vec::new(), system });
            Ok(0)
        }
        Err(failure) => {
            let Some(wrong) = failure.wrong() else { return Err(failure) };
            print_json(&Checked { valid: false, errors: errors(wrong), system: None });
            Ok(failure.status())
        }
    }
}

fn checked(arguments: &Check) -> Result<(Draft, Option<System>), Failure> {
    let described = Described::read(&arguments.described.directory)?;
    if arguments.described.no_build {
        return Ok((described.draft, None));
    }
    let system = described.wire(&described.build()?)?;
    Ok((described.draft, Some(system)))
}

fn summary(system: &System) -> String {
    let count = |number: usize, what| count(number as u64, what);
    let units = system.machines.iter().map(|machine| machine.units.len()).sum();
    let (machines, links) = (count(system.machines.len(), "machine"), count(system.links.len(), "link"));
    format!("{}: {machines}, {}, {links}", system.name, count(units, "unit"))
}

/// What `--json` prints.
#[derive(Serialize)]
struct Checked<'a> {
    valid: bool,
    errors: Vec<Error<'a>>,
    /// `null` if something is wrong, or nothing was built.
    system: Option<Wired<'a>>,
}

#[derive(Serialize)]
struct Error<'a> {
    file: &'a str,
    line: usize,
    column: usize,
    /// Bytes from the beginning of the file.
    start: usize,
    end: usize,
    message: &'a str,
    label: &'a str,
    hint: Option<&'a str>,
}

fn errors(wrong: &Wrong) -> Vec<Error<'_>> {
    let error = |diagnostic: &'_ system::Diagnostic| diagnostic.position(&wrong.text);
    wrong
        .diagnostics
        .iter()
        .map(|diagnostic| {
            let (line, column) = error(diagnostic);
            Error {
                file: &wrong.name,
                line,
                column,
                start: diagnostic.span.start,
                end: diagnostic.span.end,
                message: &diagnostic.message,
                label: &diagnostic.label,
                hint: diagnostic.hint.as_deref(),
            }
        })
        .collect()
}

#[derive(Serialize)]
struct Wired<'a> {
    name: &'a str,
    machines: Vec<Machine<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Machine<'a> {
    name: &'a str,
    host_name: &'a str,
    memory_bytes: u64,
    cores: u16,
    disks: &'a [system::Disk],
    screens: &'a [system::Screen],
    keys: bool,
    units: Vec<Unit<'a>>,
}

#[derive(Serialize)]
struct Unit<'a> {
    name: &'a str,
    program: &'a str,
    needs: &'a [String],
    ports: Vec<Port<'a>>,
}

#[derive(Serialize)]
struct Port<'a> {
    name: &'a str,
    interface: &'a str,
    version: u16,
    serves: bool,
    /// What is plugged in, or whom it serves: as in a description, with every machine named.
    plugs: Vec<String>,
}

impl<'a> From<&'a System> for Wired<'a> {
    fn from(system: &'a System) -> Self {
        let machine = |machine: &'a system::Machine| Machine {
            name: &machine.name,
            host_name: &machine.host_name,
            memory_bytes: machine.memory.as_bytes(),
            cores: machine.cores,
            disks: &machine.disks,
            screens: &machine.screens,
            keys: machine.keys,
            units: machine.units.iter().map(|unit| Unit::new(unit, system)).collect(),
        };
        Self { name: &system.name, machines: system.machines.iter().map(machine).collect() }
    }
}

impl<'a> Unit<'a> {
    fn new(unit: &'a system::Unit, system: &System) -> Self {
        let port = |plug: &'a system::Plug| {
            let serves = plug.direction == Direction::Serves;
            Port {
                name: &plug.port,
                interface: &plug.interface.name,
                version: plug.interface.version,
                serves,
                plugs: plug.devices.iter().map(|device| named(device, serves, system)).collect(),
            }
        };
        let ports = unit.plugs.iter().map(port).collect();
        Self { name: &unit.name, program: &unit.program, needs: &unit.needs, ports }
    }
}

fn named(device: &Device, serves: bool, system: &System) -> String {
    match device {
        Device::Disk(name) => format!("disk.{name}"),
        Device::Screen(name) => format!("screen.{name}"),
        Device::Keys => "keys".to_owned(),
        Device::Tcp(port) => format!("tcp.{port}"),
        Device::Units => "units".to_owned(),
        Device::Link(index) => {
            let Some(link) = system.links.get(*index) else { return String::new() };
            let end = if serves { &link.client } else { &link.server };
            format!("{}/{}.{}", end.machine, end.unit, end.port)
        }
    }
}
