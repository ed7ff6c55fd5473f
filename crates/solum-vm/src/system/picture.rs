//! A screen without a window: what it shows is a picture in a file.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use solum_unit::screen::{Display, Shown};

use super::png;

/// At most so often is the picture written. Whoever looks at a file sees no difference, and 60 pictures a second are work.
const INTERVAL: Duration = Duration::from_millis(100);

/// Who is shown every frame of a screen: 32 bits a pixel, blue in the lowest byte.
pub type Onlooker = Box<dyn FnMut(&[u8])>;

/// The files of a screen.
pub struct Picture {
    width: u32,
    /// What is shown now, replaced as a whole.
    latest: PathBuf,
    /// Where every frame is kept, if it is; and how many are.
    frames: Option<(PathBuf, u64)>,
    /// What is shown and not written yet.
    unwritten: Option<Vec<u8>>,
    next: Duration,
    onlooker: Option<Onlooker>,
}

impl Picture {
    /// A screen with its picture in the directory `pictures`, and every frame with its number in `frames`.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn new(name: &str, width: u32, pictures: &Path, frames: Option<&Path>) -> io::Result<Self> {
        fs::create_dir_all(pictures)?;
        let frames = frames.map(|directory| directory.join(name));
        if let Some(directory) = &frames {
            fs::create_dir_all(directory)?;
        }
        Ok(Self {
            width,
            latest: pictures.join(format!("{name}.png")),
            frames: frames.map(|directory| (directory, 0)),
            unwritten: None,
            next: Duration::ZERO,
            onlooker: None,
        })
    }

    /// Shows every frame to somebody else too.
    pub fn look_on(&mut self, onlooker: Onlooker) {
        self.onlooker = Some(onlooker);
    }

    fn write(&mut self, now: Duration) -> io::Result<()> {
        let Some(pixels) = self.unwritten.take() else { return Ok(()) };
        self.next = now + INTERVAL;
        // Whoever opens it finds the last picture or this one, and never half of it.
        let whole = self.latest.with_extension("png.new");
        fs::write(&whole, png::encode(self.width, &pixels)?)?;
        fs::rename(&whole, &self.latest)
    }
}

impl Display for Picture {
    fn show(&mut self, now: Duration, pixels: &[u8]) -> io::Result<Shown> {
        if let Some((directory, count)) = &mut self.frames {
            *count += 1;
            fs::write(directory.join(format!("{count:06}.png")), png::encode(self.width, pixels)?)?;
        }
        if let Some(onlooker) = &mut self.onlooker {
            onlooker(pixels);
        }
        let kept = self.unwritten.get_or_insert_default();
        kept.clear();
        kept.extend_from_slice(pixels);
        self.turn(now)?;
        Ok(Shown::Now)
    }

    fn turn(&mut self, now: Duration) -> io::Result<Shown> {
        if now >= self.next {
            self.write(now)?;
        }
        Ok(Shown::Later)
    }

    fn deadline(&self) -> Option<Duration> {
        self.unwritten.as_ref().map(|_| self.next)
    }
}

impl Drop for Picture {
    /// The last frame is what is looked at when all is over.
    fn drop(&mut self) {
        let _ = self.write(Duration::ZERO);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_picture_is_written_at_most_ten_times_a_second_and_the_last_one_for_sure() {
        let directory = tempfile::tempdir().unwrap();
        let frames = directory.path().join("frames");
        let mut picture = Picture::new("desk.main", 1, directory.path(), Some(&frames)).unwrap();
        let latest = || fs::read(directory.path().join("desk.main.png")).unwrap();
        let expected = |blue| png::encode(1, &[blue, 0, 0, 0]).unwrap();
        let at = Duration::from_millis;
        assert_eq!(picture.show(at(0), &[1, 0, 0, 0]).unwrap(), Shown::Now);
        assert_eq!((latest(), picture.deadline()), (expected(1), None));
        picture.show(at(16), &[2, 0, 0, 0]).unwrap();
        picture.show(at(33), &[3, 0, 0, 0]).unwrap();
        assert_eq!((latest(), picture.deadline()), (expected(1), Some(at(100))));
        picture.turn(at(100)).unwrap();
        assert_eq!((latest(), picture.deadline()), (expected(3), None));
        picture.show(at(101), &[4, 0, 0, 0]).unwrap();
        drop(picture);
        assert_eq!(latest(), expected(4));
        assert_eq!(fs::read_dir(frames.join("desk.main")).unwrap().count(), 4);
    }
}
