//! The role `link`: carries the links of this machine's units to other machines. It needs the ends of those links, which it
//! inherits, and no privilege.

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::os::fd::{FromRawFd, OwnedFd};

use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, listen, socket_with, sockopt};
use solum_link::relay::{self, Identity, RemoteLink};
use solum_link::stream::{PublicKey, SecretKey};
use solum_link::{End, Side};
pub use solum_spec::network::Relay;
use solum_spec::network::RelayedLink;
use solum_spec::plan;

/// Connections that wait until they are taken: one for each link, when all machines come up at once.
const BACKLOG: i32 = 128;

/// Carries links, for ever. `report` hears what people should know.
///
/// # Errors
///
/// If a link or the place to listen at cannot be opened, or the kernel cannot wait.
pub fn run(configuration: &Relay, report: &mut dyn FnMut(String)) -> io::Result<Infallible> {
    let links = configuration.links.iter().map(open).collect::<io::Result<Vec<_>>>()?;
    let serves = configuration.links.iter().any(|link| link.here == plan::End::Server);
    let listener = serves.then(|| listener(SocketAddr::V4(configuration.listen))).transpose()?;
    let secret = SecretKey::from_bytes(configuration.secret.0);
    let address = IpAddr::V4(*configuration.listen.ip());
    let identity = Identity { secret, life: configuration.life, address };
    let mut relay = relay::Relay::new(&identity, listener, links)?;
    loop {
        relay.turn();
        relay.reports().iter().for_each(|news| report(news.to_string()));
        relay.wait(None, None)?;
    }
}

fn open(link: &RelayedLink) -> io::Result<RemoteLink> {
    let [memory, own, peer] = link.descriptors.map(|descriptor| {
        // SAFETY: PID 1 says that these numbers are descriptors which this process inherited, each for one use, and nothing
        // here has closed or taken one before.
        unsafe { OwnedFd::from_raw_fd(descriptor) }
    });
    let side = match link.here {
        plan::End::Client => Side::Server,
        plan::End::Server => Side::Client,
    };
    let end = End::open(memory, own, peer, side).map_err(io::Error::other)?;
    let (id, name) = (link.id, link.name.clone());
    Ok(RemoteLink { id, name, side, peer: link.peer.into(), key: PublicKey::from_bytes(link.public), end })
}

/// Listens at an address that the machine may not have yet (ip(7), `IP_FREEBIND`).
fn listener(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    sockopt::set_ip_freebind(&socket, true)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    bind(&socket, &address)?;
    listen(&socket, BACKLOG)?;
    Ok(socket.into())
}
