//! A whole system in one thread of the operating system, deterministically.
//!
//! Same description, same seed: the same run, byte for byte.

pub mod check;
pub mod escape;
pub mod mock;
pub mod timeline;
