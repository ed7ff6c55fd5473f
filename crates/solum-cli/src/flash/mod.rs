//! Writing an image to a stick or card: what the device is, whether it may be written, and the writing.

mod copy;
mod decide;
mod device;
mod facts;
mod target;

pub use copy::{Left, Trouble, verify, write};
pub use decide::{Image, decide};
pub use device::{Device, describe};
pub use facts::find;
pub use target::BlockDevice;
