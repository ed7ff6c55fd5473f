//! What a file system is, written down as plainly as possible: maps in memory.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::disk::{Image, Media, Numbers};
use crate::path::parse;
use crate::{Error, FileSystem, Kind, Options, Stat, format};

/// A file or a directory with everything in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tree {
    File(Vec<u8>),
    Directory(BTreeMap<String, Tree>),
}

/// Something to be done, to a file system and to its model.
#[derive(Clone, Debug)]
pub enum Act {
    Create(String),
    MakeDirectory(String),
    Write(String, u64, Vec<u8>),
    Truncate(String, u64),
    Rename(String, String),
    Remove(String),
    RemoveDirectory(String),
    RemoveAll(String),
    Sync,
}

impl Tree {
    pub fn empty() -> Self {
        Self::Directory(BTreeMap::new())
    }

    fn get(&self, names: &[&str]) -> Option<&Self> {
        names.iter().try_fold(self, |tree, name| match tree {
            Self::Directory(entries) => entries.get(*name),
            Self::File(_) => None,
        })
    }

    fn get_mut(&mut self, names: &[&str]) -> Option<&mut Self> {
        names.iter().try_fold(self, |tree, name| match tree {
            Self::Directory(entries) => entries.get_mut(*name),
            Self::File(_) => None,
        })
    }

    fn above<'p>(&mut self, names: &[&'p str]) -> Option<(&mut BTreeMap<String, Self>, &'p str)> {
        let (name, above) = names.split_last()?;
        match self.get_mut(above) {
            Some(Self::Directory(entries)) => Some((entries, name)),
            _ => None,
        }
    }

    fn add(&mut self, path: &str, tree: Self) -> Option<()> {
        let names = parse(path).ok()?;
        let (entries, name) = self.above(&names)?;
        if entries.contains_key(name) {
            return None;
        }
        entries.insert(name.to_owned(), tree);
        Some(())
    }

    fn file(&mut self, path: &str) -> Option<&mut Vec<u8>> {
        match self.get_mut(&parse(path).ok()?)? {
            Self::File(content) => Some(content),
            Self::Directory(_) => None,
        }
    }

    fn remove(&mut self, path: &str, may: impl Fn(&Self) -> bool) -> Option<()> {
        let names = parse(path).ok()?;
        let (entries, name) = self.above(&names)?;
        entries.get(name).filter(|tree| may(tree))?;
        entries.remove(name);
        Some(())
    }

    fn rename(&mut self, from: &str, to: &str) -> Option<()> {
        let (from, to) = (parse(from).ok()?, parse(to).ok()?);
        let moved = self.get(&from)?.clone();
        if from == to {
            return (!from.is_empty()).then_some(());
        }
        let may_replace = match (&moved, self.get(&to)) {
            (_, None) | (Self::File(_), Some(Self::File(_))) => true,
            (Self::Directory(_), Some(Self::Directory(entries))) => entries.is_empty(),
            _ => false,
        };
        if from.is_empty() || to.starts_with(&from) || !may_replace {
            return None;
        }
        let (entries, name) = self.above(&to)?;
        entries.insert(name.to_owned(), moved);
        let (entries, name) = self.above(&from)?;
        entries.remove(name);
        Some(())
    }

    /// Nothing if it cannot be done; then nothing is changed.
    pub fn act(&mut self, act: &Act) -> Option<()> {
        let is_file = |tree: &Self| matches!(tree, Self::File(_));
        match act {
            Act::Create(path) => self.add(path, Self::File(Vec::new())),
            Act::MakeDirectory(path) => self.add(path, Self::empty()),
            Act::Write(path, offset, data) => {
                let content = self.file(path)?;
                let end = *offset as usize + data.len();
                if !data.is_empty() {
                    content.resize(content.len().max(end), 0);
                    content[*offset as usize..end].copy_from_slice(data);
                }
                Some(())
            }
            Act::Truncate(path, size) => {
                self.file(path)?.resize(*size as usize, 0);
                Some(())
            }
            Act::Rename(from, to) => self.rename(from, to),
            Act::Remove(path) => self.remove(path, is_file),
            Act::RemoveDirectory(path) => self.remove(path, |tree| *tree == Self::empty()),
            Act::RemoveAll(path) => self.remove(path, |_| true),
            Act::Sync => Some(()),
        }
    }
}

pub fn act_on(file_system: &mut FileSystem, act: &Act) -> crate::Result<()> {
    match act {
        Act::Create(path) => file_system.create(path),
        Act::MakeDirectory(path) => file_system.make_directory(path),
        Act::Write(path, offset, data) => file_system.write(path, *offset, data),
        Act::Truncate(path, size) => file_system.truncate(path, *size),
        Act::Rename(from, to) => file_system.rename(from, to),
        Act::Remove(path) => file_system.remove(path),
        Act::RemoveDirectory(path) => file_system.remove_directory(path),
        Act::RemoveAll(path) => file_system.remove_all(path),
        Act::Sync => file_system.sync(),
    }
}

/// Everything in a file system.
pub fn dump(file_system: &mut FileSystem) -> crate::Result<Tree> {
    dump_at(file_system, "/")
}

fn dump_at(file_system: &mut FileSystem, path: &str) -> crate::Result<Tree> {
    let Stat { kind, size } = file_system.stat(path)?;
    if kind == Kind::File {
        let content = file_system.read(path, 0, size)?;
        assert_eq!(content.len() as u64, size);
        return Ok(Tree::File(content));
    }
    let mut entries = BTreeMap::new();
    for listed in file_system.list(path, None, usize::MAX)? {
        let below = format!("{}/{}", path.trim_end_matches('/'), listed.name);
        entries.insert(listed.name, dump_at(file_system, &below)?);
    }
    assert_eq!(entries.len() as u64, size, "{path}");
    Ok(Tree::Directory(entries))
}

fn random_path(numbers: &mut Numbers) -> String {
    let depth = numbers.below(3);
    let name = |numbers: &mut Numbers| match numbers.below(12) {
        0 => "n".repeat(200 + numbers.below(3) as usize),
        number => format!("{}", number % 6),
    };
    (0..=depth).map(|_| name(numbers)).collect::<Vec<_>>().join("/")
}

/// An act that often makes sense.
pub fn random_act(numbers: &mut Numbers) -> Act {
    let (first, second) = (random_path(numbers), random_path(numbers));
    match numbers.below(16) {
        0..3 => Act::Create(first),
        3..5 => Act::MakeDirectory(first),
        5..9 => {
            let length = [0, 1, 100, 4096, 5000, 8192, 30_000][numbers.below(7) as usize];
            let offset = [0, 1, 4096, 8191, 70_000, 600_000][numbers.below(6) as usize];
            let fill = numbers.next() as u8;
            Act::Write(first, offset, (0..length).map(|index: u32| fill.wrapping_add(index as u8)).collect())
        }
        9 => Act::Truncate(first, [0, 1, 4096, 5000, 100_000, 650_000][numbers.below(6) as usize]),
        10..12 => Act::Rename(first, second),
        12 => Act::Remove(first),
        13 => Act::RemoveDirectory(first),
        14 => Act::RemoveAll(first),
        _ => Act::Sync,
    }
}

fn behaves_as_the_model(seed: u64, acts: usize, options: Options) {
    let media = Media::new(Image::new(16 << 20));
    format(&mut media.disk()).unwrap();
    let mut file_system = FileSystem::mount_with(media.disk(), options).unwrap();
    let (mut numbers, mut model) = (Numbers(seed), Tree::empty());
    for step in 0..acts {
        let act = random_act(&mut numbers);
        let (outcome, expected) = (act_on(&mut file_system, &act), model.act(&act));
        assert_eq!(outcome.is_ok(), expected.is_some(), "step {step}: {act:?} gave {outcome:?}");
        let is_expected = !matches!(outcome, Err(Error::NoSpace | Error::Damaged(_) | Error::Disk(_)));
        assert!(is_expected, "step {step}: {act:?} gave {outcome:?}");
        if step % 16 == 0 {
            assert_eq!(dump(&mut file_system).unwrap(), model, "step {step}");
        }
        if numbers.below(40) == 0 {
            file_system.sync().unwrap();
            file_system = FileSystem::mount_with(media.disk(), options).unwrap();
        }
        super::accounting::assert_counts(&mut file_system);
    }
    assert_eq!(dump(&mut file_system).unwrap(), model);
    file_system.sync().unwrap();
    let (_, report) = crate::check(media.disk());
    assert_eq!(report.unwrap().problems, []);
}

proptest! {
    #![proptest_config(super::cases(48))]

    #[test]
    fn a_file_system_behaves_as_its_model(seed: u64, small: bool) {
        let options = if small { Options { changed_blocks: 4, cached_blocks: 2 } } else { Options::default() };
        behaves_as_the_model(seed, 150, options);
    }
}
