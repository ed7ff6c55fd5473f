//! Whether what clients saw can be: histories of one key, and of lists of keys.

#![allow(clippy::disallowed_types, reason = "a part of a tool of the host")]

pub mod history;
pub mod lists;
