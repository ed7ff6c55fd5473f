//! Pictures that tests compare.

use std::io::Read;
use std::path::Path;

use flate2::read::ZlibDecoder;

/// What a screen shows: lines from the top, red, green and blue.
#[derive(Clone, PartialEq, Eq)]
pub struct Picture {
    pub width: usize,
    pub pixels: Vec<[u8; 3]>,
}

impl Picture {
    /// A picture of `solum run`: PNG without interlacing, with eight bits a sample, each stored as what it differs from the
    /// one above it.
    pub fn read(path: &Path) -> Self {
        let file = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let (mut rest, mut width, mut packed) = (&file[8..], 0, Vec::new());
        while let [a, b, c, d, kind @ ..] = rest {
            let length = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
            let data = &kind[4..4 + length];
            match &kind[..4] {
                b"IHDR" => width = u32::from_be_bytes(data[..4].try_into().unwrap()) as usize,
                b"IDAT" => packed.extend_from_slice(data),
                _ => {}
            }
            rest = &kind[8 + length..];
        }
        let mut lines = Vec::new();
        ZlibDecoder::new(&*packed).read_to_end(&mut lines).unwrap();
        let mut above = vec![0u8; width * 3];
        let mut pixels = Vec::new();
        for line in lines.chunks_exact(1 + width * 3) {
            assert_eq!(line[0], 2, "the filter that all lines have");
            for (above, difference) in above.iter_mut().zip(&line[1..]) {
                *above = above.wrapping_add(*difference);
            }
            pixels.extend_from_slice(above.as_chunks().0);
        }
        Self { width, pixels }
    }

    /// One of 32 bits a pixel, blue in the lowest byte.
    pub fn of_pixels(width: usize, bytes: &[u8]) -> Self {
        let pixels = bytes.as_chunks::<4>().0.iter().map(|[blue, green, red, _]| [*red, *green, *blue]);
        Self { width, pixels: pixels.collect() }
    }

    /// How many of a thousand pixels are others.
    pub fn differs(&self, other: &Self) -> usize {
        if (self.width, self.pixels.len()) != (other.width, other.pixels.len()) {
            return 1000;
        }
        let different = self.pixels.iter().zip(&other.pixels).filter(|(own, other)| own != other);
        different.count() * 1000 / self.pixels.len()
    }
}
