//! Images of the machines of a system.

use crate::boot;
use crate::harness::Scratch;

#[test]
fn each_machine_has_its_image_and_its_disks_are_partitions() {
    let scratch = Scratch::new();
    let words = ["build", "examples/file-server", "--format", "disk", "--output", "[SCRATCH]/out/"];
    scratch.solum(&words).run().exits(0);
    assert_eq!(scratch.names("out").len(), 1);
    let _ = boot;
}
