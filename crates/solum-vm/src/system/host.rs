//! The place `host`: all units of a system as processes of this host, wired and shut in as in a machine.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::CString;
use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use solum_spec::control::{Outcome, SIGTERM};
use solum_spec::description::Wait;
use solum_spec::keyboard::KeyChange;
use solum_spec::plan::{self, Plan};
use solum_unit::{Confinement, News, Operator, Place, Runner};

use super::desk::Desk;
use super::picture::Onlooker;
use super::{Disks, FAREWELL_PATIENCE, Notice, Unprepared};
use crate::report::End;
use crate::requests::{Request, Requests};

/// The first user of units, where Solum is root and may choose: above those of people and services, below those that
/// containers use (systemd's "Users, Groups, UIDs and GIDs on systemd Systems").
const FIRST_USER: u32 = 61_184;

/// Where a unit can be reached from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// Which listener of the plan.
    pub listener: usize,
    /// The address on this host.
    pub address: SocketAddr,
}

/// This host as a place for units.
pub struct HostPlace {
    disks: Disks,
    addresses: BTreeMap<(String, u16), SocketAddr>,
    empty_root: Option<CString>,
    is_root: bool,
    pictures: PathBuf,
    desk: Rc<RefCell<Desk>>,
}

impl HostPlace {
    /// Makes the disks that are not there yet, in the directory `state`, which stays, and keeps them for itself. What screens
    /// show is in it too, and every frame of them in `frames`.
    ///
    /// # Errors
    ///
    /// [`Unprepared`] says why.
    pub fn prepare(
        state: &Path,
        plan: &Plan,
        published: &[Published],
        frames: Option<&Path>,
    ) -> Result<Self, Unprepared> {
        let disks = Disks::prepare(state, plan)?;
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |error: io::Error| Unprepared::file(&path, &error)
        };
        let empty = state.join("empty");
        fs::create_dir_all(&empty).map_err(failed(&empty))?;
        let empty = empty.canonicalize().map_err(failed(&empty))?;
        let is_root = rustix::process::geteuid().is_root();
        let pictures = state.join("screens");
        let desk = Desk::new(plan, &pictures, frames).map_err(failed(&pictures))?;
        let addresses = plan.listeners.iter().enumerate().map(|(index, listener)| {
            let chosen = published.iter().find(|published| published.listener == index);
            let address =
                chosen.map_or_else(|| Self::own_address(plan, listener), |published| published.address);
            ((listener.machine.clone(), listener.number), address)
        });
        Ok(Self {
            disks,
            addresses: addresses.collect(),
            empty_root: is_root.then(|| CString::new(empty.as_os_str().as_bytes()).ok()).flatten(),
            is_root,
            pictures,
            desk: Rc::new(RefCell::new(desk)),
        })
    }

    /// The file with what a screen shows, once it shows something.
    pub fn picture(&self, screen: &plan::Screen) -> PathBuf {
        self.pictures.join(format!("{}.png", screen.full_name()))
    }

    /// Shows every frame of a screen to somebody else too.
    pub fn look_on(&self, screen: &plan::Screen, onlooker: Onlooker) {
        self.desk.borrow_mut().look_on(screen, onlooker);
    }

    /// Where a listener can be reached unless somebody wants it elsewhere. Each machine of `plan` has a loopback address of
    /// its own, so that two of them can have the same ports.
    pub fn own_address(plan: &Plan, listener: &plan::Listener) -> SocketAddr {
        let mut machines: Vec<&str> = Vec::new();
        for unit in &plan.units {
            if !machines.contains(&unit.machine.as_str()) {
                machines.push(&unit.machine);
            }
        }
        let place = machines.iter().position(|machine| *machine == listener.machine).unwrap_or_default();
        let [_, second, third, fourth] = (u32::from(Ipv4Addr::LOCALHOST) + place as u32).to_be_bytes();
        SocketAddr::from(([127, second, third, fourth], listener.number))
    }

    /// Where a listener can be reached.
    pub fn address(&self, listener: &plan::Listener) -> Option<SocketAddr> {
        self.addresses.get(&(listener.machine.clone(), listener.number)).copied()
    }
}

impl Place for HostPlace {
    fn program(&self, program: &plan::Program) -> io::Result<OwnedFd> {
        File::open(&program.path).map(OwnedFd::from)
    }

    fn disk(&self, disk: &plan::Disk) -> io::Result<OwnedFd> {
        self.disks.open(disk).map(OwnedFd::from)
    }

    fn listener(&self, listener: &plan::Listener) -> io::Result<OwnedFd> {
        let address = self.address(listener).ok_or(io::ErrorKind::AddrNotAvailable)?;
        TcpListener::bind(address).map(OwnedFd::from)
    }

    fn screen(&self, screen: &plan::Screen) -> io::Result<(OwnedFd, OwnedFd)> {
        self.desk.borrow_mut().open(screen)
    }

    fn keys(&self, keys: &plan::Keys) -> io::Result<OwnedFd> {
        self.desk.borrow_mut().keyboards.open(&keys.machine)
    }

    fn press(&self, machine: Option<&str>, keys: &[KeyChange]) -> Result<(), String> {
        self.desk.borrow().keyboards.press(machine, keys)
    }

    fn environment(&self, unit: &plan::Unit) -> Vec<(String, String)> {
        let host = |name: &str, value: &str| {
            (name.to_owned(), std::env::var(name).unwrap_or_else(|_| value.to_owned()))
        };
        let own = ("SOLUM_MACHINE".to_owned(), unit.machine.clone());
        vec![host("PATH", "/usr/local/bin:/usr/bin:/bin"), host("HOME", "/"), host("TMPDIR", "/tmp"), own]
    }

    fn confinement(&self, index: usize, unit: &plan::Unit) -> Confinement {
        let user_id = (self.is_root && !unit.root).then_some(FIRST_USER + index as u32);
        Confinement {
            user_id,
            empty_root: self.empty_root.clone(),
            ported: None,
            memory: unit.memory,
            group: None,
            // The processors of a workstation are not the machine's.
            cores: Vec::new(),
        }
    }
}

/// Runs a system to its end: that of all its units, or the time limit.
///
/// # Errors
///
/// What the system says.
pub fn run(
    place: HostPlace,
    plan: Plan,
    mut operator: Operator,
    mut requests: Requests,
    timeout: Option<Duration>,
    observer: &mut dyn FnMut(Notice<'_>),
) -> io::Result<End> {
    let desk = Rc::clone(&place.desk);
    let frames = desk.borrow().screens.waker()?;
    let begun = Instant::now();
    let mut forced = None;
    let mut runner = Runner::new(place, plan)?;
    // A workstation has a network and a clock.
    runner.condition(Wait::Network);
    runner.condition(Wait::Clock);
    runner.up();
    loop {
        let mut over = None;
        runner.reap();
        for news in runner.turn() {
            match news {
                // It is in its log, which whoever reads it is sent below.
                News::Printed(_) | News::GaveUp(_) => {}
                News::Changed(unit, phase, why) => observer(Notice::Changed(unit, phase, &why)),
                News::RestartMachine(why) => over = Some(Outcome::MachineFailed(why)),
                News::Over(outcome) => over = Some(outcome),
            }
        }
        for trouble in desk.borrow_mut().screens.turn() {
            observer(Notice::Said(&trouble));
        }
        if let Some(outcome) = over {
            operator.finish(&mut runner, FAREWELL_PATIENCE);
            return Ok(forced.unwrap_or(End::Program(outcome)));
        }
        operator.turn(&mut runner);
        let left = timeout.filter(|_| forced.is_none()).map(|limit| limit.saturating_sub(begun.elapsed()));
        let screens_patience = desk.borrow().screens.patience();
        let patience = left.into_iter().chain(screens_patience).min();
        wait(&runner, frames.as_fd(), &operator, &requests, patience)?;
        if let Some(limit) = timeout.filter(|limit| forced.is_none() && begun.elapsed() >= *limit) {
            forced = Some(End::TimedOut(limit));
            kill(&mut runner);
        }
        requests.rest();
        while let Some(request) = requests.next() {
            match request {
                Request::Stop | Request::Signal(SIGTERM) => runner.stop_all(),
                Request::Kill => {
                    forced = Some(End::Killed);
                    kill(&mut runner);
                }
                // A key that nobody feels is no reason to say anything.
                Request::Key(machine, key) => drop(runner.place().press(machine.as_deref(), &[key])),
                // The terminal is whoever's who looks on, not a unit's.
                Request::Signal(_) | Request::Resize { .. } => {}
            }
        }
    }
}

fn kill(runner: &mut Runner<HostPlace>) {
    runner.stop_all();
    runner.kill_all();
}

fn wait(
    runner: &Runner<HostPlace>,
    frames: BorrowedFd<'_>,
    operator: &Operator,
    requests: &Requests,
    left: Option<Duration>,
) -> io::Result<()> {
    let patience = runner.patience().map(|patience| patience + Duration::from_millis(1));
    let patience = [patience, left].into_iter().flatten().min();
    let timeout = patience.and_then(|patience| Timespec::try_from(patience).ok());
    let mut descriptors = runner.poll_descriptors();
    descriptors.extend(operator.poll_descriptors());
    descriptors.push(PollFd::from_borrowed_fd(frames, PollFlags::IN));
    descriptors.push(PollFd::from_borrowed_fd(requests.descriptor(), PollFlags::IN));
    match poll(&mut descriptors, timeout.as_ref()) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
