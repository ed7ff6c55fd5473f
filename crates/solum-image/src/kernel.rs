//! What the bytes of a kernel say of themselves.

use crate::executable::Architecture;
use crate::sparse::number::{u16_le, u32_le};

/// A kernel, as far as its image says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kernel {
    /// Its release, as `uname -r` prints it.
    pub release: Option<String>,
    /// What it runs on.
    pub architecture: Architecture,
    /// What kind of file it is: `bzImage`, `Image` or `vmlinux`.
    pub kind: &'static str,
}

/// Where a bzImage has its magic number, and where the place of its version (Linux, Documentation/arch/x86/boot.rst, "The Real-Mode
/// Kernel Header").
const BZIMAGE_MAGIC: (usize, &[u8]) = (0x202, b"HdrS");
const BZIMAGE_VERSION: usize = 0x20e;
/// Linux, Documentation/arch/arm64/booting.rst, "Call the kernel image".
const IMAGE_MAGIC: (usize, &[u8]) = (56, b"ARM\x64");
const ELF_MAGIC: &[u8] = b"\x7fELF";
/// `e_machine` (elf.h).
const ELF_X86_64: u16 = 62;
const ELF_AARCH64: u16 = 183;
/// What `linux_banner` begins with (init/version.c).
const BANNER: &[u8] = b"Linux version ";

/// Reads what a kernel says of itself; nothing, if this is none.
pub fn read(bytes: &[u8]) -> Option<Kernel> {
    let has = |(at, magic): (usize, &[u8])| bytes.get(at..).is_some_and(|rest| rest.starts_with(magic));
    if has(BZIMAGE_MAGIC) {
        let version = usize::from(u16_le(bytes, BZIMAGE_VERSION));
        let release = (version != 0).then(|| word(bytes, version + 0x200)).flatten();
        return Some(Kernel { release, architecture: Architecture::X86_64, kind: "bzImage" });
    }
    if has(IMAGE_MAGIC) {
        let release = banner(bytes);
        return Some(Kernel { release, architecture: Architecture::Aarch64, kind: "Image" });
    }
    if !bytes.starts_with(ELF_MAGIC) {
        return None;
    }
    let architecture = match u16_le(bytes, 18) {
        ELF_X86_64 => Architecture::X86_64,
        ELF_AARCH64 => Architecture::Aarch64,
        _ => return None,
    };
    // Every program is an ELF file; only a kernel has the banner.
    let release = Some(banner(bytes)?);
    Some(Kernel { release, architecture, kind: "vmlinux" })
}

/// The release in the banner: followed by who compiled it, which no message that only mentions the banner is.
fn banner(bytes: &[u8]) -> Option<String> {
    let mut from = 0;
    // Four bytes at once are compared faster than fourteen.
    let beginning = u32_le(BANNER, 0);
    loop {
        let rest = bytes.get(from..)?;
        let found = rest.windows(4).position(|four| u32_le(four, 0) == beginning)?;
        from += found + 1;
        let here = rest.get(found..)?;
        if here.starts_with(BANNER) && here.get(BANNER.len()).is_some_and(u8::is_ascii_digit) {
            return word(here, BANNER.len());
        }
    }
}

/// The printable word that begins at a place.
fn word(bytes: &[u8], at: usize) -> Option<String> {
    // `uname` has no longer ones (__NEW_UTS_LEN).
    let rest = bytes.get(at..)?;
    let word: Vec<u8> = rest.iter().take(64).copied().take_while(u8::is_ascii_graphic).collect();
    String::from_utf8(word).ok().filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(length: usize, parts: &[(usize, &[u8])]) -> Vec<u8> {
        let mut bytes = vec![0; length];
        for (at, part) in parts {
            bytes[*at..][..part.len()].copy_from_slice(part);
        }
        bytes
    }

    #[test]
    fn each_kind_of_kernel_says_its_release() {
        let packed =
            with(4096, &[(0x202, b"HdrS"), (0x20e, &[0x00, 0x03]), (0x500, b"6.12.1-a (me@here) #1\0")]);
        let entered = with(
            4096,
            &[(0, ELF_MAGIC), (18, &[62, 0]), (300, b"Linux version %s"), (999, b"Linux version 6.1 (a)")],
        );
        let arm = with(4096, &[(56, b"ARM\x64"), (999, b"Linux version 6.2 (a)")]);
        for (bytes, release, kind) in
            [(packed, "6.12.1-a", "bzImage"), (entered, "6.1", "vmlinux"), (arm, "6.2", "Image")]
        {
            let kernel = read(&bytes).unwrap();
            assert_eq!((kernel.release.as_deref(), kernel.kind), (Some(release), kind));
            for end in 0..bytes.len() {
                let _ = read(&bytes[..end]);
            }
        }
    }

    #[test]
    fn what_is_no_kernel_is_none() {
        assert_eq!(read(b""), None);
        assert_eq!(read(&with(4096, &[(0, ELF_MAGIC), (18, &[62, 0])])), None);
        assert_eq!(read(&[b'L'; 4096]), None);
    }
}
