//! Letters drawn with a round pen.

use crate::canvas::{Canvas, Color, Point, point};

/// The strokes of a character, on a grid of 4 by 6: a point is its two coordinates, a comma lifts the pen.
fn strokes(character: char) -> &'static str {
    match character {
        'A' => "06 02 20 42 46,04 44",
        'B' => "03 33 42 41 30 00 06 36 45 44 33",
        'C' => "41 30 10 01 05 16 36 45",
        'D' => "00 06 26 44 42 20 00",
        'E' => "40 00 06 46,03 33",
        'F' => "40 00 06,03 33",
        'G' => "41 30 10 01 05 16 36 45 43 23",
        'H' => "00 06,40 46,03 43",
        'I' => "10 30,20 26,16 36",
        'J' => "40 45 36 16 05",
        'K' => "00 06,40 03 46",
        'L' => "00 06 46",
        'M' => "06 00 23 40 46",
        'N' => "06 00 46 40",
        'O' | '0' => "10 30 41 45 36 16 05 01 10",
        'P' => "06 00 30 41 42 33 03",
        'Q' => "10 30 41 45 36 16 05 01 10,24 46",
        'R' => "06 00 30 41 42 33 03,23 46",
        'S' => "41 30 10 01 02 13 33 44 45 36 16 05",
        'T' => "00 40,20 26",
        'U' => "00 05 16 36 45 40",
        'V' => "00 26 40",
        'W' => "00 16 22 36 40",
        'X' => "00 46,40 06",
        'Y' => "00 23 40,23 26",
        'Z' => "00 40 06 46",
        '1' => "11 20 26,16 36",
        '2' => "01 10 30 41 42 06 46",
        '3' => "01 10 30 41 42 33 13,33 44 45 36 16 05",
        '4' => "36 30 04 44",
        '5' => "40 00 03 33 44 45 36 16 05",
        '6' => "30 10 01 05 16 36 45 44 33 03",
        '7' => "00 40 16",
        '8' => "13 02 01 10 30 41 42 33 13 04 05 16 36 45 44 33",
        '9' => "43 13 02 01 10 30 41 45 36 16",
        ':' => "22 22,24 24",
        '.' => "26 26",
        '!' => "20 24,26 26",
        '-' => "13 33",
        _ => "",
    }
}

/// How high, how thick and in which color.
#[derive(Clone, Copy, Debug)]
pub struct Pen {
    /// The height of a capital letter.
    pub height: f32,
    /// The thickness of a stroke.
    pub thickness: f32,
    /// The color.
    pub color: Color,
}

/// From the left edge of a character to that of the next, and the width of a character, in heights.
const ADVANCE: f32 = 0.95;
const WIDTH: f32 = 4.0 / 6.0;

/// How wide a text becomes.
pub fn width(text: &str, pen: Pen) -> f32 {
    ((text.chars().count() as f32 - 1.0) * ADVANCE + WIDTH) * pen.height
}

/// Writes a text with its upper left corner here.
pub fn write(canvas: &mut Canvas<'_>, text: &str, corner: Point, pen: Pen) {
    for (place, character) in text.chars().enumerate() {
        let left = corner.x + place as f32 * ADVANCE * pen.height;
        for stroke in strokes(character.to_ascii_uppercase()).split(',') {
            let points: Vec<Point> = stroke.split_whitespace().filter_map(grid).collect();
            let placed =
                |at: &Point| point(left + at.x * pen.height / 6.0, corner.y + at.y * pen.height / 6.0);
            for pair in points.windows(2) {
                canvas.line(placed(&pair[0]), placed(&pair[1]), pen.thickness, pen.color);
            }
        }
    }
}

/// Writes a text in the middle of a line that has its middle here.
pub fn write_centered(canvas: &mut Canvas<'_>, text: &str, middle: Point, pen: Pen) {
    let corner = point(middle.x - width(text, pen) / 2.0, middle.y - pen.height / 2.0);
    write(canvas, text, corner, pen);
}

fn grid(pair: &str) -> Option<Point> {
    let mut digits = pair.chars().filter_map(|digit| digit.to_digit(10));
    Some(point(digits.next()? as f32, digits.next()? as f32))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_letter_and_every_digit_has_strokes_within_the_grid() {
        for character in ('A'..='Z').chain('0'..='9').chain(":.!-".chars()) {
            let strokes = strokes(character);
            assert!(!strokes.is_empty(), "{character}");
            for pair in strokes.split([',', ' ']) {
                let at = grid(pair).unwrap();
                assert!(pair.len() == 2 && at.x <= 4.0 && at.y <= 6.0, "{character}: {pair}");
            }
        }
    }
}
