//! A clock on a wall.

#[solum::program]
fn clock_face(ports: screen::clock_face::Ports) -> Result<(), solum::Error> {
    screen::clock_face::clock_face(ports)
}
