//! Judges of histories: what happened, held against what was promised.
//!
//! | question | judge |
//! | --- | --- |
//! | Could a single copy have answered so? | [`linearizable`] |
//! | Is what was acknowledged still there after a crash? | [`durability`] |
//! | Do copies hold the same? | [`same_bytes()`] |
//! | Was everything given back? | [`leaks()`] |
//!
//! They are given values and give values: what they find has fields to look at and a text for people, and nothing is printed.

pub mod durability;
pub mod leaks;
pub mod linearizable;
pub mod same_bytes;

pub use leaks::leaks;
pub use same_bytes::same_bytes;
