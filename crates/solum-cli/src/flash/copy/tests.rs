use proptest::prelude::*;
use solum_image::Sparse;

use super::*;

/// A device in memory, full of old bytes, that may fail.
struct Memory {
    bytes: Vec<u8>,
    /// Writes fail when so many bytes were written.
    fails_after: u64,
    written: u64,
    /// This byte is kept wrong.
    forgets: Option<usize>,
    synced: bool,
    forgotten_behind: Option<u64>,
    /// There is nothing at its end that could be written.
    is_smaller_than_it_says: bool,
}

impl Memory {
    fn new(length: u64) -> Self {
        Self {
            bytes: vec![0xee; length as usize],
            fails_after: u64::MAX,
            written: 0,
            forgets: None,
            synced: true,
            forgotten_behind: None,
            is_smaller_than_it_says: false,
        }
    }

    fn take(&mut self, length: u64) -> io::Result<()> {
        self.written += length;
        self.synced = false;
        if self.written > self.fails_after { Err(io::Error::from_raw_os_error(5)) } else { Ok(()) }
    }
}

impl Target for Memory {
    fn write(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.take(bytes.len() as u64)?;
        self.bytes[offset as usize..][..bytes.len()].copy_from_slice(bytes);
        Ok(())
    }

    fn zero(&mut self, range: Range<u64>) -> io::Result<()> {
        assert!(range.start.is_multiple_of(ALIGNMENT) && range.end.is_multiple_of(ALIGNMENT), "{range:?}");
        self.take(0)?;
        self.bytes[range.start as usize..range.end as usize].fill(0);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.synced = true;
        Ok(())
    }

    fn forget_behind(&mut self, length: u64) -> io::Result<()> {
        self.forgotten_behind = Some(length);
        if self.is_smaller_than_it_says { Err(io::Error::from_raw_os_error(5)) } else { Ok(()) }
    }

    fn read_back(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        buffer.copy_from_slice(&self.bytes[offset as usize..][..buffer.len()]);
        if let Some(at) =
            self.forgets.filter(|at| (offset..offset + buffer.len() as u64).contains(&(*at as u64)))
        {
            buffer[at - offset as usize] ^= 1;
        }
        Ok(())
    }
}

fn image(length: u64, pieces: &[(u64, usize)]) -> Sparse {
    let mut image = Sparse::new(length);
    for (offset, size) in pieces {
        image.push(*offset, (0..*size).map(|byte| (byte % 251) as u8 + 1).collect());
    }
    image
}

/// Larger than what is synced at once, with holes and an end that is no multiple of a sector of 4096 bytes.
fn large() -> Sparse {
    image((40 << 20) + 2048, &[(0, 3000), (2_000_003, 9_000_000), (30 << 20, 5 << 20), (40 << 20, 2048)])
}

#[test]
fn holes_are_zeros_afterwards_and_what_lies_behind_is_left() {
    let image = large();
    let mut device = Memory::new(48 << 20);
    let mut told = Vec::new();
    write(&image, &mut device, |kept| {
        told.push(kept);
        true
    })
    .unwrap();
    assert!(device.synced && device.forgotten_behind == Some(image.length()));
    assert!(device.bytes[..image.length() as usize] == image.to_vec());
    assert!(device.bytes[image.length() as usize..].iter().all(|byte| *byte == 0xee));
    assert_eq!(told.last(), Some(&image.length()));
    assert!(told.is_sorted() && told.iter().any(|kept| (1..image.length()).contains(kept)), "{told:?}");
    verify(&image, &mut device, |_| true).unwrap();
}

/// Whenever the user wants no more, it is told what is on the device then.
#[test]
fn what_is_left_is_what_is_told() {
    let image = large();
    for asked_before in 0.. {
        let mut device = Memory::new(48 << 20);
        let mut asked = 0;
        let written = write(&image, &mut device, |_| {
            asked += 1;
            asked <= asked_before
        });
        assert!(device.synced);
        match written {
            Err((Trouble::Interrupted, Left::Untouched)) => {
                assert!(asked_before == 0 && device.bytes.iter().all(|byte| *byte == 0xee));
            }
            Err((Trouble::Interrupted, Left::Half)) => {
                assert!(device.bytes[..HEAD as usize].iter().all(|byte| *byte == 0));
            }
            Err(other) => panic!("{other:?} after {asked_before}"),
            Ok(()) => {
                assert!(asked_before > 3 && device.bytes[..image.length() as usize] == image.to_vec());
                break;
            }
        }
    }
    let mut device = Memory::new(48 << 20);
    assert!(matches!(verify(&image, &mut device, |_| false), Err((Trouble::Interrupted, Left::Unread))));
}

#[test]
fn a_device_that_goes_away_is_an_error() {
    let mut device = Memory { fails_after: 20 << 20, ..Memory::new(48 << 20) };
    let device_full = image(48 << 20, &[(0, 48 << 20)]);
    let (failed, left) = write(&device_full, &mut device, |_| true).unwrap_err();
    assert_eq!(left, Left::Half);
    assert_eq!(failed.to_string(), "the device cannot be written: input/output error");
    assert!(device.bytes[..HEAD as usize].iter().all(|byte| *byte == 0));
}

#[test]
fn what_is_left_after_an_error_is_what_is_told() {
    let image = large();
    let bytes = image.to_vec();
    let mut device = Memory { is_smaller_than_it_says: true, ..Memory::new(48 << 20) };
    assert!(matches!(write(&image, &mut device, |_| true), Err((Trouble::Write(_), Left::Half))));
    assert!(device.bytes[..HEAD as usize].iter().all(|byte| *byte == 0));
    // The first write that fails is the last one, of the head.
    let written: u64 = steps(&image)
        .unwrap()
        .iter()
        .map(|step| match step {
            Step::Copy(range) => range.end - range.start,
            Step::Zero(_) => 0,
        })
        .sum();
    let mut device = Memory { fails_after: written - 1, ..Memory::new(48 << 20) };
    assert!(matches!(write(&image, &mut device, |_| true), Err((Trouble::Write(_), Left::Unknown))));
    assert!(device.bytes[HEAD as usize..bytes.len()] == bytes[HEAD as usize..]);
}

#[test]
fn a_byte_that_is_not_kept_is_found() {
    let image = large();
    for at in [0, 5_000_000, 20 << 20, image.length() as usize - 1] {
        let mut device = Memory { forgets: Some(at), ..Memory::new(48 << 20) };
        write(&image, &mut device, |_| true).unwrap();
        let (found, _) = verify(&image, &mut device, |_| true).unwrap_err();
        assert!(matches!(found, Trouble::Different(place) if place == at as u64), "{found}");
    }
}

proptest! {
    #[test]
    fn any_image_is_written_whole(
        length in 1u64..5_000_000,
        cuts in proptest::collection::btree_set(0u64..5_000_000, 0..8)
    ) {
        let cuts: Vec<u64> = cuts.into_iter().filter(|cut| *cut < length).collect();
        let pieces: Vec<(u64, usize)> =
            cuts.chunks_exact(2).map(|pair| (pair[0], (pair[1] - pair[0]) as usize)).collect();
        let image = image(length, &pieces);
        let mut device = Memory::new(5_000_000);
        write(&image, &mut device, |_| true).unwrap();
        prop_assert!(device.bytes[..length as usize] == image.to_vec());
        prop_assert!(device.bytes[length as usize..].iter().all(|byte| *byte == 0xee));
    }
}
