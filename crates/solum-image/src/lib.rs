//! Image formats and layouts: bytes in, bytes out.
//!
//! Nothing here reads a file or a clock, so the same inputs give the same image, byte for byte, on every machine.

pub mod compress;
pub mod container;
pub mod cpio;
pub mod disk;
pub mod executable;
pub mod fat;
pub mod gpt;
pub mod initramfs;
pub mod oci;
pub mod sparse;
pub mod uki;

pub use compress::Compression;
pub use executable::{Architecture, Executable, Refusal};
pub use sparse::{ReadAt, Sparse, Unreadable, Window};
