//! Snake: arrows or WASD turn, space begins again.

use std::time::Duration;

use solum::keys::{Action, code};
use solum::{Clock, Console, Entropy, Error, Keys, Moment, Screen};

use crate::snake::{Direction, Game, State};
use crate::stage::Stage;

/// What the unit reaches.
#[derive(solum::Ports)]
pub struct Ports {
    /// Where the game is seen.
    pub screen: Screen,
    /// What turns the snake.
    pub keys: Keys,
    /// How fast the snake is.
    pub clock: Clock,
    /// Where apples grow.
    pub entropy: Entropy,
    /// Where it is told how each game ended.
    pub console: Console,
}

/// The program.
///
/// # Errors
///
/// Those of its ports.
pub fn game(mut ports: Ports) -> Result<(), Error> {
    let mut image = ports.screen.image();
    let stage = Stage::new(ports.screen.image());
    let mut game = Game::new(ports.entropy.number()?);
    let (mut stepped, mut best) = (ports.clock.now(), 0);
    ports.console.line("arrows or WASD turn the snake, space begins another game")?;
    loop {
        let now = ports.clock.now();
        let step = Duration::from_millis(game.step_ms());
        if now.since(stepped) >= step {
            game.step();
            // A machine that was held up does not make up for it with a leap.
            stepped = if now.since(stepped) >= step * 2 { now } else { stepped.after(step) };
            if game.state() == State::Over {
                best = best.max(game.score());
                ports.console.line(format_args!("over after {} apples; the best is {best}", game.score()))?;
            }
        }
        let share = now.since(stepped).as_secs_f32() / step.as_secs_f32();
        let seconds = now.since_beginning().as_secs_f32() % 3600.0;
        stage.draw(&mut image, &game, share.min(1.0), seconds, best);
        ports.screen.present(&image)?;
        // While nothing moves there is nothing to draw either.
        let is_moving = game.state() == State::Playing;
        let is_restarted = play(&mut ports, &mut game, is_moving.then_some(now))?;
        if is_restarted || !is_moving {
            stepped = ports.clock.now();
        }
    }
}

/// Takes what is pressed until the deadline, or one key if there is none. Says whether another game began.
fn play(ports: &mut Ports, game: &mut Game, deadline: Option<Moment>) -> Result<bool, Error> {
    loop {
        let key = match ports.keys.next(deadline) {
            Ok(key) => key,
            Err(Error::Deadline) => return Ok(false),
            Err(error) => return Err(error),
        };
        if key.action == Action::Pressed {
            match key.code {
                code::UP | code::W => game.turn(Direction::Up),
                code::DOWN | code::S => game.turn(Direction::Down),
                code::LEFT | code::A => game.turn(Direction::Left),
                code::RIGHT | code::D => game.turn(Direction::Right),
                code::SPACE | code::ENTER if game.state() == State::Over => {
                    *game = Game::new(ports.entropy.number()?);
                    return Ok(true);
                }
                _ => {}
            }
        }
        if deadline.is_none() {
            return Ok(false);
        }
    }
}
