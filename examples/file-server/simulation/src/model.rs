//! What may be in a directory.

use std::collections::BTreeMap;
use std::rc::Rc;

use files_api::Mark;
use solum_sim::Shared;

/// The content of each file, by its name; none, if there is no directory.
pub type State = Option<BTreeMap<String, Rc<Vec<u8>>>>;

/// A call that changes something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Makes the directory.
    MakeDirectory,
    /// Makes an empty file.
    Create(String),
    /// Writes into a file, from this byte on.
    Write(String, usize, Vec<u8>),
    /// Gives a file so many bytes.
    Truncate(String, usize),
    /// Gives a file another name.
    Rename(String, String),
    /// Removes a file.
    Remove(String),
}

impl Change {
    /// What comes of it; nothing, if it must be refused.
    pub fn of(&self, state: &State) -> Option<State> {
        let Some(files) = state else {
            return (*self == Self::MakeDirectory).then(|| Some(BTreeMap::new()));
        };
        let mut files = files.clone();
        match self {
            Self::MakeDirectory => return None,
            Self::Create(name) if files.contains_key(name) => return None,
            Self::Create(name) => drop(files.insert(name.clone(), Rc::default())),
            Self::Write(name, offset, data) => {
                let content = Rc::make_mut(files.get_mut(name)?);
                content.resize(content.len().max(offset + data.len()), 0);
                content[*offset..offset + data.len()].copy_from_slice(data);
            }
            Self::Truncate(name, size) => Rc::make_mut(files.get_mut(name)?).resize(*size, 0),
            Self::Rename(from, to) => {
                let content = files.remove(from)?;
                files.insert(to.clone(), content);
            }
            Self::Remove(name) => drop(files.remove(name)?),
        }
        Some(Some(files))
    }
}

/// What may be in a directory that one tester alone changes, over all lives of the server and of the tester.
#[derive(Debug)]
pub struct Model {
    /// How often the server was started.
    lives: Shared<u32>,
    /// What may be there when the server is started again: what lasts, and all that came after it.
    since: Vec<State>,
    /// In which life of the server the last of them was what is there, but for what is in doubt.
    known_in: Option<u32>,
    /// Whether somebody has to look again.
    is_doubtful: bool,
    /// A change of which nobody knows whether it happened.
    in_doubt: Option<Change>,
    /// Stands for the last of the states.
    pub mark: Option<Mark>,
    /// Whether the disk may damage what it should keep.
    pub may_be_damaged: bool,
    /// What the contents of files are made from.
    pub writes: u64,
    /// Whether all faults have stopped.
    pub is_over: bool,
    /// Whether the tester could then do all it wanted.
    pub is_done: bool,
}

impl Model {
    /// A new file system.
    pub fn new(lives: Shared<u32>, may_be_damaged: bool) -> Self {
        Self {
            lives,
            since: vec![None],
            known_in: None,
            is_doubtful: true,
            in_doubt: None,
            mark: None,
            may_be_damaged,
            writes: 0,
            is_over: false,
            is_done: false,
        }
    }

    /// Which life of the server it is.
    pub fn life(&self) -> u32 {
        *self.lives.borrow()
    }

    /// What is there, if that is known.
    pub fn now(&self) -> Option<&State> {
        let is_known = !self.is_doubtful && self.known_in == Some(self.life());
        self.since.last().filter(|_| is_known)
    }

    /// The tester was started. Of what it was doing nobody knows whether it happened.
    pub fn begins(&mut self) {
        self.is_doubtful |= self.in_doubt.is_some();
    }

    /// A change is going to be made.
    pub fn tries(&mut self, change: &Change) {
        self.in_doubt = Some(change.clone());
    }

    /// It was made.
    ///
    /// # Errors
    ///
    /// Why it should not have been.
    pub fn made(&mut self, mark: Mark) -> Result<(), String> {
        let expected = match (self.now(), &self.in_doubt) {
            (Some(state), Some(change)) => Some(change.of(state)),
            _ => None,
        };
        match expected {
            // The server was started again in between: it is to be seen what it was made of.
            None => self.is_unknown(),
            Some(None) => return Err(format!("{:?} was done, and should have been refused", self.in_doubt)),
            Some(Some(state)) => {
                self.since.push(state);
                self.in_doubt = None;
                self.mark = Some(mark);
            }
        }
        Ok(())
    }

    /// It was refused, and changed nothing.
    ///
    /// # Errors
    ///
    /// Why it should not have been.
    pub fn refused(&mut self, why: &str) -> Result<(), String> {
        let expected = match (self.now(), &self.in_doubt) {
            (Some(state), Some(change)) => change.of(state),
            _ => {
                self.is_unknown();
                return Ok(());
            }
        };
        if expected.is_some() {
            return Err(format!("{:?} was refused: {why}", self.in_doubt));
        }
        self.in_doubt = None;
        Ok(())
    }

    /// Nobody knows what is there until somebody looks.
    pub fn is_unknown(&mut self) {
        self.is_doubtful = true;
    }

    /// Everything until the last change that was answered lasts.
    pub fn synced(&mut self) {
        let before_last = self.since.len() - 1;
        self.since.drain(..before_last);
    }

    /// Somebody looked, and found this. All of it was read in this life of the server.
    ///
    /// # Errors
    ///
    /// Why it cannot be.
    pub fn found(&mut self, state: State) -> Result<(), String> {
        let after = |state: &State| self.in_doubt.as_ref().and_then(|change| change.of(state));
        let is_from = |before: &State| *before == state || after(before).as_ref() == Some(&state);
        if self.known_in == Some(self.life()) {
            if !self.since.last().is_some_and(is_from) {
                return Err(self.explain(&state));
            }
            self.since.push(state);
        } else {
            // What the server began with lasts; and it is what was found, or what that was made from.
            let mut possible: Vec<State> =
                self.since.iter().filter(|before| is_from(before)).cloned().collect();
            if possible.is_empty() {
                return Err(self.explain(&state));
            }
            possible.push(state);
            self.since = possible;
        }
        self.known_in = Some(self.life());
        self.is_doubtful = false;
        self.in_doubt = None;
        self.mark = None;
        Ok(())
    }

    fn explain(&self, found: &State) -> String {
        let shape = |state: &State| match state {
            None => "no directory".to_owned(),
            Some(files) => {
                let files = files.iter().map(|(name, content)| {
                    let sum = content
                        .iter()
                        .fold(0_u64, |sum, byte| sum.wrapping_mul(31).wrapping_add((*byte).into()));
                    format!("{name}: {} bytes ({sum:x})", content.len())
                });
                format!("[{}]", files.collect::<Vec<_>>().join(", "))
            }
        };
        let possible: Vec<String> = self.since.iter().map(shape).collect();
        let doubt = match &self.in_doubt {
            None => String::new(),
            Some(Change::Write(name, offset, data)) => {
                format!(", perhaps with {} bytes written at {offset} of {name}", data.len())
            }
            Some(change) => format!(", perhaps with {change:?}"),
        };
        format!("there is {}, and there may be {}{doubt}", shape(found), possible.join(" or "))
    }
}
