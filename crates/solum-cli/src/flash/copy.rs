//! Writing an image and reading it back, piece by piece, to anything that keeps bytes.

use std::fmt;
use std::io;
use std::ops::Range;

use solum_image::ReadAt;
use solum_spec::reason;

/// Something that keeps bytes.
pub trait Target {
    /// Writes bytes at a place.
    fn write(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// Makes zeros of a range.
    fn zero(&mut self, range: Range<u64>) -> io::Result<()>;
    /// Waits until everything that was written is kept.
    fn sync(&mut self) -> io::Result<()>;
    /// Forgets what lies behind an image of this length and would be taken for a part of it: the copy of an older partition table.
    fn forget_behind(&mut self, length: u64) -> io::Result<()>;
    /// Reads what is really kept.
    fn read_back(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<()>;
}

/// Why it ended before its end.
#[derive(Debug)]
pub enum Trouble {
    /// The image cannot be read.
    Image(io::Error),
    /// The device refuses to write.
    Write(io::Error),
    /// The device refuses to read.
    Read(io::Error),
    /// The device did not keep what was written to this place.
    Different(u64),
    /// The user does not want it any more.
    Interrupted,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Image(error) => write!(f, "the image cannot be read: {}", reason(error)),
            Self::Write(error) => write!(f, "the device cannot be written: {}", reason(error)),
            Self::Read(error) => write!(f, "the device cannot be read: {}", reason(error)),
            Self::Different(at) => {
                write!(f, "what the device gives back is not what was written: it differs at byte {at}")
            }
            Self::Interrupted => f.write_str("interrupted"),
        }
    }
}

/// What a target holds after work that did not come to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// What it held before.
    Untouched,
    /// A part of the image, and no head.
    Half,
    /// The image, but it is not known whether all of it was kept.
    Unread,
    /// Nobody knows: it failed while its head was written.
    Unknown,
}

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Untouched => "is as it was",
            Self::Half => "holds half an image now, which boots nowhere",
            Self::Unread => "holds the image, but nobody has read all of it back",
            Self::Unknown => "may hold what it held before, half an image, or all of it",
        })
    }
}

/// What is read, written and compared at once.
const PIECE: u64 = 4 << 20;
/// As long as this, zeros are worth an order of their own.
const HOLE: u64 = 16 << 20;
/// After so many bytes it is waited until they are kept, so that the progress is that of the device and not of the host's memory.
const SYNC_EVERY: u64 = 16 << 20;
/// Ranges begin and end where every device's sectors do.
const ALIGNMENT: u64 = 4096;
/// What tells firmware and kernels what a medium is: tables of partitions, descriptors of CDs.
const HEAD: u64 = 1 << 20;

/// A part of the work.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Copy(Range<u64>),
    Zero(Range<u64>),
}

/// Everything to do for an image, in order. The head is zero until all the rest is there: half an image boots nowhere.
fn steps(image: &(impl ReadAt + ?Sized)) -> io::Result<Vec<Step>> {
    let length = image.length();
    let head = HEAD.min(length);
    let mut steps = vec![Step::Zero(0..head / ALIGNMENT * ALIGNMENT)];
    let mut at = head;
    while at < length {
        let data = image.next_data(at)?;
        let data = data.map_or(length..length, |data| {
            let end = data.end.min(length);
            (data.start.max(at) / ALIGNMENT * ALIGNMENT).max(at)..end.next_multiple_of(ALIGNMENT).min(length)
        });
        // Less than a sector at the end of all is written.
        let hole_end = if data.start == length { length / ALIGNMENT * ALIGNMENT } else { data.start };
        let data = hole_end.max(at)..data.end;
        steps.extend(pieces(at..data.start, HOLE).map(Step::Zero));
        steps.extend(pieces(data.clone(), PIECE).map(Step::Copy));
        at = data.end;
    }
    steps.extend(pieces(0..head, PIECE).map(Step::Copy));
    steps.retain(|step| !matches!(step, Step::Zero(range) if range.is_empty()));
    Ok(steps)
}

fn pieces(range: Range<u64>, most: u64) -> impl Iterator<Item = Range<u64>> {
    let mut at = range.start;
    std::iter::from_fn(move || {
        let piece = at..(at + most).min(range.end);
        at = piece.end;
        (!piece.is_empty()).then_some(piece)
    })
}

/// Writes an image. `go_on` is told how much is kept, and says whether to.
pub fn write(
    image: &(impl ReadAt + ?Sized),
    target: &mut impl Target,
    mut go_on: impl FnMut(u64) -> bool,
) -> Result<(), (Trouble, Left)> {
    let steps = steps(image).map_err(|error| (Trouble::Image(error), Left::Untouched))?;
    if !go_on(0) {
        return Err((Trouble::Interrupted, Left::Untouched));
    }
    let mut left = Left::Unknown;
    write_steps(steps, image, target, go_on, &mut left).map_err(|trouble| {
        // As much as was written is kept, whoever looks at it.
        let _ = target.sync();
        (trouble, left)
    })
}

/// `left` is what the target holds if it ends early.
fn write_steps(
    steps: Vec<Step>,
    image: &(impl ReadAt + ?Sized),
    target: &mut impl Target,
    mut go_on: impl FnMut(u64) -> bool,
    left: &mut Left,
) -> Result<(), Trouble> {
    let mut buffer = vec![0; PIECE as usize];
    let (mut kept, mut waiting) = (0, 0);
    let mut steps = steps.into_iter();
    while let Some(step) = steps.next() {
        let is_last = steps.len() == 0;
        if is_last {
            *left = Left::Unknown;
        }
        let range = match step {
            Step::Copy(range) => {
                let piece = &mut buffer[..(range.end - range.start) as usize];
                image.read_at(range.start, piece).map_err(Trouble::Image)?;
                target.write(range.start, piece).map_err(Trouble::Write)?;
                range
            }
            Step::Zero(range) if range.start == 0 => {
                target.zero(range).and_then(|()| target.sync()).map_err(Trouble::Write)?;
                *left = Left::Half;
                // A device that is smaller than it says shows that here, before all the rest is written.
                target.forget_behind(image.length()).map_err(Trouble::Write)?;
                // The head is written once more.
                0..0
            }
            Step::Zero(range) => {
                target.zero(range.clone()).map_err(Trouble::Write)?;
                range
            }
        };
        waiting += range.end - range.start;
        if waiting >= SYNC_EVERY {
            target.sync().map_err(Trouble::Write)?;
            kept += waiting;
            waiting = 0;
        }
        // After the last step the head is there: it is no half image any more.
        if !is_last && !go_on(kept) {
            return Err(Trouble::Interrupted);
        }
    }
    target.sync().map_err(Trouble::Write)?;
    go_on(kept + waiting);
    Ok(())
}

/// Reads everything back, and compares it with the image.
pub fn verify(
    image: &(impl ReadAt + ?Sized),
    target: &mut impl Target,
    go_on: impl FnMut(u64) -> bool,
) -> Result<(), (Trouble, Left)> {
    compare(image, target, go_on).map_err(|trouble| (trouble, Left::Unread))
}

fn compare(
    image: &(impl ReadAt + ?Sized),
    target: &mut impl Target,
    mut go_on: impl FnMut(u64) -> bool,
) -> Result<(), Trouble> {
    let mut wanted = vec![0; PIECE as usize];
    let mut kept = vec![0; PIECE as usize];
    for piece in pieces(0..image.length(), PIECE) {
        if !go_on(piece.start) {
            return Err(Trouble::Interrupted);
        }
        let length = (piece.end - piece.start) as usize;
        let (wanted, kept) = (&mut wanted[..length], &mut kept[..length]);
        image.read_at(piece.start, wanted).map_err(Trouble::Image)?;
        target.read_back(piece.start, kept).map_err(Trouble::Read)?;
        if wanted != kept {
            let same = wanted.iter().zip(kept.iter()).take_while(|(one, other)| one == other).count();
            return Err(Trouble::Different(piece.start + same as u64));
        }
    }
    go_on(image.length());
    Ok(())
}

#[cfg(test)]
mod tests;
