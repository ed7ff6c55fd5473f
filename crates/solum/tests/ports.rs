//! What `#[derive(solum::Ports)]` declares.

use solum::port::{Count, Direction, Ports as _};
use solum::{Clock, Disk, Http, Serve};

#[derive(solum::Ports)]
#[expect(dead_code, reason = "only what is declared is looked at")]
struct Ports {
    members: Vec<Disk>,
    spare: Option<Disk>,
    volume: Serve<Disk>,
    web_pages: Http,
    clock: Clock,
}

#[test]
fn ports_are_declared_as_their_fields_are() {
    let declared: Vec<_> = Ports::PORTS
        .iter()
        .map(|port| (port.name, port.interface.name, port.direction, port.count))
        .collect();
    let expected = [
        ("members", "disk", Direction::Uses, Count::Many),
        ("spare", "disk", Direction::Uses, Count::Optional),
        ("volume", "disk", Direction::Serves, Count::Many),
        ("web-pages", "http", Direction::Uses, Count::One),
        ("clock", "clock", Direction::Uses, Count::One),
    ];
    assert_eq!(declared, expected);
}
