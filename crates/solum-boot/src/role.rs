//! Roles: parts of PID 1's work that run as processes of their own, with no more privileges than they need, so a
//! crash in a parser takes neither the machine nor its program along.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use rustix::thread::{CapabilitySet, CapabilitySets};
use solum_spec::control::{Decoder, FromMachine, encode};
use solum_spec::description::Network;
use solum_spec::network::Inside;
use solum_spec::reason;

use crate::life::Child;
use crate::{identity, kernel_log, link, net, power, storage, time};

/// The `argv[0]` by which this executable knows that it is to play a role.
pub const fn process_name(child: Child) -> &'static str {
    match child {
        Child::Program => "solum:program",
        Child::Net => "solum:net",
        Child::Time => "solum:time",
        Child::Link => "solum:link",
        Child::Storage => "solum:storage",
    }
}

/// Plays the role that the process was started for, and does not return; returns if it was started for none.
pub fn play_if_asked() {
    if let Some(asked) = power::ask_if_command() {
        if asked.is_err() {
            let _ = io::stderr().write_all(b"only root may end the machine\n");
        }
        std::process::exit(i32::from(asked.is_err()));
    }
    let name = std::env::args_os().next().unwrap_or_default();
    let roles = [Child::Net, Child::Time, Child::Link, Child::Storage];
    if let Some(child) = roles.into_iter().find(|child| name == process_name(*child)) {
        // Only the role `storage` comes to an end of its work.
        let Err(error) = play(child) else { std::process::exit(0) };
        let error = reason(&error);
        kernel_log::warning(&format!("the role {} ended: {error}", child.name()));
        std::process::exit(1);
    }
}

fn play(child: Child) -> io::Result<()> {
    let mut channel = UnixStream::from(rustix::io::dup(rustix::stdio::stdin())?);
    match child {
        Child::Net => {
            let (network, inside): (Network, Option<Inside>) = configuration(&mut channel)?;
            drop_privileges(identity::NET_USER_ID, net::CAPABILITIES)?;
            net::run(&network, inside, Path::new(identity::NET_DIRECTORY), &mut |report| {
                tell(&channel, &FromMachine::Network(report));
            })
            .map(|never| match never {})
        }
        Child::Time => {
            let servers: Vec<String> = configuration(&mut channel)?;
            // The clock of the hardware belongs to root; this role is who sets it.
            let _ = std::os::unix::fs::chown("/dev/rtc0", Some(identity::TIME_USER_ID), None);
            drop_privileges(identity::TIME_USER_ID, time::CAPABILITIES)?;
            time::run(&servers, Path::new(identity::CLOCK_SET), &mut |report| {
                tell(&channel, &FromMachine::Clock(report));
            })
            .map(|never| match never {})
        }
        Child::Link => {
            let relay: link::Relay = configuration(&mut channel)?;
            drop_privileges(identity::LINK_USER_ID, CapabilitySet::empty())?;
            link::run(&relay, &mut |text| tell(&channel, &FromMachine::Warning(text)))
                .map(|never| match never {})
        }
        Child::Storage => {
            let errand: storage::Errand = configuration(&mut channel)?;
            keep_capabilities(storage::CAPABILITIES)?;
            storage::run(&errand, &mut |message| tell(&channel, &message))
        }
        Child::Program => Ok(()),
    }
}

/// PID 1 that does not read is PID 1 that is ending, so a lost report is no loss.
fn tell(mut channel: &UnixStream, message: &FromMachine) {
    let _ = channel.write_all(&encode(message));
}

fn configuration<C: serde::de::DeserializeOwned>(channel: &mut UnixStream) -> io::Result<C> {
    let mut decoder = Decoder::new();
    let mut buffer = [0; 4096];
    loop {
        if let Some(configuration) = decoder.decode().map_err(io::Error::other)? {
            return Ok(configuration);
        }
        match channel.read(&mut buffer)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            length => decoder.push(&buffer[..length]),
        }
    }
}

/// Becomes an ordinary user that keeps only these capabilities, for good (capabilities(7)).
fn drop_privileges(user_id: u32, keep: CapabilitySet) -> io::Result<()> {
    use rustix::process::{Gid, Uid};
    use rustix::thread;
    let (user, group) = (Uid::from_raw(user_id), Gid::from_raw(user_id));
    thread::set_keep_capabilities(true)?;
    thread::set_thread_groups(&[])?;
    thread::set_thread_res_gid(group, group, group)?;
    thread::set_thread_res_uid(user, user, user)?;
    keep_capabilities(keep)
}

/// Keeps only these capabilities, for good: so do the programs that it starts, even as root (capabilities(7),
/// "no_new_privs" in prctl(2)).
fn keep_capabilities(keep: CapabilitySet) -> io::Result<()> {
    use rustix::thread;
    let sets = CapabilitySets { effective: keep, permitted: keep, inheritable: CapabilitySet::empty() };
    thread::set_capabilities(None, sets)?;
    thread::set_no_new_privs(true)?;
    Ok(())
}
