//! The control group of a unit (Linux, Documentation/admin-guide/cgroup-v2.rst), where whoever runs it may make one: it
//! bounds the memory of all its processes together, and nothing that they started outlives the unit.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// A control group without groups of its own.
#[derive(Debug)]
pub struct Group {
    directory: PathBuf,
    /// How often the kernel had ended a process of it for want of memory when this life of the unit began.
    starved_before: u64,
}

/// Lets groups be made in `directory`, which is made too if it is not there, in a group that hands on what it has.
///
/// # Errors
///
/// If the kernel has no control groups, or none for memory.
pub fn prepare(directory: &Path) -> io::Result<()> {
    const CONTROLLERS: &str = "+memory";
    let parent = directory.parent().ok_or(io::ErrorKind::InvalidInput)?;
    fs::write(parent.join("cgroup.subtree_control"), CONTROLLERS)?;
    make(directory)?;
    fs::write(directory.join("cgroup.subtree_control"), CONTROLLERS)
}

impl Group {
    /// The group at this path, made if it is not there. `memory` is in bytes.
    ///
    /// # Errors
    ///
    /// If it cannot be made, or has no such limit: [`prepare`] has to come first.
    pub fn open(directory: &Path, memory: Option<u64>) -> io::Result<Self> {
        make(directory)?;
        let limit = memory.map_or_else(|| "max".to_owned(), |bytes| bytes.to_string());
        fs::write(directory.join("memory.max"), limit)?;
        // One limit for all memory. A kernel without swap has no such file.
        let _ = fs::write(directory.join("memory.swap.max"), "0");
        // A unit of which one process was ended is not what its author wrote.
        fs::write(directory.join("memory.oom.group"), "1")?;
        let mut group = Self { directory: directory.to_owned(), starved_before: 0 };
        group.starved_before = group.starved();
        Ok(group)
    }

    /// A process that writes `0` to this is in the group.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn entrance(&self) -> io::Result<OwnedFd> {
        let file = fs::OpenOptions::new().write(true).open(self.directory.join("cgroup.procs"))?;
        Ok(file.into())
    }

    /// Ends every process of the group.
    pub fn kill(&self) {
        // Linux before 5.14 has no such file; there the unit's process group is all that is ended.
        let _ = fs::write(self.directory.join("cgroup.kill"), "1");
    }

    /// Whether the kernel has ended processes because the group needed more memory than it may have.
    pub fn has_starved(&self) -> bool {
        self.starved() > self.starved_before
    }

    fn starved(&self) -> u64 {
        let events = fs::read_to_string(self.directory.join("memory.events")).unwrap_or_default();
        oom_kills(&events)
    }
}

fn make(directory: &Path) -> io::Result<()> {
    match fs::create_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}

/// The entry `oom_kill` of `memory.events`.
fn oom_kills(events: &str) -> u64 {
    let count = events.lines().find_map(|line| line.strip_prefix("oom_kill "));
    count.and_then(|count| count.trim().parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_that_were_ended_are_counted_and_groups_are_not() {
        let events = "low 0\nhigh 0\nmax 12\noom 3\noom_kill 2\noom_group_kill 1\n";
        assert_eq!((oom_kills(events), oom_kills(""), oom_kills("oom_kill x\n")), (2, 0, 0));
    }
}
