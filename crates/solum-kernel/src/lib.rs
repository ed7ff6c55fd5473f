//! Finds, fetches or builds a Linux kernel.
//!
//! Four providers give the same thing, a [`Kernel`]: a file ([`Kernel::from_path`]), the running host's
//! ([`Kernel::from_host`]), the distribution's prebuilt packages ([`Kernel::from_debian`]), and one built here
//! ([`Kernel::from_source`]). [`Selection`] chooses among them by the word that a user typed, [`default_kernel`] where
//! there was none. What was fetched or built stays in a [`Cache`].
//!
//! Nothing here prints, exits, or reads the environment behind its caller's back: the machine that this runs on is a
//! value, [`Host`], and long tasks report to a [`Progress`].

mod apt;
mod architecture;
mod cache;
mod compression;
pub mod config;
mod debian;
mod download;
mod error;
mod files;
pub mod hardware;
mod host;
pub mod image;
mod job;
mod kernel;
mod lock;
mod modules;
pub mod parts;
mod progress;
mod selection;
mod source;
mod tools;

pub use architecture::Architecture;
pub use cache::{Cache, Entry, Manifest, Member};
pub use debian::Flavour;
pub use download::Mirror;
pub use error::Error;
pub use files::size_of_tree;
pub use job::Interrupt;
pub use kernel::{Kernel, Provider};
pub use modules::{Module, ModuleTree, Presence};
pub use parts::{Availability, BiosLoader, Firmware, Found, PackageVersion, Parts};
pub use progress::{Progress, Silent, Unit};
pub use selection::{Selection, default_kernel, kernel_for_pcs};
pub use source::{BuildTool, PINNED_RELEASE, Profile, SourceRequest};
pub use tools::Host;
