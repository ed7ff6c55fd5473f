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
    /// References to what may be made of more than is told.
    unknown: Vec<String>,
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
    #[serde(skip_serializing_if = "Vec::is_empty")]
    compositions: Vec<Composition<'a>>,
}

/// How much is known of what components are made of (CycloneDX 1.6, `compositions`).
#[derive(Serialize)]
struct Composition<'a> {
    aggregate: &'static str,
    assemblies: &'a [String],
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
        Self { name: name.to_owned(), epoch_s, components: Vec::new(), unknown: Vec::new() }
    }

    /// An executable, and the crates it was compiled from; where they are not known, that is said.
    pub fn add_program(&mut self, name: &str, bytes: &[u8], crates: Option<&[Crate]>) {
        let known = crates.unwrap_or_default().iter();
        let (own, others): (Vec<&Crate>, Vec<&Crate>) = known.partition(|known| known.is_root);
        let mut component = component("application", name);
        self.unknown.extend(crates.is_none().then(|| component.reference.clone()));
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
        let package = kernel.package();
        component.purl = package.map(|package| package_url("deb/debian", &package.name, &package.version));
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
            compositions: match self.unknown.as_slice() {
                [] => Vec::new(),
                assemblies => vec![Composition { aggregate: "unknown", assemblies }],
            },
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
        purl: known.is_from_crates_io.then(|| package_url("cargo", &known.name, &known.version)),
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
        purl: package.map(|package| package_url("deb/debian", &package.name, &package.version)),
        ..component("firmware", name)
    }
}

/// Where a package is from (Package-URL specification, "How to build"). Versions may have a `+`, which some readers take for a
/// space; a colon stays as it is everywhere.
fn package_url(kind: &str, name: &str, version: &str) -> String {
    let encoded = |text: &str| {
        text.bytes().fold(String::new(), |mut url, byte| {
            match byte {
                b'.' | b'-' | b'_' | b'~' | b':' => url.push(char::from(byte)),
                byte if byte.is_ascii_alphanumeric() => url.push(char::from(byte)),
                byte => url.push_str(&format!("%{byte:02X}")),
            }
            url
        })
    };
    format!("pkg:{kind}/{}@{}", encoded(name), encoded(version))
}

fn sha256(content: &str) -> Hash {
    Hash { alg: "SHA-256", content: content.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn package_urls_are_encoded() {
        for (name, version, url) in [
            ("toml", "1.1.3+spec-1.1.0", "pkg:deb/debian/toml@1.1.3%2Bspec-1.1.0"),
            ("libstdc++6", "1:2.0~rc1+dfsg1-2", "pkg:deb/debian/libstdc%2B%2B6@1:2.0~rc1%2Bdfsg1-2"),
            ("a_b", "1/2@3 é", "pkg:deb/debian/a_b@1%2F2%403%20%C3%A9"),
        ] {
            assert_eq!(package_url("deb/debian", name, version), url);
        }
    }

    #[test]
    fn what_is_not_known_of_a_program_is_said() {
        let of = |crates: Option<&[Crate]>| {
            let mut bill = Bill::new("m", 0);
            bill.add_program("p", b"", crates);
            serde_json::from_slice::<serde_json::Value>(&bill.to_json(&BTreeMap::new())).unwrap()
        };
        let unknown = serde_json::json!([{"aggregate": "unknown", "assemblies": ["application:p"]}]);
        assert_eq!(of(None)["compositions"], unknown);
        assert!(of(Some(&[])).get("compositions").is_none());
    }
}
