//! An image as files: the layout of the OCI Image Specification 1.1, and one archive of the same files that `docker load` and
//! `podman load` read too. And back.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read};

use serde::de::DeserializeOwned;
use tar::{Builder, Header};

use super::document::{self, Configuration, Descriptor, Index, Loadable, Manifest, Platform, media_type};
use super::{Attached, Blob, Image, digest};

/// The file that says that a directory is a layout, and what it says.
const MARK: (&str, &str) = ("oci-layout", r#"{"imageLayoutVersion":"1.0.0"}"#);
/// The file that says what the layout holds.
const INDEX: &str = "index.json";
/// The file that says to `docker load` what the archive holds.
const LOADABLE: &str = "manifest.json";

/// Why files are not an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotAnImage {
    /// A file of the layout is missing.
    Missing(String),
    /// A file is not the document that it should be.
    Unreadable(String, String),
    /// A blob has other bytes than its name says.
    Damaged(String),
    /// There is no image, or there are several.
    Images(usize),
    /// It is no tar archive.
    NoArchive(String),
}

impl fmt::Display for NotAnImage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(path) => write!(f, "it has no {path}"),
            Self::Unreadable(path, why) => write!(f, "its {path} cannot be read: {why}"),
            Self::Damaged(path) => write!(f, "its {path} has other bytes than its name says"),
            Self::Images(0) => f.write_str("there is no image in it"),
            Self::Images(count) => write!(f, "there are {count} images in it, and one is expected"),
            Self::NoArchive(why) => write!(f, "it is no archive: {why}"),
        }
    }
}

impl std::error::Error for NotAnImage {}

impl Image {
    /// The files of the layout, in order.
    pub fn layout(&self) -> Vec<(String, Vec<u8>)> {
        let mut files = BTreeMap::from([(MARK.0.to_owned(), MARK.1.as_bytes().to_vec())]);
        let attached = self.attached.iter().flat_map(|one| one.blobs.iter().chain([&one.manifest]));
        for blob in self.blobs().chain([&self.manifest]).chain(attached) {
            files.insert(path_of(&blob.digest), blob.bytes.clone());
        }
        let mut first = self.manifest_descriptor();
        if !self.attached.is_empty() {
            // Tools that are told no name take the only entry, and where there are more they give up (containers/image,
            // oci/layout, ErrMoreThanOneImage). So image and attachments are in an index of their own, from which each
            // tool takes what has its platform.
            let manifests = std::iter::once(first).chain(self.attached.iter().map(attached_descriptor));
            let index = document::to_bytes(&Index::of(manifests.collect()));
            let blob = Blob::new(media_type::INDEX, index);
            first = blob.descriptor();
            files.insert(path_of(&blob.digest), blob.bytes);
        }
        if let Some(reference) = &self.reference {
            first.annotations = BTreeMap::from([
                (document::REF_NAME.to_owned(), reference.tag.clone()),
                (document::WHOLE_NAME.to_owned(), reference.to_string()),
            ]);
        }
        files.insert(INDEX.to_owned(), document::to_bytes(&Index::of(vec![first])));
        files.into_iter().collect()
    }

    /// One archive with the files of the layout, which `docker load` reads as well.
    ///
    /// # Errors
    ///
    /// There is no memory for it.
    pub fn archive(&self) -> io::Result<Vec<u8>> {
        let mut files = self.layout();
        let name = self.reference.as_ref().map(ToString::to_string);
        let loadable = Loadable {
            config: path_of(&self.config.digest),
            repo_tags: name.as_deref().into_iter().collect(),
            layers: self.layers.iter().map(|layer| path_of(&layer.digest)).collect(),
        };
        files.push((LOADABLE.to_owned(), document::to_bytes(&[loadable])));
        files.sort();
        let mut builder = Builder::new(Vec::new());
        for (path, bytes) in &files {
            let mut header = Header::new_ustar();
            header.set_mode(0o644);
            header.set_mtime(0);
            header.set_size(bytes.len() as u64);
            builder.append_data(&mut header, path, bytes.as_slice())?;
        }
        builder.into_inner()
    }

    fn manifest_descriptor(&self) -> Descriptor {
        let Configuration { architecture, os, .. } = &self.configuration;
        let platform = Platform { architecture: architecture.clone(), os: os.clone() };
        Descriptor { platform: Some(platform), ..self.manifest.descriptor() }
    }

    /// Reads an image from the files of a layout: `file` gives the bytes of a path in it, if there is such a file. Each blob is
    /// compared with its name.
    ///
    /// # Errors
    ///
    /// [`NotAnImage`].
    pub fn from_layout(mut file: impl FnMut(&str) -> Option<Vec<u8>>) -> Result<Self, NotAnImage> {
        let mut read = |path: &str| file(path).ok_or_else(|| NotAnImage::Missing(path.to_owned()));
        read(MARK.0)?;
        let index: Index = parse(INDEX, &read(INDEX)?)?;
        let reference = index.manifests.first().and_then(|first| first.annotations.get(document::WHOLE_NAME));
        let reference = reference.and_then(|name| name.parse().ok());
        let mut manifests = Vec::new();
        for descriptor in index.manifests {
            if descriptor.media_type == media_type::INDEX {
                let path = path_of(&descriptor.digest);
                let within: Index = parse(&path, &blob(&descriptor, &mut read)?.bytes)?;
                manifests.extend(within.manifests);
            } else {
                manifests.push(descriptor);
            }
        }
        let mut images = Vec::new();
        let mut attached = Vec::new();
        for descriptor in manifests {
            let stored = blob(&descriptor, &mut read)?;
            let manifest: Manifest = parse(&path_of(&descriptor.digest), &stored.bytes)?;
            match manifest.subject.is_some() {
                true => attached.push((stored, manifest)),
                false => images.push((stored, manifest)),
            }
        }
        let count = images.len();
        let Ok([(stored, manifest)]) = <[_; 1]>::try_from(images) else {
            return Err(NotAnImage::Images(count));
        };
        let config = blob(&manifest.config, &mut read)?;
        let configuration = parse(&path_of(&config.digest), &config.bytes)?;
        let layers = manifest.layers.iter().map(|layer| blob(layer, &mut read)).collect::<Result<_, _>>()?;
        let mut image =
            Self { reference, manifest: stored, config, configuration, layers, attached: Vec::new() };
        for (stored, manifest) in attached {
            let is_ours = manifest.subject.as_ref().is_some_and(|it| it.digest == image.manifest.digest);
            if is_ours {
                let blobs = std::iter::once(&manifest.config).chain(&manifest.layers);
                let blobs = blobs.map(|descriptor| blob(descriptor, &mut read)).collect::<Result<_, _>>()?;
                let artifact_type = manifest.artifact_type.unwrap_or(manifest.config.media_type);
                image.attached.push(Attached { artifact_type, manifest: stored, blobs });
            }
        }
        Ok(image)
    }

    /// Reads an image from an archive of a layout.
    ///
    /// # Errors
    ///
    /// [`NotAnImage`].
    pub fn from_archive(bytes: &[u8]) -> Result<Self, NotAnImage> {
        let mut files = unpack(bytes).map_err(|error| NotAnImage::NoArchive(error.to_string()))?;
        // Not taken out: an artifact and the image may share a blob.
        Self::from_layout(|path| files.get_mut(path).cloned())
    }
}

fn attached_descriptor(attached: &Attached) -> Descriptor {
    let nothing = || "unknown".to_owned();
    Descriptor {
        artifact_type: Some(attached.artifact_type.clone()),
        // Of no platform, or else a tool would take it for an image of its own platform. The word is what Docker's builder
        // writes for its attestations.
        platform: Some(Platform { architecture: nothing(), os: nothing() }),
        ..attached.manifest.descriptor()
    }
}

/// Where a blob is in a layout.
fn path_of(digest: &str) -> String {
    format!("blobs/{}", digest.replacen(':', "/", 1))
}

fn blob(
    descriptor: &Descriptor,
    read: &mut impl FnMut(&str) -> Result<Vec<u8>, NotAnImage>,
) -> Result<Blob, NotAnImage> {
    let path = path_of(&descriptor.digest);
    // The name becomes a path on the host.
    let is_name = |digits: &str| digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !descriptor.digest.strip_prefix("sha256:").is_some_and(is_name) {
        return Err(NotAnImage::Missing(path));
    }
    let bytes = read(&path)?;
    if digest(&bytes) != descriptor.digest || bytes.len() as u64 != descriptor.size {
        return Err(NotAnImage::Damaged(path));
    }
    Ok(Blob { media_type: descriptor.media_type.clone(), digest: descriptor.digest.clone(), bytes })
}

fn parse<T: DeserializeOwned>(path: &str, bytes: &[u8]) -> Result<T, NotAnImage> {
    serde_json::from_slice(bytes).map_err(|error| NotAnImage::Unreadable(path.to_owned(), error.to_string()))
}

fn unpack(bytes: &[u8]) -> io::Result<BTreeMap<String, Vec<u8>>> {
    let mut files = BTreeMap::new();
    for entry in tar::Archive::new(bytes).entries()? {
        let mut entry = entry?;
        if entry.header().entry_type().is_file() {
            let path = String::from_utf8_lossy(&entry.path_bytes()).trim_start_matches("./").to_owned();
            let mut content = Vec::new();
            entry.read_to_end(&mut content)?;
            files.insert(path, content);
        }
    }
    Ok(files)
}
