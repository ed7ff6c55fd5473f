//! Disks that lie, rot and fail: what is read is right, or an error says that it is damaged.

use std::cell::RefCell;
use std::rc::Rc;

use super::disk::{Done, Image, Media, Numbers, Shared};
use super::model::{Act, Tree, act_on, dump};
use crate::{Defect, Error, FileSystem, Options, Piece, check, format};

fn text(length: usize, seed: u8) -> Vec<u8> {
    (0..length).map(|index| seed.wrapping_add((index / 7) as u8)).collect()
}

fn workload() -> Vec<Act> {
    let mut acts = vec![
        Act::MakeDirectory("d".into()),
        Act::Create("d/small".into()),
        Act::Write("d/small".into(), 0, text(5000, 1)),
        Act::Sync,
        Act::Create("big".into()),
        Act::Write("big".into(), 0, text(300_000, 2)),
        Act::Sync,
        Act::Write("big".into(), 40_000, text(10_000, 3)),
        Act::Sync,
    ];
    acts.extend((0..80).map(|index| Act::Create(format!("d/a name that takes some room {index}"))));
    acts.extend([Act::Sync, Act::Rename("d/small".into(), "small".into()), Act::Sync]);
    acts
}

fn formatted() -> Shared {
    let media = Media::new(Image::new(4 << 20));
    format(&mut media.disk()).unwrap();
    media
}

/// Does it all; gives what there must be then.
fn work(media: &Shared) -> Tree {
    let mut tree = Tree::empty();
    let mut file_system = FileSystem::mount(media.disk()).unwrap();
    for act in workload() {
        act_on(&mut file_system, &act).unwrap();
        tree.act(&act).unwrap();
    }
    tree
}

/// What can be read is what there must be; gives how many things are damaged.
fn damaged_but_never_wrong(image: &Image, expected: &Tree, what: &str) -> usize {
    let mut file_system = FileSystem::mount(image.disk()).unwrap();
    let damaged = compare(&mut file_system, "/", expected, what);
    let is_noticed = !check(image.disk()).1.unwrap().problems.is_empty();
    assert!(damaged == 0 || is_noticed, "{what}: check finds what reading finds");
    damaged
}

fn compare(file_system: &mut FileSystem, path: &str, expected: &Tree, what: &str) -> usize {
    match expected {
        Tree::File(content) => match file_system.read(path, 0, u64::MAX) {
            Ok(found) => assert!(found == *content, "{what}: {path} is wrong"),
            Err(Error::Damaged(_)) => return 1,
            Err(error) => panic!("{what}: {error}"),
        },
        Tree::Directory(entries) => match file_system.list(path, None, usize::MAX) {
            Ok(listed) => {
                let names: Vec<_> = listed.iter().map(|listed| &listed.name).collect();
                assert_eq!(names, entries.keys().collect::<Vec<_>>(), "{what}");
                let below = |(name, tree): (&String, &Tree)| {
                    compare(file_system, &format!("{}/{name}", path.trim_end_matches('/')), tree, what)
                };
                return entries.iter().map(below).sum();
            }
            Err(Error::Damaged(_)) => return 1,
            Err(error) => panic!("{what}: {error}"),
        },
    }
    0
}

#[test]
fn a_bit_that_rots_anywhere_is_noticed_or_does_not_matter() {
    let media = formatted();
    let expected = work(&media);
    let image = media.image();
    let mut numbers = Numbers(3);
    let mut noticed = 0;
    for block in image.blocks.keys() {
        let mut rotten = image.clone();
        let bytes = Rc::make_mut(rotten.blocks.get_mut(block).unwrap());
        bytes[numbers.below(4096) as usize] ^= 1 << numbers.below(8);
        let damaged = damaged_but_never_wrong(&rotten, &expected, &format!("block {block}"));
        let is_superblock = [0, 1, 1022, 1023].contains(block);
        assert!(damaged == 0 || !is_superblock, "one copy of a superblock is not needed");
        noticed += usize::from(damaged > 0);
    }
    assert!(noticed > 60, "{noticed} of {} blocks", image.blocks.len());
}

/// A write, and where it went.
type Stray = (u64, Vec<u8>);

#[test]
fn a_write_that_was_lost_or_went_elsewhere_is_noticed_or_does_not_matter() {
    let media = formatted();
    work(&media);
    let writes = media.0.borrow().log.iter().filter(|done| matches!(done, Done::Write(..))).count();
    for elsewhere in [false, true] {
        let mut noticed = 0;
        for victim in 4..writes {
            let media = formatted();
            let (mut count, mut numbers) = (4, Numbers(victim as u64));
            let astray: Rc<RefCell<Vec<Stray>>> = Rc::default();
            let (seen, limit) = (astray.clone(), 1024 - 64);
            media.set_fate(move |done| {
                let Done::Write(_, data) = done else { return Ok(true) };
                count += 1;
                if count != victim + 1 {
                    return Ok(true);
                }
                seen.borrow_mut().push((numbers.below(limit) * 4096, data.clone()));
                Ok(false)
            });
            let expected = work(&media);
            let mut image = media.image();
            for (offset, data) in astray.borrow().iter().filter(|_| elsewhere) {
                image.write(*offset, data);
            }
            let what = format!("write {victim}, elsewhere: {elsewhere}");
            noticed += damaged_but_never_wrong(&image, &expected, &what);
        }
        assert!(noticed > 0, "of {writes} writes none mattered");
    }
}

#[test]
fn every_request_that_fails_once_is_made_up_for_by_a_later_sync() {
    let media = formatted();
    work(&media);
    for victim in 0..media.logged() {
        let media = formatted();
        let mut file_system = FileSystem::mount(media.disk()).unwrap();
        let mut count = 0;
        media.set_fate(move |_| {
            count += 1;
            if count == victim { Err(solum::Error::Device("once".into())) } else { Ok(true) }
        });
        let mut tree = Tree::empty();
        for act in workload() {
            if act_on(&mut file_system, &act).is_err() {
                assert!(matches!(act, Act::Sync), "only a sync meets the disk here");
                file_system.sync().unwrap();
            }
            tree.act(&act).unwrap();
        }
        assert_eq!(dump(&mut file_system).unwrap(), tree, "request {victim}");
        media.set_fate(|_| Ok(true));
        assert_eq!(dump(&mut FileSystem::mount(media.disk()).unwrap()).unwrap(), tree, "request {victim}");
        assert_eq!(check(media.disk()).1.unwrap().problems, []);
    }
}

/// A disk whose server dies at one flush, and forgets what was not flushed before.
struct Forgetful {
    media: Shared,
    flushed: Image,
    flushes_until: usize,
    error: solum::Error,
}

impl solum::disk::Driver for Forgetful {
    fn geometry(&self) -> solum::disk::Geometry {
        self.media.geometry()
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> solum::Result<()> {
        self.media.read_at(offset, buffer)
    }

    fn write_at(&mut self, offset: u64, data: &[u8]) -> solum::Result<()> {
        self.media.write_at(offset, data)
    }

    fn flush(&mut self) -> solum::Result<()> {
        self.flushes_until = self.flushes_until.wrapping_sub(1);
        if self.flushes_until == 0 {
            self.media.0.borrow_mut().image = self.flushed.clone();
            return Err(self.error.clone());
        }
        self.flushed = self.media.image();
        Ok(())
    }

    fn discard(&mut self, _: u64, _: u64) -> solum::Result<()> {
        Ok(())
    }
}

#[test]
fn what_a_disk_forgot_when_its_server_died_is_written_again() {
    for error in [solum::Error::Gone { epoch: 1 }, solum::Error::Device("lost".into())] {
        let is_gone = matches!(error, solum::Error::Gone { .. });
        for flushes_until in 3..12 {
            let media = formatted();
            let flushed = media.image();
            let driver = Forgetful { media: media.clone(), flushed, flushes_until, error: error.clone() };
            let mut file_system = FileSystem::mount(solum::Disk::new(Box::new(driver))).unwrap();
            let mut tree = Tree::empty();
            let mut failures = 0;
            for act in workload() {
                if act_on(&mut file_system, &act).is_err() {
                    failures += 1;
                    file_system.sync().unwrap();
                }
                tree.act(&act).unwrap();
            }
            assert_eq!(failures, usize::from(!is_gone), "one that is gone is tried again without a word");
            drop(file_system);
            assert_eq!(dump(&mut FileSystem::mount(media.disk()).unwrap()).unwrap(), tree);
        }
    }
}

#[test]
fn a_superblock_whose_write_was_lost_is_written_again_and_one_good_place_is_enough() {
    for is_for_ever in [false, true] {
        let media = formatted();
        let mut file_system = FileSystem::mount(media.disk()).unwrap();
        file_system.create("a").unwrap();
        let mut lost = 0;
        media.set_fate(move |done| match done {
            Done::Write(offset, _) if *offset / 4096 < 2 && (is_for_ever || lost < 1) => {
                lost += 1;
                Ok(false)
            }
            _ => Ok(true),
        });
        file_system.sync().unwrap();
        let mut file_system = FileSystem::mount(media.image().disk()).unwrap();
        assert_eq!(file_system.stat("a").unwrap().size, 0);
    }
    let media = formatted();
    let mut file_system = FileSystem::mount(media.disk()).unwrap();
    file_system.create("a").unwrap();
    media.set_fate(|_| Ok(false));
    let error = file_system.sync().unwrap_err();
    assert_eq!(error.to_string(), "the device failed: the superblock was written, but is not there");
}

fn block_of(image: &Image, piece: Piece, path: &str) -> u64 {
    // What is reported as such a piece when it rots is one.
    let is_one = |block: &&u64| {
        let mut rotten = image.clone();
        Rc::make_mut(rotten.blocks.get_mut(block).unwrap())[9] ^= 1;
        let problems = check(rotten.disk()).1.unwrap().problems;
        problems
            .iter()
            .any(|problem| problem.piece == piece && problem.block == **block && problem.path == path)
    };
    *image.blocks.keys().find(is_one).unwrap()
}

#[test]
fn damage_says_what_is_damaged_and_where() {
    let media = formatted();
    work(&media);
    let content = block_of(&media.image(), Piece::Content, "/big");
    media.0.borrow_mut().unreadable.push(content);
    let mut file_system = FileSystem::mount(media.disk()).unwrap();
    let error = file_system.read("big", 0, 300_000).map(|_| ()).unwrap_err();
    assert_eq!(error.to_string(), format!("big: the content in block {content} cannot be read"));
    assert_eq!(file_system.read("small", 0, 5000).unwrap(), text(5000, 1));
    let page = (0..74).find(|page| file_system.read("big", page * 4096, 1).is_err()).unwrap();
    file_system.write("big", page * 4096, &[1; 4096]).unwrap();
    file_system.read("big", 0, 300_000).unwrap();
}

#[test]
fn a_write_that_meets_damage_changes_nothing() {
    let media = formatted();
    let mut tree = Tree::empty();
    let mut file_system = FileSystem::mount(media.disk()).unwrap();
    let acts = [Act::Create("big".into()), Act::Write("big".into(), 0, text(900_000, 2)), Act::Sync];
    for act in &acts {
        act_on(&mut file_system, act).unwrap();
        tree.act(act).unwrap();
    }
    let (image, mut refused) = (media.image(), 0);
    // Two indexes, and a part of the first page and of the last.
    let write = Act::Write("big".into(), 100, text(700_000, 3));
    for block in image.blocks.keys() {
        let media = Media::new(image.clone());
        let options = Options { cached_blocks: 2, ..Options::default() };
        let mut file_system = FileSystem::mount_with(media.disk(), options).unwrap();
        media.0.borrow_mut().unreadable.push(*block);
        let outcome = act_on(&mut file_system, &write);
        media.0.borrow_mut().unreadable.clear();
        let mut expected = tree.clone();
        match outcome {
            Ok(()) => expected.act(&write).unwrap(),
            Err(_) => refused += 1,
        }
        assert!(dump(&mut file_system).unwrap() == expected, "block {block}");
        file_system.create("after").unwrap();
        file_system.sync().unwrap();
        file_system.remove("after").unwrap();
        file_system.sync().unwrap();
        assert!(dump(&mut FileSystem::mount(media.disk()).unwrap()).unwrap() == expected, "block {block}");
        assert_eq!(check(media.disk()).1.unwrap().problems, [], "block {block}");
    }
    assert!(refused >= 4, "{refused}");
}

#[test]
fn a_file_system_with_a_damaged_directory_can_be_read_and_emptied_of_it() {
    let media = formatted();
    work(&media);
    let block = block_of(&media.image(), Piece::Directory, "/d");
    let mut rotten = media.image();
    Rc::make_mut(rotten.blocks.get_mut(&block).unwrap())[100] ^= 1;
    let media = Media::new(rotten);
    let mut file_system = FileSystem::mount(media.disk()).unwrap();
    let [damage] = file_system.damage() else { panic!("{:?}", file_system.damage()) };
    assert_eq!((&*damage.path, damage.block, damage.defect), ("/d", block, Defect::Checksum));
    assert_eq!(file_system.read("small", 0, 10).unwrap(), &text(5000, 1)[..10]);
    assert!(matches!(file_system.create("new"), Err(Error::Damaged(_))));
    assert!(matches!(file_system.rename("small", "big"), Err(Error::Damaged(_))));
    file_system.remove_all("d").unwrap();
    assert_eq!(file_system.damage(), []);
    file_system.create("new").unwrap();
    file_system.sync().unwrap();
    assert_eq!(check(media.disk()).1.unwrap().problems, []);
}

#[test]
fn what_could_not_be_read_once_is_neither_lost_nor_in_the_way() {
    let media = formatted();
    let mut expected = work(&media);
    // Each mount begins with the first free blocks: those that are really free are full then.
    let mut file_system = FileSystem::mount(media.disk()).unwrap();
    for act in [Act::Create("filler".into()), Act::Write("filler".into(), 0, text(400_000, 4)), Act::Sync] {
        act_on(&mut file_system, &act).unwrap();
        expected.act(&act).unwrap();
    }
    for (piece, path) in [(Piece::Directory, "/d"), (Piece::Index, "/big")] {
        let media = Media::new(media.image());
        let block = block_of(&media.image(), piece, path);
        media.0.borrow_mut().unreadable = vec![block];
        let mut file_system = FileSystem::mount(media.disk()).unwrap();
        let [damage] = file_system.damage() else { panic!("{:?}", file_system.damage()) };
        assert_eq!((&*damage.path, damage.defect), (path, Defect::Unreadable));
        assert!(matches!(file_system.create("new"), Err(Error::Damaged(_))));
        media.0.borrow_mut().unreadable.clear();
        // What is behind the block is in use, although the mount could not see it.
        file_system.remove("small").unwrap();
        file_system.create("small").unwrap();
        for offset in 0..100 {
            file_system.write("small", offset * 4096, &text(4096, offset as u8)).unwrap();
        }
        file_system.remove("small").unwrap();
        file_system.sync().unwrap();
        let mut left = expected.clone();
        left.act(&Act::Remove("small".into())).unwrap();
        assert!(dump(&mut FileSystem::mount(media.disk()).unwrap()).unwrap() == left, "{path}");
        assert_eq!(check(media.disk()).1.unwrap().problems, []);
    }
}

#[test]
fn a_superblock_that_cannot_be_read_is_no_reason_to_return_to_the_one_before() {
    let media = formatted();
    let expected = work(&media);
    let blocks = 1024;
    for places in [[0, blocks - 2], [1, blocks - 1]] {
        media.0.borrow_mut().unreadable = places.to_vec();
        assert!(matches!(FileSystem::mount(media.disk()), Err(Error::Disk(_))), "{places:?}");
    }
    // One copy is enough.
    for place in [0, 1, blocks - 2, blocks - 1] {
        media.0.borrow_mut().unreadable = vec![place];
        assert!(dump(&mut FileSystem::mount(media.disk()).unwrap()).unwrap() == expected, "{place}");
    }
}
