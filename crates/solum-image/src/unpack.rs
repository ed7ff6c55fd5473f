//! What is in an initramfs: archives one after the other, each compressed in its own way or not at all (Linux,
//! Documentation/driver-api/early-userspace/buffer-format.rst).

use std::borrow::Cow;
use std::io::{self, Read};

use crate::cpio::{self, Member};
use crate::sparse::Unreadable;

/// Nothing larger is unpacked: a few kilobytes of a damaged or a malicious image may stand for terabytes.
const LARGEST: u64 = 1 << 30;

/// Beginnings of what the kernel unpacks (lib/decompress.c).
const BEGINNINGS: [(&[u8], &str); 8] = [
    (b"\x28\xb5\x2f\xfd", ZSTD),
    (b"\x1f\x8b", GZIP),
    (b"\x1f\x9e", GZIP),
    (b"BZh", "bzip2"),
    (b"\x5d\x00", "lzma"),
    (b"\xfd7zXZ", "xz"),
    (b"\x89LZO", "lzo"),
    (b"\x02\x21\x4c\x18", "lz4"),
];
const ZSTD: &str = "zstd";
const GZIP: &str = "gzip";
const NONE: &str = "none";

/// An initramfs, unpacked.
#[derive(Debug, Default)]
pub struct Unpacked<'a> {
    segments: Vec<(&'static str, Cow<'a, [u8]>)>,
    /// Why there is more that could not be read.
    pub unread: Option<Unread>,
}

/// Why a part of an initramfs was not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unread {
    /// It is compressed by this program.
    Compressed(&'static str),
    /// It is damaged: a sentence that says how.
    Damaged(String),
}

/// By which program bytes were compressed, if the kernel could unpack them.
pub fn compression(bytes: &[u8]) -> Option<&'static str> {
    BEGINNINGS.iter().find_map(|(magic, name)| bytes.starts_with(magic).then_some(*name))
}

/// Whether these bytes begin like an initramfs.
pub fn begins(bytes: &[u8]) -> bool {
    cpio::begins(bytes) || compression(bytes).is_some()
}

/// Unpacks as much as can be.
pub fn unpack(bytes: &[u8]) -> Unpacked<'_> {
    let mut unpacked = Unpacked::default();
    let mut rest = bytes;
    let mut room = LARGEST;
    loop {
        // Padding stands between archives.
        rest = rest.iter().position(|byte| *byte != 0).map_or(&[], |start| &rest[start..]);
        if rest.is_empty() {
            return unpacked;
        }
        match next(rest, room) {
            Ok((name, content, length)) => {
                room = room.saturating_sub(content.len() as u64);
                unpacked.segments.push((name, content));
                rest = rest.get(length..).unwrap_or_default();
            }
            Err(unread) => {
                unpacked.unread = Some(unread);
                return unpacked;
            }
        }
    }
}

type Segment<'a> = (&'static str, Cow<'a, [u8]>, usize);

/// The segment that begins here, and its length.
fn next(bytes: &[u8], room: u64) -> Result<Segment<'_>, Unread> {
    if cpio::begins(bytes) {
        let (_, length) = cpio::read(bytes).map_err(|error| Unread::Damaged(error.to_string()))?;
        return Ok((NONE, Cow::Borrowed(&bytes[..length]), length));
    }
    let damaged = |error: io::Error| Unread::Damaged(format!("its initramfs is damaged: {error}"));
    match compression(bytes) {
        Some(ZSTD) => {
            let mut decoder =
                zstd::stream::read::Decoder::with_buffer(bytes).map_err(damaged)?.single_frame();
            let content = read_all(&mut decoder, room).map_err(damaged)?;
            Ok((ZSTD, content.into(), bytes.len() - decoder.finish().len()))
        }
        Some(GZIP) => {
            let mut decoder = flate2::bufread::GzDecoder::new(bytes);
            let content = read_all(&mut decoder, room).map_err(damaged)?;
            Ok((GZIP, content.into(), bytes.len() - decoder.into_inner().len()))
        }
        Some(name) => Err(Unread::Compressed(name)),
        None => Err(Unread::Damaged("its initramfs begins like nothing that the kernel unpacks".to_owned())),
    }
}

fn read_all(from: &mut impl Read, room: u64) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    from.take(room + 1).read_to_end(&mut content)?;
    if content.len() as u64 > room {
        return Err(io::Error::other("it is larger than 1 GiB when it is unpacked"));
    }
    Ok(content)
}

impl Unpacked<'_> {
    /// How the archives are compressed, each way once.
    pub fn compressions(&self) -> Vec<&'static str> {
        let mut names: Vec<&str> = self.segments.iter().map(|(name, _)| *name).collect();
        names.dedup();
        names
    }

    /// How much it is when it is unpacked.
    pub fn size(&self) -> u64 {
        self.segments.iter().map(|(_, bytes)| bytes.len() as u64).sum()
    }

    /// Everything in it, in order: what comes later at the same path is what the machine sees.
    ///
    /// # Errors
    ///
    /// [`Unreadable`], if an archive is damaged.
    pub fn members(&self) -> Result<Vec<Member<'_>>, Unreadable> {
        let mut members = Vec::new();
        for (_, bytes) in &self.segments {
            let mut rest: &[u8] = bytes;
            while let Some(start) = rest.iter().position(|byte| *byte != 0) {
                let (more, length) = cpio::read(&rest[start..])?;
                members.extend(more);
                rest = rest[start..].get(length..).unwrap_or_default();
            }
        }
        Ok(members)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::compress::{Compression, compress};
    use crate::cpio::{Archive, Owner};

    fn archive(path: &str) -> Vec<u8> {
        let mut archive = Archive::new();
        archive.file(path, 0o755, Owner::default(), path.repeat(40).into_bytes()).unwrap();
        archive.to_bytes()
    }

    fn zstd(path: &str) -> Vec<u8> {
        compress(archive(path), Compression::Zstd).unwrap()
    }

    fn paths(bytes: &[u8]) -> Vec<String> {
        unpack(bytes).members().unwrap().into_iter().map(|member| member.path).collect()
    }

    #[test]
    fn archives_follow_each_other_in_any_wrapping() {
        let mut gzip = Vec::new();
        flate2::bufread::GzEncoder::new(&archive("c")[..], flate2::Compression::fast())
            .read_to_end(&mut gzip)
            .unwrap();
        let bytes = [archive("a"), vec![0; 8], zstd("b"), gzip].concat();
        assert_eq!(paths(&bytes), ["a", "b", "c"]);
        let unpacked = unpack(&bytes);
        assert_eq!(unpacked.compressions(), ["none", "zstd", "gzip"]);
        assert_eq!(unpacked.size(), 3 * archive("a").len() as u64);
        assert_eq!(unpacked.unread, None);
    }

    #[test]
    fn what_cannot_be_unpacked_is_said_and_the_rest_is_there() {
        let bytes = [archive("a"), b"\xfd7zXZ\0 and more".to_vec()].concat();
        assert_eq!(paths(&bytes), ["a"]);
        assert_eq!(unpack(&bytes).unread, Some(Unread::Compressed("xz")));
        for damaged in [&b"what is this"[..], &zstd("a")[..20], &archive("a")[..20]] {
            assert!(matches!(unpack(damaged).unread, Some(Unread::Damaged(_))));
        }
    }

    #[test]
    fn a_few_bytes_that_stand_for_many_cost_nothing() {
        let bomb = zstd::bulk::compress(&vec![0; 1 << 20], 3).unwrap();
        assert!(read_all(&mut zstd::stream::read::Decoder::new(&bomb[..]).unwrap(), 1000).is_err());
    }

    proptest! {
        #[test]
        fn damage_is_no_panic(at: proptest::sample::Index, value: u8) {
            let mut bytes = [archive("a"), zstd("b")].concat();
            let at = at.index(bytes.len());
            bytes[at] ^= value;
            let unpacked = unpack(&bytes);
            let _ = (unpacked.members(), unpacked.size());
            let _ = unpack(&bytes[..at]).members();
        }
    }
}
