//! A screen behind a graphics card, through the kernel's Direct Rendering Manager (DRM).
//!
//! Two buffers of main memory ("dumb buffers", drm-memory(7)) are shown in turn: a frame is copied into the one that is not
//! shown, and the card changes over when it draws the next picture.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use drm::buffer::{Buffer as _, DrmFourcc};
use drm::control::dumbbuffer::DumbBuffer;
use drm::control::{Device as ControlDevice, Event, Mode, PageFlipFlags, connector, crtc, framebuffer};
use rustix::fs::OFlags;
use solum_unit::screen::{Display, Shown};

/// Bits of a pixel that are color, and all of them.
const COLOR_BITS: u32 = 24;
const PIXEL_BITS: u32 = 32;

struct Card(File);

impl AsFd for Card {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl drm::Device for Card {}
impl ControlDevice for Card {}

/// A screen.
pub struct CardScreen {
    card: Card,
    connector: connector::Handle,
    crtc: crtc::Handle,
    mode: Mode,
    line_bytes: usize,
    buffers: [Buffer; 2],
    /// Which buffer is drawn next.
    next: usize,
    is_lit: bool,
    /// The card was told to change over, and has not said that it did.
    is_changing: bool,
}

struct Buffer {
    memory: DumbBuffer,
    framebuffer: framebuffer::Handle,
}

impl CardScreen {
    /// The first screen that is connected to the card, at this size.
    ///
    /// # Errors
    ///
    /// That no screen is connected, or that it cannot have this size; else what the system says.
    pub fn open(path: &Path, (width, height): (u32, u32)) -> io::Result<Self> {
        let options =
            OpenOptions::new().read(true).write(true).custom_flags(OFlags::NONBLOCK.bits() as i32).open(path);
        let card = Card(options?);
        let resources = card.resource_handles()?;
        let connected = resources
            .connectors()
            .iter()
            .filter_map(|handle| card.get_connector(*handle, true).ok())
            .find(|connector| connector.state() == connector::State::Connected)
            .ok_or_else(|| io::Error::other("no screen is connected to the graphics card"))?;
        let mode = choose_mode(connected.modes(), (width, height))?;
        let crtc = connected
            .encoders()
            .iter()
            .filter_map(|handle| card.get_encoder(*handle).ok())
            .find_map(|encoder| resources.filter_crtcs(encoder.possible_crtcs()).first().copied())
            .ok_or_else(|| io::Error::other("the graphics card has nothing to drive the screen with"))?;
        let buffers = [Buffer::new(&card, (width, height))?, Buffer::new(&card, (width, height))?];
        Ok(Self {
            connector: connected.handle(),
            card,
            crtc,
            mode,
            line_bytes: width as usize * 4,
            buffers,
            next: 0,
            is_lit: false,
            is_changing: false,
        })
    }
}

impl Buffer {
    fn new(card: &Card, size: (u32, u32)) -> io::Result<Self> {
        let memory = card.create_dumb_buffer(size, DrmFourcc::Xrgb8888, PIXEL_BITS)?;
        let framebuffer = card.add_framebuffer(&memory, COLOR_BITS, PIXEL_BITS)?;
        Ok(Self { memory, framebuffer })
    }
}

fn choose_mode(modes: &[Mode], (width, height): (u32, u32)) -> io::Result<Mode> {
    let size = |mode: &Mode| (u32::from(mode.size().0), u32::from(mode.size().1));
    modes.iter().find(|mode| size(mode) == (width, height)).copied().ok_or_else(|| {
        let mut known: Vec<String> = modes.iter().map(size).map(|(x, y)| format!("{x}x{y}")).collect();
        known.dedup();
        io::Error::other(format!("the screen cannot show {width}x{height}, but {}", known.join(", ")))
    })
}

impl Display for CardScreen {
    fn show(&mut self, _: Duration, pixels: &[u8]) -> io::Result<Shown> {
        let buffer = &mut self.buffers[self.next];
        let pitch = buffer.memory.pitch() as usize;
        let mut memory = self.card.map_dumb_buffer(&mut buffer.memory)?;
        for (line, drawn) in memory.chunks_mut(pitch).zip(pixels.chunks_exact(self.line_bytes)) {
            line[..self.line_bytes].copy_from_slice(drawn);
        }
        drop(memory);
        let framebuffer = buffer.framebuffer;
        self.next ^= 1;
        if self.is_lit {
            self.card.page_flip(self.crtc, framebuffer, PageFlipFlags::EVENT, None)?;
            self.is_changing = true;
            return Ok(Shown::Later);
        }
        self.card.set_crtc(self.crtc, Some(framebuffer), (0, 0), &[self.connector], Some(self.mode))?;
        self.is_lit = true;
        Ok(Shown::Now)
    }

    fn turn(&mut self, _: Duration) -> io::Result<Shown> {
        if !self.is_changing {
            return Ok(Shown::Later);
        }
        match self.card.receive_events() {
            Ok(mut events) => {
                self.is_changing = !events.any(|event| matches!(event, Event::PageFlip(_)));
                Ok(if self.is_changing { Shown::Later } else { Shown::Now })
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                Ok(Shown::Later)
            }
            Err(error) => Err(error),
        }
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        Some(self.card.as_fd())
    }
}
