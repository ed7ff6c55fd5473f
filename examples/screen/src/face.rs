//! The face of a clock: a function of the time since 1970.

use std::time::Duration;

use solum::screen::Image;

use crate::canvas::{Canvas, Color, Point, mix, point};
use crate::lettering::{Pen, write_centered};

const DAY_SECONDS: u64 = 86_400;
const WALL: Color = 0x001a_1d29;
const WALL_BELOW: Color = 0x000d_0e15;
const RIM: Color = 0x00c9_a66b;
const RIM_DARK: Color = 0x006b_5230;
const PAPER: Color = 0x00f6_f1e4;
const INK: Color = 0x0024_2733;
const RED: Color = 0x00d6_3a2f;
const FAINT: Color = 0x008a_8678;

/// Where the hands point, in turns from twelve o'clock.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hands {
    /// The short one.
    pub hour: f32,
    /// The long one.
    pub minute: f32,
    /// The thin one.
    pub second: f32,
}

/// How long the second hand swings after each second.
const SWING: Duration = Duration::from_millis(400);

/// Where the hands point at this time since 1970-01-01 00:00 UTC.
pub fn hands(wall: Duration) -> Hands {
    let seconds = wall.as_secs() % DAY_SECONDS;
    let share = wall.subsec_nanos() as f32 / SWING.as_nanos() as f32;
    // It springs on and swings a little beyond, as in a station.
    let swung = if share >= 1.0 { 1.0 } else { 1.0 - (-6.0 * share).exp() * (share * 14.0).cos() };
    let second = (seconds % 60) as f32 - 1.0 + swung;
    Hands {
        hour: (seconds % (DAY_SECONDS / 2)) as f32 / (DAY_SECONDS / 2) as f32,
        minute: (seconds % 3600) as f32 / 3600.0,
        second: second / 60.0,
    }
}

/// How long the face stays as it is at this time.
pub fn rest(wall: Duration) -> Duration {
    let passed = Duration::from_nanos(u64::from(wall.subsec_nanos()));
    if passed < SWING { Duration::ZERO } else { Duration::from_secs(1) - passed }
}

/// The date, as `SAT 21 NOV 2026`.
pub fn date(wall: Duration) -> String {
    const MONTHS: [&str; 12] =
        ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
    // 1970-01-01 was a Thursday.
    const WEEKDAYS: [&str; 7] = ["THU", "FRI", "SAT", "SUN", "MON", "TUE", "WED"];
    let days = wall.as_secs() / DAY_SECONDS;
    let weekday = WEEKDAYS[(days % 7) as usize];
    let (mut year, mut day) = (1970, days);
    while day >= days_of_year(year) {
        day -= days_of_year(year);
        year += 1;
    }
    let mut month = 0;
    while day >= days_of_month(year, month) {
        day -= days_of_month(year, month);
        month += 1;
    }
    format!("{weekday} {:02} {} {year}", day + 1, MONTHS[month])
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400)
}

fn days_of_year(year: u64) -> u64 {
    if is_leap(year) { 366 } else { 365 }
}

fn days_of_month(year: u64, month: usize) -> u64 {
    match month {
        1 if is_leap(year) => 29,
        1 => 28,
        3 | 5 | 8 | 10 => 30,
        _ => 31,
    }
}

/// The pictures of a clock on a screen of a certain size.
pub struct Face {
    /// What never changes.
    dial: Image,
    middle: Point,
    radius: f32,
}

impl Face {
    /// A face as large as this picture.
    pub fn new(mut image: Image) -> Self {
        let (width, height) = (image.width() as f32, image.height() as f32);
        let middle = point(width / 2.0, height / 2.0);
        let radius = width.min(height) * 0.43;
        let mut canvas = Canvas::new(&mut image);
        canvas.gradient(WALL, WALL_BELOW);
        canvas.glow(point(middle.x, middle.y + radius * 0.12), radius * 1.35, 0, 1.0);
        rim(&mut canvas, middle, radius);
        for minute in 0..60 {
            tick(&mut canvas, middle, radius, minute);
        }
        let height = radius * 0.1;
        let pen = Pen { height, thickness: height * 0.16, color: INK };
        for hour in 1..=12_u8 {
            let at = middle.polar(f32::from(hour) / 12.0, radius * 0.7);
            write_centered(&mut canvas, &hour.to_string(), at, pen);
        }
        let small = Pen { height: radius * 0.05, thickness: radius * 0.007, color: FAINT };
        write_centered(&mut canvas, "SOLUM", point(middle.x, middle.y - radius * 0.34), small);
        Self { dial: image, middle, radius }
    }

    /// Draws the face at a time.
    pub fn draw(&self, image: &mut Image, wall: Duration) {
        image.pixels_mut().copy_from_slice(self.dial.pixels());
        let (middle, radius) = (self.middle, self.radius);
        let mut canvas = Canvas::new(image);
        let small = Pen { height: radius * 0.055, thickness: radius * 0.01, color: FAINT };
        write_centered(&mut canvas, &date(wall), point(middle.x, middle.y + radius * 0.34), small);
        write_centered(&mut canvas, "UTC", point(middle.x, middle.y + radius * 0.45), small);
        let hands = hands(wall);
        // Each hand lies above the last, and its shadow deeper.
        for (turns, length, thickness, color, depth) in [
            (hands.hour, 0.5, 0.06, INK, 0.012),
            (hands.minute, 0.76, 0.042, INK, 0.02),
            (hands.second, 0.82, 0.014, RED, 0.028),
        ] {
            let shadow = point(middle.x + radius * depth, middle.y + radius * depth);
            self.hand(&mut canvas, shadow, turns, (length, thickness), mix(PAPER, INK, 0.18));
            self.hand(&mut canvas, middle, turns, (length, thickness), color);
        }
        canvas.disc(middle, radius * 0.045, RED);
        canvas.disc(middle, radius * 0.016, PAPER);
    }

    fn hand(
        &self,
        canvas: &mut Canvas<'_>,
        from: Point,
        turns: f32,
        (length, thickness): (f32, f32),
        color: Color,
    ) {
        let thickness = (thickness * self.radius, thickness * self.radius * 0.6);
        let (back, tip) =
            (from.polar(turns + 0.5, self.radius * 0.14), from.polar(turns, self.radius * length));
        canvas.taper(back, tip, thickness, color);
    }
}

fn rim(canvas: &mut Canvas<'_>, middle: Point, radius: f32) {
    canvas.disc(middle, radius * 1.075, RIM_DARK);
    canvas.disc(point(middle.x, middle.y - radius * 0.006), radius * 1.06, RIM);
    canvas.disc(point(middle.x, middle.y + radius * 0.006), radius * 1.012, RIM_DARK);
    canvas.disc(middle, radius, PAPER);
    canvas.glow(point(middle.x - radius * 0.2, middle.y - radius * 0.3), radius * 1.1, 0x00ff_ffff, 0.6);
}

fn tick(canvas: &mut Canvas<'_>, middle: Point, radius: f32, minute: u8) {
    let is_hour = minute.is_multiple_of(5);
    let (inner, thickness, color) = if is_hour { (0.82, 0.024, INK) } else { (0.89, 0.008, FAINT) };
    let turns = f32::from(minute) / 60.0;
    canvas.line(
        middle.polar(turns, radius * inner),
        middle.polar(turns, radius * 0.93),
        radius * thickness,
        color,
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hour: u64, minute: u64, second: u64, ms: u64) -> Duration {
        Duration::from_millis(((hour * 60 + minute) * 60 + second) * 1000 + ms)
    }

    #[test]
    fn hands_point_where_they_do_on_a_wall() {
        let hands = hands(at(15, 30, 45, 500));
        assert!((hands.hour - (3.5 * 3600.0 + 45.0) / 43_200.0).abs() < 1e-5);
        assert!((hands.minute - 1845.0 / 3600.0).abs() < 1e-5);
        assert!((hands.second - 0.75).abs() < 1e-5);
    }

    #[test]
    fn the_second_hand_springs_on_at_each_second_and_then_rests() {
        assert!((hands(at(0, 0, 10, 0)).second - 9.0 / 60.0).abs() < 1e-5);
        assert!(hands(at(0, 0, 10, 90)).second > 10.0 / 60.0);
        assert_eq!(hands(at(0, 0, 10, 400)).second, hands(at(0, 0, 10, 999)).second);
        assert_eq!(rest(at(0, 0, 10, 399)), Duration::ZERO);
        assert_eq!(rest(at(0, 0, 10, 400)), Duration::from_millis(600));
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (days, expected) in [
            (0, "THU 01 JAN 1970"),
            (11_016, "TUE 29 FEB 2000"),
            (20_778, "SAT 21 NOV 2026"),
            (47_540, "SUN 28 FEB 2100"),
            (47_541, "MON 01 MAR 2100"),
        ] {
            assert_eq!(date(Duration::from_secs(days * DAY_SECONDS + DAY_SECONDS - 1)), expected);
        }
    }
}
