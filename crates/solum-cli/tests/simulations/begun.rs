//! `solum sim --init`.

use std::fs;
use std::path::Path;

use crate::harness::{Scratch, WORKSPACE};
use crate::{SYSTEM, refused, sim};

const LIBRARY: &str = "\
//! Tells that it is open.

/// What it reaches.
#[derive(solum::Ports)]
pub struct Ports {
    console: solum::Console,
}

/// The program.
pub fn opened(mut ports: Ports) -> Result<(), solum::Error> {
    ports.console.line(\"open\")
}
";

const MAIN: &str = "\
#[solum::program]
fn till(ports: till::Ports) -> Result<(), solum::Error> {
    till::opened(ports)
}
";

/// A shop of three: a till that can be simulated, a lamp that is plain, a scale without a library.
fn shop() -> Scratch {
    let scratch = Scratch::new();
    let solum = Path::new(WORKSPACE).canonicalize().unwrap().join("crates/solum");
    let mut description = "[system]\nname = \"shop\"\n".to_owned();
    for name in ["till", "lamp", "scale"] {
        let manifest = format!(
            "[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n[dependencies]\n{}\n",
            if name == "lamp" { String::new() } else { format!("solum = {{ path = {solum:?} }}") }
        );
        scratch.file(&format!("shop/{name}/Cargo.toml"), manifest);
        scratch
            .file(&format!("shop/{name}/src/main.rs"), if name == "till" { MAIN } else { "fn main() {}\n" });
        description += &format!("[program.{name}]\npackage = \"{name}\"\n");
    }
    scratch.file("shop/till/src/lib.rs", LIBRARY);
    scratch.file("shop/lamp/src/lib.rs", "");
    description += "[machine.m.unit.till]\nprogram = \"till\"\n";
    scratch.file("shop/solum.toml", description);
    scratch
}

const TOLD: &str = "\
wrote [SCRATCH]/shop/simulation: Cargo.toml, src/lib.rs, src/main.rs, tests/runs.rs
add to [SCRATCH]/shop/solum.toml:

[simulation]
package = \"simulation\"

then: solum sim [SCRATCH]/shop
";

#[test]
fn a_package_to_begin_with_is_written_and_can_be_run() {
    let scratch = shop();
    let written = sim(&scratch, "[SCRATCH]/shop", &["--init"]).run();
    written.exits(0);
    assert_eq!(scratch.contract(&written.stdout()), TOLD);
    written.says(
        "solum: `lamp` is not written with the crate `solum`, so its code is missing in the scenario\n\
         solum: `scale` has no library (src/lib.rs), so its code is missing in the scenario\n",
    );
    assert_eq!(scratch.names("shop/simulation"), ["Cargo.toml", "src", "tests"]);
    let library = fs::read_to_string(scratch.path("shop/simulation/src/lib.rs")).unwrap();
    for line in [
        "    Scenario::new(include_str!(\"../../solum.toml\"), |setup: &mut Setup| {\n",
        "        setup.program(\"till\", till::opened);\n",
        "        // It has no library (src/lib.rs):\n        // setup.program(\"scale\", …);\n",
    ] {
        assert!(library.contains(line), "{line} should be in:\n{library}");
    }
    let text = "error: [SCRATCH]/shop/simulation is there already\n\
                hint: nothing was written; run it with `solum sim`, or move it away\n";
    refused(&scratch, &sim(&scratch, "[SCRATCH]/shop", &["--init"]).run(), 102, text);
    // Without the two that have no code, it is a whole system.
    let description = fs::read_to_string(scratch.path("shop/solum.toml")).unwrap();
    let description = description.replace("[program.lamp]\npackage = \"lamp\"\n", "");
    let description = description.replace("[program.scale]\npackage = \"scale\"\n", "");
    let lines = "[simulation]\npackage = \"simulation\"\nprofile = \"dev\"\n";
    scratch.file("shop/solum.toml", description + lines);
    fs::copy(format!("{WORKSPACE}/Cargo.lock"), scratch.path("shop/simulation/Cargo.lock")).unwrap();
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().to_string_lossy().into_owned();
    let ran = sim(&scratch, "[SCRATCH]/shop", &["--seeds", "3"]).env("CARGO_TARGET_DIR", &target).run();
    ran.exits(0).check(ran.stdout().starts_with("shop: 3 runs, 1 of them twice, none failed\n"), "it runs");
}

#[test]
fn below_a_workspace_it_is_a_workspace_of_its_own() {
    let scratch = shop();
    scratch.file(
        "shop/Cargo.toml",
        "[workspace]\nresolver = \"3\"\nmembers = [\"till\", \"lamp\", \"scale\"]\n",
    );
    sim(&scratch, "[SCRATCH]/shop", &["--init"]).run().exits(0);
    let manifest = fs::read_to_string(scratch.path("shop/simulation/Cargo.toml")).unwrap();
    assert!(
        manifest.contains("\ntill = { path = \"../till\" }\n") && manifest.ends_with("\n[workspace]\n"),
        "{manifest}"
    );
    let scratch = shop();
    scratch.file(
        "shop/Cargo.toml",
        "[workspace]\nresolver = \"3\"\nmembers = [\"till\", \"lamp\", \"scale\", \"simulation\"]\n",
    );
    let text = "error: cargo cannot read [SCRATCH]/shop/till/Cargo.toml\n";
    let finished = sim(&scratch, "[SCRATCH]/shop", &["--init"]).run();
    finished
        .exits(102)
        .check(scratch.contract(&finished.stderr()).starts_with(text), "a member that is missing");
    assert!(!scratch.path("shop/simulation").exists(), "nothing was written");
}

#[test]
fn a_system_without_a_program_that_could_be_simulated() {
    let scratch = Scratch::new();
    scratch.file("solum.toml", SYSTEM);
    let text = "error: no program of the system has code that a simulation could call\n  \
                | `plain` is no Cargo package\n\
                hint: write it with the crate `solum`, in a src/lib.rs that src/main.rs only calls; the guide shows how\n";
    refused(&scratch, &sim(&scratch, "[SCRATCH]", &["--init"]).run(), 102, text);
    assert!(!scratch.path("sim").exists(), "nothing was written");
}
