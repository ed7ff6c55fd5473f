//! Pictures as PNG files (W3C, "Portable Network Graphics (PNG) Specification").

use std::io::{self, Write};

use flate2::write::ZlibEncoder;
use flate2::{Compression, Crc};

const SIGNATURE: [u8; 8] = [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n'];
/// Eight bits a sample, red green and blue, and the only methods of compression, filtering and interlacing there are.
const TRUE_COLOR: [u8; 5] = [8, 2, 0, 0, 0];
/// Each byte is stored as what it differs from the one above it, which makes most of a drawn picture zeros.
const FILTER_UP: u8 = 2;

/// A picture of 32 bits a pixel, blue in the lowest byte, as a file.
pub fn encode(width: u32, pixels: &[u8]) -> io::Result<Vec<u8>> {
    let line_bytes = width as usize * 4;
    let height = (pixels.len() / line_bytes.max(1)) as u32;
    let mut header = Vec::new();
    header.extend_from_slice(&width.to_be_bytes());
    header.extend_from_slice(&height.to_be_bytes());
    header.extend_from_slice(&TRUE_COLOR);
    let mut file = SIGNATURE.to_vec();
    chunk(&mut file, *b"IHDR", &header);
    chunk(&mut file, *b"IDAT", &compress(width as usize, pixels)?);
    chunk(&mut file, *b"IEND", &[]);
    Ok(file)
}

fn compress(width: usize, pixels: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    let mut above = vec![0; width * 3];
    let mut filtered = Vec::with_capacity(1 + width * 3);
    for line in pixels.chunks_exact(width.max(1) * 4) {
        filtered.clear();
        filtered.push(FILTER_UP);
        let samples = line.as_chunks::<4>().0.iter().flat_map(|[blue, green, red, _]| [*red, *green, *blue]);
        for (sample, above) in samples.zip(&mut above) {
            filtered.push(sample.wrapping_sub(*above));
            *above = sample;
        }
        encoder.write_all(&filtered)?;
    }
    encoder.finish()
}

fn chunk(file: &mut Vec<u8>, kind: [u8; 4], data: &[u8]) {
    file.extend_from_slice(&(data.len() as u32).to_be_bytes());
    let start = file.len();
    file.extend_from_slice(&kind);
    file.extend_from_slice(data);
    let mut checksum = Crc::new();
    checksum.update(&file[start..]);
    file.extend_from_slice(&checksum.sum().to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    /// The chunks of a file, of which the checksums are right.
    fn chunks(file: &[u8]) -> Vec<(String, Vec<u8>)> {
        assert_eq!(file[..8], SIGNATURE);
        let (mut rest, mut chunks) = (&file[8..], Vec::new());
        while !rest.is_empty() {
            let length = u32::from_be_bytes(rest[..4].try_into().unwrap()) as usize;
            let mut checksum = Crc::new();
            checksum.update(&rest[4..8 + length]);
            assert_eq!(rest[8 + length..12 + length], checksum.sum().to_be_bytes());
            chunks.push((String::from_utf8_lossy(&rest[4..8]).into_owned(), rest[8..8 + length].to_vec()));
            rest = &rest[12 + length..];
        }
        chunks
    }

    #[test]
    fn a_picture_is_stored_line_by_line_red_first() {
        let pixels: Vec<u8> = [0x0011_2233_u32, 0x0044_5566, 0x0011_2234, 0x0044_5566]
            .iter()
            .flat_map(|pixel| pixel.to_le_bytes())
            .collect();
        let chunks = chunks(&encode(2, &pixels).unwrap());
        let kinds: Vec<&str> = chunks.iter().map(|(kind, _)| kind.as_str()).collect();
        assert_eq!(kinds, ["IHDR", "IDAT", "IEND"]);
        assert_eq!(chunks[0].1, [0, 0, 0, 2, 0, 0, 0, 2, 8, 2, 0, 0, 0]);
        let mut lines = Vec::new();
        flate2::read::ZlibDecoder::new(&*chunks[1].1).read_to_end(&mut lines).unwrap();
        assert_eq!(lines, [2, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 2, 0, 0, 1, 0, 0, 0]);
    }
}
