//! Sealed records, and the hash of a unit.

use twox_hash::XxHash3_64;

/// Bytes before the contents of a record.
pub const HEADER_BYTES: usize = 64;

/// The first bytes of a record, with its kind.
const MAGIC: [u8; 4] = *b"SoM1";

/// Where the seal stands; what comes after it is what it covers, together with the kind.
const SEAL_AT: std::ops::Range<usize> = 8..16;
const COVERED_FROM: usize = 16;

/// The checksum of a unit that was never written: it reads as zeros, whatever is on the disks.
pub const UNWRITTEN: u64 = 0;

/// What a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The checksums of a group.
    Table = 2,
    /// Who the member is, and how all of them are. 1 was one that did not tell an old image by its generation.
    Head = 3,
    /// That there is no head.
    Wiped = 4,
}

/// What stands before the contents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Which mirror.
    pub array: u128,
    /// Which group; for a head 0.
    pub index: u64,
    /// The greater, the newer.
    pub generation: u64,
    /// The generation that was newest at the last flush before this one was written.
    pub base: u64,
}

/// Writes the header; the seal is still to come.
pub fn write_header(record: &mut [u8], kind: Kind, header: &Header) {
    record[..4].copy_from_slice(&MAGIC);
    record[4..8].copy_from_slice(&(kind as u32).to_le_bytes());
    record[16..32].copy_from_slice(&header.array.to_le_bytes());
    record[32..40].copy_from_slice(&header.index.to_le_bytes());
    record[40..48].copy_from_slice(&header.generation.to_le_bytes());
    record[48..56].copy_from_slice(&header.base.to_le_bytes());
    record[56..64].fill(0);
}

/// The hash that a seal is made of, with the salt of the member it is for.
pub fn hash(record: &[u8]) -> u64 {
    XxHash3_64::oneshot(&record[COVERED_FROM..])
}

/// Seals a record whose [`hash`] this is for the member with this salt.
pub fn seal(record: &mut [u8], hash: u64, salt: u64) {
    record[SEAL_AT].copy_from_slice(&(hash ^ salt).to_le_bytes());
}

/// Reads the header, if this is a whole record of that kind for the member with this salt.
pub fn open(record: &[u8], kind: Kind, salt: u64) -> Option<Header> {
    if record[..4] != MAGIC || word32(record, 4) != kind as u32 {
        return None;
    }
    let is_whole = word64(record, SEAL_AT.start) == hash(record) ^ salt;
    is_whole.then(|| Header {
        array: u128::from(word64(record, 16)) | u128::from(word64(record, 24)) << 64,
        index: word64(record, 32),
        generation: word64(record, 40),
        base: word64(record, 48),
    })
}

fn word32(bytes: &[u8], at: usize) -> u32 {
    let mut word = [0; 4];
    word.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(word)
}

/// A number in its place.
pub fn word64(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(word)
}

/// The checksum of what stands in a unit, which covers where the unit is. Never [`UNWRITTEN`].
pub fn checksum(array: u128, unit: u64, data: &[u8]) -> u64 {
    // The address is mixed in afterwards: the hash without a seed is faster.
    mix(XxHash3_64::oneshot(data) ^ mix(unit ^ array as u64)).max(1)
}

/// Spreads the bits of a number over all of it (the finalizer of SplitMix64).
pub fn mix(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ number >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ number >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ number >> 31
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_whole_for_its_member_and_its_kind_alone() {
        let header = Header { array: 7 << 100 | 3, index: 9, generation: 4, base: 2 };
        let mut record = vec![5; 512];
        write_header(&mut record, Kind::Table, &header);
        let hash = hash(&record);
        seal(&mut record, hash, 77);
        assert_eq!(open(&record, Kind::Table, 77), Some(header));
        assert_eq!(open(&record, Kind::Table, 78), None);
        assert_eq!(open(&record, Kind::Head, 77), None);
        for at in 0..record.len() {
            let mut torn = record.clone();
            torn[at] ^= 1;
            assert_eq!(open(&torn, Kind::Table, 77), None, "byte {at}");
        }
    }

    #[test]
    fn the_checksum_of_a_unit_covers_its_address_and_its_mirror() {
        let data = [1; 512];
        assert_eq!(checksum(1, 5, &data), checksum(1, 5, &data));
        assert_ne!(checksum(1, 5, &data), checksum(1, 6, &data));
        assert_ne!(checksum(1, 5, &data), checksum(2, 5, &data));
        assert_ne!(checksum(1, 5, &data), checksum(1, 5, &[2; 512]));
    }
}
