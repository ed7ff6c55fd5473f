//! `solum run` on the directory of a system.

use std::collections::BTreeMap;

use solum_spec::handover::UnitPhase;
use solum_spec::operation::LogLine;
use solum_spec::plan::{self, Plan};
use solum_spec::system::System;
use solum_supervisor::log::{Entry, Position, Stream};
use solum_unit::{News, Operator};
use solum_vm::system::host::{self, Notice};
use solum_vm::system::{HostPlace, Published};

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
        Place::Vm => Err(Failure::new(ExitCode::UnusableInput, "systems do not run as virtual machines yet")
            .hint("run it as processes of this host: --place host".to_owned())),
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
    let operator = Operator::new(claim.listen()?).map_err(|error| refused(&error))?;
    let (handle, requests) = solum_vm::requests().map_err(|error| refused(&error))?;
    terminal::obey_signals(handle.clone()).map_err(|error| refused(&error))?;
    let is_alone = plan.keys.len() == 1;
    let _typing = is_alone.then(|| Typing::begin(handle)).flatten();
    let mut screen = Screen::new(&plan, arguments)?;
    let outcome =
        host::run(place, plan, operator, requests, &mut |plan, notice| screen.notice(plan, &notice))
            .map_err(|error| refused(&error))?;
    launch::conclude_system(outcome)
}

fn refused(error: &std::io::Error) -> Failure {
    Failure::new(ExitCode::HostRefuses, format_args!("the system cannot be run: {}", reason(error)))
}

fn port_name(listener: &plan::Listener) -> String {
    format!("{}.{}.{}", listener.machine, listener.unit, listener.port)
}

fn published(arguments: &Run, plan: &Plan) -> Result<Vec<Published>, Failure> {
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
struct Screen {
    lines: Lines,
    read: Vec<Position>,
    is_shown: Vec<bool>,
    verbose: bool,
}

impl Screen {
    fn new(plan: &Plan, arguments: &Run) -> Result<Self, Failure> {
        let mut is_shown = vec![arguments.only.is_empty(); plan.units.len()];
        for name in &arguments.only {
            let unit = plan.find(name).ok_or_else(|| {
                let names: Vec<String> = plan.units.iter().map(plan::Unit::full_name).collect();
                Failure::new(ExitCode::UnusableInput, format_args!("--only {name}: there is no such unit"))
                    .hint(format!("there are {}", names.join(", ")))
            })?;
            is_shown[unit] = true;
        }
        let names = plan.units.iter().map(plan::Unit::full_name).collect();
        let read = vec![solum_supervisor::LogRing::new(0).newest(); plan.units.len()];
        Ok(Self { lines: Lines::new(names), read, is_shown, verbose: arguments.around.verbose })
    }

    fn notice(&mut self, plan: &Plan, notice: &Notice<'_>) {
        let name = |unit: &usize| plan.units.get(*unit).map(plan::Unit::full_name).unwrap_or_default();
        match notice {
            Notice::Printed(unit, log) if self.is_shown[*unit] => {
                while let Some(entry) = log.read(&mut self.read[*unit]) {
                    match entry {
                        Entry::Line(line) => self.lines.show(&LogLine {
                            unit: name(unit),
                            is_error: line.source.stream == Stream::Error,
                            at_ms: line.at_ms,
                            bytes: line.bytes.to_vec(),
                        }),
                        Entry::Lost { lines, bytes } => self.lines.lost(&name(unit), lines, bytes),
                    }
                }
            }
            Notice::News(News::GaveUp(unit)) => {
                say(&format!(
                    "{} failed too often and is given up; start it again with `solum start {0}`",
                    name(unit)
                ));
            }
            Notice::News(News::Changed(unit, phase, why)) if self.verbose || is_worth_telling(*phase) => {
                say(&format!("{} {}: {why}", name(unit), super::operate::phase(*phase)));
            }
            Notice::News(News::RestartMachine(why)) => say(why),
            Notice::Trouble(what) => say(what),
            _ => {}
        }
    }
}

fn is_worth_telling(phase: UnitPhase) -> bool {
    matches!(phase, UnitPhase::Pausing | UnitPhase::Failed)
}
