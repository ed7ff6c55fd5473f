//! A screen that keeps its pictures, and compares them with those of a file.

use std::cell::{Cell, RefCell};
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use solum::screen::{Driver, Image};
use solum::{Error, Result};

use super::clock::Clock;
use super::snapshot;

/// A screen that keeps what it was shown.
///
/// ```no_run
/// use solum_sim::mock;
///
/// let screen = mock::Screen::new(320, 200);
/// let mut port = screen.port();
/// let mut image = port.image();
/// image.fill(10, 10, 20, 20, 0x00ff00);
/// port.present(&image)?;
/// // Compares with the file in the package's directory; says what to type if it is another picture, or there is none yet.
/// screen.assert_shows("tests/pictures/square.png");
/// # Ok::<(), solum::Error>(())
/// ```
///
/// On a clock, showing a picture takes until the next refresh, 60 times a second of that clock.
#[derive(Clone)]
pub struct Screen {
    glass: Rc<Glass>,
}

struct Glass {
    size: (u32, u32),
    frames: RefCell<Vec<Image>>,
    /// How many are still taken.
    left: Cell<Option<usize>>,
    refresh: Cell<Duration>,
    /// Every one is kept, not the last alone.
    keeps: Cell<bool>,
    shown: Cell<usize>,
}

impl Screen {
    /// A screen of this size in pixels.
    pub fn new(width: u32, height: u32) -> Self {
        let glass = Glass {
            size: (width, height),
            frames: RefCell::default(),
            left: Cell::default(),
            refresh: Cell::new(Duration::from_secs(1) / 60),
            keeps: Cell::default(),
            shown: Cell::default(),
        };
        Self { glass: Rc::new(glass) }
    }

    /// A port with this screen, which shows at once.
    pub fn port(&self) -> solum::Screen {
        solum::Screen::new(Box::new(Panel { glass: Rc::clone(&self.glass), clock: None }))
    }

    /// What makes a port of it that takes its time.
    pub fn driver(&self, clock: &Clock) -> Box<dyn Driver> {
        Box::new(Panel { glass: Rc::clone(&self.glass), clock: Some(clock.clone()) })
    }

    /// How long a picture stays at least.
    pub fn set_refresh(&self, refresh: Duration) {
        self.glass.refresh.set(refresh);
    }

    /// The screen takes so many more pictures; then it is [`Error::Closed`], and a program that draws for ever ends.
    pub fn close_after(&self, frames: usize) {
        self.glass.left.set(Some(frames));
    }

    /// Keeps every picture from now on, for [`frames`](Self::frames). Else only the last is kept.
    pub fn keep_frames(&self) {
        self.glass.keeps.set(true);
    }

    /// How many pictures were shown.
    pub fn shown(&self) -> usize {
        self.glass.shown.get()
    }

    /// What is on the screen; `None` before the first picture.
    pub fn image(&self) -> Option<Image> {
        self.glass.frames.borrow().last().cloned()
    }

    /// The pictures that were kept, in order.
    pub fn frames(&self) -> Vec<Image> {
        self.glass.frames.borrow().clone()
    }

    /// Asserts that the screen shows the picture in a PNG file, as [`assert_picture`] does.
    ///
    /// # Panics
    ///
    /// If it shows nothing or something else, with what to do about it.
    #[track_caller]
    pub fn assert_shows(&self, file: impl AsRef<Path>) {
        let Some(image) = self.image() else { panic!("the screen was shown no picture yet") };
        assert_picture(&image, file);
    }
}

/// Asserts that a picture is the one in a PNG file. A relative path begins in the package's directory, where `cargo test` runs
/// tests.
///
/// If it is another, it is written beside the file as `NAME.new.png`. With `SOLUM_BLESS=1` in the environment the file is
/// written anew; then look at it.
///
/// # Panics
///
/// If the picture is another, or the file is missing: the message says how many pixels differ, where, and what to type.
#[track_caller]
pub fn assert_picture(image: &Image, file: impl AsRef<Path>) {
    let is_blessing = std::env::var_os("SOLUM_BLESS").is_some();
    if let Err(difference) = snapshot::compare(image, file.as_ref(), is_blessing) {
        panic!("{difference}");
    }
}

struct Panel {
    glass: Rc<Glass>,
    clock: Option<Clock>,
}

impl Driver for Panel {
    fn size(&self) -> (u32, u32) {
        self.glass.size
    }

    fn present(&mut self, image: &Image) -> Result<()> {
        match self.glass.left.get() {
            Some(0) => return Err(Error::Closed),
            left => self.glass.left.set(left.map(|left| left - 1)),
        }
        if !self.glass.keeps.get() {
            self.glass.frames.borrow_mut().clear();
        }
        self.glass.frames.borrow_mut().push(image.clone());
        self.glass.shown.set(self.glass.shown.get() + 1);
        match &self.clock {
            Some(clock) => clock.port().sleep(self.glass.refresh.get()),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_are_kept_counted_and_take_their_time() {
        let (clock, screen) = (Clock::new(), Screen::new(2, 1));
        screen.close_after(3);
        screen.set_refresh(Duration::from_millis(20));
        let mut port = solum::Screen::new(screen.driver(&clock));
        let mut image = port.image();
        let mut color = 0;
        let end = loop {
            image.set(0, 0, color);
            color += 1;
            if color == 2 {
                screen.keep_frames();
            }
            if let Err(error) = port.present(&image) {
                break error;
            }
        };
        assert_eq!((end, screen.shown(), screen.frames().len()), (Error::Closed, 3, 3));
        assert_eq!(screen.image().unwrap().pixels(), [2, 0]);
        assert_eq!(clock.now().since_beginning(), Duration::from_millis(60));
        assert!(port.present(&Image::new(1, 1)).is_err());
    }

    #[test]
    #[should_panic(expected = "no picture yet")]
    fn a_screen_that_shows_nothing_shows_no_file() {
        Screen::new(1, 1).assert_shows("nothing.png");
    }
}
