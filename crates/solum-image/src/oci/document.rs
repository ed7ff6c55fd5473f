//! The JSON documents of an image, as far as Solum writes and reads them. Names: OCI Image Specification 1.1.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What blobs are.
pub mod media_type {
    /// A list of manifests.
    pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
    /// A manifest.
    pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
    /// The configuration of an image.
    pub const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
    /// A layer: a tar archive.
    pub const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
    /// A layer: a tar archive, compressed by gzip.
    pub const LAYER_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
    /// `{}`, in the place of a configuration.
    pub const EMPTY: &str = "application/vnd.oci.empty.v1+json";
    /// A bill of materials.
    pub const CYCLONE_DX: &str = "application/vnd.cyclonedx+json";
}

/// The annotation, and the label, that says when something was made.
pub const CREATED: &str = "org.opencontainers.image.created";
/// The annotation of a layout that says a manifest's tag.
pub const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// The annotation that says an image's whole name: containerd's, and Podman and Docker read it.
pub const WHOLE_NAME: &str = "io.containerd.image.name";

type Annotations = BTreeMap<String, String>;

/// Names a blob.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What it is.
    pub media_type: String,
    /// How it is called.
    pub digest: String,
    /// How long it is.
    pub size: u64,
    /// What kind of artifact a manifest is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// What an image runs on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// More about it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: Annotations,
}

/// What an image runs on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Platform {
    /// As Go names it.
    pub architecture: String,
    /// As Go names it.
    pub os: String,
}

/// The blobs of an image or of an artifact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    pub schema_version: u32,
    #[serde(default)]
    pub media_type: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    pub config: Descriptor,
    pub layers: Vec<Descriptor>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: Annotations,
}

impl Default for Manifest {
    fn default() -> Self {
        Self {
            schema_version: 2,
            media_type: String::new(),
            artifact_type: None,
            config: Descriptor::default(),
            layers: Vec::new(),
            subject: None,
            annotations: Annotations::new(),
        }
    }
}

/// Manifests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    pub schema_version: u32,
    #[serde(default)]
    pub media_type: String,
    pub manifests: Vec<Descriptor>,
}

impl Index {
    pub fn of(manifests: Vec<Descriptor>) -> Self {
        Self { schema_version: 2, media_type: super::media_type::INDEX.to_owned(), manifests }
    }
}

/// How an image is run, and what its layers are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Configuration {
    /// When it was made (RFC 3339).
    #[serde(default)]
    pub created: String,
    /// As Go names it.
    pub architecture: String,
    /// As Go names it.
    pub os: String,
    /// How it is run.
    #[serde(default, rename = "config")]
    pub execution: Execution,
    /// The layers.
    #[serde(rename = "rootfs")]
    pub root_filesystem: RootFilesystem,
    /// How the layers came to be.
    #[serde(default)]
    pub history: Vec<History>,
}

/// How an image is run unless whoever runs it says otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Execution {
    /// User and group.
    pub user: String,
    /// Ports that it listens on, like `8080/tcp`; the values are empty.
    #[serde(rename = "ExposedPorts", skip_serializing_if = "BTreeMap::is_empty")]
    pub ports: BTreeMap<String, BTreeMap<String, String>>,
    /// Variables, as `NAME=VALUE`.
    #[serde(rename = "Env")]
    pub environment: Vec<String>,
    /// What is started.
    pub entrypoint: Vec<String>,
    /// Its arguments.
    #[serde(rename = "Cmd", skip_serializing_if = "Vec::is_empty")]
    pub arguments: Vec<String>,
    /// Where it starts.
    #[serde(rename = "WorkingDir")]
    pub directory: String,
    /// More about it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: Annotations,
    /// What asks it to end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_signal: Option<String>,
}

/// The layers of an image.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootFilesystem {
    /// Always `layers`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The digests of the layers before they were compressed, the lowest first.
    #[serde(rename = "diff_ids")]
    pub layer_digests: Vec<String>,
}

/// How a layer came to be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct History {
    /// When (RFC 3339).
    pub created: String,
    /// By what.
    pub created_by: String,
}

/// One line of what `docker load` reads (Docker, "Docker Image Specification v1.2", "Combined Image JSON + Filesystem
/// Changeset Format").
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Loadable<'a> {
    pub config: String,
    pub repo_tags: Vec<&'a str>,
    pub layers: Vec<String>,
}

/// A document's bytes. Every map in it is ordered, so they are always the same.
pub fn to_bytes<T: Serialize>(document: &T) -> Vec<u8> {
    // Plain structures with string keys have no way not to be JSON.
    serde_json::to_vec(document).unwrap_or_default()
}
