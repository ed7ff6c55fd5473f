//! Images of the machines of a system.

use rustix::process::Signal;

use crate::boot;
use crate::harness::Scratch;

#[test]
fn a_machines_disks_are_partitions_and_its_units_print_on_the_console() {
    let scratch = Scratch::new();
    let words = ["build", "examples/file-server", "--format", "disk", "--output", "[SCRATCH]/out/"];
    scratch.solum(&words).run().exits(0);
    assert_eq!(scratch.names("out"), ["store.img"]);
    for said in ["store.notes | note 1 is safe", "store.notes | 1 notes from before"] {
        let running = boot(&scratch, "out/store.img", &[]).start().until_it_prints(said);
        running.signal(Signal::TERM);
        running.finish();
    }
    scratch
        .solum(&words)
        .run()
        .exits(102)
        .mentions("store.img is a disk whose machine has, or may have, written to its partition");
}

#[test]
fn a_machine_of_a_system_is_no_container() {
    let scratch = Scratch::new();
    let words = ["build", "examples/file-server", "--format", "uki,oci", "--output", "[SCRATCH]/out"];
    scratch.solum(&words).run().exits(102).mentions("error: machine store cannot be a container: ");
    assert_eq!(scratch.names("."), ["tmp"], "nothing is left behind");
}
