//! The simulation of a system as a process: it is given one order, and answers in lines of JSON.

use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;

use rustix::process::{Pid, PidfdFlags, pidfd_open};
use solum_spec::control::signal_name;
use solum_spec::count;
use solum_spec::simulation::{Answer, Counts, Order, VARIABLE};

use crate::exit_code::ExitCode;
use crate::failure::{Failure, reason};
use crate::{signals, terminal};

/// How a simulation ended.
#[derive(Debug)]
pub enum End {
    /// It did what was ordered.
    Done(Counts),
    /// The user wanted no more. So far there was this, if anything.
    Interrupted(ExitCode, Option<Counts>),
}

/// Runs it; `heard` is told what it answers on the way.
pub fn run(executable: &Path, order: &Order, heard: &mut dyn FnMut(Answer)) -> Result<End, Failure> {
    let mut child = start(executable, order).map_err(|error| cannot_be_run(&error))?;
    let followed = follow(&mut child, heard);
    if followed.is_err() {
        // One that has ended needs no killing.
        let _ = child.kill();
    }
    let status = child.wait().map_err(|error| cannot_be_run(&error))?;
    let Followed { done, refusal, last } = followed.map_err(|error| cannot_be_run(&error))?;
    match (done, refusal, signals::asked()) {
        (Some(counts), ..) => Ok(End::Done(counts)),
        (None, Some(why), _) => Err(refused(&why)),
        (None, None, Some(code)) => Ok(End::Interrupted(code, last)),
        (None, None, None) => Err(without_answer(status, last.map_or(0, |counts| counts.runs))),
    }
}

fn start(executable: &Path, order: &Order) -> io::Result<Child> {
    let mut command = Command::new(executable);
    command.env(VARIABLE, serde_json::to_string(order)?);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // A group of its own: Ctrl-C is for this process, which then ends the other and tells what there was.
    command.process_group(0);
    solum_vm::die_with_us(&mut command);
    command.spawn()
}

/// What it said to the end.
#[derive(Default)]
struct Followed {
    done: Option<Counts>,
    refusal: Option<String>,
    last: Option<Counts>,
}

/// Listens to it until it has no more to say.
fn follow(child: &mut Child, heard: &mut dyn FnMut(Answer)) -> io::Result<Followed> {
    let process = pidfd_open(Pid::from_child(child), PidfdFlags::empty())?;
    let _listening = signals::end_simulation(process)?;
    let words = child.stderr.take();
    let passing_on = thread::spawn(move || words.map(|words| each_line(words, &mut terminal::pass_on)));
    let mut followed = Followed::default();
    each_line(child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?, &mut |line| {
        let (words, answer) = understood(line);
        if !words.is_empty() {
            terminal::pass_on(words);
        }
        match answer {
            Some(Answer::Done(counts)) => followed.done = Some(counts),
            Some(Answer::Refused(why)) => followed.refusal = Some(why),
            Some(answer) => {
                if let Answer::Progress(counts) = &answer {
                    followed.last = Some(counts.clone());
                }
                heard(answer);
            }
            None => {}
        }
    });
    // A panic of that thread has been reported by it.
    let _ = passing_on.join();
    Ok(followed)
}

/// Reads lines, with their ends, as long as there are any.
fn each_line(from: impl Read, take: &mut dyn FnMut(&[u8])) {
    let mut from = BufReader::new(from);
    let mut line = Vec::new();
    while matches!(from.read_until(b'\n', &mut line), Ok(1..)) {
        take(&line);
        line.clear();
    }
}

/// What a line holds: words that code of the user printed, perhaps without an end of their own, and an answer.
fn understood(line: &[u8]) -> (&[u8], Option<Answer>) {
    let answer = |from: usize| serde_json::from_slice(&line[from..]).ok();
    let start = line.windows(2).position(|pair| pair == b"{\"").unwrap_or(0);
    match answer(start) {
        Some(answer) => (&line[..start], Some(answer)),
        None => (line, None),
    }
}

fn cannot_be_run(error: &io::Error) -> Failure {
    Failure::new(ExitCode::HostRefuses, format_args!("the simulation cannot be run: {}", reason(error)))
}

/// What the simulation says when it does not do what it was ordered: a sentence, more lines, and a hint.
fn refused(why: &str) -> Failure {
    let (text, hint) = match why.split_once("\nhint: ") {
        // What is wrong in a description has hints of its own.
        Some((text, hint)) if !text.starts_with("error: ") => (text, Some(hint.to_owned())),
        _ => (why, None),
    };
    let mut lines = text.lines().map(str::to_owned);
    if text.starts_with("error: ") {
        let message = "the scenario and the description do not fit together";
        return Failure::new(ExitCode::WrongDescription, message).context(lines.collect());
    }
    let message = lines.next().unwrap_or_default();
    Failure::new(ExitCode::UnusableInput, message).context(lines.collect()).hint(hint)
}

/// It ended, and its answer is missing.
fn without_answer(status: ExitStatus, runs: u64) -> Failure {
    let after = if runs == 0 { String::new() } else { format!(", after {}", count(runs, "run")) };
    match (status.signal(), status.code()) {
        (Some(signal), _) => {
            let name = signal_name(u8::try_from(signal).unwrap_or_default());
            let message = format!("the simulation was ended by signal {signal}{name}{after}");
            let hint = match runs {
                0 => "unsafe code in its programs, and too little memory, are what ends a process like this",
                _ => "look for the run that ends it with --jobs 1, and fewer --seeds each time",
            };
            Failure::new(ExitCode::MachineFailed, message).hint(hint.to_owned())
        }
        (None, code) => {
            let message =
                format!("the simulation ended with status {} and no answer{after}", code.unwrap_or(0));
            let hint = match code {
                Some(0) => "its `main` is `solum_sim::harness::main(&[(\"NAME\", SCENARIO)])`, and no more",
                _ => "the reason is in its own messages above",
            };
            Failure::new(ExitCode::MachineFailed, message).hint(hint.to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_told_from_what_users_print() {
        let answer = Answer::Wrote("a.html".to_owned());
        let json = serde_json::to_string(&answer).unwrap() + "\n";
        for (line, expected) in [
            (json.clone(), ("", Some(answer.clone()))),
            (format!("so far {json}"), ("so far ", Some(answer))),
            ("\"shrinking\"\n".to_owned(), ("", Some(Answer::Shrinking))),
            ("hello\n".to_owned(), ("hello\n", None)),
            ("{\"mine\": 1}\n".to_owned(), ("{\"mine\": 1}\n", None)),
            (String::new(), ("", None)),
        ] {
            let (words, answer) = understood(line.as_bytes());
            assert_eq!((String::from_utf8_lossy(words).as_ref(), answer), expected, "{line:?}");
        }
    }
}
