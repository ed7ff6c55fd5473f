//! The unit `files`: mounts its disk, or makes a file system on a blank one, and serves the interface `Files`.

use std::fmt;

use files::{Found, Service, open};
use files_api::Files;
use solum::{Console, Disk, Serve};
use solum_fs::Error;

#[derive(solum::Ports)]
struct Ports {
    disk: Disk,
    files: Serve<Files>,
    console: Console,
}

/// Why the server cannot serve.
enum Failure {
    FileSystem(Error),
    Device(solum::Error),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FileSystem(error @ Error::NotFormatted { .. }) => write!(
                f,
                "{error}\nhint: to lose what is on it and make a file system: solum-fs IMAGE format --force"
            ),
            Self::FileSystem(error) => error.fmt(f),
            Self::Device(error) => error.fmt(f),
        }
    }
}

impl From<solum::Error> for Failure {
    fn from(error: solum::Error) -> Self {
        Self::Device(error)
    }
}

#[solum::program]
fn files(mut ports: Ports) -> Result<(), Failure> {
    let (file_system, found) = open(ports.disk).map_err(Failure::FileSystem)?;
    let mebibytes = file_system.room().free_bytes >> 20;
    match found {
        Found::Blank => ports.console.line("the disk was blank, and has a file system now")?,
        Found::Whole(entries) => ports.console.line(format_args!("mounted: {entries} entries in /"))?,
        Found::Damaged(damage) => {
            for problem in damage {
                ports.console.line(format_args!("damaged: {problem}"))?;
            }
            ports.console.line("nothing can be changed until what is damaged has been removed")?;
        }
    }
    ports.console.line(format_args!("serving, {mebibytes} MiB are free"))?;
    Ok(ports.files.run(&mut Service::new(file_system))?)
}
