//! `solum flash`: an image onto a stick or card.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use indicatif::HumanBytes;
use solum_image::{ReadAt, wrapping};
use solum_kernel::{Interrupt, Progress, Unit};

use crate::arguments::Flash;
use crate::exit_code::ExitCode;
use crate::failure::{Failure, reason};
use crate::flash::{self, BlockDevice, Device, Image, Left, Trouble};
use crate::image::{ImageKind, recognise};
use crate::output::print_line;
use crate::signals::{self, interruptible};
use crate::sparse_file::SparseFile;
use crate::terminal::{Bars, is_interactive, say};

/// Shows what the device is, asks, writes and reads back.
pub fn flash(arguments: &Flash) -> Result<(), Failure> {
    let Flash { image: path, device: target, yes, dry_run } = arguments;
    let file = open(path)?;
    let image = file.image(path)?;
    let device = find(target)?;
    for line in flash::describe(&device) {
        print_line(&line);
    }
    let facts = Image { size: image.length(), is_the_device: is_the_device(path, target, &device) };
    flash::decide(&device, &facts).map_err(|refusal| {
        let code = match refusal.is_about_the_name() {
            true => ExitCode::UnusableInput,
            false => ExitCode::HostRefuses,
        };
        Failure::new(code, &refusal).hint(refusal.hint())
    })?;
    let what = format!("{}, {}", path.display(), HumanBytes(image.length()));
    if *dry_run {
        print_line(&format!("{what}, would be written to it"));
        return Ok(());
    }
    if !yes {
        ask(&device, &what)?;
    }
    write(&*image, target, &device)?;
    print_line(&format!("{what}, is on /dev/{} and was read back without a difference", device.name));
    print_line("pull it out, plug it into the machine, and let that boot from it");
    Ok(())
}

/// An image's file, and whether it is wrapped.
struct Opened(SparseFile);

fn open(path: &Path) -> Result<Opened, Failure> {
    match recognise(path)? {
        ImageKind::Disk(_) | ImageKind::Iso => {}
        _ => {
            let message =
                format!("{} is no disk and no ISO: no firmware would boot it from a stick", path.display());
            return Err(Failure::new(ExitCode::UnusableInput, message)
                .hint("make one that is: `solum build --format disk`, or `--format iso`".to_owned()));
        }
    }
    SparseFile::open(path).map(Opened).map_err(|error| Failure::file("cannot read", path, &error))
}

impl Opened {
    /// The disk without its wrapping.
    fn image(&self, path: &Path) -> Result<Box<dyn ReadAt + '_>, Failure> {
        wrapping::open(&self.0).map(|(_, disk)| disk).map_err(|error| {
            Failure::new(ExitCode::UnusableInput, format_args!("{} is damaged: {error}", path.display()))
        })
    }
}

fn find(target: &Path) -> Result<Device, Failure> {
    let found = flash::find(target).map_err(|error| Failure::file("cannot look at", target, &error))?;
    found.ok_or_else(|| {
        let message = format!("{} is no block device", target.display());
        let hint = "`lsblk` lists the devices; into a file an image is copied by `cp`, or built by `solum build --output`";
        Failure::new(ExitCode::UnusableInput, message).hint(hint.to_owned())
    })
}

/// Whether an image is the device that it is to be written to, by whatever names.
fn is_the_device(image: &Path, target: &Path, device: &Device) -> bool {
    let same = |one: &fs::Metadata, other: &fs::Metadata| match one.file_type().is_block_device() {
        true => other.file_type().is_block_device() && one.rdev() == other.rdev(),
        false => (one.dev(), one.ino()) == (other.dev(), other.ino()),
    };
    let Ok(own) = fs::metadata(image) else { return false };
    let others = [Some(target), device.backing_file.as_deref().map(Path::new)];
    others.into_iter().flatten().filter_map(|path| fs::metadata(path).ok()).any(|other| same(&own, &other))
}

/// Lets a person type the device's name.
fn ask(device: &Device, what: &str) -> Result<(), Failure> {
    if !is_interactive() {
        let message = format!("nobody is there to say that /dev/{} may be overwritten", device.name);
        return Err(Failure::new(ExitCode::UnusableInput, message)
            .hint("say it beforehand: --yes; `--dry-run` shows what would be written to what".to_owned()));
    }
    say(&format!("everything on it will be lost, and it gets {what}"));
    let mut stderr = io::stderr().lock();
    let asked = write!(stderr, "Type {} to go on: ", device.name).and_then(|()| stderr.flush());
    let mut answer = String::new();
    let read = asked.and_then(|()| io::stdin().read_line(&mut answer));
    match read {
        Ok(_) if answer.trim() == device.name || answer.trim() == format!("/dev/{}", device.name) => Ok(()),
        _ => Err(Failure::new(ExitCode::Interrupted, "nothing was written")),
    }
}

/// Writes and reads back, and shows how far that is.
fn write(image: &dyn ReadAt, target: &Path, device: &Device) -> Result<(), Failure> {
    let mut medium = BlockDevice::open(target, device).map_err(|error| refused(target, &error))?;
    let interrupt = Interrupt::default();
    let listening = interruptible(interrupt.clone()).map_err(|error| {
        Failure::new(ExitCode::HostRefuses, format_args!("cannot listen to signals: {}", reason(&error)))
    })?;
    let bars = Bars::new();
    let go_on = |done: u64| {
        bars.progress(Unit::Bytes, done, Some(image.length()));
        !interrupt.is_raised()
    };
    bars.phase(&format!("writing to /dev/{}", device.name));
    flash::write(image, &mut medium, go_on).map_err(|ended| failure(&ended, device))?;
    bars.phase(&format!("reading back /dev/{}", device.name));
    flash::verify(image, &mut medium, go_on).map_err(|ended| failure(&ended, device))?;
    // Whoever plugs it in again sees them in any case.
    let _ = medium.show_partitions();
    drop(listening);
    Ok(())
}

fn refused(target: &Path, error: &io::Error) -> Failure {
    let hint = match error.kind() {
        io::ErrorKind::PermissionDenied => {
            Some("only root may write to devices: `sudo solum flash …`".to_owned())
        }
        io::ErrorKind::ResourceBusy => {
            Some("somebody uses it; `lsblk` shows who, and `umount` ends it".to_owned())
        }
        _ => None,
    };
    Failure::file("cannot write", target, error).hint(hint)
}

/// What came between, and what the device holds now.
fn failure((trouble, left): &(Trouble, Left), device: &Device) -> Failure {
    let name = &device.name;
    let code = match trouble {
        Trouble::Interrupted => signals::asked().unwrap_or(ExitCode::Interrupted),
        Trouble::Different(_) => ExitCode::NotKept,
        Trouble::Image(_) => ExitCode::UnusableInput,
        Trouble::Write(_) | Trouble::Read(_) => ExitCode::HostRefuses,
    };
    let hint = match trouble {
        Trouble::Interrupted => "start again, and let it come to its end",
        Trouble::Different(_) => "the device is broken or smaller than it says; take another one",
        Trouble::Image(_) => "fetch or build the image again",
        Trouble::Write(_) | Trouble::Read(_) => "plug it in again, or take another one; `dmesg` says more",
    };
    let left = match trouble {
        Trouble::Different(_) => String::new(),
        _ => format!("; /dev/{name} {left}"),
    };
    Failure::new(code, format_args!("{trouble}{left}")).hint(hint.to_owned())
}
