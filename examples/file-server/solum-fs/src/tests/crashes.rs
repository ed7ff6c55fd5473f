//! Power is lost at every moment: after every prefix of what was asked of the disk, with everything that a disk may do with
//! writes that were not flushed.

use super::disk::{Done, Image, Media, Numbers, SECTOR, Shared};
use super::model::{Act, Tree, act_on, dump, random_act};
use crate::{BLOCK_BYTES, Error, FileSystem, Options, check, format};

const OPTIONS: Options = Options { changed_blocks: 24, cached_blocks: 16 };

/// What was true between two moments of the disk's log.
struct Moment {
    begin: usize,
    end: usize,
    tree: Tree,
    is_synced: bool,
}

/// A run, and what would have been right at each moment.
struct Run {
    start: Image,
    log: Vec<Done>,
    moments: Vec<Moment>,
}

fn record(start: Image, before: Tree, acts: &[Act], options: Options) -> Run {
    record_failing(start, before, acts, options, usize::MAX)
}

/// The same, where one request after the mount fails, and does nothing.
fn record_failing(start: Image, before: Tree, acts: &[Act], options: Options, victim: usize) -> Run {
    let media = Media::new(start.clone());
    let mut moments = vec![Moment { begin: 0, end: 0, tree: before.clone(), is_synced: true }];
    let mut tree = before;
    let mut file_system = FileSystem::mount_with(media.disk(), options).unwrap();
    let mut count = 0;
    media.set_fate(move |_| {
        count += 1;
        if count == victim { Err(solum::Error::Device("once".into())) } else { Ok(true) }
    });
    for act in acts {
        let begin = media.logged();
        let outcome = act_on(&mut file_system, act);
        if let Err(Error::Disk(_)) = outcome {
            // It did nothing, unless it was a sync, of which nobody knows.
            moments.push(Moment { begin, end: media.logged(), tree: tree.clone(), is_synced: false });
            continue;
        }
        let expected = tree.act(act);
        // A full disk is no part of the model: what did not fit did not happen.
        match outcome {
            Err(Error::NoSpace) => tree = dump(&mut file_system).unwrap(),
            outcome => assert_eq!(outcome.is_ok(), expected.is_some(), "{act:?}"),
        }
        let is_synced = matches!(act, Act::Sync);
        moments.push(Moment { begin, end: media.logged(), tree: tree.clone(), is_synced });
    }
    let log = media.0.borrow().log.clone();
    Run { start, log, moments }
}

impl Run {
    /// What may be found after a crash when so much of the log had been asked for.
    fn allowed(&self, length: usize) -> &[Moment] {
        let acknowledged = |moment: &Moment| moment.is_synced && moment.end <= length;
        let first = self.moments.iter().rposition(acknowledged).unwrap_or(0);
        let after =
            self.moments.iter().position(|moment| moment.begin > length).unwrap_or(self.moments.len());
        &self.moments[first..after]
    }

    /// What a disk has for certain, and the writes that it may have.
    fn crash(&self, length: usize) -> (Image, Vec<(u64, &[u8])>) {
        let flushed =
            self.log[..length].iter().rposition(|done| matches!(done, Done::Flush)).map_or(0, |at| at + 1);
        let mut image = self.start.clone();
        let writes = |log: &'_ [Done]| -> Vec<(u64, Vec<u8>)> {
            log.iter()
                .filter_map(|done| match done {
                    Done::Write(offset, data) => Some((*offset, data.clone())),
                    Done::Flush => None,
                })
                .collect()
        };
        for (offset, data) in writes(&self.log[..flushed]) {
            image.write(offset, &data);
        }
        let unsure = self.log[flushed..length].iter().filter_map(|done| match done {
            Done::Write(offset, data) => Some((*offset, data.as_slice())),
            Done::Flush => None,
        });
        (image, unsure.collect())
    }

    fn verify(&self, length: usize, image: &Image, what: &str) {
        let (_, report) = check(image.disk());
        let report = report.unwrap_or_else(|error| panic!("after {length} operations, {what}: {error}"));
        assert_eq!(report.problems, [], "after {length} operations, {what}");
        let media = Media::new(image.clone());
        let mut file_system = FileSystem::mount_with(media.disk(), OPTIONS).unwrap();
        assert_eq!(file_system.damage(), []);
        let found = dump(&mut file_system).unwrap();
        let allowed = self.allowed(length);
        assert!(allowed.iter().any(|moment| moment.tree == found), "after {length} operations, {what}");
        assert_nothing_leaked(&media, file_system, report.used_blocks);
    }
}

/// Blocks of what was lost are free, and when all is removed all is.
fn assert_nothing_leaked(media: &Shared, mut file_system: FileSystem, used_blocks: u64) {
    assert_eq!(file_system.room().used_bytes, used_blocks * 4096);
    for listed in file_system.list("/", None, usize::MAX).unwrap() {
        file_system.remove_all(&listed.name).unwrap();
    }
    file_system.sync().unwrap();
    assert_eq!(file_system.room().used_bytes, 4 * 4096);
    assert_eq!(check(media.disk()).1.unwrap().used_blocks, 4);
}

/// Which sectors of the writes that were not flushed reach the disk: given the number of the write and of the sector.
type Fate<'a> = (String, Box<dyn FnMut(usize, usize) -> bool + 'a>);

fn fates(writes: usize, seed: u64, random: usize) -> Vec<Fate<'static>> {
    let mut fates: Vec<Fate<'static>> = vec![
        ("every write kept".to_owned(), Box::new(|_, _| true)),
        ("every write lost".to_owned(), Box::new(|_, _| false)),
        ("every write torn after a sector".to_owned(), Box::new(|_, sector| sector == 0)),
        ("every write torn before its last sectors".to_owned(), Box::new(|_, sector| sector % 8 != 7)),
    ];
    for one in 0..writes {
        fates.push((format!("write {one} lost"), Box::new(move |write, _| write != one)));
        fates.push((format!("only write {one} kept"), Box::new(move |write, _| write == one)));
        fates.push((format!("write {one} torn"), Box::new(move |write, sector| write != one || sector < 4)));
        fates.push((
            format!("write {one} torn, its end kept"),
            Box::new(move |write, sector| write != one || sector >= 4),
        ));
    }
    for round in 0..random {
        let mut numbers = Numbers(seed ^ (round as u64) << 40);
        let whole: Vec<u64> = (0..writes).map(|_| numbers.below(3)).collect();
        let fate = move |write: usize, _: usize| match whole[write] {
            0 => true,
            1 => false,
            _ => numbers.below(2) == 0,
        };
        fates.push((format!("random fate {round}"), Box::new(fate)));
    }
    fates
}

fn apply(image: &Image, unsure: &[(u64, &[u8])], fate: &mut dyn FnMut(usize, usize) -> bool) -> Image {
    let mut image = image.clone();
    for (number, (offset, data)) in unsure.iter().enumerate() {
        image.write_sectors(*offset, data, |sector| fate(number, sector));
    }
    image
}

fn formatted(bytes: u64) -> Image {
    let media = Media::new(Image::new(bytes));
    format(&mut media.disk()).unwrap();
    media.image()
}

fn workload() -> Vec<Act> {
    let text = |length: usize, seed: u8| (0..length).map(|index| seed.wrapping_add(index as u8)).collect();
    let mut acts = vec![
        Act::Create("a".into()),
        Act::Write("a".into(), 0, text(10_000, 1)),
        Act::Sync,
        Act::MakeDirectory("d".into()),
        Act::Create("d/b".into()),
        Act::Write("d/b".into(), 3, text(50, 2)),
        Act::Write("a".into(), 4096, text(4096, 3)),
        Act::Rename("a".into(), "d/a".into()),
        Act::Sync,
    ];
    acts.extend((0..60).map(|index| Act::Create(format!("d/a name that takes some room {index}"))));
    acts.extend([
        Act::Rename("d/b".into(), "d/a".into()),
        Act::Sync,
        // More than is held in memory: it is written ahead.
        Act::Create("big".into()),
        Act::Write("big".into(), 100, text(150_000, 4)),
        Act::Truncate("big".into(), 70_001),
        Act::Write("big".into(), 60_000, text(100, 5)),
        Act::Write("big".into(), 200_000, text(120_000, 6)),
        Act::Sync,
        Act::RemoveAll("d".into()),
        Act::MakeDirectory("e".into()),
        Act::Rename("big".into(), "e/big".into()),
        Act::Sync,
        Act::Write("e/big".into(), 0, text(100_000, 7)),
        Act::Create("last".into()),
        Act::Sync,
        Act::Remove("e/big".into()),
        Act::RemoveDirectory("e".into()),
    ]);
    acts
}

#[test]
fn after_a_crash_at_every_moment_with_every_fate_of_each_write_the_state_is_a_right_one() {
    let run = record(formatted(1 << 20), Tree::empty(), &workload(), OPTIONS);
    let mut crashes = 0;
    for length in 0..=run.log.len() {
        let (image, unsure) = run.crash(length);
        for (what, mut fate) in fates(unsure.len(), length as u64, 6) {
            run.verify(length, &apply(&image, &unsure, &mut fate), &what);
            crashes += 1;
        }
    }
    assert!(run.log.len() > 30 && crashes > 500, "{} operations, {crashes} crashes", run.log.len());
}

#[test]
fn a_formatting_that_was_cut_short_is_a_blank_disk_or_an_empty_file_system() {
    let media = Media::new(Image::new(1 << 20));
    format(&mut media.disk()).unwrap();
    let log = media.0.borrow().log.clone();
    let run = Run { start: Image::new(1 << 20), log, moments: Vec::new() };
    for length in 0..=run.log.len() {
        let (image, unsure) = run.crash(length);
        for (what, mut fate) in fates(unsure.len(), length as u64, 20) {
            let image = apply(&image, &unsure, &mut fate);
            match FileSystem::mount(image.disk()) {
                Ok(mut file_system) => assert_eq!(dump(&mut file_system), Ok(Tree::empty())),
                Err(error) => {
                    assert_eq!(
                        error,
                        Error::NotFormatted { blank: true },
                        "after {length} operations, {what}"
                    );
                    let media = Media::new(image);
                    format(&mut media.disk()).unwrap();
                    assert_eq!(check(media.disk()).1.unwrap().problems, []);
                }
            }
        }
    }
}

#[test]
fn a_first_superblock_that_was_torn_within_a_sector_counts_as_nothing() {
    let media = Media::new(Image::new(1 << 20));
    format(&mut media.disk()).unwrap();
    for block in [0, 1, 254, 255] {
        let mut whole = vec![0; BLOCK_BYTES];
        media.image().read(block * BLOCK_BYTES as u64, &mut whole);
        for length in 0..BLOCK_BYTES {
            let mut image = Image::new(1 << 20);
            let torn: Vec<u8> =
                whole[..length].iter().copied().chain(std::iter::repeat_n(0, BLOCK_BYTES - length)).collect();
            image.write(block * BLOCK_BYTES as u64, &torn);
            let found = FileSystem::mount(image.disk()).map(drop);
            assert_eq!(found, Err(Error::NotFormatted { blank: true }), "block {block}, {length} bytes");
        }
    }
}

#[test]
fn a_new_formatting_that_was_cut_short_leaves_the_old_file_system_or_an_empty_one() {
    let acts = [Act::Create("a".into()), Act::Sync, Act::Write("a".into(), 0, vec![1; 5000]), Act::Sync];
    let before = record(formatted(1 << 20), Tree::empty(), &acts, OPTIONS);
    let (start, _) = before.crash(before.log.len());
    let media = Media::new(start.clone());
    format(&mut media.disk()).unwrap();
    let old = before.moments.last().unwrap().tree.clone();
    let empty = Moment { begin: 0, end: 0, tree: Tree::empty(), is_synced: false };
    let moments = vec![Moment { begin: 0, end: 0, tree: old, is_synced: true }, empty];
    let log = media.0.borrow().log.clone();
    let run = Run { start, log, moments };
    for length in 0..=run.log.len() {
        let (image, unsure) = run.crash(length);
        for (what, mut fate) in fates(unsure.len(), length as u64, 10) {
            run.verify(length, &apply(&image, &unsure, &mut fate), &what);
        }
    }
}

/// One life after the other on the same disk, each cut short somewhere; full disks and mounts that were cut short too.
fn lives(seed: u64) {
    let mut numbers = Numbers(seed);
    let bytes = [256 << 10, 1 << 20][numbers.below(2) as usize];
    let (mut image, mut tree) = (formatted(bytes), Tree::empty());
    for life in 0..6 {
        let count = numbers.below(40);
        let acts: Vec<Act> = (0..count).map(|_| random_act(&mut numbers)).collect();
        let run = record(image, tree, &acts, OPTIONS);
        let length = numbers.below(run.log.len() as u64 + 1) as usize;
        let (certain, unsure) = run.crash(length);
        let all = fates(unsure.len(), numbers.next(), 12);
        let chosen = numbers.below(all.len() as u64) as usize;
        let (what, mut fate) = all.into_iter().nth(chosen).unwrap();
        let what = format!("seed {seed}, life {life}, {what}");
        image = apply(&certain, &unsure, &mut fate);
        run.verify(length, &image, &what);
        tree = dump(&mut FileSystem::mount(image.disk()).unwrap()).unwrap();
    }
}

#[test]
fn many_lives_that_end_badly_one_after_the_other() {
    for seed in 0..150 * super::thoroughness() {
        lives(seed);
    }
}

#[test]
fn a_process_that_ended_without_a_loss_of_power_leaves_a_disk_that_is_still_safe() {
    // The newest superblock may be in the disk's own memory only when the next process mounts. What that one writes must
    // not overwrite what the last superblock that lasts refers to.
    let first = record(formatted(256 << 10), Tree::empty(), &workload()[..9], OPTIONS);
    for length in 0..=first.log.len() {
        let (mut seen, unsure) = first.crash(length);
        for (offset, data) in &unsure {
            seen.write(*offset, data);
        }
        let found = dump(&mut FileSystem::mount(seen.disk()).unwrap()).unwrap();
        let more = [Act::Create("z".into()), Act::Write("z".into(), 0, vec![5; 60_000]), Act::Sync];
        let second = record(seen, found, &more, OPTIONS);
        let log: Vec<Done> = first.log[..length].iter().chain(&second.log).cloned().collect();
        let mut moments: Vec<Moment> = Vec::new();
        moments.extend(first.allowed(length).iter().map(|moment| Moment {
            begin: 0,
            end: 0,
            tree: moment.tree.clone(),
            is_synced: false,
        }));
        moments.extend(second.moments.into_iter().map(|moment| Moment {
            begin: 0,
            end: 0,
            is_synced: false,
            ..moment
        }));
        let both = Run { start: first.start.clone(), log, moments };
        for crashed in length..=both.log.len() {
            let (image, unsure) = both.crash(crashed);
            for (what, mut fate) in fates(unsure.len(), crashed as u64, 2) {
                both.verify(
                    crashed,
                    &apply(&image, &unsure, &mut fate),
                    &format!("ended after {length}, {what}"),
                );
            }
        }
    }
}

#[test]
fn a_sync_that_failed_destroys_nothing_that_a_crash_would_return_to() {
    // All is written ahead, so that what was given back too early is soon given out.
    let mut acts = vec![Act::Create("a".into()), Act::Create("b".into())];
    for round in 0..3u8 {
        for name in ["a", "b", "a", "b", "a", "b", "a"] {
            acts.push(Act::Write(name.into(), 0, vec![round + acts.len() as u8; 40_000]));
        }
        acts.push(Act::Sync);
    }
    let options = Options { changed_blocks: 4, ..OPTIONS };
    let whole = record(formatted(256 << 10), Tree::empty(), &acts, options);
    for victim in 1..whole.log.len() {
        let run = record_failing(formatted(256 << 10), Tree::empty(), &acts, options, victim);
        for length in victim..=run.log.len() {
            let (image, unsure) = run.crash(length);
            for (what, mut fate) in fates(unsure.len(), 0, 0).into_iter().take(3) {
                run.verify(
                    length,
                    &apply(&image, &unsure, &mut fate),
                    &format!("request {victim} failed, {what}"),
                );
            }
        }
    }
}

#[test]
fn a_block_is_torn_at_sectors() {
    let mut image = Image::new(1 << 20);
    image.write_sectors(4096, &[7; 4096], |sector| sector < 2);
    let mut bytes = [1; 4096];
    image.read(4096, &mut bytes);
    assert!(
        bytes[..2 * SECTOR].iter().all(|byte| *byte == 7)
            && bytes[2 * SECTOR..].iter().all(|byte| *byte == 0)
    );
}
