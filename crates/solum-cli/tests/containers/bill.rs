//! The bill of materials of a program: the crates that are in it, whatever else Cargo could say or has at hand.

use std::fs;

use serde_json::Value;
use solum_image::oci::Image;

use crate::harness::Scratch;

/// Writes a package, and a library unless it has a source already.
fn package(scratch: &Scratch, name: &str, rest: &str) {
    let manifest = format!("[package]\nname = \"{name}\"\nversion = \"1.2.3\"\nedition = \"2021\"\n{rest}");
    scratch.file(&format!("{name}/Cargo.toml"), manifest);
    scratch.file(&format!("{name}/src/lib.rs"), "");
}

/// A package with dependencies of every kind in the directory `app`, and a program and an example in it.
fn app(scratch: &Scratch, tests_need: &str) {
    for name in ["always", "secret", "only-building", "only-testing"] {
        package(scratch, name, "license.workspace = true\n");
    }
    package(scratch, "derive", "license.workspace = true\n[lib]\nproc-macro = true\n");
    scratch.file(
        "Cargo.toml",
        "[workspace]\nresolver = \"2\"\nexclude = [\"app\"]\n\
         members = [\"always\", \"secret\", \"only-building\", \"only-testing\", \"derive\"]\n\
         [workspace.package]\nlicense = \"Apache-2.0\"\n",
    );
    let rest = format!(
        "license = \"MIT\"\n[workspace]\n[features]\ntls = [\"dep:secret\"]\n\
         [dependencies]\nalways = {{ path = \"../always\" }}\nderive = {{ path = \"../derive\" }}\n\
         secret = {{ path = \"../secret\", optional = true }}\n\
         [build-dependencies]\nonly-building = {{ path = \"../only-building\" }}\n\
         [dev-dependencies]\n{tests_need}\n"
    );
    package(scratch, "app", &rest);
    for source in ["build.rs", "src/main.rs", "examples/shown.rs"] {
        scratch.file(&format!("app/{source}"), "fn main() {}\n");
    }
}

/// The program in the bill of materials of an image that `solum build` makes of it.
#[track_caller]
fn bill(scratch: &Scratch, options: &[&str]) -> Value {
    let words = ["build", "[SCRATCH]/app", "--format", "oci", "--output", "[SCRATCH]/image"];
    let words = [&words[..], &["--ca-certificates", "never"], options].concat();
    scratch.solum_without_init(&words).env("CARGO_TARGET_DIR", "[SCRATCH]/target").run().exits(0);
    let image = Image::from_layout(|path| fs::read(scratch.path("image").join(path)).ok()).unwrap();
    let bill: Value = serde_json::from_slice(&image.bill_of_materials().unwrap().bytes).unwrap();
    assert!(bill.get("compositions").is_none(), "all of it is known: {bill}");
    bill["components"][0].clone()
}

fn libraries(program: &Value) -> Vec<&str> {
    let libraries = program["components"].as_array().unwrap().iter();
    libraries.map(|one| one["name"].as_str().unwrap()).collect()
}

#[test]
fn the_crates_of_a_program_are_told_where_those_of_its_tests_are_not_to_be_had() {
    let scratch = Scratch::new();
    app(&scratch, "absent = \"1\"");
    // A registry that has a crate in its index alone, as ~/.cargo has those that no build has needed.
    let cksum = "0".repeat(64);
    scratch.file(
        "registry/index/ab/se/absent",
        format!(
            r#"{{"name":"absent","vers":"1.0.0","deps":[],"cksum":"{cksum}","features":{{}},"yanked":false}}"#
        ),
    );
    scratch.file(
        ".cargo/config.toml",
        "[source.crates-io]\nreplace-with = \"local\"\n[source.local]\nlocal-registry = \"registry\"\n",
    );
    let program = bill(&scratch, &[]);
    assert_eq!(libraries(&program), ["always"]);
    assert_eq!((&program["name"], &program["version"]), (&"app".into(), &"1.2.3".into()));
    assert_eq!(program["licenses"][0]["expression"], "MIT");
    let always = &program["components"][0];
    assert_eq!((&always["version"], always.get("purl")), (&"1.2.3".into(), None));
    assert_eq!(always["licenses"][0]["expression"], "Apache-2.0", "that of another workspace");
    // Told of what is built already, too.
    assert_eq!(bill(&scratch, &[]), program);
    assert_eq!(libraries(&bill(&scratch, &["--features", "tls"])), ["always", "secret"]);
}

#[test]
fn the_crates_of_an_example_are_told() {
    let scratch = Scratch::new();
    app(&scratch, "only-testing = { path = \"../only-testing\" }");
    assert_eq!(libraries(&bill(&scratch, &["--example", "shown"])), ["always", "only-testing"]);
    assert_eq!(libraries(&bill(&scratch, &[])), ["always"]);
}
