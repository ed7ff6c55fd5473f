//! Image formats and layouts: bytes in, bytes out.
//!
//! Nothing here reads a file or a clock, so the same inputs give the same image, byte for byte, on every machine.

pub mod compress;
pub mod cpio;
pub mod disk;
pub mod executable;
pub mod fat;
pub mod filesystem;
pub mod gpt;
pub mod initramfs;
pub mod iso9660;
pub mod kernel;
pub mod oci;
pub mod sparse;
pub mod uki;
pub mod unpack;
pub mod wrapping;

pub use compress::Compression;
pub use executable::{Architecture, Executable, Refusal};
pub use sparse::{ReadAt, Sparse, Unreadable, Window};
