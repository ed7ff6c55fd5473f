//! `solum ps`, `logs`, `start`, `stop`, `restart`, `press`, `down`: what a person asks of a running system.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use serde::Serialize;
use solum_spec::keyboard::{KeyChange, typed};
use solum_spec::operation::{Answer, LogLine, UnitReport, What};
use solum_vm::system::ask;

use crate::arguments::{Logs, OfUnit, Press, Ps, Running};
use crate::exit_code::ExitCode;
use crate::failure::{Failure, reason};
use crate::lines::Lines;
use crate::output::{print_json, print_line};
use crate::running;
use crate::terminal::Spinner;

/// Lists the units.
pub fn ps(arguments: &Ps) -> Result<(), Failure> {
    let mut units = Vec::new();
    answers(&arguments.running, What::List, |answer| {
        if let Answer::Units(listed) = answer {
            units.extend(listed);
        }
    })?;
    if arguments.json {
        print_json(&units.iter().map(Listed::from).collect::<Vec<_>>());
        return Ok(());
    }
    let width =
        |text: fn(&UnitReport) -> &str| units.iter().map(|unit| text(unit).len()).max().unwrap_or(0).max(7);
    let (names, programs) = (width(|unit| &unit.unit), width(|unit| &unit.program));
    print_line(&format!(
        "{:names$}  {:programs$}  {:8}  {:>6}  {:>8}  WHY",
        "UNIT", "PROGRAM", "STATE", "STARTS", "PID"
    ));
    for unit in &units {
        let pid = unit.pid.map_or_else(|| "-".to_owned(), |pid| pid.to_string());
        let (phase, starts) = (unit.phase.word(), unit.starts);
        print_line(&format!(
            "{:names$}  {:programs$}  {phase:8}  {starts:>6}  {pid:>8}  {}",
            unit.unit, unit.program, unit.reason
        ));
    }
    Ok(())
}

/// What `solum ps --json` prints of a unit.
#[derive(Serialize)]
struct Listed<'a> {
    unit: &'a str,
    program: &'a str,
    state: &'a str,
    reason: &'a str,
    starts: u32,
    pid: Option<u32>,
    machine_pid: Option<u32>,
}

impl<'a> From<&'a UnitReport> for Listed<'a> {
    fn from(unit: &'a UnitReport) -> Self {
        Self {
            unit: &unit.unit,
            program: &unit.program,
            state: unit.phase.word(),
            reason: &unit.reason,
            starts: unit.starts,
            pid: unit.pid,
            machine_pid: unit.machine_pid,
        }
    }
}

/// What `solum logs --json` prints of a line.
#[derive(Serialize)]
struct JsonLine<'a> {
    unit: &'a str,
    stream: &'a str,
    at_ms: u64,
    line: String,
}

/// Shows what units print.
pub fn logs(arguments: &Logs) -> Result<(), Failure> {
    let what =
        What::Logs { units: arguments.units.clone(), lines: arguments.lines, follow: arguments.follow };
    let mut lines = Lines::new(Vec::new());
    answers(&arguments.running, what, |answer| match answer {
        Answer::Line(line) if arguments.json => print_line(&json(&line)),
        Answer::Line(line) => lines.show(&line),
        Answer::Lost { unit, lines: count, bytes } => lines.lost(&unit, count, bytes),
        _ => {}
    })
}

fn json(line: &LogLine) -> String {
    let stream = if line.is_error { "stderr" } else { "stdout" };
    let text = String::from_utf8_lossy(&line.bytes).into_owned();
    let line = JsonLine { unit: &line.unit, stream, at_ms: line.at_ms, line: text };
    serde_json::to_string(&line).unwrap_or_default()
}

/// Asks for something to be done about a unit.
pub fn order(arguments: &OfUnit, what: impl FnOnce(String) -> What) -> Result<(), Failure> {
    answers(&arguments.running, what(arguments.unit.clone()), |_| {})
}

/// Presses keys.
pub fn press(arguments: &Press) -> Result<(), Failure> {
    let mut keys: Vec<KeyChange> = arguments.keys.iter().flat_map(|chord| chord.0.clone()).collect();
    for character in arguments.text.iter().flat_map(|text| text.chars()) {
        keys.extend(typed(character).ok_or_else(|| {
            Failure::new(ExitCode::UnusableInput, format_args!("no key types {character:?}"))
                .hint("a keyboard of the United States has the characters of ASCII".to_owned())
        })?);
    }
    answers(&arguments.running, What::Press { machine: arguments.machine.clone(), keys }, |_| {})
}

/// Stops the whole system, and waits until it is over.
pub fn down(arguments: &Running) -> Result<(), Failure> {
    /// Beyond what its units may take: for last lines, and for a host that is busy.
    const MARGIN: Duration = Duration::from_secs(15);
    /// Until it is worth showing that something goes on.
    const UNSHOWN: Duration = Duration::from_secs(1);
    let end = running::end_of(&arguments.directory);
    let mut within = Duration::ZERO;
    answers(arguments, What::Down, |answer| {
        if let Answer::Stopping { within_ms } = answer {
            within = Duration::from_millis(within_ms);
        }
    })?;
    if is_over(&end, UNSHOWN) {
        return Ok(());
    }
    let _shown = Spinner::new("stopping the system".to_owned());
    let limit = within.saturating_add(MARGIN);
    if is_over(&end, limit) {
        return Ok(());
    }
    let directory = arguments.directory.display();
    let message = format!("the system has not ended {} s after it was asked to", limit.as_secs());
    Err(Failure::new(ExitCode::HostRefuses, message).hint(format!(
        "`solum ps -C {directory}` shows what it waits for; Ctrl-C twice where it was started kills it"
    )))
}

/// Waits at most so long for the end.
fn is_over(end: &Receiver<()>, patience: Duration) -> bool {
    // A waiter that is gone without a word waits for nothing any more.
    end.recv_timeout(patience) != Err(RecvTimeoutError::Timeout)
}

fn answers(running: &Running, what: What, mut heard: impl FnMut(Answer)) -> Result<(), Failure> {
    let lost = |error: std::io::Error| {
        Failure::new(
            ExitCode::HostRefuses,
            format_args!("the running system does not answer: {}", reason(&error)),
        )
    };
    let stream = running::connect(&running.directory)?;
    let mut is_answered = false;
    for answer in ask(stream, what).map_err(lost)? {
        let answer = answer.map_err(lost)?;
        is_answered |= answer == Answer::Done;
        match answer {
            Answer::Refused(why) => return Err(Failure::new(ExitCode::UnusableInput, why)),
            answer => heard(answer),
        }
    }
    match is_answered {
        true => Ok(()),
        false => {
            let why = "the running system ended before it had answered";
            Err(Failure::new(ExitCode::HostRefuses, why))
        }
    }
}
