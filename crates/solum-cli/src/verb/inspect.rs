//! `solum inspect`: what is in an image.

use std::io::{self, Write};
use std::path::Path;

use crate::arguments::Inspect;
use crate::exit_code::ExitCode;
use crate::failure::Failure;
use crate::image;
use crate::output::{print, print_json};

/// Prints what is in the image, and ends badly if that is damaged.
pub fn inspect(arguments: &Inspect) -> Result<(), Failure> {
    let path = &arguments.image;
    let report = image::inspect(path)?;
    if let Some(wanted) = &arguments.file {
        return write(&image::file_of(path, &report, wanted)?);
    }
    if arguments.sbom {
        let none = || {
            Failure::new(ExitCode::UnusableInput, format_args!("{} has no bill of materials", path.display()))
                .hint("images that `solum build` makes have one".to_owned())
        };
        return write(image::bill_of_materials(&report).ok_or_else(none)?);
    }
    if arguments.json {
        print_json(&report);
    } else {
        print(&image::render(&report, arguments.verbose));
    }
    match &report.damage[..] {
        [] => Ok(()),
        [first, ..] => {
            Err(Failure::new(ExitCode::UnusableInput, format_args!("{} is damaged: {first}", path.display()))
                .hint("make it anew with `solum build`, or fetch it again".to_owned()))
        }
    }
}

/// Any bytes; a reader that went away has read what it wanted.
fn write(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::file("cannot write", Path::new("standard output"), &error))
        }
        _ => Ok(()),
    }
}
