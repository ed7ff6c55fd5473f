//! What each operation does and refuses, with the words it finds for it.

use solum::Disk;

use super::disk::{Image, Media, Numbers};
use crate::{Error, FILE_BYTES_MAX, FileSystem, Kind, Mark, Standing, Stat, check, format};

/// Enough without optimisation.
const STACK_BYTES: usize = 64 << 10;

fn mounted() -> FileSystem {
    let mut disk = Disk::memory(4 << 20);
    format(&mut disk).unwrap();
    FileSystem::mount(disk).unwrap()
}

fn refused<T>(outcome: crate::Result<T>) -> String {
    outcome.map(drop).unwrap_err().to_string()
}

#[test]
fn operations_say_why_they_refuse() {
    let mut fs = mounted();
    fs.make_directory("d").unwrap();
    fs.create("d/f").unwrap();
    for (said, expected) in [
        (refused(fs.read("x", 0, 1)), "x: there is no such file or directory"),
        (refused(fs.read("x/y", 0, 1)), "/x: there is no such file or directory"),
        (refused(fs.create("d/f")), "d/f: it exists already"),
        (refused(fs.make_directory("/")), "/: it exists already"),
        (refused(fs.create("d/f/g")), "/d/f: it is a file, and no directory"),
        (refused(fs.read("d", 0, 1)), "d: it is a directory, and no file"),
        (refused(fs.write("/", 0, b"x")), "/: it is a directory, and no file"),
        (refused(fs.list("d/f", None, 1)), "d/f: it is a file, and no directory"),
        (refused(fs.remove("d")), "d: it is a directory, and no file"),
        (refused(fs.remove_directory("d")), "d: the directory is not empty"),
        (refused(fs.remove_directory("d/f")), "d/f: it is a file, and no directory"),
        (refused(fs.rename("d", "d/e")), "d/e: a directory cannot be moved into itself"),
        (refused(fs.rename("d/f", "d")), "d: it is a directory, and no file"),
        (refused(fs.rename("d", "d/f")), "d/f: a directory cannot be moved into itself"),
        (refused(fs.rename("/", "e")), "\"/\" is no path: the root has no other name"),
        (refused(fs.remove_all("/")), "\"/\" is no path: the root cannot be removed"),
        (refused(fs.create("a/../b")), "\"a/../b\" is no path: names cannot be . or .."),
        (refused(fs.truncate("d/f", FILE_BYTES_MAX + 1)), "the file would be longer than a file can be"),
    ] {
        assert_eq!(said, expected);
    }
}

#[test]
fn the_ends_of_the_longest_file_can_be_written() {
    let mut fs = mounted();
    fs.create("a").unwrap();
    fs.write("a", FILE_BYTES_MAX - 3, b"end").unwrap();
    fs.write("a", 0, b"begin").unwrap();
    fs.sync().unwrap();
    assert_eq!(fs.read("a", FILE_BYTES_MAX - 5, 100).unwrap(), b"\0\0end");
    assert_eq!(fs.read("a", 3, 4).unwrap(), b"in\0\0");
    assert_eq!(fs.read("a", 1 << 40, 3).unwrap(), [0; 3]);
    fs.truncate("a", 2).unwrap();
    fs.truncate("a", 6).unwrap();
    assert_eq!(fs.read("a", 0, 100).unwrap(), b"be\0\0\0\0");
}

#[test]
fn a_large_directory_is_listed_in_order_and_in_parts() {
    let mut fs = mounted();
    let name = |index: u32| format!("{:05}", index * 7919 % 10_007);
    for index in 0..3000 {
        fs.create(&name(index)).unwrap();
    }
    fs.sync().unwrap();
    let (mut names, mut after) = (Vec::new(), None);
    loop {
        let part = fs.list("/", after.as_deref(), 100).unwrap();
        let Some(last) = part.last() else { break };
        after = Some(last.name.clone());
        names.extend(part.into_iter().map(|listed| listed.name));
    }
    let mut expected: Vec<String> = (0..3000).map(name).collect();
    expected.sort();
    assert_eq!(names, expected);
    assert_eq!(fs.stat("/").unwrap(), Stat { kind: Kind::Directory, size: 3000 });
}

#[test]
fn a_directory_of_many_levels_grows_and_shrinks_and_finds_its_names() {
    let media = Media::new(Image::new(16 << 20));
    format(&mut media.disk()).unwrap();
    let mut fs = FileSystem::mount(media.disk()).unwrap();
    let name = |index: u64| format!("{:0>250}", index * 7919 % 10_007);
    let mut numbers = Numbers(1);
    let (mut there, mut gone): (Vec<u64>, Vec<u64>) = ((0..2000).collect(), Vec::new());
    for index in &there {
        fs.create(&name(*index)).unwrap();
    }
    assert!(fs.parts().1.levels >= 3, "{}", fs.parts().1.levels);
    for left in [1500, 500, 100, 20, 3, 0] {
        while there.len() > left {
            // Neighbours go together, so that nodes become empty beside full ones.
            there.sort_unstable_by_key(|index| name(*index));
            let begin = numbers.below(there.len() as u64) as usize;
            let end = there.len().min(begin + 20).min(begin + there.len() - left);
            for index in there.drain(begin..end) {
                fs.remove(&name(index)).unwrap();
                gone.push(index);
            }
        }
        super::accounting::assert_counts(&mut fs);
        // Some come back, where others are missing now.
        for _ in 0..left / 4 {
            let index = gone.swap_remove(numbers.below(gone.len() as u64) as usize);
            fs.create(&name(index)).unwrap();
            there.push(index);
        }
        fs.sync().unwrap();
        assert_eq!(check(media.image().disk()).1.unwrap().problems, []);
        assert!(there.iter().all(|index| fs.stat(&name(*index)).is_ok()), "with {left} left");
        assert!(gone.iter().all(|index| fs.stat(&name(*index)).is_err()), "with {left} left");
        assert!(left > 20 || fs.parts().1.levels <= 1, "{} levels for {left} names", fs.parts().1.levels);
    }
    assert_eq!(fs.parts().1.levels, 0);
}

#[test]
fn a_directory_moves_with_all_that_is_in_it_but_not_too_deep() {
    let mut fs = mounted();
    let deep = |names: usize| vec!["d"; names].join("/");
    for depth in 1..=30 {
        fs.make_directory(&deep(depth)).unwrap();
    }
    fs.make_directory("e").unwrap();
    fs.make_directory("e/f").unwrap();
    fs.create("e/f/g").unwrap();
    let error = fs.rename("e", &format!("{}/e", deep(30))).unwrap_err();
    assert!(error.to_string().ends_with("what is in it would be more than 32 names deep"), "{error}");
    fs.rename("e", &format!("{}/e", deep(29))).unwrap();
    assert_eq!(fs.stat(&format!("{}/e/f/g", deep(29))).unwrap().kind, Kind::File);
}

#[test]
fn the_deepest_tree_needs_little_stack() {
    // A simulated unit has a stack of its own, and no large one.
    let work = || {
        let media = Media::new(Image::new(4 << 20));
        format(&mut media.disk()).unwrap();
        let mut fs = FileSystem::mount(media.disk()).unwrap();
        let deep = |names: usize| vec!["d"; names].join("/");
        for depth in 1..32 {
            fs.make_directory(&deep(depth)).unwrap();
        }
        let file = deep(32);
        fs.create(&file).unwrap();
        fs.write(&file, 0, b"begin").unwrap();
        fs.write(&file, FILE_BYTES_MAX - 3, b"end").unwrap();
        fs.sync().unwrap();
        fs.rename("d", "e").unwrap();
        fs.sync().unwrap();
        assert_eq!(check(media.disk()).1.unwrap().directories, 31);
        let mut fs = FileSystem::mount(media.disk()).unwrap();
        fs.write(&file.replacen('d', "e", 1), 5, b"more").unwrap();
        fs.remove_all("e").unwrap();
        fs.sync().unwrap();
        assert_eq!(check(media.disk()).1.unwrap().used_blocks, 4);
    };
    let thread = std::thread::Builder::new().stack_size(STACK_BYTES).spawn(work).unwrap();
    thread.join().unwrap();
}

#[test]
fn a_mark_says_what_became_of_changes() {
    let media = Media::new(Image::new(1 << 20));
    format(&mut media.disk()).unwrap();
    let mut fs = FileSystem::mount(media.disk()).unwrap();
    fs.create("a").unwrap();
    let first = fs.mark();
    assert_eq!(fs.standing(first), Standing::Pending);
    fs.sync().unwrap();
    assert_eq!(fs.standing(first), Standing::Durable);
    fs.create("b").unwrap();
    let second = fs.mark();
    // The process ends here.
    let mut fs = FileSystem::mount(media.disk()).unwrap();
    assert_eq!((fs.standing(first), fs.standing(second)), (Standing::Durable, Standing::Lost));
    fs.create("c").unwrap();
    assert_eq!(fs.standing(second), Standing::Lost, "though there are as many changes now");
    fs.sync().unwrap();
    let fs = FileSystem::mount(media.disk()).unwrap();
    assert_eq!(fs.standing(second), Standing::Lost);
    assert_eq!(fs.standing(Mark { life: u64::MAX, change: 0 }), Standing::Lost);
}

#[test]
fn a_disk_that_cannot_be_written_is_mounted_and_not_changed() {
    struct ReadOnly(Disk);
    impl solum::disk::Driver for ReadOnly {
        fn geometry(&self) -> solum::disk::Geometry {
            solum::disk::Geometry { bytes: self.0.capacity(), block_bytes: 4096, writable: false }
        }
        fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> solum::Result<()> {
            self.0.read_at(offset, buffer)
        }
        fn write_at(&mut self, _: u64, _: &[u8]) -> solum::Result<()> {
            panic!("it is written")
        }
        fn flush(&mut self) -> solum::Result<()> {
            panic!("it is flushed")
        }
        fn discard(&mut self, _: u64, _: u64) -> solum::Result<()> {
            panic!("it is written")
        }
    }
    let mut fs = mounted();
    fs.create("a").unwrap();
    fs.sync().unwrap();
    let mut fs = FileSystem::mount(Disk::new(Box::new(ReadOnly(fs.into_disk())))).unwrap();
    assert_eq!(fs.stat("a").unwrap().size, 0);
    assert_eq!(
        (fs.create("b"), fs.remove("a"), fs.sync()),
        (Err(Error::ReadOnly), Err(Error::ReadOnly), Ok(()))
    );
}
