//! What is made, and that it is the same every time.

use std::fs;
use std::io::Read;
use std::path::Path;

use rustix::process::Signal;
use solum_image::unpack::unpack;

use crate::harness::Scratch;
use crate::{build, built, probe};

/// Every format that is made of the same parts.
const FORMATS: &str = "initramfs,uki,iso,disk,qcow2,vmdk,vhd,oci,firecracker";

#[test]
fn the_formats_are_explained() {
    let scratch = Scratch::new();
    let finished = scratch.solum(&["build", "--list"]).run();
    finished.exits(0).says("");
    for format in FORMATS.split(',') {
        finished.check(
            finished.stdout().contains(&format!("\n{format} ")) || finished.stdout().starts_with(format),
            format,
        );
    }
}

/// The files below a directory with their bytes, in order.
fn files(directory: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push((path.display().to_string(), fs::read(&path).unwrap()));
        }
    }
    found.sort();
    found
}

#[test]
fn the_same_inputs_give_the_same_bytes_anywhere_at_any_time() {
    let scratch = Scratch::new();
    let options =
        |content: &str| ["--data", content, "--iso-content", content, "--expose", "80"].map(str::to_owned);
    for (content, output) in [("[SCRATCH]/one", "first/"), ("[SCRATCH]/other/two", "second/")] {
        // Made in another order, at another time, and read in another order.
        let mut names = ["a", "b", "c/d", "c/e"];
        if output == "second/" {
            names.reverse();
        }
        for name in names {
            let file = scratch.file(&format!("{}/{name}", &content["[SCRATCH]/".len()..]), name);
            if output == "second/" {
                let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
                fs::File::options().write(true).open(file).unwrap().set_modified(time).unwrap();
            }
        }
        let options = options(content);
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        built(&scratch, FORMATS, output, &options, "status 0");
    }
    let (first, second) = (files(&scratch.path("first")), files(&scratch.path("second")));
    assert!(first.len() > 9, "{}", first.len());
    for ((one, left), (other, right)) in first.iter().zip(&second) {
        assert!(left == right, "{one} is not {other}");
    }
}

#[test]
fn a_cd_with_nothing_beside_the_system_does_not_tell_when_it_was_made() {
    let scratch = Scratch::new();
    let now_s = || std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let begin_s = now_s();
    build(&scratch, "iso", "m.iso", &[], "status 0").exits(0);
    let image = fs::read(scratch.path("m.iso")).unwrap();
    for second in begin_s..=now_s() {
        let text = second.to_string();
        assert!(!image.windows(text.len()).any(|bytes| bytes == text.as_bytes()), "{text}");
    }
}

#[test]
fn a_disk_of_vmware_says_the_name_of_its_own_file() {
    let scratch = Scratch::new();
    build(&scratch, "vmdk", "server.vmdk", &[], "status 0").exits(0);
    let mut head = vec![0; 4096];
    std::fs::File::open(scratch.path("server.vmdk")).unwrap().read_exact(&mut head).unwrap();
    let head = String::from_utf8_lossy(&head);
    assert!(head.contains(" SPARSE \"server.vmdk\""), "{head}");
}

#[test]
fn an_image_does_not_tell_who_made_it() {
    let scratch = Scratch::new();
    built(&scratch, "initramfs", "image", &[], "status 0");
    let archive = fs::read(scratch.path("image/initramfs")).unwrap();
    let unpacked = unpack(&archive);
    let members = unpacked.members().unwrap();
    let init = members.iter().find(|member| member.path == "init").unwrap();
    let holds = |text: &str| init.content.windows(text.len()).any(|found| found == text.as_bytes());
    assert!(holds("/cargo/registry/src/"), "messages of libraries name their sources");
    let home =
        std::env::var("CARGO_HOME").unwrap_or_else(|_| format!("{}/.cargo", std::env::var("HOME").unwrap()));
    assert!(!holds(&home), "{home}");
}

#[test]
fn a_check_builds_twice_and_compares() {
    let scratch = Scratch::new();
    let finished = scratch.solum(&["build", probe::path(), "--format", "oci", "--check"]).run();
    finished.exits(0);
    finished.check(finished.stdout().contains("probe.oci/oci-layout: the same"), "it names each file");
    assert_eq!(scratch.names("."), ["tmp"], "nothing is written");
}

#[test]
fn a_check_tells_what_is_not_the_same() {
    let scratch = Scratch::new();
    scratch.file("same", fs::read(probe::path()).unwrap());
    // A program that is another one each time it is built, in the second of two machines.
    let text = "[system]\nname = \"s\"\n[program.same]\nfile = \"same\"\n\
         [program.p]\nbuild = [\"sh\", \"-c\", \"cp same p; date +%N >> p\"]\noutput = \"p\"\n\
         [machine.a.unit.u]\nprogram = \"same\"\n[machine.m.unit.u]\nprogram = \"p\"\n";
    scratch.file("solum.toml", text);
    let finished = scratch.solum(&["build", "[SCRATCH]", "--format", "initramfs", "--check"]).run();
    finished.exits(111).mentions("error: m.boot/initramfs differs from byte ");
    // Each image has a key, which is the same, and belongs to this check alone.
    finished.check(finished.stdout().contains("a.boot/initramfs: the same\n"), "the other is the same");
    assert_eq!(scratch.names("."), ["p", "same", "solum.toml", "tmp"], "no keys are written");
    assert_eq!(scratch.names("tmp"), [""; 0]);
}

/// A program whose build says that it goes on, and waits for a pipe to which nobody writes.
const ENDLESS: &str = "[system]\nname = \"s\"\n\
    [program.p]\nbuild = [\"sh\", \"-c\", \"mkfifo never; echo it goes on >&2; exec cat never\"]\noutput = \"p\"\n\
    [machine.m.unit.u]\nprogram = \"p\"\n";

#[test]
fn a_check_that_is_interrupted_leaves_nothing() {
    for (signal, status) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129)] {
        let scratch = Scratch::new();
        scratch.file("solum.toml", ENDLESS);
        let check = scratch.solum(&["build", "[SCRATCH]", "--format", "initramfs", "--check"]);
        let running = check.start().until_it_says("it goes on\n");
        running.signal(signal);
        // It ends when all that have its standard error are gone.
        let finished = running.finish();
        finished.exits(status).mentions("error: the check was interrupted\n");
        assert_eq!(scratch.names("tmp"), [""; 0]);
    }
}

#[test]
fn several_images_go_into_a_directory_and_replace_what_is_there() {
    let scratch = Scratch::new();
    built(&scratch, "initramfs,disk", "out", &[], "status 0");
    assert_eq!(scratch.names("out"), ["m.boot", "m.img"]);
    // What there was is replaced, whole.
    fs::write(scratch.path("out/m.boot/left over"), "").unwrap();
    build(&scratch, "initramfs", "out/", &[], "status 0").exits(0);
    assert_eq!(scratch.names("out/m.boot"), ["cmdline", "initramfs", "sbom.cdx.json", "vmlinuz"]);
    for _ in 0..2 {
        built(&scratch, FORMATS, "all/", &[], "status 0");
    }
}
