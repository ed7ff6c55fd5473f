//! All that a program needs, by the names of its ports.

use std::any::Any;
use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::rc::Rc;

use solum::link::Interface;
use solum::port::{InterfaceId, PlugError, Ports};
use solum::{clock, console, disk, entropy, health, keys, link, port, screen, tcp, units};

use super::clock::Clock;
use super::disk::Disk;
use super::http::Http;
use super::keys::Keys;
use super::link::Link;
use super::plain::{Console, Entropy, Health};
use super::screen::Screen;
use super::serve::Serve;
use super::tcp::Tcp;
use super::units::Units;

/// What a program's ports are plugged into, by name: the whole program runs in a unit test.
///
/// ```
/// use solum_sim::mock::{self, World};
///
/// // The program, as it ships.
/// #[derive(solum::Ports)]
/// struct Ports {
///     disks: Vec<solum::Disk>,
///     console: solum::Console,
/// }
///
/// fn count_disks(mut ports: Ports) -> solum::Result<()> {
///     let bytes: u64 = ports.disks.iter().map(solum::Disk::capacity).sum();
///     ports.console.line(format_args!("{} disks, {bytes} bytes", ports.disks.len()))
/// }
///
/// // Its test. What a program always has need not be plugged in; the world keeps it for the test to look at.
/// let world = World::new().disk("disks", mock::Disk::new(512)).disk("disks", mock::Disk::new(1024));
/// let console = world.console.clone();
/// count_disks(world.plug())?;
/// assert_eq!(console.lines(), ["2 disks, 1536 bytes"]);
/// # Ok::<(), solum::Error>(())
/// ```
///
/// A port's name is that of its field, with `-` for `_`. What is plugged in under a name twice is two devices of one port.
#[derive(Default)]
pub struct World {
    /// Time, of this world's mocks too.
    pub clock: Clock,
    /// What the program was told is random.
    pub entropy: Entropy,
    /// What the program said.
    pub console: Console,
    /// How the program says it is.
    pub health: Health,
    devices: BTreeMap<String, Vec<Device>>,
}

impl Default for Entropy {
    /// The one with seed 0.
    fn default() -> Self {
        Self::seeded(0)
    }
}

/// What is made when the program is plugged in, on its clock.
type Make<D> = Box<dyn FnOnce(&Clock) -> Box<D>>;

enum Device {
    Disk(Disk),
    Caller(InterfaceId, Make<dyn link::Caller>),
    Answerer(InterfaceId, Make<dyn link::Answerer>),
    Listener(Make<dyn tcp::Listen>),
    Screen(Screen),
    Keys(Keys),
    Units(Units),
    Taken,
}

impl Device {
    fn is(&self) -> String {
        match self {
            Self::Disk(_) => "a disk".into(),
            Self::Caller(interface, _) => format!("a peer that serves {}", interface.name),
            Self::Answerer(interface, _) => format!("clients of {}", interface.name),
            Self::Listener(_) => "clients of a listener".into(),
            Self::Screen(_) => "a screen".into(),
            Self::Keys(_) => "a keyboard".into(),
            Self::Units(_) => "the power over units".into(),
            Self::Taken => "nothing any more".into(),
        }
    }
}

impl World {
    /// A world with a clock at its beginning, the entropy of seed 0, and nothing plugged in.
    pub fn new() -> Self {
        Self::default()
    }

    /// Another clock than the world's own, for instance one that other worlds have too.
    #[must_use]
    pub fn clock(mut self, clock: impl Borrow<Clock>) -> Self {
        self.clock = clock.borrow().clone();
        self
    }

    /// Another entropy.
    #[must_use]
    pub fn entropy(mut self, entropy: impl Borrow<Entropy>) -> Self {
        self.entropy = entropy.borrow().clone();
        self
    }

    /// Another console.
    #[must_use]
    pub fn console(mut self, console: impl Borrow<Console>) -> Self {
        self.console = console.borrow().clone();
        self
    }

    /// Another health.
    #[must_use]
    pub fn health(mut self, health: impl Borrow<Health>) -> Self {
        self.health = health.borrow().clone();
        self
    }

    /// A disk, for a port of type [`solum::Disk`].
    #[must_use]
    pub fn disk(self, port: &str, disk: impl Borrow<Disk>) -> Self {
        self.device(port, Device::Disk(disk.borrow().clone()))
    }

    /// A peer, for a port of type [`solum::Link`].
    #[must_use]
    pub fn link<I: Interface>(self, port: &str, peer: impl Borrow<Link<I>>) -> Self {
        let peer = peer.borrow().clone();
        self.device(port, Device::Caller(I::ID, Box::new(move |clock| peer.driver(clock))))
    }

    /// Clients, for a port of type [`solum::Serve`].
    #[must_use]
    pub fn serve<I: Interface>(self, port: &str, clients: impl Borrow<Serve<I>>) -> Self {
        let clients = clients.borrow().clone();
        self.device(port, Device::Answerer(I::ID, Box::new(move |clock| clients.driver(clock))))
    }

    /// Clients, for a port of type [`solum::Http`].
    #[must_use]
    pub fn http(self, port: &str, clients: impl Borrow<Http>) -> Self {
        let clients = clients.borrow().clone();
        self.device(port, Device::Listener(Box::new(move |clock| clients.driver(clock))))
    }

    /// Peers, for a port of type [`solum::Tcp`].
    #[must_use]
    pub fn tcp(self, port: &str, peers: impl Borrow<Tcp>) -> Self {
        let peers = peers.borrow().clone();
        self.device(port, Device::Listener(Box::new(move |clock| peers.driver(clock))))
    }

    /// A screen, for a port of type [`solum::Screen`].
    #[must_use]
    pub fn screen(self, port: &str, screen: impl Borrow<Screen>) -> Self {
        self.device(port, Device::Screen(screen.borrow().clone()))
    }

    /// A keyboard, for a port of type [`solum::Keys`].
    #[must_use]
    pub fn keys(self, port: &str, keys: impl Borrow<Keys>) -> Self {
        self.device(port, Device::Keys(keys.borrow().clone()))
    }

    /// The power over other units, for a port of type [`solum::Units`].
    #[must_use]
    pub fn units(self, port: &str, units: impl Borrow<Units>) -> Self {
        self.device(port, Device::Units(units.borrow().clone()))
    }

    fn device(mut self, port: &str, device: Device) -> Self {
        self.devices.entry(port.to_owned()).or_default().push(device);
        self
    }

    /// A program's ports.
    ///
    /// # Panics
    ///
    /// If what is plugged in is not what the program declares; [`try_plug`](Self::try_plug) says it with a value.
    #[track_caller]
    pub fn plug<P: Ports>(self) -> P {
        match self.try_plug() {
            Ok(ports) => ports,
            Err(error) => panic!("{error}"),
        }
    }

    /// A program's ports.
    ///
    /// # Errors
    ///
    /// [`PlugError`] if a port has nothing plugged in, too much, or the wrong thing; or if something is plugged in where the
    /// program has no port.
    pub fn try_plug<P: Ports>(mut self) -> Result<P, PlugError> {
        let is_declared = |name: &String| P::PORTS.iter().any(|port| port.name == name);
        if let Some(name) = self.devices.keys().find(|name| !is_declared(name)) {
            let ports: Vec<_> = P::PORTS.iter().map(|port| port.name).collect();
            return Err(PlugError::new(
                name,
                format!("the program has no such port; it has: {}", ports.join(", ")),
            ));
        }
        P::plug(&mut self)
    }

    fn take(&mut self, port: &str, index: usize) -> Result<Device, PlugError> {
        let device = self.devices.get_mut(port).and_then(|devices| devices.get_mut(index));
        let device = device.map(|device| std::mem::replace(device, Device::Taken));
        device.ok_or_else(|| PlugError::new(port, "nothing is plugged in"))
    }
}

fn unfit<T>(port: &str, wanted: impl std::fmt::Display, device: &Device) -> Result<T, PlugError> {
    Err(PlugError::new(port, format!("it needs {wanted}, and {} is plugged in", device.is())))
}

fn shown(interface: &InterfaceId) -> String {
    format!("{} version {}", interface.name, interface.version)
}

impl port::World for World {
    fn count(&self, port: &str) -> usize {
        self.devices.get(port).map_or(0, Vec::len)
    }

    fn disk(&mut self, port: &str, index: usize) -> Result<Box<dyn disk::Driver>, PlugError> {
        match self.take(port, index)? {
            Device::Disk(disk) => Ok(disk.driver()),
            // A disk that another unit serves.
            Device::Caller(interface, make) if interface == <solum::Disk as Interface>::ID => {
                let caller = make(&self.clock);
                solum::served_disk::linked(caller, self.clock.driver())
                    .map_err(|error| PlugError::passing(port, error.to_string()))
            }
            device => unfit(port, "a disk", &device),
        }
    }

    fn caller(
        &mut self,
        port: &str,
        index: usize,
        interface: &InterfaceId,
    ) -> Result<Box<dyn link::Caller>, PlugError> {
        match self.take(port, index)? {
            Device::Caller(served, make) if served == *interface => Ok(make(&self.clock)),
            device => unfit(port, format_args!("a peer that serves {}", shown(interface)), &device),
        }
    }

    fn answerer(
        &mut self,
        port: &str,
        interface: &InterfaceId,
    ) -> Result<Box<dyn link::Answerer>, PlugError> {
        if self.count(port) > 1 {
            return Err(PlugError::new(port, "plug in one mock::Serve, and give that several clients"));
        }
        if self.count(port) == 0 {
            // Nobody calls: that is allowed of every port that serves.
            let nobody: Serve<Nobody> = Serve::new();
            return Ok(nobody.driver(&self.clock));
        }
        match self.take(port, 0)? {
            Device::Answerer(served, make) if served == *interface => Ok(make(&self.clock)),
            device => unfit(port, format_args!("clients of {}", shown(interface)), &device),
        }
    }

    fn listener(&mut self, port: &str, index: usize) -> Result<Box<dyn tcp::Listen>, PlugError> {
        match self.take(port, index)? {
            Device::Listener(make) => Ok(make(&self.clock)),
            device => unfit(port, "clients of a listener", &device),
        }
    }

    fn screen(&mut self, port: &str, index: usize) -> Result<Box<dyn screen::Driver>, PlugError> {
        match self.take(port, index)? {
            Device::Screen(screen) => Ok(screen.driver(&self.clock)),
            device => unfit(port, "a screen", &device),
        }
    }

    fn keys(&mut self, port: &str, index: usize) -> Result<Box<dyn keys::Driver>, PlugError> {
        match self.take(port, index)? {
            Device::Keys(keys) => Ok(keys.driver(&self.clock)),
            device => unfit(port, "a keyboard", &device),
        }
    }

    fn units(&mut self, port: &str) -> Result<Box<dyn units::Driver>, PlugError> {
        match self.take(port, 0)? {
            Device::Units(units) => Ok(units.driver()),
            device => unfit(port, "the power over units", &device),
        }
    }

    fn clock(&mut self) -> Rc<dyn clock::Driver> {
        self.clock.driver()
    }

    fn entropy(&mut self) -> Box<dyn entropy::Driver> {
        self.entropy.driver()
    }

    fn console(&mut self) -> Box<dyn console::Driver> {
        self.console.driver()
    }

    fn health(&mut self) -> Rc<dyn health::Driver> {
        self.health.driver()
    }
}

/// What a port that nobody calls is called with.
enum Nobody {}

impl Interface for Nobody {
    const ID: InterfaceId = InterfaceId { name: "nobody", version: 1, fingerprint: 0 };
    type Service = dyn Any;

    fn dispatch(_: &mut dyn Any, call: &mut link::Call<'_>) -> solum::Result<()> {
        Err(call.unknown())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use solum::Error;

    #[solum::interface]
    trait Ping {
        /// Says that it is there.
        #[retry]
        fn ping(&mut self) -> u8;
    }

    #[solum::interface]
    trait Pong {
        /// Says that it is there.
        #[retry]
        fn pong(&mut self) -> u8;
    }

    #[derive(solum::Ports)]
    struct Everything {
        disk: solum::Disk,
        more_disks: Vec<solum::Disk>,
        served_disk: solum::Disk,
        peer: solum::Link<Ping>,
        perhaps: Option<solum::Link<Pong>>,
        calls: solum::Serve<Pong>,
        http: solum::Http,
        tcp: solum::Tcp,
        screen: solum::Screen,
        keys: solum::Keys,
        units: solum::Units,
        clock: solum::Clock,
        entropy: solum::Entropy,
        console: solum::Console,
        health: solum::Health,
    }

    fn everything() -> World {
        World::new()
            .clock(Clock::new())
            .entropy(Entropy::seeded(3))
            .console(Console::new())
            .health(Health::new())
            .disk("disk", Disk::new(512))
            .disk("more-disks", Disk::new(1024))
            .disk("more-disks", Disk::new(2048))
            .link("served-disk", Link::<solum::Disk>::new(Disk::new(4096).driver()))
            .link(
                "peer",
                Link::<Ping>::answering(|call| {
                    call.answer(&7u8);
                    Ok(())
                }),
            )
            .http("http", Http::new())
            .tcp("tcp", Tcp::new())
            .screen("screen", Screen::new(2, 2))
            .keys("keys", Keys::new())
            .units("units", Units::new(["a"]))
    }

    #[test]
    fn every_type_of_port_is_plugged_in_by_name() {
        let mut ports: Everything = everything().plug();
        assert_eq!((ports.disk.capacity(), ports.served_disk.capacity()), (512, 4096));
        assert_eq!(ports.more_disks.iter().map(solum::Disk::capacity).collect::<Vec<_>>(), [1024, 2048]);
        assert_eq!(ports.peer.ping(), Ok(7));
        assert!(ports.perhaps.is_none());
        assert_eq!(ports.screen.size(), (2, 2));
        assert_eq!(ports.units.list().unwrap().len(), 1);
        assert_eq!(ports.entropy.number().unwrap(), Entropy::seeded(3).port().number().unwrap());
        ports.console.line("a").unwrap();
        ports.health.ready().unwrap();
        let sources: &mut [&mut dyn clock::Source] =
            &mut [&mut ports.calls, &mut ports.http, &mut ports.tcp, &mut ports.keys];
        assert_eq!(ports.clock.select(sources, None), Err(Error::Closed));
    }

    fn complaint(world: World) -> String {
        world.try_plug::<Everything>().err().unwrap().to_string()
    }

    #[test]
    fn what_does_not_fit_is_told_with_what_would() {
        assert_eq!(complaint(World::new()), "port disk: nothing is plugged in");
        let twice = everything().disk("disk", Disk::new(512));
        assert_eq!(complaint(twice), "port disk: 2 devices are plugged in where one fits");
        let typed = complaint(everything().disk("dsik", Disk::new(512)));
        assert!(
            typed.starts_with("port dsik: the program has no such port; it has: disk, more-disks, "),
            "{typed}"
        );
        let wrong = complaint(World::new().keys("disk", Keys::new()));
        assert_eq!(wrong, "port disk: it needs a disk, and a keyboard is plugged in");
        let other = everything().link("perhaps", Link::<Ping>::answering(|_| Ok(())));
        let other = complaint(other);
        assert_eq!(
            other,
            "port perhaps: it needs a peer that serves Pong version 1, and a peer that serves Ping is plugged in"
        );
    }
}
