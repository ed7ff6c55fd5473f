//! From one machine to files that boot it: every format, and what all of them share.

mod container;
mod disk;
mod firecracker;
mod format;
mod inspect;
mod kept_data;
mod kernel;
mod kernel_line;
mod medium;
mod product;
mod recognise;
mod stage;
mod together;

use std::fs;
use std::ops::Deref;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use solum_image::Architecture;
use solum_image::disk::Identity;
use solum_image::uki;
use solum_spec::ByteSize;
use solum_spec::storage::{self, DataKind, FileSystem, Source};
use solum_spec::system::Disk;
use solum_vm::LineError;

use crate::arguments::Format;
use crate::assemble::{self, Contents};
use crate::bill::Bill;
use crate::cache::Cache;
use crate::certificates;
use crate::content;
use crate::exit_code::ExitCode;
use crate::failure::Failure;
use crate::kernel_choice::Chosen;
use crate::kernel_modules::Modules;
use crate::parts::Parts;

pub use container::Container;
pub use format::explain;
pub use inspect::{bill_of_materials, file_of, inspect, render, told};
pub use kept_data::refuse_to_lose;
pub use product::{Product, files};
use recognise::kernel_line_in;
pub use recognise::{Kind as ImageKind, kernel_words, missing_part, recognise};
pub use together::{Member, find_together};

/// One machine, and everything that its images are made of.
pub struct Material<'a> {
    /// What images are called.
    pub name: String,
    /// What goes into the initramfs, still without modules and without what a format adds.
    pub contents: Contents,
    /// The kernel.
    pub kernel: Option<&'a Chosen>,
    /// What it boots on.
    pub modules: Modules,
    /// Where what others make is kept.
    pub cache: &'a Cache,
    /// Words of the user's for the kernel's command line.
    pub append: Vec<String>,
    /// The time that all files have, in seconds since 1970.
    pub epoch_s: u64,
    /// What an ISO holds beside the system.
    pub iso_content: Option<PathBuf>,
    /// Whether PCs without UEFI boot an ISO.
    pub bios: bool,
    /// The size of the medium that an ISO is for, if it matters.
    pub medium: Option<ByteSize>,
    /// The data volume of a disk.
    pub data: Data,
    /// The disks of a machine of a system, which are partitions.
    pub disks: Vec<Disk>,
    /// Memory, where a format says it.
    pub memory: ByteSize,
    /// Processors, where a format says it.
    pub cpus: u16,
    /// What a container says beside the program; nothing, if the machine cannot be one, and why.
    pub container: Result<Container, String>,
    /// What it all was made of, but for what a format adds.
    pub bill_of_materials: Bill,
}

/// The volume on which a machine keeps what outlives it.
#[derive(Clone, Debug, Default)]
pub struct Data {
    /// How large it is in the image.
    pub size: Option<ByteSize>,
    /// Its file system.
    pub kind: DataKind,
    /// The directory whose content it starts with.
    pub content: Option<PathBuf>,
}

impl Material<'_> {
    /// Makes an image. `path` is where it is to be; some formats are several files, with names of the same beginning.
    pub fn make(&self, format: Format, path: &Path) -> Result<Vec<Product>, Failure> {
        let maker = Maker { material: self, parts: Parts::new(self.cache) };
        if format == Format::Oci {
            return container::make(&maker, path);
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let one = Product::make(path, self.has_secret(), |staged| match format {
            Format::Initramfs => maker.directory(staged),
            Format::Firecracker => maker.firecracker(staged),
            Format::Uki => write(staged, &maker.unified(self.contents.clone())?),
            Format::Iso => medium::iso(&maker, staged),
            Format::Disk | Format::Qcow2 | Format::Vmdk | Format::Vhd => {
                disk::make(&maker, format, staged, &name)
            }
            Format::Oci => Ok(()),
        });
        Ok(vec![one?])
    }

    /// Refuses a format that it cannot be, and a place where it cannot be.
    pub fn refuse(&self, format: Format, path: &Path) -> Result<(), Failure> {
        self.refuse_within_content(path)?;
        match format {
            Format::Oci => container::container_of(self).map(drop),
            Format::Firecracker => self.firecracker_line().map(drop),
            _ => self.kernel_line().map(drop),
        }
    }

    /// An image would hold what was made of it so far, and the next one the last one.
    fn refuse_within_content(&self, path: &Path) -> Result<(), Failure> {
        let place = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        // What is not there yet lies where that lies which is.
        let Some(place) = place.ancestors().skip(1).find_map(|place| fs::canonicalize(place).ok()) else {
            return Ok(());
        };
        for content in [&self.iso_content, &self.data.content].into_iter().flatten() {
            if fs::canonicalize(content).is_ok_and(|content| place.starts_with(content)) {
                let message =
                    format!("{} is within {}, which goes into the image", path.display(), content.display());
                return Err(Failure::new(ExitCode::UnusableInput, message)
                    .hint("say with --output where else it is to be".to_owned()));
            }
        }
        Ok(())
    }

    fn kernel_line(&self) -> Result<String, Failure> {
        kernel_line::compose(self.kernel()?, &self.append).map_err(|error| unsaid(&error))
    }

    fn firecracker_line(&self) -> Result<String, Failure> {
        firecracker::kernel_line(&self.append).map_err(|error| unsaid(&error))
    }

    /// The kernel; containers alone have none, and never ask.
    fn kernel(&self) -> Result<&Chosen, Failure> {
        self.kernel
            .ok_or_else(|| Failure::new(ExitCode::KernelUnavailable, "no kernel was chosen for this image"))
    }

    /// Whether the key of a machine is inside.
    fn has_secret(&self) -> bool {
        self.contents.plan.as_ref().is_some_and(|plan| plan.network.is_some())
    }
}

/// Makes one image.
struct Maker<'a> {
    material: &'a Material<'a>,
    /// What others made, as far as this image needs it.
    parts: Parts<'a>,
}

impl<'a> Deref for Maker<'a> {
    type Target = Material<'a>;

    fn deref(&self) -> &Material<'a> {
        self.material
    }
}

impl Maker<'_> {
    /// Bytes that are the same whenever an image is made of the same, and different whenever it is not: of everything that goes in.
    fn seed(&self) -> Result<[u8; 32], Failure> {
        let mut hash = Sha256::new();
        let mut add = |bytes: &[u8]| {
            hash.update((bytes.len() as u64).to_le_bytes());
            hash.update(bytes);
        };
        add(self.name.as_bytes());
        add(self.kernel()?.hash().as_bytes());
        add(self.kernel_line()?.as_bytes());
        let Data { size, kind, .. } = &self.data;
        add(format!("{:?} {} {size:?} {kind:?} {:?}", self.modules, self.bios, self.disks).as_bytes());
        add(&self.contents.clone().archive()?);
        for directory in [&self.iso_content, &self.data.content].into_iter().flatten() {
            content::digest(directory, &mut add)?;
        }
        Ok(hash.finalize().into())
    }

    /// The compressed initramfs of these contents.
    fn initramfs(&self, mut contents: Contents) -> Result<Vec<u8>, Failure> {
        let file_systems = &contents.description.file_systems;
        contents.modules = self.kernel()?.modules_of_image(&self.modules, file_systems)?;
        contents.provide_checker(&self.parts)?;
        assemble::compress(contents.archive()?, self.kernel()?.compression())
    }

    fn directory(&self, path: &Path) -> Result<(), Failure> {
        create(path)?;
        write(&path.join("vmlinuz"), &self.kernel()?.packed()?)?;
        write(&path.join("initramfs"), &self.initramfs(self.contents.clone())?)?;
        write(&path.join("cmdline"), format!("{}\n", self.kernel_line()?).as_bytes())?;
        write(&path.join(BILL_OF_MATERIALS), &self.bill_of_materials())
    }

    fn firecracker(&self, path: &Path) -> Result<(), Failure> {
        create(path)?;
        write(&path.join(firecracker::KERNEL), &self.kernel()?.unpacked()?)?;
        write(&path.join(firecracker::INITRAMFS), &self.initramfs(self.contents.clone())?)?;
        let configuration = firecracker::configuration(self.memory, self.cpus, self.firecracker_line()?);
        write(&path.join(firecracker::CONFIGURATION), configuration.as_bytes())?;
        write(&path.join(BILL_OF_MATERIALS), &self.bill_of_materials())
    }

    /// The unified kernel image of these contents.
    fn unified(&self, contents: Contents) -> Result<Vec<u8>, Failure> {
        let stub = self.parts.efi_stub()?;
        let initramfs = self.initramfs(contents)?;
        let parts = uki::Parts {
            stub: &stub,
            kernel: &self.kernel()?.packed()?,
            command_line: &self.kernel_line()?,
            initramfs: &initramfs,
            os_release: &self.os_release(),
            kernel_release: self.kernel()?.release(),
            sbom: Some(&self.bill_of_materials()),
        };
        uki::write(&parts).map_err(|error| {
            let failure = Failure::new(ExitCode::KernelUnavailable, &error);
            match error {
                uki::UkiError::KernelWithoutEfi => failure.hint(
                    "take another kernel: `--kernel debian`, or build one anew with `solum kernel build`"
                        .to_owned(),
                ),
                _ => failure.hint(error.hint()),
            }
        })
    }

    /// What this image was made of, as far as its making got.
    fn bill_of_materials(&self) -> Vec<u8> {
        let mut bill = self.material.bill_of_materials.clone();
        certificates::of(&self.contents.provided)
            .iter()
            .for_each(|bytes| bill.add_data("ca-certificates", bytes));
        bill.to_json(&self.parts.used())
    }

    /// What boot menus show.
    fn os_release(&self) -> String {
        let version = env!("CARGO_PKG_VERSION");
        format!("ID=solum\nNAME=Solum\nPRETTY_NAME=\"{}\"\nVERSION_ID={version}\nIMAGE_ID={0}\n", self.name)
    }

    fn identity<'seed>(&self, seed: &'seed [u8]) -> Identity<'seed> {
        Identity { seed, epoch_s: self.epoch_s }
    }

    /// The kernel is known not to have this file system.
    fn refuse_without(&self, symbol: &str, what: &str, hint: &str) -> Result<(), Failure> {
        let kernel = self.kernel()?;
        if !kernel.lacks(symbol) {
            return Ok(());
        }
        let message = format!("{} cannot {what}: it lacks {symbol}", kernel.version());
        Err(Failure::new(ExitCode::KernelUnavailable, message).hint(hint.to_owned()))
    }
}

/// A command line that no kernel would read whole.
fn unsaid(error: &LineError) -> Failure {
    Failure::new(ExitCode::UnusableInput, error).hint(error.hint())
}

/// What an image was made of lies beside those that are directories.
pub const BILL_OF_MATERIALS: &str = "sbom.cdx.json";

/// The processor that images are made for.
const ARCHITECTURE: Architecture = Architecture::HOST;

/// The contents with a file system more.
fn mounting(contents: &Contents, file_system: FileSystem) -> Contents {
    let mut contents = contents.clone();
    contents.description.file_systems.insert(0, file_system);
    contents
}

/// Whether the description says itself what is mounted there.
fn mounts(contents: &Contents, target: &str) -> bool {
    contents.description.file_systems.iter().any(|file_system| file_system.target == target)
}

fn create(path: &Path) -> Result<(), Failure> {
    fs::create_dir(path).map_err(|error| Failure::file("cannot make", path, &error))
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    fs::write(path, bytes).map_err(|error| Failure::file("cannot write", path, &error))
}

/// The data volume as a machine mounts it.
fn data_file_system(kind: DataKind) -> FileSystem {
    FileSystem {
        source: Source::Label(storage::DATA_LABEL.to_owned()),
        target: storage::PERMANENT.to_owned(),
        kind: Some(kind.kind()),
        read_only: false,
        options: String::new(),
        required: true,
        grow: true,
    }
}
