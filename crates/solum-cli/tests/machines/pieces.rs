//! `solum take` and `solum exec`: the pieces alone.

use crate::TIMEOUT;
use crate::archive::files;
use crate::harness::Scratch;
use crate::harness::kernel::{self, kernel};
use crate::probe::path;

#[test]
fn what_was_taken_can_be_booted_by_hand() {
    let scratch = Scratch::new();
    let kernel = kernel().to_str().unwrap();
    let program = ["--name", "taken", "--env", "A=b", "--", "given", "one two"];
    let name = kernel::name();
    let arguments = [&["take", "[SCRATCH]/image", path(), "--kernel", &name], &program[..]].concat();
    scratch.solum(&arguments).run().exits(0).prints("").says("");
    let finished = scratch.solum(&["exec", kernel, "[SCRATCH]/image", "--timeout", TIMEOUT]).run();
    finished.exits(0).says("").prints(
        "argument \"one two\"\nA=\"b\"\nHOME=\"/home/app\"\nPATH=\"/bin:/sbin:/usr/bin:/usr/sbin\"\n\
         SOLUM_MACHINE=\"taken\"\nTERM=\"vt100\"\nTMPDIR=\"/tmp\"\nUSER=\"app\"\ndirectory /home/app\n",
    );
}

#[test]
fn the_same_inputs_give_the_same_bytes() {
    let scratch = Scratch::new();
    for name in ["one", "two"] {
        let out = format!("[SCRATCH]/{name}");
        scratch.solum(&["take", &out, path(), "--compress", "none", "--", "x"]).run().exits(0);
    }
    let one = std::fs::read(scratch.path("one")).unwrap();
    assert!(one == std::fs::read(scratch.path("two")).unwrap(), "two images of the same inputs differ");
    let names: Vec<String> = files(&one).into_iter().map(|(name, _)| name).collect();
    assert_eq!(
        names,
        ["bin", "bin/probe", "dev", "dev/null", "etc", "etc/solum", "etc/solum/description", "init"]
    );
    assert_eq!(scratch.names(""), ["one", "tmp", "two"], "and nothing else is written");
}
