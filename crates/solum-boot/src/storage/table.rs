//! Partition tables (GPT; UEFI 2.10, section 5.3): who a partition is, and how its entry is changed when its disk has become
//! larger. Bytes in, bytes out.

use super::volume::{Bytes, u32_at, u64_at, uuid};

const SIGNATURE: &[u8] = b"EFI PART";
/// Where the primary header is, and where its entries mostly are.
const HEADER_AT: u64 = 1;
const ENTRIES_AT: u64 = 2;
const HEADER_BYTES: usize = 92;
/// More than any table has: 1024 entries of 128 bytes.
const ENTRIES_MAX: u64 = 128 * 1024;
/// Partitions begin at multiples of this, so that they suit every disk.
const ALIGNED_BYTES: u64 = 1 << 20;

/// The primary table of a disk, which was found valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// Bytes of a sector.
    sector: u64,
    /// The whole sector of the header.
    header: Vec<u8>,
    /// All entries, up to the end of their last sector.
    entries: Vec<u8>,
    entry_bytes: usize,
}

/// There is no room beside a table for a second one, without which a power cut while it is changed could lose every partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoRoom;

/// How a partition becomes larger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Growth {
    /// What is written where, in this order, with a flush after each. After each of them, and when one of them is torn, the disk
    /// has a valid primary table.
    pub writes: Vec<(u64, Vec<u8>)>,
    /// Where the partition begins, in bytes.
    pub start: u64,
    /// How long it is then, in bytes.
    pub length: u64,
}

impl Table {
    /// Reads the primary table. `None` if there is none that is valid.
    pub fn read(disk: &mut impl Bytes, sector: u64) -> Option<Self> {
        let header = disk.at(HEADER_AT * sector, usize::try_from(sector).ok()?)?;
        let size = u32_at(&header, 12) as usize;
        let is_header = header.starts_with(SIGNATURE)
            && (HEADER_BYTES..=header.len()).contains(&size)
            && header_checksum(&header, size) == u32_at(&header, 16)
            && u64_at(&header, 24) == HEADER_AT;
        let (count, entry_bytes) = (u64::from(u32_at(&header, 80)), u64::from(u32_at(&header, 84)));
        let used = count.checked_mul(entry_bytes)?;
        if !is_header || entry_bytes < 128 || used > ENTRIES_MAX {
            return None;
        }
        let place = u64_at(&header, 72).checked_mul(sector)?;
        let entries = disk.at(place, used.next_multiple_of(sector) as usize)?;
        let is_whole = checksum(&entries[..used as usize]) == u32_at(&header, 88);
        is_whole.then_some(Self { sector, header, entries, entry_bytes: entry_bytes as usize })
    }

    /// The identifier of a partition, by its number.
    pub fn identifier(&self, number: u32) -> Option<String> {
        let entry = self.entry(number)?;
        // The first three fields of a GUID are little-endian (UEFI 2.10, appendix A).
        let order = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];
        Some(uuid(&order.map(|place| entry[16 + place])))
    }

    /// How this partition takes all that is free behind it, on a disk of so many sectors. `None` if it is not the last one, or
    /// there is nothing to gain.
    pub fn grow(&self, disk: &mut impl Bytes, number: u32, sectors: u64) -> Option<Result<Growth, NoRoom>> {
        let (first, last) = span(self.entry(number)?);
        let is_last = self.spans().all(|(_, other)| other <= last);
        let entry_sectors = self.entries.len() as u64 / self.sector;
        // The backup is behind everything: its entries, then its header.
        let backup_at = sectors.checked_sub(1)?;
        let backup_entries_at = backup_at.checked_sub(entry_sectors)?;
        // Ends are where partitions begin, so that another one could follow.
        let unit = (ALIGNED_BYTES / self.sector).max(1);
        let end = (backup_entries_at / unit * unit).checked_sub(1)?;
        let usable = backup_entries_at.checked_sub(1)?;
        let gained = end.checked_sub(last)?;
        let beside = ENTRIES_AT + entry_sectors;
        if !is_last || first > last || (gained == 0 && !self.is_unfinished(disk, beside)) {
            return None;
        }
        let mut larger = self.clone();
        let place = (number as usize - 1) * self.entry_bytes + 40;
        larger.entries.get_mut(place..place + 8)?.copy_from_slice(&end.to_le_bytes());
        put(&mut larger.header, 48, usable);
        let Some(places) = self.places(disk, beside, &larger.entries) else { return Some(Err(NoRoom)) };
        let mut writes = Vec::new();
        let mut write = |place: u64, bytes: Vec<u8>| writes.push((place * self.sector, bytes));
        write(backup_entries_at, larger.entries.clone());
        write(backup_at, larger.header_for(backup_at, HEADER_AT, backup_entries_at));
        for entries_at in places {
            write(entries_at, larger.entries.clone());
            write(HEADER_AT, larger.header_for(HEADER_AT, backup_at, entries_at));
        }
        // So that what is found there the next time is not this.
        write(beside, vec![0; larger.entries.len()]);
        if let Some(record) = protective_record(disk, self.sector, sectors) {
            write(0, record);
        }
        Some(Ok(Growth { writes, start: first * self.sector, length: (end - first + 1) * self.sector }))
    }

    /// Where the entries are written. A header and its entries cannot be changed at once, and Linux looks for the backup only if
    /// it is told to (`gpt`, Documentation/admin-guide/kernel-parameters.txt). So entries are written to a place that is not in
    /// use, the header, which is one sector, then changes over, and it all moves back. `None` if there is no such place: where
    /// no partition is, and around a table that lies elsewhere, there may be what the computer boots (U-Boot,
    /// doc/board/rockchip/rockchip.rst: from sector 64 on).
    fn places(&self, disk: &mut impl Bytes, beside: u64, larger: &[u8]) -> Option<Vec<u64>> {
        let (sector, length) = (self.sector as usize, self.entries.len());
        let there = disk.at(beside * self.sector, length)?;
        // What was begun before the power failed may be written again.
        let own = self.entries.chunks(sector).zip(larger.chunks(sector));
        let mut sectors = there.chunks(sector).zip(own);
        let is_unused = sectors
            .all(|(there, (now, then))| there == now || there == then || there.iter().all(|byte| *byte == 0));
        let end = beside + length as u64 / self.sector;
        if !is_unused || self.spans().any(|(first, _)| first < end) {
            return None;
        }
        match u64_at(&self.header, 72) {
            ENTRIES_AT => Some(vec![beside, ENTRIES_AT]),
            // The power failed in between.
            now if now == beside => Some(vec![ENTRIES_AT]),
            _ => None,
        }
    }

    /// Whether the power failed before the last write of a growth, which only takes away what was written beside.
    fn is_unfinished(&self, disk: &mut impl Bytes, beside: u64) -> bool {
        let Some(copy) = disk.at(beside * self.sector, self.entries.len()) else { return false };
        let sector = self.sector as usize;
        let is_zero = |bytes: &[u8]| bytes.iter().all(|byte| *byte == 0);
        let is_of_it = |(there, own): (&[u8], &[u8])| there == own || is_zero(there);
        u64_at(&self.header, 72) == beside
            || (!is_zero(&copy) && copy.chunks(sector).zip(self.entries.chunks(sector)).all(is_of_it))
    }

    fn header_for(&self, own: u64, other: u64, entries_at: u64) -> Vec<u8> {
        let mut header = self.header.clone();
        for (place, value) in [(24, own), (32, other), (72, entries_at)] {
            put(&mut header, place, value);
        }
        let used = u32_at(&header, 80) as usize * self.entry_bytes;
        header[88..92].copy_from_slice(&checksum(&self.entries[..used]).to_le_bytes());
        let size = u32_at(&header, 12) as usize;
        let sum = header_checksum(&header, size);
        header[16..20].copy_from_slice(&sum.to_le_bytes());
        header
    }

    fn entry(&self, number: u32) -> Option<&[u8]> {
        let index = usize::try_from(number).ok()?.checked_sub(1)?;
        let entry = self.entries.chunks_exact(self.entry_bytes).nth(index)?;
        is_used(entry).then_some(entry)
    }

    /// First and last sector of every partition.
    fn spans(&self) -> impl Iterator<Item = (u64, u64)> {
        self.entries.chunks_exact(self.entry_bytes).filter(|entry| is_used(entry)).map(span)
    }
}

fn is_used(entry: &[u8]) -> bool {
    entry[..16].iter().any(|byte| *byte != 0)
}

fn span(entry: &[u8]) -> (u64, u64) {
    (u64_at(entry, 32), u64_at(entry, 40))
}

fn put(bytes: &mut [u8], place: usize, value: u64) {
    bytes[place..place + 8].copy_from_slice(&value.to_le_bytes());
}

/// The master boot record that keeps old programs off, if it says how long the disk was (UEFI 2.10, section 5.2.3).
fn protective_record(disk: &mut impl Bytes, sector: u64, sectors: u64) -> Option<Vec<u8>> {
    const ENTRY: usize = 446;
    let mut record = disk.at(0, usize::try_from(sector).ok()?)?;
    let is_protective = record[ENTRY + 4] == 0xee && u32_at(&record, ENTRY + 12) != u32::MAX;
    let length = u32::try_from(sectors - 1).unwrap_or(u32::MAX);
    record[ENTRY + 12..ENTRY + 16].copy_from_slice(&length.to_le_bytes());
    is_protective.then_some(record)
}

/// The header counts its own checksum as zero.
fn header_checksum(header: &[u8], size: usize) -> u32 {
    let mut header = header[..size].to_vec();
    header[16..20].fill(0);
    checksum(&header)
}

/// CRC-32 as in ISO 3309, bit by bit: it is computed three times in the life of a disk.
fn checksum(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| sum >> 1 ^ if sum & 1 == 1 { 0xedb8_8320 } else { 0 })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECTORS: u64 = 8192;
    /// The last whole mebibyte in front of the backup ends here.
    const GROWN: u64 = 6143;

    /// A disk whose table was made for half of it, with an ESP and a data partition behind.
    fn disk(first_data: u64) -> Vec<u8> {
        let old = SECTORS / 2;
        let mut disk = vec![0; (SECTORS * 512) as usize];
        disk[446 + 4] = 0xee;
        disk[446 + 12..446 + 16].copy_from_slice(&(old as u32 - 1).to_le_bytes());
        let mut header = vec![0; 512];
        header[..8].copy_from_slice(SIGNATURE);
        header[12..16].copy_from_slice(&92u32.to_le_bytes());
        put(&mut header, 40, 34);
        put(&mut header, 48, old - 34);
        header[80..84].copy_from_slice(&128u32.to_le_bytes());
        header[84..88].copy_from_slice(&128u32.to_le_bytes());
        let mut entries = vec![0; 128 * 128];
        for (index, (first, last)) in [(first_data, 2047), (2048, old - 34)].into_iter().enumerate() {
            let entry = &mut entries[index * 128..][..128];
            entry[..16].fill(7);
            entry[16..32].copy_from_slice(&(0..16).collect::<Vec<u8>>());
            put(entry, 32, first);
            put(entry, 40, last);
        }
        let table = Table { sector: 512, header, entries, entry_bytes: 128 };
        let header = table.header_for(1, old - 1, 2);
        disk[512..1024].copy_from_slice(&header);
        disk[1024..1024 + table.entries.len()].copy_from_slice(&table.entries);
        disk
    }

    fn growth(disk: &mut Vec<u8>, number: u32) -> Option<Growth> {
        Table::read(disk, 512)?.grow(disk, number, SECTORS)?.ok()
    }

    fn apply(disk: &mut [u8], place: u64, bytes: &[u8]) {
        disk[place as usize..place as usize + bytes.len()].copy_from_slice(bytes);
    }

    #[test]
    fn checksums_are_those_of_the_standard() {
        assert_eq!(checksum(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn the_last_partition_takes_all_that_is_free() {
        let mut disk = disk(100);
        assert_eq!(growth(&mut disk, 1), None, "another one is behind it");
        assert_eq!(growth(&mut disk, 3), None, "there is none");
        let growth = growth(&mut disk, 2).unwrap();
        assert_eq!((growth.start, growth.length), (2048 * 512, (GROWN - 2048 + 1) * 512));
        for (place, bytes) in &growth.writes {
            apply(&mut disk, *place, bytes);
        }
        assert_eq!(disk[34 * 512..66 * 512], [0; 32 * 512]);
        let table = Table::read(&mut disk, 512).unwrap();
        assert_eq!(table.spans().collect::<Vec<_>>(), [(100, 2047), (2048, GROWN)]);
        assert_eq!(table.identifier(2).unwrap(), "03020100-0504-0706-0809-0a0b0c0d0e0f");
        assert_eq!([u64_at(&table.header, 32), u64_at(&table.header, 72)], [SECTORS - 1, 2]);
        let backup = &disk[(SECTORS as usize - 1) * 512..];
        assert_eq!([24, 32, 72].map(|place| u64_at(backup, place)), [SECTORS - 1, 1, SECTORS - 33]);
        assert_eq!(u32_at(backup, 16), header_checksum(backup, 92));
        assert_eq!(u32_at(&disk, 446 + 12), SECTORS as u32 - 1);
        assert_eq!(table.grow(&mut disk, 2, SECTORS), None, "nothing is left to gain");
        assert_eq!(table.grow(&mut disk, 2, 10), None, "a smaller disk is nothing to grow on");
    }

    #[test]
    fn without_room_for_a_second_table_nothing_is_touched() {
        for (first_data, has_room) in [(40, false), (65, false), (66, true)] {
            let mut disk = disk(first_data);
            let table = Table::read(&mut disk, 512).unwrap();
            let growth = table.grow(&mut disk, 2, SECTORS).unwrap();
            assert_eq!(growth.is_ok(), has_room, "a partition begins at sector {first_data}");
            // There is nothing to complain of where there is nothing to gain.
            assert_eq!(table.grow(&mut disk, 2, SECTORS / 2), None);
        }
        // A boot loader in its place.
        let mut disk = disk(2047);
        disk[64 * 512] = 1;
        let table = Table::read(&mut disk, 512).unwrap();
        assert!(table.grow(&mut disk, 2, SECTORS).unwrap().is_err());
        // A table elsewhere, as tools put it where a boot loader needs its place.
        disk[64 * 512] = 0;
        let mut table = Table::read(&mut disk, 512).unwrap();
        table.header = table.header_for(1, SECTORS / 2 - 1, 56);
        assert!(table.grow(&mut disk, 2, SECTORS).unwrap().is_err());
    }

    #[test]
    fn the_power_may_fail_at_any_moment() {
        for begin in [100, 2048] {
            let original = disk(if begin == 100 { 100 } else { 66 });
            let writes = growth(&mut original.clone(), 2).unwrap().writes;
            for done in 0..writes.len() {
                let mut torn = original.clone();
                for (place, bytes) in &writes[..done] {
                    apply(&mut torn, *place, bytes);
                }
                // Sectors are written whole, in any number of them.
                let (place, bytes) = &writes[done];
                for sectors in 0..bytes.len() / 512 {
                    let mut torn = torn.clone();
                    apply(&mut torn, *place, &bytes[..sectors * 512]);
                    let ends: Vec<u64> =
                        Table::read(&mut torn, 512).unwrap().spans().map(|(_, last)| last).collect();
                    assert!([SECTORS / 2 - 34, GROWN].contains(&ends[1]), "write {done}, sector {sectors}");
                    // What was begun is ended at the next start.
                    for (place, bytes) in growth(&mut torn, 2).map(|growth| growth.writes).unwrap_or_default()
                    {
                        apply(&mut torn, place, &bytes);
                    }
                    let ends: Vec<u64> =
                        Table::read(&mut torn, 512).unwrap().spans().map(|(_, last)| last).collect();
                    assert_eq!(ends, [2047, GROWN]);
                    assert_eq!(torn[34 * 512..66 * 512], [0; 32 * 512], "write {done}, sector {sectors}");
                    assert_eq!(u64_at(&torn[512..], 72), 2, "write {done}, sector {sectors}");
                    assert_eq!(growth(&mut torn, 2), None);
                }
            }
        }
    }

    proptest! {
        #[test]
        fn nothing_that_is_read_can_make_it_panic(
            changes in proptest::collection::vec((512usize..2048, any::<u8>()), 1..16),
            length in 0usize..4096,
            sectors in 0u64..20_000,
            honest in any::<bool>(),
        ) {
            let mut disk = disk(100);
            for (place, byte) in changes {
                disk[place] = byte;
            }
            if honest {
                // With checksums that are right, what is checked is what is in the fields.
                let size = (u32_at(&disk, 512 + 12) as usize).clamp(92, 512);
                let used = (u32_at(&disk, 512 + 80) as usize).saturating_mul(u32_at(&disk, 512 + 84) as usize);
                let entries = checksum(&disk[1024..1024 + used.min(1 << 17)]);
                disk[512 + 88..512 + 92].copy_from_slice(&entries.to_le_bytes());
                let sum = header_checksum(&disk[512..1024], size);
                disk[512 + 16..512 + 20].copy_from_slice(&sum.to_le_bytes());
            }
            let cut = if length < 2048 { 1 << 20 } else { length };
            disk.truncate(cut);
            if let Some(table) = Table::read(&mut disk, 512) {
                for number in [0, 1, 2, 3, 128, u32::MAX] {
                    let _ = table.identifier(number);
                    let _ = table.grow(&mut disk, number, sectors);
                }
            }
        }
    }
}
