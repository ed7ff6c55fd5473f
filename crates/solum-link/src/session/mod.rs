//! Calls and answers between two processes that may die and come back.
//!
//! A client greets whoever is there ([`Kind::Hello`](crate::Kind)), says which interface it means, and is made welcome or
//! refused. That makes a session: the epochs of both. Every frame names its session, every call has a number of its own, so
//! that no late answer is taken for another. When the server dies, what was under way is [`CallError::Gone`], or, if it
//! may be repeated, is sent to the next server.
//!
//! What is decided here is decided without I/O, in `calls` and `guest`; [`Client`] and [`Server`] do it.

mod calls;
mod client;
mod guest;
mod server;

pub use calls::{CallError, Response, Ticket};
pub use client::Client;
pub use guest::{CallId, Event};
pub use server::Server;

/// The version of greetings and calls. Another one is refused, in words.
const PROTOCOL: u16 = 1;
/// A longer name is cut off: it serves people only, the fingerprint decides.
const LONGEST_NAME: usize = 200;

/// Which interface a client means, and a server serves.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: u16,
    /// What its methods and types amount to.
    pub fingerprint: u64,
}

impl Interface {
    fn hello(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend(PROTOCOL.to_le_bytes());
        bytes.extend(self.version.to_le_bytes());
        bytes.extend(self.fingerprint.to_le_bytes());
        bytes.extend(short(&self.name).as_bytes());
        bytes
    }

    /// Compares a client's hello with what is served; the reason, if they do not fit.
    fn check(&self, hello: &[u8]) -> Result<(), String> {
        let Some((protocol, rest)) = hello.split_first_chunk() else {
            return Err("the greeting is cut short".to_owned());
        };
        let protocol = u16::from_le_bytes(*protocol);
        if protocol != PROTOCOL {
            return Err(format!(
                "the client speaks version {protocol} of the link protocol, the server {PROTOCOL}"
            ));
        }
        let split = rest.split_first_chunk().and_then(|(version, rest)| {
            let (fingerprint, name) = rest.split_first_chunk()?;
            Some((u16::from_le_bytes(*version), u64::from_le_bytes(*fingerprint), name))
        });
        let Some((version, fingerprint, name)) = split else {
            return Err("the greeting is cut short".to_owned());
        };
        let own = short(&self.name);
        if name != own.as_bytes() {
            let name = String::from_utf8_lossy(name);
            return Err(format!("the client means interface {}, the server serves {own}", short(&name)));
        }
        if version != self.version {
            return Err(format!(
                "the client means version {version} of interface {own}, the server serves {}",
                self.version
            ));
        }
        if fingerprint != self.fingerprint {
            return Err(format!(
                "client and server were built with different declarations of interface {own}, both of version {version}"
            ));
        }
        Ok(())
    }
}

fn short(name: &str) -> &str {
    let mut end = name.len().min(LONGEST_NAME);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    &name[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files() -> Interface {
        Interface { name: "Files".to_owned(), version: 2, fingerprint: 77 }
    }

    #[test]
    fn the_same_interface_fits_and_every_other_is_told_apart() {
        let server = files();
        assert_eq!(server.check(&files().hello()), Ok(()));
        let refused = |hello: &[u8]| server.check(hello).unwrap_err();
        assert_eq!(
            refused(&Interface { name: "Disk".to_owned(), ..files() }.hello()),
            "the client means interface Disk, the server serves Files"
        );
        assert_eq!(
            refused(&Interface { version: 1, ..files() }.hello()),
            "the client means version 1 of interface Files, the server serves 2"
        );
        assert_eq!(
            refused(&Interface { fingerprint: 1, ..files() }.hello()),
            "client and server were built with different declarations of interface Files, both of version 2"
        );
        let mut later = files().hello();
        later[0] = 9;
        assert_eq!(refused(&later), "the client speaks version 9 of the link protocol, the server 1");
        for length in 0..12 {
            assert_eq!(refused(&files().hello()[..length]), "the greeting is cut short");
        }
    }

    #[test]
    fn a_name_of_any_length_is_cut_between_characters() {
        let long = "ü".repeat(150);
        assert_eq!(short(&long).len(), 200);
        assert_eq!(short(&format!("x{long}")).len(), 199);
    }
}
