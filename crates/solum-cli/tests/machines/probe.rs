//! The program that most machines of these tests run: built once, from `probe/main.rs`, without Cargo.

use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/machines/probe/main.rs");

/// The probe's executable.
pub fn path() -> &'static str {
    static PATH: OnceLock<String> = OnceLock::new();
    PATH.get_or_init(|| {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
        // Built beside and renamed, because another test run may do the same now.
        let build = tempfile::Builder::new().prefix("probe-").tempdir_in(directory).unwrap();
        let built = build.path().join("probe");
        let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
        let output = Command::new("rustc")
            .args(["--edition", "2024", "--crate-name", "probe", "--target", &target])
            .args(["-C", "target-feature=+crt-static", "-C", "opt-level=s", "-C", "strip=symbols", "-o"])
            .arg(&built)
            .arg(SOURCE)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let path = directory.join("probe");
        std::fs::rename(&built, &path).unwrap();
        path.into_os_string().into_string().unwrap()
    })
}
