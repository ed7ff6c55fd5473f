//! Counts its lives on a disk.

use solum::{Clock, Console, Disk, Error, Health};
use units::arguments;

#[derive(solum::Ports)]
struct Ports {
    disk: Disk,
    clock: Clock,
    console: Console,
    health: Health,
}

#[solum::program]
fn disk_user(mut ports: Ports) -> Result<(), Error> {
    let block_bytes = ports.disk.block_size() as usize;
    let mut block = vec![0; block_bytes];
    let last = ports.disk.capacity() - block_bytes as u64;
    ports.disk.read_at(last, &mut block)?;
    block[0] += 1;
    ports.disk.write_at(last, &block)?;
    ports.disk.flush()?;
    let (life, capacity) = (block[0], ports.disk.capacity());
    ports.console.line(format_args!("life {life} on {capacity} bytes in blocks of {block_bytes}"))?;
    let beyond = ports.disk.write_at(capacity, &block);
    ports.console.line(beyond.map_or_else(|error| error.to_string(), |()| "wrote beyond the end".into()))?;
    if arguments() == ["stay"] {
        ports.health.ready()?;
        ports.clock.sleep(std::time::Duration::from_secs(3600))?;
    }
    Ok(())
}
