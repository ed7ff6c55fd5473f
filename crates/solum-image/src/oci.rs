//! Container images by the OCI Image Format Specification 1.1: a program, and nothing below it.
//!
//! An image is one layer, its configuration, a manifest of both, and a bill of materials that names the manifest as its
//! subject. Each is a blob called by its SHA-256, so an image is a function of its contents.

mod document;
mod layer;
mod layout;
mod reference;

use std::collections::BTreeMap;
use std::fmt;

use flate2::{Compression, GzBuilder};
use sha2::{Digest, Sha256};
use solum_spec::Protocol;
use solum_spec::calendar::Calendar;

use crate::Architecture;
use crate::cpio::ArchiveError;
use crate::initramfs::{Bundled, program_path};

pub use document::{Configuration, Descriptor, Execution, media_type};
pub use layer::Entry;
pub use layout::NotAnImage;
pub use reference::{Reference, ReferenceError};

use document::{History, Manifest, Platform, RootFilesystem};

/// Where programs look for certificates of authorities, unless they bring their own: OpenSSL's users as Debian builds
/// them, Go (`crypto/x509`, `root_linux.go`), rustls-native-certs.
pub const CERTIFICATES_PATH: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Where the C libraries, Go and chrono look for time zones (tzfile(5)).
pub const TIME_ZONES_PATH: &str = "/usr/share/zoneinfo";

/// Everything that makes up an image.
#[derive(Clone, Debug)]
pub struct Contents {
    /// The program's name: it is at `/bin/NAME`.
    pub name: String,
    /// The static executable.
    pub program: Vec<u8>,
    /// What it runs on.
    pub architecture: Architecture,
    /// Its arguments unless whoever starts the container gives others.
    pub arguments: Vec<String>,
    /// Its variables beside those that every program finds.
    pub environment: Vec<(String, String)>,
    /// Who runs it; 0 is root.
    pub user_id: u32,
    /// The ports that it listens on.
    pub ports: Vec<(u16, Protocol)>,
    /// Labels beside those that are known without being said.
    pub labels: BTreeMap<String, String>,
    /// Certificates of authorities, PEM.
    pub certificates: Option<Vec<u8>>,
    /// What lies below [`TIME_ZONES_PATH`], if it was asked for.
    pub time_zones: Vec<Bundled>,
    /// The user's files. They come before the files that Solum would put at the same path.
    pub bundled: Vec<Bundled>,
    /// The bill of materials, CycloneDX in JSON.
    pub bill_of_materials: Option<Vec<u8>>,
    /// When it was made, in seconds since 1970: `SOURCE_DATE_EPOCH`, so that the same inputs give the same image.
    pub created_s: u64,
    /// What the image is called where it is loaded.
    pub reference: Reference,
}

/// Bytes that are called by their SHA-256.
#[derive(Clone, PartialEq, Eq)]
pub struct Blob {
    /// What they are.
    pub media_type: String,
    /// `sha256:` and 64 hexadecimal digits.
    pub digest: String,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// The digest stands for the bytes.
impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} ({} bytes)", self.media_type, self.digest, self.bytes.len())
    }
}

impl Blob {
    fn new(media_type: &str, bytes: Vec<u8>) -> Self {
        Self { media_type: media_type.to_owned(), digest: digest(&bytes), bytes }
    }

    fn descriptor(&self) -> Descriptor {
        Descriptor {
            media_type: self.media_type.clone(),
            digest: self.digest.clone(),
            size: self.bytes.len() as u64,
            ..Descriptor::default()
        }
    }
}

/// Something that is attached to an image: a manifest whose subject the image is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attached {
    /// What it is, like [`media_type::CYCLONE_DX`].
    pub artifact_type: String,
    /// Its manifest.
    pub manifest: Blob,
    /// What the manifest names: configuration first.
    pub blobs: Vec<Blob>,
}

/// An image: just made, or read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// What it is called, if its layout says so.
    pub reference: Option<Reference>,
    /// Its manifest; whose digest is the image's.
    pub manifest: Blob,
    /// Its configuration, as it is stored.
    pub config: Blob,
    /// Its configuration, as it is understood.
    pub configuration: Configuration,
    /// Its layers, the lowest first.
    pub layers: Vec<Blob>,
    /// What is attached to it.
    pub attached: Vec<Attached>,
}

impl Image {
    /// Every blob that the image needs before its manifest means anything.
    pub fn blobs(&self) -> impl Iterator<Item = &Blob> {
        std::iter::once(&self.config).chain(&self.layers)
    }

    /// The bill of materials, if one is attached.
    pub fn bill_of_materials(&self) -> Option<&Blob> {
        let attached = self.attached.iter().find(|one| one.artifact_type == media_type::CYCLONE_DX)?;
        attached.blobs.iter().find(|blob| blob.media_type == media_type::CYCLONE_DX)
    }

    /// What a registry stores for it and what is fetched to run it: manifest, configuration and layers.
    pub fn size_bytes(&self) -> u64 {
        let blobs: usize = self.blobs().map(|blob| blob.bytes.len()).sum();
        (blobs + self.manifest.bytes.len()) as u64
    }
}

/// `sha256:` and the digits, as every descriptor has it.
pub fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", base16ct::lower::encode_string(&Sha256::digest(bytes)))
}

/// Makes an image. The same contents give the same image.
///
/// # Errors
///
/// [`ArchiveError`] for a bundled path that is none, or that the program or another bundled file has already.
pub fn image(contents: Contents) -> Result<Image, ArchiveError> {
    let Contents { reference, bill_of_materials, .. } = &contents;
    let (reference, bill_of_materials) = (reference.clone(), bill_of_materials.clone());
    let mut configuration = configuration(&contents);
    let tar = layer::tar(contents)?;
    configuration.root_filesystem.layer_digests.push(digest(&tar));
    let layer = Blob::new(media_type::LAYER_GZIP, gzip(&tar));
    let config = Blob::new(media_type::CONFIG, document::to_bytes(&configuration));
    let manifest = Manifest {
        media_type: media_type::MANIFEST.to_owned(),
        config: config.descriptor(),
        layers: vec![layer.descriptor()],
        ..Manifest::default()
    };
    let manifest = Blob::new(media_type::MANIFEST, document::to_bytes(&manifest));
    let created = &configuration.created;
    let attached = bill_of_materials.map(|bytes| attach(&manifest, created, bytes));
    Ok(Image {
        reference: Some(reference),
        attached: attached.into_iter().collect(),
        manifest,
        config,
        configuration,
        layers: vec![layer],
    })
}

/// Levels beyond this one save one part in two hundred, and cost three times the time.
const GZIP_LEVEL: u32 = 6;

/// Without a name and a time in its head (RFC 1952, 2.3.1), so that the same bytes give the same bytes.
fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzBuilder::new().read(bytes, Compression::new(GZIP_LEVEL));
    let mut compressed = Vec::new();
    // Reading from memory and writing to memory has no way to fail.
    let _ = std::io::Read::read_to_end(&mut encoder, &mut compressed);
    compressed
}

/// A manifest without a configuration, whose subject the image is (OCI Image Specification 1.1, "Guidelines for Artifact
/// Usage").
fn attach(image: &Blob, created: &str, bytes: Vec<u8>) -> Attached {
    let empty = Blob::new(media_type::EMPTY, b"{}".to_vec());
    let bill = Blob::new(media_type::CYCLONE_DX, bytes);
    let manifest = Manifest {
        media_type: media_type::MANIFEST.to_owned(),
        artifact_type: Some(media_type::CYCLONE_DX.to_owned()),
        config: empty.descriptor(),
        layers: vec![bill.descriptor()],
        subject: Some(image.descriptor()),
        annotations: BTreeMap::from([(document::CREATED.to_owned(), created.to_owned())]),
        ..Manifest::default()
    };
    Attached {
        artifact_type: media_type::CYCLONE_DX.to_owned(),
        manifest: Blob::new(media_type::MANIFEST, document::to_bytes(&manifest)),
        blobs: vec![empty, bill],
    }
}

/// The name of an architecture in images: Go's (`GOARCH`).
fn platform(architecture: Architecture) -> Platform {
    let architecture = match architecture {
        Architecture::X86_64 => "amd64",
        Architecture::Aarch64 => "arm64",
    };
    Platform { architecture: architecture.to_owned(), os: "linux".to_owned() }
}

fn configuration(contents: &Contents) -> Configuration {
    let created = Calendar::from_unix(contents.created_s).to_string();
    let Platform { architecture, os } = platform(contents.architecture);
    let mut labels = BTreeMap::from([
        ("org.opencontainers.image.title".to_owned(), contents.name.clone()),
        (document::CREATED.to_owned(), created.clone()),
    ]);
    labels.extend(contents.labels.clone());
    let port = |(port, protocol): &(u16, Protocol)| (format!("{port}/{protocol}"), BTreeMap::new());
    Configuration {
        created: created.clone(),
        architecture,
        os,
        execution: Execution {
            user: format!("{0}:{0}", contents.user_id),
            ports: contents.ports.iter().map(port).collect(),
            environment: environment(contents),
            entrypoint: vec![program_path(&contents.name)],
            arguments: contents.arguments.clone(),
            directory: layer::start_directory(contents.user_id).to_owned(),
            labels,
            stop_signal: Some("SIGTERM".to_owned()),
        },
        root_filesystem: RootFilesystem { kind: "layers".to_owned(), layer_digests: Vec::new() },
        history: vec![History { created, created_by: format!("solum build: {}", contents.name) }],
    }
}

/// What a program finds in a machine, but for what says that the machine is its own (`solum::machine::Machine::is_own`) and
/// the kind of a terminal, which the runtime knows.
fn environment(contents: &Contents) -> Vec<String> {
    let (home, user) = layer::person(contents.user_id);
    let defaults =
        [("PATH", "/bin:/sbin:/usr/bin:/usr/sbin"), ("HOME", home), ("USER", user), ("TMPDIR", "/tmp")];
    let is_given = |name: &str| contents.environment.iter().any(|(given, _)| given == name);
    let defaults = defaults.iter().filter(|(name, _)| !is_given(name));
    let given = contents.environment.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    defaults.copied().chain(given).map(|(name, value)| format!("{name}={value}")).collect()
}

#[cfg(test)]
mod tests;
