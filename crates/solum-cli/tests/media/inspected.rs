//! `solum inspect`, as far as it takes no kernel: formats with one are tested where they are made.

use serde_json::Value;

use crate::device::{bytes, disk};
use crate::harness::Scratch;

#[test]
fn a_disk_of_others_is_told_as_far_as_it_can_be() {
    let scratch = Scratch::new();
    scratch.file("raw", bytes(&disk(None)));
    let finished = scratch.solum_without_init(&["inspect", "[SCRATCH]/raw"]).run();
    finished.exits(0).check(
        finished.stdout().contains("partition 1  data: Linux data, 6.00 MiB\n"),
        "it should name the partition",
    );
    let json = scratch.solum_without_init(&["inspect", "[SCRATCH]/raw", "--json"]).run();
    let value: Value = serde_json::from_str(&json.stdout()).unwrap();
    json.check(value["format"] == "disk" && value["wrapping"] == "raw", "JSON has these keys");
    json.check(value["disk"]["partitions"][0]["size_bytes"] == 6 << 20, "JSON has these keys");
    scratch.solum_without_init(&["inspect", "[SCRATCH]/raw", "--sbom"]).run().exits(102).prints("");
    scratch.solum_without_init(&["inspect", "[SCRATCH]/raw", "--file", "/init"]).run().exits(102).prints("");
}

#[test]
fn a_truncated_disk_is_told_and_called_damaged() {
    let scratch = Scratch::new();
    scratch.file("raw", &bytes(&disk(None))[..3 << 20]);
    let finished = scratch.solum_without_init(&["inspect", "[SCRATCH]/raw"]).run();
    finished.exits(102).mentions("is damaged: partition 1 ends after the disk does: the image is truncated");
    finished.check(finished.stdout().contains("data: Linux data"), "what can be told should be told");
}

#[test]
fn what_is_no_image_is_refused() {
    let scratch = Scratch::new();
    scratch.file("text", "no image at all");
    scratch.directory("empty");
    for name in ["text", "empty", "missing", "/dev/null"] {
        let path = if name.starts_with('/') { name.to_owned() } else { format!("[SCRATCH]/{name}") };
        let finished = scratch.solum_without_init(&["inspect", &path]).run();
        finished.exits(102).prints("").mentions("error: ");
    }
}
