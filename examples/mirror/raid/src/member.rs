//! A disk of the mirror.

use solum::disk::Geometry;
use solum::{Disk, Error, Moment, Result};

use crate::assembly::Found;
use crate::bits::Bits;
use crate::head::Head;
use crate::layout::HEAD_BYTES;

/// A disk that is plugged in, member or not.
pub struct Member {
    pub disk: Disk,
    /// Its slot in the head, if it has one.
    pub slot: Option<usize>,
    /// Whether it takes part in writes.
    pub is_attached: bool,
    /// Groups that it lacks.
    pub pending: Bits,
    /// Bad copies on it that were rewritten.
    pub repaired: u64,
    /// Why it takes no part.
    pub reason: String,
    /// When to look whether it can take part again, and how often that was planned since it was in sync.
    pub look_at: Option<Moment>,
    pub looks: u32,
}

impl Member {
    pub fn new(disk: Disk) -> Self {
        Self {
            disk,
            slot: None,
            is_attached: false,
            pending: Bits::default(),
            repaired: 0,
            reason: String::new(),
            look_at: None,
            looks: 0,
        }
    }

    pub fn geometry(&self) -> Geometry {
        Geometry {
            bytes: self.disk.capacity(),
            block_bytes: self.disk.block_size(),
            writable: self.disk.is_writable(),
        }
    }

    /// Looks what is on it.
    pub fn find(&mut self) -> Found {
        if !self.disk.is_writable() {
            return Found::Unreadable("the disk cannot be written".into());
        }
        if !(512..=4096).contains(&self.disk.block_size()) || self.disk.capacity() < 2 * HEAD_BYTES {
            return Found::Unreadable("blocks of 512 to 4096 bytes are needed, and room for them".into());
        }
        let mut both = vec![0; 2 * HEAD_BYTES as usize];
        if let Err(error) = self.disk.read_at(0, &mut both) {
            // One of the two may still be readable.
            let (first, second) = both.split_at_mut(HEAD_BYTES as usize);
            first.fill(0);
            second.fill(0);
            let outcomes = [self.disk.read_at(0, first), self.disk.read_at(HEAD_BYTES, second)];
            if outcomes.iter().all(Result::is_err) || Head::newest(&both).is_none() {
                return Found::Unreadable(error.to_string());
            }
        }
        match Head::newest(&both) {
            Some(head) => match head.layout.suits(self.geometry()) {
                Ok(()) => Found::Head(Box::new(head)),
                Err(reason) => Found::Unreadable(reason),
            },
            None if Head::are_wiped(&both) => Found::Blank,
            None => Found::Foreign,
        }
    }

    /// Whether both its heads can be read, and the newer one is of this generation.
    pub fn heads_are_whole(&mut self, generation: u64) -> bool {
        let mut both = vec![0; 2 * HEAD_BYTES as usize];
        let is_read = self.disk.read_at(0, &mut both).is_ok();
        let (first, second) = both.split_at(HEAD_BYTES as usize);
        match (Head::decode(first), Head::decode(second)) {
            (Some(first), Some(second)) => is_read && first.generation.max(second.generation) == generation,
            _ => false,
        }
    }

    /// Makes it forget what it was.
    pub fn wipe(&mut self) -> Result<()> {
        // One after the other: a loss of power leaves the other head, or this mark.
        for at in [0, HEAD_BYTES] {
            self.disk.write_at(at, &Head::wiped())?;
            self.disk.flush()?;
        }
        Ok(())
    }
}

/// Whether to ask this disk for other blocks is worth the time: an error of the device may be about one block only.
pub fn is_about_one_block(error: &Error) -> bool {
    matches!(error, Error::Device(_))
}
