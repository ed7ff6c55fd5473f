//! Unified kernel images (UAPI Group, UKI specification): one EFI program with the kernel and all it boots.
//!
//! systemd's stub is a PE32+ file; the parts are appended to it as sections, and its headers corrected (Microsoft, PE
//! Format). Nothing is linked, so nothing moves.

use std::fmt;

use crate::executable::Architecture;
use crate::sparse::number::{put, u16_le, u32_le};
use crate::sparse::{ReadAt, Unreadable, read_vec};

/// What goes into an image beside the stub.
#[derive(Clone, Copy, Debug)]
pub struct Parts<'a> {
    /// systemd's EFI stub, like `linuxx64.efi.stub`.
    pub stub: &'a [u8],
    /// A kernel that is an EFI program itself (`CONFIG_EFI_STUB`).
    pub kernel: &'a [u8],
    /// Its command line.
    pub command_line: &'a str,
    /// Its initramfs.
    pub initramfs: &'a [u8],
    /// The text of an os-release file: boot menus show its `PRETTY_NAME`, and sort by its `VERSION_ID`.
    pub os_release: &'a str,
    /// The kernel's release, like `uname -r`.
    pub kernel_release: &'a str,
    /// What the image was made of, as CycloneDX. Stubs ignore what they do not know.
    pub sbom: Option<&'a [u8]>,
}

/// Why there can be no such image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UkiError {
    /// The stub is not an EFI program.
    BadStub(String),
    /// The stub has no room for the headers of more sections.
    NoRoom,
    /// The kernel is not an EFI program.
    KernelWithoutEfi,
    /// Kernel and stub are made for different processors.
    OtherArchitecture,
    /// A PE file is shorter than 4 GiB.
    TooLarge,
}

impl fmt::Display for UkiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadStub(why) => write!(f, "the EFI stub cannot be used: {why}"),
            Self::NoRoom => f.write_str("the EFI stub has no room for more sections"),
            Self::KernelWithoutEfi => f.write_str("the kernel cannot be started by UEFI"),
            Self::OtherArchitecture => {
                f.write_str("the kernel and the EFI stub are made for different processors")
            }
            Self::TooLarge => f.write_str("a unified kernel image is shorter than 4 GiB"),
        }
    }
}

impl std::error::Error for UkiError {}

impl UkiError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::BadStub(_) | Self::NoRoom => {
                Some("give the file of systemd for EFI, like linuxx64.efi.stub".into())
            }
            Self::KernelWithoutEfi => Some("take a kernel with CONFIG_EFI_STUB".into()),
            Self::OtherArchitecture => None,
            Self::TooLarge => Some("keep large files out of the initramfs".into()),
        }
    }
}

const DOS_MAGIC: &[u8] = b"MZ";
const PE_MAGIC: &[u8] = b"PE\0\0";
/// Length of the COFF header, magic included.
const COFF_LENGTH: usize = 24;
const PE32_PLUS: u16 = 0x20b;
/// Offset of the first field that is not there in each PE32+ header (the data directories).
const OPTIONAL_LENGTH: usize = 112;
const SECTION_LENGTH: usize = 40;
/// IMAGE_SCN_CNT_INITIALIZED_DATA | IMAGE_SCN_MEM_READ.
const READ_ONLY_DATA: u32 = 0x4000_0040;
/// Every kernel of ours has pages of this size, and a stub may want what it boots page-aligned; its own sections need not be.
const PAGE: u32 = 4096;
/// No linker makes more; a damaged header may say so.
const MOST_SECTIONS: u16 = 128;
const MACHINE_X86_64: u16 = 0x8664;
const MACHINE_AARCH64: u16 = 0xaa64;

/// What the headers of a PE32+ file say.
struct Headers {
    machine: u16,
    /// Where the COFF header begins, magic included.
    coff: usize,
    /// Where the optional header begins.
    optional: usize,
    /// Where the table of sections begins.
    table: usize,
    section_count: u16,
    section_alignment: u32,
    file_alignment: u32,
    /// Bytes before the first section's content.
    length: u32,
}

/// A section of a PE file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// Its name, like `.linux`.
    pub name: String,
    /// Where it lies in memory, counted from the image's base.
    pub address: u32,
    /// Where its content lies in the file.
    pub offset: u64,
    /// Length of its content.
    pub size: u32,
}

/// The sections of a PE file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uki {
    /// What it runs on, if Solum makes machines for that.
    pub architecture: Option<Architecture>,
    /// Its sections in the file's order.
    pub sections: Vec<Section>,
}

impl Uki {
    /// Whether it has a kernel in it, which makes an EFI program a unified kernel image.
    pub fn is_kernel_image(&self) -> bool {
        self.section(".linux").is_some()
    }

    /// The section of a name.
    pub fn section(&self, name: &str) -> Option<&Section> {
        self.sections.iter().find(|section| section.name == name)
    }

    /// The content of a section, if there is such a one.
    ///
    /// # Errors
    ///
    /// [`Unreadable`].
    pub fn content(&self, from: &(impl ReadAt + ?Sized), name: &str) -> Result<Option<Vec<u8>>, Unreadable> {
        let Some(section) = self.section(name) else { return Ok(None) };
        Ok(Some(read_vec(from, section.offset, section.size.into())?))
    }
}

/// Whether a kernel can be started by UEFI: a bzImage or Image with an EFI stub is a PE file.
pub fn is_efi_program(kernel: &[u8]) -> bool {
    headers(kernel).is_ok()
}

/// The bytes of a unified kernel image.
///
/// # Errors
///
/// [`UkiError`].
pub fn write(parts: &Parts) -> Result<Vec<u8>, UkiError> {
    let stub = headers(parts.stub).map_err(|error| UkiError::BadStub(error.to_string()))?;
    let kernel = headers(parts.kernel).map_err(|_| UkiError::KernelWithoutEfi)?;
    if kernel.machine != stub.machine {
        return Err(UkiError::OtherArchitecture);
    }
    // The kernel is last, as in ukify: firmware and older stubs may write behind its end, where it uncompresses itself.
    let mut sections: Vec<(&str, &[u8])> = vec![
        (".osrel", parts.os_release.as_bytes()),
        (".cmdline", parts.command_line.as_bytes()),
        (".uname", parts.kernel_release.as_bytes()),
    ];
    sections.extend(parts.sbom.map(|sbom| (".sbom", sbom)));
    sections.extend([(".initrd", parts.initramfs), (".linux", parts.kernel)]);
    // A section without content is none to a loader.
    sections.retain(|(_, content)| !content.is_empty());
    append(parts.stub, &stub, &sections)
}

fn append(file: &[u8], headers: &Headers, sections: &[(&str, &[u8])]) -> Result<Vec<u8>, UkiError> {
    let total: usize = sections.iter().map(|(_, content)| content.len() + 2 * PAGE as usize).sum();
    if u32::try_from(file.len() + total).is_err() {
        return Err(UkiError::TooLarge);
    }
    let existing = read_sections(file, headers).map_err(|error| UkiError::BadStub(error.to_string()))?;
    let count = existing.len() + sections.len();
    let table_end = headers.table + count * SECTION_LENGTH;
    let first_content =
        existing.iter().filter(|(_, section)| section.size > 0).map(|(_, section)| section.offset).min();
    if table_end > file.len() || table_end as u64 > first_content.unwrap_or(0).min(headers.length.into()) {
        return Err(UkiError::NoRoom);
    }
    let alignment = headers.section_alignment.max(PAGE);
    let ends = existing.iter().map(|(memory, section)| section.address.saturating_add(*memory));
    let mut address = ends.max().unwrap_or(0);
    let mut image = file.to_vec();
    let mut data_length = u32_le(file, headers.optional + 8);
    for (index, (name, content)) in sections.iter().enumerate() {
        address = address.checked_next_multiple_of(alignment).ok_or(UkiError::TooLarge)?;
        image.resize(image.len().next_multiple_of(headers.file_alignment as usize), 0);
        let offset = image.len();
        image.extend_from_slice(content);
        image.resize(image.len().next_multiple_of(headers.file_alignment as usize), 0);
        let entry = &mut image[headers.table + (existing.len() + index) * SECTION_LENGTH..][..SECTION_LENGTH];
        entry.fill(0);
        put(entry, 0, name.as_bytes());
        put(entry, 8, &(content.len() as u32).to_le_bytes());
        put(entry, 12, &address.to_le_bytes());
        let stored = content.len().next_multiple_of(headers.file_alignment as usize) as u32;
        put(entry, 16, &stored.to_le_bytes());
        put(entry, 20, &(offset as u32).to_le_bytes());
        put(entry, 36, &READ_ONLY_DATA.to_le_bytes());
        data_length = data_length.wrapping_add(stored);
        address = address.checked_add(content.len() as u32).ok_or(UkiError::TooLarge)?;
    }
    let memory = address.checked_next_multiple_of(alignment).ok_or(UkiError::TooLarge)?;
    put(&mut image, headers.coff + 6, &(count as u16).to_le_bytes());
    put(&mut image, headers.optional + 8, &data_length.to_le_bytes());
    put(&mut image, headers.optional + 56, &memory.to_le_bytes());
    // UEFI does not look at the checksum, and nothing that signs an image keeps it.
    put(&mut image, headers.optional + 64, &[0; 4]);
    Ok(image)
}

/// Reads which sections an EFI program has.
///
/// # Errors
///
/// [`Unreadable`], if it is none.
pub fn read(from: &(impl ReadAt + ?Sized)) -> Result<Uki, Unreadable> {
    // The headers of every PE file that boots fit, and of the others it is said that they end too early.
    let start = read_vec(from, 0, from.length().min(64 << 10))?;
    let headers = headers(&start)?;
    let sections = read_sections(&start, &headers)?.into_iter().map(|(_, section)| section).collect();
    let architecture = match headers.machine {
        MACHINE_X86_64 => Some(Architecture::X86_64),
        MACHINE_AARCH64 => Some(Architecture::Aarch64),
        _ => None,
    };
    Ok(Uki { architecture, sections })
}

fn headers(file: &[u8]) -> Result<Headers, Unreadable> {
    let not_pe = || Unreadable::malformed("it is not an EFI program");
    if !file.starts_with(DOS_MAGIC) || file.len() < 64 {
        return Err(not_pe());
    }
    let coff = u32_le(file, 60) as usize;
    let optional = coff.checked_add(COFF_LENGTH).ok_or_else(not_pe)?;
    let end = optional.checked_add(OPTIONAL_LENGTH).ok_or_else(not_pe)?;
    if end > file.len() || &file[coff..coff + 4] != PE_MAGIC || u16_le(file, optional) != PE32_PLUS {
        return Err(not_pe());
    }
    let damaged = || Unreadable::malformed("its PE headers are damaged");
    let headers = Headers {
        machine: u16_le(file, coff + 4),
        coff,
        optional,
        table: optional + usize::from(u16_le(file, coff + 20)),
        section_count: u16_le(file, coff + 6),
        section_alignment: u32_le(file, optional + 32),
        file_alignment: u32_le(file, optional + 36),
        length: u32_le(file, optional + 60),
    };
    let aligned = |alignment: u32| alignment.is_power_of_two() && alignment <= 1 << 16;
    let table_end = headers.table + usize::from(headers.section_count) * SECTION_LENGTH;
    let sane = headers.section_count <= MOST_SECTIONS && headers.table >= end && table_end <= file.len();
    if sane && aligned(headers.section_alignment) && aligned(headers.file_alignment) {
        Ok(headers)
    } else {
        Err(damaged())
    }
}

/// The sections with their length in memory, which may be more than what the file holds of them.
fn read_sections(file: &[u8], headers: &Headers) -> Result<Vec<(u32, Section)>, Unreadable> {
    let table = &file[headers.table..][..usize::from(headers.section_count) * SECTION_LENGTH];
    let sections = table.chunks_exact(SECTION_LENGTH).map(|entry| {
        let name = entry[..8].split(|byte| *byte == 0).next().unwrap_or_default();
        let (memory, stored) = (u32_le(entry, 8), u32_le(entry, 16));
        let section = Section {
            name: String::from_utf8_lossy(name).into_owned(),
            address: u32_le(entry, 12),
            offset: u32_le(entry, 20).into(),
            // What is stored is padded to the file's alignment.
            size: memory.min(stored),
        };
        Ok((memory, section))
    });
    sections.collect()
}

/// A PE32+ file like a linker's, for tests: one section of code with these bytes.
#[cfg(test)]
pub(crate) fn sample(machine: u16, code: &[u8]) -> Vec<u8> {
    let mut file = vec![0; 1024];
    put(&mut file, 0, DOS_MAGIC);
    put(&mut file, 60, &64u32.to_le_bytes());
    put(&mut file, 64, PE_MAGIC);
    put(&mut file, 68, &machine.to_le_bytes());
    put(&mut file, 70, &1u16.to_le_bytes());
    put(&mut file, 84, &240u16.to_le_bytes());
    let optional = 88;
    put(&mut file, optional, &PE32_PLUS.to_le_bytes());
    put(&mut file, optional + 32, &512u32.to_le_bytes());
    put(&mut file, optional + 36, &512u32.to_le_bytes());
    put(&mut file, optional + 56, &0x5000u32.to_le_bytes());
    put(&mut file, optional + 60, &1024u32.to_le_bytes());
    let section = optional + 240;
    put(&mut file, section, b".text");
    put(&mut file, section + 8, &0x1234u32.to_le_bytes());
    put(&mut file, section + 12, &0x4000u32.to_le_bytes());
    put(&mut file, section + 16, &(code.len() as u32).to_le_bytes());
    put(&mut file, section + 20, &1024u32.to_le_bytes());
    file.extend_from_slice(code);
    file
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn image(initramfs: &[u8]) -> Result<Vec<u8>, UkiError> {
        write(&Parts {
            stub: &sample(MACHINE_X86_64, &[0xf4; 700]),
            kernel: &sample(MACHINE_X86_64, b"kernel"),
            command_line: "console=ttyS0",
            initramfs,
            os_release: "ID=solum\n",
            kernel_release: "6.12.1",
            sbom: None,
        })
    }

    #[test]
    fn the_parts_are_read_back() {
        let image = image(b"archive").unwrap();
        let uki = read(&image).unwrap();
        let names: Vec<&str> = uki.sections.iter().map(|section| section.name.as_str()).collect();
        assert_eq!(names, [".text", ".osrel", ".cmdline", ".uname", ".initrd", ".linux"]);
        assert!(uki.is_kernel_image());
        assert_eq!(uki.architecture, Some(Architecture::X86_64));
        assert_eq!(uki.content(&image, ".cmdline").unwrap().unwrap(), b"console=ttyS0");
        assert_eq!(uki.content(&image, ".linux").unwrap().unwrap(), sample(MACHINE_X86_64, b"kernel"));
        assert_eq!(uki.content(&image, ".none").unwrap(), None);
    }

    #[test]
    fn sections_lie_on_pages_of_their_own_above_the_stub() {
        let image = image(&[7; 10_000]).unwrap();
        let sections = read(&image).unwrap().sections;
        let mut free = 0x4000 + 0x1234;
        for section in &sections[1..] {
            assert_eq!((section.address % PAGE, section.offset % 512), (0, 0));
            assert!(section.address >= free, "{section:?}");
            free = section.address + section.size;
        }
        let memory = u32_le(&image, 88 + 56);
        assert_eq!(memory, free.next_multiple_of(PAGE));
        assert_eq!(image.len() % 512, 0);
    }

    #[test]
    fn a_machine_without_initramfs_has_no_such_section() {
        let uki = read(&image(b"").unwrap()).unwrap();
        assert_eq!(uki.section(".initrd"), None);
    }

    #[test]
    fn what_cannot_boot_is_refused() {
        let stub = sample(MACHINE_X86_64, &[0xf4; 512]);
        let kernel = sample(MACHINE_AARCH64, b"kernel");
        let parts = Parts {
            stub: &stub,
            kernel: &kernel,
            command_line: "",
            initramfs: b"",
            os_release: "",
            kernel_release: "",
            sbom: None,
        };
        assert_eq!(write(&parts), Err(UkiError::OtherArchitecture));
        assert_eq!(write(&Parts { kernel: b"MZ", ..parts }), Err(UkiError::KernelWithoutEfi));
        assert!(matches!(write(&Parts { stub: b"\x7fELF", ..parts }), Err(UkiError::BadStub(_))));
        let mut full = stub.clone();
        put(&mut full, 88 + 240 + 20, &400u32.to_le_bytes());
        assert_eq!(write(&Parts { stub: &full, kernel: &stub, ..parts }).unwrap_err(), UkiError::NoRoom);
    }

    proptest! {
        #[test]
        fn damage_is_no_panic(damage in prop::collection::vec((0usize..600, any::<u8>()), 1..8), length in 0usize..4000) {
            let mut file = image(b"archive").unwrap();
            for (at, value) in damage {
                file[at] = value;
            }
            file.truncate(length);
            if let Ok(uki) = read(&file) {
                for section in &uki.sections {
                    let _ = uki.content(&file, &section.name);
                }
            }
            let kernel = sample(MACHINE_X86_64, b"kernel");
            let _ = write(&Parts {
                stub: &file, kernel: &kernel, command_line: "x", initramfs: b"y", os_release: "", kernel_release: "", sbom: None,
            });
        }
    }
}
