use super::*;
use crate::gpt::Guid;
use crate::sparse::{Sparse, read_vec};
use proptest::prelude::*;
use std::io::Cursor;

const VHD: vhd::Options = vhd::Options { id: Guid::new(7), epoch_s: 1_763_763_013 };

fn wrap(wrapping: Wrapping, disk: &Sparse) -> Vec<u8> {
    let mut sink = Cursor::new(Vec::new());
    match wrapping {
        Wrapping::Raw => write_raw(disk, &mut sink).unwrap(),
        Wrapping::Qcow2 => qcow2::write(disk, &mut sink).unwrap(),
        Wrapping::Vmdk => vmdk::write(disk, "disk.vmdk", &mut sink).unwrap(),
        Wrapping::Vhd => vhd::write(disk, &VHD, &mut sink).unwrap(),
    }
    sink.into_inner()
}

/// Bytes that do not compress.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 1u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..length).map(|_| next()).collect()
}

fn disk() -> Sparse {
    let mut disk = Sparse::new(40 << 20);
    disk.push(5, vec![1; 70_000]);
    disk.push(1 << 20, noise(200_000));
    disk.push(3 << 20, vec![0; 1 << 20]);
    disk.push((40 << 20) - 3, vec![1, 2, 3]);
    disk
}

#[test]
fn what_is_wrapped_is_unwrapped() {
    for wrapping in [Wrapping::Qcow2, Wrapping::Vmdk, Wrapping::Vhd] {
        let bytes = wrap(wrapping, &disk());
        assert!(bytes == wrap(wrapping, &disk()), "{wrapping:?}: the same bytes");
        let (found, inside) = open(bytes).unwrap();
        assert_eq!(found, wrapping);
        assert_eq!(inside.length(), disk().length());
        assert!(read_vec(&inside, 0, inside.length()).unwrap() == disk().to_vec(), "{wrapping:?}");
        assert!(inside.read_at(inside.length() - 1, &mut [0; 2]).is_err());
    }
}

/// All that is not zero lies in what `next_data` names. Gives how much that is.
fn named(inside: &dyn ReadAt) -> u64 {
    let mut seen = Sparse::new(inside.length());
    let (mut from, mut sum) = (0, 0);
    while let Some(range) = inside.next_data(from).unwrap() {
        assert!(from <= range.start && range.start < range.end && range.end <= inside.length());
        seen.push(range.start, read_vec(inside, range.start, range.end - range.start).unwrap());
        sum += range.end - range.start;
        from = range.end;
    }
    assert!(seen.to_vec() == read_vec(inside, 0, inside.length()).unwrap());
    sum
}

#[test]
fn holes_of_a_wrapped_disk_need_not_be_read() {
    for wrapping in [Wrapping::Qcow2, Wrapping::Vmdk] {
        let (_, inside) = open(wrap(wrapping, &disk())).unwrap();
        // 2 blocks, 4 of noise with parts of the first and last, and the last one of all.
        assert_eq!(named(&inside), 7 * (64 << 10), "{wrapping:?}");
        let at = (1 << 20) + 5;
        assert_eq!(inside.next_data(at).unwrap(), Some(at..(1 << 20) + (256 << 10)), "{wrapping:?}");
        assert_eq!(inside.next_data(inside.length()).unwrap(), None);
    }
}

/// Counts what is read.
struct Counting<'a>(Vec<u8>, &'a std::cell::Cell<u64>);

impl ReadAt for Counting<'_> {
    fn length(&self) -> u64 {
        self.0.length()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.1.set(self.1.get() + buffer.len() as u64);
        self.0.read_at(offset, buffer)
    }
}

#[test]
fn a_large_empty_disk_is_seen_to_be_empty_from_its_tables() {
    for wrapping in [Wrapping::Qcow2, Wrapping::Vmdk] {
        let mut empty = Sparse::new(100 << 30);
        // Each of them twice in a table's reach.
        for at in 0..20u64 {
            empty.push((at << 32) + (1 << 20), vec![1; 10]);
            empty.push((at << 32) + (3 << 20), vec![1; 10]);
        }
        let read = std::cell::Cell::new(0);
        let (_, inside) = open(Counting(wrap(wrapping, &empty), &read)).unwrap();
        let (mut from, mut found) = (0, 0);
        while let Some(range) = inside.next_data(from).unwrap() {
            found += 1;
            from = range.end;
        }
        assert_eq!(found, 40, "{wrapping:?}");
        // A VMDK has tables for everything.
        assert!(read.get() < 10 << 20, "{wrapping:?}: {}", read.get());
    }
}

#[test]
fn clusters_that_are_said_to_be_zeros_are_holes() {
    let mut bytes = wrap(Wrapping::Qcow2, &disk());
    let number = |bytes: &[u8], at: u64| crate::sparse::number::u64_be(bytes, at as usize);
    let entry = |bytes: &[u8]| (number(bytes, number(bytes, 40)) & 0x00ff_ffff_ffff_fe00) + 8 * 17;
    let at = entry(&bytes);
    assert_eq!(number(&bytes, at) >> 62, 2, "the second cluster of the noise is not compressed");
    bytes[at as usize + 7] |= 1;
    let (_, inside) = open(bytes).unwrap();
    assert_eq!(named(&inside), 6 * (64 << 10));
    let cluster = |index: u64| index * (64 << 10);
    assert_eq!(inside.next_data(cluster(17)).unwrap(), Some(cluster(18)..cluster(20)));
    assert_eq!(read_vec(&inside, cluster(17), 1 << 16).unwrap(), [0; 1 << 16]);
}

#[test]
fn zeros_cost_nothing_and_the_rest_is_compressed() {
    let vmdk = wrap(Wrapping::Vmdk, &disk()).len();
    assert!(vmdk < 600_000, "{vmdk}");
    let qcow2 = wrap(Wrapping::Qcow2, &disk()).len();
    // Noise and its cluster's rest, and four clusters of tables.
    assert!(qcow2 < 700_000, "{qcow2}");
    let empty = Sparse::new(1 << 40);
    assert!(wrap(Wrapping::Qcow2, &empty).len() < 500_000);
}

#[test]
fn a_fixed_vhd_has_whole_mebibytes() {
    let mut odd = Sparse::new((2 << 20) + 512);
    odd.push(2 << 20, vec![9; 512]);
    let bytes = wrap(Wrapping::Vhd, &odd);
    assert_eq!(bytes.len(), (3 << 20) + 512);
    assert_eq!(bytes[2 << 20], 9);
}

#[test]
fn a_raw_disk_is_one_without_wrapping() {
    assert_eq!(open(vec![1; 600]).unwrap().0, Wrapping::Raw);
    assert_eq!(open(vec![]).unwrap().0, Wrapping::Raw);
}

#[test]
fn a_vmdk_cannot_be_everything() {
    let mut sink = Cursor::new(Vec::new());
    assert!(vmdk::write(&Sparse::new(2 << 40), "a", &mut sink).is_err());
    assert!(vmdk::write(&Sparse::new(512), "a\"b", &mut sink).is_err());
}

proptest! {
    #[test]
    fn damage_is_no_panic(
        which in 0usize..3,
        damage in prop::collection::vec((0usize..600, any::<u8>()), 1..8),
        places in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
        length in any::<prop::sample::Index>(),
        whole: bool,
    ) {
        let mut small = Sparse::new(1 << 20);
        small.push(100_000, vec![5; 100_000]);
        let mut bytes = wrap([Wrapping::Qcow2, Wrapping::Vmdk, Wrapping::Vhd][which], &small);
        let end = bytes.len();
        for (at, value) in damage {
            // A VHD's numbers are at the end.
            let at = if which == 2 { end - 1 - at } else { at };
            bytes[at] = value;
        }
        for place in places {
            bytes[place.index(end)] ^= 0x81;
        }
        if !whole {
            bytes.truncate(length.index(end));
        }
        if let Ok((_, inside)) = open(bytes) {
            let mut part = vec![0; 200_000];
            let _ = inside.read_at(0, &mut part);
            let _ = inside.read_at(inside.length().saturating_sub(200_000), &mut part);
            // It comes to an end, too: each stretch lies behind the one before.
            let mut from = 0;
            for _ in 0..100 {
                let Ok(Some(range)) = inside.next_data(from) else { break };
                prop_assert!(from <= range.start && range.start < range.end && range.end <= inside.length());
                from = range.end;
            }
        }
    }
}
