//! No block is lost, none is given out twice, and a full disk can be emptied.

use super::disk::{Image, Media, Shared};
use super::model::dump;
use crate::node::Child;
use crate::{Error, FileSystem, Options, check, format};

fn in_memory(child: &mut Child) -> u64 {
    match child {
        Child::Memory(node) => 1 + node.children().map(in_memory).sum::<u64>(),
        Child::Hole | Child::Stored(_) => 0,
    }
}

/// What is counted as being in memory is.
pub fn assert_counts(file_system: &mut FileSystem) {
    let (store, root) = file_system.parts();
    assert_eq!(in_memory(&mut root.root), store.dirty);
}

fn mounted(bytes: u64) -> (Shared, FileSystem) {
    let media = Media::new(Image::new(bytes));
    format(&mut media.disk()).unwrap();
    (media.clone(), FileSystem::mount(media.disk()).unwrap())
}

/// Used blocks, as this file system counts them, and as one that was mounted newly does.
fn assert_nothing_leaks(media: &Shared, file_system: &mut FileSystem) {
    file_system.sync().unwrap();
    let (_, report) = check(media.image().disk());
    let report = report.unwrap();
    assert_eq!(report.problems, []);
    assert_eq!(file_system.room().used_bytes, report.used_blocks * 4096);
}

#[test]
fn after_everything_was_removed_everything_is_free() {
    let (media, mut file_system) = mounted(8 << 20);
    let empty = file_system.room();
    for round in 0..3 {
        file_system.make_directory("d").unwrap();
        for index in 0..300 {
            file_system.create(&format!("d/file {index} {round}")).unwrap();
        }
        file_system.create("big").unwrap();
        file_system.write("big", 12_345, &vec![7; 3 << 20]).unwrap();
        assert_nothing_leaks(&media, &mut file_system);
        file_system.write("big", 1 << 20, &vec![8; 1 << 19]).unwrap();
        file_system.truncate("big", 900_001).unwrap();
        assert_nothing_leaks(&media, &mut file_system);
        for index in 0..150 {
            file_system.remove(&format!("d/file {index} {round}")).unwrap();
        }
        assert_nothing_leaks(&media, &mut file_system);
        file_system.remove_all("d").unwrap();
        file_system.remove("big").unwrap();
        assert_nothing_leaks(&media, &mut file_system);
        assert_eq!(file_system.room(), empty);
    }
}

#[test]
fn a_full_disk_says_so_keeps_its_content_and_can_be_emptied() {
    for bytes in [256 << 10, 1 << 20, 4 << 20] {
        let (media, mut file_system) = mounted(bytes);
        let mut count = 0;
        let full = loop {
            let path = format!("f{count}");
            let written = file_system
                .create(&path)
                .and_then(|()| file_system.write(&path, 0, &vec![count as u8; 9000]));
            assert_counts(&mut file_system);
            match written {
                Ok(()) => count += 1,
                Err(error) => break error,
            }
        };
        assert_eq!(full, Error::NoSpace);
        assert!(count as u64 * 9000 > bytes / 3, "{count} files on {bytes} bytes");
        assert_nothing_leaks(&media, &mut file_system);
        let mut file_system = FileSystem::mount(media.disk()).unwrap();
        for index in 0..count {
            assert_eq!(file_system.read(&format!("f{index}"), 0, 9000).unwrap(), vec![index as u8; 9000]);
        }
        for index in 0..count {
            file_system.remove(&format!("f{index}")).unwrap();
        }
        file_system.remove(&format!("f{count}")).ok();
        file_system.create("again").unwrap();
        file_system.write("again", 0, &vec![1; bytes as usize / 3]).unwrap();
        assert_nothing_leaks(&media, &mut file_system);
    }
}

#[test]
fn a_disk_full_of_names_can_be_emptied() {
    let (media, mut file_system) = mounted(1 << 20);
    let name = |index: u64| format!("{:0>120}", index * 7919 % 10_007);
    let count = (0..).take_while(|index| file_system.create(&name(*index)).is_ok()).count() as u64;
    assert!(count > 2000, "{count}");
    assert_eq!(file_system.create("one more"), Err(Error::NoSpace));
    for index in (0..count).rev() {
        file_system.remove(&name(index)).unwrap();
    }
    assert_counts(&mut file_system);
    assert_nothing_leaks(&media, &mut file_system);
    assert_eq!(file_system.list("/", None, 10), Ok(Vec::new()));
}

#[test]
fn a_write_that_does_not_fit_writes_nothing() {
    let (_, mut file_system) = mounted(1 << 20);
    file_system.create("a").unwrap();
    file_system.write("a", 0, b"before").unwrap();
    assert_eq!(file_system.write("a", 0, &vec![1; 2 << 20]), Err(Error::NoSpace));
    assert_eq!(file_system.write("a", u64::MAX - 3, b"12345"), Err(Error::TooLarge));
    assert_eq!(file_system.read("a", 0, 100).unwrap(), b"before");
}

#[test]
fn what_is_overwritten_again_and_again_does_not_fill_the_disk() {
    let (media, mut file_system) = mounted(1 << 20);
    file_system.create("a").unwrap();
    for round in 0..200u8 {
        file_system.write("a", 0, &vec![round; 200_000]).unwrap();
        assert_counts(&mut file_system);
    }
    assert_nothing_leaks(&media, &mut file_system);
}

#[test]
fn more_than_fits_into_memory_is_written_ahead() {
    let media = Media::new(Image::new(64 << 20));
    format(&mut media.disk()).unwrap();
    let options = Options { changed_blocks: 64, cached_blocks: 16 };
    let mut file_system = FileSystem::mount_with(media.disk(), options).unwrap();
    file_system.create("a").unwrap();
    let before = media.image();
    file_system.write("a", 0, &vec![9; 20 << 20]).unwrap();
    let (store, _) = file_system.parts();
    assert!(store.held() < 400, "{} blocks are in memory", store.held());
    let superblocks = |image: &Image| [0u64, 1].map(|block| image.blocks.get(&block).cloned());
    assert!(superblocks(&before) == superblocks(&media.image()), "no commit: the write is not complete");
    assert_nothing_leaks(&media, &mut file_system);
    assert_eq!(dump(&mut FileSystem::mount(media.disk()).unwrap()), dump(&mut file_system));
}
