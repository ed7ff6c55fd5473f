//! A unit that writes to a disk, reads it again, and tells how the mirror below is.

#[solum::program]
fn user(ports: user::Ports) -> Result<(), String> {
    user::user(ports)
}
