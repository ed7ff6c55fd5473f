//! `solum run --image`: whatever `solum build` makes, booted as its machine would be.

use std::path::Path;

use solum_spec::ByteSize;
use solum_spec::description::Network;

use super::{run_container, run_images};
use crate::arguments::{Attach, MachineKind, Place, Run};
use crate::bootable::Bootable;
use crate::exit_code::ExitCode;
use crate::failure::Failure;
use crate::image::{self, ImageKind as Kind, missing_part, recognise};
use crate::launch::{Launch, file_stem};
use crate::suited::{
    flags_of_a_program, flags_of_a_system, refuse_for_image, refuse_for_kind, refuse_for_one,
};

/// Boots the image, and gives back the exit status of its program. A directory that is no image itself has several.
pub fn run(image: &Path, arguments: &Run) -> Result<u8, Failure> {
    let kind = match recognise(image) {
        Err(_) if image.is_dir() && missing_part(image).is_none() => {
            return run_images::run(image, arguments);
        }
        kind => kind?,
    };
    refuse_unsuited(kind, arguments)?;
    let hint = "give a directory with an image of each machine of a system";
    refuse_for_one(&flags_of_a_system(arguments), "image", hint)?;
    if kind == Kind::Oci {
        return run_container::run(image);
    }
    let bootable = Bootable::new(image, kind, arguments)?;
    let mut around = arguments.around.clone();
    around.append = [&bootable.words[..], &around.append].concat();
    // What cannot be read here says so when it boots.
    let report = image::inspect(image).ok();
    if let Some(why) = report.as_ref().and_then(|report| report.unbootable.as_ref()) {
        let message = format!("{} is damaged: {why}", image.display());
        return Err(Failure::new(ExitCode::UnusableInput, message).hint(
            "make it anew with `solum build`, or fetch it again; `solum inspect` says more".to_owned(),
        ));
    }
    let told = report.as_ref().and_then(image::told);
    let (description, plan) = told.unzip();
    let described = description.as_ref();
    let memory = described.and_then(|described| described.memory_bytes).map(ByteSize::bytes);
    around.memory.get_or_insert(bootable.memory(memory));
    around.cpus = around.cpus.or(described.and_then(|described| described.cpus));
    let launch = Launch {
        name: file_stem(image),
        boot: bootable.boot.clone(),
        kernel_config: None,
        around: &around,
        shares: &[],
        network: &Network::Automatic,
        grace_seconds: GRACE_SECONDS,
        says_hello: true,
        // Units print on the machine's console where no host speaks with them.
        has_console: plan.flatten().is_some(),
    };
    let is_of_pcs = arguments.attach.is_some_and(|bus| bus != Attach::Virtio);
    launch.boot().map_err(|failure| match is_of_pcs {
        true => failure.hint("an image has the drivers for that if it was built with `--for pc`".to_owned()),
        false => failure,
    })
}

/// What is inside is decided.
pub fn refuse_unsuited(kind: Kind, arguments: &Run) -> Result<(), Failure> {
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

/// The grace of its program stands in the image; this is for a machine that does not end at all.
const GRACE_SECONDS: u32 = 60;
