//! The unit `cache`: answers its front from memory, and forgets what the sequencer recalls.

#[solum::program]
fn cache(ports: cache::Ports) -> Result<(), solum::Error> {
    cache::cache(ports)
}
