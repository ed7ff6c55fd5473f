//! The world as it is: drivers over the descriptors that a supervisor handed over.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::rc::Rc;

use solum_spec::handover::{self, Handover, LinkEnd, Resource};

use crate::port::{InterfaceId, PlugError, World};
use crate::{clock, console, disk, entropy, health, keys, link, screen, served_disk, tcp, units};

mod device;
mod file_disk;
mod linked;
mod socket;
mod time;

pub(crate) use file_disk::FileDisk;
pub use time::SystemClock;

/// What a supervisor handed to this process.
pub struct Native {
    plugs: BTreeMap<String, Vec<Option<Resource>>>,
    descriptors: Descriptors,
    clock: Rc<time::SystemClock>,
    health: Rc<device::Control>,
}

/// Why a process has no devices.
#[derive(Debug)]
pub enum StartError {
    /// It was not started by a supervisor.
    Alone,
    /// What was handed over cannot be read; the text says why.
    Handover(String),
}

impl std::fmt::Display for StartError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Alone => f.write_str(
                "this program is a unit of a system, and its devices are handed to it\n\
                 hint: run the system that it belongs to, with: solum run DIRECTORY --place host",
            ),
            Self::Handover(reason) => f.write_str(reason),
        }
    }
}

impl std::error::Error for StartError {}

impl Native {
    /// Takes over what this process was handed. Only the first call gets it.
    ///
    /// # Errors
    ///
    /// [`StartError::Alone`] if the process was started by hand, [`StartError::Handover`] if it was handed nonsense.
    pub fn take() -> Result<Self, StartError> {
        let named = std::env::var(handover::VARIABLE).map_err(|_| StartError::Alone)?;
        if named != handover::DESCRIPTOR.to_string() {
            return Err(StartError::Handover(format!("{}={named} is not understood", handover::VARIABLE)));
        }
        let mut descriptors = Descriptors::default();
        let failed = |error: io::Error| StartError::Handover(format!("the handover cannot be read: {error}"));
        let mut file = File::from(descriptors.take(handover::DESCRIPTOR).map_err(failed)?);
        let mut bytes = Vec::new();
        file.rewind().and_then(|()| file.read_to_end(&mut bytes)).map_err(failed)?;
        let handover =
            Handover::from_bytes(&bytes).map_err(|error| StartError::Handover(error.to_string()))?;
        let control = descriptors.take(handover.control).map_err(failed)?;
        let plugs = handover
            .plugs
            .into_iter()
            .map(|plug| (plug.port, plug.resources.into_iter().map(Some).collect()))
            .collect();
        let clock = Rc::new(time::SystemClock);
        Ok(Self { plugs, descriptors, clock, health: Rc::new(device::Control::new(control)) })
    }

    /// Takes the device out of its place: nothing is plugged in twice.
    fn resource(&mut self, port: &str, index: usize) -> Result<Resource, PlugError> {
        let place = self.plugs.get_mut(port).and_then(|resources| resources.get_mut(index));
        place
            .and_then(Option::take)
            .ok_or_else(|| PlugError::new(port, format!("device {index} was not handed over")))
    }

    fn descriptor(&mut self, port: &str, number: RawFd) -> Result<OwnedFd, PlugError> {
        self.descriptors.take(number).map_err(|error| PlugError::new(port, error.to_string()))
    }

    fn link_end(&mut self, port: &str, end: &LinkEnd) -> Result<linked::Descriptors, PlugError> {
        Ok(linked::Descriptors {
            memory: self.descriptor(port, end.memory)?,
            own_bell: self.descriptor(port, end.own_bell)?,
            peer_bell: self.descriptor(port, end.peer_bell)?,
        })
    }
}

fn unfit(port: &str, resource: &Resource) -> PlugError {
    let found = match resource {
        Resource::Disk { .. } => "a disk",
        Resource::Link(_) => "a link",
        Resource::Listener { .. } => "a TCP listener",
        Resource::Screen { .. } => "a screen",
        Resource::Keys { .. } => "a keyboard",
        Resource::Units { .. } => "the power over units",
    };
    PlugError::new(port, format!("{found} was handed over, which does not fit"))
}

impl World for Native {
    fn count(&self, port: &str) -> usize {
        self.plugs.get(port).map_or(0, Vec::len)
    }

    fn disk(&mut self, port: &str, index: usize) -> Result<Box<dyn disk::Driver>, PlugError> {
        let resource = self.resource(port, index)?;
        match &resource {
            Resource::Disk { descriptor, bytes, block_bytes, writable } => {
                let file = File::from(self.descriptor(port, *descriptor)?);
                let geometry =
                    disk::Geometry { bytes: *bytes, block_bytes: *block_bytes, writable: *writable };
                Ok(Box::new(file_disk::FileDisk::new(file, geometry)))
            }
            Resource::Link(end) => {
                let end = self.link_end(port, end)?;
                let caller = linked::caller(port, end, &<disk::Disk as link::Interface>::ID, self.clock())?;
                served_disk::linked(caller, self.clock())
                    .map_err(|error| PlugError::passing(port, error.to_string()))
            }
            _ => Err(unfit(port, &resource)),
        }
    }

    fn caller(
        &mut self,
        port: &str,
        index: usize,
        interface: &InterfaceId,
    ) -> Result<Box<dyn link::Caller>, PlugError> {
        let resource = self.resource(port, index)?;
        let Resource::Link(end) = &resource else { return Err(unfit(port, &resource)) };
        let end = self.link_end(port, end)?;
        linked::caller(port, end, interface, self.clock())
    }

    fn answerer(
        &mut self,
        port: &str,
        interface: &InterfaceId,
    ) -> Result<Box<dyn link::Answerer>, PlugError> {
        let mut ends = Vec::new();
        for index in 0..self.count(port) {
            let resource = self.resource(port, index)?;
            let Resource::Link(end) = &resource else { return Err(unfit(port, &resource)) };
            ends.push(self.link_end(port, end)?);
        }
        linked::answerer(port, ends, interface, self.clock())
    }

    fn listener(&mut self, port: &str, index: usize) -> Result<Box<dyn tcp::Listen>, PlugError> {
        let resource = self.resource(port, index)?;
        let Resource::Listener { descriptor } = &resource else { return Err(unfit(port, &resource)) };
        let socket = self.descriptor(port, *descriptor)?;
        Ok(Box::new(socket::Listener::new(socket)))
    }

    fn screen(&mut self, port: &str, index: usize) -> Result<Box<dyn screen::Driver>, PlugError> {
        let resource = self.resource(port, index)?;
        let Resource::Screen { memory, shown, width, height } = &resource else {
            return Err(unfit(port, &resource));
        };
        let (memory, shown) = (self.descriptor(port, *memory)?, self.descriptor(port, *shown)?);
        Ok(Box::new(device::SharedScreen::new(memory, shown, *width, *height)))
    }

    fn keys(&mut self, port: &str, index: usize) -> Result<Box<dyn keys::Driver>, PlugError> {
        let resource = self.resource(port, index)?;
        let Resource::Keys { descriptor } = &resource else { return Err(unfit(port, &resource)) };
        Ok(Box::new(device::InputEvents::new(self.descriptor(port, *descriptor)?)))
    }

    fn units(&mut self, port: &str) -> Result<Box<dyn units::Driver>, PlugError> {
        let resource = self.resource(port, 0)?;
        let Resource::Units { descriptor } = &resource else { return Err(unfit(port, &resource)) };
        Ok(Box::new(device::Controller::new(self.descriptor(port, *descriptor)?)))
    }

    fn clock(&mut self) -> Rc<dyn clock::Driver> {
        self.clock.clone()
    }

    fn entropy(&mut self) -> Box<dyn entropy::Driver> {
        Box::new(device::KernelEntropy)
    }

    fn console(&mut self) -> Box<dyn console::Driver> {
        Box::new(device::StandardOutput)
    }

    fn health(&mut self) -> Rc<dyn health::Driver> {
        self.health.clone()
    }
}

/// Takes descriptors by their numbers, each once.
#[derive(Default)]
struct Descriptors {
    taken: Vec<RawFd>,
}

impl Descriptors {
    fn take(&mut self, number: RawFd) -> io::Result<OwnedFd> {
        let is_standard = (0..=2).contains(&number);
        if number < 0 || is_standard || self.taken.contains(&number) {
            return Err(io::Error::other(format!("descriptor {number} cannot be handed over")));
        }
        // SAFETY: fcntl(2) with F_GETFD takes two integers and touches no memory.
        if unsafe { libc::fcntl(number, libc::F_GETFD) } < 0 {
            return Err(io::Error::last_os_error());
        }
        self.taken.push(number);
        // SAFETY: the descriptor is open, it was inherited, so no code of this process has made it or owns it, and it is
        // taken once.
        Ok(unsafe { OwnedFd::from_raw_fd(number) })
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::{AsFd, IntoRawFd};
    use std::os::unix::net::UnixStream;
    use std::thread;
    use std::time::{Duration, Instant};

    use solum_link::session::{Interface, Server};
    use solum_link::{End, Layout, LinkHost, Side};

    use super::*;
    use crate::Disk;
    use crate::port::Port as _;

    fn handed(resource: Resource) -> Native {
        let (control, _) = UnixStream::pair().unwrap();
        Native {
            plugs: [("disk".to_owned(), vec![Some(resource)])].into(),
            descriptors: Descriptors::default(),
            clock: Rc::new(time::SystemClock),
            health: Rc::new(device::Control::new(control.into())),
        }
    }

    fn client_of(host: &LinkHost) -> Resource {
        let end = host.descriptors(Side::Client);
        let number =
            |descriptor: std::os::fd::BorrowedFd<'_>| descriptor.try_clone_to_owned().unwrap().into_raw_fd();
        let [memory, own_bell, peer_bell] = [end.memory, end.own_bell, end.peer_bell].map(number);
        Resource::Link(LinkEnd { peer: "m.u".to_owned(), memory, own_bell, peer_bell })
    }

    fn error(resource: Resource) -> PlugError {
        Disk::plug(&mut handed(resource), "disk").err().unwrap()
    }

    #[test]
    fn what_the_next_start_may_find_better_is_told_from_what_it_will_not() {
        let listener = UnixStream::pair().unwrap().0.into_raw_fd();
        assert!(!error(Resource::Listener { descriptor: listener }).may_pass, "a listener is no disk");
        let host = LinkHost::create("test", Layout::default()).unwrap();
        assert!(error(client_of(&host)).may_pass, "its word in the link was spoiled");
        host.attach(Side::Client, 1);
        host.attach(Side::Server, 1);
        let own = host.descriptors(Side::Server);
        let own =
            [own.memory, own.own_bell, own.peer_bell].map(|one| one.as_fd().try_clone_to_owned().unwrap());
        let [memory, own_bell, peer_bell] = own;
        let end = End::open(memory, own_bell, peer_bell, Side::Server).unwrap();
        let other = Interface { name: "other".to_owned(), version: 1, fingerprint: 0 };
        let mut server = Server::new(end, other);
        let refused = client_of(&host);
        let plugging = thread::spawn(move || error(refused));
        while !plugging.is_finished() {
            server.next(Some(Instant::now() + Duration::from_millis(5)));
        }
        let refused = plugging.join().unwrap();
        assert!(refused.may_pass && refused.reason.contains("interface"), "{refused}");
    }
}
