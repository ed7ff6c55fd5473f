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
        }
    }
}
