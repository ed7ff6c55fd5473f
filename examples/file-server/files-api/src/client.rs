//! What most clients want: any length, and no marks to keep.

use solum::{CallError, Link};

use crate::{Entry, Files, FilesCalls, FilesError, LIST_ENTRIES_MAX, Mark, Stat, TRANSFER_BYTES_MAX};

/// What a call gives.
pub type CallResult<T> = Result<T, CallError<FilesError>>;

/// A link to a file server that cuts what is long into pieces and keeps the marks of what was not synced.
pub struct Client {
    link: Link<Files>,
    /// The last mark of each life since the last sync. More than one means that something may be lost.
    marks: Vec<Mark>,
}

impl Client {
    /// A client on this link.
    pub fn new(link: Link<Files>) -> Self {
        Self { link, marks: Vec::new() }
    }

    /// The link, for the calls that are not here. The marks they give go to [`keep`](Self::keep).
    pub fn link(&mut self) -> &mut Link<Files> {
        &mut self.link
    }

    /// Keeps a mark until the next sync.
    pub fn keep(&mut self, mark: Mark) {
        self.marks.retain(|kept| kept.life != mark.life);
        self.marks.push(mark);
    }

    /// Reads a whole file.
    ///
    /// # Errors
    ///
    /// Those of the calls.
    pub fn read_file(&mut self, path: &str) -> CallResult<Vec<u8>> {
        let mut content = Vec::new();
        loop {
            let piece = self.link.read(path.to_owned(), content.len() as u64, TRANSFER_BYTES_MAX)?;
            content.extend_from_slice(&piece);
            if piece.len() < TRANSFER_BYTES_MAX as usize {
                return Ok(content);
            }
        }
    }

    /// Writes into a file that exists, in as many calls as it takes.
    ///
    /// # Errors
    ///
    /// Those of the calls; a part may have been written then.
    pub fn write_at(&mut self, path: &str, offset: u64, data: &[u8]) -> CallResult<()> {
        for (at, piece) in
            (offset..).step_by(TRANSFER_BYTES_MAX as usize).zip(data.chunks(TRANSFER_BYTES_MAX as usize))
        {
            let mark = self.link.write(path.to_owned(), at, piece.to_vec())?;
            self.keep(mark);
        }
        Ok(())
    }

    /// Gives a file this content in one step, whether it exists or not: who reads sees the old content or the new one. It
    /// is made beside the file, under its name with `.new` behind it.
    ///
    /// # Errors
    ///
    /// Those of the calls; the file is as it was then. After `Gone` it may be the new one.
    pub fn replace(&mut self, path: &str, content: &[u8]) -> CallResult<()> {
        let beside = format!("{path}.new");
        match self.link.create(beside.clone()) {
            Ok(mark) => self.keep(mark),
            // Someone was interrupted while doing the same.
            Err(CallError::Service(FilesError::AlreadyExists(_))) => {
                let mark = self.link.truncate(beside.clone(), 0)?;
                self.keep(mark);
            }
            Err(error) => return Err(error),
        }
        self.write_at(&beside, 0, content)?;
        let mark = self.link.rename(beside, path.to_owned())?;
        self.keep(mark);
        Ok(())
    }

    /// Makes a directory unless it is there.
    ///
    /// # Errors
    ///
    /// Those of the calls.
    pub fn ensure_directory(&mut self, path: &str) -> CallResult<()> {
        match self.link.make_directory(path.to_owned()) {
            Ok(mark) => self.keep(mark),
            Err(CallError::Service(FilesError::AlreadyExists(_))) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Everything in a directory.
    ///
    /// # Errors
    ///
    /// Those of the calls.
    pub fn list_all(&mut self, path: &str) -> CallResult<Vec<Entry>> {
        let mut entries: Vec<Entry> = Vec::new();
        loop {
            let after = entries.last().map(|entry| entry.name.clone());
            let part = self.link.list(path.to_owned(), after, LIST_ENTRIES_MAX)?;
            let is_last = part.len() < LIST_ENTRIES_MAX as usize;
            entries.extend(part);
            if is_last {
                return Ok(entries);
            }
        }
    }

    /// What a path stands for; nothing if it does not exist.
    ///
    /// # Errors
    ///
    /// Those of the calls.
    pub fn stat(&mut self, path: &str) -> CallResult<Option<Stat>> {
        match self.link.stat(path.to_owned()) {
            Ok(stat) => Ok(Some(stat)),
            Err(CallError::Service(FilesError::NotFound(_))) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Returns when everything that was changed through this client lasts.
    ///
    /// # Errors
    ///
    /// [`FilesError::Lost`] if some of it did not survive a restart of the server: all since the last sync is to be done
    /// again. After any other error, sync again.
    pub fn sync(&mut self) -> CallResult<()> {
        while let Some(mark) = self.marks.first() {
            match self.link.sync(*mark) {
                Ok(()) => drop(self.marks.remove(0)),
                Err(CallError::Service(FilesError::Lost)) => {
                    self.marks.clear();
                    return Err(CallError::Service(FilesError::Lost));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
