//! Pictures in files, to compare with.

use std::fmt;
use std::fs;
use std::io::{BufWriter, Cursor};
use std::path::{Path, PathBuf};

use solum::screen::Image;

/// Why a picture is not that of the file.
#[derive(Debug)]
pub(super) struct Difference {
    file: PathBuf,
    written: Result<PathBuf, String>,
    why: Why,
}

#[derive(Debug)]
enum Why {
    Missing,
    Unreadable(String),
    Size { file: (u32, u32), shown: (u32, u32) },
    Pixels { count: usize, of: usize, left: u32, top: u32, right: u32, bottom: u32, first: (u32, u32) },
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.display();
        match &self.why {
            Why::Missing => write!(f, "there is no picture {file} yet")?,
            Why::Unreadable(why) => write!(f, "the picture {file} cannot be read: {why}")?,
            Why::Size { file: (width, height), shown: (shown_width, shown_height) } => write!(
                f,
                "the picture has {shown_width}x{shown_height} pixels, and that of {file} has {width}x{height}"
            )?,
            Why::Pixels { count, of, left, top, right, bottom, first: (expected, found) } => write!(
                f,
                "the picture is not that of {file}: {count} of {of} pixels differ, all of them between ({left}, {top}) and \
                 ({right}, {bottom}); the first is {found:#08x} and not {expected:#08x}"
            )?,
        }
        match &self.written {
            Ok(new) => write!(f, "\nthe new picture is {}: look at it", new.display())?,
            Err(why) => write!(f, "\nthe new picture could not be written: {why}")?,
        }
        // Cargo says to a test whose it is; other packages have other things that would be accepted too.
        let package = std::env::var("CARGO_PKG_NAME").map(|name| format!(" -p {name}")).unwrap_or_default();
        write!(f, "\nhint: if it is as it should be, accept it: SOLUM_BLESS=1 cargo test{package}")
    }
}

/// Compares, and writes what it found beside the file; or writes the file, if that is to be.
pub(super) fn compare(image: &Image, file: &Path, is_blessing: bool) -> Result<(), Difference> {
    let fresh = file.with_extension("new.png");
    if is_blessing {
        let failed = |why| Difference { file: file.to_owned(), written: Err(why), why: Why::Missing };
        write(image, file).map_err(failed)?;
    } else if let Some(why) = look(image, file) {
        let written = write(image, &fresh).map(|()| fresh);
        return Err(Difference { file: file.to_owned(), written, why });
    }
    // What is left of an earlier failure is not new any more; it may also never have been there.
    let _ = fs::remove_file(fresh);
    Ok(())
}

fn look(image: &Image, file: &Path) -> Option<Why> {
    let bytes = match fs::read(file) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Some(Why::Missing),
        Err(error) => return Some(Why::Unreadable(error.to_string())),
    };
    match decode(&bytes) {
        Ok(expected) => differ(&expected, image),
        Err(error) => Some(Why::Unreadable(error)),
    }
}

/// What is different.
fn differ(expected: &Image, image: &Image) -> Option<Why> {
    let size = |image: &Image| (image.width(), image.height());
    if size(expected) != size(image) {
        return Some(Why::Size { file: size(expected), shown: size(image) });
    }
    // The uppermost byte of a pixel is nothing that can be seen.
    let color = |pixel: &u32| pixel & 0x00ff_ffff;
    let pairs = expected.pixels().iter().map(color).zip(image.pixels().iter().map(color));
    let different: Vec<_> = pairs.enumerate().filter(|(_, (expected, found))| expected != found).collect();
    let (_, first) = *different.first()?;
    let columns = || different.iter().map(|(index, _)| *index as u32 % image.width());
    let lines = || different.iter().map(|(index, _)| *index as u32 / image.width());
    Some(Why::Pixels {
        count: different.len(),
        of: image.pixels().len(),
        left: columns().min()?,
        top: lines().min()?,
        right: columns().max()?,
        bottom: lines().max()?,
        first,
    })
}

fn decode(bytes: &[u8]) -> Result<Image, String> {
    let mut decoder = png::Decoder::new(Cursor::new(bytes));
    decoder.set_transformations(png::Transformations::normalize_to_color8());
    let mut reader = decoder.read_info().map_err(|error| error.to_string())?;
    let size = reader.output_buffer_size().ok_or("it is too large")?;
    let mut bytes = vec![0; size];
    let info = reader.next_frame(&mut bytes).map_err(|error| error.to_string())?;
    let (samples, of_color) = (info.color_type.samples(), info.color_type.samples() >= 3);
    let mut image = Image::new(info.width, info.height);
    for (pixel, bytes) in image.pixels_mut().iter_mut().zip(bytes.chunks_exact(samples)) {
        let [red, green, blue] =
            if of_color { [bytes[0], bytes[1], bytes[2]] } else { [bytes[0], bytes[0], bytes[0]] };
        *pixel = u32::from_be_bytes([0, red, green, blue]);
    }
    Ok(image)
}

fn encode(image: &Image) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(BufWriter::new(&mut bytes), image.width(), image.height());
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let colors = |pixel: &u32| {
        let [_, red, green, blue] = pixel.to_be_bytes();
        [red, green, blue]
    };
    let data: Vec<u8> = image.pixels().iter().flat_map(colors).collect();
    let mut writer = encoder.write_header().map_err(|error| error.to_string())?;
    writer.write_image_data(&data).map_err(|error| error.to_string())?;
    writer.finish().map_err(|error| error.to_string())?;
    Ok(bytes)
}

fn write(image: &Image, file: &Path) -> Result<(), String> {
    if let Some(directory) = file.parent() {
        fs::create_dir_all(directory).map_err(|error| error.to_string())?;
    }
    fs::write(file, encode(image)?).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture() -> Image {
        let mut image = Image::new(20, 10);
        image.fill(2, 3, 4, 5, 0x12_34_56);
        image
    }

    #[test]
    fn a_picture_is_compared_kept_beside_and_accepted() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("pictures/a.png");
        let fresh = directory.path().join("pictures/a.new.png");
        let missing = compare(&picture(), &file, false).unwrap_err().to_string();
        assert!(missing.starts_with("there is no picture ") && missing.contains("SOLUM_BLESS=1 cargo test"));
        assert!(fresh.exists() && !file.exists());
        compare(&picture(), &file, true).unwrap();
        assert!(file.exists() && !fresh.exists());
        compare(&picture(), &file, false).unwrap();

        let mut other = picture();
        other.set(7, 4, 0xff_00_00);
        other.set(9, 8, 0xff_00_00);
        let text = compare(&other, &file, false).unwrap_err().to_string();
        let said = "2 of 200 pixels differ, all of them between (7, 4) and (9, 8); the first is 0xff0000 and not 0x000000";
        assert!(text.contains(said) && text.contains("a.new.png: look at it"), "{text}");
        assert_eq!(decode(&fs::read(&fresh).unwrap()).unwrap(), other);

        let text = compare(&Image::new(5, 6), &file, false).unwrap_err().to_string();
        assert!(text.contains("has 5x6 pixels, and that of ") && text.contains("has 20x10"), "{text}");
        compare(&picture(), &file, false).unwrap();
        assert!(!fresh.exists(), "what is as it should be leaves nothing beside");
        fs::write(&file, "no picture").unwrap();
        assert!(compare(&picture(), &file, false).unwrap_err().to_string().contains("cannot be read"));
    }
}
