//! The unit `sequencer`: puts all writes into one order, lets the caches know, and makes them last.

#[solum::program]
fn sequencer(ports: sequencer::Ports) -> Result<(), sequencer::Failure> {
    sequencer::sequencer(ports)
}
