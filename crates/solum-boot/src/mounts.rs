//! File systems that every machine has.

use std::ffi::{CString, OsString};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use rustix::mount::{MountFlags, UnmountFlags, mount, mount_remount, unmount};
use solum_spec::reason;

struct FileSystem {
    kind: &'static str,
    target: &'static str,
    flags: MountFlags,
    options: &'static str,
}

const fn file_system(
    kind: &'static str,
    target: &'static str,
    flags: MountFlags,
    options: &'static str,
) -> FileSystem {
    FileSystem { kind, target, flags, options }
}

const NO_SUID: MountFlags = MountFlags::NOSUID;
const NO_DEV: MountFlags = MountFlags::NOSUID.union(MountFlags::NODEV);
const NOTHING: MountFlags = NO_DEV.union(MountFlags::NOEXEC);

/// In this order. Options as in the Filesystem Hierarchy Standard and Documentation/filesystems of Linux; a full
/// /tmp leaves half of the memory to the programs.
const FILE_SYSTEMS: [FileSystem; 8] = [
    file_system("devtmpfs", "/dev", NO_SUID, "mode=0755"),
    file_system("proc", "/proc", NOTHING, ""),
    file_system("sysfs", "/sys", NOTHING, ""),
    file_system("devpts", "/dev/pts", NO_SUID.union(MountFlags::NOEXEC), "mode=0620,gid=5,ptmxmode=0666"),
    file_system("tmpfs", "/dev/shm", NO_DEV, "mode=1777,size=50%"),
    file_system("tmpfs", "/run", NO_DEV, "mode=0755,size=20%"),
    file_system("tmpfs", "/tmp", NO_DEV, "mode=1777,size=50%"),
    file_system("cgroup2", "/sys/fs/cgroup", NOTHING, ""),
];

/// Mounts the file systems that every machine has. What a kernel lacks is left out and named.
pub fn mount_all() -> Vec<String> {
    let mut missing = Vec::new();
    for FileSystem { kind, target, flags, options } in FILE_SYSTEMS {
        let mounted = make_directory(target).and_then(|()| {
            let options = CString::new(options).unwrap_or_default();
            Ok(mount(kind, target, kind, flags, options.as_c_str())?)
        });
        match mounted {
            // An initramfs that was prepared elsewhere may have mounted it.
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::BUSY.raw_os_error()) => {}
            Err(error) => {
                missing.push(format!("{kind} could not be mounted on {target}: {}", reason(&error)))
            }
            Ok(()) => {}
        }
    }
    link_descriptors();
    // The kernel makes its initramfs as open to all as /tmp (mode 1777 where it is a tmpfs). Only root owns the root.
    let _ = fs::set_permissions("/", fs::Permissions::from_mode(0o755));
    missing
}

/// `/dev/stdin` and its kin, which programs expect and devtmpfs does not make.
fn link_descriptors() {
    for (name, target) in [
        ("/dev/fd", "/proc/self/fd"),
        ("/dev/stdin", "/proc/self/fd/0"),
        ("/dev/stdout", "/proc/self/fd/1"),
        ("/dev/stderr", "/proc/self/fd/2"),
    ] {
        // They exist already if the kernel was booted a second time on the same devtmpfs; nothing is lost then.
        let _ = std::os::unix::fs::symlink(target, name);
    }
}

/// Mounts a host directory shared by 9p over virtio.
///
/// `msize` is the largest message; 512 KiB is where throughput stops growing under QEMU (its wiki, "9psetup").
pub fn mount_share(tag: &str, target: &str, read_only: bool) -> io::Result<()> {
    make_directory(target)?;
    let mut flags = NO_DEV;
    if read_only {
        flags |= MountFlags::RDONLY;
    }
    let options = c"trans=virtio,version=9p2000.L,msize=524288,cache=none,access=user";
    Ok(mount(tag, target, "9p", flags, options)?)
}

fn make_directory(path: &str) -> io::Result<()> {
    if Path::new(path).is_dir() { Ok(()) } else { fs::create_dir_all(path) }
}

/// Shows what the kernel kept over its last panic.
pub fn mount_pstore(target: &str) -> io::Result<()> {
    match mount("pstore", target, "pstore", NOTHING, c"") {
        Err(rustix::io::Errno::BUSY) => Ok(()),
        mounted => Ok(mounted?),
    }
}

/// Whether something of its own is mounted here, and not read-only.
pub fn is_writable_mount(path: &Path) -> bool {
    let own = fs::metadata(path).map(|metadata| metadata.dev());
    let outer = fs::metadata("/").map(|metadata| metadata.dev());
    let is_read_only = rustix::fs::statvfs(path)
        .map_or(true, |space| space.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY));
    own.ok() != outer.ok() && !is_read_only
}

/// Unmounts everything that can be unmounted, last mounted first, and makes the rest read-only.
///
/// The kernel's own trees hold no data and stay, because `/proc` is still needed.
pub fn unmount_all() {
    // Names of mount points are bytes, and a program may have chosen them.
    let Ok(table) = fs::read("/proc/self/mounts") else { return };
    for target in table.split(|byte| *byte == b'\n').rev().filter_map(mount_point_with_data) {
        let is_safe = unmount(&target, UnmountFlags::empty()).is_ok()
            || mount_remount(&target, MountFlags::RDONLY, c"").is_ok();
        if !is_safe {
            // Something still writes to it. A lazy unmount at least flushes it when that something is gone.
            let _ = unmount(&target, UnmountFlags::DETACH);
        }
    }
}

/// Kinds of file systems that forget everything with the machine.
const WITHOUT_DATA: [&[u8]; 9] =
    [b"proc", b"sysfs", b"pstore", b"devtmpfs", b"devpts", b"cgroup2", b"rootfs", b"tmpfs", b"ramfs"];

/// The mount point that a line of /proc/self/mounts names (fstab(5)), if there is anything to lose.
fn mount_point_with_data(line: &[u8]) -> Option<OsString> {
    let mut fields = line.split(|byte| *byte == b' ');
    let (_, target, kind) = (fields.next()?, fields.next()?, fields.next()?);
    (!WITHOUT_DATA.contains(&kind)).then(|| unescape(target))
}

/// The kernel writes space, tab, newline, backslash and number sign in octal (`mangle` in fs/proc_namespace.c).
fn unescape(mut field: &[u8]) -> OsString {
    let mut bytes = Vec::with_capacity(field.len());
    while let [first, rest @ ..] = field {
        let (byte, rest) = match field {
            [b'\\', high @ b'0'..=b'3', middle @ b'0'..=b'7', low @ b'0'..=b'7', rest @ ..] => {
                ((high - b'0') << 6 | (middle - b'0') << 3 | (low - b'0'), rest)
            }
            _ => (*first, rest),
        };
        bytes.push(byte);
        field = rest;
    }
    OsString::from_vec(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_points_come_before_what_is_mounted_in_them() {
        for (index, inner) in FILE_SYSTEMS.iter().enumerate() {
            for outer in &FILE_SYSTEMS[index + 1..] {
                assert!(
                    !inner.target.starts_with(&format!("{}/", outer.target)),
                    "{} would be hidden",
                    inner.target
                );
            }
        }
    }

    #[test]
    fn mount_points_with_data_are_found_whatever_their_names() {
        for (line, found) in [
            (&b"share0 /a\\040b\\134c\\043 9p rw 0 0"[..], Some(&b"/a b\\c#"[..])),
            (b"share0 /\xff\\9\\04 9p rw 0 0", Some(b"/\xff\\9\\04")),
            (b"tmpfs /tmp tmpfs rw 0 0", None),
            (b"share0 /a", None),
            (b"", None),
        ] {
            let expected = found.map(|name| OsString::from_vec(name.to_vec()));
            assert_eq!(mount_point_with_data(line), expected);
        }
    }
}
