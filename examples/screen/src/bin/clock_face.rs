//! A clock on a wall.

use screen::face::{Face, rest};
use solum::{Clock, Error, Screen};

#[derive(solum::Ports)]
struct Ports {
    screen: Screen,
    clock: Clock,
}

#[solum::program]
fn clock_face(mut ports: Ports) -> Result<(), Error> {
    let face = Face::new(ports.screen.image());
    let mut image = ports.screen.image();
    loop {
        let wall = ports.clock.wall()?;
        face.draw(&mut image, wall);
        ports.screen.present(&image)?;
        ports.clock.sleep(rest(wall))?;
    }
}
