//! Shapes with smooth edges.
//!
//! Every shape is a signed distance: how far a point is outside of it. A pixel that the edge crosses is covered in part.

use solum::screen::Image;

/// A color, `0x00RRGGBB`.
pub type Color = u32;

/// A place in a picture, in pixels from its upper left corner.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// To the right.
    pub x: f32,
    /// Down.
    pub y: f32,
}

/// A place in a picture.
pub const fn point(x: f32, y: f32) -> Point {
    Point { x, y }
}

impl Point {
    /// The place this far away, clockwise from straight up, in turns.
    #[must_use]
    pub fn polar(self, turns: f32, length: f32) -> Self {
        let (sine, cosine) = (turns * std::f32::consts::TAU).sin_cos();
        point(self.x + sine * length, self.y - cosine * length)
    }

    /// The place on the way to another: 0 is here, 1 is there.
    #[must_use]
    pub fn towards(self, other: Self, share: f32) -> Self {
        point(self.x + (other.x - self.x) * share, self.y + (other.y - self.y) * share)
    }

    fn distance(self, other: Self) -> f32 {
        (self.x - other.x).hypot(self.y - other.y)
    }
}

/// A color between two: 0 is the first, 1 the second.
pub fn mix(first: Color, second: Color, share: f32) -> Color {
    let share = (share.clamp(0.0, 1.0) * 256.0) as u32;
    [0, 8, 16].iter().fold(0, |mixed, shift| {
        let (first, second) = (first >> shift & 0xff, second >> shift & 0xff);
        mixed | (first * (256 - share) + second * share) >> 8 << shift
    })
}

/// Draws into a picture.
pub struct Canvas<'a> {
    image: &'a mut Image,
}

impl<'a> Canvas<'a> {
    /// Draws into this picture.
    pub fn new(image: &'a mut Image) -> Self {
        Self { image }
    }

    /// One color above, another below, and what is between them in between.
    pub fn gradient(&mut self, above: Color, below: Color) {
        let (width, height) = (self.image.width() as usize, self.image.height().max(1));
        for (y, line) in self.image.pixels_mut().chunks_exact_mut(width.max(1)).enumerate() {
            line.fill(mix(above, below, y as f32 / height as f32));
        }
    }

    /// A full circle.
    pub fn disc(&mut self, center: Point, radius: f32, color: Color) {
        self.cover(bounds(&[center], radius), color, |place| cover(place.distance(center) - radius));
    }

    /// A circle's line.
    pub fn ring(&mut self, center: Point, radius: f32, thickness: f32, color: Color) {
        self.cover(bounds(&[center], radius + thickness), color, |place| {
            cover((place.distance(center) - radius).abs() - thickness / 2.0)
        });
    }

    /// A straight line with round ends.
    pub fn line(&mut self, from: Point, to: Point, thickness: f32, color: Color) {
        self.taper(from, to, (thickness, thickness), color);
    }

    /// A line with round ends that becomes thinner, or thicker.
    pub fn taper(&mut self, from: Point, to: Point, thickness: (f32, f32), color: Color) {
        let (dx, dy) = (to.x - from.x, to.y - from.y);
        let square = (dx * dx + dy * dy).max(f32::EPSILON);
        self.cover(bounds(&[from, to], thickness.0.max(thickness.1)), color, |place| {
            let share = (((place.x - from.x) * dx + (place.y - from.y) * dy) / square).clamp(0.0, 1.0);
            let radius = (thickness.0 + (thickness.1 - thickness.0) * share) / 2.0;
            cover(place.distance(from.towards(to, share)) - radius)
        });
    }

    /// A rectangle with round corners.
    pub fn panel(&mut self, corner: Point, size: Point, radius: f32, color: Color, opacity: f32) {
        let opposite = point(corner.x + size.x, corner.y + size.y);
        let middle = corner.towards(opposite, 0.5);
        self.cover(bounds(&[corner, opposite], 0.0), color, |place| {
            let x = (place.x - middle.x).abs() - size.x / 2.0 + radius;
            let y = (place.y - middle.y).abs() - size.y / 2.0 + radius;
            let outside = x.max(0.0).hypot(y.max(0.0)) + x.max(y).min(0.0);
            cover(outside - radius) * opacity
        });
    }

    /// Light that fades out.
    pub fn glow(&mut self, center: Point, radius: f32, color: Color, strength: f32) {
        self.cover(bounds(&[center], radius), color, |place| {
            let share = (1.0 - place.distance(center) / radius).max(0.0);
            share * share * strength
        });
    }

    /// Mixes a color into each pixel as far as it is covered.
    fn cover(&mut self, (from, to): (Point, Point), color: Color, covered: impl Fn(Point) -> f32) {
        let (width, height) = (self.image.width(), self.image.height());
        let within = |value: f32, end: u32| value.clamp(0.0, end as f32) as usize;
        let (left, right) = (within(from.x, width), within(to.x, width));
        let (top, bottom) = (within(from.y, height), within(to.y, height));
        for y in top..bottom {
            let line = &mut self.image.pixels_mut()[y * width as usize..][left..right];
            for (x, pixel) in (left..).zip(line) {
                let share = covered(point(x as f32 + 0.5, y as f32 + 0.5));
                if share > 0.0 {
                    *pixel = mix(*pixel, color, share);
                }
            }
        }
    }
}

/// How much of a pixel is covered by a shape of which the edge is this far from the pixel's middle.
fn cover(distance: f32) -> f32 {
    (0.5 - distance).clamp(0.0, 1.0)
}

fn bounds(points: &[Point], margin: f32) -> (Point, Point) {
    let least = |of: fn(&Point) -> f32| points.iter().map(of).fold(f32::INFINITY, f32::min) - margin - 1.0;
    let most = |of: fn(&Point) -> f32| points.iter().map(of).fold(f32::NEG_INFINITY, f32::max) + margin + 2.0;
    (point(least(|at| at.x), least(|at| at.y)), point(most(|at| at.x), most(|at| at.y)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mixed_color_lies_between_the_two() {
        assert_eq!(mix(0x00ff_0000, 0x0000_00ff, 0.0), 0x00ff_0000);
        assert_eq!(mix(0x00ff_0000, 0x0000_00ff, 1.0), 0x0000_00ff);
        assert_eq!(mix(0, 0x00ff_ffff, 0.5), 0x007f_7f7f);
    }

    #[test]
    fn a_disc_is_full_inside_smooth_at_its_edge_and_nothing_outside() {
        let mut image = Image::new(20, 20);
        Canvas::new(&mut image).disc(point(10.0, 10.0), 5.0, 0x00ff_ffff);
        let at = |x: usize, y: usize| image.pixels()[y * 20 + x];
        assert_eq!((at(10, 10), at(2, 10)), (0x00ff_ffff, 0));
        assert!(image.pixels().iter().any(|pixel| *pixel != 0 && *pixel != 0x00ff_ffff));
    }

    #[test]
    fn what_lies_outside_of_the_picture_is_left_out() {
        let mut image = Image::new(4, 4);
        let mut canvas = Canvas::new(&mut image);
        canvas.disc(point(-50.0, 2.0), 10.0, 1);
        canvas.line(point(-9.0, -9.0), point(90.0, 90.0), 2.0, 0x00ff_ffff);
        assert_eq!(image.pixels()[0], 0x00ff_ffff);
    }
}
