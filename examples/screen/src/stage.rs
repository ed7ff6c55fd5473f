//! How a game looks.

use solum::screen::Image;

use crate::canvas::{Canvas, Color, Point, mix, point};
use crate::lettering::{Pen, width, write, write_centered};
use crate::snake::{Cell, Direction, Game, HEIGHT, State, WIDTH};

const NIGHT: Color = 0x000b_1026;
const DUSK: Color = 0x0021_1a3f;
const BOARD: Color = 0x0013_1a38;
const LIGHT_CELL: Color = 0x0017_1f42;
const FRAME: Color = 0x0035_3f78;
const PAPER: Color = 0x00e8_ecff;
const FADED: Color = 0x0083_8bc0;
const HEAD: Color = 0x006d_f5c1;
const TAIL: Color = 0x001f_7fb8;
const APPLE: Color = 0x00ff_5d73;
const LEAF: Color = 0x007d_d66b;
/// Pieces of the snake from one cell to the next.
const PIECES: usize = 6;

/// The pictures of a game on a screen of a certain size.
pub struct Stage {
    /// What never changes.
    background: Image,
    cell: f32,
    corner: Point,
}

impl Stage {
    /// A stage as large as this picture.
    pub fn new(mut image: Image) -> Self {
        let (width, height) = (image.width() as f32, image.height() as f32);
        let cell = (width * 0.94 / WIDTH as f32).min(height * 0.84 / HEIGHT as f32).floor();
        let board = point(cell * WIDTH as f32, cell * HEIGHT as f32);
        let corner = point(((width - board.x) / 2.0).floor(), (height - board.y - cell).floor());
        let mut canvas = Canvas::new(&mut image);
        canvas.gradient(NIGHT, DUSK);
        canvas.glow(point(width / 2.0, height * 1.1), width * 0.8, 0x005b_3f9e, 0.5);
        let rim = cell * 0.22;
        let outside = point(corner.x - rim, corner.y - rim);
        canvas.panel(outside, point(board.x + 2.0 * rim, board.y + 2.0 * rim), cell * 0.5, FRAME, 1.0);
        canvas.panel(corner, board, cell * 0.3, BOARD, 1.0);
        let margin = cell * 0.04;
        for (x, y) in (0..HEIGHT).flat_map(|y| (0..WIDTH).map(move |x| (x, y))) {
            if (x + y) % 2 == 0 {
                let at = point(corner.x + x as f32 * cell + margin, corner.y + y as f32 * cell + margin);
                let size = cell - 2.0 * margin;
                canvas.panel(at, point(size, size), cell * 0.18, LIGHT_CELL, 1.0);
            }
        }
        Self { background: image, cell, corner }
    }

    /// Draws a game. `share` of the current step has passed, and `seconds` in all; `best` is the most apples so far.
    pub fn draw(&self, image: &mut Image, game: &Game, share: f32, seconds: f32, best: u32) {
        image.pixels_mut().copy_from_slice(self.background.pixels());
        let mut canvas = Canvas::new(image);
        if let Some(apple) = game.apple() {
            self.apple(&mut canvas, self.middle(apple), seconds);
        }
        self.snake(&mut canvas, game, if game.state() == State::Playing { share } else { 1.0 });
        self.scores(&mut canvas, game.score(), best);
        match game.state() {
            State::Ready => self.message(&mut canvas, "SNAKE", "PRESS AN ARROW TO BEGIN"),
            State::Over if game.apple().is_none() => {
                self.message(&mut canvas, "YOU WIN!", "SPACE FOR ANOTHER GAME")
            }
            State::Over => self.message(&mut canvas, "GAME OVER", "SPACE FOR ANOTHER GAME"),
            State::Playing => {}
        }
    }

    fn middle(&self, cell: Cell) -> Point {
        let at = |start: f32, place: i32| start + (place as f32 + 0.5) * self.cell;
        point(at(self.corner.x, cell.x), at(self.corner.y, cell.y))
    }

    fn apple(&self, canvas: &mut Canvas<'_>, at: Point, seconds: f32) {
        let size = self.cell * (0.36 + 0.03 * (seconds * 4.0).sin());
        canvas.glow(at, self.cell * 1.7, APPLE, 0.35);
        canvas.disc(point(at.x, at.y + self.cell * 0.05), size, APPLE);
        canvas.glow(point(at.x - size * 0.35, at.y - size * 0.3), size * 0.7, 0x00ff_ffff, 0.75);
        let stalk = point(at.x + self.cell * 0.04, at.y - size * 0.75);
        let tip = point(stalk.x + self.cell * 0.2, stalk.y - self.cell * 0.13);
        canvas.taper(stalk, tip, (self.cell * 0.06, self.cell * 0.14), LEAF);
    }

    fn snake(&self, canvas: &mut Canvas<'_>, game: &Game, share: f32) {
        let cells: Vec<Point> = game.body().map(|cell| self.middle(cell)).collect();
        let Some((head, neck)) = cells.first().zip(cells.get(1)) else { return };
        // The head is on its way from the neck, the tail on its way from the cell that it left.
        let head = neck.towards(*head, share);
        let tail = cells.last().map(|tail| self.middle(game.left()).towards(*tail, share));
        let path: Vec<Point> =
            std::iter::once(head).chain(cells.iter().skip(1).copied()).chain(tail).collect();
        let last = (path.len() - 1).max(1) as f32;
        let thickness = |place: f32| self.cell * (0.78 - 0.3 * (place / last).powi(2));
        canvas.glow(head, self.cell * 2.2, HEAD, 0.22);
        for (place, pair) in path.windows(2).enumerate().rev() {
            // Short pieces, so that the color changes as smoothly as the thickness.
            for piece in (0..PIECES).rev() {
                let [from, to] = [piece, piece + 1].map(|end| end as f32 / PIECES as f32);
                let along = |share: f32| (pair[0].towards(pair[1], share), place as f32 + share);
                let ((start, from), (end, to)) = (along(from), along(to));
                canvas.taper(start, end, (thickness(from), thickness(to)), mix(HEAD, TAIL, from / last));
            }
        }
        self.eyes(canvas, head, game);
    }

    fn eyes(&self, canvas: &mut Canvas<'_>, head: Point, game: &Game) {
        let turns = match game.direction() {
            Direction::Up => 0.0,
            Direction::Right => 0.25,
            Direction::Down => 0.5,
            Direction::Left => 0.75,
        };
        for side in [-0.12, 0.12] {
            let eye = head.polar(turns + side, self.cell * 0.26);
            canvas.disc(eye, self.cell * 0.13, 0x00ff_ffff);
            if game.state() == State::Over {
                canvas.line(eye, eye.polar(turns + 0.25, self.cell * 0.08), self.cell * 0.09, NIGHT);
            } else {
                canvas.disc(eye.polar(turns, self.cell * 0.05), self.cell * 0.07, NIGHT);
            }
        }
    }

    fn scores(&self, canvas: &mut Canvas<'_>, score: u32, best: u32) {
        let height = self.cell * 0.72;
        let bright = Pen { height, thickness: height * 0.17, color: PAPER };
        let faded = Pen { color: FADED, thickness: height * 0.12, ..bright };
        let top = (self.corner.y - self.cell * 0.22 - height) / 2.0;
        write(canvas, "APPLES", point(self.corner.x, top), faded);
        let after = self.corner.x + width("APPLES ", faded);
        write(canvas, &score.to_string(), point(after + height * 0.4, top), bright);
        let (label, number) = ("BEST ", best.max(score).to_string());
        let right = self.corner.x + self.cell * WIDTH as f32;
        let start = right - width(&number, bright);
        write(canvas, &number, point(start, top), bright);
        write(canvas, label, point(start - width(label, faded) - height * 0.6, top), faded);
    }

    fn message(&self, canvas: &mut Canvas<'_>, title: &str, hint: &str) {
        let middle = point(
            self.corner.x + self.cell * WIDTH as f32 / 2.0,
            self.corner.y + self.cell * HEIGHT as f32 * 0.3,
        );
        let size = point(self.cell * 17.0, self.cell * 5.4);
        let corner = point(middle.x - size.x / 2.0, middle.y - size.y / 2.0);
        canvas.panel(corner, size, self.cell * 0.7, NIGHT, 0.86);
        let height = self.cell * 1.5;
        let title_pen = Pen { height, thickness: height * 0.17, color: HEAD };
        write_centered(canvas, title, point(middle.x, middle.y - self.cell * 0.75), title_pen);
        let height = self.cell * 0.5;
        let hint_pen = Pen { height, thickness: height * 0.15, color: PAPER };
        write_centered(canvas, hint, point(middle.x, middle.y + self.cell * 1.35), hint_pen);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snake_is_drawn_between_the_cells_of_two_steps() {
        let stage = Stage::new(Image::new(520, 400));
        let mut game = Game::new(7);
        game.turn(Direction::Right);
        game.step();
        let drawn = |share| {
            let mut image = Image::new(520, 400);
            stage.draw(&mut image, &game, share, 0.0, 0);
            image
        };
        assert_eq!(drawn(0.5), drawn(0.5));
        assert_ne!(drawn(0.0), drawn(0.5));
        assert_ne!(drawn(0.5), drawn(1.0));
    }
}
