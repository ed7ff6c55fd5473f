//! The units of a machine that belongs to a system: what is real about them here, and their conversation with the host.

use std::cell::RefCell;
use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags};
use rustix::process::{Pid, WaitStatus};
use rustix::rand::GetRandomFlags;
use solum_spec::control::{self, Ending, Outcome, SIGKILL, SIGTERM, disk_serial};
use solum_spec::description::Wait;
use solum_spec::keyboard::KeyChange;
use solum_spec::network::{Relay, RelayedLink, SystemNetwork};
pub use solum_spec::plan::Plan;
use solum_spec::storage::disk_partition;
use solum_spec::{plan, reason};
use solum_unit::group;
use solum_unit::operator::Talk;
use solum_unit::{Confinement, Entry, News, Operator, Place, Runner, status_of};

use crate::desk::{self, Desk};
use crate::devices::{self, Announcements};
use crate::identity::FIRST_UNIT_USER;
use crate::storage::Owners;
use crate::tail::LAST_WORDS_MAX;
use crate::unit_console::UnitConsole;
use crate::{kernel_log, process};

/// An empty directory that nobody can write, the root of ported units.
const EMPTY_ROOT: &str = "/run/solum/empty";
/// Control groups of units are in this one.
const GROUPS: &str = "/sys/fs/cgroup/units";
/// How long devices may take to appear after their drivers were loaded.
const DEVICE_PATIENCE: Duration = Duration::from_secs(5);
/// How many of a failed unit's lines are looked at to find its last words.
const LAST_LINES: usize = 1000;
/// How long the host may take to read the last lines that units print.
const FAREWELL_PATIENCE: Duration = Duration::from_secs(10);
/// More than the units' own graces: a unit that stops is waited for by those that it needs.
const GRACE_MARGIN_MS: u32 = 30_000;

/// What this machine runs, if it belongs to a system.
///
/// # Errors
///
/// For people, if the image has a plan that cannot be read.
pub fn plan() -> Result<Option<Plan>, String> {
    match fs::read(plan::PATH) {
        Ok(bytes) => Plan::from_bytes(&bytes).map(Some).map_err(|error| error.to_string()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("{} cannot be read: {}", plan::PATH, reason(&error))),
    }
}

/// The network to the other machines.
pub fn network(plan: &Plan) -> Option<&SystemNetwork> {
    plan.network.as_ref()
}

/// How long all units together may take to stop: one after the other at worst.
pub fn grace_ms(plan: &Plan) -> u32 {
    plan.units.iter().fold(GRACE_MARGIN_MS, |sum, unit| sum.saturating_add(unit.grace_ms))
}

/// Who writes to what outlives the machine: the units that see files at all.
pub fn owners(plan: &Plan) -> Owners {
    let is_plain = |unit: &plan::Unit| plan.programs.get(unit.program).is_some_and(|program| !program.ported);
    let units = plan.units.iter().enumerate().filter(|(_, unit)| is_plain(unit));
    Owners::Units(units.map(|(index, unit)| (unit.name.clone(), user_id(index, unit).unwrap_or(0))).collect())
}

/// The user that the unit at this place in the plan runs as; none for root.
fn user_id(index: usize, unit: &plan::Unit) -> Option<u32> {
    (!unit.root).then_some(FIRST_UNIT_USER + index as u32)
}

/// Waits until the kernel has found what the plan names, once, before anything runs: a unit that misses a device later is
/// started again by its supervisor, and PID 1 has other things to do than to wait.
fn wait_for_devices(plan: &Plan) {
    let are_there = || {
        // Two partitions of one name are no reason to wait either.
        let has_disk = |(place, disk): (usize, &plan::Disk)| !matches!(disk_device(place, disk), Ok(None));
        (plan.disks.iter().enumerate().all(has_disk) && desk::is_complete(plan)).then_some(())
    };
    // What is missing in the end is told when a unit wants it.
    let _ = Announcements::listen().map(|announcements| announcements.wait_for(DEVICE_PATIENCE, are_there));
}

/// Units that run.
pub struct Units {
    runner: Runner<OwnMachine>,
    desk: Rc<RefCell<Desk>>,
    /// Can be read when a screen is to be looked after.
    frames: OwnedFd,
    operator: Operator,
    /// Where units' lines are shown if no host asks for them.
    console: Option<UnitConsole>,
    /// How often the relay was started.
    relay_epoch: u32,
    /// Distinguishes this life of the machine from every other.
    life: u64,
    /// What has failed and was not asked for yet.
    failed: Option<Failed>,
}

/// Failures of units.
pub struct Failed {
    /// Which units, and how.
    pub what: String,
    /// The last that they printed.
    pub words: Vec<u8>,
    /// They were to end, and only did not do so well.
    pub is_asked: bool,
}

impl Units {
    /// Starts the units of a plan. The host speaks to them on the machine's standard streams.
    pub fn start(plan: Plan) -> io::Result<Self> {
        fs::create_dir_all(EMPTY_ROOT)?;
        let mut operator = Operator::default();
        let devices::Streams { files: [input, output, _], terminal } = devices::open_streams()?;
        // At a terminal sits a person, who speaks another language than a host.
        let console = match terminal {
            Some(_) => UnitConsole::new(output, plan.units.len()),
            None => {
                operator.talk(Box::new(Conversation::new(input, output)?));
                None
            }
        };
        let desk = Rc::new(RefCell::new(Desk::new()?));
        let frames = desk.borrow().screens.waker()?;
        let groups = group::prepare(Path::new(GROUPS)).inspect_err(|error| {
            kernel_log::warning(&format!("units have no control groups: {}", reason(error)));
        });
        let place =
            OwnMachine { disks: plan.disks.clone(), desk: Rc::clone(&desk), has_groups: groups.is_ok() };
        wait_for_devices(&plan);
        let mut runner = Runner::new(place, plan)?;
        runner.up();
        let mut life = [0; 8];
        // Where the kernel has not gathered enough yet, it need not be secret, only not the same.
        rustix::rand::getrandom(&mut life, GetRandomFlags::INSECURE)?;
        Ok(Self {
            runner,
            desk,
            frames,
            operator,
            console,
            relay_epoch: 0,
            life: u64::from_ne_bytes(life),
            failed: None,
        })
    }

    /// What the role `link` is told (an encoded [`Relay`]) and inherits, which is about to be started. Nothing, if there is nothing for it to do.
    pub fn start_relay(&mut self) -> Option<(Vec<u8>, Vec<RawFd>)> {
        let network = self.runner.plan().network.clone()?;
        self.relay_epoch += 1;
        self.runner.set_relayed(Some(self.relay_epoch));
        let listen = SocketAddrV4::new(network.address, network.port);
        let mut inherited = Vec::new();
        let mut links = Vec::new();
        for (link, remote, end) in self.runner.remote_ends() {
            let Some(peer) = network.peers.iter().find(|peer| peer.machine == remote.machine) else {
                continue;
            };
            let descriptors =
                [end.memory, end.own_bell, end.peer_bell].map(|descriptor| descriptor.as_raw_fd());
            inherited.extend(descriptors);
            links.push(RelayedLink {
                id: remote.id,
                name: format!("{} to {}", link.client, link.server),
                here: remote.here,
                peer: SocketAddrV4::new(peer.address, network.port),
                public: peer.public,
                descriptors,
            });
        }
        let relay = Relay { life: self.life, secret: network.secret, listen, links };
        Some((control::encode(&relay), inherited))
    }

    /// The role `link` has ended: whoever talks with another machine is told that nobody is there.
    pub fn relay_ended(&self) {
        self.runner.set_relayed(None);
    }

    /// What units may wait for has come about.
    pub fn condition(&mut self, condition: Wait) {
        self.runner.condition(condition);
    }

    /// How long a [`turn`](Self::turn) may be put off if nothing can be read.
    pub fn patience(&self) -> Option<Duration> {
        self.runner.patience().into_iter().chain(self.desk.borrow().screens.patience()).min()
    }

    /// When one of these is ready, a [`turn`](Self::turn) is due.
    pub fn poll_descriptors(&self) -> Vec<PollFd<'_>> {
        let mut descriptors = self.runner.poll_descriptors();
        descriptors.extend(self.operator.poll_descriptors());
        let console = self.console.as_ref().and_then(UnitConsole::waiting);
        descriptors.extend(console.map(|console| PollFd::new(console, PollFlags::OUT)));
        descriptors.push(PollFd::new(&self.frames, PollFlags::IN));
        descriptors
    }

    /// Does what is due. The outcome of all, when no unit runs any more, and what they want to become of the machine.
    pub fn turn(&mut self) -> Option<(Outcome, Option<Ending>)> {
        let news = self.runner.turn();
        for trouble in self.desk.borrow_mut().screens.turn() {
            kernel_log::warning(&trouble);
        }
        self.operator.turn(&mut self.runner);
        if let Some(console) = &mut self.console {
            console.turn(&self.runner);
        }
        let over = news.into_iter().find_map(|news| match news {
            News::Over(outcome) => Some((outcome, None)),
            News::RestartMachine(why) => Some((Outcome::MachineFailed(why), Some(Ending::Reboot))),
            News::GaveUp(unit) => {
                let name = self.runner.plan().units.get(unit).map(plan::Unit::full_name).unwrap_or_default();
                kernel_log::warning(&format!("unit {name} failed too often and is given up"));
                None
            }
            News::Printed(_) | News::Changed(..) => None,
        })?;
        self.operator.finish(&mut self.runner, FAREWELL_PATIENCE);
        Some(over)
    }

    /// Waits until what units printed has left the machine, for a while at most.
    pub fn drain(&mut self) {
        if let Some(console) = &mut self.console {
            console.drain(FAREWELL_PATIENCE);
        }
    }

    /// Whether the process was one of the units'.
    pub fn ended(&mut self, pid: Pid, status: WaitStatus) -> bool {
        let Some(end) = self.runner.ended(pid, status_of(status)) else { return false };
        if let Some(what) = end.failure {
            let words = self.last_words(end.unit);
            self.failed = Failed { what, words, is_asked: end.is_asked }.after(self.failed.take());
        }
        true
    }

    /// What has failed since this was asked last.
    pub fn failed(&mut self) -> Option<Failed> {
        self.failed.take()
    }

    fn last_words(&self, unit: usize) -> Vec<u8> {
        let mut words = Vec::new();
        if let Some(log) = self.runner.log(unit) {
            let mut position = log.last(LAST_LINES);
            while let Some(entry) = log.read(&mut position) {
                if let Entry::Line(line) = entry {
                    words.extend_from_slice(&line.bytes);
                    words.push(b'\n');
                }
            }
        }
        words
    }

    /// What the machine's program is to be sent, all units get in their way.
    pub fn signal(&mut self, signal: u8) {
        if signal == SIGTERM {
            self.runner.stop_all();
        } else if signal == SIGKILL {
            self.runner.kill_all();
        }
    }
}

impl Failed {
    /// This together with what failed at the same time: processes that ended are not found in the order in which they did, so
    /// that one of them may be the reason for the other. What failed by itself is not hidden by what was to end.
    fn after(self, other: Option<Self>) -> Option<Self> {
        match other {
            Some(other) if self.is_asked && !other.is_asked => Some(other),
            Some(mut other) if self.is_asked == other.is_asked => {
                // There is room for both.
                let mut words = self.words;
                for words in [&mut words, &mut other.words] {
                    words.drain(..words.len().saturating_sub(LAST_WORDS_MAX / 2));
                }
                other.what = format!("{}; {}", other.what, self.what);
                other.words.append(&mut words);
                Some(other)
            }
            _ => Some(self),
        }
    }
}

/// The host's orders come on standard input, and standard output takes the answers.
struct Conversation {
    input: File,
    output: File,
}

impl Conversation {
    fn new(input: File, output: File) -> io::Result<Self> {
        for file in [&input, &output] {
            rustix::io::ioctl_fionbio(file, true)?;
        }
        Ok(Self { input, output })
    }
}

impl Talk for Conversation {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.input.read(buffer)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.output.write(bytes)
    }

    fn input(&self) -> BorrowedFd<'_> {
        self.input.as_fd()
    }

    fn output(&self) -> BorrowedFd<'_> {
        self.output.as_fd()
    }
}

/// This machine as a place for units.
struct OwnMachine {
    disks: Vec<plan::Disk>,
    /// Whether units may have control groups.
    has_groups: bool,
    desk: Rc<RefCell<Desk>>,
}

impl Place for OwnMachine {
    fn program(&self, program: &plan::Program) -> io::Result<OwnedFd> {
        File::open(&program.path).map(OwnedFd::from)
    }

    fn disk(&self, disk: &plan::Disk) -> io::Result<OwnedFd> {
        let place = self.disks.iter().position(|known| known == disk).ok_or(io::ErrorKind::NotFound)?;
        let missing = || io::Error::other("the machine has no such disk, and no partition of its name");
        let path = disk_device(place, disk)?.ok_or_else(missing)?;
        let mut file = OpenOptions::new().read(true).write(true).open(&path)?;
        let found = file.seek(SeekFrom::End(0))?;
        if found < disk.bytes {
            let described = disk.bytes;
            return Err(io::Error::other(format!("it is described with {described} bytes, and has {found}")));
        }
        Ok(file.into())
    }

    fn listener(&self, listener: &plan::Listener) -> io::Result<OwnedFd> {
        TcpListener::bind((Ipv4Addr::UNSPECIFIED, listener.number)).map(OwnedFd::from)
    }

    fn screen(&self, screen: &plan::Screen) -> io::Result<(OwnedFd, OwnedFd)> {
        self.desk.borrow_mut().open(screen)
    }

    fn keys(&self, _: &plan::Keys) -> io::Result<OwnedFd> {
        desk::open_keyboard()
    }

    fn press(&self, _: Option<&str>, keys: &[KeyChange]) -> Result<(), String> {
        desk::press(keys)
    }

    fn environment(&self, unit: &plan::Unit) -> Vec<(String, String)> {
        process::system_environment(unit.root, &unit.machine)
    }

    fn confinement(&self, index: usize, unit: &plan::Unit) -> Confinement {
        Confinement {
            user_id: user_id(index, unit),
            empty_root: CString::new(EMPTY_ROOT).ok(),
            ported: None,
            memory: unit.memory,
            group: self.has_groups.then(|| Path::new(GROUPS).join(unit.full_name())),
            cores: unit.cores.clone(),
        }
    }
}

/// Where a disk of this machine is: the virtual one with the serial number of its place, else the partition of its name.
fn disk_device(place: usize, disk: &plan::Disk) -> io::Result<Option<PathBuf>> {
    if let Some(path) = block_device(&disk_serial(place)) {
        return Ok(Some(path));
    }
    let wanted = format!("PARTNAME={}", disk_partition(&disk.name));
    let entries = fs::read_dir("/sys/class/block").into_iter().flatten().flatten();
    let is_it = |entry: &fs::DirEntry| {
        let told = fs::read_to_string(entry.path().join("uevent")).unwrap_or_default();
        told.lines().any(|line| line == wanted)
    };
    let mut found = entries.filter(is_it).map(|entry| Path::new("/dev").join(entry.file_name()));
    match (found.next(), found.next()) {
        (Some(one), Some(other)) => Err(io::Error::other(format!(
            "both {} and {} are partitions of its name, {}; take one of them away",
            one.display(),
            other.display(),
            disk_partition(&disk.name)
        ))),
        (found, _) => Ok(found),
    }
}

fn block_device(serial: &str) -> Option<PathBuf> {
    fs::read_dir("/sys/block").ok()?.flatten().find_map(|entry| {
        let own = fs::read_to_string(entry.path().join("serial")).ok()?;
        let path = Path::new("/dev").join(entry.file_name());
        (own.trim_end() == serial && path.exists()).then_some(path)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(what: &str, words: &[u8], is_asked: bool) -> Failed {
        Failed { what: what.to_owned(), words: words.to_vec(), is_asked }
    }

    #[test]
    fn of_failures_at_the_same_time_none_is_lost() {
        let long = [vec![b'x'; LAST_WORDS_MAX], b"why".to_vec()].concat();
        let both = failed("b", &long, false).after(Some(failed("a", &long, false))).unwrap();
        assert_eq!(both.what, "a; b");
        assert_eq!(both.words.len(), LAST_WORDS_MAX);
        assert_eq!(both.words.windows(3).filter(|three| three == b"why").count(), 2);
        assert!(!both.is_asked);
    }

    #[test]
    fn what_failed_by_itself_is_not_hidden_by_what_was_to_end() {
        for (first, second) in [(false, true), (true, false)] {
            let failed =
                failed("b", b"b", second).after(Some(failed("a", b"a", first))).filter(|one| !one.is_asked);
            assert_eq!(failed.unwrap().what, if first { "b" } else { "a" });
        }
        assert_eq!(failed("a", b"", true).after(None).map(|one| one.what), Some("a".to_owned()));
    }
}
