//! As much of a kernel file as decides how much memory it takes.

/// How a file starts, as far as [`footprint`] looks.
pub(crate) const HEAD_BYTES: usize = 4096;

/// The end of the memory that the kernel occupies before it knows what memory there is, in bytes from zero; or
/// what the file is, if QEMU cannot boot it.
pub(crate) fn footprint(head: &[u8]) -> Result<u64, &'static str> {
    if head.is_empty() {
        return Err("an empty file, not a kernel");
    }
    // The setup header of Documentation/arch/x86/boot.rst.
    if head.get(0x202..0x206) == Some(b"HdrS") {
        let preferred_address = u64_at(head, 0x258).unwrap_or(0);
        let init_size = u32_at(head, 0x260).unwrap_or(0);
        return Ok(preferred_address.saturating_add(init_size.into()));
    }
    if head.starts_with(b"\x7fELF") {
        return elf_footprint(head).ok_or("an ELF file, but not a kernel for x86-64");
    }
    if head.starts_with(b"\x1f\x8b") {
        return Err("compressed with gzip, which QEMU does not boot");
    }
    if head.get(0x38..0x3c) == Some(b"ARM\x64") {
        return Err("a kernel for arm64, not for x86-64");
    }
    Err("not a kernel: neither a bzImage nor an ELF vmlinux")
}

/// The highest end of a loaded segment (ELF-64 object file format, program headers).
fn elf_footprint(head: &[u8]) -> Option<u64> {
    const X86_64: u16 = 62;
    const LOAD: u32 = 1;
    if u16_at(head, 18)? != X86_64 {
        return None;
    }
    let table = usize::try_from(u64_at(head, 32)?).ok()?;
    let (entry_bytes, entries) = (usize::from(u16_at(head, 54)?), usize::from(u16_at(head, 56)?));
    let mut end = None;
    for entry in 0..entries {
        let at = table.checked_add(entry * entry_bytes)?;
        if u32_at(head, at)? == LOAD {
            let segment_end = u64_at(head, at + 24)?.saturating_add(u64_at(head, at + 40)?);
            end = end.max(Some(segment_end));
        }
    }
    end
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at.checked_add(2)?)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at.checked_add(8)?)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(length: usize, fields: &[(usize, &[u8])]) -> Vec<u8> {
        let mut bytes = vec![0; length];
        for (at, field) in fields {
            bytes[*at..*at + field.len()].copy_from_slice(field);
        }
        bytes
    }

    #[test]
    fn kernels_say_how_much_they_take() {
        let mebibyte = |count: u64| (count << 20).to_le_bytes();
        let (two, sixteen) = (mebibyte(2), mebibyte(16));
        let image = with(4096, &[(0x202, b"HdrS"), (0x258, &two), (0x260, &sixteen[..4])]);
        assert_eq!(footprint(&image), Ok(18 << 20));
        let header: &[(usize, &[u8])] = &[(0, b"\x7fELF"), (18, &[62]), (32, &[64]), (54, &[56]), (56, &[2])];
        let load = [(64, &[1][..]), (64 + 24, &two), (64 + 40, &two)];
        let note = [(120, &[4][..]), (120 + 24, &sixteen), (120 + 40, &sixteen)];
        let image = with(4096, &[header, &load, &note].concat());
        assert_eq!(footprint(&image), Ok(4 << 20));
        for cut in 0..image.len() {
            let _ = footprint(&image[..cut]);
        }
    }

    #[test]
    fn other_files_are_named() {
        for (bytes, what) in [
            (vec![], "an empty file, not a kernel"),
            (b"#!/bin/sh\n".to_vec(), "not a kernel: neither a bzImage nor an ELF vmlinux"),
            (b"\x1f\x8b\x08".to_vec(), "compressed with gzip, which QEMU does not boot"),
            (with(64, &[(0x38, b"ARM\x64")]), "a kernel for arm64, not for x86-64"),
            (with(64, &[(0, b"\x7fELF"), (18, &[183])]), "an ELF file, but not a kernel for x86-64"),
        ] {
            assert_eq!(footprint(&bytes), Err(what));
        }
    }
}
