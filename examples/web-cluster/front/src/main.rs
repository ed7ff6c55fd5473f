//! The unit `front`: HTTP in, answers from the cache or the sequencer.

#[solum::program]
fn front(ports: front::Ports) -> Result<(), solum::Error> {
    front::front(ports)
}
