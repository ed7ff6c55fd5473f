//! Kernels that are none.

use crate::harness::{Scratch, elf};
use crate::refused;

/// The beginning of a bzImage (Documentation/arch/x86/boot.rst) that says it goes on for much longer.
fn cut_off_kernel() -> Vec<u8> {
    let mut bytes = vec![0; 0x400];
    bytes[0x1f1] = 1; // setup_sects
    bytes[0x1f4..0x1f8].copy_from_slice(&0x10_0000u32.to_le_bytes()); // syssize, in 16 bytes
    bytes[0x1fe..0x200].copy_from_slice(&[0x55, 0xaa]);
    bytes[0x202..0x206].copy_from_slice(b"HdrS");
    bytes[0x206..0x208].copy_from_slice(&0x020fu16.to_le_bytes());
    bytes
}

#[test]
fn files_that_are_no_kernel() {
    let scratch = Scratch::new();
    scratch.file("program", elf::program());
    scratch.file(
        "noise",
        (0u32..100_000).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect::<Vec<u8>>(),
    );
    scratch.file("empty", "");
    scratch.file("cut-off", cut_off_kernel());
    let none = "is not a kernel: it has neither the boot signature of a bzImage nor that of an ELF file";
    for (name, sentence) in [("noise", none), ("empty", "is not a kernel: it is empty")] {
        let finished =
            scratch.solum(&["run", "[SCRATCH]/program", "--kernel", &format!("[SCRATCH]/{name}")]).run();
        let text = format!(
            "error: [SCRATCH]/{name} {sentence}\n\
             hint: name a bzImage (distributions call it vmlinuz) or an uncompressed vmlinux\n"
        );
        refused(&scratch, &finished, 104, &text);
    }
}
