//! `solum` as a release archive has it, with init beside it, and a program that was compiled before: whatever is measured
//! here compiles nothing.

use crate::bench::archive::file_in_archive;
use crate::bench::guest::write_executable;
use crate::bench::lab::{self, HELLO, Kernel, Lab};
use crate::bench::processor_time::{self, Finished};
use crate::failure::{Failure, Outcome};
use crate::shell;
use crate::workspace::Workspace;
use std::env::consts::ARCH;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A place to make images in.
pub struct Workbench<'a> {
    /// What every measurement needs.
    pub lab: Lab<'a>,
    /// The `vm` kernel, which is in the cache; so it is what `solum build` takes.
    pub kernel: Kernel,
    directory: PathBuf,
}

/// The name that images have of their program.
const PROGRAM: &str = "hello";

impl<'a> Workbench<'a> {
    /// Compiles everything, and takes hello and init out of an initramfs.
    pub fn prepare(workspace: &'a Workspace) -> Outcome<Self> {
        let lab = Lab::prepare(workspace)?;
        let kernel = lab.vm_kernel()?;
        let initramfs = lab.take("images.initramfs", HELLO, &["--compress", "none"])?;
        let archive = lab::read(&initramfs)?;
        let directory = workspace.scratch("images")?;
        let failed = |error: std::io::Error| {
            Failure::new(format!("{} could not be made: {error}", directory.display()))
        };
        fs::create_dir_all(&directory).map_err(failed)?;
        for (within, name) in [("init", format!("solum-init-{ARCH}")), ("bin/hello", PROGRAM.to_owned())] {
            let content = file_in_archive(&archive, within)
                .ok_or_else(|| Failure::new(format!("the initramfs of hello holds no {within}")))?;
            write_executable(&directory.join(name), content)?;
        }
        fs::copy(lab.solum_file(), directory.join("solum")).map_err(failed)?;
        Ok(Self { lab, kernel, directory })
    }

    /// Bytes of the program.
    pub fn program_bytes(&self) -> Outcome<u64> {
        lab::length(&self.directory.join(PROGRAM))
    }

    /// A file of this name.
    pub fn place(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// A call of `solum`.
    pub fn solum(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.directory.join("solum"));
        // What the surroundings ask for would be another image.
        command.current_dir(&self.directory).args(arguments).env_remove("SOURCE_DATE_EPOCH");
        command
    }

    /// Makes an image of hello, and gives back where it is.
    pub fn build(&self, format: &str, file: &str, options: &[&str]) -> Outcome<PathBuf> {
        shell::capture(&mut self.command(format, file, options))?;
        Ok(self.place(file))
    }

    /// Makes an image of hello, and measures what that takes.
    pub fn measure(&self, format: &str, file: &str) -> Outcome<Finished> {
        processor_time::measure(&mut self.command(format, file, &[]))
    }

    fn command(&self, format: &str, file: &str, options: &[&str]) -> Command {
        let mut command = self.solum(&["build", PROGRAM, "--format", format, "--output", file]);
        command.args(options);
        command
    }
}

/// What a file or a directory with its files holds: bytes, and bytes that it takes on its medium.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Weight {
    /// Bytes, holes among them.
    pub bytes: u64,
    /// Without holes.
    pub taken: u64,
}

impl Weight {
    /// Weighs.
    pub fn of(path: &Path) -> Outcome<Self> {
        weigh(path).map_err(|error| Failure::new(format!("{} cannot be weighed: {error}", path.display())))
    }
}

fn weigh(path: &Path) -> std::io::Result<Weight> {
    use std::os::unix::fs::MetadataExt;
    let found = fs::symlink_metadata(path)?;
    if !found.is_dir() {
        // The unit of st_blocks is 512 bytes everywhere (stat(3type)).
        return Ok(Weight { bytes: found.len(), taken: found.blocks() * 512 });
    }
    let mut sum = Weight::default();
    for entry in fs::read_dir(path)? {
        let one = weigh(&entry?.path())?;
        sum = Weight { bytes: sum.bytes + one.bytes, taken: sum.taken + one.taken };
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_weighs_what_its_files_do() {
        let directory = std::env::temp_dir().join(format!("solum-weigh-{}", std::process::id()));
        fs::create_dir_all(directory.join("below")).unwrap();
        fs::write(directory.join("a"), [1; 5000]).unwrap();
        fs::File::create(directory.join("below/b")).and_then(|file| file.set_len(1 << 20)).unwrap();
        let weight = Weight::of(&directory);
        fs::remove_dir_all(&directory).unwrap();
        let Weight { bytes, taken } = weight.expect("it can be read");
        assert_eq!(bytes, 5000 + (1 << 20));
        assert!(taken < 1 << 20, "the hole takes nothing: {taken}");
    }
}
