//! `solum run` on the directory of a system.

use std::collections::BTreeMap;

use solum_spec::handover::UnitPhase;
use solum_spec::operation::LogLine;
use solum_spec::plan::{self, Plan};
use solum_spec::system::System;
use solum_supervisor::LogRing;
use solum_supervisor::log::{Entry, Position, Stream};
use solum_unit::Operator;
use solum_vm::system::{HostPlace, Notice, Published, host};
use solum_vm::{Handle, Requests};

use crate::arguments::{Place, Run};
use crate::exit_code::ExitCode;
use crate::failure::{Failure, reason};
use crate::launch;
use crate::lines::Lines;
use crate::running::Claim;
use crate::system::{Described, Executables};
use crate::terminal::{self, say};
use crate::typing::Typing;

/// Builds, wires and runs a system; gives back an exit status.
pub fn run(arguments: &Run) -> Result<u8, Failure> {
    let described = Described::read(&arguments.program.program)?;
    let executables = described.build()?;
    let system = described.wire(&executables)?;
    let claim = Claim::new(&described.directory)?;
    match arguments.place {
        Place::Host => on_host(arguments, &system, &executables, &claim),
        Place::Vm => super::system_vm::run(arguments, &system, executables, &claim),
    }
}

fn on_host(
    arguments: &Run,
    system: &System,
    executables: &Executables,
    claim: &Claim,
) -> Result<u8, Failure> {
    let paths: BTreeMap<String, String> = executables
        .iter()
        .map(|(name, found)| (name.clone(), found.path.to_string_lossy().into_owned()))
        .collect();
    let machines: Vec<_> = system.machines.iter().collect();
    let plan = system.plan(&machines, &paths);
    let published = published(arguments, &plan)?;
    let place = HostPlace::prepare(claim.state(), &plan, &published, arguments.frames.as_deref())
        .map_err(|why| Failure::new(ExitCode::HostRefuses, why))?;
    for listener in &plan.listeners {
        if let Some(address) = place.address(listener) {
            say(&format!("{} is at {address}", port_name(listener)));
        }
    }
    for screen in &plan.screens {
        say(&format!("screen {}.{} is at {}", screen.machine, screen.name, place.picture(screen).display()));
    }
    let (operator, requests, handle) = attended(claim)?;
    let _typing = Typing::begin(&plan, handle);
    let mut screen = Screen::new(&plan, arguments)?;
    let outcome = host::run(place, plan, operator, requests, &mut |notice| screen.notice(&notice))
        .map_err(|error| refused(&error))?;
    launch::conclude_system(outcome)
}

/// Those who may ask something of the system while it runs: operators, the terminal's signals, and whoever has the handle.
pub fn attended(claim: &Claim) -> Result<(Operator, Requests, Handle), Failure> {
    let operator = Operator::new(claim.listen()?).map_err(|error| refused(&error))?;
    let (handle, requests) = solum_vm::requests().map_err(|error| refused(&error))?;
    terminal::obey_signals(handle.clone()).map_err(|error| refused(&error))?;
    Ok((operator, requests, handle))
}

/// What a user is told when this host does not let a system run.
pub fn refused(error: &std::io::Error) -> Failure {
    Failure::new(ExitCode::HostRefuses, format_args!("the system cannot be run: {}", reason(error)))
}

/// The name of a port at which a unit listens.
pub fn port_name(listener: &plan::Listener) -> String {
    format!("{}.{}.{}", listener.machine, listener.unit, listener.port)
}

/// Where units are to be reachable, as the user wants it.
pub fn published(arguments: &Run, plan: &Plan) -> Result<Vec<Published>, Failure> {
    let find = |wanted: &crate::arguments::PublishUnit| {
        let listener = plan.listeners.iter().position(|listener| port_name(listener) == wanted.port);
        listener.map(|listener| Published { listener, address: wanted.address }).ok_or_else(|| {
            let names: Vec<String> = plan.listeners.iter().map(port_name).collect();
            let message = format!("no unit of the system listens at {}", wanted.port);
            Failure::new(ExitCode::UnusableInput, message).hint(match names.is_empty() {
                true => "no unit of it listens at all".to_owned(),
                false => format!("these do: {}", names.join(", ")),
            })
        })
    };
    arguments.publish_units.iter().map(find).collect()
}

/// What the user sees while a system runs.
pub struct Screen {
    names: Vec<String>,
    lines: Lines,
    read: Vec<Position>,
    is_shown: Vec<bool>,
    verbose: bool,
}

impl Screen {
    /// Shows what the arguments say.
    pub fn new(plan: &Plan, arguments: &Run) -> Result<Self, Failure> {
        let mut is_shown = vec![arguments.only.is_empty(); plan.units.len()];
        for name in &arguments.only {
            let unit = plan.find(name).ok_or_else(|| {
                let names: Vec<String> = plan.units.iter().map(plan::Unit::full_name).collect();
                Failure::new(ExitCode::UnusableInput, format_args!("--only {name}: there is no such unit"))
                    .hint(format!("there are {}", names.join(", ")))
            })?;
            is_shown[unit] = true;
        }
        let names: Vec<String> = plan.units.iter().map(plan::Unit::full_name).collect();
        let read = vec![LogRing::new(0).newest(); plan.units.len()];
        Ok(Self {
            lines: Lines::new(names.clone()),
            names,
            read,
            is_shown,
            verbose: arguments.around.verbose,
        })
    }

    /// Shows what has happened.
    pub fn notice(&mut self, notice: &Notice<'_>) {
        match notice {
            Notice::Printed(unit, log) if self.is_shown[*unit] => self.show(*unit, log),
            Notice::Printed(..) => {}
            Notice::Changed(unit, phase, why) if self.verbose || is_worth_telling(*phase) => {
                say(&format!("{} {}: {why}", self.names[*unit], super::operate::phase(*phase)));
            }
            Notice::Changed(..) => {}
            Notice::Said(text) => say(text),
        }
    }

    fn show(&mut self, unit: usize, log: &LogRing) {
        while let Some(entry) = log.read(&mut self.read[unit]) {
            let name = &self.names[unit];
            match entry {
                Entry::Line(line) => self.lines.show(&LogLine {
                    unit: name.clone(),
                    is_error: line.source.stream == Stream::Error,
                    at_ms: line.at_ms,
                    bytes: line.bytes.to_vec(),
                }),
                Entry::Lost { lines, bytes } => self.lines.lost(name, lines, bytes),
            }
        }
    }
}

fn is_worth_telling(phase: UnitPhase) -> bool {
    matches!(phase, UnitPhase::Pausing | UnitPhase::Failed)
}
