//! Screens.

use crate::error::{Error, Result};
use crate::port::{InterfaceId, PlugError, Port, Single, World, built_in, one};

/// A picture: lines from the top, pixels from the left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    width: u32,
    height: u32,
    pixels: Vec<u32>,
}

impl Image {
    /// A black picture of this size in pixels.
    pub fn new(width: u32, height: u32) -> Self {
        Self { width, height, pixels: vec![0; width as usize * height as usize] }
    }

    /// Pixels in a line.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Lines.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// All pixels, line after line, each `0x00RRGGBB`.
    pub fn pixels(&self) -> &[u32] {
        &self.pixels
    }

    /// All pixels, to be changed.
    pub fn pixels_mut(&mut self) -> &mut [u32] {
        &mut self.pixels
    }

    /// Sets a pixel to `0x00RRGGBB`; outside the picture it does nothing.
    pub fn set(&mut self, x: u32, y: u32, color: u32) {
        if x < self.width && y < self.height {
            self.pixels[y as usize * self.width as usize + x as usize] = color;
        }
    }

    /// Fills a rectangle, as far as it lies within the picture.
    pub fn fill(&mut self, x: u32, y: u32, width: u32, height: u32, color: u32) {
        let right = x.saturating_add(width).min(self.width);
        for line in y.min(self.height)..y.saturating_add(height).min(self.height) {
            let start = line as usize * self.width as usize;
            if x < right {
                self.pixels[start + x as usize..start + right as usize].fill(color);
            }
        }
    }
}

/// What makes a screen real, or a series of pictures in a test.
pub trait Driver {
    /// Width and height in pixels.
    fn size(&self) -> (u32, u32);
    /// Shows a picture of that size, and returns when it is shown.
    fn present(&mut self, image: &Image) -> Result<()>;
}

/// A screen.
pub struct Screen {
    driver: Box<dyn Driver>,
}

impl Screen {
    /// A port with this driver.
    pub fn new(driver: Box<dyn Driver>) -> Self {
        Self { driver }
    }

    /// Width and height in pixels.
    pub fn size(&self) -> (u32, u32) {
        self.driver.size()
    }

    /// A black picture of the screen's size.
    pub fn image(&self) -> Image {
        let (width, height) = self.size();
        Image::new(width, height)
    }

    /// Shows a picture, and returns when it is on the screen: so a loop that draws runs with its refresh.
    ///
    /// # Errors
    ///
    /// [`Error::Device`] if the picture has another size than the screen, or the screen is gone.
    pub fn present(&mut self, image: &Image) -> Result<()> {
        let (width, height) = self.size();
        if (image.width, image.height) != (width, height) {
            let (has_width, has_height) = (image.width, image.height);
            return Err(Error::Device(format!(
                "a picture of {has_width}x{has_height} on a screen of {width}x{height}"
            )));
        }
        self.driver.present(image)
    }
}

impl Single for Screen {
    const INTERFACE: InterfaceId = built_in("screen");

    fn take(world: &mut dyn World, port: &str, index: usize) -> Result<Self, PlugError> {
        Ok(Self::new(world.screen(port, index)?))
    }
}

impl Port for Screen {
    const INTERFACE: InterfaceId = built_in("screen");

    fn plug(world: &mut dyn World, port: &str) -> Result<Self, PlugError> {
        one(world, port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drawing_beyond_the_edges_does_nothing() {
        let mut image = Image::new(4, 2);
        image.set(4, 0, 1);
        image.set(0, 2, 1);
        image.fill(3, 1, u32::MAX, u32::MAX, 7);
        image.fill(9, 9, 1, 1, 7);
        assert_eq!(image.pixels(), [0, 0, 0, 0, 0, 0, 0, 7]);
    }
}
