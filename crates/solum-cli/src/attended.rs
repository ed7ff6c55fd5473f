//! A system that runs: who may ask something of it, what of it the host has, and what the user sees.

use std::os::unix::net::UnixStream;
use std::thread::{self, JoinHandle};

use solum_spec::handover::UnitPhase;
use solum_spec::operation::{Answer, What};
use solum_spec::plan::{self, Plan};
use solum_unit::Operator;
use solum_vm::system::{Answers, Notice, Published, Unprepared, ask};
use solum_vm::{Handle, Requests};

use crate::arguments::Run;
use crate::exit_code::ExitCode;
use crate::failure::{Failure, reason};
use crate::lines::Lines;
use crate::running::Claim;
use crate::signals;
use crate::terminal::say;

/// Those who may ask something of the system while it runs: operators, the terminal's signals, and whoever has the handle.
pub fn attended(claim: &Claim) -> Result<(Operator, Requests, Handle), Failure> {
    let operator = Operator::new(claim.listen()?).map_err(|error| refused(&error))?;
    let (handle, requests) = solum_vm::requests().map_err(|error| refused(&error))?;
    signals::obey(handle.clone()).map_err(|error| refused(&error))?;
    Ok((operator, requests, handle))
}

/// What a user is told when this host cannot be the place of a system.
pub fn unprepared(unprepared: Unprepared) -> Failure {
    Failure::new(ExitCode::HostRefuses, unprepared.why).hint(unprepared.hint)
}

/// What a user is told when this host does not let a system run.
pub fn refused(error: &std::io::Error) -> Failure {
    Failure::new(ExitCode::HostRefuses, format_args!("the system cannot be run: {}", reason(error)))
}

/// Where units are to be reachable, as the user wants it.
pub fn published(arguments: &Run, plan: &Plan) -> Result<Vec<Published>, Failure> {
    let find = |wanted: &crate::arguments::PublishUnit| {
        let listener = plan.listeners.iter().position(|listener| listener.full_name() == wanted.port);
        listener.map(|listener| Published { listener, address: wanted.address }).ok_or_else(|| {
            let names: Vec<String> = plan.listeners.iter().map(plan::Listener::full_name).collect();
            let message = format!("no unit of the system listens at {}", wanted.port);
            Failure::new(ExitCode::UnusableInput, message).hint(match names.is_empty() {
                true => "no unit of it listens at all".to_owned(),
                false => format!("these do: {}", names.join(", ")),
            })
        })
    };
    arguments.publish_units.iter().map(find).collect()
}

/// What the user sees while a system runs. What units print is read as `solum logs` does: whoever does not read it in time
/// holds up nobody, and is told what is missing.
pub struct Screen {
    names: Vec<String>,
    verbose: bool,
    printer: JoinHandle<()>,
}

impl Screen {
    /// Shows what the arguments say.
    pub fn new(plan: &Plan, arguments: &Run, operator: &mut Operator) -> Result<Self, Failure> {
        let names: Vec<String> = plan.units.iter().map(plan::Unit::full_name).collect();
        if let Some(name) = arguments.only.iter().find(|name| plan.find(name).is_err()) {
            return Err(Failure::new(
                ExitCode::UnusableInput,
                format_args!("--only {name}: there is no such unit"),
            )
            .hint(format!("there are {}", names.join(", "))));
        }
        let what = What::Logs { units: arguments.only.clone(), lines: None, follow: true };
        let answers = listen(operator, what).map_err(|error| refused(&error))?;
        let lines = Lines::new(names.clone());
        let printer = thread::spawn(move || print_all(answers, lines));
        Ok(Self { names, verbose: arguments.around.verbose, printer })
    }

    /// Shows what has happened.
    pub fn notice(&self, notice: &Notice<'_>) {
        match notice {
            Notice::Changed(unit, phase, why) if self.verbose || is_worth_telling(*phase) => {
                say(&format!("{} {}: {why}", self.names[*unit], phase));
            }
            Notice::Changed(..) => {}
            Notice::Said(text) => say(text),
        }
    }

    /// Waits until everything is printed; the operator has to be gone.
    pub fn finish(self) {
        // A panic of that thread has been reported by it.
        let _ = self.printer.join();
    }
}

/// Joins those who ask the system.
fn listen(operator: &mut Operator, what: What) -> std::io::Result<Answers> {
    let (ours, theirs) = UnixStream::pair()?;
    theirs.set_nonblocking(true)?;
    operator.talk(Box::new(theirs));
    ask(ours, what)
}

fn print_all(answers: Answers, mut lines: Lines) {
    let mut is_whole = false;
    for answer in answers {
        match answer {
            Ok(Answer::Line(line)) => lines.show(&line),
            Ok(Answer::Lost { unit, lines: count, bytes }) => lines.lost(&unit, count, bytes),
            Ok(Answer::Done) => is_whole = true,
            _ => {}
        }
    }
    if !is_whole {
        say("the last lines are missing here: they were not read in time");
    }
}

fn is_worth_telling(phase: UnitPhase) -> bool {
    matches!(phase, UnitPhase::Pausing | UnitPhase::Failed)
}
