//! What an image takes from the host that makes it: the certificates of authorities, and time zones when they are asked for.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use solum_image::initramfs::{Bundled, BundledContent};
use solum_image::oci::{CERTIFICATES_PATH, TIME_ZONES_PATH};

use crate::arguments::Certificates;
use crate::bundle;
use crate::exit_code::ExitCode;
use crate::failure::Failure;

/// The flag that does without certificates.
pub const NO_CERTIFICATES: &str = "--ca-certificates never";
/// Names another file, as OpenSSL has it (SSL_CTX_load_verify_locations(3)).
const VARIABLE: &str = "SSL_CERT_FILE";

/// Where distributions keep the certificates in one file, the most common first: as Go looks for them (crypto/x509,
/// `root_linux.go`).
const FILES: [&str; 6] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/cacert.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// The file with the certificates, if it is wanted for these programs, and the user has none of their own.
pub fn wanted<'a>(
    when: Certificates,
    programs: impl IntoIterator<Item = &'a [u8]>,
    bundled: &[Bundled],
) -> Result<Vec<Bundled>, Failure> {
    let is_wanted = match when {
        Certificates::Always => true,
        Certificates::Never => false,
        Certificates::Auto => programs.into_iter().any(looks_for_them),
    };
    if !is_wanted || bundled.iter().any(|file| file.path == CERTIFICATES_PATH) {
        return Ok(Vec::new());
    }
    let content = BundledContent::File(of_host()?);
    Ok(vec![Bundled { path: CERTIFICATES_PATH.to_owned(), permissions: 0o444, content }])
}

/// The certificates among the files of an image.
pub fn of(files: &[Bundled]) -> Option<Vec<u8>> {
    files.iter().find(|file| file.path == CERTIFICATES_PATH).and_then(|file| match &file.content {
        BundledContent::File(bytes) => Some(bytes.clone()),
        _ => None,
    })
}

/// Whether a program would look for them: whatever speaks TLS with the system's authorities has one of their places in it.
fn looks_for_them(program: &[u8]) -> bool {
    let has = |text: &[u8]| memchr::memmem::find(program, text).is_some();
    has(b"ca-certificates.crt") || has(b"/etc/ssl/cert")
}

/// The certificates of authorities that this host trusts, as one PEM file.
pub fn of_host() -> Result<Vec<u8>, Failure> {
    let named = env::var_os(VARIABLE).filter(|value| !value.is_empty()).map(PathBuf::from);
    read(named.as_deref(), &FILES.map(Path::new))
}

fn read(named: Option<&Path>, usual: &[&Path]) -> Result<Vec<u8>, Failure> {
    let without = || format!("{NO_CERTIFICATES} makes an image without them");
    let path = match named {
        Some(path) => path,
        None => *usual.iter().find(|path| path.is_file()).ok_or_else(|| {
            Failure::new(
                ExitCode::UnusableInput,
                "this host has no certificates of authorities that could go into the image",
            )
            .hint(format!(
                "install the package ca-certificates, or name a PEM file with {VARIABLE}; {}",
                without()
            ))
        })?,
    };
    let bytes = fs::read(path)
        .map_err(|error| Failure::file("cannot read the certificates", path, &error).hint(without()))?;
    if !is_pem(&bytes) {
        let message = format!("{} has no certificates in PEM", path.display());
        let hint = format!("name a file of them with {VARIABLE}=/path/to/file.pem; {}", without());
        return Err(Failure::new(ExitCode::UnusableInput, message).hint(hint));
    }
    Ok(bytes)
}

/// Whether it has certificates, each with a beginning, Base64 and an end (RFC 7468, section 5), and nothing that a program
/// would stumble over.
fn is_pem(bytes: &[u8]) -> bool {
    let certificates = ureq::tls::parse_pem(bytes);
    let mut count = 0;
    for item in certificates {
        match item {
            Ok(ureq::tls::PemItem::Certificate(_)) => count += 1,
            Ok(_) => {}
            Err(_) => return false,
        }
    }
    count > 0
}

/// The time zones of this host.
pub fn time_zones() -> Result<Vec<Bundled>, Failure> {
    zones(Path::new(TIME_ZONES_PATH))
}

/// As the tree is, but for the copies that know leap seconds and those that do not (tzfile(5): "right" and "posix"), which
/// double its size twice.
fn zones(directory: &Path) -> Result<Vec<Bundled>, Failure> {
    if !directory.is_dir() {
        let message = format!("this host has no time zones at {}", directory.display());
        return Err(Failure::new(ExitCode::UnusableInput, message)
            .hint("install the package tzdata, or leave the time zones out".to_owned()));
    }
    let mut found = Vec::new();
    bundle::tree(directory, TIME_ZONES_PATH, &mut found)?;
    let is_copy = |path: &str| {
        let below = path.strip_prefix(TIME_ZONES_PATH).unwrap_or_default();
        let first = below.trim_start_matches('/').split('/').next();
        matches!(first, Some("right" | "posix"))
    };
    // A link out of the tree, as Debian's `localtime` is one, would lead nowhere there.
    let leads_out = |content: &BundledContent| match content {
        BundledContent::Symlink(target) => target.starts_with(b"/"),
        _ => false,
    };
    found.retain(|zone| !is_copy(&zone.path) && !leads_out(&zone.content));
    // In the order of their paths: the host's order differs from host to host.
    found.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The body need not be a certificate for the reader of PEM.
    const PEM: &str = "# an authority\n-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";

    fn text(failure: &Failure) -> String {
        format!("{failure:?}")
    }

    #[test]
    fn the_first_file_that_there_is_is_taken_and_a_named_one_comes_before_all() {
        let directory = tempfile::tempdir().unwrap();
        let [missing, there, named] = ["missing", "there", "named"].map(|name| directory.path().join(name));
        fs::write(&there, PEM).unwrap();
        fs::write(&named, format!("{PEM}{PEM}")).unwrap();
        assert_eq!(read(None, &[&missing, &there]).unwrap(), PEM.as_bytes());
        assert_eq!(read(Some(&named), &[&there]).unwrap().len(), 2 * PEM.len());
    }

    #[test]
    fn what_is_missing_or_no_pem_is_said_with_the_way_to_do_without() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        let none = text(&read(None, &[&path]).unwrap_err());
        assert!(none.contains("no certificates of authorities") && none.contains(NO_CERTIFICATES), "{none}");
        let named = text(&read(Some(&path), &[]).unwrap_err());
        assert!(named.contains("cannot read the certificates"), "{named}");
        let cut = PEM.replace("-----END CERTIFICATE-----", "");
        let key = PEM.replace("CERTIFICATE", "PRIVATE KEY");
        for wrong in ["", "certificates", &cut, &format!("{PEM}{cut}"), &key, "-----BEGIN CERTIFICATE-----\n"]
        {
            fs::write(&path, wrong).unwrap();
            let refused = text(&read(None, &[&path]).unwrap_err());
            assert!(refused.contains("has no certificates in PEM"), "{wrong:?}: {refused}");
        }
    }

    #[test]
    fn zones_are_taken_once_and_in_order() {
        let directory = tempfile::tempdir().unwrap();
        for path in ["Europe/Prague", "UTC", "right/UTC", "posix/UTC"] {
            let path = directory.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "TZif2").unwrap();
        }
        std::os::unix::fs::symlink("/etc/localtime", directory.path().join("localtime")).unwrap();
        std::os::unix::fs::symlink("UTC", directory.path().join("Zulu")).unwrap();
        let found: Vec<String> = zones(directory.path()).unwrap().into_iter().map(|zone| zone.path).collect();
        let below = ["", "/Europe", "/Europe/Prague", "/UTC", "/Zulu"];
        assert_eq!(found, below.map(|path| format!("{TIME_ZONES_PATH}{path}")));
        assert!(text(&zones(&directory.path().join("none")).unwrap_err()).contains("tzdata"));
    }
}
