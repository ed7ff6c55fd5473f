//! A disk that records what is done to it, and does not always do it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use solum::Disk;
use solum::disk::{Driver, Geometry};

pub const SECTOR: usize = 512;
const BLOCK: usize = 4096;

/// What a disk holds; blocks that are not there are zeros.
#[derive(Clone, Default, PartialEq)]
pub struct Image {
    pub bytes: u64,
    pub blocks: BTreeMap<u64, Rc<[u8]>>,
}

impl Image {
    pub fn new(bytes: u64) -> Self {
        Self { bytes, blocks: BTreeMap::new() }
    }

    pub fn write(&mut self, offset: u64, data: &[u8]) {
        self.write_sectors(offset, data, |_| true);
    }

    /// Writes those sectors, counted from the write's first, that `keeps` says.
    pub fn write_sectors(&mut self, offset: u64, data: &[u8], mut keeps: impl FnMut(usize) -> bool) {
        for (sector, bytes) in data.chunks(SECTOR).enumerate() {
            if keeps(sector) {
                let at = offset as usize + sector * SECTOR;
                let block = self.blocks.entry((at / BLOCK) as u64).or_insert_with(|| vec![0; BLOCK].into());
                Rc::make_mut(block)[at % BLOCK..][..bytes.len()].copy_from_slice(bytes);
            }
        }
    }

    pub fn read(&self, offset: u64, buffer: &mut [u8]) {
        for (sector, bytes) in buffer.chunks_mut(SECTOR).enumerate() {
            let at = offset as usize + sector * SECTOR;
            match self.blocks.get(&((at / BLOCK) as u64)) {
                Some(block) => bytes.copy_from_slice(&block[at % BLOCK..][..bytes.len()]),
                None => bytes.fill(0),
            }
        }
    }

    /// A disk that holds this now, whose changes nobody sees.
    pub fn disk(&self) -> Disk {
        Media::new(self.clone()).disk()
    }
}

/// Something that was done to a disk.
#[derive(Clone)]
pub enum Done {
    Write(u64, Vec<u8>),
    Flush,
}

/// What happens to the next operations; `Ok(false)` says that it was done, though it was not.
pub type Fate = Box<dyn FnMut(&Done) -> solum::Result<bool>>;

/// A disk's inside.
pub struct Media {
    pub image: Image,
    pub log: Vec<Done>,
    pub fate: Option<Fate>,
    pub unreadable: Vec<u64>,
}

/// What the test keeps of a disk.
#[derive(Clone)]
pub struct Shared(pub Rc<RefCell<Media>>);

impl Media {
    #[expect(clippy::new_ret_no_self, reason = "nobody needs one that is not shared")]
    pub fn new(image: Image) -> Shared {
        Shared(Rc::new(RefCell::new(Self { image, log: Vec::new(), fate: None, unreadable: Vec::new() })))
    }

    fn done(&mut self, done: Done) -> solum::Result<()> {
        let happens = self.fate.as_mut().map_or(Ok(true), |fate| fate(&done))?;
        if let (true, Done::Write(offset, data)) = (happens, &done) {
            self.image.write(*offset, data);
        }
        self.log.push(done);
        Ok(())
    }
}

impl Shared {
    pub fn disk(&self) -> Disk {
        Disk::new(Box::new(self.clone()))
    }

    pub fn logged(&self) -> usize {
        self.0.borrow().log.len()
    }

    pub fn image(&self) -> Image {
        self.0.borrow().image.clone()
    }

    pub fn set_fate(&self, fate: impl FnMut(&Done) -> solum::Result<bool> + 'static) {
        self.0.borrow_mut().fate = Some(Box::new(fate));
    }
}

impl Driver for Shared {
    fn geometry(&self) -> Geometry {
        Geometry { bytes: self.0.borrow().image.bytes, block_bytes: SECTOR as u32, writable: true }
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> solum::Result<()> {
        let media = self.0.borrow();
        let blocks = offset / BLOCK as u64..(offset + buffer.len() as u64).div_ceil(BLOCK as u64);
        if media.unreadable.iter().any(|block| blocks.contains(block)) {
            return Err(solum::Error::Device("medium error".into()));
        }
        media.image.read(offset, buffer);
        Ok(())
    }

    fn write_at(&mut self, offset: u64, data: &[u8]) -> solum::Result<()> {
        self.0.borrow_mut().done(Done::Write(offset, data.to_vec()))
    }

    fn flush(&mut self) -> solum::Result<()> {
        self.0.borrow_mut().done(Done::Flush)
    }

    fn discard(&mut self, _: u64, _: u64) -> solum::Result<()> {
        Ok(())
    }
}

/// Numbers that look random and are the same every time (SplitMix64).
pub struct Numbers(pub u64);

impl Numbers {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }
}
