//! Copies to and from memory that another process may write at the same moment.
//!
//! The compiler must not see such memory as ordinary memory: it could read a value twice, and a check of the first
//! reading would say nothing about the second. So nothing here makes a reference to it; bytes move by instructions that
//! the compiler cannot look into, or by relaxed atomics.

/// What one turn of the loop moves: a cache line.
#[cfg(target_arch = "x86_64")]
const BLOCK: usize = 64;

/// From here on the processor's own loop is faster; below, its start costs more than it saves (measured on Zen 5).
#[cfg(target_arch = "x86_64")]
const LONG: usize = 2048;

/// Copies `length` bytes. Either side may change meanwhile by another's hand; then the copy holds some mixture.
///
/// # Safety
/// Both areas are mapped for as long as this takes, do not overlap, and `to` may be written.
pub(crate) unsafe fn copy(from: *const u8, to: *mut u8, length: usize) {
    // SAFETY: the caller's promise.
    let mut done = unsafe { copy_most(from, to, length) };
    while done < length {
        use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
        // SAFETY: the byte lies within both areas; a byte is always aligned.
        unsafe {
            let byte = AtomicU8::from_ptr(from.add(done).cast_mut()).load(Relaxed);
            AtomicU8::from_ptr(to.add(done)).store(byte, Relaxed);
        }
        done += 1;
    }
}

/// Copies whole blocks and words; how many bytes that were.
///
/// # Safety
/// As [`copy`].
#[cfg(target_arch = "x86_64")]
unsafe fn copy_most(from: *const u8, to: *mut u8, length: usize) -> usize {
    let mut done = length - length % BLOCK;
    if length >= LONG {
        // SAFETY: the caller's promise, for the first `done` bytes; `done` is a multiple of a word.
        unsafe { copy_words(from, to, done) };
    } else if done > 0 {
        // SAFETY: the caller's promise, for the first `done` bytes; `done` is a positive multiple of a block.
        unsafe { copy_blocks(from, to, done) };
    }
    while length - done >= 8 {
        // SAFETY: the caller's promise: eight more bytes lie within both areas.
        unsafe { copy_word(from.add(done), to.add(done)) };
        done += 8;
    }
    done
}

/// Copies whole words, if they are aligned; how many bytes that were.
///
/// # Safety
/// As [`copy`].
#[cfg(not(target_arch = "x86_64"))]
unsafe fn copy_most(from: *const u8, to: *mut u8, length: usize) -> usize {
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
    let mut done = 0;
    while (from as usize | to as usize) % 8 == 0 && length - done >= 8 {
        // SAFETY: both addresses are aligned for a word that lies within the area; every access to it is atomic.
        unsafe {
            let word = AtomicU64::from_ptr(from.add(done).cast_mut().cast()).load(Relaxed);
            AtomicU64::from_ptr(to.add(done).cast()).store(word, Relaxed);
        }
        done += 8;
    }
    done
}

/// # Safety
/// As [`copy`]; `length` is a positive multiple of [`BLOCK`].
#[cfg(target_arch = "x86_64")]
unsafe fn copy_blocks(from: *const u8, to: *mut u8, length: usize) {
    // SAFETY: reads and writes exactly `length` bytes from both addresses; changes only the registers named.
    unsafe {
        std::arch::asm!(
            "2:",
            "movups {a}, [{from}]",
            "movups {b}, [{from} + 16]",
            "movups {c}, [{from} + 32]",
            "movups {d}, [{from} + 48]",
            "movups [{to}], {a}",
            "movups [{to} + 16], {b}",
            "movups [{to} + 32], {c}",
            "movups [{to} + 48], {d}",
            "add {from}, 64",
            "add {to}, 64",
            "sub {left}, 64",
            "jnz 2b",
            from = inout(reg) from => _,
            to = inout(reg) to => _,
            left = inout(reg) length => _,
            a = out(xmm_reg) _,
            b = out(xmm_reg) _,
            c = out(xmm_reg) _,
            d = out(xmm_reg) _,
            options(nostack),
        );
    }
}

/// # Safety
/// As [`copy`]; `length` is a multiple of eight.
#[cfg(target_arch = "x86_64")]
unsafe fn copy_words(from: *const u8, to: *mut u8, length: usize) {
    // SAFETY: reads and writes exactly `length` bytes upwards from both addresses: the ABI keeps the direction flag clear.
    unsafe {
        std::arch::asm!(
            "rep movsq",
            inout("rcx") length / 8 => _,
            inout("rsi") from => _,
            inout("rdi") to => _,
            options(nostack, preserves_flags),
        );
    }
}

/// # Safety
/// As [`copy`], for eight bytes of any alignment.
#[cfg(target_arch = "x86_64")]
unsafe fn copy_word(from: *const u8, to: *mut u8) {
    // SAFETY: reads and writes exactly eight bytes.
    unsafe {
        std::arch::asm!(
            "mov {word}, [{from}]",
            "mov [{to}], {word}",
            word = out(reg) _,
            from = in(reg) from,
            to = in(reg) to,
            options(nostack, preserves_flags),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_and_alignment_is_copied_exactly() {
        let source: Vec<u8> = (0..5000_u32).map(|value| (value * 7 + 3) as u8).collect();
        for (skip_from, skip_to) in [(0, 0), (1, 0), (0, 3), (5, 7), (8, 16)] {
            for length in (0..300).chain(2040..2120).chain([4096, 4900]) {
                let mut target = vec![0xEE; 5000];
                // SAFETY: both vectors have 5000 bytes, and 16 + 4900 is less.
                unsafe { copy(source.as_ptr().add(skip_from), target.as_mut_ptr().add(skip_to), length) };
                assert!(target[..skip_to].iter().all(|byte| *byte == 0xEE));
                assert_eq!(target[skip_to..skip_to + length], source[skip_from..skip_from + length]);
                assert!(target[skip_to + length..].iter().all(|byte| *byte == 0xEE), "length {length}");
            }
        }
    }
}
