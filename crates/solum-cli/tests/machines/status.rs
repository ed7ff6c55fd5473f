//! The program's exit status is the machine's.

use crate::harness::Scratch;
use crate::probe;

#[test]
fn the_exit_status_passes_through() {
    let scratch = Scratch::new();
    for status in [0, 3, 255] {
        let finished = probe(&scratch, &[], &["status", &status.to_string()]).run();
        finished.exits(status).prints("").says("");
    }
}
