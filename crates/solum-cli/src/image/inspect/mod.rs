//! What is in an image of any format, found by its content.

mod boot;
mod machine;
mod medium;
mod report;
mod text;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use solum_image::cpio::{Member, MemberKind};
use solum_image::oci::CERTIFICATES_PATH;
use solum_image::unpack::{self, unpack};
use solum_image::{kernel, uki};
use solum_spec::description::{self, Description};
use solum_spec::plan::{self, Plan};
use solum_vm::DiskFormat;

use super::recognise::{Kind, recognise};
use super::{BILL_OF_MATERIALS, files, firecracker, kernel_line_in};
use crate::exit_code::ExitCode;
use crate::failure::Failure;
use crate::sparse_file::SparseFile;
use crate::verb::push;

pub use report::{Boot, Report};
pub use text::render;

use report::{Container, File, Layer};

/// Says what is in an image.
pub fn inspect(path: &Path) -> Result<Report, Failure> {
    let mut report = Report { file: path.display().to_string(), ..Report::default() };
    (report.size_bytes, report.taken_bytes) = weigh(path)?;
    let kind = match recognise(path) {
        Ok(kind) => kind,
        // A part of an image says what it is, too.
        Err(failure) => return part(path, report)?.ok_or(failure),
    };
    match kind {
        Kind::Initramfs => directory(path, "initramfs", "vmlinuz", &mut report)?,
        Kind::Firecracker => directory(path, "firecracker", firecracker::KERNEL, &mut report)?,
        Kind::Oci => container(path, &mut report)?,
        Kind::Uki => {
            report.format = "uki";
            let file = open(path)?;
            let found = boot::of_uki(&file, None, &mut report.damage, &mut report.notes);
            report.boots.extend(found);
        }
        Kind::Iso => {
            report.format = "iso";
            medium::cd(&open(path)?, &mut report).map_err(|error| damaged(path, &error))?;
        }
        Kind::Disk(format) => {
            report.format = "disk";
            report.wrapping = Some(match format {
                DiskFormat::Raw => "raw",
                DiskFormat::Qcow2 => "qcow2",
                DiskFormat::Vmdk => "vmdk",
                DiskFormat::Vhd => "vhd",
            });
            medium::disk(&open(path)?, &mut report).map_err(|error| damaged(path, &error))?;
        }
    }
    if matches!(kind, Kind::Initramfs | Kind::Firecracker | Kind::Uki) {
        let mut damage = report.damage.iter();
        report.unbootable = damage.find(|damage| **damage != boot::UNREADABLE_BILL).cloned();
    }
    Ok(report)
}

fn open(path: &Path) -> Result<SparseFile, Failure> {
    SparseFile::open(path).map_err(|error| Failure::file("cannot read", path, &error))
}

fn damaged(path: &Path, why: &solum_image::Unreadable) -> Failure {
    Failure::new(ExitCode::UnusableInput, format_args!("{} is damaged: {why}", path.display()))
        .hint("make it anew with `solum build`, or fetch it again".to_owned())
}

/// How large a file or what is in a directory is, and what it takes.
fn weigh(path: &Path) -> Result<(u64, Option<u64>), Failure> {
    let refused = |error: std::io::Error| Failure::file("cannot read", path, &error);
    // What a link leads to is meant.
    let path = path.canonicalize().map_err(refused)?;
    let metadata = fs::metadata(&path).map_err(refused)?;
    if !metadata.is_dir() && !metadata.is_file() {
        use solum_image::ReadAt;
        return Ok((SparseFile::open(&path).map_err(refused)?.length(), None));
    }
    let mut sum = (0, 0);
    for file in files(&path).map_err(refused)? {
        let found = fs::symlink_metadata(file).map_err(refused)?;
        sum = (sum.0 + found.len(), sum.1 + found.blocks() * 512);
    }
    Ok((sum.0, Some(sum.1)))
}

/// No image may be larger that is looked at whole.
const LARGEST_PART: u64 = 1 << 30;

/// A kernel or an initramfs by itself, as `solum take` writes it.
fn part(path: &Path, mut report: Report) -> Result<Option<Report>, Failure> {
    if !path.is_file() || report.size_bytes > LARGEST_PART {
        return Ok(None);
    }
    let bytes = read(path)?;
    let mut found = Boot::default();
    if let Some(kernel) = kernel::read(&bytes) {
        report.format = "kernel";
        found.kernel = Some(boot::kernel_of(&bytes, Some(kernel)));
    } else if unpack::begins(&bytes) {
        report.format = "archive";
        boot::add_initramfs(&mut found, bytes, &mut report.damage, &mut report.notes);
        if found.machine.is_none() {
            return Ok(None);
        }
    } else {
        return Ok(None);
    }
    report.boots.push(found);
    Ok(Some(report))
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    fs::read(path).map_err(|error| Failure::file("cannot read", path, &error))
}

/// A kernel and an initramfs side by side.
fn directory(path: &Path, format: &'static str, kernel: &str, report: &mut Report) -> Result<(), Failure> {
    report.format = format;
    let bytes = read(&path.join(kernel))?;
    let mut found = Boot { path: Some(kernel.to_owned()), ..Boot::default() };
    let said = kernel::read(&bytes);
    if said.is_none() {
        report.damage.push(format!("its {kernel} is no kernel"));
    }
    found.kernel = Some(boot::kernel_of(&bytes, said));
    match kernel_line_in(path) {
        Ok(line) => found.command_line = Some(line),
        Err(_) => report.damage.push("its command line cannot be read".to_owned()),
    }
    if path.join(BILL_OF_MATERIALS).is_file() {
        boot::add_bill(&mut found, read(&path.join(BILL_OF_MATERIALS))?, &mut report.damage);
    }
    boot::add_initramfs(&mut found, read(&path.join("initramfs"))?, &mut report.damage, &mut report.notes);
    report.boots.push(found);
    Ok(())
}

fn container(path: &Path, report: &mut Report) -> Result<(), Failure> {
    report.format = "oci";
    let image = push::read(path)?;
    let entries = image.entries().unwrap_or_else(|error| {
        report.damage.push(format!("a layer cannot be read: {error}"));
        Vec::new()
    });
    let execution = &image.configuration.execution;
    let name_of = |variable: &String| variable.split('=').next().unwrap_or_default().to_owned();
    let bill = image.bill_of_materials().map(|blob| blob.bytes.clone());
    report.container = Some(Container {
        reference: image.reference.as_ref().map(ToString::to_string),
        digest: image.manifest.digest.clone(),
        size_bytes: image.size_bytes(),
        created: image.configuration.created.clone(),
        architecture: image.configuration.architecture.clone(),
        command: [&execution.entrypoint[..], &execution.arguments[..]].concat(),
        user: execution.user.clone(),
        directory: execution.directory.clone(),
        environment: execution.environment.iter().map(name_of).collect(),
        ports: execution.ports.keys().cloned().collect(),
        labels: execution.labels.clone(),
        layers: image.layers.iter().map(layer).collect(),
        has_ca_certificates: entries.iter().any(|entry| absolute(&entry.path) == CERTIFICATES_PATH),
        files: entries
            .iter()
            .map(|entry| File { path: absolute(&entry.path), size_bytes: entry.size })
            .collect(),
        sbom: bill.as_deref().and_then(|bytes| boot::bill_of(bytes).map(|(sbom, _)| sbom)),
    });
    report.bill_of_materials = bill;
    Ok(())
}

fn layer(blob: &solum_image::oci::Blob) -> Layer {
    Layer { digest: blob.digest.clone(), size_bytes: blob.bytes.len() as u64 }
}

fn absolute(path: &str) -> String {
    format!("/{}", path.trim_start_matches("./").trim_matches('/'))
}

/// The file at a path of the machine, or of the container.
pub fn file_of(path: &Path, report: &Report, wanted: &str) -> Result<Vec<u8>, Failure> {
    let wanted = absolute(wanted);
    let none = || {
        let message = format!("there is no file {wanted} in {}", path.display());
        Failure::new(ExitCode::UnusableInput, message).hint(
            "`solum inspect --verbose` lists the files; what is on a data volume or a CD is not among them"
                .to_owned(),
        )
    };
    if wanted == plan::PATH {
        let message = format!("{wanted} holds the machine's secret key, and is not printed");
        return Err(Failure::new(ExitCode::UnusableInput, message));
    }
    if report.format == "oci" {
        let image = push::read(path)?;
        let read = |name: &str| image.file(name).ok().flatten();
        return read(&wanted).or_else(|| read(&wanted[1..])).ok_or_else(none);
    }
    let boot = report.boots.last().ok_or_else(none)?;
    let unpacked = unpack(&boot.archive);
    let members = unpacked.members().map_err(|error| damaged(path, &error))?;
    let found =
        members.iter().rev().find(|one| one.kind == MemberKind::File && absolute(&one.path) == wanted);
    found.map(|member| member.content.to_vec()).ok_or_else(none)
}

/// What PID 1 is told: of a disk with two slots, in the second one. Nothing, if the machine is its program alone, or another
/// version of Solum made it.
pub fn told(report: &Report) -> Option<(Description, Option<Plan>)> {
    let unpacked = unpack(&report.boots.last()?.archive);
    let members = unpacked.members().ok()?;
    let content = |wanted: &str| {
        let is_it = |one: &&Member<'_>| one.kind == MemberKind::File && absolute(&one.path) == wanted;
        members.iter().rev().find(is_it).map(|member| member.content)
    };
    let description = Description::from_bytes(content(description::PATH)?).ok()?;
    let plan = content(plan::PATH).map(Plan::from_bytes).transpose().ok()?;
    Some((description, plan))
}

/// The bill of materials: of a disk with two slots, that of the second one.
pub fn bill_of_materials(report: &Report) -> Option<&[u8]> {
    let boots = report.boots.iter().rev().filter_map(|boot| boot.bill_of_materials.as_deref());
    report.bill_of_materials.as_deref().or(boots.into_iter().next())
}

/// Whether a file of a boot partition is a unified kernel image, which is all that firmware and boot manager start.
fn is_uki(bytes: &Vec<u8>) -> bool {
    uki::read(bytes).is_ok_and(|found| found.is_kernel_image())
}

#[cfg(test)]
mod tests;
