//! Whether what clients saw can be: histories of one key, and of lists of keys.

pub mod history;
pub mod linearizable;
pub mod lists;
