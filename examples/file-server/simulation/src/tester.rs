//! Who changes files, looks at them, and knows what may be there.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use files_api::{Client, Files, FilesCalls, FilesError};
use solum::{CallError, Clock, Entropy, Error, Link};
use solum_sim::Shared;

use crate::model::{Change, Model, State};

/// How long a call may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// How the file server says that the disk does not give a block.
const UNREADABLE: &str = "cannot be read";

/// Names of files: few, so that they meet.
const NAMES: u64 = 5;

/// The most bytes of one write, and of a file.
const WRITE_BYTES: u64 = 3_000;
const FILE_BYTES: u64 = 12_000;

/// What the tester reaches: what `notes` reaches, and chance.
#[derive(solum::Ports)]
pub struct Ports {
    /// Where the files are.
    files: Link<Files>,
    /// For pauses.
    clock: Clock,
    /// What to do next.
    entropy: Entropy,
}

struct Tester<'a> {
    files: Client,
    clock: Clock,
    entropy: Entropy,
    directory: &'static str,
    model: &'a Shared<Model>,
}

/// What a call came to, if it was not what it was called for.
enum Trouble {
    /// It was refused for a reason that lies in what was asked.
    Refused(FilesError),
    /// Nobody knows whether it happened.
    Unknown,
}

/// The program. It panics if something is there that should not be.
pub fn tester(ports: Ports, directory: &'static str, model: &Shared<Model>) -> Result<(), Error> {
    let Ports { mut files, clock, entropy } = ports;
    files.set_patience(PATIENCE);
    model.borrow_mut().begins();
    let mut tester = Tester { files: Client::new(files), clock, entropy, directory, model };
    loop {
        if !tester.look()? {
            tester.clock.sleep(Duration::from_millis(50))?;
        } else if model.borrow().is_over && !model.borrow().is_done {
            tester.finish()?;
        } else {
            tester.work()?;
        }
    }
}

/// Stops the run.
fn found(why: &str) -> ! {
    panic!("{why}")
}

impl Tester<'_> {
    fn below(&mut self, bound: u64) -> Result<u64, Error> {
        Ok(self.entropy.number()? % bound)
    }

    fn path(&self, name: &str) -> String {
        format!("{}/{name}", self.directory)
    }

    fn name(&mut self) -> Result<String, Error> {
        Ok(format!("file-{}", self.below(NAMES)?))
    }

    /// What a call came to. Whoever serves may be gone, or slow.
    fn sort<T>(&self, outcome: Result<T, CallError<FilesError>>) -> Result<Result<T, Trouble>, Error> {
        let may_be_damaged = self.model.borrow().may_be_damaged;
        match outcome {
            Ok(value) => Ok(Ok(value)),
            Err(CallError::Service(FilesError::Disk(_))) => Ok(Err(Trouble::Unknown)),
            // The disk failed, and may not the next time.
            Err(CallError::Service(FilesError::Damaged(text)))
                if may_be_damaged || text.ends_with(UNREADABLE) =>
            {
                Ok(Err(Trouble::Unknown))
            }
            Err(CallError::Service(error)) => Ok(Err(Trouble::Refused(error))),
            Err(CallError::Link(Error::Gone { .. } | Error::Deadline)) => Ok(Err(Trouble::Unknown)),
            Err(CallError::Link(Error::Closed)) => Err(Error::Closed),
            Err(CallError::Link(error)) => found(&format!("the server answered: {error}")),
        }
    }

    fn work(&mut self) -> Result<(), Error> {
        let change = match self.below(20)? {
            0..=1 => Change::Create(self.name()?),
            2..=7 => {
                let (offset, length) = (self.below(FILE_BYTES)?, 1 + self.below(WRITE_BYTES)?);
                Change::Write(self.name()?, offset as usize, self.content(length as usize))
            }
            8 => Change::Truncate(self.name()?, self.below(FILE_BYTES)? as usize),
            9..=10 => Change::Rename(self.name()?, self.name()?),
            11 => Change::Remove(self.name()?),
            12..=14 => return self.sync().map(drop),
            15..=17 => return self.read(),
            _ => {
                let pause = Duration::from_micros(1 << self.below(18)?);
                return self.clock.sleep(pause);
            }
        };
        let is_missing = self.model.borrow().now() == Some(&None);
        self.change(&if is_missing { Change::MakeDirectory } else { change }).map(drop)
    }

    /// Bytes that no other write has.
    fn content(&mut self, length: usize) -> Vec<u8> {
        let model = &mut *self.model.borrow_mut();
        model.writes += 1;
        let number = model.writes;
        let bytes = (0..)
            .flat_map(|word: u64| (number << 16 | word).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes());
        bytes.take(length).collect()
    }

    /// Makes a change; whether it was made.
    fn change(&mut self, change: &Change) -> Result<bool, Error> {
        self.model.borrow_mut().tries(change);
        let path = |name: &str| self.path(name);
        let outcome = match change {
            Change::MakeDirectory => self.files.link().make_directory(self.directory.to_owned()),
            Change::Create(name) => {
                let path = path(name);
                self.files.link().create(path)
            }
            Change::Write(name, offset, data) => {
                let path = path(name);
                self.files.link().write(path, *offset as u64, data.clone())
            }
            Change::Truncate(name, size) => {
                let path = path(name);
                self.files.link().truncate(path, *size as u64)
            }
            Change::Rename(from, to) => {
                let (from, to) = (path(from), path(to));
                self.files.link().rename(from, to)
            }
            Change::Remove(name) => {
                let path = path(name);
                self.files.link().remove(path)
            }
        };
        let outcome = self.sort(outcome)?;
        let model = &mut *self.model.borrow_mut();
        let is_made = outcome.is_ok();
        let judged = match outcome {
            Ok(mark) => model.made(mark),
            Err(Trouble::Refused(why)) => model.refused(&why.to_string()),
            Err(Trouble::Unknown) => {
                model.is_unknown();
                Ok(())
            }
        };
        judged.unwrap_or_else(|why| found(&why));
        Ok(is_made)
    }

    /// Makes everything last; whether that was possible.
    fn sync(&mut self) -> Result<bool, Error> {
        let mark = self.model.borrow().mark;
        let Some(mark) = mark else { return Ok(false) };
        let outcome = self.files.link().sync(mark);
        let outcome = self.sort(outcome)?;
        let model = &mut *self.model.borrow_mut();
        match outcome {
            Ok(()) => model.synced(),
            Err(Trouble::Refused(FilesError::Lost)) if model.now().is_none() => {
                model.is_unknown();
            }
            Err(Trouble::Refused(why)) => found(&format!("a sync was refused: {why}")),
            Err(Trouble::Unknown) => return Ok(false),
        }
        Ok(true)
    }

    /// Reads a part of a file.
    fn read(&mut self) -> Result<(), Error> {
        let (name, offset, length) = (self.name()?, self.below(FILE_BYTES)?, self.below(FILE_BYTES)?);
        let path = self.path(&name);
        let life = self.model.borrow().life();
        let outcome = self.files.link().read(path, offset, length as u32);
        let outcome = self.sort(outcome)?;
        let model = self.model.borrow();
        let Some(Some(files)) = model.now().filter(|_| model.life() == life) else { return Ok(()) };
        let expected = files.get(&name).map(|content| {
            let from = content.len().min(offset as usize);
            &content[from..content.len().min((offset + length) as usize)]
        });
        match (outcome, expected) {
            (Ok(data), Some(expected)) if data == expected => {}
            (Err(Trouble::Refused(FilesError::NotFound(_))), None) | (Err(Trouble::Unknown), _) => {}
            (Ok(data), _) => found(&format!(
                "{} bytes of {name} at {offset} are not what was written (there should be {:?})",
                data.len(),
                expected.map(<[u8]>::len)
            )),
            (Err(Trouble::Refused(why)), _) => found(&format!("{name} cannot be read: {why}")),
        }
        Ok(())
    }

    /// Finds out what is there, if that is not known; whether it is.
    fn look(&mut self) -> Result<bool, Error> {
        let life = self.model.borrow().life();
        if self.model.borrow().now().is_some() {
            return Ok(true);
        }
        let state = match self.all()? {
            Ok(state) => state,
            Err(Trouble::Unknown) => return Ok(false),
            // Something was started again between two calls.
            Err(Trouble::Refused(_)) if self.model.borrow().life() != life => return Ok(false),
            Err(Trouble::Refused(why)) => found(&format!("what is there cannot be read: {why}")),
        };
        let model = &mut *self.model.borrow_mut();
        if model.life() != life {
            return Ok(false);
        }
        model.found(state).unwrap_or_else(|why| found(&why));
        Ok(true)
    }

    /// Reads everything.
    fn all(&mut self) -> Result<Result<State, Trouble>, Error> {
        let listed = self.files.list_all(self.directory);
        let entries = match self.sort(listed)? {
            Ok(entries) => entries,
            Err(Trouble::Refused(FilesError::NotFound(_))) => return Ok(Ok(None)),
            Err(trouble) => return Ok(Err(trouble)),
        };
        let mut files = BTreeMap::new();
        for entry in entries {
            let path = self.path(&entry.name);
            let content = self.files.read_file(&path);
            match self.sort(content)? {
                Ok(content) if content.len() as u64 == entry.stat.size => {
                    drop(files.insert(entry.name, Rc::new(content)))
                }
                // It was another life of the server, or another file system.
                Ok(_) => return Ok(Err(Trouble::Refused(FilesError::NotFound(path)))),
                Err(trouble) => return Ok(Err(trouble)),
            }
        }
        Ok(Ok(Some(files)))
    }

    /// Now everything must be possible.
    fn finish(&mut self) -> Result<(), Error> {
        let is_missing = self.model.borrow().now() == Some(&None);
        if is_missing {
            return self.change(&Change::MakeDirectory).map(drop);
        }
        let has_last = self
            .model
            .borrow()
            .now()
            .is_some_and(|state| state.as_ref().is_some_and(|files| files.contains_key("last")));
        let change =
            if has_last { Change::Remove("last".to_owned()) } else { Change::Create("last".to_owned()) };
        if self.change(&change)? && self.sync()? {
            // What is read from now on is what the disk has.
            self.model.borrow_mut().is_unknown();
            let is_known = self.look()?;
            self.model.borrow_mut().is_done = is_known;
        }
        Ok(())
    }
}
