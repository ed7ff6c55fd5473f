//! ISO images, made by xorriso: they start by UEFI from a CD and, being hybrid, from a stick, and by a BIOS if asked.
//!
//! The boot partition is stored once, behind the file system: El Torito's entry for UEFI and a partition of the GPT both
//! lead to it.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::Path;

use solum_image::gpt::{self, Guid};
use solum_spec::calendar::Calendar;

use crate::content::{self, Item, Kind};
use crate::driven::Tool;
use crate::exit_code::ExitCode;
use crate::failure::Failure;

const XORRISO: Tool = Tool { program: "xorriso", package: "xorriso", purpose: "to make ISO images" };

/// ECMA-119, 6.1.2.
const BLOCK: u64 = 2048;
/// What the file system needs beside its files: system area, descriptors, and the tables of partitions at both ends.
const OVERHEAD: u64 = 256 << 10;
/// Where ISOLINUX looks for its files.
const ISOLINUX: &str = "isolinux";
/// The root of an image that holds nothing beside the system.
const EMPTY: &str = "empty";
/// ECMA-119, 8.4.7; lower case is beyond the standard, and everybody reads it.
const LONGEST_VOLUME_ID: usize = 32;
const MEBIBYTE: u64 = 1 << 20;

/// What an ISO image shall be.
#[derive(Clone, Copy, Debug)]
pub struct Iso<'a> {
    /// The boot partition: a FAT file system with what UEFI starts.
    pub esp: &'a [u8],
    /// What lies beside the system, at the root.
    pub content: Option<&'a Path>,
    /// The label of the file system.
    pub volume_id: &'a str,
    /// The disk's id.
    pub id: Guid,
    /// The time of everything in it, in seconds since 1970.
    pub epoch_s: u64,
    /// What a BIOS starts.
    pub bios: Option<Bios<'a>>,
    /// The size of the medium in bytes, if it matters.
    pub medium: Option<u64>,
}

/// What a BIOS starts.
#[derive(Clone, Copy, Debug)]
pub struct Bios<'a> {
    /// `isolinux.bin`.
    pub loader: &'a [u8],
    /// `ldlinux.c32`.
    pub module: &'a [u8],
    /// `isohdpfx.bin`.
    pub hybrid_sector: &'a [u8],
    /// The kernel.
    pub kernel: &'a [u8],
    /// Its initramfs.
    pub initramfs: &'a [u8],
    /// Its command line.
    pub command_line: &'a str,
}

impl Iso<'_> {
    /// Makes the image; afterwards it is there whole, or not at all.
    pub fn write(&self, path: &Path) -> Result<(), Failure> {
        self.check_volume_id()?;
        let items = self.content.map(content::scan).transpose()?.unwrap_or_default();
        if let Some(content) = self.content {
            content::check_links(content, &items)?;
        }
        self.check_collision(&items)?;
        let bios = self.bios.map_or(0, |bios| bios.kernel.len() + bios.initramfs.len() + bios.module.len());
        let least = content::bytes(&items, BLOCK) + (self.esp.len() + bios) as u64 + OVERHEAD;
        self.check_medium(least)?;
        let unwritable = |error: io::Error| Failure::file("cannot write", path, &error);
        let directory = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        // As any program would make it: the user's umask decides.
        let permissions = PermissionsExt::from_mode(0o666);
        let made = tempfile::Builder::new().prefix(".solum-").permissions(permissions).tempfile_in(directory);
        let made = made.map_err(unwritable)?;
        // Beside the image: what is removed with one is removed with the other.
        let staged = tempfile::Builder::new().prefix(".solum-").tempdir_in(directory).map_err(unwritable)?;
        self.stage(&items, staged.path())
            .map_err(|error| Failure::file("cannot write", staged.path(), &error))?;
        let mut command = XORRISO.command()?;
        command.args(self.arguments(&items, staged.path(), made.path()));
        // Else the tables of partitions would have the time zone of this host.
        command.env("TZ", "UTC").env("SOURCE_DATE_EPOCH", self.epoch_s.to_string());
        XORRISO.run(command)?;
        cut(made.as_file()).map_err(unwritable)?;
        self.check_medium(made.as_file().metadata().map_err(unwritable)?.len())?;
        made.as_file().sync_all().map_err(unwritable)?;
        made.persist(path).map_err(|refused| unwritable(refused.error))?;
        Ok(())
    }

    fn check_volume_id(&self) -> Result<(), Failure> {
        let id = self.volume_id;
        if (1..=LONGEST_VOLUME_ID).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Ok(());
        }
        let message = format_args!("`{id}` cannot be the label of an ISO image");
        let hint = format!("take 1 to {LONGEST_VOLUME_ID} letters, digits and dashes");
        Err(Failure::new(ExitCode::UnusableInput, message).hint(hint))
    }

    fn check_collision(&self, items: &[Item]) -> Result<(), Failure> {
        let Some(item) = items.iter().find(|item| item.path == Path::new(ISOLINUX)) else { return Ok(()) };
        if self.bios.is_none() {
            return Ok(());
        }
        let message = format_args!("{} is where an ISO image has what a BIOS starts", item.source.display());
        Err(Failure::new(ExitCode::UnusableInput, message)
            .hint("rename it, or leave BIOS boot out".to_owned()))
    }

    fn check_medium(&self, needed: u64) -> Result<(), Failure> {
        let Some(medium) = self.medium.filter(|medium| needed > *medium) else { return Ok(()) };
        let message = format_args!(
            "the ISO image needs {} MiB, and the medium has {} MiB",
            needed.div_ceil(MEBIBYTE),
            medium / MEBIBYTE
        );
        Err(Failure::new(ExitCode::UnusableInput, message)
            .hint("take a larger medium, or leave some of the content out".to_owned()))
    }

    /// Writes what xorriso reads beside the content.
    fn stage(&self, items: &[Item], staged: &Path) -> io::Result<()> {
        fs::write(staged.join("esp"), self.esp)?;
        fs::write(staged.join("order"), order(items))?;
        fs::create_dir(staged.join(EMPTY))?;
        fs::set_permissions(staged.join(EMPTY), PermissionsExt::from_mode(0o755))?;
        let Some(bios) = self.bios else { return Ok(()) };
        fs::write(staged.join("hybrid"), bios.hybrid_sector)?;
        let directory = staged.join(ISOLINUX);
        fs::create_dir(&directory)?;
        fs::set_permissions(&directory, PermissionsExt::from_mode(0o755))?;
        let menu = format!(
            "default solum\nprompt 0\nlabel solum\n  kernel kernel\n  initrd initramfs\n  append {}\n",
            bios.command_line
        );
        let files: [(&str, &[u8]); 5] = [
            ("isolinux.bin", bios.loader),
            ("ldlinux.c32", bios.module),
            ("isolinux.cfg", menu.as_bytes()),
            ("kernel", bios.kernel),
            ("initramfs", bios.initramfs),
        ];
        for (name, bytes) in files {
            fs::write(directory.join(name), bytes)?;
            // A plan with a machine's secret key may be in the initramfs, and units look around in /iso.
            let mode = if name == "initramfs" { 0o600 } else { 0o644 };
            fs::set_permissions(directory.join(name), PermissionsExt::from_mode(mode))?;
        }
        Ok(())
    }

    fn arguments(&self, items: &[Item], staged: &Path, out: &Path) -> Vec<OsString> {
        let Calendar { year, month, day, hour, minute, second } = Calendar::from_unix(self.epoch_s);
        let mut arguments: Vec<OsString> = Vec::new();
        let mut add = |words: &[&dyn AsRef<std::ffi::OsStr>]| {
            arguments.extend(words.iter().map(|word| word.as_ref().to_owned()));
        };
        add(&[&"-as", &"mkisofs", &"-o", &out, &"-V", &self.volume_id]);
        // Rock Ridge with the permissions as they are, in the hands of root; files of 4 GiB; directories of any depth.
        add(&[&"-R", &"-uid", &"0", &"-gid", &"0", &"-iso-level", &"3", &"-D", &"-no-pad"]);
        // xorriso wants the digits in the order of the bytes on disk.
        let id: String = Guid(self.id.to_disk()).to_string().split('-').collect();
        let modified = format!("{year:04}{month:02}{day:02}{hour:02}{minute:02}{second:02}00");
        add(&[&"--gpt_disk_guid", &id, &format!("--modification-date={modified}")]);
        add(&[&"--set_all_file_dates", &format!("={}", self.epoch_s)]);
        // The order of files would be that of their inodes.
        add(&[&"--sort-weight-list", &staged.join("order"), &"--boot-catalog-hide"]);
        if self.bios.is_some() {
            add(&[
                &"-isohybrid-mbr",
                &staged.join("hybrid"),
                &"-b",
                &"isolinux/isolinux.bin",
                &"-no-emul-boot",
            ]);
            add(&[&"-boot-load-size", &"4", &"-boot-info-table", &"-eltorito-alt-boot"]);
        }
        add(&[&"-append_partition", &"2", &gpt::kind::ESP.to_string(), &staged.join("esp")]);
        add(&[&"-appended_part_as_gpt", &"-e", &"--interval:appended_partition_2:all::", &"-no-emul-boot"]);
        add(&[&"-graft-points"]);
        for item in items.iter().filter(|item| item.path.components().count() == 1) {
            add(&[&graft(&item.path, &item.source)]);
        }
        if self.bios.is_some() {
            add(&[&graft(Path::new(ISOLINUX), &staged.join(ISOLINUX))]);
        }
        // With nothing at all xorriso would print its help, and with `-root` alone write down when it was started.
        if items.is_empty() && self.bios.is_none() {
            arguments.push(graft(Path::new(""), &staged.join(EMPTY)));
        }
        arguments
    }
}

/// Cuts off what is behind the last sector of the table of partitions, which the first one names (UEFI, 5.3.2): xorriso fills up
/// its last write, of 64 KiB, with zeros.
fn cut(image: &File) -> io::Result<()> {
    const SECTOR: u64 = 512;
    let mut header = [0; 40];
    image.read_exact_at(&mut header, SECTOR)?;
    let (Some(b"EFI PART"), Some(last)) = (header.first_chunk(), header.last_chunk().copied()) else {
        return Ok(());
    };
    let end = u64::from_le_bytes(last).saturating_add(1).saturating_mul(SECTOR).next_multiple_of(BLOCK);
    if end < image.metadata()?.len() { image.set_len(end) } else { Ok(()) }
}

/// `/PATH=SOURCE`, as -graft-points reads it.
fn graft(path: &Path, source: &Path) -> OsString {
    let escaped = |path: &Path| {
        let bytes = path.as_os_str().as_bytes().iter();
        bytes
            .flat_map(|byte| if b"\\=".contains(byte) { vec![b'\\', *byte] } else { vec![*byte] })
            .collect::<Vec<u8>>()
    };
    let mut graft = vec![b'/'];
    graft.extend(escaped(path));
    graft.push(b'=');
    graft.extend(escaped(source));
    OsString::from_vec(graft)
}

/// The order of files' content: heavier ones are in front.
fn order(items: &[Item]) -> Vec<u8> {
    let mut lines = Vec::new();
    let mut weights = Vec::with_capacity(items.len());
    for (weight, item) in (0..i32::MAX / 2).rev().zip(items) {
        let weight = if let Kind::SameAs(first) = item.kind { weights[first] } else { weight };
        weights.push(weight);
        let path = item.path.as_os_str().as_bytes();
        if matches!(item.kind, Kind::File(_) | Kind::SameAs(_)) && !path.contains(&b'\n') {
            lines.extend(format!("{weight} /").into_bytes());
            lines.extend(path);
            lines.push(b'\n');
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;
    use std::process::Command;

    const ISO: Iso = Iso {
        esp: &[7; 64 << 10],
        content: None,
        volume_id: "SOLUM-test",
        id: Guid::new(0x11111111_2222_8333_8444_555555555555),
        epoch_s: 1_763_763_013,
        bios: None,
        medium: None,
    };

    fn is_missing() -> bool {
        let missing = XORRISO.find().is_none();
        if missing {
            println!("skipped: xorriso is not installed");
        }
        missing
    }

    /// A directory with one of each kind, its files made in this order.
    fn content(names: &[&str]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir_all(directory.path().join("a=b\\c/d")).unwrap();
        for name in names {
            fs::write(directory.path().join(name), name.repeat(3000)).unwrap();
        }
        fs::set_permissions(directory.path().join("one"), PermissionsExt::from_mode(0o750)).unwrap();
        fs::hard_link(directory.path().join("one"), directory.path().join("two")).unwrap();
        symlink("a=b\\c/d", directory.path().join("link")).unwrap();
        directory
    }

    const NAMES: [&str; 3] =
        ["one", "a=b\\c/a name that is much longer than ECMA-119 has them, größe.tar.gz", "last"];

    fn listed(iso: &Path) -> String {
        let mut command = Command::new(XORRISO.find().unwrap());
        command.args(["-indev", iso.to_str().unwrap(), "-find", "/", "-exec", "lsdl", "--"]);
        String::from_utf8_lossy(&command.output().unwrap().stdout).into_owned()
    }

    #[test]
    fn names_permissions_links_and_the_boot_partition_are_kept() {
        if is_missing() {
            return;
        }
        let content = content(&NAMES);
        let out = tempfile::tempdir().unwrap();
        let path = out.path().join("iso");
        Iso { content: Some(content.path()), ..ISO }.write(&path).unwrap();
        let text = listed(&path);
        for line in [
            "-rwxr-x---    1 0        0            9000 Nov 21  2025 '/one'",
            "'/a=b\\c/a name that is much longer than ECMA-119 has them, größe.tar.gz'",
            "'/link' -> 'a=b\\c/d'",
            "drwxr-xr-x    1 0        0               0 Nov 21  2025 '/'",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
        let bytes = fs::read(&path).unwrap();
        assert_eq!(&bytes[16 * 2048 + 40..][..12], b"SOLUM-test  ");
        let table = gpt::read(&bytes).unwrap();
        assert_eq!(table.disk_id, ISO.id);
        let esp = table.of_kind(gpt::kind::ESP).unwrap();
        assert_eq!(&bytes[esp.offset as usize..][..64 << 10], ISO.esp);
        assert_eq!(&bytes[bytes.len() - 512..][..8], b"EFI PART", "nothing is behind the table");
    }

    #[test]
    fn the_same_content_is_the_same_image() {
        if is_missing() {
            return;
        }
        let out = tempfile::tempdir().unwrap();
        let make = |names: &[&str]| {
            let content = content(names);
            let old = fs::FileTimes::new().set_modified(std::time::UNIX_EPOCH);
            fs::File::open(content.path().join(names[0])).unwrap().set_times(old).unwrap();
            Iso { content: Some(content.path()), ..ISO }.write(&out.path().join("iso")).unwrap();
            fs::read(out.path().join("iso")).unwrap()
        };
        let mut names = NAMES;
        let one = make(&names);
        names.reverse();
        assert!(one == make(&names));
    }

    #[test]
    fn an_image_without_content_has_an_empty_file_system() {
        if is_missing() {
            return;
        }
        let out = tempfile::tempdir().unwrap();
        let path = out.path().join("iso");
        ISO.write(&path).unwrap();
        let listed = listed(&path);
        assert_eq!(listed.lines().count(), 1, "{listed}");
        assert!(
            listed.starts_with("drwxr-xr-x    1 0        0               0 Nov 21  2025 '/'"),
            "{listed}"
        );
    }

    #[test]
    fn a_bios_finds_what_it_starts() {
        if is_missing() {
            return;
        }
        let content = content(&NAMES);
        let out = tempfile::tempdir().unwrap();
        let path = out.path().join("iso");
        let bios = Bios {
            loader: &[1; 4096],
            module: &[2; 10],
            hybrid_sector: &[0x90; 432],
            kernel: &[3; 5000],
            initramfs: &[4; 10],
            command_line: "quiet",
        };
        let iso = Iso { content: Some(content.path()), bios: Some(bios), ..ISO };
        iso.write(&path).unwrap();
        assert!(listed(&path).contains("5000 Nov 21  2025 '/isolinux/kernel'"), "{}", listed(&path));
        let bytes = fs::read(&path).unwrap();
        assert_eq!(&bytes[..8], &[0x90; 8], "the boot sector");
        assert_eq!(&bytes[bytes.len() - 512..][..8], b"EFI PART", "nothing is behind the table");
        fs::create_dir(content.path().join("isolinux")).unwrap();
        let failure = format!("{:?}", iso.write(&path).unwrap_err());
        assert!(failure.contains("/isolinux is where an ISO image"), "{failure}");
    }

    #[test]
    fn what_cannot_be_is_refused_and_leaves_nothing_behind() {
        let content = content(&NAMES);
        let out = tempfile::tempdir().unwrap();
        let refused = |iso: Iso| {
            let failure = format!("{:?}", iso.write(&out.path().join("iso")).unwrap_err());
            assert_eq!(fs::read_dir(out.path()).unwrap().count(), 0);
            failure
        };
        let whole = Iso { content: Some(content.path()), ..ISO };
        assert!(refused(Iso { volume_id: "a b", ..whole }).contains("cannot be the label"));
        assert!(refused(Iso { medium: Some(100 << 10), ..whole }).contains("the medium has 0 MiB"));
        symlink("/etc", content.path().join("etc")).unwrap();
        assert!(refused(whole).contains("/etc leads to /etc: an absolute path"));
    }
}
