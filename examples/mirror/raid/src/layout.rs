//! Where things lie on a member.

use serde::{Deserialize, Serialize};

use crate::record::HEADER_BYTES;

/// Bytes of a head. There are two of them.
pub const HEAD_BYTES: u64 = 8192;

/// Copies of a group's checksum record.
pub const PLACES: u64 = 3;

/// The most regions whose bitmaps fit in a head.
const MOST_REGIONS: u64 = 16 * 1024;

/// The shape of a mirror, which never changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layout {
    /// Bytes of a unit: the block size of the mirror.
    pub unit_bytes: u32,
    /// Units of a group.
    pub group_units: u32,
    /// How many groups there are.
    pub groups: u64,
    /// Groups of a region.
    pub region_groups: u64,
    /// Where the data begins on a member.
    pub data_at: u64,
}

impl Layout {
    /// The largest mirror that fits on members of so many bytes.
    pub fn fit(member_bytes: u64, unit_bytes: u32, group_units: u32) -> Option<Self> {
        let mut layout = Self { unit_bytes, group_units, groups: 0, region_groups: 1, data_at: 0 };
        let alignment = if member_bytes >= 64 << 20 { 1 << 20 } else { u64::from(unit_bytes) };
        let fixed = 2 * HEAD_BYTES + alignment;
        let each = layout.group_bytes() + PLACES * layout.record_bytes() as u64;
        layout.groups = member_bytes.checked_sub(fixed)? / each;
        layout.region_groups = layout.groups.div_ceil(MOST_REGIONS).next_power_of_two();
        layout.data_at = layout.record_at(layout.groups, 0).next_multiple_of(alignment);
        (layout.groups > 0).then_some(layout)
    }

    /// Whether it is one that [`fit`](Self::fit) could have made: heads come from disks.
    pub fn is_sound(&self) -> bool {
        let sizes = (512..=4096).contains(&self.unit_bytes)
            && self.unit_bytes.is_power_of_two()
            && (1..=1024).contains(&self.group_units)
            && (1..=1 << 40).contains(&self.groups);
        sizes
            && self.region_groups == self.groups.div_ceil(MOST_REGIONS).next_power_of_two()
            && self.data_at >= self.record_at(self.groups, 0)
            && self.data_at.is_multiple_of(u64::from(self.unit_bytes))
            && self.data_at <= 1 << 60
    }

    /// Bytes of the mirror.
    pub fn bytes(&self) -> u64 {
        self.groups * self.group_bytes()
    }

    /// Bytes that a member needs.
    pub fn member_bytes(&self) -> u64 {
        self.data_at + self.bytes()
    }

    /// Bytes of a group.
    pub fn group_bytes(&self) -> u64 {
        u64::from(self.unit_bytes) * u64::from(self.group_units)
    }

    /// Bytes of a checksum record.
    pub fn record_bytes(&self) -> usize {
        (HEADER_BYTES + 8 * self.group_units as usize).next_multiple_of(self.unit_bytes as usize)
    }

    /// Where a group's record lies.
    pub fn record_at(&self, group: u64, place: u64) -> u64 {
        2 * HEAD_BYTES + (group * PLACES + place) * self.record_bytes() as u64
    }

    /// How many regions there are.
    pub fn regions(&self) -> u64 {
        self.groups.div_ceil(self.region_groups)
    }

    /// The region of a group.
    pub fn region_of(&self, group: u64) -> u64 {
        group / self.region_groups
    }

    /// The groups of a region.
    pub fn groups_of(&self, region: u64) -> std::ops::Range<u64> {
        let start = region * self.region_groups;
        start..(start + self.region_groups).min(self.groups)
    }

    /// The groups that so many bytes of the mirror touch.
    pub fn groups_touched(&self, offset: u64, length: u64) -> std::ops::Range<u64> {
        offset / self.group_bytes()..(offset + length).div_ceil(self.group_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_follow_each_other_and_fit() {
        for (bytes, unit, units) in [(1 << 16, 512, 4), (64 << 20, 4096, 256), (1 << 40, 4096, 256)] {
            let layout = Layout::fit(bytes, unit, units).unwrap();
            assert!(layout.is_sound(), "{layout:?}");
            assert!(layout.member_bytes() <= bytes && layout.member_bytes() > bytes / 2);
            assert!(layout.regions() <= MOST_REGIONS);
            assert_eq!(layout.groups_of(layout.regions() - 1).end, layout.groups);
        }
        assert_eq!(Layout::fit(16384, 512, 4), None);
    }

    #[test]
    fn a_terabyte_has_regions_of_64_mib() {
        let layout = Layout::fit(1 << 40, 4096, 256).unwrap();
        assert_eq!(layout.region_groups * layout.group_bytes(), 64 << 20);
    }
}
