//! In place of [`link`](crate::link), without the feature `system`: there is nobody to carry links for.

use std::convert::Infallible;
use std::io;

use solum_spec::network::Relay;

/// Nobody asks for it.
pub fn run(_: &Relay, _: &mut dyn FnMut(String)) -> io::Result<Infallible> {
    Err(io::Error::other("this PID 1 was built for a machine of one program"))
}
