//! Blocks between memory and the disk: read and verified, changed in memory, written to places that nothing refers to.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::rc::Rc;

use solum::Disk;

use crate::error::{Defect, Error, Fault, Result};
use crate::layout::{BLOCK_BYTES, COPIES, Reference, Superblock, copy_address};
use crate::node::{Child, Node, Shape};
use crate::space::Space;

/// How many blocks one request to the disk is about at most.
const RUN_BLOCKS: usize = 64;

/// How many blocks are on their way at the same time at most.
const BATCH_BLOCKS: usize = 1024;

/// How often what was not flushed is written again for a disk whose server was started again.
const ATTEMPTS: usize = 3;

/// A read of more blocks than these does not push others out of the cache.
const CACHED_READ_BLOCKS: usize = 16;

/// Nor does the content in a write of more blocks than these.
const CACHED_WRITE_BLOCKS: usize = 256;

/// Changes what is written, before its checksum is made.
#[cfg(test)]
pub type Tamper = Box<dyn FnMut(&mut Vec<u8>)>;

/// A block that was given a place.
struct Written {
    reference: Reference,
    bytes: Rc<[u8]>,
    is_content: bool,
}

/// The disk, and what is known of it.
pub struct Store {
    disk: Disk,
    pub space: Space,
    cache: Cache,
    /// Written to the disk perhaps, but not made to last: if the disk loses it, it is written again.
    unflushed: BTreeMap<u64, Written>,
    /// The generation of what is written now. No superblock refers to blocks of it.
    pub transaction: u64,
    /// How many nodes are in memory. Each will need a block.
    pub dirty: u64,
    #[cfg(test)]
    pub tamper: Option<Tamper>,
}

impl Store {
    pub fn new(disk: Disk, space: Space, transaction: u64, cache_blocks: usize) -> Self {
        Self {
            disk,
            space,
            cache: Cache::new(cache_blocks),
            unflushed: BTreeMap::new(),
            transaction,
            dirty: 0,
            #[cfg(test)]
            tamper: None,
        }
    }

    pub fn disk(&mut self) -> &mut Disk {
        &mut self.disk
    }

    pub fn into_disk(self) -> Disk {
        self.disk
    }

    /// How many blocks are held in memory because they are not safe on the disk.
    pub fn held(&self) -> u64 {
        self.dirty + self.unflushed.len() as u64
    }

    /// The verified bytes of a block.
    pub fn block(&mut self, reference: &Reference, shape: Shape) -> Result<Rc<[u8]>, Fault> {
        if let Some(bytes) = self.known(reference) {
            return Ok(bytes);
        }
        let bytes: Rc<[u8]> = self.read_one(reference, shape)?.into();
        self.cache.put(*reference, bytes.clone());
        Ok(bytes)
    }

    /// Fills `buffer`, whose blocks are numbered, with the verified bytes of these blocks. Each stands behind its number,
    /// and the numbers ascend.
    pub fn fill(&mut self, wanted: &[(usize, Reference)], buffer: &mut [u8]) -> Result<(), Fault> {
        let mut missing = Vec::with_capacity(wanted.len());
        for (number, reference) in wanted {
            match self.known(reference) {
                Some(bytes) => block_of(buffer, *number).copy_from_slice(&bytes),
                None => missing.push((*number, *reference)),
            }
        }
        for group in missing.chunks(BATCH_BLOCKS) {
            self.read_many(group, buffer);
        }
        for (number, reference) in &missing {
            let place = block_of(buffer, *number);
            if !reference.fits(place) {
                place.copy_from_slice(&self.read_one(reference, Shape::Page)?);
            }
            if missing.len() <= CACHED_READ_BLOCKS {
                self.cache.put(*reference, Rc::from(&*place));
            }
        }
        Ok(())
    }

    /// The verified bytes of many blocks, for who goes through all of them once.
    pub fn survey(&mut self, wanted: &[(Reference, Shape)]) -> Vec<Result<Rc<[u8]>, Fault>> {
        let mut order: Vec<usize> = (0..wanted.len()).collect();
        order.sort_unstable_by_key(|index| wanted[*index].0.address);
        let numbered: Vec<_> =
            order.iter().enumerate().map(|(number, index)| (number, wanted[*index].0)).collect();
        let mut buffer = vec![0; wanted.len() * BLOCK_BYTES];
        self.read_many(&numbered, &mut buffer);
        let mut found: Vec<_> = numbered.iter().zip(order).zip(buffer.chunks(BLOCK_BYTES)).collect();
        found.sort_unstable_by_key(|((_, index), _)| *index);
        found
            .into_iter()
            .map(|(((_, reference), index), bytes)| match self.unflushed.get(&reference.address) {
                Some(held) if reference.fits(&held.bytes) => Ok(held.bytes.clone()),
                _ if reference.fits(bytes) => Ok(bytes.into()),
                _ => self.read_one(reference, wanted[index].1).map(Rc::from),
            })
            .collect()
    }

    fn known(&mut self, reference: &Reference) -> Option<Rc<[u8]>> {
        let held =
            self.unflushed.get(&reference.address).filter(|_| reference.generation == self.transaction);
        held.map(|held| held.bytes.clone()).or_else(|| self.cache.get(reference))
    }

    /// Reads what it can; what could not be read does not fit its checksum.
    fn read_many(&mut self, wanted: &[(usize, Reference)], buffer: &mut [u8]) {
        let mut batch = self.disk.batch();
        let (mut rest, mut next_number) = (buffer, wanted.first().map_or(0, |(number, _)| *number));
        rest = rest.split_at_mut(next_number * BLOCK_BYTES).1;
        let mut wanted = wanted;
        while let Some((number, first)) = wanted.first() {
            let follows = |(index, (other, reference)): (usize, &(usize, Reference))| {
                let distance = reference.address.checked_sub(first.address);
                index < RUN_BLOCKS && *other == number + index && distance == Some(index as u64)
            };
            let length = wanted.iter().enumerate().take_while(|pair| follows(*pair)).count();
            let after_gap = rest.split_at_mut((number - next_number) * BLOCK_BYTES).1;
            let (run, after) = after_gap.split_at_mut(length * BLOCK_BYTES);
            batch = batch.read_at(offset_of(first.address), run);
            (rest, next_number, wanted) = (after, number + length, &wanted[length..]);
        }
        // Whatever failed is read again, alone, by who finds that it does not fit.
        let _ = batch.run();
    }

    fn read_one(&mut self, reference: &Reference, shape: Shape) -> Result<Vec<u8>, Fault> {
        let mut bytes = vec![0; BLOCK_BYTES];
        match self.disk.read_at(offset_of(reference.address), &mut bytes) {
            Ok(()) if reference.fits(&bytes) => Ok(bytes),
            Ok(()) => Err(shape.fault(reference.address, Defect::Checksum)),
            Err(solum::Error::Device(_)) => Err(shape.fault(reference.address, Defect::Unreadable)),
            Err(solum::Error::OutOfRange { .. }) => Err(shape.fault(reference.address, Defect::OutOfRange)),
            Err(error) => Err(error.into()),
        }
    }

    /// The node in memory, to be changed. A hole stays one, and is an error of its owner.
    pub fn open<'c>(&mut self, child: &'c mut Child, shape: Shape) -> Result<&'c mut Node, Fault> {
        if let Child::Stored(reference) = child {
            let reference = *reference;
            let bytes = self.block(&reference, shape)?;
            let malformed = || shape.fault(reference.address, Defect::Malformed);
            let node = Node::decode(shape, &bytes).ok_or_else(malformed)?;
            self.forget(&reference);
            *child = self.fresh(node);
        }
        match child {
            Child::Memory(node) => Ok(node),
            Child::Hole | Child::Stored(_) => Err(shape.fault(0, Defect::Malformed)),
        }
    }

    /// A new node in memory.
    pub fn fresh(&mut self, node: Node) -> Child {
        self.dirty += 1;
        Child::Memory(Box::new(node))
    }

    /// A node in memory is no more; what it referred to is somewhere else.
    pub fn dissolve(&mut self) {
        self.dirty -= 1;
    }

    /// Nothing refers to a block any more.
    fn forget(&mut self, reference: &Reference) {
        if reference.generation == self.transaction {
            self.unflushed.remove(&reference.address);
            self.space.give_back(reference.address);
        } else {
            self.space.give_back_later(reference.address);
        }
    }

    /// Nothing refers to a tree any more. What cannot be read of it cannot be followed: blocks behind it are free again
    /// when the file system is mounted the next time.
    pub fn release(&mut self, child: Child, shape: Shape) {
        let (mut stack, mut stored) = (vec![(child, shape)], Vec::new());
        loop {
            while let Some((child, shape)) = stack.pop() {
                match child {
                    Child::Hole => {}
                    Child::Stored(reference) if shape == Shape::Page => self.forget(&reference),
                    Child::Stored(reference) => stored.push((reference, shape)),
                    Child::Memory(node) => {
                        self.dissolve();
                        stack_children(*node, shape, &mut stack);
                    }
                }
            }
            if stored.is_empty() {
                return;
            }
            let some = stored.split_off(stored.len().saturating_sub(BATCH_BLOCKS / 4));
            for ((reference, shape), bytes) in some.iter().zip(self.survey(&some)) {
                if let Some(node) = bytes.ok().and_then(|bytes| Node::decode(*shape, &bytes)) {
                    stack_children(node, *shape, &mut stack);
                }
                self.forget(reference);
            }
        }
    }

    /// Gives every node of the tree a place, and hands it to be written.
    pub fn write_out(&mut self, child: &mut Child) -> Result<(), Fault> {
        let Child::Memory(node) = child else { return Ok(()) };
        for below in node.children().filter(|below| matches!(below, Child::Memory(_))) {
            self.write_out(below)?;
        }
        let address = self.space.allocate().ok_or(Fault::NoSpace)?;
        let (bytes, is_content) = (self.encode(node), matches!(**node, Node::Page(_)));
        let reference = Reference::to(address, self.transaction, &bytes);
        self.unflushed.insert(address, Written { reference, bytes, is_content });
        self.dirty -= 1;
        *child = Child::Stored(reference);
        Ok(())
    }

    #[cfg(not(test))]
    fn encode(&mut self, node: &Node) -> Rc<[u8]> {
        node.encode()
    }

    #[cfg(test)]
    fn encode(&mut self, node: &Node) -> Rc<[u8]> {
        let mut bytes = node.encode().to_vec();
        if let (Some(tamper), false) = (&mut self.tamper, matches!(node, Node::Page(_))) {
            tamper(&mut bytes);
        }
        bytes.into()
    }

    /// Makes everything that was handed to be written last.
    pub fn settle(&mut self) -> Result<()> {
        if self.unflushed.is_empty() {
            return Ok(());
        }
        self.insist(|store| {
            store.write_unflushed()?;
            store.disk.flush()
        })?;
        let written = std::mem::take(&mut self.unflushed);
        // A long file would push everything else out.
        let is_little = written.len() <= CACHED_WRITE_BLOCKS;
        for Written { reference, bytes, is_content } in written.into_values() {
            if is_little || !is_content {
                self.cache.put(reference, bytes);
            }
        }
        Ok(())
    }

    /// Writes both copies of a superblock, makes them last, and looks whether they are there. One is enough in the end: a
    /// disk may have a place that cannot be written any more.
    pub fn write_superblock(&mut self, superblock: &Superblock, slot: usize) -> Result<()> {
        let mut attempt = 1;
        loop {
            let written = self.insist(|store| store.write_copies(superblock, slot));
            match (written, attempt < ATTEMPTS) {
                (Ok(2), _) | (Ok(1), false) => return Ok(()),
                (Ok(_), false) => {
                    let reason = "the superblock was written, but is not there".to_owned();
                    return Err(Error::Disk(solum::Error::Device(reason)));
                }
                (Err(error), _) => return Err(error),
                (Ok(_), true) => attempt += 1,
            }
        }
    }

    /// How many copies are there.
    fn write_copies(&mut self, superblock: &Superblock, slot: usize) -> solum::Result<usize> {
        let copies = [superblock.encode(slot), superblock.encode(slot + COPIES / 2)];
        let places = [slot, slot + COPIES / 2].map(|copy| offset_of(copy_address(copy, superblock.blocks)));
        let batch = self.disk.batch().write_at(places[0], &copies[0]);
        let outcomes = batch.write_at(places[1], &copies[1]).run();
        // That a copy could not be written is seen when it is looked for.
        outcomes.into_iter().try_for_each(only_device)?;
        self.disk.flush()?;
        let mut there = 0;
        let mut bytes = vec![0; BLOCK_BYTES];
        for (place, copy) in places.iter().zip(&copies) {
            bytes.fill(0);
            only_device(self.disk.read_at(*place, &mut bytes))?;
            there += usize::from(bytes == *copy);
        }
        Ok(there)
    }

    /// Does it again, from the beginning, if who serves the disk died in between: what was not flushed may be lost.
    fn insist<T>(&mut self, mut write: impl FnMut(&mut Self) -> solum::Result<T>) -> Result<T> {
        let mut attempt = 1;
        loop {
            match write(self) {
                Err(solum::Error::Gone { .. }) if attempt < ATTEMPTS => attempt += 1,
                outcome => return Ok(outcome?),
            }
        }
    }

    fn write_unflushed(&mut self) -> solum::Result<()> {
        let blocks: Vec<(u64, &Rc<[u8]>)> =
            self.unflushed.iter().map(|(address, written)| (*address, &written.bytes)).collect();
        for group in blocks.chunks(BATCH_BLOCKS) {
            let runs: Vec<(u64, Cow<'_, [u8]>)> = runs(group);
            let batch = runs.iter().fold(self.disk.batch(), |batch, (address, bytes)| {
                batch.write_at(offset_of(*address), bytes)
            });
            batch.run().into_iter().collect::<solum::Result<()>>()?;
        }
        Ok(())
    }
}

/// Takes it that a single request failed; not that the whole disk is away.
pub fn only_device(outcome: solum::Result<()>) -> solum::Result<()> {
    match outcome {
        Err(solum::Error::Device(_)) => Ok(()),
        outcome => outcome,
    }
}

/// What lies side by side becomes one request.
fn runs<'a>(mut blocks: &[(u64, &'a Rc<[u8]>)]) -> Vec<(u64, Cow<'a, [u8]>)> {
    let mut runs = Vec::new();
    while let Some((first, bytes)) = blocks.first() {
        let follows = |(index, (address, _)): &(usize, &(u64, &Rc<[u8]>))| {
            *index < RUN_BLOCKS && *address == first + *index as u64
        };
        let length = blocks.iter().enumerate().take_while(follows).count();
        let run = match length {
            1 => Cow::Borrowed(&***bytes),
            _ => Cow::Owned(blocks[..length].iter().map(|(_, bytes)| &***bytes).collect::<Vec<_>>().concat()),
        };
        runs.push((*first, run));
        blocks = &blocks[length..];
    }
    runs
}

fn stack_children(node: Node, shape: Shape, stack: &mut Vec<(Child, Shape)>) {
    match node {
        Node::Page(_) => {}
        Node::Index(children) => stack.extend(children.into_iter().map(|child| (child, shape.below()))),
        Node::Branch(children) => stack.extend(children.into_iter().map(|(_, child)| (child, shape.below()))),
        Node::Leaf(entries) => {
            stack.extend(entries.into_iter().map(|entry| {
                let shape = entry.inode.shape();
                (entry.inode.root, shape)
            }));
        }
    }
}

fn block_of(buffer: &mut [u8], number: usize) -> &mut [u8] {
    &mut buffer[number * BLOCK_BYTES..][..BLOCK_BYTES]
}

/// In bytes. Saturates where no disk reaches, so that the disk refuses it.
pub fn offset_of(address: u64) -> u64 {
    address.checked_mul(BLOCK_BYTES as u64).unwrap_or(u64::MAX - (BLOCK_BYTES as u64 - 1))
}

/// Blocks that were read or written lately, in two halves: what is used again moves to the young one; when that is full
/// the old one is dropped.
struct Cache {
    young: BTreeMap<u64, (Reference, Rc<[u8]>)>,
    old: BTreeMap<u64, (Reference, Rc<[u8]>)>,
    half: usize,
}

impl Cache {
    fn new(blocks: usize) -> Self {
        Self { young: BTreeMap::new(), old: BTreeMap::new(), half: (blocks / 2).max(1) }
    }

    fn get(&mut self, reference: &Reference) -> Option<Rc<[u8]>> {
        if let Some((cached, bytes)) = self.young.get(&reference.address) {
            return (cached == reference).then(|| bytes.clone());
        }
        let (_, bytes) = self.old.remove(&reference.address).filter(|(cached, _)| cached == reference)?;
        self.put(*reference, bytes.clone());
        Some(bytes)
    }

    fn put(&mut self, reference: Reference, bytes: Rc<[u8]>) {
        if self.young.len() >= self.half {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(reference.address, (reference, bytes));
    }
}
