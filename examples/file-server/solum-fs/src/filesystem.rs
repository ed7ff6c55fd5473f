//! The file system as its users see it.

use std::ops::ControlFlow;

use solum::Disk;

use crate::directory::{self, Found, Listed};
use crate::error::{At, Damage, Defect, Error, Fault, Result};
use crate::file;
use crate::layout::{BLOCK_BYTES, Superblock};
use crate::node::{Child, FANOUT, FILE_BYTES_MAX, Inode, Kind, capacity};
use crate::path::{DEPTH_MAX, join, parse};
use crate::space::Space;
use crate::store::{Store, offset_of};
use crate::walk::{root_of, walk};
use crate::{Room, Stat, anchor};

/// How much memory is used.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// How many changed blocks of 4096 bytes are held in memory before they are written ahead of the next sync.
    pub changed_blocks: u64,
    /// How many unchanged blocks of 4096 bytes are kept for the next time.
    pub cached_blocks: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { changed_blocks: 2048, cached_blocks: 2048 }
    }
}

/// How many bytes of one write are taken into memory before it is looked whether there are too many.
const STEP_BYTES: usize = 1 << 20;

/// Stands for all changes that were made until some moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark {
    /// Which mount it was.
    pub life: u64,
    /// How many changes there had been, over all lives.
    pub change: u64,
}

/// What became of the changes that a [`Mark`] stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// They last.
    Durable,
    /// They last after the next sync.
    Pending,
    /// They were made in a life that ended, and are lost, or it is not known any more that they are not.
    Lost,
}

/// A mounted file system.
pub struct FileSystem {
    store: Store,
    root: Inode,
    options: Options,
    is_writable: bool,
    life: u64,
    changes: u64,
    durable_changes: u64,
    /// How many changes were there when it was mounted.
    mounted_changes: u64,
    is_changed: bool,
    /// The slot that does not have what we would return to after a crash.
    slot: usize,
    /// Indexes and directories that could not be read when it was mounted. What is behind them is not known to be in use.
    damage: Vec<Damage>,
}

impl FileSystem {
    /// Mounts what is on a disk. If the disk can be written, that begins a new life.
    ///
    /// # Errors
    ///
    /// [`Error::NotFormatted`], [`Error::Unusable`], [`Error::Disk`]. Damage is no reason not to mount.
    pub fn mount(disk: Disk) -> Result<Self> {
        Self::mount_with(disk, Options::default())
    }

    /// The same, with other options.
    ///
    /// # Errors
    ///
    /// Those of [`mount`](Self::mount).
    pub fn mount_with(mut disk: Disk, options: Options) -> Result<Self> {
        let anchors = anchor::find(&mut disk)?;
        let newest = anchors.newest;
        let is_writable = disk.is_writable();
        let space = Space::new(newest.blocks);
        let mut file_system = Self {
            store: Store::new(disk, space, newest.generation + 1, options.cached_blocks),
            root: root_of(&newest),
            options,
            is_writable,
            life: newest.lives + u64::from(is_writable),
            changes: newest.changes,
            durable_changes: newest.changes,
            mounted_changes: newest.changes,
            is_changed: is_writable,
            slot: 1 - anchors.slot,
            damage: Vec::new(),
        };
        file_system.look()?;
        if is_writable {
            // If only the process ended before, the newest superblock may have been read from the disk's own memory, and
            // a crash may have left one copy of it. Both have to last before the other slot is overwritten.
            anchors.complete(file_system.store.disk())?;
            file_system.commit()?;
        }
        Ok(file_system)
    }

    /// Finds out which blocks are in use. Nothing was changed since the last commit.
    fn look(&mut self) -> Result<()> {
        let (blocks, generation) = (self.store.space.blocks(), self.store.transaction - 1);
        let walk = walk(&mut self.store, &self.root, blocks, generation, false)?;
        (self.store.space, self.damage) = (walk.space, walk.problems);
        Ok(())
    }

    /// What could not be read when it was looked for may have been all right, and the disk not. Then nothing is damaged; and what
    /// is behind it must not be overwritten.
    fn look_again(&mut self) -> Result<()> {
        let unreadable = |damage: &&Damage| damage.defect == Defect::Unreadable;
        let blocks: Vec<u64> = self.damage.iter().filter(unreadable).map(|damage| damage.block).collect();
        let mut bytes = vec![0; BLOCK_BYTES];
        let mut can_be_read = |block: &u64| self.store.disk().read_at(offset_of(*block), &mut bytes).is_ok();
        if blocks.is_empty() || !blocks.iter().all(&mut can_be_read) {
            return Ok(());
        }
        if self.is_changed {
            self.commit()?;
        }
        self.look()
    }

    /// Gives the disk back. What was not synced is lost.
    pub fn into_disk(self) -> Disk {
        self.store.into_disk()
    }

    /// What was found damaged when it was mounted. Until all of it is removed nothing else can be changed: blocks that the
    /// damaged parts refer to are not known to be in use, and may be overwritten. Removing overwrites, too, so copy what can
    /// be read to somewhere else before.
    pub fn damage(&self) -> &[Damage] {
        &self.damage
    }

    /// How much room there is.
    pub fn room(&self) -> Room {
        let space = &self.store.space;
        let free = (space.blocks() - space.used_soon()).saturating_sub(self.store.dirty + self.reserve());
        let bytes = |blocks: u64| blocks * BLOCK_BYTES as u64;
        Room {
            total_bytes: bytes(space.blocks()),
            used_bytes: bytes(space.used_soon()),
            free_bytes: bytes(free),
        }
    }

    /// Stands for everything that was changed until now.
    pub fn mark(&self) -> Mark {
        Mark { life: self.life, change: self.changes }
    }

    /// What became of changes.
    pub fn standing(&self, mark: Mark) -> Standing {
        match mark.life {
            life if life == self.life && mark.change <= self.durable_changes => Standing::Durable,
            life if life == self.life => Standing::Pending,
            life if self.life.checked_sub(1) == Some(life) && mark.change <= self.mounted_changes => {
                Standing::Durable
            }
            _ => Standing::Lost,
        }
    }

    /// Makes an empty file.
    ///
    /// # Errors
    ///
    /// [`Error::AlreadyExists`] if there is anything of that name; [`Error::NoSpace`].
    pub fn create(&mut self, path: &str) -> Result<()> {
        self.add(path, Kind::File)
    }

    /// Makes an empty directory.
    ///
    /// # Errors
    ///
    /// Those of [`create`](Self::create).
    pub fn make_directory(&mut self, path: &str) -> Result<()> {
        self.add(path, Kind::Directory)
    }

    fn add(&mut self, path: &str, kind: Kind) -> Result<()> {
        let names = parse(path)?;
        let Some((name, above)) = names.split_last() else {
            return Err(Error::AlreadyExists { path: path.to_owned() });
        };
        self.may_change()?;
        if self.stat_if_any(path, &names)?.is_some() {
            return Err(Error::AlreadyExists { path: path.to_owned() });
        }
        let need = self.way_blocks(path, &names)?;
        self.make_room(need, false)?;
        let directory = descend(&mut self.store, &mut self.root, above, path)?;
        directory::insert(&mut self.store, directory, name, Inode::empty(kind)).at(path)?;
        self.changed();
        Ok(())
    }

    /// Reads; fewer bytes than were asked for only at the end of the file.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`], [`Error::IsADirectory`]; [`Error::Damaged`] if any of these bytes is not what was written.
    pub fn read(&mut self, path: &str, offset: u64, length: u64) -> Result<Vec<u8>> {
        let names = parse(path)?;
        let found = resolve(&mut self.store, &self.root, &names, path)?;
        let inode = is_file(found.inode(), path)?;
        file::read(&mut self.store, inode, offset, length).at(path)
    }

    /// Writes into a file, which becomes longer if need be; what lies between its end and `offset` is zeros then.
    ///
    /// # Errors
    ///
    /// Those of [`read`](Self::read), [`Error::TooLarge`], [`Error::NoSpace`]. Nothing is changed after any of them; but of more
    /// than 1 MiB, which is written ahead a MiB at a time, a part may have been written after [`Error::Disk`] and
    /// [`Error::Damaged`].
    pub fn write(&mut self, path: &str, offset: u64, data: &[u8]) -> Result<()> {
        let names = parse(path)?;
        self.may_change()?;
        let found = resolve(&mut self.store, &self.root, &names, path)?;
        let levels = is_file(found.inode(), path)?.levels;
        let end = offset.checked_add(data.len() as u64).filter(|end| *end <= FILE_BYTES_MAX);
        let need = content_blocks(levels, offset, end.ok_or(Error::TooLarge)?);
        let need = need + self.way_blocks(path, &names)?;
        self.make_room(need, false)?;
        for (step, piece) in data.chunks(STEP_BYTES).enumerate() {
            if step > 0 {
                self.write_ahead()?;
            }
            let inode = descend(&mut self.store, &mut self.root, &names, path)?;
            let at = offset + (step * STEP_BYTES) as u64;
            file::prepare(&mut self.store, inode, at, at + piece.len() as u64).at(path)?;
            self.is_changed = true;
            file::write(&mut self.store, inode, at, piece).at(path)?;
        }
        self.changed();
        Ok(())
    }

    /// Makes a file shorter, or longer with zeros.
    ///
    /// # Errors
    ///
    /// Those of [`write`](Self::write), but nothing is changed after any of them.
    pub fn truncate(&mut self, path: &str, size: u64) -> Result<()> {
        let names = parse(path)?;
        self.may_change()?;
        let found = resolve(&mut self.store, &self.root, &names, path)?;
        let inode = is_file(found.inode(), path)?;
        let (levels, is_shorter) = (u64::from(inode.levels), size < inode.size);
        if size > FILE_BYTES_MAX {
            return Err(Error::TooLarge);
        }
        let need = levels + 1 + self.way_blocks(path, &names)?;
        self.make_room(need, is_shorter)?;
        let inode = descend(&mut self.store, &mut self.root, &names, path)?;
        self.is_changed = true;
        file::truncate(&mut self.store, inode, size).at(path)?;
        self.changed();
        Ok(())
    }

    /// Gives a file or a directory another name, in one step. What has that name already is replaced, if it is of the same
    /// kind and, for a directory, empty.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`], [`Error::IsADirectory`], [`Error::NotADirectory`], [`Error::NotEmpty`],
    /// [`Error::IntoItself`], [`Error::NoSpace`].
    pub fn rename(&mut self, from: &str, to: &str) -> Result<()> {
        let (old, new) = (parse(from)?, parse(to)?);
        self.may_change()?;
        let (Some((old_name, old_above)), Some((new_name, new_above))) = (old.split_last(), new.split_last())
        else {
            return Err(Error::BadPath { path: "/".to_owned(), reason: "the root has no other name" });
        };
        let source = resolve(&mut self.store, &self.root, &old, from)?.inode().kind;
        if old == new {
            return Ok(());
        }
        if new.starts_with(&old) {
            return Err(Error::IntoItself { path: to.to_owned() });
        }
        self.may_replace(source, to, &new)?;
        if source == Kind::Directory && old_above != new_above {
            self.check_depth(from, new.len())?;
        }
        let need = self.way_blocks(from, &old)? + self.way_blocks(to, &new)?;
        self.make_room(need, false)?;
        // Both ways are brought into memory before anything is changed: after that nothing can fail.
        let target = descend(&mut self.store, &mut self.root, new_above, to)?;
        directory::find(&mut self.store, target, new_name).at(to)?;
        let origin = descend(&mut self.store, &mut self.root, old_above, from)?;
        let moved = directory::remove(&mut self.store, origin, old_name).at(from)?;
        let moved = moved.ok_or_else(|| Error::NotFound { path: from.to_owned() })?;
        let target = descend(&mut self.store, &mut self.root, new_above, to)?;
        match directory::find(&mut self.store, target, new_name).at(to)? {
            Some(place) => {
                let replaced = std::mem::replace(place, moved);
                let shape = replaced.shape();
                self.store.release(replaced.root, shape);
            }
            None => directory::insert(&mut self.store, target, new_name, moved).at(to)?,
        }
        self.changed();
        Ok(())
    }

    fn may_replace(&mut self, source: Kind, to: &str, names: &[&str]) -> Result<()> {
        match (source, self.stat_if_any(to, names)?) {
            (_, None) | (Kind::File, Some(Stat { kind: Kind::File, .. })) => Ok(()),
            (Kind::Directory, Some(Stat { kind: Kind::Directory, size: 0 })) => Ok(()),
            (Kind::Directory, Some(Stat { kind: Kind::Directory, .. })) => {
                Err(Error::NotEmpty { path: to.to_owned() })
            }
            (Kind::File, Some(_)) => Err(Error::IsADirectory { path: to.to_owned() }),
            (Kind::Directory, Some(_)) => Err(Error::NotADirectory { path: to.to_owned() }),
        }
    }

    /// A directory must not come to lie so deep that what is in it has no path any more.
    fn check_depth(&mut self, from: &str, mut depth: usize) -> Result<()> {
        let mut level = vec![from.to_owned()];
        while !level.is_empty() {
            let mut next = Vec::new();
            for path in level {
                for listed in self.list(&path, None, usize::MAX)? {
                    if depth == DEPTH_MAX {
                        let reason = "what is in it would be more than 32 names deep";
                        return Err(Error::BadPath { path: from.to_owned(), reason });
                    }
                    if listed.kind == Kind::Directory {
                        next.push(format!("{path}/{}", listed.name));
                    }
                }
            }
            (level, depth) = (next, depth + 1);
        }
        Ok(())
    }

    /// Removes a file.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`], [`Error::IsADirectory`].
    pub fn remove(&mut self, path: &str) -> Result<()> {
        self.take_out(path, |stat| match stat.kind {
            Kind::File => Ok(()),
            Kind::Directory => Err(Error::IsADirectory { path: path.to_owned() }),
        })
    }

    /// Removes a directory that has no entries.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`], [`Error::NotADirectory`], [`Error::NotEmpty`].
    pub fn remove_directory(&mut self, path: &str) -> Result<()> {
        self.take_out(path, |stat| match stat {
            Stat { kind: Kind::Directory, size: 0 } => Ok(()),
            Stat { kind: Kind::Directory, .. } => Err(Error::NotEmpty { path: path.to_owned() }),
            Stat { kind: Kind::File, .. } => Err(Error::NotADirectory { path: path.to_owned() }),
        })
    }

    /// Removes a file, or a directory with everything in it, even if that is damaged.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`].
    pub fn remove_all(&mut self, path: &str) -> Result<()> {
        self.take_out(path, |_| Ok(()))
    }

    fn take_out(&mut self, path: &str, may: impl Fn(Stat) -> Result<()>) -> Result<()> {
        let names = parse(path)?;
        let Some((name, above)) = names.split_last() else {
            return Err(Error::BadPath { path: path.to_owned(), reason: "the root cannot be removed" });
        };
        if !self.is_writable {
            return Err(Error::ReadOnly);
        }
        self.look_again()?;
        let found = resolve(&mut self.store, &self.root, &names, path)?;
        may(Stat::of(found.inode()))?;
        let need = self.way_blocks(path, &names)?;
        self.make_room(need, true)?;
        let directory = descend(&mut self.store, &mut self.root, above, path)?;
        let removed = directory::remove(&mut self.store, directory, name).at(path)?;
        self.changed();
        if let Some(inode) = removed {
            let shape = inode.shape();
            self.store.release(inode.root, shape);
        }
        if !self.damage.is_empty() {
            self.commit()?;
            self.look()?;
        }
        Ok(())
    }

    /// What is in a directory, in the order of the names' bytes: at most `limit` entries behind the name `after`.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`], [`Error::NotADirectory`], [`Error::Damaged`].
    pub fn list(&mut self, path: &str, after: Option<&str>, limit: usize) -> Result<Vec<Listed>> {
        let names = parse(path)?;
        let found = resolve(&mut self.store, &self.root, &names, path)?;
        let inode = found.inode();
        if inode.kind != Kind::Directory {
            return Err(Error::NotADirectory { path: path.to_owned() });
        }
        let mut listed = Vec::new();
        directory::list(&mut self.store, &inode.root, inode.shape(), after, limit, &mut listed).at(path)?;
        Ok(listed)
    }

    /// What a path stands for.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`], [`Error::NotADirectory`] if the way to it leads through a file, [`Error::Damaged`].
    pub fn stat(&mut self, path: &str) -> Result<Stat> {
        let names = parse(path)?;
        Ok(Stat::of(resolve(&mut self.store, &self.root, &names, path)?.inode()))
    }

    fn stat_if_any(&mut self, path: &str, names: &[&str]) -> Result<Option<Stat>> {
        match resolve(&mut self.store, &self.root, names, path) {
            Ok(found) => Ok(Some(Stat::of(found.inode()))),
            Err(Error::NotFound { path: missing }) if missing == path => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Returns when everything that was changed before would survive a loss of power.
    ///
    /// # Errors
    ///
    /// [`Error::Disk`]: nobody knows whether it would. Everything is still in memory, and a later sync that succeeds makes
    /// it all last.
    pub fn sync(&mut self) -> Result<()> {
        if self.is_changed { self.commit() } else { Ok(()) }
    }

    fn commit(&mut self) -> Result<()> {
        self.store.write_out(&mut self.root.root).at("/")?;
        self.store.settle()?;
        let superblock = Superblock {
            blocks: self.store.space.blocks(),
            generation: self.store.transaction,
            lives: self.life,
            changes: self.changes,
            used: self.store.space.used_soon(),
            root_levels: self.root.levels,
            root_entries: self.root.size,
            root: match self.root.root {
                Child::Stored(reference) => Some(reference),
                _ => None,
            },
        };
        // From here on a superblock that refers to what was written may be on the disk, even if all this fails. What is
        // changed later is of another generation, and goes elsewhere.
        self.store.transaction += 1;
        self.store.write_superblock(&superblock, self.slot)?;
        self.slot = 1 - self.slot;
        self.store.space.committed();
        self.durable_changes = self.changes;
        self.is_changed = false;
        Ok(())
    }

    fn changed(&mut self) {
        self.is_changed = true;
        self.changes += 1;
    }

    fn may_change(&mut self) -> Result<()> {
        if self.is_writable {
            self.look_again()?;
        }
        match self.damage.first() {
            _ if !self.is_writable => Err(Error::ReadOnly),
            Some(damage) => Err(Error::Damaged(damage.clone())),
            None => Ok(()),
        }
    }

    /// Writes what is in memory, if that is too much, without making it the state to return to after a crash.
    fn write_ahead(&mut self) -> Result<()> {
        if self.store.held() >= self.options.changed_blocks {
            self.store.write_out(&mut self.root.root).at("/")?;
            self.store.settle()?;
        }
        Ok(())
    }

    /// Blocks that only what makes room may use, so that a full disk can be emptied.
    fn reserve(&self) -> u64 {
        (self.store.space.blocks() / 10).clamp(8, 160)
    }

    /// Before a change: so many blocks may be needed to write it. Blocks that a crash would return to are free only after
    /// a commit, so there may be one.
    fn make_room(&mut self, need: u64, makes_room: bool) -> Result<()> {
        self.write_ahead()?;
        let need = if makes_room { need } else { need + self.reserve() };
        let fits = |store: &Store| store.space.free().saturating_sub(store.dirty) >= need;
        if !fits(&self.store) && self.store.space.pending() > 0 {
            self.commit()?;
        }
        if fits(&self.store) { Ok(()) } else { Err(Error::NoSpace) }
    }

    /// How many blocks may be needed to change an entry: each node on the way, and one beside it, and one above.
    fn way_blocks(&mut self, path: &str, names: &[&str]) -> Result<u64> {
        let mut blocks = 0;
        let above = &names[..names.len().saturating_sub(1)];
        visit(&mut self.store, &self.root, above, path, |directory| {
            blocks += 2 * u64::from(directory.levels) + 3;
        })?;
        Ok(blocks)
    }

    #[cfg(test)]
    pub(crate) fn parts(&mut self) -> (&mut Store, &mut Inode) {
        (&mut self.store, &mut self.root)
    }
}

/// How many blocks of content and of its indexes a write may need.
fn content_blocks(levels: u8, offset: u64, end: u64) -> u64 {
    let last = end.div_ceil(BLOCK_BYTES as u64);
    let pages = last - (offset / BLOCK_BYTES as u64).min(last);
    let needed = (0..).take_while(|level| capacity(*level) < last).count() as u64;
    let indexes: u64 =
        (1..=needed.max(u64::from(levels))).map(|level| pages / (FANOUT as u64).pow(level as u32) + 2).sum();
    pages + indexes
}

fn is_file<'a>(inode: &'a Inode, path: &str) -> Result<&'a Inode> {
    match inode.kind {
        Kind::File => Ok(inode),
        Kind::Directory => Err(Error::IsADirectory { path: path.to_owned() }),
    }
}

/// What a path stands for. Changes nothing.
fn resolve<'a>(store: &mut Store, root: &'a Inode, names: &[&str], path: &str) -> Result<Found<'a>> {
    visit(store, root, names, path, |_| {})
}

/// Goes along a path, and shows each inode on it.
fn visit<'a>(
    store: &mut Store,
    root: &'a Inode,
    names: &[&str],
    path: &str,
    mut seen: impl FnMut(&Inode),
) -> Result<Found<'a>> {
    let mut found = Found::Memory(root);
    seen(root);
    for (depth, name) in names.iter().enumerate() {
        if found.inode().kind != Kind::Directory {
            return Err(Error::NotADirectory { path: join(&names[..depth]) });
        }
        let next = directory::lookup(store, found, name).at(&join(&names[..depth]))?;
        let is_last = depth + 1 == names.len();
        let missing = if is_last { path.to_owned() } else { join(&names[..=depth]) };
        found = next.ok_or(Error::NotFound { path: missing })?;
        seen(found.inode());
    }
    Ok(found)
}

/// What a path stands for, to be changed. The way to it is in memory afterwards.
fn descend<'a>(store: &mut Store, root: &'a mut Inode, names: &[&str], path: &str) -> Result<&'a mut Inode> {
    let missing = || Error::NotFound { path: path.to_owned() };
    let step = names.iter().try_fold(root, |inode, name| match directory::find(store, inode, name) {
        Ok(Some(next)) => ControlFlow::Continue(next),
        Ok(None) => ControlFlow::Break(Ok::<(), Fault>(())),
        Err(fault) => ControlFlow::Break(Err(fault)),
    });
    match step {
        ControlFlow::Continue(inode) => Ok(inode),
        ControlFlow::Break(outcome) => Err(outcome.at(path).err().unwrap_or_else(missing)),
    }
}

impl Stat {
    fn of(inode: &Inode) -> Self {
        Self { kind: inode.kind, size: inode.size }
    }
}
