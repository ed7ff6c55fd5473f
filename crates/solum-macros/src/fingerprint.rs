//! A number that changes when an interface does.

/// FNV-1a with 64 bits (draft-eastlake-fnv): the same on every machine and in every release, and good enough to notice an
/// accident. It is no defence: units of a system trust their builder.
pub fn of(text: &str) -> u64 {
    const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    text.bytes().fold(OFFSET, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME))
}

#[cfg(test)]
mod tests {
    #[test]
    fn is_the_published_function() {
        assert_eq!(super::of(""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(super::of("a"), 0xaf63_dc4c_8601_ec8c);
    }
}
