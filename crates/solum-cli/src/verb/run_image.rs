//! `solum run --image`: whatever `solum build` makes, booted as its machine would be.

use std::fs;
use std::path::Path;

use solum_image::Architecture;
use solum_image::disk::{self, Identity};
use solum_spec::ByteSize;
use solum_spec::description::Network;
use solum_vm::{Boot, Bus, DiskFormat, Firmware, Medium};

use super::run_container;
use crate::arguments::{MachineKind, Place, Run};
use crate::cache::Cache;
use crate::exit_code::ExitCode;
use crate::failure::Failure;
use crate::image::{self, ImageKind as Kind, kernel_words, recognise};
use crate::launch::{Launch, file_stem};
use crate::output::Kept;
use crate::parts::Parts;
use crate::suited::{flags_of_a_program, refuse_for_image, refuse_for_kind};

/// Boots the image, and gives back the exit status of its program.
pub fn run(image: &Path, arguments: &Run) -> Result<u8, Failure> {
    let kind = recognise(image)?;
    refuse_unsuited(kind, arguments)?;
    let bus = arguments.attach.map_or_else(Bus::default, Into::into);
    match kind {
        Kind::Initramfs => directly(image, "vmlinuz", arguments),
        Kind::Firecracker => directly(image, "vmlinux", arguments),
        Kind::Oci => run_container::run(image),
        Kind::Uki => {
            let bytes = fs::read(image).map_err(|error| Failure::file("cannot read", image, &error))?;
            // Firmware starts it from a medium that holds nothing else.
            let identity = Identity { seed: b"solum run", epoch_s: 0 };
            let medium = disk::single_image_esp(Architecture::HOST, bytes, &identity)
                .map_err(|error| Failure::new(ExitCode::UnusableInput, error))?;
            let medium = Kept::new(&file_stem(image), &medium.to_vec(), "esp", arguments.around.dry_run)?;
            from_medium(image, medium.path(), DiskFormat::Raw, bus, false, arguments)
        }
        Kind::Iso => from_medium(image, image, DiskFormat::Raw, bus, true, arguments),
        Kind::Disk(format) => from_medium(image, image, format, bus, false, arguments),
    }
}

/// What is inside is decided.
fn refuse_unsuited(kind: Kind, arguments: &Run) -> Result<(), Failure> {
    let around = &arguments.around;
    let has_own_line = matches!(kind, Kind::Uki | Kind::Iso | Kind::Disk(_));
    let mut given = flags_of_a_program(&arguments.program, &arguments.inside, &arguments.arguments);
    given.extend([
        ("--share", !arguments.shares.is_empty()),
        ("--kernel", arguments.kernel.kernel.is_some()),
        ("--kernel-version", arguments.kernel.kernel_version.is_some()),
        ("--place", arguments.place == Place::Host),
        ("--append", has_own_line && !around.append.is_empty()),
        ("--machine", has_own_line && around.machine == MachineKind::Microvm),
    ]);
    let is_container = kind == Kind::Oci;
    let has_medium = matches!(kind, Kind::Uki | Kind::Iso | Kind::Disk(_));
    refuse_for_image(&given)?;
    refuse_for_kind(&[
        ("--attach", !has_medium && arguments.attach.is_some()),
        ("--snapshot", !has_medium && arguments.snapshot),
        ("--dry-run", is_container && around.dry_run),
        ("--timeout", is_container && around.timeout.is_some()),
        ("--memory", is_container && around.memory.is_some()),
        ("--cpus", is_container && around.cpus.is_some()),
        ("--publish", is_container && !around.publish.is_empty()),
        ("--disk", is_container && !around.disks.is_empty()),
        ("--append", is_container && !around.append.is_empty()),
    ])
}

/// A kernel and an initramfs: nothing is to be found by firmware.
fn directly(image: &Path, kernel: &str, arguments: &Run) -> Result<u8, Failure> {
    let mut around = arguments.around.clone();
    around.append = [kernel_words(image)?, around.append].concat();
    let boot = Boot::Kernel { kernel: image.join(kernel), initramfs: image.join("initramfs") };
    launch(image, boot, &Run { around, ..arguments.clone() })
}

fn from_medium(
    image: &Path,
    file: &Path,
    format: DiskFormat,
    bus: Bus,
    is_iso: bool,
    arguments: &Run,
) -> Result<u8, Failure> {
    let cache = Cache::of_user()?;
    let firmware = Parts::new(&cache).firmware()?;
    let boot = Boot::Firmware(Firmware {
        code: firmware.code.path,
        variables: firmware.variables.path,
        medium: Medium {
            file: file.to_owned(),
            format,
            bus,
            read_only: is_iso,
            snapshot: arguments.snapshot,
        },
    });
    let mut around = arguments.around.clone();
    around.memory.get_or_insert(MEMORY);
    launch(image, boot, &Run { around, ..arguments.clone() })
}

/// Firmware keeps itself and the whole image in memory until the kernel has unpacked both: with 128 MiB it is too small for a
/// kernel of the distribution's.
const MEMORY: ByteSize = ByteSize::mebibytes(256);

fn launch(image: &Path, boot: Boot, arguments: &Run) -> Result<u8, Failure> {
    let launch = Launch {
        name: file_stem(image),
        boot,
        kernel_config: None,
        around: &arguments.around,
        shares: &[],
        network: &Network::Automatic,
        grace_seconds: GRACE_SECONDS,
        says_hello: true,
        // Units print on the machine's console where no host speaks with them.
        has_console: is_of_system(image),
    };
    launch.boot()
}

/// Whether the machine in an image has units. One that cannot be read says so when it boots.
fn is_of_system(image: &Path) -> bool {
    let report = image::inspect(image);
    let machines = report.iter().flat_map(|report| &report.boots).filter_map(|boot| boot.machine.as_ref());
    machines.into_iter().any(|machine| machine.system.is_some())
}

/// The grace of its program stands in the image; this is for a machine that does not end at all.
const GRACE_SECONDS: u32 = 60;
