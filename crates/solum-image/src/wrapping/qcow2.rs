//! QEMU's format, version 3 (QEMU, docs/interop/qcow2.txt).
//!
//! Clusters of zeros are left out, and the others compressed with Zstandard, which QEMU reads from 5.1 on: its zlib has a
//! window of 4 KiB only.

use std::collections::BTreeMap;
use std::io::{self, Read, SeekFrom};
use std::ops::Range;
use std::sync::Mutex;

use flate2::read::DeflateDecoder;

use super::{LOOKED_AT, Sink, damaged, each_block, next_data, read_blocks};
use crate::sparse::number::{put, u32_be, u64_be};
use crate::sparse::{ReadAt, Unreadable, read_vec};

/// The first bytes of such a file.
pub const MAGIC: &[u8; 4] = b"QFI\xfb";

const CLUSTER_BITS: u32 = 16;
const CLUSTER: u64 = 1 << CLUSTER_BITS;
/// Entries of a table of the second level.
const ENTRIES: u64 = CLUSTER / 8;
const HEADER_LENGTH: u32 = 112;
/// The field of the compression's type is not the default.
const COMPRESSION_BIT: u64 = 1 << 3;
const ZSTD: u8 = 1;
/// On a boot partition, whose content is compressed already, 15 saves nothing for ten times the time.
const ZSTD_LEVEL: i32 = 9;
/// Reference counts have 16 bits.
const COUNTS: u64 = CLUSTER / 2;
const SECTOR: u64 = 512;
/// The cluster is used by one entry alone.
const COPIED: u64 = 1 << 63;
const COMPRESSED: u64 = 1 << 62;
const PLACE: u64 = 0x00ff_ffff_ffff_fe00;
/// The cluster reads as zeros, whatever its place.
const ZEROS: u64 = 1;
/// What QEMU allows, too.
const LONGEST_L1: u64 = 32 << 20;

/// Writes a disk.
///
/// # Errors
///
/// Those of either side.
pub fn write(disk: &(impl ReadAt + ?Sized), sink: &mut impl Sink) -> io::Result<()> {
    let mut compressor = zstd::bulk::Compressor::new(ZSTD_LEVEL)?;
    let mut writer = Writer { sink, end: CLUSTER, counts: vec![1] };
    let mut tables: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    writer.sink.seek(SeekFrom::Start(CLUSTER))?;
    each_block(disk, CLUSTER, |index, block| {
        // The last cluster may be longer than the disk.
        let mut block = block.to_vec();
        block.resize(CLUSTER as usize, 0);
        let small = compressor.compress(&block)?;
        let entry = if (small.len() as u64) < CLUSTER - SECTOR {
            writer.compressed(&small)?
        } else {
            writer.whole(&block)? | COPIED
        };
        let table = tables.entry(index / ENTRIES).or_insert_with(|| vec![0; ENTRIES as usize]);
        table[(index % ENTRIES) as usize] = entry;
        Ok(())
    })?;
    let l1_length = disk.length().div_ceil(CLUSTER).div_ceil(ENTRIES).max(1);
    let mut l1 = vec![0; l1_length as usize];
    for (index, table) in tables {
        l1[index as usize] = writer.numbers(&table)? | COPIED;
    }
    let l1_at = writer.numbers(&l1)?;
    let (counts_at, counts_clusters) = writer.reference_counts()?;
    let header = header(disk.length(), l1_length as u32, l1_at, counts_at, counts_clusters);
    writer.sink.seek(SeekFrom::Start(0))?;
    writer.sink.write_all(&header)
}

fn header(size: u64, l1_length: u32, l1_at: u64, counts_at: u64, counts_clusters: u32) -> Vec<u8> {
    // The rest of the cluster: an extension of type 0, which ends them.
    let mut header = vec![0; CLUSTER as usize];
    put(&mut header, 0, MAGIC);
    put(&mut header, 4, &3u32.to_be_bytes());
    put(&mut header, 20, &CLUSTER_BITS.to_be_bytes());
    put(&mut header, 24, &size.to_be_bytes());
    put(&mut header, 36, &l1_length.to_be_bytes());
    put(&mut header, 40, &l1_at.to_be_bytes());
    put(&mut header, 48, &counts_at.to_be_bytes());
    put(&mut header, 56, &counts_clusters.to_be_bytes());
    put(&mut header, 72, &COMPRESSION_BIT.to_be_bytes());
    put(&mut header, 96, &4u32.to_be_bytes());
    put(&mut header, 100, &HEADER_LENGTH.to_be_bytes());
    header[104] = ZSTD;
    header
}

struct Writer<'a, S> {
    sink: &'a mut S,
    /// End of what is written.
    end: u64,
    /// How often each cluster of the file is used.
    counts: Vec<u16>,
}

impl<S: Sink> Writer<'_, S> {
    fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.end += bytes.len() as u64;
        self.sink.write_all(bytes)
    }

    fn count(&mut self, cluster: u64) {
        let index = cluster as usize;
        if self.counts.len() <= index {
            self.counts.resize(index + 1, 0);
        }
        self.counts[index] += 1;
    }

    /// Bytes that begin a cluster of their own.
    fn whole(&mut self, bytes: &[u8]) -> io::Result<u64> {
        self.align()?;
        let at = self.end;
        self.bytes(bytes)?;
        self.align()?;
        for cluster in at / CLUSTER..self.end / CLUSTER {
            self.count(cluster);
        }
        Ok(at)
    }

    fn align(&mut self) -> io::Result<()> {
        let padding = self.end.next_multiple_of(CLUSTER) - self.end;
        self.bytes(&vec![0; padding as usize])
    }

    /// Compressed clusters lie one after the other, at any byte.
    fn compressed(&mut self, bytes: &[u8]) -> io::Result<u64> {
        let at = self.end;
        self.bytes(bytes)?;
        let (first, last) = (at / SECTOR, (self.end - 1) / SECTOR);
        for cluster in first * SECTOR / CLUSTER..=last * SECTOR / CLUSTER {
            self.count(cluster);
        }
        Ok(COMPRESSED | (last - first) << compressed_place_bits(CLUSTER_BITS) | at)
    }

    fn numbers(&mut self, numbers: &[u64]) -> io::Result<u64> {
        let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_be_bytes()).collect();
        self.whole(&bytes)
    }

    /// Where the table of reference counts is, and how many clusters it has. It counts itself, too.
    fn reference_counts(&mut self) -> io::Result<(u64, u32)> {
        self.align()?;
        let used = self.end / CLUSTER;
        let (mut blocks, mut table) = (0, 0);
        loop {
            let needed = (used + blocks + table).div_ceil(COUNTS);
            let needed_table = (needed * 8).div_ceil(CLUSTER);
            if (needed, needed_table) == (blocks, table) {
                break;
            }
            (blocks, table) = (needed, needed_table);
        }
        for cluster in used..used + blocks + table {
            self.count(cluster);
        }
        let mut counts: Vec<u8> = self.counts.iter().flat_map(|count| count.to_be_bytes()).collect();
        counts.resize((blocks * CLUSTER) as usize, 0);
        self.bytes(&counts)?;
        let table_at = self.end;
        let places: Vec<u8> =
            (0..blocks).flat_map(|block| ((used + block) * CLUSTER).to_be_bytes()).collect();
        self.bytes(&places)?;
        self.align()?;
        Ok((table_at, table as u32))
    }
}

/// How many bits of an entry are the place of a compressed cluster.
fn compressed_place_bits(cluster_bits: u32) -> u32 {
    62 - (cluster_bits - 8)
}

/// Whether an entry is that of a cluster in the file. Bit 0 of a compressed one belongs to its place.
fn is_data(entry: u64) -> bool {
    entry & COMPRESSED != 0 || (entry & PLACE != 0 && entry & ZEROS == 0)
}

/// The disk in such a file.
#[derive(Debug)]
pub struct Qcow2<R> {
    medium: R,
    size: u64,
    cluster_bits: u32,
    is_zstd: bool,
    l1: Vec<u64>,
    /// The last compressed cluster that was read, by its entry.
    last: Mutex<(u64, Vec<u8>)>,
}

impl<R: ReadAt> Qcow2<R> {
    /// Opens a file.
    ///
    /// # Errors
    ///
    /// [`Unreadable`], also if it needs other files or a key.
    pub fn open(medium: R) -> Result<Self, Unreadable> {
        let header = read_vec(&medium, 0, 72)?;
        let version = u32_be(&header, 4);
        if &header[..4] != MAGIC || !(2..=3).contains(&version) {
            return Err(Unreadable::malformed("it is not a qcow2 image of version 2 or 3"));
        }
        let (mut features, mut is_zstd) = (0, false);
        if version == 3 {
            let header = read_vec(&medium, 72, 40)?;
            features = u64_be(&header, 0);
            is_zstd = features & COMPRESSION_BIT != 0 && header[32] == ZSTD;
        }
        if u64_be(&header, 8) != 0 {
            return Err(Unreadable::malformed("it is a difference to another qcow2 image"));
        }
        // Dirty and corrupt (bits 0 and 1) are about reference counts, which a reader does not need.
        if u32_be(&header, 32) != 0 || features & !(COMPRESSION_BIT | 3) != 0 {
            return Err(Unreadable::malformed(
                "it uses features of qcow2 that are not read: a key, or a file beside it",
            ));
        }
        let (cluster_bits, size) = (u32_be(&header, 20), u64_be(&header, 24));
        let l1_bytes = u64::from(u32_be(&header, 36)) * 8;
        let covered = (l1_bytes / 8).saturating_mul(1 << (2 * cluster_bits.clamp(9, 21) - 3));
        if !(9..=21).contains(&cluster_bits) || l1_bytes > LONGEST_L1 || covered < size {
            return Err(Unreadable::malformed("its qcow2 header is damaged"));
        }
        let l1 = read_vec(&medium, u64_be(&header, 40), l1_bytes)?;
        let l1 = l1.chunks_exact(8).map(|entry| u64_be(entry, 0)).collect();
        Ok(Self { medium, size, cluster_bits, is_zstd, l1, last: Mutex::default() })
    }

    /// How many entries a table of the second level has.
    fn entries(&self) -> u64 {
        1 << (self.cluster_bits - 3)
    }

    /// Where the table with the entry of a cluster is; 0 where there is none.
    fn table(&self, index: u64) -> u64 {
        self.l1.get((index / self.entries()) as usize).copied().unwrap_or(0) & PLACE
    }

    /// The entry of a cluster; 0 for one of zeros.
    fn entry(&self, index: u64) -> io::Result<u64> {
        let table = self.table(index);
        if table == 0 {
            return Ok(0);
        }
        let mut entry = [0; 8];
        self.medium.read_at(table + index % self.entries() * 8, &mut entry)?;
        Ok(u64::from_be_bytes(entry))
    }

    /// Whether a cluster is in the file, and up to where the others are like it.
    fn alike(&self, index: u64) -> io::Result<(bool, u64)> {
        let (table, inside) = (self.table(index), index % self.entries());
        let rest = self.entries() - inside;
        if table == 0 {
            return Ok((false, index + rest));
        }
        let entries = read_vec(&self.medium, table + inside * 8, rest.min(LOOKED_AT) * 8)?;
        let mut entries = entries.chunks_exact(8).map(|entry| is_data(u64_be(entry, 0)));
        let is_data = entries.next().unwrap_or(false);
        Ok((is_data, index + 1 + entries.take_while(|other| *other == is_data).count() as u64))
    }

    fn read_cluster(&self, index: u64, inside: u64, part: &mut [u8]) -> io::Result<()> {
        let entry = self.entry(index)?;
        if entry & COMPRESSED != 0 {
            let mut last = self.last.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            if last.0 != entry {
                *last = (entry, self.decompress(entry)?);
            }
            part.copy_from_slice(&last.1[inside as usize..][..part.len()]);
            return Ok(());
        }
        if !is_data(entry) {
            part.fill(0);
            return Ok(());
        }
        self.medium.read_at((entry & PLACE) + inside, part)
    }

    fn decompress(&self, entry: u64) -> io::Result<Vec<u8>> {
        let bits = compressed_place_bits(self.cluster_bits);
        let at = entry & ((1 << bits) - 1);
        let sectors = (entry & (COMPRESSED - 1)) >> bits;
        let end = (at / SECTOR + sectors + 1) * SECTOR;
        let bytes = read_vec(&self.medium, at, end.min(self.medium.length()).saturating_sub(at))?;
        let mut cluster = vec![0; 1 << self.cluster_bits];
        if self.is_zstd {
            // The last sector may hold the beginning of the next cluster.
            zstd::stream::read::Decoder::new(bytes.as_slice())?.single_frame().read_exact(&mut cluster)
        } else {
            DeflateDecoder::new(bytes.as_slice()).read_exact(&mut cluster)
        }
        .map_err(|_| damaged("a compressed cluster of the qcow2 image is damaged"))?;
        Ok(cluster)
    }
}

impl<R: ReadAt> ReadAt for Qcow2<R> {
    fn length(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let cluster = 1 << self.cluster_bits;
        read_blocks(cluster, self.size, offset, buffer, |index, inside, part| {
            self.read_cluster(index, inside, part)
        })
    }

    fn next_data(&self, from: u64) -> io::Result<Option<Range<u64>>> {
        next_data(1 << self.cluster_bits, self.size, from, |index| self.alike(index))
    }
}
