//! Mount options as people write them, told apart: what the kernel takes as flags, and what the file system reads.

use rustix::mount::MountFlags;

/// Flags and the file system's own options. Without a word about them, devices and programs of other users are not
/// believed: whoever writes to a disk elsewhere would have the machine.
pub fn split(options: &str) -> (MountFlags, String) {
    let mut flags = MountFlags::NOSUID | MountFlags::NODEV;
    let mut own = String::new();
    for option in options.split(',').filter(|option| !option.is_empty()) {
        match option {
            "suid" => flags -= MountFlags::NOSUID,
            "dev" => flags -= MountFlags::NODEV,
            "exec" => flags -= MountFlags::NOEXEC,
            "async" => flags -= MountFlags::SYNCHRONOUS,
            "nosuid" => flags |= MountFlags::NOSUID,
            "nodev" => flags |= MountFlags::NODEV,
            "noexec" => flags |= MountFlags::NOEXEC,
            "sync" => flags |= MountFlags::SYNCHRONOUS,
            "dirsync" => flags |= MountFlags::DIRSYNC,
            "noatime" => flags |= MountFlags::NOATIME,
            "nodiratime" => flags |= MountFlags::NODIRATIME,
            "relatime" => flags |= MountFlags::RELATIME,
            "strictatime" => flags |= MountFlags::STRICTATIME,
            "lazytime" => flags |= MountFlags::LAZYTIME,
            "defaults" => {}
            other => add(&mut own, other),
        }
    }
    (flags, own)
}

/// Whether one of this name is among them.
pub fn has(options: &str, name: &str) -> bool {
    options.split(',').any(|option| option.split('=').next() == Some(name))
}

/// Adds one to options of a file system.
pub fn add(options: &mut String, option: &str) {
    if !options.is_empty() {
        options.push(',');
    }
    options.push_str(option);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_and_options_are_told_apart() {
        let default = MountFlags::NOSUID | MountFlags::NODEV;
        for (options, flags, own) in [
            ("", default, ""),
            ("noatime,commit=30,data=journal", default | MountFlags::NOATIME, "commit=30,data=journal"),
            ("suid,dev,noexec,defaults", MountFlags::NOEXEC, ""),
            ("sync,async,size=10M,", default, "size=10M"),
        ] {
            assert_eq!(split(options), (flags, own.to_owned()), "{options}");
        }
    }
}
