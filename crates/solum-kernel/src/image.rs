//! What a kernel file is: told from its bytes, never from its name.

use std::fs;
use std::path::Path;

use object::elf;
use object::read::elf::{FileHeader, ProgramHeader};

use crate::architecture::Architecture;
use crate::compression::Compression;
use crate::error::Error;

/// How a kernel file is packaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// The compressed image with its own loader that PC firmware and boot loaders start.
    BzImage,
    /// The uncompressed ELF file. `pvh` tells whether a hypervisor can enter it directly.
    Vmlinux {
        /// Whether it names an entry for the x86/HVM direct boot ABI.
        pvh: bool,
    },
}

/// What the bytes of a kernel file say about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspection {
    /// How it is packaged.
    pub format: Format,
    /// The processors it runs on.
    pub architecture: Architecture,
    /// Its release, as `uname -r` would print it on the running system.
    pub version: String,
}

/// A kernel is larger than the firmware's real-mode part and smaller than this; uncompressed distribution kernels
/// take about 60 MB, those with debug information nearly 1 GB.
const SIZE_MAX: u64 = 2 << 30;

/// Reads a kernel file and tells what it is; also gives its bytes.
///
/// # Errors
///
/// [`Error::Io`] where it cannot be read, [`Error::NotAKernel`] where it is none or is damaged.
pub(crate) fn read(path: &Path) -> Result<(Inspection, Vec<u8>), Error> {
    let refuse = |reason: String| Error::NotAKernel { path: path.to_owned(), reason };
    let metadata = fs::metadata(path).map_err(|error| Error::io("read", path, error))?;
    if metadata.is_dir() {
        return Err(refuse("it is a directory".into()));
    }
    if metadata.len() > SIZE_MAX {
        return Err(refuse("it is larger than any kernel".into()));
    }
    let bytes = fs::read(path).map_err(|error| Error::io("read", path, error))?;
    let inspection = inspect(&bytes).map_err(refuse)?;
    Ok((inspection, bytes))
}

/// Tells what kernel `bytes` are.
///
/// # Errors
///
/// A clause that says why they are none.
pub fn inspect(bytes: &[u8]) -> Result<Inspection, String> {
    if bytes.is_empty() {
        return Err("it is empty".into());
    }
    if bytes.starts_with(&elf::ELFMAG) {
        return inspect_elf(bytes);
    }
    // Documentation/arch/arm64/booting.rst: the magic number at offset 56.
    if bytes.get(0x38..0x3c) == Some(b"ARM\x64") {
        return inspect_arm64(bytes);
    }
    inspect_bzimage(bytes)
}

/// The uncompressed kernel inside a bzImage, where it is packed in a form that is unpacked here.
///
/// Booting that by PVH spares the guest the decompression: a third of the instructions of a Debian kernel's boot.
///
/// # Errors
///
/// A clause that says what is wrong with the image.
pub(crate) fn extract_vmlinux(bytes: &[u8]) -> Result<Option<Vec<u8>>, String> {
    let header = SetupHeader::read(bytes)?;
    let payload = header.payload(bytes)?;
    match Compression::of(payload) {
        Some(form @ (Compression::Gzip | Compression::Xz | Compression::Zstd)) => form
            .unpack(payload, SIZE_MAX)
            .map(Some)
            .map_err(|error| format!("its compressed kernel is damaged: {error}")),
        _ => Ok(None),
    }
}

/// The fields used here of the setup header (Documentation/arch/x86/boot.rst, "The Real-Mode Kernel Header").
struct SetupHeader {
    /// Bytes of boot sector and setup code, that the protected-mode kernel follows.
    setup_bytes: usize,
    /// Bytes of the protected-mode kernel.
    kernel_bytes: usize,
    protocol: u16,
    version_offset: usize,
    has_64bit_entry: bool,
    payload_offset: usize,
    payload_length: usize,
}

impl SetupHeader {
    fn read(bytes: &[u8]) -> Result<Self, String> {
        let u8_at = |at: usize| bytes.get(at).copied().unwrap_or_default();
        let u16_at = |at: usize| u16::from_le_bytes([u8_at(at), u8_at(at + 1)]);
        let u32_at = |at: usize| u32::from(u16_at(at)) | u32::from(u16_at(at + 2)) << 16;
        if u16_at(0x1fe) != 0xaa55 || bytes.get(0x202..0x206) != Some(b"HdrS") {
            return Err("it has neither the boot signature of a bzImage nor that of an ELF file".into());
        }
        // "If the setup_sects field contains 0, the real value is 4" (boot.rst).
        let setup_sectors = match u8_at(0x1f1) {
            0 => 4,
            sectors => usize::from(sectors),
        };
        Ok(Self {
            setup_bytes: (setup_sectors + 1) * 512,
            kernel_bytes: u32_at(0x1f4) as usize * 16,
            protocol: u16_at(0x206),
            version_offset: usize::from(u16_at(0x20e)),
            has_64bit_entry: u16_at(0x236) & 1 != 0,
            payload_offset: u32_at(0x248) as usize,
            payload_length: u32_at(0x24c) as usize,
        })
    }

    fn payload<'data>(&self, bytes: &'data [u8]) -> Result<&'data [u8], String> {
        let start = self.setup_bytes.saturating_add(self.payload_offset);
        bytes
            .get(start..start.saturating_add(self.payload_length))
            .ok_or_else(|| "its compressed kernel does not lie within the file".into())
    }
}

fn inspect_bzimage(bytes: &[u8]) -> Result<Inspection, String> {
    let header = SetupHeader::read(bytes)?;
    let stated = header.setup_bytes + header.kernel_bytes;
    if bytes.len() < stated {
        return Err(format!("it is cut short: it has {} of its {stated} bytes", bytes.len()));
    }
    // xloadflags, with XLF_KERNEL_64, came with protocol 2.12 (Linux 3.8).
    if header.protocol < 0x020c || !header.has_64bit_entry {
        return Err("it is a 32-bit kernel, or older than Linux 3.8".into());
    }
    if Compression::of(header.payload(bytes)?).is_none() {
        return Err("its compressed kernel is damaged".into());
    }
    // "a pointer to the kernel version string, less 0x200"; 0 where there is none (boot.rst).
    let version = match header.version_offset {
        0 => None,
        offset => bytes.get(offset + 0x200..header.setup_bytes).and_then(release_at),
    };
    let version = version.ok_or("it does not state its version")?;
    Ok(Inspection { format: Format::BzImage, architecture: Architecture::X86_64, version })
}

fn inspect_arm64(bytes: &[u8]) -> Result<Inspection, String> {
    let version = banner_release(bytes).ok_or("it does not state its version")?;
    Ok(Inspection { format: Format::Vmlinux { pvh: false }, architecture: Architecture::Aarch64, version })
}

fn inspect_elf(bytes: &[u8]) -> Result<Inspection, String> {
    let damaged = |error: object::Error| format!("its ELF structure is damaged: {error}");
    let header = elf::FileHeader64::<object::Endianness>::parse(bytes)
        .map_err(|_| "it is an ELF file, but not a 64-bit one".to_string())?;
    let endian = header.endian().map_err(damaged)?;
    let architecture = match header.e_machine(endian) {
        elf::EM_X86_64 => Architecture::X86_64,
        elf::EM_AARCH64 => Architecture::Aarch64,
        other => return Err(format!("it is an ELF file for processors of type {}", other.0)),
    };
    let mut pvh = false;
    for segment in header.program_headers(endian, bytes).map_err(damaged)? {
        let end = segment.p_offset(endian).checked_add(segment.p_filesz(endian));
        if end.is_none_or(|end| end > bytes.len() as u64) {
            return Err("it is cut short: a segment lies beyond the end of the file".into());
        }
        if let Some(mut notes) = segment.notes(endian, bytes).map_err(damaged)? {
            while let Some(note) = notes.next().map_err(damaged)? {
                pvh |= note.name() == b"Xen" && note.n_type(endian).0 == XEN_ELFNOTE_PHYS32_ENTRY;
            }
        }
    }
    let version = banner_release(bytes).ok_or("it is an ELF file, but not a Linux kernel")?;
    Ok(Inspection { format: Format::Vmlinux { pvh }, architecture, version })
}

/// The note that names the entry of the x86/HVM direct boot ABI (Xen's `public/elfnote.h`).
const XEN_ELFNOTE_PHYS32_ENTRY: u32 = 18;

/// The release in the kernel's `linux_banner` ("Linux version 6.12.117 (user@host) …", `init/version.c`).
fn banner_release(bytes: &[u8]) -> Option<String> {
    const BANNER: &[u8] = b"Linux version ";
    let mut rest = bytes;
    while let Some(at) = find(rest, BANNER) {
        rest = &rest[at + BANNER.len()..];
        // The kernel has that phrase in format strings too ("Linux version %s"): a release begins with a digit.
        if rest.first().is_some_and(u8::is_ascii_digit) {
            return release_at(rest);
        }
    }
    None
}

/// The first word of `bytes`, where it looks like a release: digits, a dot, and printable characters.
fn release_at(bytes: &[u8]) -> Option<String> {
    const LENGTH_MAX: usize = 64; // __NEW_UTS_LEN
    let end = bytes.iter().take(LENGTH_MAX + 1).position(|byte| matches!(byte, b' ' | 0 | b'\n'))?;
    let release = std::str::from_utf8(&bytes[..end]).ok()?;
    let is_release = release.starts_with(|first: char| first.is_ascii_digit())
        && release.contains('.')
        && release.bytes().all(|byte| byte.is_ascii_graphic());
    is_release.then(|| release.to_owned())
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    let first = *needle.first()?;
    let mut at = 0;
    while let Some(step) = haystack[at..].iter().position(|byte| *byte == first) {
        at += step;
        if haystack[at..].starts_with(needle) {
            return Some(at);
        }
        at += 1;
    }
    None
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::compression::tests::pack;

    /// The smallest file that is a bzImage to this crate; `vmlinux` travels compressed in it.
    pub(crate) fn bzimage(version: &str, vmlinux: &[u8]) -> Vec<u8> {
        let mut payload = pack(Compression::Zstd, vmlinux);
        payload.extend_from_slice(&(vmlinux.len() as u32).to_le_bytes());
        let payload_length = payload.len() as u32;
        payload.resize(payload.len().next_multiple_of(16), 0);
        let mut bytes = vec![0; 1024];
        bytes[0x1f1] = 1;
        bytes[0x1f4..0x1f8].copy_from_slice(&(payload.len() as u32 / 16).to_le_bytes());
        bytes[0x1fe..0x200].copy_from_slice(&[0x55, 0xaa]);
        bytes[0x202..0x206].copy_from_slice(b"HdrS");
        bytes[0x206..0x208].copy_from_slice(&0x020f_u16.to_le_bytes());
        bytes[0x20e..0x210].copy_from_slice(&0x100_u16.to_le_bytes());
        bytes[0x236] = 1;
        bytes[0x24c..0x250].copy_from_slice(&payload_length.to_le_bytes());
        let text = format!("{version} (solum@solum) #1\0");
        bytes[0x300..0x300 + text.len()].copy_from_slice(text.as_bytes());
        bytes.extend_from_slice(&payload);
        bytes
    }

    /// The smallest file that is a vmlinux to this crate, with the PVH note.
    pub(crate) fn vmlinux(version: &str) -> Vec<u8> {
        let mut bytes = vec![0; 0x200];
        bytes[..8].copy_from_slice(b"\x7fELF\x02\x01\x01\0");
        let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
        put(16, &2_u16.to_le_bytes());
        put(18, &62_u16.to_le_bytes());
        put(20, &1_u32.to_le_bytes());
        put(32, &64_u64.to_le_bytes());
        put(52, &64_u16.to_le_bytes());
        put(54, &56_u16.to_le_bytes());
        put(56, &1_u16.to_le_bytes());
        put(64, &4_u32.to_le_bytes());
        put(72, &0x100_u64.to_le_bytes());
        put(96, &24_u64.to_le_bytes());
        put(112, &4_u64.to_le_bytes());
        put(0x100, &4_u32.to_le_bytes());
        put(0x104, &8_u32.to_le_bytes());
        put(0x108, &18_u32.to_le_bytes());
        put(0x10c, b"Xen\0");
        bytes.extend_from_slice(
            format!("Linux version %s\0Linux version {version} (solum@solum)\0").as_bytes(),
        );
        bytes
    }

    #[test]
    fn reads_the_version_of_a_bzimage() {
        let inspection = inspect(&bzimage("6.12.117-solum", b"kernel")).unwrap();
        assert_eq!(inspection.format, Format::BzImage);
        assert_eq!(inspection.architecture, Architecture::X86_64);
        assert_eq!(inspection.version, "6.12.117-solum");
    }

    #[test]
    fn reads_the_version_of_a_vmlinux() {
        let inspection = inspect(&vmlinux("6.12.117+deb12-cloud-amd64")).unwrap();
        assert_eq!(inspection.format, Format::Vmlinux { pvh: true });
        assert_eq!(inspection.version, "6.12.117+deb12-cloud-amd64");
    }

    #[test]
    fn unpacks_the_kernel_within() {
        let inner = vmlinux("6.12.117");
        assert_eq!(extract_vmlinux(&bzimage("6.12.117", &inner)), Ok(Some(inner)));
    }

    #[test]
    fn what_is_no_kernel_is_refused_with_the_reason() {
        let good = bzimage("6.12.117", &[7; 5000]);
        let changed = |at: usize, byte: u8| {
            let mut bytes = good.clone();
            bytes[at] = byte;
            bytes
        };
        let mut cut_elf = vmlinux("6.12.117");
        cut_elf.truncate(0x108);
        let mut other_elf = vmlinux("6.12.117");
        other_elf[18] = 8;
        let mut plain_elf = vmlinux("6.12.117");
        plain_elf.truncate(0x200);
        let mut narrow_elf = vmlinux("6.12.117");
        narrow_elf[4] = 1;
        let table = [
            (vec![], "it is empty"),
            (b"#!/bin/sh\n".to_vec(), "neither the boot signature"),
            (vec![0; 4096], "neither the boot signature"),
            (good[..good.len() - 1].to_vec(), "cut short: it has"),
            (good[..0x210].to_vec(), "cut short"),
            (changed(0x236, 0), "32-bit kernel"),
            (changed(0x207, 1), "32-bit kernel"),
            (changed(0x400, 0), "compressed kernel is damaged"),
            (changed(0x24f, 0xff), "does not lie within the file"),
            (changed(0x300, b'x'), "does not state its version"),
            (cut_elf, "cut short: a segment"),
            (other_elf, "processors of type 8"),
            (plain_elf, "not a Linux kernel"),
            (narrow_elf, "not a 64-bit one"),
        ];
        for (bytes, reason) in table {
            let error = inspect(&bytes).unwrap_err();
            assert!(error.contains(reason), "`{error}` should have contained `{reason}`");
        }
    }

    #[test]
    fn no_prefix_of_a_kernel_panics() {
        for whole in [bzimage("6.12.117", &[7; 99]), vmlinux("6.12.117")] {
            for length in 0..whole.len() {
                assert!(inspect(&whole[..length]).is_err() || length > 0x200);
                let _ = extract_vmlinux(&whole[..length]);
            }
        }
    }
}
