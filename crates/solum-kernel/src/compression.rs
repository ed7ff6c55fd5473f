//! The compressed forms in which kernels and modules come.

use std::io::{self, Read};

/// A compressed form, told from the first bytes of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compression {
    Gzip,
    Xz,
    Zstd,
    /// Recognised, so that a file in one of them is not taken for garbage; not unpacked here.
    Lz4,
    Lzma,
    Lzo,
    Bzip2,
}

/// First bytes of each form, as the kernel's `lib/decompress.c` has them.
const MAGIC: &[(&[u8], Compression)] = &[
    (&[0x1f, 0x8b], Compression::Gzip),
    (&[0xfd, b'7', b'z', b'X', b'Z', 0], Compression::Xz),
    (&[0x28, 0xb5, 0x2f, 0xfd], Compression::Zstd),
    (&[0x02, 0x21, 0x4c, 0x18], Compression::Lz4),
    (&[0x5d, 0, 0], Compression::Lzma),
    (&[0x89, b'L', b'Z', b'O'], Compression::Lzo),
    (b"BZh", Compression::Bzip2),
];

impl Compression {
    pub(crate) fn of(bytes: &[u8]) -> Option<Self> {
        MAGIC.iter().find(|(magic, _)| bytes.starts_with(magic)).map(|(_, compression)| *compression)
    }

    /// Unpacks the one stream that `bytes` begin with; what follows it is left alone. More than `limit` bytes of
    /// content are refused: a damaged length must not fill the memory.
    ///
    /// # Errors
    ///
    /// What the decompressor found wrong with the stream, or that this form is not unpacked here.
    pub(crate) fn unpack(self, bytes: &[u8], limit: u64) -> io::Result<Vec<u8>> {
        let reader: Box<dyn Read + '_> = match self {
            Self::Gzip => Box::new(flate2::read::GzDecoder::new(bytes)),
            Self::Xz => Box::new(lzma_rust2::XzReader::new(bytes, false)),
            Self::Zstd => Box::new(zstd::stream::read::Decoder::with_buffer(bytes)?.single_frame()),
            Self::Lz4 | Self::Lzma | Self::Lzo | Self::Bzip2 => {
                return Err(io::Error::new(
                    io::ErrorKind::Unsupported,
                    format!("{self:?} is not unpacked here"),
                ));
            }
        };
        let mut content = Vec::new();
        reader.take(limit + 1).read_to_end(&mut content)?;
        if content.len() as u64 > limit {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "it unpacks to more than is plausible"));
        }
        Ok(content)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::io::Write;

    /// Packs `content`, for tests here and elsewhere.
    pub(crate) fn pack(compression: Compression, content: &[u8]) -> Vec<u8> {
        match compression {
            Compression::Gzip => {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                encoder.write_all(content).unwrap();
                encoder.finish().unwrap()
            }
            Compression::Xz => {
                let options = lzma_rust2::XzOptions::with_preset(1);
                let mut encoder = lzma_rust2::XzWriter::new(Vec::new(), options).unwrap();
                encoder.write_all(content).unwrap();
                encoder.finish().unwrap()
            }
            Compression::Zstd => zstd::stream::encode_all(content, 1).unwrap(),
            other => panic!("nothing here packs {other:?}"),
        }
    }

    #[test]
    fn each_form_is_recognised_and_unpacked_and_what_follows_is_left_alone() {
        let content = b"solum ".repeat(1000);
        for compression in [Compression::Gzip, Compression::Xz, Compression::Zstd] {
            let mut packed = pack(compression, &content);
            packed.extend_from_slice(&[0x5e, 0x17, 0, 0]);
            assert_eq!(Compression::of(&packed), Some(compression));
            assert_eq!(compression.unpack(&packed, 10_000).unwrap(), content, "{compression:?}");
        }
    }

    #[test]
    fn damage_and_excess_are_errors() {
        let content = b"solum ".repeat(1000);
        for compression in [Compression::Gzip, Compression::Xz, Compression::Zstd] {
            let packed = pack(compression, &content);
            assert!(
                compression.unpack(&packed[..packed.len() / 2], 10_000).is_err(),
                "{compression:?} cut short"
            );
            assert!(compression.unpack(&packed, 5_999).is_err(), "{compression:?} too long");
        }
        assert!(Compression::Lz4.unpack(&[0x02, 0x21, 0x4c, 0x18], 10).is_err());
        assert_eq!(Compression::of(b"\x7fELF"), None);
    }
}
