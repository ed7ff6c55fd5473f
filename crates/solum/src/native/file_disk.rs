//! A disk that is a file or a block device.

use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;

use rustix::fs::{FallocateFlags, fallocate, fdatasync};
use rustix::io::{preadv, pwritev};

use crate::disk::{Driver, Geometry, Operation, Request};
use crate::error::Result;

/// How many buffers the kernel takes at once (`UIO_MAXIOV`, linux/uio.h).
const MOST_BUFFERS: usize = 1024;

pub struct FileDisk {
    file: File,
    geometry: Geometry,
}

impl FileDisk {
    pub fn new(file: File, geometry: Geometry) -> Self {
        Self { file, geometry }
    }

    /// Does requests that follow each other in one go; whether that worked. If it did not, nobody knows which of them failed.
    fn at_once(&self, run: &mut [Request<'_>]) -> bool {
        let Some(Request { operation, .. }) = run.first() else { return true };
        let (start, _, is_write) = place(operation);
        let length: usize = run.iter().map(|request| place(&request.operation).1).sum();
        let (mut reads, mut writes) = (Vec::new(), Vec::new());
        for request in run {
            match &mut request.operation {
                Operation::Read { buffer, .. } => reads.push(IoSliceMut::new(buffer)),
                Operation::Write { data, .. } => writes.push(IoSlice::new(data)),
            }
        }
        let moved = match is_write {
            true => pwritev(&self.file, &writes, start),
            false => preadv(&self.file, &mut reads, start),
        };
        moved == Ok(length)
    }
}

/// Where a request begins, how long it is, and whether it writes.
fn place(operation: &Operation<'_>) -> (u64, usize, bool) {
    match operation {
        Operation::Read { offset, buffer } => (*offset, buffer.len(), false),
        Operation::Write { offset, data } => (*offset, data.len(), true),
    }
}

/// How many requests at the beginning do the same to bytes that follow each other; at least one.
fn run_length(requests: &[Request<'_>]) -> usize {
    let follows = |pair: &[Request<'_>]| {
        let (start, length, is_write) = place(&pair[0].operation);
        let (next, _, next_is_write) = place(&pair[1].operation);
        let are_whole = pair.iter().all(|request| request.outcome.is_ok());
        are_whole && is_write == next_is_write && start.checked_add(length as u64) == Some(next)
    };
    1 + requests.windows(2).take(MOST_BUFFERS - 1).take_while(|pair| follows(pair)).count()
}

impl Driver for FileDisk {
    fn geometry(&self) -> Geometry {
        self.geometry
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        Ok(self.file.read_exact_at(buffer, offset)?)
    }

    fn write_at(&mut self, offset: u64, data: &[u8]) -> Result<()> {
        Ok(self.file.write_all_at(data, offset)?)
    }

    fn flush(&mut self) -> Result<()> {
        Ok(fdatasync(&self.file).map_err(io::Error::from)?)
    }

    fn file(&self) -> Option<BorrowedFd<'_>> {
        Some(self.file.as_fd())
    }

    /// One after the other, but what follows each other at once: to the kernel one long request is cheaper than many.
    fn batch(&mut self, requests: &mut [Request<'_>]) {
        let mut rest = requests;
        while !rest.is_empty() {
            let (run, later) = rest.split_at_mut(run_length(rest).min(rest.len()));
            if run.len() < 2 || !self.at_once(run) {
                for request in run.iter_mut().filter(|request| request.outcome.is_ok()) {
                    request.outcome = match &mut request.operation {
                        Operation::Read { offset, buffer } => self.read_at(*offset, buffer),
                        Operation::Write { offset, data } => self.write_at(*offset, data),
                    };
                }
            }
            rest = later;
        }
    }

    fn discard(&mut self, offset: u64, length: u64) -> Result<()> {
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        // Advice only: where holes cannot be made, the bytes stay, which is allowed.
        match fallocate(&self.file, flags, offset, length) {
            Ok(()) | Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => Ok(()),
            Err(error) => Err(io::Error::from(error).into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;
    use crate::disk::Disk;

    #[test]
    fn a_file_is_a_disk_and_a_shorter_one_than_described_is_an_error() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(1024).unwrap();
        let geometry = Geometry { bytes: 2048, block_bytes: 512, writable: true };
        let mut disk = Disk::new(Box::new(FileDisk::new(file, geometry)));
        let mut block = [0; 512];
        disk.write_at(512, &[5; 512]).unwrap();
        disk.flush().unwrap();
        disk.read_at(512, &mut block).unwrap();
        assert_eq!(block, [5; 512]);
        disk.discard(512, 512).unwrap();
        disk.read_at(512, &mut block).unwrap();
        assert_eq!(block, [0; 512]);
        assert!(matches!(disk.read_at(1024, &mut block), Err(Error::Device(_))));
    }

    #[test]
    fn requests_that_follow_each_other_are_one_and_each_has_its_own_outcome() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(4 * 512).unwrap();
        let geometry = Geometry { bytes: 8 * 512, block_bytes: 512, writable: true };
        let mut disk = Disk::new(Box::new(FileDisk::new(file, geometry)));
        let written = disk
            .batch()
            .write_at(512, &[1; 512])
            .write_at(1024, &[2; 1024])
            .write_at(0, &[3; 512])
            .write_at(7, &[9; 512]);
        assert!(matches!(written.run()[..], [Ok(()), Ok(()), Ok(()), Err(Error::Misaligned { .. })]));
        let mut read = [[0; 512]; 6];
        let [a, b, c, d, e, f] = &mut read;
        let batch = disk.batch().read_at(0, a).read_at(512, b).read_at(1024, c).read_at(1536, d);
        let outcomes = batch.read_at(2048, e).read_at(0, f).run();
        assert!(outcomes[..4].iter().all(Result::is_ok) && outcomes[5].is_ok(), "{outcomes:?}");
        assert!(matches!(outcomes[4], Err(Error::Device(_))), "the file ends there");
        assert_eq!(read.map(|block| block[0]), [3, 1, 2, 2, 0, 3]);
    }

    #[test]
    fn a_run_ends_where_the_next_request_is_elsewhere_or_does_something_else_or_was_refused() {
        let mut buffer = [0; 512];
        let write =
            |offset| Request { operation: Operation::Write { offset, data: &[0; 512] }, outcome: Ok(()) };
        assert_eq!(run_length(&[write(0)]), 1);
        assert_eq!(run_length(&[write(0), write(512), write(1024), write(0)]), 3);
        let refused = Request { outcome: Err(Error::ReadOnly), ..write(512) };
        assert_eq!(run_length(&[write(0), refused, write(1024)]), 1);
        let read =
            Request { operation: Operation::Read { offset: 512, buffer: &mut buffer }, outcome: Ok(()) };
        assert_eq!(run_length(&[write(0), read]), 1);
    }
}
