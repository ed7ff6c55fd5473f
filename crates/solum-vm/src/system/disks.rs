//! The disks of a system: files of this host.

use std::cell::RefCell;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use solum_spec::plan::{self, Plan};

use super::Unprepared;

/// The disks of a system, which nobody else has as long as this lives. Whoever changes such a file beside the system
/// is asked to take the same lock, flock(2), as `solum-fs` does. QEMU's own locks are of another kind (fcntl(2)) and
/// do not meet it, so a unit or a virtual machine opens the file besides.
pub struct Disks {
    directory: PathBuf,
    locked: RefCell<Vec<File>>,
}

impl Disks {
    /// Makes the disks of `plan` that are not there yet, in the directory `state`, which stays, and locks them all.
    ///
    /// # Errors
    ///
    /// [`Unprepared`] says why.
    pub fn prepare(state: &Path, plan: &Plan) -> Result<Self, Unprepared> {
        let directory = state.join("disks");
        fs::create_dir_all(&directory).map_err(|error| Unprepared::file(&directory, &error))?;
        let lock = |disk| {
            let path = path(&directory, disk);
            let file = open(&path, disk)?;
            lock(&path, &file)?;
            Ok(file)
        };
        let locked = plan.disks.iter().map(lock).collect::<Result<_, _>>()?;
        Ok(Self { directory, locked: RefCell::new(locked) })
    }

    /// Opens a disk for a unit. Its file may be another one by now: then that one is locked, too.
    pub(super) fn open(&self, disk: &plan::Disk) -> io::Result<File> {
        let open = || OpenOptions::new().read(true).write(true).open(self.path(disk));
        let file = open()?;
        let mut locked = self.locked.borrow_mut();
        for other in locked.iter() {
            if is_same(&file, other)? {
                return Ok(file);
            }
        }
        // A lock belongs to what was opened, and this stays when the unit is gone.
        let other = open()?;
        if !is_same(&file, &other)? {
            return Err(io::Error::other("it was replaced just now"));
        }
        other.try_lock()?;
        locked.push(other);
        Ok(file)
    }

    /// The file that a disk is.
    pub fn path(&self, disk: &plan::Disk) -> PathBuf {
        path(&self.directory, disk)
    }
}

fn is_same(one: &File, other: &File) -> io::Result<bool> {
    let (one, other) = (one.metadata()?, other.metadata()?);
    Ok((one.dev(), one.ino()) == (other.dev(), other.ino()))
}

fn path(directory: &Path, disk: &plan::Disk) -> PathBuf {
    directory.join(format!("{}.{}.disk", disk.machine, disk.name))
}

fn open(path: &Path, disk: &plan::Disk) -> Result<File, Unprepared> {
    let failed = |error: io::Error| Unprepared::file(path, &error);
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    match options.clone().create_new(true).open(path) {
        Ok(file) => {
            // Without its full length it must not be found there later.
            file.set_len(disk.bytes).inspect_err(|_| drop(fs::remove_file(path))).map_err(failed)?;
            Ok(file)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let file = options.open(path).map_err(failed)?;
            let found = file.metadata().map_err(failed)?.len();
            if found < disk.bytes {
                return Err(too_short(path, disk, found));
            }
            Ok(file)
        }
        Err(error) => Err(failed(error)),
    }
}

fn lock(path: &Path, file: &File) -> Result<(), Unprepared> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(in_use(path)),
        Err(TryLockError::Error(error)) => Err(Unprepared::file(path, &error)),
    }
}

fn in_use(path: &Path) -> Unprepared {
    let why = format!("{}: another process has locked this disk and may change it", path.display());
    let users = crate::shell::quote(&["fuser".as_ref(), "-v".as_ref(), path.as_os_str()]);
    Unprepared { why, hint: Some(format!("run the system again when it is done; `{users}` names it")) }
}

fn too_short(path: &Path, disk: &plan::Disk, found: u64) -> Unprepared {
    let plan::Disk { name, machine, bytes, .. } = disk;
    let why = format!(
        "{}: disk {name} of {machine} is described with {bytes} bytes, and this file has {found}",
        path.display()
    );
    let size = format!("--size={bytes}");
    let grow = crate::shell::quote(&["truncate".as_ref(), size.as_ref(), path.as_os_str()]);
    let hint = format!("grow it with `{grow}`, or give `disk.{name}` in solum.toml the size that it has");
    Unprepared { why, hint: Some(hint) }
}
