//! Where a kernel is entered, in whatever way it came into memory.
//!
//! Firmware starts the kernel's EFI stub, which unpacks the kernel to wherever there is room; a hypervisor finds it unpacked, at
//! the address for which it was linked, and enters it by PVH. The two ways meet at `startup_64` (arch/x86/kernel/head_64.S), whose
//! physical address is not the same in both. A few hundred instructions later it turns its own page tables on and jumps to
//! `common_startup_64`, at the virtual address for which it was linked, because the `vm` kernel does not randomise that. This is the
//! first instruction with the same address in both, and nothing else in the machine ever runs there.
//!
//! The kernel in the cache has no symbols. But its file names `startup_64` as its entry, and the jump is the first one there that
//! follows a change of page tables and takes its target from memory, as linked into the file.

use crate::failure::{Failure, Outcome};
use object::read::elf::{FileHeader, ProgramHeader};
use object::{Endianness, elf};

/// `mov cr3, rax` and the beginning of `jmp [rip + …]` (Intel SDM, volume 2: MOV—Move to/from Control Registers; JMP).
const INTO_OWN_PAGES: [u8; 5] = [0x0f, 0x22, 0xd8, 0xff, 0x25];

/// `startup_64` is not longer.
const LONGEST_START: u64 = 0x1000;

/// The virtual address of `common_startup_64`.
pub fn common_startup(vmlinux: &[u8]) -> Outcome<u64> {
    let found = find(vmlinux).map_err(|error| Failure::new(format!("the kernel is damaged: {error}")))?;
    found.ok_or_else(|| Failure::new("the kernel begins in another way than this benchmark knows"))
}

fn find(vmlinux: &[u8]) -> object::Result<Option<u64>> {
    let header = elf::FileHeader64::<Endianness>::parse(vmlinux)?;
    let endian = header.endian()?;
    let segments = header.program_headers(endian, vmlinux)?;
    let loaded = || segments.iter().filter(|segment| segment.p_type(endian) == elf::PT_LOAD);
    // The bytes in the file from a virtual address on.
    let at = |address: u64| {
        loaded().find_map(|segment| {
            let offset = address.checked_sub(segment.p_vaddr(endian))?;
            segment.data(endian, vmlinux).ok()?.get(usize::try_from(offset).ok()?..)
        })
    };
    let physical = header.e_entry(endian);
    let entry = loaded().find_map(|segment| {
        let offset = physical.checked_sub(segment.p_paddr(endian))?;
        (offset < segment.p_filesz(endian)).then(|| segment.p_vaddr(endian) + offset)
    });
    let found = || {
        let (entry, code) = (entry?, at(entry?)?);
        let code = code.get(..LONGEST_START as usize).unwrap_or(code);
        let jump = code.windows(INTO_OWN_PAGES.len()).position(|window| window == INTO_OWN_PAGES)?;
        let after = jump + INTO_OWN_PAGES.len();
        let distance = i32::from_le_bytes(*code.get(after..)?.first_chunk()?);
        let place = (entry + after as u64 + 4).checked_add_signed(i64::from(distance))?;
        let target = u64::from_le_bytes(*at(place)?.first_chunk()?);
        at(target).map(|_| target)
    };
    Ok(found())
}

#[cfg(test)]
mod tests {
    use super::*;

    const VIRTUAL: u64 = 0xffff_ffff_8020_0000;
    const PHYSICAL: u64 = 0x20_0000;
    const HEADERS: usize = 64 + 56;

    /// A file with one segment: some instructions, the jump, and its target's address at the end.
    fn kernel(jump: &[u8], target: u64) -> Vec<u8> {
        let mut code = vec![0x90; 7];
        code.extend(jump);
        let place_after = code.len() + 4;
        code.extend(3i32.to_le_bytes());
        code.extend([0x90; 3]);
        assert_eq!(code.len(), place_after + 3);
        code.extend(target.to_le_bytes());
        let mut file = Vec::from(*b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0");
        for half in [2u16, 62, 1, 0] {
            file.extend(half.to_le_bytes());
        }
        for long in [PHYSICAL, 64, 0] {
            file.extend(long.to_le_bytes());
        }
        for half in [0u16, 0, 64, 56, 1, 0, 0, 0] {
            file.extend(half.to_le_bytes());
        }
        for word in [1u32, 5] {
            file.extend(word.to_le_bytes());
        }
        let length = code.len() as u64;
        for long in [HEADERS as u64, VIRTUAL, PHYSICAL, length, length, 0x1000] {
            file.extend(long.to_le_bytes());
        }
        file.extend(code);
        file
    }

    #[test]
    fn the_jump_s_target_is_read() {
        let file = kernel(&INTO_OWN_PAGES, VIRTUAL + 2);
        assert_eq!(common_startup(&file).ok(), Some(VIRTUAL + 2));
    }

    #[test]
    fn another_beginning_is_refused() {
        for file in [kernel(&[0x90; 5], VIRTUAL), kernel(&INTO_OWN_PAGES, 0x10)] {
            let failure = common_startup(&file).expect_err("there is no such jump");
            assert!(failure.to_string().contains("in another way"), "{failure}");
        }
        assert!(common_startup(b"MZ").is_err());
    }
}
