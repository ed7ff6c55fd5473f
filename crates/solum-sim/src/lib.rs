//! A whole system in one thread of the operating system, deterministically.
//!
//! Same description, same seed: the same run, byte for byte.

mod campaign;
pub mod check;
mod choices;
mod client;
mod clock;
mod disk;
mod end;
pub mod escape;
mod event;
mod faults;
pub mod harness;
mod kernel;
mod link;
mod machine;
mod misfortune;
pub mod mock;
mod network;
mod pulse;
mod random;
mod recipe;
mod scenario;
mod screen;
mod search;
mod shrink;
mod sim;
mod storage;
mod task;
mod tcp;
mod telling;
pub mod timeline;
mod trace;
mod weather;
mod world;

pub use campaign::{Campaign, Failure, Report};
pub use choices::{About, Choice};
pub use client::{Answer, Client, HttpClient, Shared, shared};
pub use end::End;
pub use faults::{Envelope, Fault};
pub use network::Latency;
pub use recipe::Recipe;
pub use scenario::{Outcome, Scenario, Setup};
pub use search::Search;
pub use shrink::{Limits, Shrunk, shrink};
pub use trace::{Record, records};
pub use weather::Strategy;
