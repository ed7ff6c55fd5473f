//! The unit `notes`: each time it starts it reads the note of its last start and leaves a new one.

#[solum::program]
fn notes(ports: notes::Ports) -> files_api::CallResult<()> {
    notes::notes(ports)
}
