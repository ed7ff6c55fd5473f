//! Images of the tests, and what is in them.

use std::fs;
use std::path::Path;

use solum_image::oci::{CERTIFICATES_PATH, Image};

use crate::harness::{Scratch, kernel};
use crate::probe;

/// What stands for the host's certificates where no test looks into them.
const CERTIFICATES: &str = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";

/// An image in a scratch directory: as a layout and as an archive.
pub struct Made {
    pub image: Image,
    /// As a test names them in arguments.
    pub layout: &'static str,
    pub archive: &'static str,
}

/// An image by `solum build` with these options, of a program with these arguments.
#[track_caller]
pub fn make(scratch: &Scratch, program: &str, options: &[&str], arguments: &[&str]) -> Made {
    scratch.file("certificates.crt", CERTIFICATES);
    build(scratch, program, "[SCRATCH]/certificates.crt", options, arguments)
}

#[track_caller]
fn build(scratch: &Scratch, program: &str, certificates: &str, options: &[&str], arguments: &[&str]) -> Made {
    let mut words = vec!["build", program, "--format", "oci", "--output", "[SCRATCH]/image"];
    words.extend(["--ca-certificates", "always"]);
    let kernel = kernel::chosen();
    words.extend(kernel.iter().flat_map(|kernel| ["--kernel", kernel]));
    words.extend(options);
    words.push("--");
    words.extend(arguments);
    let command = scratch.solum(&words).env("SSL_CERT_FILE", certificates);
    command.env("SOURCE_DATE_EPOCH", "1700000000").run().exits(0);
    let image = Image::from_layout(|path| fs::read(scratch.path("image").join(path)).ok()).unwrap();
    Made { image, layout: "[SCRATCH]/image", archive: "[SCRATCH]/image.tar" }
}

/// An image of the probe.
#[track_caller]
pub fn probe(scratch: &Scratch, arguments: &[&str]) -> Made {
    make(scratch, probe::path(), &[], arguments)
}

#[test]
fn an_image_is_hardly_larger_than_its_program() {
    if !Path::new(CERTIFICATES_PATH).is_file() {
        println!("skipped: this host has no {CERTIFICATES_PATH}");
        return;
    }
    let scratch = Scratch::new();
    let made = build(&scratch, "examples/hello", CERTIFICATES_PATH, &[], &[]);
    let program = made.image.file("/bin/hello").unwrap().unwrap().len() as u64;
    let unpacked: u64 = made.image.entries().unwrap().iter().map(|entry| entry.size).sum();
    let stored = made.image.size_bytes();
    let archive = fs::metadata(scratch.path("image.tar")).unwrap().len();
    println!("program {program}, unpacked {unpacked}, in a registry {stored}, archive {archive}");
    assert!(unpacked > program + 100_000, "the certificates are in it");
    for size in [unpacked, stored, archive] {
        assert!(size <= program + 250_000, "{size} bytes for a program of {program}");
    }
}

#[test]
fn the_same_program_gives_the_same_image_wherever_it_is_written() {
    let (one, other) = (Scratch::new(), Scratch::new());
    probe(&one, &["status", "1"]);
    probe(&other, &["status", "1"]);
    let read = |scratch: &Scratch| fs::read(scratch.path("image.tar")).unwrap();
    assert!(read(&one) == read(&other), "the archives differ");
}
