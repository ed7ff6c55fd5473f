//! VMware's format: one file that grows, `monolithicSparse` (VMware, Virtual Disk Format 5.0).
//!
//! VMware Workstation, VirtualBox and QEMU write to such a disk as it is.

use std::collections::BTreeMap;
use std::io::{self, SeekFrom};
use std::ops::Range;

use super::{LOOKED_AT, Sink, each_block, next_data, read_blocks};
use crate::sparse::number::{put, u32_le, u64_le};
use crate::sparse::{ReadAt, Unreadable, read_vec};

/// The first bytes of such a file.
pub const MAGIC: &[u8; 4] = b"KDMV";

const SECTOR: u64 = 512;
/// Sectors of a grain.
const GRAIN_SECTORS: u64 = 128;
const GRAIN: u64 = GRAIN_SECTORS * SECTOR;
/// Entries of a table of grains.
const ENTRIES: u64 = 512;
const TABLE_SECTORS: u64 = ENTRIES * 4 / SECTOR;
const DESCRIPTOR_AT: u64 = 1;
const DESCRIPTOR_SECTORS: u64 = 20;
/// Line ends can be tested, and there is a second copy of the tables.
const FLAGS: u32 = 3;
/// Grains are compressed, or are preceded by markers.
const STREAM_FLAGS: u32 = 3 << 16;
/// A grain of zeros: entry 1, in disks that say so with this flag.
const ZERO_GRAIN_FLAG: u32 = 4;
const LONGEST_DIRECTORY: u64 = 64 << 20;

/// Writes a disk. `name` is the file's name, which stands in it.
///
/// # Errors
///
/// Those of either side; [`io::ErrorKind::InvalidInput`] for a disk of 2 TiB or more, which the format does not have, and for a
/// name with a quotation mark or a line end.
pub fn write(disk: &(impl ReadAt + ?Sized), name: &str, sink: &mut impl Sink) -> io::Result<()> {
    let refused = |what: &str| io::Error::new(io::ErrorKind::InvalidInput, what);
    if disk.length() >= 2 << 40 {
        return Err(refused("a VMDK disk is smaller than 2 TiB"));
    }
    if name.contains(['"', '\n', '\r']) || name.len() > 255 {
        return Err(refused("a VMDK file's name has no quotation mark and at most 255 bytes"));
    }
    let layout = Layout::new(disk.length().div_ceil(SECTOR));
    let mut tables: BTreeMap<u64, Vec<u32>> = BTreeMap::new();
    let mut next = layout.overhead;
    let mut content = crc32fast::Hasher::new();
    sink.seek(SeekFrom::Start(next * SECTOR))?;
    each_block(disk, GRAIN, |index, block| {
        content.update(&index.to_le_bytes());
        content.update(block);
        sink.write_all(block)?;
        sink.write_all(&vec![0; GRAIN as usize - block.len()])?;
        tables.entry(index / ENTRIES).or_insert_with(|| vec![0; ENTRIES as usize])
            [(index % ENTRIES) as usize] = next as u32;
        next += GRAIN_SECTORS;
        Ok(())
    })?;
    for directory in [layout.copy, layout.directory] {
        layout.write_tables(directory, &tables, sink)?;
    }
    // A file that ends with its tables.
    if tables.is_empty() {
        sink.seek(SeekFrom::Start(layout.overhead * SECTOR - 1))?;
        sink.write_all(&[0])?;
    }
    sink.seek(SeekFrom::Start(0))?;
    sink.write_all(&layout.header())?;
    sink.write_all(&descriptor(layout.sectors, name, content.finalize()))
}

/// Where things are, in sectors.
struct Layout {
    /// The disk's length.
    sectors: u64,
    tables: u64,
    copy: u64,
    directory: u64,
    overhead: u64,
}

impl Layout {
    fn new(sectors: u64) -> Self {
        let tables = sectors.div_ceil(GRAIN_SECTORS * ENTRIES).max(1);
        let one = (tables * 4).div_ceil(SECTOR) + tables * TABLE_SECTORS;
        let copy = DESCRIPTOR_AT + DESCRIPTOR_SECTORS;
        let overhead = (copy + 2 * one).next_multiple_of(GRAIN_SECTORS);
        Self { sectors, tables, copy, directory: copy + one, overhead }
    }

    fn write_tables(
        &self,
        at: u64,
        tables: &BTreeMap<u64, Vec<u32>>,
        sink: &mut impl Sink,
    ) -> io::Result<()> {
        let first = at + (self.tables * 4).div_ceil(SECTOR);
        let places =
            (0..self.tables).flat_map(|table| ((first + table * TABLE_SECTORS) as u32).to_le_bytes());
        sink.seek(SeekFrom::Start(at * SECTOR))?;
        sink.write_all(&places.collect::<Vec<u8>>())?;
        for (index, table) in tables {
            let bytes: Vec<u8> = table.iter().flat_map(|entry| entry.to_le_bytes()).collect();
            sink.seek(SeekFrom::Start((first + index * TABLE_SECTORS) * SECTOR))?;
            sink.write_all(&bytes)?;
        }
        Ok(())
    }

    fn header(&self) -> Vec<u8> {
        let mut header = vec![0; SECTOR as usize];
        put(&mut header, 0, MAGIC);
        put(&mut header, 4, &1u32.to_le_bytes());
        put(&mut header, 8, &FLAGS.to_le_bytes());
        put(&mut header, 12, &self.sectors.to_le_bytes());
        put(&mut header, 20, &GRAIN_SECTORS.to_le_bytes());
        put(&mut header, 28, &DESCRIPTOR_AT.to_le_bytes());
        put(&mut header, 36, &DESCRIPTOR_SECTORS.to_le_bytes());
        put(&mut header, 44, &(ENTRIES as u32).to_le_bytes());
        put(&mut header, 48, &self.copy.to_le_bytes());
        put(&mut header, 56, &self.directory.to_le_bytes());
        put(&mut header, 64, &self.overhead.to_le_bytes());
        put(&mut header, 73, b"\n \r\n");
        header
    }
}

fn descriptor(sectors: u64, name: &str, content: u32) -> Vec<u8> {
    // The last two numbers say "no parent".
    let id = content.min(0xffff_fffd);
    let cylinders = (sectors / (16 * 63)).min(16_383);
    let text = format!(
        "# Disk DescriptorFile\n\
        version=1\n\
        CID={id:08x}\n\
        parentCID=ffffffff\n\
        createType=\"monolithicSparse\"\n\
        \n\
        # Extent description\n\
        RW {sectors} SPARSE \"{name}\"\n\
        \n\
        # The Disk Data Base\n\
        #DDB\n\
        \n\
        ddb.virtualHWVersion = \"4\"\n\
        ddb.geometry.cylinders = \"{cylinders}\"\n\
        ddb.geometry.heads = \"16\"\n\
        ddb.geometry.sectors = \"63\"\n\
        ddb.adapterType = \"ide\"\n"
    );
    let mut bytes = text.into_bytes();
    bytes.resize((DESCRIPTOR_SECTORS * SECTOR) as usize, 0);
    bytes
}

/// The disk in such a file.
#[derive(Debug)]
pub struct Vmdk<R> {
    medium: R,
    size: u64,
    grain: u64,
    entries: u64,
    directory: Vec<u32>,
    has_zero_grains: bool,
}

impl<R: ReadAt> Vmdk<R> {
    /// Opens a file.
    ///
    /// # Errors
    ///
    /// [`Unreadable`], also if it is one of the other kinds.
    pub fn open(medium: R) -> Result<Self, Unreadable> {
        let header = read_vec(&medium, 0, SECTOR)?;
        if &header[..4] != MAGIC {
            return Err(Unreadable::malformed("it is not a VMDK disk in one file"));
        }
        if u32_le(&header, 8) & STREAM_FLAGS != 0 {
            return Err(Unreadable::malformed("it is a VMDK stream; convert it with qemu-img first"));
        }
        let damaged = || Unreadable::malformed("its VMDK header is damaged");
        let size = u64_le(&header, 12).checked_mul(SECTOR).ok_or_else(damaged)?;
        let (grain, entries) = (u64_le(&header, 20), u64::from(u32_le(&header, 44)));
        // 8 sectors to 4 MiB; QEMU and VMware make 128 and 512 only.
        if !(8..=8192).contains(&grain) || !grain.is_power_of_two() || !(1..=4096).contains(&entries) {
            return Err(damaged());
        }
        let tables = size.div_ceil(grain * SECTOR * entries);
        if tables * 4 > LONGEST_DIRECTORY {
            return Err(damaged());
        }
        let at = u64_le(&header, 56).checked_mul(SECTOR).ok_or_else(damaged)?;
        let directory = read_vec(&medium, at, tables * 4)?;
        let directory = directory.chunks_exact(4).map(|entry| u32_le(entry, 0)).collect();
        let has_zero_grains = u32_le(&header, 8) & ZERO_GRAIN_FLAG != 0;
        Ok(Self { medium, size, grain: grain * SECTOR, entries, directory, has_zero_grains })
    }

    /// Where the table with the entry of a grain is; 0 where there is none.
    fn table(&self, index: u64) -> u64 {
        let table = self.directory.get((index / self.entries) as usize).copied().unwrap_or(0);
        u64::from(table) * SECTOR
    }

    /// Whether an entry is that of a grain in the file.
    fn is_data(&self, entry: u32) -> bool {
        !(entry == 0 || (entry == 1 && self.has_zero_grains))
    }

    /// Whether a grain is in the file, and up to where the others are like it.
    fn alike(&self, index: u64) -> io::Result<(bool, u64)> {
        let (table, inside) = (self.table(index), index % self.entries);
        let rest = self.entries - inside;
        if table == 0 {
            return Ok((false, index + rest));
        }
        let entries = read_vec(&self.medium, table + inside * 4, rest.min(LOOKED_AT) * 4)?;
        let mut entries = entries.chunks_exact(4).map(|entry| self.is_data(u32_le(entry, 0)));
        let is_data = entries.next().unwrap_or(false);
        Ok((is_data, index + 1 + entries.take_while(|other| *other == is_data).count() as u64))
    }

    fn read_grain(&self, index: u64, inside: u64, part: &mut [u8]) -> io::Result<()> {
        let table = self.table(index);
        let mut entry = [0; 4];
        if table != 0 {
            self.medium.read_at(table + index % self.entries * 4, &mut entry)?;
        }
        let place = u32::from_le_bytes(entry);
        if !self.is_data(place) {
            part.fill(0);
            return Ok(());
        }
        self.medium.read_at(u64::from(place) * SECTOR + inside, part)
    }
}

impl<R: ReadAt> ReadAt for Vmdk<R> {
    fn length(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        read_blocks(self.grain, self.size, offset, buffer, |index, inside, part| {
            self.read_grain(index, inside, part)
        })
    }

    fn next_data(&self, from: u64) -> io::Result<Option<Range<u64>>> {
        next_data(self.grain, self.size, from, |index| self.alike(index))
    }
}
