//! The SDK: what a Rust program needs to be a unit of a system, or a whole machine.
//!
//! With the feature `machine`, [`machine::boot`] makes one executable all of a machine's user space.

#[cfg(feature = "machine")]
pub mod machine;
