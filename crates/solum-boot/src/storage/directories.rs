//! Who may write where on what outlives the machine.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, lchown};
use std::path::Path;

use solum_spec::reason;
use solum_spec::storage::{PERMANENT, PRIVATE};

use super::{Errand, Owners};
use crate::identity::FIRST_UNIT_USER;
use crate::mounts::is_writable_mount;

/// Gives everybody their place in [`PERMANENT`], if something is mounted there that can be written. What could not be done, as
/// sentences.
pub fn prepare(errand: &Errand) -> Vec<String> {
    let is_there = errand.file_systems.iter().any(|one| one.target == PERMANENT);
    let root = Path::new(PERMANENT);
    if !is_there || !is_writable_mount(root) {
        return Vec::new();
    }
    let mut troubles = Vec::new();
    let mut note = |path: &Path, done: io::Result<()>| {
        if let Err(error) = done {
            troubles.push(format!("{} could not be prepared: {}", path.display(), reason(&error)));
        }
    };
    let open_to_all = if matches!(errand.owners, Owners::Program(_)) { 0o1777 } else { 0o755 };
    note(root, directory(root, open_to_all, 0));
    let private = Path::new(PRIVATE);
    note(private, directory(private, 0o700, 0));
    if let Owners::Units(units) = &errand.owners {
        let marks = private.join(MARKS);
        note(&marks, directory(&marks, 0o700, 0));
        let is_owned = |name: &OsStr| units.iter().any(|(unit, _)| name == unit.as_str());
        let marked = fs::read_dir(&marks).into_iter().flatten().flatten();
        for mark in marked.filter(|mark| !is_owned(&mark.file_name())) {
            let path = root.join(mark.file_name());
            note(&path, shut_abandoned(&path).and_then(|()| fs::remove_file(mark.path())));
        }
        for (name, user) in units {
            let path = root.join(name);
            // Before it is the unit's, or a power cut could leave one that nobody shuts.
            let marked = fs::File::create(marks.join(name));
            note(&path, marked.and_then(|_| directory(&path, 0o700, *user)));
        }
    }
    troubles
}

/// Below [`PRIVATE`], an empty file for each unit that has a directory. What else lies in [`PERMANENT`], others put there.
const MARKS: &str = "units";

/// Shuts what is the directory of a unit that is no more: another one has its user now. Only the directory itself changes hands;
/// a unit that comes back gets everything in it, from [`directory`].
fn shut_abandoned(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() && found.uid() >= FIRST_UNIT_USER => {
            fs::set_permissions(path, fs::Permissions::from_mode(0o700))?;
            chown(path, Some(0), Some(0))
        }
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// A directory of this user, with everything in it. Users are numbered by the order of units, so that they change with it.
fn directory(path: &Path, mode: u32, user: u32) -> io::Result<()> {
    match fs::create_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let found = fs::symlink_metadata(path)?;
    if !found.is_dir() {
        return Err(io::Error::other("it is there, and no directory"));
    }
    if found.uid() != user {
        // The directory itself comes last: if the power fails before, all is done again.
        if path != Path::new(PERMANENT) {
            give_everything(path, user)?;
        }
        chown(path, Some(user), Some(user))?;
    }
    if found.mode() & 0o7777 != mode {
        fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    }
    Ok(())
}

/// Gives what is in a directory to this user, without following links. Nobody else runs yet who could put one there.
fn give_everything(directory: &Path, user: u32) -> io::Result<()> {
    let mut open = vec![directory.to_owned()];
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(next)? {
            let entry = entry?;
            lchown(entry.path(), Some(user), Some(user))?;
            if entry.file_type()?.is_dir() {
                open.push(entry.path());
            }
        }
    }
    Ok(())
}
