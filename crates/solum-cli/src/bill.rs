//! What an image was made of: a bill of materials in the words of CycloneDX 1.6 (ECMA-424).

use std::collections::BTreeMap;

use serde::Serialize;
use sha2::{Digest, Sha256};
use solum_kernel::parts::Found as Part;
use solum_spec::calendar::Calendar;

use crate::cargo::Crate;
use crate::kernel_choice::Chosen;

/// Components, in the order in which they are told.
#[derive(Clone, Debug)]
pub struct Bill {
    /// What the machine or container is called.
    name: String,
    /// The time that is written, in seconds since 1970.
    epoch_s: u64,
    components: Vec<Component>,
}

/// Something that an image was made of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Component {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(rename = "bom-ref")]
    reference: String,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    hashes: Vec<Hash>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    licenses: Vec<Licence>,
    #[serde(skip_serializing_if = "Option::is_none")]
    purl: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    components: Vec<Component>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Hash {
    alg: &'static str,
    content: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Licence {
    expression: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    bom_format: &'static str,
    spec_version: &'static str,
    version: u32,
    metadata: Metadata,
    components: &'a [Component],
}

#[derive(Serialize)]
struct Metadata {
    timestamp: String,
    tools: Tools,
    component: Component,
}

#[derive(Serialize)]
struct Tools {
    components: [Component; 1],
}

impl Bill {
    /// Nothing yet.
    pub fn new(name: &str, epoch_s: u64) -> Self {
        Self { name: name.to_owned(), epoch_s, components: Vec::new() }
    }

    /// An executable, and the crates it was compiled from, where they are known.
    pub fn add_program(&mut self, name: &str, bytes: &[u8], crates: &[Crate]) {
        let (own, others): (Vec<&Crate>, Vec<&Crate>) = crates.iter().partition(|known| known.is_root);
        let mut component = component("application", name);
        component.hashes = vec![sha256(&base16ct::lower::encode_string(&Sha256::digest(bytes)))];
        component.version = own.first().map(|own| own.version.clone());
        component.licenses = own.first().map(|own| licences(own)).unwrap_or_default();
        component.components = others.into_iter().map(|known| library(name, known)).collect();
        self.components.push(component);
    }

    /// The kernel. Its hash is that of the package it came in, or of all that it was built from.
    pub fn add_kernel(&mut self, kernel: &Chosen) {
        let mut component = component("operating-system", "linux");
        component.version = Some(kernel.release().to_owned());
        component.hashes = vec![sha256(kernel.hash())];
        component.licenses = vec![Licence { expression: "GPL-2.0-only WITH Linux-syscall-note".to_owned() }];
        component.purl = kernel.package_url();
        self.components.push(component);
    }

    /// Some bytes that are no program.
    pub fn add_data(&mut self, name: &str, bytes: &[u8]) {
        let mut component = component("data", name);
        component.hashes = vec![sha256(&base16ct::lower::encode_string(&Sha256::digest(bytes)))];
        self.components.push(component);
    }

    /// The text, with the parts that a format adds.
    pub fn to_json(&self, parts: &BTreeMap<&'static str, Part>) -> Vec<u8> {
        let mut components = self.components.clone();
        components.extend(parts.iter().map(|(name, part)| of_part(name, part)));
        let document = Document {
            bom_format: "CycloneDX",
            spec_version: "1.6",
            version: 1,
            metadata: Metadata {
                timestamp: Calendar::from_unix(self.epoch_s).to_string(),
                tools: Tools {
                    components: [Component {
                        version: Some(env!("CARGO_PKG_VERSION").to_owned()),
                        ..component("application", "solum")
                    }],
                },
                component: component("firmware", &self.name),
            },
            components: &components,
        };
        // Plain structures with names as keys have no way not to be JSON.
        let mut bytes = serde_json::to_vec_pretty(&document).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }
}

fn component(kind: &'static str, name: &str) -> Component {
    Component { kind, reference: format!("{kind}:{name}"), name: name.to_owned(), ..Component::default() }
}

/// The same crate may be in several programs, and a reference names one component.
fn library(program: &str, known: &Crate) -> Component {
    Component {
        reference: format!("library:{program}/{}@{}", known.name, known.version),
        version: Some(known.version.clone()),
        licenses: licences(known),
        purl: known.is_from_registry.then(|| format!("pkg:cargo/{}@{}", known.name, known.version)),
        ..component("library", &known.name)
    }
}

fn licences(known: &Crate) -> Vec<Licence> {
    // "MIT/Apache-2.0" is how crates wrote it before there were expressions (SPDX, annex D).
    known.licence.iter().map(|text| Licence { expression: text.replace('/', " OR ") }).collect()
}

fn of_part(name: &str, part: &Part) -> Component {
    let package = part.package.as_ref();
    Component {
        version: package.map(|package| package.version.clone()),
        hashes: vec![sha256(&part.sha256)],
        licenses: vec![Licence { expression: part.licence.to_owned() }],
        purl: package.map(|package| format!("pkg:deb/debian/{}@{}", package.name, package.version)),
        ..component("firmware", name)
    }
}

fn sha256(content: &str) -> Hash {
    Hash { alg: "SHA-256", content: content.to_owned() }
}
