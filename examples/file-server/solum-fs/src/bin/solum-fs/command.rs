//! The words of the command line, and what they do.

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use solum_fs::{Error, FileSystem, Kind, check, format, probe};

use super::image::{Access, open};

/// How many bytes are copied at the same time.
const PIECE_BYTES: usize = 1 << 20;

const EXIT_STATUS: &str =
    "Exit status: 0 if it was done, 1 if not, 2 if the command line is wrong, 3 if `check` found problems.";

/// Reads and writes a disk of the file server, and checks it. The disk must not be in use.
#[derive(Parser)]
#[command(name = "solum-fs", after_help = EXIT_STATUS)]
pub struct Arguments {
    /// The disk: a file or a block device
    image: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make an empty file system
    Format {
        /// Make the file, with this size, for example 64MiB
        #[arg(long, value_parser = size)]
        size: Option<u64>,
        /// Even if there is something on the disk, which is lost then
        #[arg(long)]
        force: bool,
    },
    /// Look at everything, change nothing, and say what is damaged
    Check,
    /// List a directory, or show what a file is
    Ls {
        /// Which
        #[arg(default_value = "/")]
        path: String,
    },
    /// Write the content of a file to standard output
    Cat {
        /// Which
        path: String,
    },
    /// Copy a file of the host into the file system
    Put {
        /// The file of the host; - is standard input
        from: PathBuf,
        /// Its path in the file system; a file that is there is replaced
        to: String,
    },
    /// Copy a file of the file system to the host
    Get {
        /// Its path in the file system
        from: String,
        /// The file of the host; one that is there is replaced
        to: PathBuf,
    },
    /// Remove a file
    Rm {
        /// Which
        path: String,
        /// A directory with everything in it, too, even if it is damaged
        #[arg(short, long)]
        recursive: bool,
    },
    /// Make a directory
    Mkdir {
        /// Which
        path: String,
    },
    /// Remove an empty directory
    Rmdir {
        /// Which
        path: String,
    },
    /// Give a file or a directory another name
    Mv {
        /// The old path
        from: String,
        /// The new path; a file that is there is replaced
        to: String,
    },
    /// Say how much room there is
    Df,
}

/// What goes wrong.
#[derive(Debug)]
pub enum Failure {
    Image { path: PathBuf, reason: String },
    InUse(PathBuf),
    SizeMissing(PathBuf),
    OtherSize { path: PathBuf, bytes: u64 },
    NotEmpty(PathBuf),
    FileSystem { path: PathBuf, error: Error },
    Host { path: PathBuf, error: io::Error },
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Image { path, reason } => write!(f, "{} cannot be opened: {reason}", path.display()),
            Self::InUse(path) => {
                write!(f, "{} is in use\nhint: stop the system that runs on it first", path.display())
            }
            Self::SizeMissing(path) => write!(
                f,
                "{0} does not exist\nhint: to make it: solum-fs {0} format --size 64MiB",
                path.display()
            ),
            Self::OtherSize { path, bytes } => write!(
                f,
                "{} is there already and has {bytes} bytes\nhint: leave --size out to use it as it is",
                path.display()
            ),
            Self::NotEmpty(path) => write!(
                f,
                "there is something on {0}\nhint: to lose it: solum-fs {0} format --force",
                path.display()
            ),
            Self::FileSystem { path, error: error @ Error::NotFormatted { blank: true } } => {
                write!(f, "{error}\nhint: to make one: solum-fs {} format", path.display())
            }
            Self::FileSystem { path, error: error @ Error::Damaged(_) } => write!(
                f,
                "{error}\nhint: to see all that is damaged: solum-fs {0} check; to be rid of it: solum-fs {0} rm -r PATH",
                path.display()
            ),
            Self::FileSystem { error, .. } => error.fmt(f),
            Self::Host { path, error } => write!(f, "{}: {error}", path.display()),
        }
    }
}

/// Does what the command line says.
pub fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let image = arguments.image.as_path();
    let failed = |error| Failure::FileSystem { path: image.to_owned(), error };
    match &arguments.command {
        Command::Format { size, force } => make(image, *size, *force),
        Command::Check => examine(image),
        Command::Ls { path } => list(&mut mount(image, Access::Read)?, path).map_err(failed),
        Command::Cat { path } => {
            let output = Path::new("standard output");
            copy_out(&mut mount(image, Access::Read)?, path, output, &mut io::stdout().lock(), image)
        }
        Command::Get { from, to } => get(image, from, to),
        Command::Put { from, to } => put(image, from, to),
        Command::Df => {
            let room = mount(image, Access::Read)?.room();
            for (what, bytes) in
                [("total", room.total_bytes), ("used", room.used_bytes), ("free", room.free_bytes)]
            {
                println!("{what:>5} {bytes:>16} bytes");
            }
            Ok(ExitCode::SUCCESS)
        }
        Command::Rm { path, recursive: true } => change(image, |fs| fs.remove_all(path)),
        Command::Rm { path, recursive: false } => change(image, |fs| fs.remove(path)),
        Command::Mkdir { path } => change(image, |fs| fs.make_directory(path)),
        Command::Rmdir { path } => change(image, |fs| fs.remove_directory(path)),
        Command::Mv { from, to } => change(image, |fs| fs.rename(from, to)),
    }
}

fn mount(image: &Path, access: Access) -> Result<FileSystem, Failure> {
    FileSystem::mount(open(image, access)?)
        .map_err(|error| Failure::FileSystem { path: image.to_owned(), error })
}

fn change(
    image: &Path,
    change: impl FnOnce(&mut FileSystem) -> solum_fs::Result<()>,
) -> Result<ExitCode, Failure> {
    let mut file_system = mount(image, Access::Write)?;
    let changed = change(&mut file_system).and_then(|()| file_system.sync());
    changed.map_err(|error| Failure::FileSystem { path: image.to_owned(), error })?;
    Ok(ExitCode::SUCCESS)
}

fn make(image: &Path, size: Option<u64>, force: bool) -> Result<ExitCode, Failure> {
    let mut disk = open(image, Access::Create(size))?;
    let failed = |error| Failure::FileSystem { path: image.to_owned(), error };
    match probe(&mut disk) {
        Err(Error::NotFormatted { blank: true }) => {}
        _ if force => {}
        Ok(()) | Err(Error::NotFormatted { .. }) => return Err(Failure::NotEmpty(image.to_owned())),
        Err(error) => return Err(failed(error)),
    }
    format(&mut disk).map_err(failed)?;
    Ok(ExitCode::SUCCESS)
}

fn examine(image: &Path) -> Result<ExitCode, Failure> {
    let (_, report) = check(open(image, Access::Read)?);
    let report = report.map_err(|error| Failure::FileSystem { path: image.to_owned(), error })?;
    for problem in &report.problems {
        println!("{problem}");
    }
    println!(
        "{} files, {} directories, {} of {} blocks used, generation {}: {}",
        report.files,
        report.directories,
        report.used_blocks,
        report.blocks,
        report.generation,
        match report.problems.len() {
            0 => "no problem".to_owned(),
            1 => "1 problem".to_owned(),
            count => format!("{count} problems"),
        }
    );
    Ok(if report.problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(3) })
}

fn list(file_system: &mut FileSystem, path: &str) -> solum_fs::Result<ExitCode> {
    let stat = file_system.stat(path)?;
    if stat.kind == Kind::File {
        println!("{:>12} {path}", stat.size);
        return Ok(ExitCode::SUCCESS);
    }
    for listed in file_system.list(path, None, usize::MAX)? {
        let mark = if listed.kind == Kind::Directory { "/" } else { "" };
        println!("{:>12} {}{mark}", listed.size, listed.name);
    }
    Ok(ExitCode::SUCCESS)
}

fn copy_out(
    file_system: &mut FileSystem,
    path: &str,
    to: &Path,
    output: &mut dyn Write,
    image: &Path,
) -> Result<ExitCode, Failure> {
    let host = |error| Failure::Host { path: to.to_owned(), error };
    let mut offset = 0;
    loop {
        let piece = file_system.read(path, offset, PIECE_BYTES as u64);
        let piece = piece.map_err(|error| Failure::FileSystem { path: image.to_owned(), error })?;
        if piece.is_empty() {
            output.flush().map_err(host)?;
            return Ok(ExitCode::SUCCESS);
        }
        output.write_all(&piece).map_err(host)?;
        offset += piece.len() as u64;
    }
}

fn get(image: &Path, from: &str, to: &Path) -> Result<ExitCode, Failure> {
    let failed = |error| Failure::FileSystem { path: image.to_owned(), error };
    let mut file_system = mount(image, Access::Read)?;
    // Whether it is there is known before a file of the host is replaced.
    if file_system.stat(from).map_err(failed)?.kind == Kind::Directory {
        return Err(failed(Error::IsADirectory { path: from.to_owned() }));
    }
    let mut output = File::create(to).map_err(|error| Failure::Host { path: to.to_owned(), error })?;
    copy_out(&mut file_system, from, to, &mut output, image)
}

fn put(image: &Path, from: &Path, to: &str) -> Result<ExitCode, Failure> {
    let host = |error| Failure::Host { path: from.to_owned(), error };
    let mut input: Box<dyn Read> = match from.to_str() {
        Some("-") => Box::new(io::stdin().lock()),
        _ => Box::new(File::open(from).map_err(host)?),
    };
    let mut file_system = mount(image, Access::Write)?;
    let failed = |error| Failure::FileSystem { path: image.to_owned(), error };
    // Made beside it, so that the file is the old one or the new one, whatever happens.
    let beside = format!("{to}.new");
    let written = write_beside(&mut file_system, &mut input, &beside, from, image);
    if let Err(failure) = written {
        // What went wrong first is what counts; where nothing was made nothing can be removed.
        let _ = file_system.remove(&beside).and_then(|()| file_system.sync());
        return Err(failure);
    }
    file_system.rename(&beside, to).and_then(|()| file_system.sync()).map_err(failed)?;
    Ok(ExitCode::SUCCESS)
}

fn write_beside(
    file_system: &mut FileSystem,
    input: &mut dyn Read,
    beside: &str,
    from: &Path,
    image: &Path,
) -> Result<(), Failure> {
    let failed = |error| Failure::FileSystem { path: image.to_owned(), error };
    match file_system.create(beside) {
        Err(Error::AlreadyExists { .. }) => file_system.truncate(beside, 0).map_err(failed)?,
        created => created.map_err(failed)?,
    }
    let mut offset = 0;
    let mut piece = Vec::with_capacity(PIECE_BYTES);
    loop {
        piece.clear();
        let read = (&mut *input).take(PIECE_BYTES as u64).read_to_end(&mut piece);
        read.map_err(|error| Failure::Host { path: from.to_owned(), error })?;
        if piece.is_empty() {
            return Ok(());
        }
        file_system.write(beside, offset, &piece).map_err(failed)?;
        offset += piece.len() as u64;
    }
}

/// Bytes, from `64MiB`, `1 GiB`, or a plain number.
fn size(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|letter: char| !letter.is_ascii_digit());
    let factor = match text[digits.len()..].trim() {
        "" | "B" => Some(1),
        "KiB" => Some(1 << 10),
        "MiB" => Some(1 << 20),
        "GiB" => Some(1 << 30),
        "TiB" => Some(1u64 << 40),
        _ => None,
    };
    let bytes = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(factor?));
    bytes.ok_or_else(|| "write a size like 64MiB or 1GiB".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        use clap::CommandFactory;
        Arguments::command().debug_assert();
    }

    #[test]
    fn sizes_have_units() {
        assert_eq!(size("64MiB"), Ok(64 << 20));
        assert_eq!(size("1 GiB"), Ok(1 << 30));
        assert_eq!(size("4096"), Ok(4096));
        for wrong in ["", "MiB", "64MB", "-1", "99999999999TiB"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }
}
