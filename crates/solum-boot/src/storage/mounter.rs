//! Mounting one file system, after it was looked at.

use std::ffi::CString;
use std::fs::{self, File};
use std::io::{self, Read, Seek};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

use rustix::fs::{MemfdFlags, memfd_create};
use rustix::io::Errno;
use rustix::mount::{MountFlags, mount as mount_kernel};
use solum_spec::reason;
use solum_spec::storage::{E2FSCK, FileSystem, Kind, PERMANENT};

use super::Owners;
use super::check::{self, Verdict};
use super::find::Device;
use super::grow;
use super::options;
use super::volume::State;

/// With less than this many bytes free somebody should know: programs are about to fail.
const NEARLY_FULL: u64 = 1 << 20;

/// A file system that is there.
pub struct Mounted {
    /// What it is, for people.
    pub what: String,
    /// What somebody should know.
    pub warnings: Vec<String>,
}

/// Mounts one.
///
/// # Errors
///
/// Why not, as a sentence for people. Nothing was written to it then, but by e2fsck(8).
pub fn mount(wanted: &FileSystem, device: Option<&Device>, owners: &Owners) -> Result<Mounted, String> {
    let target = &wanted.target;
    let failed = |why: String| format!("{target} cannot be mounted: {why}");
    let mut warnings = Vec::new();
    let kind = kind(wanted, device).map_err(failed)?;
    let (mut flags, given) = options::split(&wanted.options);
    let mut read_only = wanted.read_only;
    if let Some(device) = device {
        if device.read_only && !read_only && kind != Kind::Iso9660 {
            warnings.push(format!("{} cannot be written, so this is read-only", device.name));
        }
        read_only |= device.read_only || kind == Kind::Iso9660;
    }
    if read_only {
        flags |= MountFlags::RDONLY;
    }
    warnings.extend(closed_to_units(kind, read_only, &given, target, owners));
    let own = with_defaults(kind, &given, target, owners);
    if let Some(device) = device {
        is_whole(device, &given).map_err(failed)?;
        warnings.extend(examine(device, kind, read_only).map_err(failed)?);
    }
    let source = device.map_or_else(|| kind.name().to_owned(), |device| format!("/dev/{}", device.name));
    if let Some(link) = link_above(Path::new(target)) {
        return Err(failed(format!("{} is a link, and may lead anywhere", link.display())));
    }
    fs::create_dir_all(target).map_err(|error| failed(reason(&error)))?;
    let data = CString::new(own.as_str()).unwrap_or_default();
    mount_kernel(source.as_str(), target.as_str(), driver(kind), flags, data.as_c_str())
        .map_err(|error| failed(explain(error, kind, &given, device)))?;
    if let Some(device) = device.filter(|_| wanted.grow && !read_only) {
        warnings.extend(grow::grow(device, kind, target));
    }
    warnings.extend(fullness(target, read_only || kind.is_memory()));
    let how = if read_only { ", read-only" } else { "" };
    let what = match device {
        Some(device) => format!("{} ({kind}{how})", device.name),
        None => kind.to_string(),
    };
    Ok(Mounted { what, warnings })
}

/// The first link on the way to a place. A program that may write to a file system that was mounted earlier could have made it, to
/// have the next one mounted over what is root's.
fn link_above(target: &Path) -> Option<&Path> {
    let is_link = |path: &&Path| fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink());
    target.ancestors().find(is_link)
}

/// The kind that is mounted: what is there, which has to be what is wanted.
fn kind(wanted: &FileSystem, device: Option<&Device>) -> Result<Kind, String> {
    let found = device.and_then(|device| device.volume.as_ref()).map(|volume| volume.kind);
    let name = device.map_or("", |device| &device.name);
    let is_extended = |kind: Kind| driver(kind) == driver(Kind::Ext4);
    match (wanted.kind, found) {
        (Some(wanted), Some(found)) if wanted != found && !(is_extended(wanted) && is_extended(found)) => {
            Err(format!("{name} is {found}, and it is described as {wanted}"))
        }
        (_, Some(found)) => Ok(found),
        (Some(wanted), None) if wanted.is_memory() || device.is_some() => Ok(wanted),
        _ => Err(format!(
            "there is no file system of a known kind on {name}; it is left as it is. If there should be one, it is damaged; \
             if not, make one, for example with `mkfs.ext4 -L LABEL`"
        )),
    }
}

/// One driver reads all three, and kernels need not have the others (fs/ext4/super.c, `ext4_fs_type`).
fn driver(kind: Kind) -> &'static str {
    match kind {
        Kind::Ext2 | Kind::Ext3 | Kind::Ext4 => "ext4",
        other => other.name(),
    }
}

/// What holds unless the options say otherwise.
fn with_defaults(kind: Kind, given: &str, target: &str, owners: &Owners) -> String {
    let mut options = String::new();
    let is_given = |name: &str| options::has(given, name);
    match (kind, owners) {
        // After the first error that the kernel finds nothing is written any more (ext4(5), `errors`).
        (Kind::Ext2 | Kind::Ext3 | Kind::Ext4, _) if !is_given("errors") => {
            options::add(&mut options, "errors=remount-ro");
        }
        // It knows no owners, so that everything belongs to whom it is for.
        (Kind::Vfat, _) if !is_given("uid") && !is_given("gid") => {
            if let Some(user) = only_user(target, owners) {
                options::add(&mut options, &format!("uid={user},gid={user}"));
            }
        }
        (Kind::Tmpfs, Owners::Program(user)) if !is_given("uid") && !is_given("mode") => {
            options::add(&mut options, &format!("uid={user},gid={user},mode=0755"));
        }
        _ => {}
    }
    if !given.is_empty() {
        options::add(&mut options, given);
    }
    options
}

/// Whether there is more of it than this device, and nobody says where: the kernel would call that damaged.
fn is_whole(device: &Device, given: &str) -> Result<(), String> {
    let devices = device.volume.as_ref().map_or(1, |volume| volume.devices);
    if devices <= 1 || options::has(given, "device") || options::has(given, "degraded") {
        return Ok(());
    }
    Err(format!(
        "{} is one of {devices} devices that its file system needs; name the others as options, like device=/dev/…",
        device.shown()
    ))
}

/// Who alone writes there. At [`PERMANENT`] PID 1 does, too, beside the units.
fn only_user(target: &str, owners: &Owners) -> Option<u32> {
    match owners {
        Owners::Program(user) => Some(*user),
        Owners::Units(units) => match &units[..] {
            [(_, user)] if target != PERMANENT => Some(*user),
            _ => None,
        },
    }
}

/// What of vfat surprises units: all of it belongs to one user (Documentation/filesystems/vfat.rst), which can be only one of them.
fn closed_to_units(
    kind: Kind,
    read_only: bool,
    given: &str,
    target: &str,
    owners: &Owners,
) -> Option<String> {
    let has_units = matches!(owners, Owners::Units(units) if !units.is_empty());
    let is_decided =
        ["uid", "gid", "umask", "dmask", "fmask"].into_iter().any(|name| options::has(given, name));
    let is_closed = has_units && only_user(target, owners).is_none() && !is_decided;
    let is_shared = has_units && target == PERMANENT;
    let text = if is_shared {
        // With open permissions each unit would read what PID 1 and the others keep.
        "vfat knows no owners, so that units have no directories of their own on it: take ext4 or btrfs for this"
    } else {
        "vfat knows no owners, so that only root can write to it; the option `umask=000` lets every unit, and ext4 knows whose \
         each file is"
    };
    (kind == Kind::Vfat && !read_only && (is_closed || is_shared)).then(|| text.to_owned())
}

/// Looks at a file system before it is mounted; what somebody should know of it.
fn examine(device: &Device, kind: Kind, read_only: bool) -> Result<Vec<String>, String> {
    let state = device.volume.as_ref().map_or(State::Clean, |volume| volume.state);
    if read_only {
        return Ok(Vec::new());
    }
    if driver(kind) == driver(Kind::Ext4) && Path::new(E2FSCK).exists() {
        return check_extended(device);
    }
    match state {
        State::Clean => Ok(Vec::new()),
        State::Errors => {
            Err(set_aside(device, "the kernel has found errors in it, and there is no e2fsck to repair it"))
        }
        State::Unclean => {
            // A later use that ended well does not clear that (fs/fat/inode.c, `fat_set_state`; fs/ext4/super.c,
            // `ext4_put_super`).
            Ok(vec![format!(
                "{0} was not unmounted once, and was not checked since; `{1} /dev/{0}` on another computer clears this, under \
                 the name that it has there",
                device.name,
                checker(kind)
            )])
        }
    }
}

fn check_extended(device: &Device) -> Result<Vec<String>, String> {
    let path = format!("/dev/{}", device.name);
    let (status, printed) = run_e2fsck(&path)
        .map_err(|error| set_aside(device, &format!("{E2FSCK} cannot be run: {}", reason(&error))))?;
    match check::judge(status.code(), &printed) {
        Verdict::Sound(None) => Ok(Vec::new()),
        Verdict::Sound(Some(said)) => Ok(vec![format!("the file system was repaired; e2fsck said: {said}")]),
        Verdict::Damaged(why) => Err(set_aside(device, &why)),
    }
}

/// How it ended, and what it printed. That goes to memory and not through a pipe: when the machine is asked to stop, this process
/// ends at once, and a repair that is under way would die of its next word to nobody.
fn run_e2fsck(path: &str) -> io::Result<(ExitStatus, String)> {
    // Kernels from 6.3 on want it said that nothing in it is executed; older ones do not know the word.
    let flags = MemfdFlags::CLOEXEC;
    let memory = memfd_create(c"e2fsck", flags | MemfdFlags::NOEXEC_SEAL)
        .or_else(|_| memfd_create(c"e2fsck", flags))?;
    let mut printed = File::from(memory);
    let status = Command::new(E2FSCK)
        .args(["-p", path])
        .env_clear()
        .stdin(Stdio::null())
        .stdout(printed.try_clone()?)
        .stderr(printed.try_clone()?)
        .status()?;
    let mut text = Vec::new();
    printed.rewind()?;
    printed.read_to_end(&mut text)?;
    Ok((status, String::from_utf8_lossy(&text).into_owned()))
}

/// What becomes of what cannot be used: nothing.
fn set_aside(device: &Device, why: &str) -> String {
    let repair = device.volume.as_ref().map_or("fsck", |volume| checker(volume.kind));
    let name = &device.name;
    format!(
        "{} is damaged ({why}). It is left as it is; repair it on another computer with `{repair} /dev/{name}`, under the \
         name that it has there",
        device.shown()
    )
}

/// The program that checks and repairs a file system.
fn checker(kind: Kind) -> &'static str {
    match kind {
        Kind::Btrfs => "btrfs check",
        Kind::Vfat => "fsck.vfat",
        _ => "e2fsck -f",
    }
}

/// Why the kernel does not mount it with these options, which are those that were given.
fn explain(error: Errno, kind: Kind, options: &str, device: Option<&Device>) -> String {
    /// The kernel's name for a structure of a file system that cannot be (EFSCORRUPTED, fs/ext4/ext4.h).
    const CORRUPTED: Errno = Errno::UCLEAN;
    let Some(device) = device else { return format!("{} ({options})", reason(&io::Error::from(error))) };
    match error {
        Errno::NODEV => format!("the kernel cannot read {kind}, which is what {} is", device.name),
        Errno::BUSY => format!("{} is in use already, itself or another part of its disk", device.name),
        CORRUPTED | Errno::IO | Errno::BADMSG => set_aside(device, &reason(&io::Error::from(error))),
        // A journal is replayed before anything is read, even for somebody who does not write (fs/ext4/super.c,
        // `ext4_load_journal`; fs/btrfs/disk-io.c, `open_ctree`).
        Errno::ROFS => format!(
            "{} was not unmounted, and its journal cannot be replayed, because the disk cannot be written; make that possible \
             once, or mount it with the option {}, which leaves out what was written last",
            device.shown(),
            if kind == Kind::Btrfs { "rescue=nologreplay" } else { "noload" }
        ),
        Errno::INVAL => {
            let options = match options {
                "" => String::new(),
                _ => format!("it does not know one of the options `{options}`, or "),
            };
            format!(
                "the kernel refuses {}: {options}the file system is damaged, or of a kind that it does not know yet; it is left \
                 as it is, and the kernel's log says more",
                device.shown()
            )
        }
        _ => format!("{}: {}", device.shown(), reason(&io::Error::from(error))),
    }
}

/// A file system on which nothing can be written any more is mounted all the same: somebody has to make space.
fn fullness(target: &str, can_be_full: bool) -> Option<String> {
    if can_be_full {
        return None;
    }
    let space = rustix::fs::statvfs(target).ok()?;
    let free = space.f_bavail.saturating_mul(space.f_frsize);
    // A file system that counts nothing (9p without a word about it) is not full.
    (space.f_blocks > 0 && free < NEARLY_FULL)
        .then(|| format!("it is full: only {} KiB are free", free / 1024))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn units(count: u32) -> Owners {
        Owners::Units((0..count).map(|index| (format!("u{index}"), 2000 + index)).collect())
    }

    #[test]
    fn what_knows_no_owners_belongs_to_whom_it_is_for() {
        let options =
            |given: &str, target: &str, owners: &Owners| with_defaults(Kind::Vfat, given, target, owners);
        assert_eq!(options("", "/photos", &Owners::Program(1000)), "uid=1000,gid=1000");
        assert_eq!(options("flush", "/photos", &units(1)), "uid=2000,gid=2000,flush");
        assert_eq!(options("uid=7", "/photos", &units(1)), "uid=7");
        assert_eq!(options("flush", "/photos", &units(2)), "flush", "it cannot be both");
        assert_eq!(options("flush", PERMANENT, &units(1)), "flush", "PID 1 is there, too");
    }

    #[test]
    fn units_that_cannot_write_are_spoken_of() {
        let said = |kind, read_only, given: &str, owners: &Owners| {
            closed_to_units(kind, read_only, given, "/photos", owners).is_some()
        };
        assert!(said(Kind::Vfat, false, "flush", &units(2)));
        assert!(!said(Kind::Ext4, false, "", &units(2)), "it knows owners");
        assert!(!said(Kind::Vfat, true, "", &units(2)), "nobody writes");
        assert!(!said(Kind::Vfat, false, "flush,umask=000", &units(2)), "it was decided");
        assert!(!said(Kind::Vfat, false, "", &units(1)), "it is the unit's");
        assert!(!said(Kind::Vfat, false, "", &units(0)), "nobody wants to");
        assert!(!said(Kind::Vfat, false, "", &Owners::Program(1000)), "it is the program's");
        let permanent = |given: &str| closed_to_units(Kind::Vfat, false, given, PERMANENT, &units(1));
        assert!(permanent("").is_some_and(|text| !text.contains("umask")), "PID 1 keeps secrets there");
        assert!(permanent("umask=000").is_some());
    }
}
