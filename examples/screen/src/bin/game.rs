//! Snake: arrows or WASD turn, space begins again.

#[solum::program]
fn game(ports: screen::game::Ports) -> Result<(), solum::Error> {
    screen::game::game(ports)
}
