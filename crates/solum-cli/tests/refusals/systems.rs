//! Descriptions of systems: what is wrong is underlined, what is right is summed up and drawn.

use std::fs;
use std::path::Path;

use solum_spec::ports::{Count, Direction, Interface, Port, StaticPort, note, note_size};

use crate::harness::{Scratch, elf};
use crate::{refused, without_a_trace};

const fn port(name: &'static str, interface: &'static str, direction: Direction) -> StaticPort {
    Port {
        name,
        interface: Interface { name: interface, version: 1, fingerprint: 0 },
        direction,
        count: Count::One,
    }
}

const FILES: &[StaticPort] =
    &[port("volume", "disk", Direction::Uses), port("files", "Files", Direction::Serves)];
const FRONT: &[StaticPort] =
    &[port("http", "http", Direction::Uses), port("store", "Files", Direction::Uses)];

const SYSTEM: &str = r#"[system]
name = "shop"

[program.files]
file = "bin/files"

[program.front]
file = "bin/front"

[machine.shop]
disk.a = "1 MiB"

[machine.shop.unit.files]
program = "files"
ports.volume = "disk.a"

[machine.shop.unit.front]
program = "front"
ports.http = "tcp.80"
ports.store = "files.files"
"#;

/// A scratch directory with a system that is right, after some words of its description were replaced.
fn system(replaced: &[(&str, &str)]) -> Scratch {
    let scratch = Scratch::new();
    scratch.file("bin/files", elf::ported(&note::<{ note_size(FILES) }>(FILES)));
    scratch.file("bin/front", elf::ported(&note::<{ note_size(FRONT) }>(FRONT)));
    let text = replaced.iter().fold(SYSTEM.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "{from}");
        text.replace(from, to)
    });
    scratch.file("solum.toml", text);
    scratch
}

#[test]
fn a_system_that_is_right_is_summed_up() {
    let scratch = system(&[]);
    for path in ["[SCRATCH]", "[SCRATCH]/solum.toml"] {
        let finished = scratch.solum(&["check", path]).run();
        finished.exits(0).prints("shop: 1 machine, 2 units, 1 link\n").says("");
    }
    let finished = scratch.solum(&["check", "[SCRATCH]", "--json"]).run();
    finished.exits(0).says("");
    let json: serde_json::Value = serde_json::from_slice(&finished.stdout).unwrap();
    assert_eq!((&json["valid"], &json["errors"]), (&true.into(), &serde_json::json!([])));
    let units = &json["system"]["machines"][0]["units"];
    assert_eq!(units[0]["ports"][1]["plugs"], serde_json::json!(["shop/front.store"]));
    assert_eq!(units[1]["ports"][0]["plugs"], serde_json::json!(["tcp.80"]));
}

#[test]
fn every_error_of_a_text_is_underlined() {
    let scratch = system(&[("disk.a = \"1 MiB\"", "disk.a = \"1000\""), ("ports.http", "prots.http")]);
    let text = "\
error: disk `a` does not end with a whole block of 512 B
  --> [SCRATCH]/solum.toml:11:10
   |
11 | disk.a = \"1000\"
   |          ^^^^^^
   |
hint: write `1024`

error: unit `front` has no key `prots`
  --> [SCRATCH]/solum.toml:19:1
   |
19 | prots.http = \"tcp.80\"
   | ^^^^^
   |
hint: did you mean `ports`?

error: [SCRATCH]/solum.toml has 2 errors
";
    for verb in ["check", "graph"] {
        let finished = scratch.solum(&[verb, "[SCRATCH]"]).run();
        refused(&scratch, &finished, 108, text);
    }
}

#[test]
fn a_plug_that_does_not_fit_its_program_is_underlined() {
    let scratch = system(&[("ports.http = \"tcp.80\"", "ports.http = \"files.files\"")]);
    let text = "\
error: port `http` is for `http`, and `files.files` serves `Files`
  --> [SCRATCH]/solum.toml:19:14
   |
19 | ports.http = \"files.files\"
   |              ^^^^^^^^^^^^^
   |
hint: plug in something that serves `http`
";
    refused(&scratch, &scratch.solum(&["check", "[SCRATCH]"]).run(), 108, text);
    let finished = scratch.solum(&["check", "[SCRATCH]", "--no-build"]).run();
    finished.exits(0).says("");
    finished.prints("shop: the text is right; the ports of its programs were not looked at\n");
}

#[test]
fn errors_can_be_had_as_json() {
    let scratch = system(&[("\"files.files\"", "\"flies.files\"")]);
    let finished = scratch.solum(&["check", "[SCRATCH]", "--json"]).run();
    finished.exits(108).says("");
    let json: serde_json::Value = serde_json::from_slice(&finished.stdout).unwrap();
    let error = &json["errors"][0];
    assert_eq!((&json["valid"], &json["system"]), (&false.into(), &serde_json::Value::Null));
    assert_eq!((&error["line"], &error["column"]), (&20.into(), &15.into()));
    assert_eq!(error["message"], "machine `shop` has no unit `flies`");
    assert_eq!(error["hint"], "did you mean `files`?");
    let start = error["start"].as_u64().unwrap() as usize;
    let text = fs::read_to_string(scratch.path("solum.toml")).unwrap();
    assert!(text[start..].starts_with("\"flies.files\""));
}

#[test]
fn a_directory_without_a_description() {
    let scratch = Scratch::new();
    scratch.directory("empty");
    scratch.file("binary/solum.toml", b"\xff\xfe");
    for (name, text) in [
        (
            "empty",
            "error: cannot read [SCRATCH]/empty/solum.toml: no such file or directory\n\
             hint: give a directory with a solum.toml\n",
        ),
        (
            "nowhere",
            "error: cannot read [SCRATCH]/nowhere/solum.toml: no such file or directory\n\
             hint: give a directory with a solum.toml\n",
        ),
        ("binary", "error: [SCRATCH]/binary/solum.toml is not a text: TOML is written in UTF-8\n"),
    ] {
        let finished = scratch.solum(&["check", &format!("[SCRATCH]/{name}")]).run();
        refused(&scratch, &finished, 102, text);
    }
}

#[test]
fn programs_that_are_not_there_are_told_together() {
    let scratch = system(&[
        ("file = \"bin/files\"", "file = \"bin/flies\""),
        ("file = \"bin/front\"", "package = \"front\""),
    ]);
    let text = "\
error: program `files` has no file [SCRATCH]/bin/flies
 --> [SCRATCH]/solum.toml:4:10
  |
4 | [program.files]
  |          ^^^^^
  |
hint: paths are seen from the directory of the description

error: program `front` has no package directory [SCRATCH]/front
 --> [SCRATCH]/solum.toml:7:10
  |
7 | [program.front]
  |          ^^^^^
  |
hint: paths are seen from the directory of the description

error: [SCRATCH]/solum.toml has 2 errors
";
    refused(&scratch, &scratch.solum(&["check", "[SCRATCH]"]).run(), 108, text);
}

#[test]
fn commands_that_build_programs_may_fail() {
    let build = |command: &str| {
        system(&[("file = \"bin/files\"", &format!("build = {command}\noutput = \"bin/files\""))])
    };
    let scratch = build(r#"["sh", "-c", "test -f solum.toml && echo built"]"#);
    let finished = scratch.solum(&["check", "[SCRATCH]"]).run();
    finished.exits(0).prints("shop: 1 machine, 2 units, 1 link\n").says("built\n");
    let scratch = build(r#"["sh", "-c", "exit 3"]"#);
    let text =
        "error: `sh -c exit 3` failed: exit status: 3\nhint: the reason is in its own messages above\n";
    refused(&scratch, &scratch.solum(&["check", "[SCRATCH]"]).run(), 101, text);
    let scratch = build(r#"["solum-no-such-tool"]"#);
    let text = "error: `solum-no-such-tool` cannot be started: no such file or directory\n\
                hint: install `solum-no-such-tool`, or change `build` in the description\n";
    refused(&scratch, &scratch.solum(&["check", "[SCRATCH]"]).run(), 103, text);
}

#[test]
fn cargo_says_of_a_systems_packages_what_it_compiles_and_what_is_wrong() {
    let scratch = Scratch::new();
    let mut text = "[system]\nname = \"packed\"\n".to_owned();
    for name in ["first", "second"] {
        let manifest =
            format!("[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n[workspace]\n");
        scratch.file(&format!("{name}/Cargo.toml"), manifest);
        scratch.file(&format!("{name}/src/main.rs"), "fn main() {}\n");
        text += &format!(
            "[program.{name}]\npackage = \"{name}\"\n[machine.m.unit.{name}]\nprogram = \"{name}\"\n"
        );
    }
    scratch.file("solum.toml", text);
    let check = || {
        let solum = scratch.solum_without_init(&["check", "[SCRATCH]"]);
        solum.env("CARGO_TARGET_DIR", "[SCRATCH]/target").run()
    };
    let said = check();
    said.exits(0).mentions("   Compiling first v0.1.0").mentions("   Compiling second v0.1.0");
    said.check(!said.stderr().contains("Finished"), "nobody needs to be told so for each package");
    check().exits(0).prints("packed: 1 machine, 2 units, 0 links\n").says("");
    scratch.file("second/src/main.rs", "fn main() { missing }\n");
    check()
        .exits(101)
        .mentions("error[E0425]: cannot find value `missing`")
        .mentions("error: could not compile `second`");
}

#[test]
fn what_a_program_says_of_its_ports_may_be_of_another_version() {
    let scratch = system(&[]);
    scratch.file("bin/files", elf::ported(&[9, 0, 0]));
    let text = "error: [SCRATCH]/bin/files cannot be wired: its ports are written in format 9, and this version of \
                Solum reads format 1\nhint: build the program with the `solum` crate of this version\n";
    refused(&scratch, &scratch.solum(&["check", "[SCRATCH]"]).run(), 102, text);
}

#[test]
fn a_system_is_drawn_in_three_languages() {
    let scratch = system(&[]);
    for (format, words) in [
        ("svg", ["<svg xmlns=", ">front</text>", ">Files</text>"]),
        ("dot", ["digraph \"shop\"", "label=\"disk.a\\n1 MiB\"", "store → files: Files"]),
        ("mermaid", ["flowchart LR", "disk.a<br>1 MiB", "|\"store → files: Files\"|"]),
    ] {
        let finished = scratch.solum(&["graph", "[SCRATCH]", "--format", format]).run();
        finished.exits(0).says("");
        for word in words {
            finished.check(finished.stdout().contains(word), &format!("{word} should be drawn"));
        }
        let file = scratch.solum(&["graph", "[SCRATCH]", "--format", format, "-o", "[SCRATCH]/drawn"]).run();
        file.exits(0).prints("").says("");
        assert!(fs::read(scratch.path("drawn")).unwrap() == finished.stdout, "the same in the file");
    }
    let finished = scratch.solum(&["graph", "[SCRATCH]", "--no-build"]).run();
    finished.exits(0).check(!finished.stdout().contains(">Files</text>"), "interfaces are not known");
    without_a_trace(&scratch, &finished);
}

#[test]
fn the_schema_is_the_one_that_is_committed() {
    let scratch = Scratch::new();
    let finished = scratch.solum(&["check", "--schema"]).run();
    let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/solum.schema.json");
    finished.exits(0).prints(&fs::read_to_string(committed).unwrap()).says("");
}
