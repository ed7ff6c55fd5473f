//! Disks with anything on them: no panic, no endless wait, no wrong memory.

use std::rc::Rc;

use proptest::prelude::*;

use super::disk::{Image, Media, Numbers};
use super::model::{act_on, random_act};
use crate::store::Tamper;
use crate::{Defect, Error, FileSystem, check, format};

/// Does all that can be done with what is on a disk.
fn use_it(image: &Image, seed: u64) {
    let _ = check(image.disk()).1;
    let Ok(mut file_system) = FileSystem::mount(image.disk()) else { return };
    let mut directories = vec!["/".to_owned()];
    while let Some(path) = directories.pop() {
        for listed in file_system.list(&path, None, 100).unwrap_or_default() {
            let below = format!("{}/{}", path.trim_end_matches('/'), listed.name);
            let _ = file_system.read(&below, listed.size.saturating_sub(9000), 9000);
            let _ = file_system.read(&below, 0, 20_000);
            directories.push(below);
        }
    }
    let mut numbers = Numbers(seed);
    for _ in 0..30 {
        let _ = act_on(&mut file_system, &random_act(&mut numbers));
    }
    let _ = file_system.remove_all("a");
    let _ = file_system.sync();
    let _ = check(file_system.into_disk()).1;
}

fn sample(tamper: Option<Tamper>) -> Image {
    let media = Media::new(Image::new(1 << 20));
    format(&mut media.disk()).unwrap();
    let mut file_system = FileSystem::mount(media.disk()).unwrap();
    file_system.make_directory("0").unwrap();
    file_system.make_directory("a").unwrap();
    file_system.create("0/1").unwrap();
    file_system.write("0/1", 0, &vec![5; 100_000]).unwrap();
    file_system.create("2").unwrap();
    file_system.write("2", 70_000, &[6; 4096]).unwrap();
    for index in 0..120 {
        file_system.create(&format!("a/name number {index}")).unwrap();
    }
    file_system.parts().0.tamper = tamper;
    file_system.sync().unwrap();
    media.image()
}

proptest! {
    #![proptest_config(super::cases(64))]

    #[test]
    fn random_bytes_are_no_file_system(seed: u64, blocks in 0u64..300) {
        let mut numbers = Numbers(seed);
        let mut image = Image::new(blocks * 4096 + 512 * (seed % 8));
        for block in 0..blocks {
            image.write(block * 4096, &(0..4096).map(|_| numbers.next() as u8).collect::<Vec<_>>());
        }
        let error = FileSystem::mount(image.disk()).map(drop).unwrap_err();
        let is_expected = matches!(error, Error::NotFormatted { blank: false } | Error::Unusable(_));
        prop_assert!(is_expected, "{}", error);
    }

    #[test]
    fn changed_bytes_are_survived(seed: u64, changes in 1u64..40) {
        let mut image = sample(None);
        let mut numbers = Numbers(seed);
        let used: Vec<u64> = image.blocks.keys().copied().collect();
        for _ in 0..changes {
            let block = used[numbers.below(used.len() as u64) as usize];
            let bytes = Rc::make_mut(image.blocks.get_mut(&block).unwrap());
            bytes[numbers.below(4096) as usize] = numbers.next() as u8;
        }
        use_it(&image, seed);
    }

    #[test]
    fn blocks_that_make_no_sense_under_right_checksums_are_survived(seed: u64, often in 1u64..20) {
        let mut numbers = Numbers(seed);
        let image = sample(Some(Box::new(move |bytes| {
            if numbers.below(often) == 0 {
                for _ in 0..numbers.below(12) {
                    let place = if numbers.below(2) == 0 { numbers.below(64) } else { numbers.below(4096) };
                    bytes[place as usize] = numbers.next() as u8 >> numbers.below(8);
                }
            }
        })));
        use_it(&image, seed);
    }

    #[test]
    fn references_that_lead_anywhere_are_survived(seed: u64) {
        // The addresses of entries: of an index every 32 bytes, of a leaf behind kind, levels and size.
        let mut numbers = Numbers(seed);
        let image = sample(Some(Box::new(move |bytes| {
            let (first, each) = if bytes[0] == 1 && bytes[1] == 0 { (15, 56) } else { (0, 32) };
            let at = first + each * numbers.below(4) as usize;
            bytes[at..at + 8].copy_from_slice(&[numbers.below(300), u64::MAX, 1 << 52][numbers.below(3) as usize].to_le_bytes());
        })));
        use_it(&image, seed);
    }
}

#[test]
fn a_reference_to_no_block_is_named() {
    for (address, expected) in
        [(300u64, Defect::OutOfRange), (255, Defect::OutOfRange), (1, Defect::OutOfRange)]
    {
        let image = sample(Some(Box::new(move |bytes| {
            if bytes[..4] == [1, 0, 3, 0] {
                bytes[15..23].copy_from_slice(&address.to_le_bytes());
            }
        })));
        let problems = check(image.disk()).1.unwrap().problems;
        let found: Vec<_> =
            problems.iter().map(|problem| (&*problem.path, problem.block, problem.defect)).collect();
        assert_eq!(found, [("/0", address, expected)]);
    }
}

#[test]
fn disks_that_cannot_hold_a_file_system_are_refused_with_the_reason() {
    let error = format(&mut Image::new(100_000).disk()).unwrap_err();
    assert_eq!(error.to_string(), "the disk has 100000 bytes, and a file system needs at least 262144");
    let media = Media::new(sample(None));
    media.0.borrow_mut().image.bytes = 1 << 19;
    let error = FileSystem::mount(media.disk()).map(drop).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the disk has 524288 bytes, but the file system on it was made for 1048576"
    );
    let mut superblock = crate::anchor::find(&mut sample(None).disk()).unwrap().newest;
    superblock.generation = u64::MAX;
    let mut image = sample(None);
    image.write(0, &superblock.encode(0));
    let error = FileSystem::mount(image.disk()).map(drop).unwrap_err();
    assert_eq!(error.to_string(), "the superblock makes no sense, though its checksum is right");
    let blank = FileSystem::mount(Image::new(1 << 20).disk()).map(drop).unwrap_err();
    assert_eq!(blank, Error::NotFormatted { blank: true });
    let mut other = Image::new(1 << 20);
    other.write(1024, &[0x53; 512]);
    let other = FileSystem::mount(other.disk()).map(drop).unwrap_err();
    assert_eq!(other, Error::NotFormatted { blank: false });
}

#[test]
fn a_file_system_from_a_smaller_disk_works_on_a_larger_one() {
    let mut image = sample(None);
    image.bytes = 2 << 20;
    let media = Media::new(image);
    let mut file_system = FileSystem::mount(media.disk()).unwrap();
    assert_eq!(file_system.room().total_bytes, 1 << 20);
    file_system.create("new").unwrap();
    file_system.sync().unwrap();
    assert_eq!(check(media.disk()).1.unwrap().problems, []);
}
