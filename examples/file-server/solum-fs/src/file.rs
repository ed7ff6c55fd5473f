//! Files: trees of indexes with blocks of content under them. What was never written is a hole, and reads as zeros.

use std::ops::Range;
use std::rc::Rc;

use crate::error::{Fault, Result};
use crate::layout::{BLOCK_BYTES, Reference};
use crate::node::{Child, FANOUT, Inode, Node, Shape, capacity, references};
use crate::store::Store;

const BLOCK: u64 = BLOCK_BYTES as u64;

/// What was found of the content.
struct Content<'a> {
    stored: Vec<(usize, Reference)>,
    memory: Vec<(usize, &'a [u8])>,
}

/// Reads; less than `length` only at the end of the file.
pub fn read(store: &mut Store, file: &Inode, offset: u64, length: u64) -> Result<Vec<u8>, Fault> {
    let end = offset.saturating_add(length).min(file.size);
    if offset >= end {
        return Ok(Vec::new());
    }
    let pages = offset / BLOCK..end.div_ceil(BLOCK);
    let mut content = Content { stored: Vec::new(), memory: Vec::new() };
    // What a tree of these levels cannot hold was never written.
    let held = pages.start..pages.end.min(capacity(file.levels));
    collect(store, &file.root, file.levels, &held, 0, pages.start, &mut content)?;
    let mut buffer = vec![0; (pages.end - pages.start) as usize * BLOCK_BYTES];
    store.fill(&content.stored, &mut buffer)?;
    for (number, bytes) in content.memory {
        buffer[number * BLOCK_BYTES..][..BLOCK_BYTES].copy_from_slice(bytes);
    }
    buffer.truncate((end - pages.start * BLOCK) as usize);
    buffer.drain(..(offset % BLOCK) as usize);
    Ok(buffer)
}

/// Which children of an index hold these pages, if the index begins with page `first`.
fn touched(pages: &Range<u64>, first: u64, level: u8) -> Range<usize> {
    let each = capacity(level - 1);
    let begin = pages.start.saturating_sub(first) / each;
    let end = pages.end.saturating_sub(first).div_ceil(each);
    begin.min(FANOUT as u64) as usize..end.min(FANOUT as u64) as usize
}

fn collect<'a>(
    store: &mut Store,
    child: &'a Child,
    level: u8,
    pages: &Range<u64>,
    first: u64,
    origin: u64,
    content: &mut Content<'a>,
) -> Result<(), Fault> {
    match child {
        Child::Hole => {}
        Child::Stored(reference) => {
            collect_stored(store, *reference, level, pages, first, origin, &mut content.stored)?;
        }
        Child::Memory(node) => match &**node {
            Node::Page(bytes) if pages.contains(&first) => {
                content.memory.push(((first - origin) as usize, bytes));
            }
            Node::Index(children) => {
                for index in touched(pages, first, level) {
                    let begin = first + index as u64 * capacity(level - 1);
                    collect(store, &children[index], level - 1, pages, begin, origin, content)?;
                }
            }
            _ => {}
        },
    }
    Ok(())
}

fn collect_stored(
    store: &mut Store,
    reference: Reference,
    level: u8,
    pages: &Range<u64>,
    first: u64,
    origin: u64,
    stored: &mut Vec<(usize, Reference)>,
) -> Result<(), Fault> {
    if level == 0 {
        if pages.contains(&first) {
            stored.push(((first - origin) as usize, reference));
        }
        return Ok(());
    }
    let bytes = store.block(&reference, Shape::Index(level))?;
    let range = touched(pages, first, level);
    for (index, below) in references(&bytes).enumerate().skip(range.start).take(range.len()) {
        if let Some(below) = below {
            let begin = first + index as u64 * capacity(level - 1);
            collect_stored(store, below, level - 1, pages, begin, origin, stored)?;
        }
    }
    Ok(())
}

/// Brings into memory what a write from `offset` to `end` needs of what is there: the indexes on its ways, and the pages that it
/// changes in part. After that the write cannot fail.
pub fn prepare(store: &mut Store, file: &mut Inode, offset: u64, end: u64) -> Result<(), Fault> {
    let pages = offset / BLOCK..end.div_ceil(BLOCK);
    if offset >= end || pages.start >= capacity(file.levels) {
        return Ok(());
    }
    let is_kept_in_part = |page: u64| offset > page * BLOCK || end < (page + 1) * BLOCK;
    bring(store, &mut file.root, file.levels, &pages, 0, &is_kept_in_part)
}

fn bring(
    store: &mut Store,
    child: &mut Child,
    level: u8,
    pages: &Range<u64>,
    first: u64,
    is_kept_in_part: &dyn Fn(u64) -> bool,
) -> Result<(), Fault> {
    match (&child, level) {
        (Child::Hole, _) => Ok(()),
        (_, 0) if is_kept_in_part(first) => store.open(child, Shape::Page).map(drop),
        (_, 0) => Ok(()),
        _ => {
            let children = store.open(child, Shape::Index(level))?.index()?;
            for index in touched(pages, first, level) {
                let begin = first + index as u64 * capacity(level - 1);
                bring(store, &mut children[index], level - 1, pages, begin, is_kept_in_part)?;
            }
            Ok(())
        }
    }
}

/// Writes. The caller checked that the file does not become too long.
pub fn write(store: &mut Store, file: &mut Inode, offset: u64, data: &[u8]) -> Result<(), Fault> {
    let Some(last) = (offset + data.len() as u64).checked_sub(1).filter(|_| !data.is_empty()) else {
        return Ok(());
    };
    raise(store, file, last / BLOCK);
    let (mut at, mut rest) = (offset, data);
    while !rest.is_empty() {
        let begin = (at % BLOCK) as usize;
        let (piece, after) = rest.split_at(rest.len().min(BLOCK_BYTES - begin));
        let child = place(store, file, at / BLOCK)?;
        put(store, child, begin, piece)?;
        at += piece.len() as u64;
        file.size = file.size.max(at);
        rest = after;
    }
    Ok(())
}

fn put(store: &mut Store, child: &mut Child, begin: usize, piece: &[u8]) -> Result<(), Fault> {
    if piece.len() == BLOCK_BYTES && !matches!(child, Child::Memory(_)) {
        store.release(child.take(), Shape::Page);
        *child = store.fresh(Node::Page(piece.into()));
        return Ok(());
    }
    if matches!(child, Child::Hole) {
        *child = store.fresh(Node::Page(Rc::from(vec![0; BLOCK_BYTES])));
    }
    store.open(child, Shape::Page)?.page()?[begin..begin + piece.len()].copy_from_slice(piece);
    Ok(())
}

/// Adds levels until there is a place for this page.
fn raise(store: &mut Store, file: &mut Inode, page: u64) {
    while page >= capacity(file.levels) {
        if !matches!(file.root, Child::Hole) {
            let mut children = holes();
            children[0] = file.root.take();
            file.root = store.fresh(Node::Index(children));
        }
        file.levels += 1;
    }
}

fn holes() -> Vec<Child> {
    (0..FANOUT).map(|_| Child::Hole).collect()
}

/// Where a page is referred to. The way to it is in memory afterwards.
fn place<'a>(store: &mut Store, file: &'a mut Inode, page: u64) -> Result<&'a mut Child, Fault> {
    let mut child = &mut file.root;
    for level in (1..=file.levels).rev() {
        if matches!(child, Child::Hole) {
            *child = store.fresh(Node::Index(holes()));
        }
        let index = (page / capacity(level - 1)) as usize % FANOUT;
        child = &mut store.open(child, Shape::Index(level))?.index()?[index];
    }
    Ok(child)
}

/// Makes a file longer, with zeros, or shorter. If it fails, nothing was changed.
pub fn truncate(store: &mut Store, file: &mut Inode, size: u64) -> Result<(), Fault> {
    if size < file.size {
        let keep = size.div_ceil(BLOCK);
        let tail = (size % BLOCK) as usize;
        if tail > 0 && keep <= capacity(file.levels) && is_written(store, file, keep - 1)? {
            let child = place(store, file, keep - 1)?;
            store.open(child, Shape::Page)?.page()?[tail..].fill(0);
        }
        let (levels, shape) = (file.levels, file.shape());
        cut(store, &mut file.root, levels, shape, keep)?;
        if matches!(file.root, Child::Hole) {
            file.levels = 0;
        }
    }
    file.size = size;
    Ok(())
}

fn is_written(store: &mut Store, file: &Inode, page: u64) -> Result<bool, Fault> {
    let mut content = Content { stored: Vec::new(), memory: Vec::new() };
    collect(store, &file.root, file.levels, &(page..page + 1), 0, page, &mut content)?;
    Ok(!content.stored.is_empty() || !content.memory.is_empty())
}

/// Releases all but the first pages. The only child that is cut itself is opened before anything is released.
fn cut(store: &mut Store, child: &mut Child, level: u8, shape: Shape, keep: u64) -> Result<(), Fault> {
    if keep == 0 {
        store.release(child.take(), shape);
        return Ok(());
    }
    if level == 0 || matches!(child, Child::Hole) || keep >= capacity(level) {
        return Ok(());
    }
    let each = capacity(level - 1);
    let children = store.open(child, shape)?.index()?;
    let boundary = (keep / each) as usize;
    let is_cut = !keep.is_multiple_of(each);
    if is_cut {
        cut(store, &mut children[boundary], level - 1, shape.below(), keep % each)?;
    }
    for below in &mut children[boundary + usize::from(is_cut)..] {
        store.release(below.take(), shape.below());
    }
    Ok(())
}
