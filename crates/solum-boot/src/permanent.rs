//! What PID 1 keeps where something outlives the machine: who it is, the last moment it knew, randomness for the next
//! start, and the last words of what failed. Every file but the clock is replaced in one step, so that a power cut leaves the
//! old one.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::rand::{GetRandomFlags, getrandom};
use solum_spec::calendar::Calendar;
use solum_spec::storage::{LAST_PANIC, PERMANENT, PRIVATE};

use crate::tail::LAST_WORDS_MAX;
use crate::time::Kept;
use crate::{mounts, seed, time};

/// The file of the clock.
const CLOCK: &str = "clock";
/// After this long a disk that has not yet kept the clock is looked at again.
const ASK_AGAIN: Duration = Duration::from_secs(1);
/// More than a thread needs that writes a line.
const WRITER_STACK: usize = 64 << 10;
/// Where the kernel shows what it kept over its own panic (Documentation/admin-guide/ramoops.rst, Documentation/ABI/testing/pstore).
const PSTORE: &str = "/sys/fs/pstore";

/// The place of what lasts.
pub struct Permanent {
    /// Where people look.
    public: PathBuf,
    /// Where nobody but PID 1 does.
    private: PathBuf,
    found: Instant,
    /// When the clock is to be kept again.
    clock_due: Instant,
    /// Whoever waits for the disk that keeps the clock.
    writing: Option<JoinHandle<()>>,
}

impl Permanent {
    /// It, if something is mounted there that can be written.
    pub fn find() -> Option<Self> {
        if !mounts::is_writable_mount(Path::new(PERMANENT)) {
            return None;
        }
        Self::at(PathBuf::from(PERMANENT), PathBuf::from(PRIVATE))
    }

    fn at(public: PathBuf, private: PathBuf) -> Option<Self> {
        // There mostly is one; and whoever prepared it may not have known that nobody else is to look into it.
        let _ = fs::create_dir(&private);
        // Somebody else's link would lead PID 1 to somebody else's files; and where it is somebody else's (on vfat, or a directory
        // that the host shares) he could put anything there, and know what is to be secret.
        let is_own = fs::symlink_metadata(&private)
            .is_ok_and(|found| found.is_dir() && found.uid() == rustix::process::geteuid().as_raw());
        let is_own = is_own && fs::set_permissions(&private, Permissions::from_mode(0o700)).is_ok();
        let now = Instant::now();
        is_own.then_some(Self { public, private, found: now, clock_due: now, writing: None })
    }

    /// The machine's identifier: that of its first start, or this one from now on.
    pub fn machine_id(&self, new: impl FnOnce() -> String) -> String {
        let is_id = |text: &str| text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let kept = fs::read_to_string(self.private.join("machine-id")).unwrap_or_default();
        if is_id(kept.trim_end()) {
            return kept.trim_end().to_ascii_lowercase();
        }
        let id = new();
        // What cannot be kept is another one the next time.
        let _ = self.keep("machine-id", &[id.as_bytes(), b"\n"], &self.private);
        id
    }

    /// Gives the kernel the randomness of the last life, once: it is counted as such only when the file is gone for good, and
    /// so after no power cut a second time.
    pub fn load_seed(&self) {
        let path = self.private.join(seed::FILE);
        let Some(old) = fs::read(&path).ok().filter(|old| old.len() == seed::BYTES) else { return };
        let is_gone = fs::remove_file(&path).and_then(|()| File::open(&self.private)?.sync_all()).is_ok();
        seed::give(&old, is_gone);
    }

    /// Keeps randomness for the next life.
    pub fn save_seed(&self) {
        let mut new = [0; seed::BYTES];
        // What the kernel does not vouch for yet would be counted as random the next time.
        if getrandom(&mut new, GetRandomFlags::NONBLOCK) == Ok(seed::BYTES) {
            let _ = self.keep(seed::FILE, &[&new], &self.private);
        }
    }

    /// What was kept of the clock.
    pub fn clock(&self) -> Option<Kept> {
        Kept::from_text(&fs::read_to_string(self.private.join(CLOCK)).ok()?)
    }

    /// Keeps that the clock goes on for a while. A disk that takes its time does not hold up PID 1.
    pub fn reserve_clock(&mut self) {
        if self.writing.as_ref().is_some_and(|writing| !writing.is_finished()) {
            self.clock_due = Instant::now() + ASK_AGAIN;
            return;
        }
        let kept = Kept::running(time::now_s(), time::hardware_s(), self.found.elapsed());
        self.clock_due = Instant::now() + kept.renewed_after();
        let private = self.private.clone();
        let writing = thread::Builder::new().stack_size(WRITER_STACK);
        // Without memory for it, what was reserved before has to do for the moment.
        self.writing = writing.spawn(move || write_clock(&private, kept)).ok();
        if self.writing.is_none() {
            self.clock_due = Instant::now() + ASK_AGAIN;
        }
    }

    /// Keeps the last moment of this life.
    pub fn end_clock(&mut self) {
        self.wait_for_clock();
        write_clock(&self.private, Kept::ended(time::now_s(), time::hardware_s()));
    }

    /// Waits until it is kept.
    pub fn wait_for_clock(&mut self) {
        // It has nothing to say.
        let _ = self.writing.take().map(JoinHandle::join);
    }

    /// How long until the clock is to be kept again.
    pub fn patience(&self) -> Duration {
        self.clock_due.saturating_duration_since(Instant::now())
    }

    /// Keeps the clock if it is time.
    pub fn turn(&mut self) {
        if self.patience().is_zero() {
            self.reserve_clock();
        }
    }

    /// Writes what failed, and its last words, where people will look for it.
    pub fn last_panic(&self, what: &str, words: &[u8]) -> bool {
        let head = format!("{}: {what}\n\n", Calendar::from_unix(time::now_s()));
        let words = &words[words.len().saturating_sub(LAST_WORDS_MAX)..];
        // A full disk shall not hinder the end; the old file stays then.
        self.keep(LAST_PANIC, &[head.as_bytes(), words], &self.public).is_ok()
    }

    /// Whether there is something to read there.
    pub fn has_last_panic(&self) -> bool {
        self.public.join(LAST_PANIC).exists()
    }

    /// Takes over what the kernel kept of its own panic, if it did. Whether there was any.
    pub fn fetch_kernel_panic(&self) -> bool {
        if mounts::mount_pstore(PSTORE).is_err() {
            return false;
        }
        self.take_records(Path::new(PSTORE))
    }

    fn take_records(&self, directory: &Path) -> bool {
        let entries = fs::read_dir(directory).into_iter().flatten().flatten();
        let is_record = |path: &PathBuf| {
            path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"dmesg-"))
        };
        let mut records: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(is_record).collect();
        // Parts of one dump are numbered from the newest to the oldest (fs/pstore/platform.c, `pstore_dump`).
        records.sort_by(|one, other| other.cmp(one));
        let mut words = Vec::new();
        for record in &records {
            let _ =
                File::open(record).and_then(|file| file.take(LAST_WORDS_MAX as u64).read_to_end(&mut words));
        }
        if records.is_empty() {
            return false;
        }
        let is_kept =
            self.last_panic("the kernel panicked in the machine's last life, and kept this", &words);
        // The kernel keeps it until there is room for it here.
        for record in records.iter().filter(|_| is_kept) {
            let _ = fs::remove_file(record);
        }
        is_kept
    }

    /// Replaces a file in one step.
    fn keep(&self, name: &str, parts: &[&[u8]], directory: &Path) -> io::Result<()> {
        let mode = if directory == self.public { 0o644 } else { 0o600 };
        replace(&self.private.join("new"), &directory.join(name), mode, parts)
    }
}

/// Writes what is kept of the clock in place: one sector, and so all of it or nothing, which works on a disk that is full.
fn write_clock(private: &Path, kept: Kept) {
    let text = kept.to_text();
    let path = private.join(CLOCK);
    let file = OpenOptions::new().write(true).open(&path).ok();
    // What a person put there may be of another length.
    let alike = file.filter(|file| file.metadata().is_ok_and(|found| found.len() == text.len() as u64));
    let _ = match alike {
        Some(file) => file.write_all_at(text.as_bytes(), 0).and_then(|()| file.sync_data()),
        None => replace(&private.join("new-clock"), &path, 0o600, &[text.as_bytes()]),
    };
}

/// Replaces a file in one step, by way of another on the same file system.
fn replace(beside: &Path, path: &Path, mode: u32, parts: &[&[u8]]) -> io::Result<()> {
    // What an earlier life left here unfinished may be somebody else's by its permissions.
    let _ = fs::remove_file(beside);
    let written =
        OpenOptions::new().write(true).create_new(true).mode(mode).open(beside).and_then(|mut file| {
            parts.iter().try_for_each(|part| file.write_all(part))?;
            file.sync_all()
        });
    let kept = written.and_then(|()| fs::rename(beside, path));
    if kept.is_err() {
        // On a full disk it would take what little there is.
        let _ = fs::remove_file(beside);
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Place {
        directory: tempfile::TempDir,
        permanent: Permanent,
    }

    fn place() -> Place {
        let directory = tempfile::tempdir().unwrap();
        let permanent = again(&directory).unwrap();
        Place { directory, permanent }
    }

    fn again(directory: &tempfile::TempDir) -> Option<Permanent> {
        Permanent::at(directory.path().to_owned(), directory.path().join(".solum"))
    }

    #[test]
    fn the_private_place_is_private_and_no_link() {
        let place = place();
        let private = place.directory.path().join(".solum");
        assert_eq!(fs::metadata(&private).unwrap().permissions().mode() & 0o777, 0o700);
        fs::remove_dir(&private).unwrap();
        std::os::unix::fs::symlink("/tmp", &private).unwrap();
        assert!(again(&place.directory).is_none());
    }

    #[test]
    fn an_identifier_stays_unless_it_is_damaged() {
        let Place { directory, permanent } = place();
        let (first, second) = ("0123456789abcdef0123456789abcdef", "ffffffffffffffffffffffffffffffff");
        assert_eq!(permanent.machine_id(|| first.into()), first);
        assert_eq!(permanent.machine_id(|| unreachable!()), first);
        for damaged in ["", "0123", "0123456789abcdef0123456789abcdeg"] {
            fs::write(directory.path().join(".solum/machine-id"), damaged).unwrap();
            assert_eq!(permanent.machine_id(|| second.into()), second);
        }
    }

    #[test]
    fn a_seed_is_used_once_and_a_new_one_is_another() {
        let Place { directory, permanent } = place();
        let path = directory.path().join(".solum/entropy-seed");
        permanent.save_seed();
        let first = fs::read(&path).unwrap();
        assert_eq!((first.len(), fs::metadata(&path).unwrap().permissions().mode() & 0o777), (512, 0o600));
        permanent.load_seed();
        assert!(!path.exists(), "nobody can use it again");
        permanent.save_seed();
        assert_ne!(fs::read(&path).unwrap(), first);
        fs::write(&path, "short").unwrap();
        permanent.load_seed();
        assert!(path.exists(), "it is no seed");
    }

    #[test]
    fn the_clock_is_kept_ahead_of_itself_until_the_end() {
        let Place { directory, mut permanent } = place();
        assert_eq!(permanent.clock(), None);
        assert!(permanent.patience().is_zero(), "at once");
        let path = directory.path().join(".solum/clock");
        // One that a person set, one that is damaged, and one of its own.
        for text in ["1893456000\n", "soon", "1893456000 60 0000000000\n"] {
            fs::write(&path, text).unwrap();
            let before = time::now_s();
            permanent.clock_due = Instant::now();
            permanent.turn();
            assert!(permanent.clock_due > Instant::now() || time::now_s() > before + 5, "not at once again");
            permanent.wait_for_clock();
            let kept = permanent.clock().unwrap();
            assert!(kept.resumed_s(0, false) >= before + 10, "{text:?}: {kept:?}");
            permanent.end_clock();
            let kept = permanent.clock().unwrap();
            assert!(
                (before + 1..=time::now_s() + 1).contains(&kept.resumed_s(0, false)),
                "{text:?}: {kept:?}"
            );
        }
    }

    #[test]
    fn the_clock_needs_no_room_once_it_was_kept() {
        let Place { directory, mut permanent } = place();
        permanent.end_clock();
        let path = directory.path().join(".solum/clock");
        let file = fs::metadata(&path).unwrap();
        assert_eq!(file.permissions().mode() & 0o777, 0o600);
        permanent.end_clock();
        assert_eq!(fs::metadata(&path).unwrap().ino(), file.ino(), "it is the same file");
    }

    #[test]
    fn last_words_are_the_last() {
        let Place { directory, permanent } = place();
        permanent.last_panic(
            "the program ended with status 101",
            &[vec![b'a'; LAST_WORDS_MAX], b"end".to_vec()].concat(),
        );
        let text = fs::read_to_string(directory.path().join("last-panic")).unwrap();
        let (head, words) = text.split_once("\n\n").unwrap();
        assert!(head.ends_with("Z: the program ended with status 101"), "{head}");
        assert!(words.len() == LAST_WORDS_MAX && words.ends_with("aend"));
        assert_eq!(fs::read_dir(directory.path().join(".solum")).unwrap().count(), 0, "nothing is left over");
    }

    #[test]
    fn what_the_kernel_kept_is_put_in_order_and_taken_away() {
        let Place { directory, permanent } = place();
        let records = directory.path().join("pstore");
        fs::create_dir(&records).unwrap();
        assert!(!permanent.take_records(&records));
        for (name, text) in
            [("dmesg-efi-1", "newest\n"), ("dmesg-efi-2", "older\n"), ("console-ramoops-0", "no\n")]
        {
            fs::write(records.join(name), text).unwrap();
        }
        assert!(permanent.take_records(&records));
        let text = fs::read_to_string(directory.path().join("last-panic")).unwrap();
        assert!(text.ends_with("and kept this\n\nolder\nnewest\n"), "{text}");
        assert_eq!(fs::read_dir(&records).unwrap().count(), 1);
    }
}
