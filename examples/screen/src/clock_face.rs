//! A clock on a wall.

use solum::{Clock, Error, Screen};

use crate::face::{Face, rest};

/// What the unit reaches.
#[derive(solum::Ports)]
pub struct Ports {
    /// Where the clock is seen.
    pub screen: Screen,
    /// What it shows.
    pub clock: Clock,
}

/// The program.
///
/// # Errors
///
/// Those of its ports.
pub fn clock_face(mut ports: Ports) -> Result<(), Error> {
    let face = Face::new(ports.screen.image());
    let mut image = ports.screen.image();
    loop {
        let wall = ports.clock.wall()?;
        face.draw(&mut image, wall);
        ports.screen.present(&image)?;
        ports.clock.sleep(rest(wall))?;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use solum_sim::mock::{self, World};

    use super::*;

    #[test]
    fn it_rests_until_the_next_second_and_shows_the_time() {
        let (clock, screen) = (mock::Clock::new(), mock::Screen::new(240, 240));
        clock.set_wall(Duration::from_millis((10 * 60 + 8) * 60_000 + 36_500));
        screen.close_after(2);
        let end = clock_face(World::new().clock(&clock).screen("screen", &screen).plug());
        assert_eq!(end, Err(solum::Error::Closed));
        // The hand swings for a while, and meanwhile every refresh shows another picture.
        assert_eq!(clock.now().since_beginning().as_millis(), 500 + 2 * 1000 / 60);
        screen.assert_shows("pictures/ten-past-ten.png");
    }
}
