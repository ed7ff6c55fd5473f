//! Devices for tests, one for each type of port, of use without any system.
//!
//! | port | mock | what a test does with it |
//! | --- | --- | --- |
//! | [`solum::Disk`] | [`Disk`] | fails and counts operations, cuts the power, looks at what lasts |
//! | [`solum::Link`] | [`Link`] | is the peer: a service or a closure; dies and comes back |
//! | [`solum::Serve`] | [`Serve`] | is the clients: plain code that calls the program |
//! | [`solum::Http`] | [`Http`] | sends requests, and looks at the answers |
//! | [`solum::Tcp`] | [`Tcp`] | connects, sends, reacts, breaks |
//! | [`solum::Screen`] | [`Screen`] | compares pictures with those of files |
//! | [`solum::Keys`] | [`Keys`] | types |
//! | [`solum::Units`] | [`Units`] | is the supervisor |
//! | [`solum::Clock`] | [`Clock`] | sets the time, which passes by itself while somebody waits |
//! | [`solum::Entropy`] | [`Entropy`] | gives a seed |
//! | [`solum::Console`] | [`Console`] | reads the lines |
//! | [`solum::Health`] | [`Health`] | sees whether the program is ready and well |
//!
//! A mock is a handle: clones of it are the same device. The test keeps one, and looks at it and changes it while the program
//! has the other. `port()` makes a port for one piece of code; [`World`] plugs all ports of a program in.
//!
//! Nothing here waits in reality. A program that runs for ever ends when nothing is left to come: see [`Clock`].
//!
//! ```
//! use std::time::Duration;
//! use solum_sim::mock::{self, World};
//!
//! #[derive(solum::Ports)]
//! struct Ports {
//!     disk: solum::Disk,
//!     http: solum::Http,
//!     clock: solum::Clock,
//! }
//!
//! /// Keeps the last body it was sent, and says since when.
//! fn keeper(mut ports: Ports) -> solum::Result<()> {
//!     let began = ports.clock.now();
//!     loop {
//!         let exchange = ports.http.next(None)?;
//!         let mut block = exchange.request.body.clone();
//!         block.resize(512, 0);
//!         ports.disk.write_at(0, &block)?;
//!         ports.disk.flush()?;
//!         let seconds = ports.clock.now().since(began).as_secs();
//!         exchange.respond(&solum::http::Response::text(200, seconds.to_string()))?;
//!     }
//! }
//!
//! let (disk, http) = (mock::Disk::new(512), mock::Http::new());
//! http.put("/", "one");
//! let second = http.ask(mock::Ask::new("PUT", "/").body("two").after(Duration::from_secs(60)));
//!
//! let ports: Ports = World::new().disk("disk", &disk).http("http", &http).plug();
//! assert_eq!(keeper(ports), Err(solum::Error::Closed));
//! assert_eq!(second.answer().text(), "60");
//! assert!(disk.durable().starts_with(b"two"));
//! ```

mod actor;
mod clock;
mod disk;
mod http;
mod keys;
mod link;
mod plain;
mod screen;
mod script;
mod serve;
mod snapshot;
mod tcp;
mod units;
mod world;

pub use clock::Clock;
pub use disk::{Disk, DiskAccess, DiskCounts, DiskFate, DiskOperation, PowerCut};
pub use http::{Answer, Ask, Asked, Browser, Http};
pub use keys::Keys;
pub use link::{CallFate, Link};
pub use plain::{Console, Entropy, Health};
pub use screen::{Screen, assert_picture};
pub use serve::Serve;
pub use tcp::{Heard, Peer, Tcp};
pub use units::Units;
pub use world::World;
