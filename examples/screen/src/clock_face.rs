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
