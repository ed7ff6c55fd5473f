//! Where records are: a file each, in a file system that another unit keeps.
//!
//! - `values/KEY`: number and value of a key that has one.
//! - `deleted/KEY`: the number of its deletion, of so many keys at most.
//! - `forgotten`: the greatest number of a deletion that was removed from there.
//! - `epoch`: how often a sequencer began.
//!
//! A file is replaced as a whole, and a save is over when it was synced. If the file server ends in between, all of the save
//! is repeated; it does not matter how far it had come. If the sequencer ends in between, the next one reads what is there,
//! and begins with a sync, so that whatever can be read lasts.

use std::fmt;

use cluster::calls::Refusal;
use cluster::page::Page;
use cluster::sequencer::Stored;
use cluster::tombstones::Tombstones;
use cluster::{Key, Number, Record, file_name_prefix};
use files_api::{CallResult, Client, Entry, FilesCalls, FilesError, LIST_ENTRIES_MAX};
use solum::CallError;

/// How many deletions are remembered.
const TOMBSTONES_MAX: usize = 1024;
/// What is left free for deletions, which make room but need some first.
const RESERVE_BYTES: u64 = 1 << 20;
/// How often something is tried before the file server counts as broken.
const ATTEMPTS: usize = 10;

const VALUES: &str = "values";
const DELETED: &str = "deleted";
const FORGOTTEN: &str = "forgotten";
const EPOCH: &str = "epoch";

/// It is not known what the storage has now.
#[derive(Debug, PartialEq, Eq)]
pub enum Broken {
    /// The file server did not do it.
    Files(CallError<FilesError>),
    /// A file has a content that nobody wrote.
    Content(String),
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Files(error) => write!(f, "the file server failed: {error}"),
            Self::Content(path) => write!(f, "{path}: the file has a content that no sequencer wrote"),
        }
    }
}

/// The storage.
pub struct Storage {
    files: Client,
    tombstones: Tombstones,
}

impl Storage {
    /// Opens the storage, and begins a new epoch. Everything that can be read from it lasts.
    pub fn open(files: Client) -> Result<(Self, u64), Broken> {
        let mut storage = Self { files, tombstones: Tombstones::default() };
        let epoch = storage.persist(Self::begin)?;
        storage.persist(Self::read_tombstones)?;
        Ok((storage, epoch))
    }

    fn begin(&mut self) -> Result<u64, Broken> {
        for directory in [VALUES, DELETED] {
            self.files.ensure_directory(directory)?;
        }
        let last = match self.read(EPOCH)? {
            None => 0,
            Some(bytes) => number(EPOCH, &bytes)?.epoch,
        };
        let epoch = Number { epoch: last + 1, count: 0 };
        self.files.replace(EPOCH, &epoch.to_bytes())?;
        self.files.sync()?;
        Ok(epoch.epoch)
    }

    fn read_tombstones(&mut self) -> Result<(), Broken> {
        let forgotten = self.read(FORGOTTEN)?.map(|bytes| number(FORGOTTEN, &bytes)).transpose()?;
        self.tombstones = Tombstones::new(forgotten.unwrap_or_default());
        for Entry { name, .. } in self.files.list_all(DELETED)? {
            let Some(key) = Key::from_file_name(&name) else { continue };
            let path = deleted(&key);
            let Some(bytes) = self.read(&path)? else { continue };
            let deletion = number(&path, &bytes)?;
            // A save that was cut off may have left both.
            match self.read_value(&key)? {
                Some(record) if record.number > deletion => self.remove(&path)?,
                Some(_) => {
                    self.remove(&value(&key))?;
                    self.tombstones.add(key, deletion);
                }
                None => self.tombstones.add(key, deletion),
            }
        }
        self.files.sync().map_err(Broken::Files)
    }

    /// What there is for a key.
    pub fn load(&mut self, key: &Key) -> Result<Stored, Refusal> {
        let forgotten = self.tombstones.forgotten();
        if let Some(number) = self.tombstones.get(key) {
            return Ok(Stored { record: Some(Record { number, value: None }), forgotten });
        }
        match self.persist(|storage| storage.read_value(key)) {
            Ok(record) => Ok(Stored { record, forgotten }),
            Err(broken) => Err(Refusal::Storage(broken.to_string())),
        }
    }

    /// Makes a record last, or says that it certainly did not.
    pub fn save(&mut self, key: &Key, record: &Record) -> Result<Result<(), Refusal>, Broken> {
        match self.persist(|storage| storage.try_save(key, record)) {
            Ok(()) => {}
            Err(Broken::Files(CallError::Service(FilesError::NoSpace))) if !self.is_saved(key, record)? => {
                return Ok(Err(Refusal::Full));
            }
            Err(broken) => return Err(broken),
        }
        match record.value {
            Some(_) => drop(self.tombstones.remove(key)),
            None => self.tombstones.add(key.clone(), record.number),
        }
        if let Some((_, oldest)) = self.tombstones.surplus(TOMBSTONES_MAX) {
            self.tombstones.forget(&oldest);
        }
        Ok(Ok(()))
    }

    fn try_save(&mut self, key: &Key, record: &Record) -> Result<(), Broken> {
        match &record.value {
            Some(_) if self.free_bytes()? < RESERVE_BYTES => {
                return Err(CallError::Service(FilesError::NoSpace).into());
            }
            Some(bytes) => {
                let content = [&record.number.to_bytes(), bytes.as_slice()].concat();
                self.files.replace(&value(key), &content)?;
                if self.tombstones.get(key).is_some() {
                    self.remove(&deleted(key))?;
                }
            }
            None => {
                self.files.replace(&deleted(key), &record.number.to_bytes())?;
                self.remove(&value(key))?;
                let oldest = self.tombstones.surplus(TOMBSTONES_MAX - 1);
                if let Some((number, oldest)) = oldest.filter(|(_, oldest)| oldest != key) {
                    self.files.replace(FORGOTTEN, &number.to_bytes())?;
                    self.remove(&deleted(&oldest))?;
                }
            }
        }
        self.files.sync().map_err(Broken::Files)
    }

    fn free_bytes(&mut self) -> Result<u64, Broken> {
        Ok(self.files.link().room().map_err(CallError::Link)?.free_bytes)
    }

    /// Whether a save that failed can be seen all the same.
    fn is_saved(&mut self, key: &Key, record: &Record) -> Result<bool, Broken> {
        let path = match record.value {
            Some(_) => value(key),
            None => deleted(key),
        };
        let found = self.persist(|storage| Ok(storage.read(&path)?))?;
        Ok(found.is_some_and(|bytes| bytes.starts_with(&record.number.to_bytes())))
    }

    /// The keys that have a value.
    pub fn list(&mut self, prefix: &str, after: Option<&Key>) -> Result<Page, Refusal> {
        let listed = self.persist(|storage| storage.try_list(prefix, after));
        listed.map_err(|broken| Refusal::Storage(broken.to_string()))
    }

    fn try_list(&mut self, prefix: &str, after: Option<&Key>) -> Result<Page, Broken> {
        let prefix = file_name_prefix(prefix);
        // The prefix itself comes before everything that begins with it, and is no key: it is empty, or ends with a slash.
        let mut last = after.map(Key::file_name).into_iter().chain([prefix.clone()]).max();
        last = last.filter(|last| !last.is_empty());
        let mut page = Page::default();
        loop {
            let entries = self.files.link().list(VALUES.into(), last.take(), LIST_ENTRIES_MAX)?;
            let is_last = entries.len() < LIST_ENTRIES_MAX as usize;
            for Entry { name, .. } in entries {
                if !name.starts_with(&prefix) {
                    return Ok(page);
                }
                if let Some(key) = Key::from_file_name(&name) {
                    page.push(key);
                }
                last = Some(name);
            }
            if is_last || page.has_more {
                return Ok(page);
            }
        }
    }

    /// Tries again as long as that may help: the file server was started again, or lost what had not been synced.
    fn persist<T>(&mut self, mut attempt: impl FnMut(&mut Self) -> Result<T, Broken>) -> Result<T, Broken> {
        let mut outcome = attempt(self);
        for _ in 1..ATTEMPTS {
            match outcome {
                Err(Broken::Files(error)) if may_help(&error) => outcome = attempt(self),
                outcome => return outcome,
            }
        }
        outcome
    }

    fn read_value(&mut self, key: &Key) -> Result<Option<Record>, Broken> {
        let path = value(key);
        let Some(mut bytes) = self.read(&path)? else { return Ok(None) };
        let Some((head, _)) = bytes.split_first_chunk() else { return Err(Broken::Content(path)) };
        let number = Number::from_bytes(*head);
        bytes.drain(..Number::BYTES);
        Ok(Some(Record { number, value: Some(bytes) }))
    }

    fn read(&mut self, path: &str) -> CallResult<Option<Vec<u8>>> {
        match self.files.read_file(path) {
            Ok(content) => Ok(Some(content)),
            Err(CallError::Service(FilesError::NotFound(_))) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn remove(&mut self, path: &str) -> CallResult<()> {
        match self.files.link().remove(path.to_owned()) {
            Ok(mark) => self.files.keep(mark),
            Err(CallError::Service(FilesError::NotFound(_))) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

/// Whether to do everything again may help after this error.
fn may_help(error: &CallError<FilesError>) -> bool {
    match error {
        CallError::Link(error) => matches!(error, solum::Error::Gone { .. }),
        // A file that was made a moment ago is not there any more, or one that was away is back: the file server was
        // started again in between.
        CallError::Service(error) => {
            matches!(error, FilesError::Lost | FilesError::NotFound(_) | FilesError::AlreadyExists(_))
        }
    }
}

fn value(key: &Key) -> String {
    format!("{VALUES}/{}", key.file_name())
}

fn deleted(key: &Key) -> String {
    format!("{DELETED}/{}", key.file_name())
}

fn number(path: &str, bytes: &[u8]) -> Result<Number, Broken> {
    bytes.try_into().map(Number::from_bytes).map_err(|_| Broken::Content(path.to_owned()))
}

impl From<CallError<FilesError>> for Broken {
    fn from(error: CallError<FilesError>) -> Self {
        Self::Files(error)
    }
}

#[cfg(test)]
#[path = "storage_tests.rs"]
mod tests;
