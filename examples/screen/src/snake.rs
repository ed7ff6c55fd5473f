//! The game: a snake grows with every apple, and must not meet itself or a wall.
//!
//! A game is a function of its seed and of what was pressed between which steps; it knows no time and no screen.

use std::collections::VecDeque;

/// Cells in a line of the board.
pub const WIDTH: i32 = 26;
/// Lines of the board.
pub const HEIGHT: i32 = 18;
/// How many turns are remembered that were pressed faster than the snake takes them.
const TURNS_MAX: usize = 2;

/// A cell of the board.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    /// To the right.
    pub x: i32,
    /// Down.
    pub y: i32,
}

/// A cell of the board.
pub const fn cell(x: i32, y: i32) -> Cell {
    Cell { x, y }
}

/// Where the snake goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// To lesser lines.
    Up,
    /// To greater lines.
    Down,
    /// To lesser columns.
    Left,
    /// To greater columns.
    Right,
}

impl Direction {
    fn from(self, cell: Cell) -> Cell {
        let (x, y) = match self {
            Self::Up => (0, -1),
            Self::Down => (0, 1),
            Self::Left => (-1, 0),
            Self::Right => (1, 0),
        };
        Cell { x: cell.x + x, y: cell.y + y }
    }

    fn is_along(self, other: Self) -> bool {
        let is_upright = |direction| matches!(direction, Self::Up | Self::Down);
        is_upright(self) == is_upright(other)
    }
}

/// How a game stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It begins with the first turn.
    Ready,
    /// It goes on with every step.
    Playing,
    /// The snake met a wall or itself, or fills the board.
    Over,
}

/// A game.
#[derive(Clone, Debug)]
pub struct Game {
    /// The head first.
    body: VecDeque<Cell>,
    direction: Direction,
    turns: VecDeque<Direction>,
    apple: Option<Cell>,
    /// The cell that the tail left in the last step.
    left: Cell,
    state: State,
    random: u64,
}

impl Game {
    /// A new game; the seed says where apples grow.
    pub fn new(seed: u64) -> Self {
        let body: VecDeque<Cell> = (0..4).map(|back| cell(WIDTH / 2 - 2 - back, HEIGHT / 2)).collect();
        let left = cell(body[3].x - 1, body[3].y);
        let mut game = Self {
            body,
            direction: Direction::Right,
            turns: VecDeque::new(),
            apple: None,
            left,
            state: State::Ready,
            random: seed,
        };
        game.grow_apple();
        game
    }

    /// The snake, its head first.
    pub fn body(&self) -> impl ExactSizeIterator<Item = Cell> + DoubleEndedIterator {
        self.body.iter().copied()
    }

    /// The cell that the tail left in the last step: the tail itself, if the snake has just grown.
    pub fn left(&self) -> Cell {
        self.left
    }

    /// Where the snake goes.
    pub fn direction(&self) -> Direction {
        self.direction
    }

    /// The apple; none if the snake fills the board.
    pub fn apple(&self) -> Option<Cell> {
        self.apple
    }

    /// How the game stands.
    pub fn state(&self) -> State {
        self.state
    }

    /// Apples that were eaten.
    pub fn score(&self) -> u32 {
        self.body.len() as u32 - 4
    }

    /// How long a step takes: the more apples, the less.
    pub fn step_ms(&self) -> u64 {
        u64::from(150_u32.saturating_sub(self.score() * 3).max(60))
    }

    /// The player wants the snake to go there. It begins the game.
    pub fn turn(&mut self, direction: Direction) {
        if self.state == State::Over {
            return;
        }
        let last = self.turns.back().copied().unwrap_or(self.direction);
        if self.turns.len() < TURNS_MAX && !direction.is_along(last) {
            self.turns.push_back(direction);
        }
        // Back into itself is no way to begin.
        if !direction.is_along(self.direction) || direction == self.direction {
            self.state = State::Playing;
        }
    }

    /// The snake moves on by a cell.
    pub fn step(&mut self) {
        if self.state != State::Playing {
            return;
        }
        self.direction = self.turns.pop_front().unwrap_or(self.direction);
        let (Some(head), Some(tail)) = (self.body.front(), self.body.back().copied()) else { return };
        let next = self.direction.from(*head);
        let is_inside = (0..WIDTH).contains(&next.x) && (0..HEIGHT).contains(&next.y);
        // The tail leaves its cell in the same step.
        if !is_inside || self.body.contains(&next) && next != tail {
            self.state = State::Over;
            return;
        }
        self.body.push_front(next);
        self.left = tail;
        if self.apple == Some(next) {
            self.grow_apple();
        } else {
            self.body.pop_back();
        }
    }

    fn grow_apple(&mut self) {
        let board = (0..HEIGHT).flat_map(|y| (0..WIDTH).map(move |x| cell(x, y)));
        let free: Vec<Cell> = board.filter(|cell| !self.body.contains(cell)).collect();
        self.apple = match free.len() {
            0 => None,
            count => Some(free[(self.next_random() % count as u64) as usize]),
        };
        if self.apple.is_none() {
            self.state = State::Over;
        }
    }

    /// SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014).
    fn next_random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn playing() -> Game {
        let mut game = Game::new(1);
        game.turn(Direction::Right);
        game
    }

    fn head(game: &Game) -> Cell {
        game.body[0]
    }

    #[test]
    fn nothing_moves_before_the_first_turn() {
        let mut game = Game::new(1);
        let before = head(&game);
        game.step();
        game.turn(Direction::Left);
        game.step();
        assert_eq!((head(&game), game.state()), (before, State::Ready));
    }

    #[test]
    fn a_step_moves_every_cell_of_the_snake_on() {
        let mut game = playing();
        let before: Vec<Cell> = game.body().collect();
        game.apple = None;
        game.step();
        let after: Vec<Cell> = game.body().collect();
        assert_eq!(after[0], cell(before[0].x + 1, before[0].y));
        assert_eq!(after[1..], before[..3]);
        assert_eq!(game.left(), before[3]);
    }

    #[test]
    fn an_apple_makes_the_snake_longer_and_faster() {
        let mut game = playing();
        game.apple = Some(cell(head(&game).x + 1, head(&game).y));
        let slow = game.step_ms();
        game.step();
        assert_eq!((game.score(), game.body().len()), (1, 5));
        assert!(game.step_ms() < slow);
        assert_eq!(game.left(), game.body().next_back().unwrap());
    }

    #[test]
    fn quick_turns_are_taken_one_a_step_and_none_back_into_itself() {
        let mut game = playing();
        game.apple = None;
        let start = head(&game);
        for direction in [Direction::Up, Direction::Down, Direction::Left, Direction::Down] {
            game.turn(direction);
        }
        game.step();
        game.step();
        assert_eq!(head(&game), cell(start.x - 1, start.y - 1));
        assert_eq!(game.state(), State::Playing);
    }

    #[test]
    fn a_wall_ends_the_game() {
        let mut game = playing();
        for _ in 0..WIDTH {
            game.apple = None;
            game.step();
        }
        assert_eq!((game.state(), head(&game).x), (State::Over, WIDTH - 1));
        game.turn(Direction::Up);
        assert_eq!(game.state(), State::Over);
    }

    #[test]
    fn the_snake_may_follow_its_tail_and_not_bite_itself() {
        let circle = [(5, 5), (6, 5), (6, 6), (5, 6)].map(|(x, y)| cell(x, y));
        let mut game = playing();
        game.body = circle.into();
        game.apple = None;
        game.direction = Direction::Left;
        game.turn(Direction::Down);
        game.step();
        assert_eq!((game.state(), head(&game)), (State::Playing, cell(5, 6)));
        let mut longer = playing();
        longer.body = circle.into_iter().chain([cell(4, 6)]).collect();
        longer.direction = Direction::Left;
        longer.turn(Direction::Down);
        longer.step();
        assert_eq!(longer.state(), State::Over);
    }

    #[test]
    fn the_same_seed_grows_the_same_apples_and_never_on_the_snake() {
        for seed in 0..200 {
            let game = Game::new(seed);
            let apple = game.apple().unwrap();
            assert_eq!(Some(apple), Game::new(seed).apple());
            assert!(!game.body.contains(&apple));
        }
        assert_ne!(Game::new(1).apple(), Game::new(2).apple());
    }

    #[test]
    fn a_full_board_ends_the_game() {
        let mut game = playing();
        game.body = (0..HEIGHT).flat_map(|y| (0..WIDTH).map(move |x| cell(x, y))).collect();
        game.grow_apple();
        assert_eq!((game.apple(), game.state()), (None, State::Over));
    }
}
