//! The file system against a model of it, against crashes at every moment, and against disks that lie.

mod accounting;
mod crashes;
mod disk;
mod faults;
mod images;
mod model;
mod operations;
