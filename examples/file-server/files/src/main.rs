//! The unit `files`: mounts its disk, or makes a file system on a blank one, and serves the interface `Files`.

#[solum::program]
fn files(ports: files::Ports) -> Result<(), files::Failure> {
    files::files(ports)
}
