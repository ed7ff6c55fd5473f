//! Images of the tests, and what is in them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use solum_image::Architecture;
use solum_image::oci::{self, CERTIFICATES_PATH, Contents, Image, Reference};

use crate::harness::{Scratch, WORKSPACE};
use crate::probe;

/// What stands for the host's certificates where no test looks into them.
const CERTIFICATES: &[u8] = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
/// The bill of materials of every image here.
pub const BILL: &[u8] = br#"{"bomFormat":"CycloneDX","specVersion":"1.6"}"#;

/// An image in a scratch directory: as a layout and as an archive.
pub struct Made {
    pub image: Image,
    /// As a test names them in arguments.
    pub layout: &'static str,
    pub archive: &'static str,
}

/// What an image of this program holds if nobody says more.
pub fn contents(program: &Path) -> Contents {
    let name = program.file_name().unwrap().to_str().unwrap();
    Contents {
        name: name.to_owned(),
        program: fs::read(program).unwrap(),
        architecture: Architecture::HOST,
        arguments: vec![],
        environment: vec![],
        user_id: 1000,
        ports: vec![],
        labels: Default::default(),
        certificates: Some(CERTIFICATES.to_vec()),
        time_zones: vec![],
        bundled: vec![],
        bill_of_materials: Some(BILL.to_vec()),
        created_s: 1_700_000_000,
        reference: Reference::local(name),
    }
}

/// An image of the probe.
pub fn probe() -> Contents {
    contents(Path::new(probe::path()))
}

/// Writes an image of these contents.
pub fn make(scratch: &Scratch, contents: Contents) -> Made {
    let image = oci::image(contents).unwrap();
    for (path, bytes) in image.layout() {
        scratch.file(&format!("image/{path}"), bytes);
    }
    scratch.file("image.tar", image.archive().unwrap());
    Made { image, layout: "[SCRATCH]/image", archive: "[SCRATCH]/image.tar" }
}

/// An example's program, built as `solum` builds it.
pub fn example(name: &str) -> PathBuf {
    static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();
    let directory = DIRECTORY.get_or_init(|| {
        let triple = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("examples");
        let mut cargo = Command::new("cargo");
        cargo.current_dir(WORKSPACE).args(["build", "--quiet", "--profile", "machine", "--target", &triple]);
        cargo.args(["--package", "alone", "--package", "hello"]).arg("--target-dir").arg(&target);
        cargo.args(["--config", &format!("target.{triple}.rustflags=[\"-Ctarget-feature=+crt-static\"]")]);
        let output = cargo.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        target.join(triple).join("machine")
    });
    directory.join(name)
}

#[test]
fn an_image_is_hardly_larger_than_its_program() {
    let Ok(certificates) = fs::read(CERTIFICATES_PATH) else {
        println!("skipped: this host has no {CERTIFICATES_PATH}");
        return;
    };
    let program = example("hello");
    let length = fs::metadata(&program).unwrap().len();
    let image = oci::image(Contents { certificates: Some(certificates), ..contents(&program) }).unwrap();
    let unpacked: u64 = image.entries().unwrap().iter().map(|entry| entry.size).sum();
    let archive = image.archive().unwrap().len();
    println!(
        "program {length}, unpacked {unpacked}, in a registry {}, archive {archive}",
        image.size_bytes()
    );
    assert!(unpacked <= length + 250_000, "{unpacked} bytes for a program of {length}");
    assert!(image.size_bytes() <= length + 250_000);
    assert!(archive as u64 <= length + 250_000);
}
