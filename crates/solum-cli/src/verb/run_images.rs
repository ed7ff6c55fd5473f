//! `solum run --image` on a directory with the images of a system's machines: all of them, on one network.

use std::path::Path;

use solum_spec::plan::Plan;
use solum_vm::MachineType;
use solum_vm::system::Disks;
use solum_vm::system::vm::Booted;

use super::run_image;
use super::system::refuse_unsuited_screens;
use crate::arguments::{MachineKind, Run};
use crate::attended::unprepared;
use crate::bootable::Bootable;
use crate::failure::Failure;
use crate::image::{ImageKind as Kind, Member, find_together};
use crate::launch;
use crate::machines::{Machines, conclude};
use crate::running::Claim;
use crate::suited::refuse_for_images;

/// Boots every machine, and gives back an exit status.
pub fn run(directory: &Path, arguments: &Run) -> Result<u8, Failure> {
    let around = &arguments.around;
    refuse_for_images(&[
        ("--publish", !around.publish.is_empty()),
        ("--disk", !around.disks.is_empty()),
        ("--dry-run", around.dry_run),
        ("--no-reboot", around.no_reboot),
    ])?;
    refuse_unsuited_screens(arguments)?;
    let members = find_together(directory)?;
    for member in &members {
        run_image::refuse_unsuited(member.kind, arguments)?;
        refuse_for_images(&[("--snapshot", arguments.snapshot && keeps_files(member))])?;
    }
    let whole = Plan::of_all(members.iter().map(|member| member.plan.clone()));
    let claim = Claim::new(directory)?;
    let machines = Machines::new(arguments, &claim, &whole)?;
    let kept = Plan { disks: members.iter().flat_map(disks_in_files).collect(), ..Plan::default() };
    // They are locked until all machines are off.
    let disks = Disks::prepare(claim.state(), &kept).map_err(unprepared)?;
    let mut booted = Vec::new();
    let mut media = Vec::new();
    for member in &members {
        let bootable = Bootable::new(&member.file, member.kind, arguments)?;
        booted.push(boot(member, &bootable, &machines, &disks, arguments)?);
        media.push(bootable);
    }
    let reports = machines.run(booted)?;
    drop(media);
    conclude(reports, launch::conclude_image)
}

fn boot(
    member: &Member,
    bootable: &Bootable,
    machines: &Machines<'_>,
    disks: &Disks,
    arguments: &Run,
) -> Result<Booted, Failure> {
    let Member { plan, machine: name, .. } = member;
    let files = disks_in_files(member).iter().map(|disk| disks.path(disk)).collect();
    let mut machine = machines.around(name, plan, bootable.boot.clone(), files)?;
    machine.command_line = [&bootable.words[..], &machine.command_line].concat();
    machine.memory = arguments.around.memory.unwrap_or_else(|| bootable.memory(member.memory));
    machine.cpus = arguments.around.cpus.or(member.cpus).unwrap_or(1);
    machine.machine_type = match arguments.around.machine {
        // Nobody knows what its kernel needs.
        MachineKind::Auto | MachineKind::Q35 => MachineType::Q35,
        MachineKind::Microvm => MachineType::Microvm,
    };
    Ok(machines.booted(machine, plan))
}

/// The disks of a machine that has no partitions for them: files beside the images, as those of a system that is not in images.
fn disks_in_files(member: &Member) -> Vec<solum_spec::plan::Disk> {
    match member.kind {
        Kind::Disk(_) => Vec::new(),
        _ => member.plan.disks.clone(),
    }
}

fn keeps_files(member: &Member) -> bool {
    !disks_in_files(member).is_empty()
}
