//! Container images: made, run by Podman, pushed to a registry and pulled from it.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

#[path = "../harness/mod.rs"]
mod harness;
#[path = "../machines/probe.rs"]
mod probe;

mod bill;
mod fake;
mod made;
mod podman;
mod pushed;
mod refused;
mod run;
mod server;
