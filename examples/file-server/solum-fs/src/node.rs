//! The trees that a file system is: in memory as far as they were changed, on the disk otherwise.

use std::rc::Rc;

use crate::error::{Defect, Fault, Piece, Result};
use crate::layout::{BLOCK_BYTES, REFERENCE_BYTES, Reference};
use crate::path;

/// How many blocks an index refers to.
pub const FANOUT: usize = BLOCK_BYTES / REFERENCE_BYTES;

/// Levels of indexes above the content of a file: 128^5 blocks are 128 TiB.
pub const FILE_LEVELS_MAX: u8 = 5;

/// Levels of branches above the leaves of a directory. A block holds 13 names at least: more than memory can.
pub const DIRECTORY_LEVELS_MAX: u8 = 12;

/// The longest file, in bytes.
pub const FILE_BYTES_MAX: u64 = capacity(FILE_LEVELS_MAX) * BLOCK_BYTES as u64;

const HEADER_BYTES: usize = 4;
const LEAF: u8 = 1;
const BRANCH: u8 = 2;
/// Bytes of an entry of a leaf without its name, and of a branch.
const ENTRY_BYTES: usize = 3 + 8 + REFERENCE_BYTES;
const CHILD_BYTES: usize = 1 + REFERENCE_BYTES;

/// How many blocks of content lie under an index of this level.
pub const fn capacity(level: u8) -> u64 {
    (FANOUT as u64).pow(level as u32)
}

/// What a file or a directory is, beside its name.
#[derive(Debug)]
pub struct Inode {
    pub kind: Kind,
    /// How many levels lie above the lowest one.
    pub levels: u8,
    /// Of a file, in bytes; of a directory, in entries.
    pub size: u64,
    pub root: Child,
}

/// What a name can stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Bytes.
    File,
    /// Names.
    Directory,
}

impl Inode {
    pub fn empty(kind: Kind) -> Self {
        Self { kind, levels: 0, size: 0, root: Child::Hole }
    }

    pub fn shape(&self) -> Shape {
        Shape::of(self.kind, self.levels)
    }
}

/// What kind of block is expected somewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    Page,
    Index(u8),
    Leaf,
    Branch(u8),
}

impl Shape {
    pub fn of(kind: Kind, levels: u8) -> Self {
        match (kind, levels) {
            (Kind::File, 0) => Self::Page,
            (Kind::File, _) => Self::Index(levels),
            (Kind::Directory, 0) => Self::Leaf,
            (Kind::Directory, _) => Self::Branch(levels),
        }
    }

    /// Of the children.
    pub fn below(self) -> Self {
        match self {
            Self::Page | Self::Index(0 | 1) => Self::Page,
            Self::Index(level) => Self::Index(level - 1),
            Self::Leaf | Self::Branch(0 | 1) => Self::Leaf,
            Self::Branch(level) => Self::Branch(level - 1),
        }
    }

    pub fn piece(self) -> Piece {
        match self {
            Self::Page => Piece::Content,
            Self::Index(_) => Piece::Index,
            Self::Leaf | Self::Branch(_) => Piece::Directory,
        }
    }

    pub fn fault(self, block: u64, defect: Defect) -> Fault {
        Fault::Damaged { piece: self.piece(), block, defect }
    }

    /// A tree in memory that is not what its owner says. No disk content leads to it.
    fn confused(self) -> Fault {
        self.fault(0, Defect::Malformed)
    }
}

/// What a node refers to.
#[derive(Debug)]
pub enum Child {
    /// Nothing: zeros in a file, no names in a directory.
    Hole,
    /// Unchanged, on the disk.
    Stored(Reference),
    /// Changed since it was written, or never written.
    Memory(Box<Node>),
}

impl Child {
    pub fn take(&mut self) -> Self {
        std::mem::replace(self, Self::Hole)
    }

    fn reference(&self) -> Option<&Reference> {
        if let Self::Stored(reference) = self { Some(reference) } else { None }
    }

    fn of(reference: Option<Reference>) -> Self {
        reference.map_or(Self::Hole, Self::Stored)
    }
}

/// A block, taken apart.
#[derive(Debug)]
pub enum Node {
    /// Content of a file.
    Page(Rc<[u8]>),
    /// Where content is.
    Index(Vec<Child>),
    /// Names, in order.
    Leaf(Vec<Entry>),
    /// The children of a directory's tree, each with a name that none in it comes before. The first one's name is not
    /// looked at.
    Branch(Vec<(Box<str>, Child)>),
}

/// A name, and what it stands for.
#[derive(Debug)]
pub struct Entry {
    pub name: Box<str>,
    pub inode: Inode,
}

impl Node {
    pub fn page(&mut self) -> Result<&mut [u8], Fault> {
        if let Self::Page(bytes) = self { Ok(Rc::make_mut(bytes)) } else { Err(Shape::Page.confused()) }
    }

    pub fn index(&mut self) -> Result<&mut Vec<Child>, Fault> {
        if let Self::Index(children) = self { Ok(children) } else { Err(Shape::Index(1).confused()) }
    }

    /// How full it is, in bytes.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Page(_) | Self::Index(_) => BLOCK_BYTES,
            Self::Leaf(entries) => {
                HEADER_BYTES + entries.iter().map(|entry| ENTRY_BYTES + entry.name.len()).sum::<usize>()
            }
            Self::Branch(children) => {
                HEADER_BYTES + children.iter().map(|(name, _)| CHILD_BYTES + name.len()).sum::<usize>()
            }
        }
    }

    pub fn is_empty(&self) -> bool {
        match self {
            Self::Page(_) | Self::Index(_) => false,
            Self::Leaf(entries) => entries.is_empty(),
            Self::Branch(children) => children.is_empty(),
        }
    }

    /// The nodes that this one refers to, whether in memory or not.
    pub fn children(&mut self) -> Box<dyn Iterator<Item = &mut Child> + '_> {
        match self {
            Self::Page(_) => Box::new(std::iter::empty()),
            Self::Index(children) => Box::new(children.iter_mut()),
            Self::Leaf(entries) => Box::new(entries.iter_mut().map(|entry| &mut entry.inode.root)),
            Self::Branch(children) => Box::new(children.iter_mut().map(|(_, child)| child)),
        }
    }

    /// As it lies on the disk. Everything it refers to lies there already.
    pub fn encode(&self) -> Rc<[u8]> {
        if let Self::Page(bytes) = self {
            return bytes.clone();
        }
        let mut bytes = vec![0; BLOCK_BYTES];
        match self {
            Self::Page(_) => {}
            Self::Index(children) => {
                for (child, place) in children.iter().zip(bytes.chunks_exact_mut(REFERENCE_BYTES)) {
                    put(child, place);
                }
            }
            Self::Leaf(entries) => {
                let rest = header(&mut bytes, LEAF, entries.len());
                entries.iter().fold(rest, put_entry);
            }
            Self::Branch(children) => {
                let rest = header(&mut bytes, BRANCH, children.len());
                children.iter().fold(rest, |rest, (name, child)| {
                    let (place, rest) = rest.split_at_mut(CHILD_BYTES + name.len());
                    place[0] = name.len() as u8;
                    put(child, &mut place[1..]);
                    place[CHILD_BYTES..].copy_from_slice(name.as_bytes());
                    rest
                });
            }
        }
        bytes.into()
    }

    /// Nothing if the bytes make no sense as a block of this shape.
    pub fn decode(shape: Shape, bytes: &Rc<[u8]>) -> Option<Self> {
        match shape {
            Shape::Page => Some(Self::Page(bytes.clone())),
            Shape::Index(_) => Some(Self::Index(references(bytes).map(Child::of).collect())),
            Shape::Leaf => Some(Self::Leaf(leaf(bytes)?.map(RawEntry::entry).collect())),
            Shape::Branch(_) => Some(Self::Branch(
                branch(bytes)?.map(|(name, child)| (name.into(), Child::Stored(child))).collect(),
            )),
        }
    }
}

fn put(child: &Child, place: &mut [u8]) {
    if let Some(reference) = child.reference() {
        reference.encode(place);
    }
}

fn header(bytes: &mut [u8], kind: u8, count: usize) -> &mut [u8] {
    bytes[0] = kind;
    bytes[2..4].copy_from_slice(&(count as u16).to_le_bytes());
    &mut bytes[HEADER_BYTES..]
}

fn put_entry<'a>(rest: &'a mut [u8], entry: &Entry) -> &'a mut [u8] {
    let (place, rest) = rest.split_at_mut(ENTRY_BYTES + entry.name.len());
    place[0] = entry.name.len() as u8;
    place[1] = match entry.inode.kind {
        Kind::File => 1,
        Kind::Directory => 2,
    };
    place[2] = entry.inode.levels;
    place[3..11].copy_from_slice(&entry.inode.size.to_le_bytes());
    put(&entry.inode.root, &mut place[11..]);
    place[ENTRY_BYTES..].copy_from_slice(entry.name.as_bytes());
    rest
}

/// What an index refers to.
pub fn references(bytes: &[u8]) -> impl Iterator<Item = Option<Reference>> + '_ {
    bytes.chunks_exact(REFERENCE_BYTES).map(Reference::decode)
}

/// An entry as it lies on the disk.
pub struct RawEntry<'a> {
    pub name: &'a str,
    kind: Kind,
    levels: u8,
    size: u64,
    root: Option<Reference>,
}

impl RawEntry<'_> {
    pub fn inode(&self) -> Inode {
        Inode { kind: self.kind, levels: self.levels, size: self.size, root: Child::of(self.root) }
    }

    fn entry(self) -> Entry {
        Entry { name: self.name.into(), inode: self.inode() }
    }
}

/// The entries of a leaf; nothing if it makes no sense.
pub fn leaf(bytes: &[u8]) -> Option<impl Iterator<Item = RawEntry<'_>>> {
    let mut entries = Vec::new();
    let mut rest = bytes.get(HEADER_BYTES..).filter(|_| bytes[0] == LEAF)?;
    for _ in 0..count(bytes) {
        let length = usize::from(*rest.first()?);
        let (place, after) = rest.split_at_checked(ENTRY_BYTES + length)?;
        rest = after;
        let name = std::str::from_utf8(&place[ENTRY_BYTES..]).ok()?;
        let kind = match place[1] {
            1 => Kind::File,
            2 => Kind::Directory,
            _ => return None,
        };
        let size = crate::layout::read_u64(place, 3);
        let entry = RawEntry { name, kind, levels: place[2], size, root: Reference::decode(&place[11..]) };
        let in_order = entries.last().is_none_or(|last: &RawEntry<'_>| last.name < name);
        if !in_order || path::objection(name).is_some() || !is_plausible(&entry) {
            return None;
        }
        entries.push(entry);
    }
    Some(entries.into_iter())
}

fn is_plausible(entry: &RawEntry<'_>) -> bool {
    match entry.kind {
        Kind::File => entry.levels <= FILE_LEVELS_MAX && entry.size <= FILE_BYTES_MAX,
        Kind::Directory => entry.levels <= DIRECTORY_LEVELS_MAX,
    }
}

/// The children of a branch; nothing if it makes no sense.
pub fn branch(bytes: &[u8]) -> Option<impl Iterator<Item = (&str, Reference)>> {
    let mut children = Vec::new();
    let mut rest = bytes.get(HEADER_BYTES..).filter(|_| bytes[0] == BRANCH)?;
    for index in 0..count(bytes) {
        let length = usize::from(*rest.first()?);
        let (place, after) = rest.split_at_checked(CHILD_BYTES + length)?;
        rest = after;
        let name = std::str::from_utf8(&place[CHILD_BYTES..]).ok()?;
        let in_order = index < 2 || children.last().is_none_or(|(last, _)| *last < name);
        if index > 0 && (!in_order || path::objection(name).is_some()) {
            return None;
        }
        children.push((name, Reference::decode(&place[1..])?));
    }
    (!children.is_empty()).then(|| children.into_iter())
}

fn count(bytes: &[u8]) -> u16 {
    u16::from_le_bytes([bytes[2], bytes[3]])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn stored(address: u64) -> Child {
        Child::Stored(Reference { address, generation: 4, checksum: 5 })
    }

    #[test]
    fn nodes_are_read_as_they_were_written() {
        let file = Inode { kind: Kind::File, levels: 2, size: 9_999_999, root: stored(8) };
        let directory = Inode::empty(Kind::Directory);
        let entries =
            vec![Entry { name: "a".into(), inode: file }, Entry { name: "ä".into(), inode: directory }];
        let children = vec![("".into(), stored(5)), ("m".into(), stored(6))];
        let mut index: Vec<Child> = (0..FANOUT).map(|_| Child::Hole).collect();
        index[127] = stored(3);
        for (node, shape) in [
            (Node::Leaf(entries), Shape::Leaf),
            (Node::Branch(children), Shape::Branch(1)),
            (Node::Index(index), Shape::Index(1)),
        ] {
            let again = Node::decode(shape, &node.encode()).unwrap();
            assert_eq!(format!("{node:?}"), format!("{again:?}"));
        }
    }

    #[test]
    fn a_node_says_how_many_bytes_it_needs() {
        let name = "x".repeat(255);
        let entry = Entry { name: name.as_str().into(), inode: Inode::empty(Kind::File) };
        let node = Node::Leaf(vec![entry]);
        let encoded = node.encode();
        assert!(encoded[node.bytes()..].iter().all(|byte| *byte == 0) && encoded[node.bytes() - 1] == b'x');
    }

    #[test]
    fn leaves_out_of_order_or_with_names_that_are_none_make_no_sense() {
        let leaf_of = |names: &[&str]| {
            let entry = |name: &&str| Entry { name: (*name).into(), inode: Inode::empty(Kind::File) };
            Node::decode(Shape::Leaf, &Node::Leaf(names.iter().map(entry).collect()).encode())
        };
        assert!(leaf_of(&["a", "b"]).is_some());
        for names in [["b", "a"], ["a", "a"], ["", "a"], ["..", "a"], ["a", "a/b"]] {
            assert!(leaf_of(&names).is_none(), "{names:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_node_or_none_but_never_a_panic(
            kind in 0u8..4, count in 0u16..200, mut bytes in proptest::collection::vec(0u8..60, BLOCK_BYTES)
        ) {
            bytes[0] = kind;
            bytes[2..4].copy_from_slice(&count.to_le_bytes());
            let bytes: Rc<[u8]> = bytes.into();
            for shape in [Shape::Page, Shape::Index(1), Shape::Leaf, Shape::Branch(1)] {
                if let Some(node) = Node::decode(shape, &bytes) {
                    prop_assert!(node.bytes() <= BLOCK_BYTES);
                    node.encode();
                }
            }
        }
    }
}
