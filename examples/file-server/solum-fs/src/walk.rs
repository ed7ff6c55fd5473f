//! Going through everything that a superblock refers to.
//!
//! Every mount does it for indexes and directories, and so finds out which blocks are in use; `check` reads all content too.

use std::cell::Cell;
use std::rc::Rc;

use solum::Disk;

use crate::anchor::{self, Anchors};
use crate::error::{At, Damage, Defect, Error, Fault, Piece, Result};
use crate::layout::{BLOCK_BYTES, COPIES, Reference, Superblock, copy_address};
use crate::node::{Child, Inode, Kind, Node, Shape, capacity};
use crate::path::DEPTH_MAX;
use crate::space::Space;
use crate::store::Store;

/// How many blocks are read at the same time.
const BATCH_BLOCKS: usize = 256;

/// What a thorough look at a file system found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Everything that is not as it must be.
    pub problems: Vec<Damage>,
    /// How many files there are.
    pub files: u64,
    /// How many directories, without the root.
    pub directories: u64,
    /// Blocks of 4096 bytes that are in use.
    pub used_blocks: u64,
    /// Blocks of 4096 bytes that there are.
    pub blocks: u64,
    /// How often it was committed.
    pub generation: u64,
}

/// What was found on the way.
pub struct Walk {
    pub space: Space,
    pub problems: Vec<Damage>,
    pub files: u64,
    pub directories: u64,
    with_content: bool,
    generation: u64,
    tasks: Vec<Task>,
    /// Directories whose entries are counted.
    counted: Vec<Rc<Place>>,
}

/// A block that has to be looked at.
struct Task {
    reference: Reference,
    shape: Shape,
    place: Rc<Place>,
    /// Of an index, the number of the first page under it.
    first_page: u64,
    /// Of a part of a directory, the names that can be in it: from, and up to but without.
    names: (Option<Box<str>>, Option<Box<str>>),
}

/// A file or a directory on the way.
struct Place {
    above: Option<Rc<Place>>,
    name: Box<str>,
    depth: usize,
    size: u64,
    entries: Cell<u64>,
}

impl Place {
    fn path(&self) -> String {
        match &self.above {
            Some(above) if above.above.is_some() => format!("{}/{}", above.path(), self.name),
            _ => format!("/{}", self.name),
        }
    }
}

/// The root directory that a superblock refers to.
pub fn root_of(superblock: &Superblock) -> Inode {
    Inode {
        kind: Kind::Directory,
        levels: superblock.root_levels,
        size: superblock.root_entries,
        root: superblock.root.map_or(Child::Hole, Child::Stored),
    }
}

/// Goes through all that a root directory refers to, in a file system of so many blocks, as a commit left it.
pub fn walk(
    store: &mut Store,
    root: &Inode,
    blocks: u64,
    generation: u64,
    with_content: bool,
) -> Result<Walk> {
    let mut walk = Walk {
        space: Space::new(blocks),
        problems: Vec::new(),
        files: 0,
        directories: 0,
        with_content,
        generation,
        tasks: Vec::new(),
        counted: Vec::new(),
    };
    walk.meet(root, "".into(), None);
    walk.run(store)?;
    walk.count();
    Ok(walk)
}

impl Walk {
    fn run(&mut self, store: &mut Store) -> Result<()> {
        while !self.tasks.is_empty() {
            let some = self.tasks.split_off(self.tasks.len().saturating_sub(BATCH_BLOCKS));
            let wanted: Vec<_> = some.iter().map(|task| (task.reference, task.shape)).collect();
            for (task, bytes) in some.iter().zip(store.survey(&wanted)) {
                match bytes {
                    Ok(bytes) => self.look(task, &bytes),
                    Err(Fault::Damaged { block, defect, .. }) => {
                        self.problem(&task.place, task.shape, block, defect)
                    }
                    Err(fault) => return Err(fault).at(&task.place.path()),
                }
            }
        }
        Ok(())
    }

    fn problem(&mut self, place: &Place, shape: Shape, block: u64, defect: Defect) {
        self.problems.push(Damage { path: place.path(), piece: shape.piece(), block, defect });
    }

    /// A file or a directory.
    fn meet(&mut self, inode: &Inode, name: Box<str>, above: Option<&Rc<Place>>) {
        match inode.kind {
            _ if above.is_none() => {}
            Kind::File => self.files += 1,
            Kind::Directory => self.directories += 1,
        }
        let depth = above.map_or(0, |above| above.depth + 1);
        let place =
            Rc::new(Place { above: above.cloned(), name, depth, size: inode.size, entries: Cell::new(0) });
        if self.with_content && inode.kind == Kind::Directory {
            self.counted.push(place.clone());
        }
        self.follow(&inode.root, inode.shape(), &place, 0, (None, None));
    }

    /// A reference.
    fn follow(
        &mut self,
        child: &Child,
        shape: Shape,
        place: &Rc<Place>,
        first_page: u64,
        names: (Option<Box<str>>, Option<Box<str>>),
    ) {
        let Child::Stored(reference) = child else { return };
        let address = reference.address;
        if !self.space.is_possible(address) {
            return self.problem(place, shape, address, Defect::OutOfRange);
        }
        if !self.space.mark(address) {
            return self.problem(place, shape, address, Defect::UsedTwice);
        }
        if reference.generation > self.generation {
            self.problem(place, shape, address, Defect::FromTheFuture);
        }
        let is_of_file = matches!(shape, Shape::Page | Shape::Index(_));
        if is_of_file && first_page >= place.size.div_ceil(BLOCK_BYTES as u64) {
            self.problem(place, shape, address, Defect::BeyondTheEnd);
        }
        if place.depth > DEPTH_MAX {
            return self.problem(place, shape, address, Defect::Malformed);
        }
        if shape != Shape::Page || self.with_content {
            self.tasks.push(Task { reference: *reference, shape, place: place.clone(), first_page, names });
        }
    }

    fn look(&mut self, task: &Task, bytes: &Rc<[u8]>) {
        let Task { place, shape, .. } = task;
        let malformed = Defect::Malformed;
        let Some(node) = Node::decode(*shape, bytes) else {
            return self.problem(place, *shape, task.reference.address, malformed);
        };
        match node {
            Node::Page(bytes) => {
                let end =
                    place.size.saturating_sub(task.first_page * BLOCK_BYTES as u64).min(BLOCK_BYTES as u64);
                if bytes[end as usize..].iter().any(|byte| *byte != 0) {
                    self.problem(place, *shape, task.reference.address, Defect::BeyondTheEnd);
                }
            }
            Node::Index(children) => {
                let Shape::Index(level) = shape else { return };
                for (index, child) in (0..).zip(&children) {
                    let first_page = task.first_page + index * capacity(level - 1);
                    self.follow(child, shape.below(), place, first_page, (None, None));
                }
            }
            Node::Leaf(entries) => {
                place.entries.set(place.entries.get() + entries.len() as u64);
                let (from, to) = &task.names;
                let is_outside = |name: &str| {
                    from.as_ref().is_some_and(|from| name < &**from)
                        || to.as_ref().is_some_and(|to| name >= &**to)
                };
                if entries.iter().any(|entry| is_outside(&entry.name)) {
                    self.problem(place, *shape, task.reference.address, malformed);
                }
                for entry in entries {
                    self.meet(&entry.inode, entry.name, Some(place));
                }
            }
            Node::Branch(children) => self.branch(task, &children),
        }
    }

    fn branch(&mut self, task: &Task, children: &[(Box<str>, Child)]) {
        let (from, to) = &task.names;
        for (index, (name, child)) in children.iter().enumerate() {
            let begin = if index == 0 { from.clone() } else { Some(name.clone()) };
            let end = children.get(index + 1).map(|(next, _)| next.clone()).or_else(|| to.clone());
            let is_in_order = end.as_ref().is_none_or(|end| begin.as_ref().is_none_or(|begin| begin < end));
            if !is_in_order
                || from.as_ref().is_some_and(|from| begin.as_ref().is_some_and(|begin| begin < from))
            {
                self.problem(&task.place, task.shape, task.reference.address, Defect::Malformed);
            }
            self.follow(child, task.shape.below(), &task.place, 0, (begin, end));
        }
    }

    fn count(&mut self) {
        for place in std::mem::take(&mut self.counted) {
            let is_known = !self.problems.iter().any(|problem| problem.path == place.path());
            if is_known && place.entries.get() != place.size {
                self.problem(&place, Shape::Leaf, 0, Defect::Count);
            }
        }
    }
}

/// Looks at everything on the disk, and changes nothing.
///
/// # Errors
///
/// [`Error::NotFormatted`], [`Error::Unusable`], and [`Error::Disk`] if the disk does not even say what is damaged.
pub fn check(mut disk: Disk) -> (Disk, Result<Report>) {
    let anchors = match anchor::find(&mut disk) {
        Ok(anchors) => anchors,
        Err(error) => return (disk, Err(error)),
    };
    let newest = &anchors.newest;
    let mut store = Store::new(disk, Space::new(newest.blocks), newest.generation + 1, 1);
    let walk = walk(&mut store, &root_of(newest), newest.blocks, newest.generation, true);
    (store.into_disk(), walk.map(|walk| report(&anchors, walk)))
}

fn report(anchors: &Anchors, walk: Walk) -> Report {
    let newest = &anchors.newest;
    let mut problems: Vec<Damage> = (0..COPIES).filter_map(|copy| copy_problem(anchors, copy)).collect();
    problems.extend(walk.problems);
    if problems.is_empty() && walk.space.used() != newest.used {
        problems.push(superblock_problem(copy_address(anchors.slot, newest.blocks), Defect::Count));
    }
    problems.sort_by(|a, b| (&a.path, a.block, a.defect).cmp(&(&b.path, b.block, b.defect)));
    Report {
        problems,
        files: walk.files,
        directories: walk.directories,
        used_blocks: walk.space.used(),
        blocks: newest.blocks,
        generation: newest.generation,
    }
}

/// A loss of power while a slot is written leaves its two copies damaged or different, and the other slot whole. Only
/// what no loss of power explains is a problem.
fn copy_problem(anchors: &Anchors, copy: usize) -> Option<Damage> {
    let copies = &anchors.copies;
    let is_whole = |slot: usize| copies[slot].is_ok() && copies[slot] == copies[slot + COPIES / 2];
    if is_whole(0) || is_whole(1) {
        return None;
    }
    let twin = copies[(copy + COPIES / 2) % COPIES].as_ref().map_or(0, |twin| twin.generation);
    let is_good = copies[copy].as_ref().is_ok_and(|superblock| superblock.generation >= twin);
    let address = copy_address(copy, anchors.newest.blocks);
    (!is_good).then(|| superblock_problem(address, Defect::Checksum))
}

fn superblock_problem(block: u64, defect: Defect) -> Damage {
    Damage { path: String::new(), piece: Piece::Superblock, block, defect }
}

impl From<Damage> for Error {
    fn from(damage: Damage) -> Self {
        Self::Damaged(damage)
    }
}
