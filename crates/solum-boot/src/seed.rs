//! Randomness that is carried over restarts.

use std::fs::OpenOptions;
use std::io::Write;

use rustix::ioctl::{Setter, opcode};

/// The file's name.
pub const FILE: &str = "entropy-seed";
/// Its length: more than the kernel keeps (`POOL_BITS` is 256 in drivers/char/random.c).
pub const BYTES: usize = 512;
/// What the kernel is told that it is worth, in bits.
const WORTH_BITS: i32 = 256;

/// `struct rand_pool_info` (include/uapi/linux/random.h).
#[repr(C)]
struct PoolInfo {
    worth_bits: i32,
    bytes: i32,
    buffer: [u8; BYTES],
}

/// Mixes a seed into the kernel's pool; `counts` says that nobody uses it again, so that it is as good as random.
pub fn give(seed: &[u8], counts: bool) {
    // linux/random.h: RNDADDENTROPY is _IOW('R', 0x03, int [2]).
    const ADD_ENTROPY: rustix::ioctl::Opcode = opcode::write::<[i32; 2]>(b'R', 0x03);
    let Ok(mut random) = OpenOptions::new().write(true).open("/dev/urandom") else { return };
    let Ok(buffer) = <[u8; BYTES]>::try_from(seed) else { return };
    let info = PoolInfo { worth_bits: WORTH_BITS, bytes: BYTES as i32, buffer };
    // SAFETY: the request reads two integers, and as many bytes after them as the second one says.
    let counted = counts
        && unsafe { rustix::ioctl::ioctl(&random, Setter::<ADD_ENTROPY, PoolInfo>::new(info)) }.is_ok();
    if !counted {
        // It does no harm in any case.
        let _ = random.write_all(seed);
    }
}
