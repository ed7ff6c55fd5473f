//! A machine of one program as a container.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use solum_image::initramfs::Bundled;
use solum_image::oci::{self, Reference};
use solum_spec::Protocol;

use super::{ARCHITECTURE, Maker, Material, Product, create, write};
use crate::bill::Bill;
use crate::certificates;
use crate::exit_code::ExitCode;
use crate::failure::Failure;

/// What a container says beside the program.
#[derive(Clone, Debug)]
pub struct Container {
    /// What it is called where it is loaded.
    pub reference: Reference,
    /// Where it listens.
    pub ports: Vec<(u16, Protocol)>,
    /// What is said about it.
    pub labels: BTreeMap<String, String>,
    /// The time zone data, if it was asked for.
    pub time_zones: Vec<Bundled>,
    /// Who runs the program: nobody's machine is brought up there, so it need not be root.
    pub user_id: u32,
    /// What it is made of: neither a kernel nor an init.
    pub bill_of_materials: Bill,
}

/// What a container says beside the program, if the machine can be one.
pub fn container_of<'a>(material: &'a Material<'_>) -> Result<&'a Container, Failure> {
    material.container.as_ref().map_err(|why| {
        Failure::new(ExitCode::UnusableInput, why)
            .hint("build that program by itself: `solum build PROGRAM --format oci`".to_owned())
    })
}

/// The layout as a directory, and one archive of it.
pub fn make(maker: &Maker<'_>, path: &Path) -> Result<Vec<Product>, Failure> {
    let container = container_of(maker)?;
    let unit = &maker.contents.description.unit;
    let Some((program_path, program)) = maker.contents.programs.first() else {
        return Err(Failure::new(ExitCode::UnusableInput, "a container needs a program"));
    };
    let certificates = certificates::of(&maker.contents.provided);
    let mut bill = container.bill_of_materials.clone();
    certificates.iter().for_each(|bytes| bill.add_data("ca-certificates", bytes));
    let contents = oci::Contents {
        name: program_path.rsplit('/').next().unwrap_or(program_path).to_owned(),
        program: program.clone(),
        architecture: ARCHITECTURE,
        arguments: unit.arguments.clone(),
        environment: unit.environment.iter().filter(|(name, _)| name != "TERM").cloned().collect(),
        user_id: container.user_id,
        ports: container.ports.clone(),
        labels: container.labels.clone(),
        certificates,
        time_zones: container.time_zones.clone(),
        bundled: maker.contents.bundled.clone(),
        bill_of_materials: Some(bill.to_json(&BTreeMap::new())),
        created_s: maker.epoch_s,
        reference: container.reference.clone(),
    };
    let image = oci::image(contents)
        .map_err(|error| Failure::new(ExitCode::UnusableInput, &error).hint(error.hint()))?;
    let layout = Product::make(path, false, |staged| layout(&image, staged))?;
    let archive = Product::make(&with_suffix(path, ".tar"), false, |staged| {
        let bytes = image.archive().map_err(|error| Failure::file("cannot write", path, &error))?;
        write(staged, &bytes)
    })?;
    Ok(vec![layout, archive])
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

fn layout(image: &oci::Image, path: &Path) -> Result<(), Failure> {
    create(path)?;
    for (name, bytes) in image.layout() {
        let file = path.join(&name);
        if let Some(directory) = file.parent() {
            std::fs::create_dir_all(directory)
                .map_err(|error| Failure::file("cannot make", directory, &error))?;
        }
        write(&file, &bytes)?;
    }
    Ok(())
}
