//! A viewer of VNC (RFC 6143), which sees what a virtual machine shows.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use crate::picture::Picture;

/// What is agreed upon: 32 bits a pixel, little-endian, blue in the lowest byte; and pixels as they are.
const PIXEL_FORMAT: [u8; 20] = [0, 0, 0, 0, 32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0, 0, 0, 0];
const RAW_ENCODING: [u8; 8] = [2, 0, 0, 1, 0, 0, 0, 0];

/// A viewer that looks at one screen.
pub struct Viewer {
    stream: UnixStream,
    width: u16,
    height: u16,
    pixels: Vec<u8>,
}

impl Viewer {
    /// Begins to look.
    pub fn new(socket: &Path) -> Self {
        let mut stream = UnixStream::connect(socket).unwrap();
        assert_eq!(take::<12>(&mut stream), *b"RFB 003.008\n");
        stream.write_all(b"RFB 003.008\n").unwrap();
        let [kinds] = take(&mut stream);
        take_many(&mut stream, kinds.into());
        // No password; and others may look too.
        stream.write_all(&[1]).unwrap();
        assert_eq!(take(&mut stream), [0, 0, 0, 0], "the server lets nobody in");
        stream.write_all(&[1]).unwrap();
        let [a, b, c, d] = take(&mut stream);
        take::<16>(&mut stream);
        let name_length = u32::from_be_bytes(take(&mut stream));
        take_many(&mut stream, name_length as usize);
        stream.write_all(&[PIXEL_FORMAT.as_slice(), &RAW_ENCODING].concat()).unwrap();
        let (width, height) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
        let pixels = vec![0; usize::from(width) * usize::from(height) * 4];
        Self { stream, width, height, pixels }
    }

    /// Looks until it sees what is expected. When the machine ends before, it fails, and says how far the last picture was
    /// from each of `expected`.
    pub fn until(&mut self, expected: &[&Picture], is_seen: impl Fn(&[usize]) -> bool) {
        let mut is_update = false;
        loop {
            self.ask(is_update);
            is_update = true;
            let distances = |picture: &Picture| expected.iter().map(|other| picture.differs(other)).collect();
            let before: Vec<usize> = distances(&self.picture());
            let is_there = self.take_update();
            assert!(is_there, "the screen is gone; of 1000 pixels {before:?} were others than expected");
            if is_seen(&distances(&self.picture())) {
                return;
            }
        }
    }

    fn picture(&self) -> Picture {
        Picture::of_pixels(self.width.into(), &self.pixels)
    }

    /// Asks for the whole screen, or for what changes in it.
    fn ask(&mut self, is_update: bool) {
        let mut request = vec![3, is_update.into(), 0, 0, 0, 0];
        request.extend(self.width.to_be_bytes());
        request.extend(self.height.to_be_bytes());
        // If nobody listens, there is nothing to be read either.
        let _ = self.stream.write_all(&request);
    }

    /// Whether there was one.
    fn take_update(&mut self) -> bool {
        let mut kind = [0; 4];
        if self.stream.read_exact(&mut kind).is_err() {
            return false;
        }
        assert_eq!(kind[0], 0, "a message that no viewer of this kind is sent");
        for _ in 0..u16::from_be_bytes([kind[2], kind[3]]) {
            let place: [u8; 12] = take(&mut self.stream);
            let number = |at: usize| usize::from(u16::from_be_bytes([place[at], place[at + 1]]));
            let (x, y, width, height) = (number(0), number(2), number(4), number(6));
            assert_eq!(place[8..], [0; 4], "the encoding");
            let pixels = take_many(&mut self.stream, width * height * 4);
            for (line, pixels) in pixels.chunks_exact(width * 4).enumerate() {
                let start = ((y + line) * usize::from(self.width) + x) * 4;
                self.pixels[start..start + width * 4].copy_from_slice(pixels);
            }
        }
        true
    }
}

fn take<const LENGTH: usize>(stream: &mut UnixStream) -> [u8; LENGTH] {
    let mut bytes = [0; LENGTH];
    stream.read_exact(&mut bytes).unwrap();
    bytes
}

fn take_many(stream: &mut UnixStream, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes).unwrap();
    bytes
}
