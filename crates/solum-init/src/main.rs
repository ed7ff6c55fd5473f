//! PID 1 of a Solum machine: one static file that is `/init` of the image, and each of its roles.

#[cfg(all(panic = "abort", target_env = "musl"))]
mod unwind;

use std::fs;

use solum_boot::{pid1, role};
use solum_spec::{Description, description, reason};

fn main() {
    role::play_if_asked();
    if std::process::id() != 1 {
        eprintln!(
            "solum-init brings up a whole machine, so it runs as PID 1 only: put it into an image as /init."
        );
        std::process::exit(2);
    }
    let description = fs::read(description::PATH)
        .map_err(|error| format!("the image has no description at {}: {}", description::PATH, reason(&error)))
        .and_then(|bytes| Description::from_bytes(&bytes).map_err(|error| error.to_string()));
    pid1::run(description)
}
