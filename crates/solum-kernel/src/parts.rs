//! Files that images and their tests need and that others make: systemd's EFI stub and boot manager, the firmware of virtual
//! machines, a static `e2fsck`, and ISOLINUX.
//!
//! Each is taken from where the host's distribution installs it, else from our cache, else fetched into the cache with the host's
//! own package manager, which needs no root and checks the archive's signatures. Which package and version it is of is
//! told, too: it belongs into the list of what an image is made of.

mod fetch;
mod table;

use std::path::{Path, PathBuf};

use crate::architecture::Architecture;
use crate::cache::Cache;
use crate::error::Error;
use crate::files;
use crate::progress::Progress;
use crate::tools::Host;
use table::Table;

/// Finds parts for machines of one architecture.
#[derive(Clone, Copy)]
pub struct Parts<'run> {
    /// The host that they are taken from.
    pub host: &'run Host,
    /// Where fetched ones are kept.
    pub cache: &'run Cache,
    /// What the machines are that they are for.
    pub architecture: Architecture,
    /// Told of what takes long.
    pub progress: &'run dyn Progress,
}

/// A part that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The file.
    pub path: PathBuf,
    /// Its SHA-256 in hexadecimal.
    pub sha256: String,
    /// The package it is of; `None` where it belongs to none that the host's package manager knows.
    pub package: Option<PackageVersion>,
    /// Its licence, as an SPDX expression.
    pub licence: &'static str,
}

/// A version of a package of the host's distribution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackageVersion {
    /// The package's name.
    pub name: String,
    /// Its version, as the distribution writes it.
    pub version: String,
}

/// UEFI firmware of virtual machines, as QEMU takes it: two flash chips.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Firmware {
    /// The code, which is never written to.
    pub code: Found,
    /// The variables as they are in a new machine. Each machine gets a copy of its own, of this very size.
    pub variables: Found,
}

/// ISOLINUX, which starts an ISO image where there is no UEFI.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BiosLoader {
    /// `isolinux.bin`: what El Torito starts.
    pub loader: Found,
    /// `ldlinux.c32`, which the loader reads from the image.
    pub module: Found,
    /// `isohdpfx.bin`: the boot sector that starts the loader when the image was written to a stick.
    pub hybrid_sector: Found,
}

/// How a part stands on this host, without anything being fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Availability {
    /// What it is.
    pub name: &'static str,
    /// What needs it, as a clause: "for images that UEFI starts".
    pub purpose: &'static str,
    /// Its main file, where it is installed or was fetched.
    pub found: Option<Found>,
    /// The Debian packages that have it.
    pub packages: Vec<&'static str>,
}

impl Parts<'_> {
    /// systemd's EFI stub, which makes kernel, command line and initramfs one file that UEFI starts.
    ///
    /// # Errors
    ///
    /// [`Error::PartMissing`] with the package to install, [`Error::Checksum`], [`Error::NoSpace`], [`Error::Io`],
    /// [`Error::Interrupted`]; so it is with all parts.
    pub fn efi_stub(&self) -> Result<Found, Error> {
        let [stub] = self.find(table::efi_stub(self.architecture))?;
        Ok(stub)
    }

    /// systemd-boot, which chooses among unified kernel images and counts their attempts.
    ///
    /// # Errors
    ///
    /// Those of [`Parts::efi_stub`].
    pub fn boot_manager(&self) -> Result<Found, Error> {
        let [manager] = self.find(table::boot_manager(self.architecture))?;
        Ok(manager)
    }

    /// OVMF, or its like for the architecture. Code and variables are of the same layout, without Secure Boot.
    ///
    /// # Errors
    ///
    /// Those of [`Parts::efi_stub`].
    pub fn firmware(&self) -> Result<Firmware, Error> {
        let [code, variables] = self.find(table::firmware(self.architecture))?;
        Ok(Firmware { code, variables })
    }

    /// A static `e2fsck`, which mends data file systems in machines.
    ///
    /// # Errors
    ///
    /// Those of [`Parts::efi_stub`].
    pub fn e2fsck(&self) -> Result<Found, Error> {
        let [e2fsck] = self.find(&table::E2FSCK)?;
        Ok(e2fsck)
    }

    /// ISOLINUX. There is none but for x86.
    ///
    /// # Errors
    ///
    /// Those of [`Parts::efi_stub`]; [`Error::ArchitectureUnsupported`].
    pub fn bios_loader(&self) -> Result<BiosLoader, Error> {
        if self.architecture != Architecture::X86_64 {
            let task = "make an image that a BIOS starts";
            return Err(Error::ArchitectureUnsupported { architecture: self.architecture, task });
        }
        let [loader, module, hybrid_sector] = self.find(&table::BIOS_LOADER)?;
        Ok(BiosLoader { loader, module, hybrid_sector })
    }

    /// How every part stands, for people.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] where an installed file cannot be read.
    pub fn survey(&self) -> Result<Vec<Availability>, Error> {
        let mut all = vec![
            self.look(table::efi_stub(self.architecture))?,
            self.look(table::boot_manager(self.architecture))?,
            self.look(table::firmware(self.architecture))?,
            self.look(&table::E2FSCK)?,
        ];
        if self.architecture == Architecture::X86_64 {
            all.push(self.look(&table::BIOS_LOADER)?);
        }
        Ok(all)
    }

    fn look<const COUNT: usize>(&self, table: &Table<COUNT>) -> Result<Availability, Error> {
        let found = match self.installed(table)? {
            Some(found) => Some(found),
            None => self.cached(table)?,
        };
        Ok(Availability {
            name: table.name,
            purpose: table.purpose,
            found: found.and_then(|files| files.into_iter().next()),
            packages: table.distinct_packages(),
        })
    }

    fn find<const COUNT: usize>(&self, table: &Table<COUNT>) -> Result<[Found; COUNT], Error> {
        if let Some(found) = self.installed(table)? {
            return Ok(found);
        }
        if let Some(found) = self.cached(table)? {
            return Ok(found);
        }
        let missing = |cause: String| Error::PartMissing {
            part: table.name,
            cause,
            packages: table.distinct_packages().into_iter().map(|name| self.qualified(table, name)).collect(),
        };
        if self.is_foreign(table) {
            let cause =
                format!("this host's package manager does not fetch those of {} machines", self.architecture);
            return Err(missing(cause));
        }
        for package in table.distinct_packages() {
            self.fetch(package).map_err(|error| match error {
                Error::ProgramMissing { program, .. } => {
                    missing(format!("{program}, which would fetch it, is not installed either"))
                }
                Error::PackageMissing { .. } | Error::CommandFailed { .. } => {
                    missing(format!("fetching it failed: {error}"))
                }
                other => other,
            })?;
        }
        self.cached(table)?.ok_or_else(|| missing("the package that should have it does not".into()))
    }

    /// The files that the distribution installed, if they are all there.
    fn installed<const COUNT: usize>(&self, table: &Table<COUNT>) -> Result<Option<[Found; COUNT]>, Error> {
        let Some(paths) = table.complete_layout([self.host.root.as_path(); COUNT]) else { return Ok(None) };
        let mut found = Vec::with_capacity(COUNT);
        for path in paths {
            let sha256 = files::sha256_of_file(&path)?;
            let package = self.owner(&path);
            found.push(Found { path, sha256, package, licence: table.licence });
        }
        Ok(found.try_into().ok())
    }

    /// The files that were fetched before.
    fn cached<const COUNT: usize>(&self, table: &Table<COUNT>) -> Result<Option<[Found; COUNT]>, Error> {
        if self.is_foreign(table) {
            return Ok(None);
        }
        let mut entries = Vec::with_capacity(COUNT);
        for package in table.packages {
            let Some(entry) = self.newest_fetched(package)? else { return Ok(None) };
            entries.push(entry);
        }
        let roots: Vec<&Path> = entries.iter().map(|entry| entry.directory.as_path()).collect();
        let Some(paths) = roots.try_into().ok().and_then(|roots| table.complete_layout(roots)) else {
            return Ok(None);
        };
        let found = paths.into_iter().zip(&entries).map(|(path, entry)| {
            let sha256 = entry.sha256_of(&path)?;
            let package = Some(entry.package());
            Some(Found { path, sha256, package, licence: table.licence })
        });
        Ok(found.collect::<Option<Vec<_>>>().and_then(|found| found.try_into().ok()))
    }

    /// The package that an installed file is of, as the host's package manager tells, of whichever kind that is.
    fn owner(&self, path: &Path) -> Option<PackageVersion> {
        let ask = |program: &str, arguments: &[&str], file: Option<&Path>| {
            let mut command = self.host.command(program, "to name the package of a file").ok()?;
            command.args(arguments).args(file);
            self.host.output_of(command).ok()
        };
        let pair = |text: String| {
            let (name, version) = text.trim().split_once(' ')?;
            Some(PackageVersion { name: name.to_owned(), version: version.to_owned() })
        };
        // "systemd-boot-efi:amd64: /usr/lib/systemd/…", dpkg-query(1); several packages are separated by commas.
        if let Some(text) = ask("dpkg-query", &["--search"], Some(path)) {
            let (name, _) = text.split_once(": ")?;
            let name = name.split([',', ':']).next()?;
            return pair(ask("dpkg-query", &["--show", "--showformat=${Package} ${Version}\n", name], None)?);
        }
        ask("rpm", &["--query", "--queryformat=%{NAME} %{VERSION}-%{RELEASE}\n", "--file"], Some(path))
            .or_else(|| {
                let name = ask("pacman", &["--query", "--owns", "--quiet"], Some(path))?;
                ask("pacman", &["--query", name.trim()], None)
            })
            .and_then(pair)
    }

    /// Whether the part's packages are made for one architecture each, and this host's is another one.
    fn is_foreign<const COUNT: usize>(&self, table: &Table<COUNT>) -> bool {
        table.is_native && Architecture::of_host() != Some(self.architecture)
    }

    fn qualified<const COUNT: usize>(&self, table: &Table<COUNT>, package: &str) -> String {
        match self.is_foreign(table) {
            true => format!("{package}:{}", self.architecture.debian_name()),
            false => package.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests;
