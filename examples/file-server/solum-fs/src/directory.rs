//! Directories: trees of names (B+ trees), changed in memory along the way to the name.

use crate::error::{Defect, Fault, Result};
use crate::layout::{BLOCK_BYTES, Reference};
use crate::node::{Child, Entry, Inode, Kind, Node, Shape, branch, leaf};
use crate::store::Store;

/// A node with less than this is put together with the one beside it, if the two fit well into one.
const SPARSE_BYTES: usize = BLOCK_BYTES / 4;
const MERGED_BYTES: usize = BLOCK_BYTES / 4 * 3;

/// Something that was looked up.
pub enum Found<'a> {
    /// It was changed, or is on the way to something that was.
    Memory(&'a Inode),
    /// All of it is on the disk.
    Stored(Inode),
}

impl Found<'_> {
    pub fn inode(&self) -> &Inode {
        match self {
            Self::Memory(inode) => inode,
            Self::Stored(inode) => inode,
        }
    }
}

/// What a name in a directory stands for. Changes nothing.
pub fn lookup<'a>(store: &mut Store, directory: Found<'a>, name: &str) -> Result<Option<Found<'a>>, Fault> {
    match directory {
        Found::Memory(inode) => lookup_in(store, inode, name),
        Found::Stored(inode) => match inode.root {
            Child::Stored(reference) => {
                Ok(lookup_stored(store, reference, inode.shape(), name)?.map(Found::Stored))
            }
            _ => Ok(None),
        },
    }
}

fn lookup_in<'a>(store: &mut Store, directory: &'a Inode, name: &str) -> Result<Option<Found<'a>>, Fault> {
    let (mut child, mut shape) = (&directory.root, directory.shape());
    loop {
        match child {
            Child::Hole => return Ok(None),
            Child::Stored(reference) => {
                return Ok(lookup_stored(store, *reference, shape, name)?.map(Found::Stored));
            }
            Child::Memory(node) => match &**node {
                Node::Leaf(entries) => {
                    let found = position(entries, name).ok().map(|at| Found::Memory(&entries[at].inode));
                    return Ok(found);
                }
                Node::Branch(children) => (child, shape) = (&children[way(children, name)].1, shape.below()),
                Node::Page(_) | Node::Index(_) => return Err(shape.fault(0, Defect::Malformed)),
            },
        }
    }
}

fn lookup_stored(
    store: &mut Store,
    mut reference: Reference,
    mut shape: Shape,
    name: &str,
) -> Result<Option<Inode>, Fault> {
    loop {
        let bytes = store.block(&reference, shape)?;
        let malformed = || shape.fault(reference.address, Defect::Malformed);
        if shape == Shape::Leaf {
            let mut entries = leaf(&bytes).ok_or_else(malformed)?;
            return Ok(entries.find(|entry| entry.name == name).map(|entry| entry.inode()));
        }
        let children = branch(&bytes).ok_or_else(malformed)?.enumerate();
        let last = children.take_while(|(index, (first, _))| *index == 0 || *first <= name).last();
        let (_, (_, next)) = last.ok_or_else(malformed)?;
        (reference, shape) = (next, shape.below());
    }
}

fn position(entries: &[Entry], name: &str) -> Result<usize, usize> {
    entries.binary_search_by(|entry| (*entry.name).cmp(name))
}

/// Which child leads to a name.
fn way(children: &[(Box<str>, Child)], name: &str) -> usize {
    children.iter().skip(1).take_while(|(first, _)| **first <= *name).count()
}

/// What a name stands for, to be changed. The way to it is in memory afterwards.
pub fn find<'a>(
    store: &mut Store,
    directory: &'a mut Inode,
    name: &str,
) -> Result<Option<&'a mut Inode>, Fault> {
    let mut shape = directory.shape();
    let mut child = &mut directory.root;
    loop {
        if matches!(child, Child::Hole) {
            return Ok(None);
        }
        match store.open(child, shape)? {
            Node::Leaf(entries) => {
                let at = position(entries, name);
                return Ok(at.ok().map(|at| &mut entries[at].inode));
            }
            Node::Branch(children) => {
                let at = way(children, name);
                child = &mut children[at].1;
            }
            Node::Page(_) | Node::Index(_) => return Err(shape.fault(0, Defect::Malformed)),
        }
        shape = shape.below();
    }
}

/// Adds a name that is not there. If it fails, nothing was added.
pub fn insert(store: &mut Store, directory: &mut Inode, name: &str, inode: Inode) -> Result<(), Fault> {
    let entry = Entry { name: name.into(), inode };
    if matches!(directory.root, Child::Hole) {
        directory.root = store.fresh(Node::Leaf(vec![entry]));
    } else {
        let shape = directory.shape();
        if let Some((first, right)) = insert_below(store, &mut directory.root, shape, entry)? {
            let left = directory.root.take();
            directory.root = store.fresh(Node::Branch(vec![("".into(), left), (first, right)]));
            directory.levels += 1;
        }
    }
    directory.size = directory.size.saturating_add(1);
    Ok(())
}

/// Gives what has to stand beside `child` from now on.
fn insert_below(
    store: &mut Store,
    child: &mut Child,
    shape: Shape,
    entry: Entry,
) -> Result<Option<(Box<str>, Child)>, Fault> {
    let node = store.open(child, shape)?;
    match node {
        Node::Leaf(entries) => {
            let at = position(entries, &entry.name).unwrap_or_else(|at| at);
            entries.insert(at, entry);
        }
        Node::Branch(children) => {
            let at = way(children, &entry.name);
            if let Some(beside) = insert_below(store, &mut children[at].1, shape.below(), entry)? {
                children.insert(at + 1, beside);
            }
        }
        Node::Page(_) | Node::Index(_) => return Err(shape.fault(0, Defect::Malformed)),
    }
    Ok(if node.bytes() > BLOCK_BYTES { split(store, node) } else { None })
}

/// Cuts a node that is too full in two, and gives the second half.
fn split(store: &mut Store, node: &mut Node) -> Option<(Box<str>, Child)> {
    let total = node.bytes();
    match node {
        Node::Leaf(entries) => {
            let sizes = entries.iter().map(|entry| entry.name.len() + 43);
            let right = entries.split_off(middle(sizes, total));
            Some((right.first()?.name.clone(), store.fresh(Node::Leaf(right))))
        }
        Node::Branch(children) => {
            let sizes = children.iter().map(|(name, _)| name.len() + 33);
            let right = children.split_off(middle(sizes, total));
            Some((right.first()?.0.clone(), store.fresh(Node::Branch(right))))
        }
        Node::Page(_) | Node::Index(_) => None,
    }
}

fn middle(sizes: impl ExactSizeIterator<Item = usize>, total: usize) -> usize {
    let last = sizes.len() - 1;
    let mut sum = 0;
    let before_half = sizes.take_while(|size| {
        sum += size;
        sum <= total / 2
    });
    before_half.count().clamp(1, last.max(1))
}

/// Takes a name out. If it fails, nothing was taken out.
pub fn remove(store: &mut Store, directory: &mut Inode, name: &str) -> Result<Option<Inode>, Fault> {
    if matches!(directory.root, Child::Hole) {
        return Ok(None);
    }
    let shape = directory.shape();
    let removed = remove_below(store, &mut directory.root, shape, name)?;
    if removed.is_some() {
        directory.size = directory.size.saturating_sub(1);
    }
    lower(store, directory);
    Ok(removed)
}

fn remove_below(
    store: &mut Store,
    child: &mut Child,
    shape: Shape,
    name: &str,
) -> Result<Option<Inode>, Fault> {
    match store.open(child, shape)? {
        Node::Leaf(entries) => Ok(position(entries, name).ok().map(|at| entries.remove(at).inode)),
        Node::Branch(children) => {
            let at = way(children, name);
            let removed = remove_below(store, &mut children[at].1, shape.below(), name)?;
            thin_out(store, children, at, shape.below());
            Ok(removed)
        }
        Node::Page(_) | Node::Index(_) => Err(shape.fault(0, Defect::Malformed)),
    }
}

/// A child that lost something may have to go, or to be put together with the one beside it.
fn thin_out(store: &mut Store, children: &mut Vec<(Box<str>, Child)>, at: usize, shape: Shape) {
    let Child::Memory(node) = &children[at].1 else { return };
    if node.is_empty() {
        children.remove(at);
        store.dissolve();
    } else if node.bytes() < SPARSE_BYTES && children.len() > 1 {
        let left = at.min(children.len() - 2);
        merge(store, children, left, shape);
    }
}

/// Puts a child and the one behind it together. One that cannot be read just stays.
fn merge(store: &mut Store, children: &mut Vec<(Box<str>, Child)>, left: usize, shape: Shape) {
    let (first, second) = children.split_at_mut(left + 1);
    let (Some((_, first)), Some((name, second))) = (first.last_mut(), second.first_mut()) else { return };
    let (Ok(first), Ok(other)) = (store.open(first, shape), store.open(second, shape)) else { return };
    if first.bytes() + other.bytes() + name.len() > MERGED_BYTES {
        return;
    }
    match (first, other) {
        (Node::Leaf(entries), Node::Leaf(more)) => entries.append(more),
        (Node::Branch(children), Node::Branch(more)) => {
            // The first one's name was never looked at; now it is.
            if let Some((own, _)) = more.first_mut() {
                *own = name.clone();
            }
            children.append(more);
        }
        _ => return,
    }
    children.remove(left + 1);
    store.dissolve();
}

/// Takes away levels that are not needed any more.
fn lower(store: &mut Store, directory: &mut Inode) {
    loop {
        let Child::Memory(node) = &mut directory.root else { return };
        match &mut **node {
            Node::Leaf(entries) if entries.is_empty() => directory.root = Child::Hole,
            Node::Branch(children) if children.is_empty() => {
                directory.root = Child::Hole;
                directory.levels = 0;
            }
            Node::Branch(children) if children.len() == 1 => {
                let only = children.pop().map_or(Child::Hole, |(_, child)| child);
                directory.root = only;
                directory.levels -= 1;
            }
            _ => return,
        }
        store.dissolve();
    }
}

/// What a listing says of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The name, without the way to it.
    pub name: String,
    /// What it stands for.
    pub kind: Kind,
    /// Of a file, in bytes; of a directory, in entries.
    pub size: u64,
}

/// Collects names behind `after`, in order, until there are `limit`.
pub fn list(
    store: &mut Store,
    child: &Child,
    shape: Shape,
    after: Option<&str>,
    limit: usize,
    listed: &mut Vec<Listed>,
) -> Result<(), Fault> {
    let read;
    let node = match child {
        Child::Hole => return Ok(()),
        Child::Memory(node) => node,
        Child::Stored(reference) => {
            let malformed = || shape.fault(reference.address, Defect::Malformed);
            read = Node::decode(shape, &store.block(reference, shape)?).ok_or_else(malformed)?;
            &read
        }
    };
    match node {
        Node::Leaf(entries) => {
            let begin = entries.partition_point(|entry| after.is_some_and(|after| *entry.name <= *after));
            let wanted = entries[begin..].iter().take(limit - listed.len());
            listed.extend(wanted.map(|Entry { name, inode }| Listed {
                name: name.to_string(),
                kind: inode.kind,
                size: inode.size,
            }));
        }
        Node::Branch(children) => {
            let begin = after.map_or(0, |after| way(children, after));
            for (_, below) in &children[begin..] {
                if listed.len() >= limit {
                    break;
                }
                list(store, below, shape.below(), after, limit, listed)?;
            }
        }
        Node::Page(_) | Node::Index(_) => return Err(shape.fault(0, Defect::Malformed)),
    }
    Ok(())
}
