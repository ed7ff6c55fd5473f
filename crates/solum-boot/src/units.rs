//! The units of a machine that belongs to a system: what is real about them here, and their conversation with the host.

use std::cell::RefCell;
use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags};
use rustix::process::{Pid, WaitStatus};
use solum_spec::control::{Outcome, disk_serial};
use solum_spec::description::Wait;
use solum_spec::keyboard::KeyChange;
use solum_spec::plan::{self, Plan};
use solum_unit::operator::Talk;
use solum_unit::{Confinement, News, Operator, Place, Runner, status_of};

use crate::desk::{self, Desk};
use crate::devices::{self, Announcements};
use crate::life::{SIGKILL, SIGTERM};
use crate::{kernel_log, process};

/// The first user of units; below are those of plain machines.
const FIRST_USER: u32 = 2000;
/// An empty directory that nobody can write, the root of ported units.
const EMPTY_ROOT: &str = "/run/solum/empty";
/// How long a disk may take to appear after its driver was loaded.
const DISK_PATIENCE: Duration = Duration::from_secs(5);
/// How long the host may take to read the last lines that units print.
const FAREWELL_PATIENCE: Duration = Duration::from_secs(10);
/// More than the units' own graces: a unit that stops is waited for by those that it needs.
const GRACE_MARGIN_MS: u32 = 30_000;

/// How long all units together may take to stop: one after the other at worst.
pub fn grace_ms(plan: &Plan) -> u32 {
    plan.units.iter().fold(GRACE_MARGIN_MS, |sum, unit| sum.saturating_add(unit.grace_ms))
}

/// Units that run.
pub struct Units {
    runner: Runner<OwnMachine>,
    desk: Rc<RefCell<Desk>>,
    /// Can be read when a screen is to be looked after.
    frames: OwnedFd,
    operator: Operator,
}

impl Units {
    /// Starts the units of a plan. The host speaks to them on the machine's standard streams.
    pub fn start(plan: Plan, has_no_network: bool) -> io::Result<Self> {
        fs::create_dir_all(EMPTY_ROOT)?;
        let mut operator = Operator::default();
        if let Some(conversation) = Conversation::open()? {
            operator.talk(Box::new(conversation));
        }
        let desk = Rc::new(RefCell::new(Desk::new()?));
        let frames = desk.borrow().screens.waker()?;
        let place = OwnMachine { disks: plan.disks.clone(), desk: Rc::clone(&desk) };
        let mut runner = Runner::new(place, plan)?;
        if has_no_network {
            runner.condition(Wait::Network);
        }
        runner.up();
        Ok(Self { runner, desk, frames, operator })
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
        descriptors.push(PollFd::new(&self.frames, PollFlags::IN));
        descriptors
    }

    /// Does what is due. The outcome of all, when no unit runs any more.
    pub fn turn(&mut self) -> Option<Outcome> {
        let news = self.runner.turn();
        for trouble in self.desk.borrow_mut().screens.turn() {
            kernel_log::warning(&trouble);
        }
        self.operator.turn(&mut self.runner);
        let over = news.into_iter().find_map(|news| match news {
            News::Over(outcome) => Some(outcome),
            News::RestartMachine(why) => Some(Outcome::MachineFailed(why)),
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

    /// Whether the process was one of the units'.
    pub fn ended(&mut self, pid: Pid, status: WaitStatus) -> bool {
        self.runner.ended(pid, status_of(status))
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

/// The host's orders come on standard input, and standard output takes the answers.
struct Conversation {
    input: File,
    output: File,
}

impl Conversation {
    /// Nothing if the streams are a terminal: then a person sits there, who speaks another language.
    fn open() -> io::Result<Option<Self>> {
        let devices::Streams { files: [input, output, _], terminal } = devices::open_streams()?;
        if terminal.is_some() {
            return Ok(None);
        }
        for file in [&input, &output] {
            rustix::io::ioctl_fionbio(file, true)?;
        }
        Ok(Some(Self { input, output }))
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
    desk: Rc<RefCell<Desk>>,
}

impl Place for OwnMachine {
    fn program(&self, program: &plan::Program) -> io::Result<OwnedFd> {
        File::open(&program.path).map(OwnedFd::from)
    }

    fn disk(&self, disk: &plan::Disk) -> io::Result<OwnedFd> {
        let place = self.disks.iter().position(|known| known == disk).ok_or(io::ErrorKind::NotFound)?;
        let serial = disk_serial(place);
        let path = Announcements::listen()?
            .wait_for(DISK_PATIENCE, || block_device(&serial))
            .ok_or_else(|| io::Error::other("the machine has no such disk"))?;
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
            user_id: (!unit.root).then_some(FIRST_USER + index as u32),
            empty_root: CString::new(EMPTY_ROOT).ok(),
            ported: None,
            memory: unit.memory,
            cores: unit.cores.clone(),
        }
    }
}

fn block_device(serial: &str) -> Option<PathBuf> {
    fs::read_dir("/sys/block").ok()?.flatten().find_map(|entry| {
        let own = fs::read_to_string(entry.path().join("serial")).ok()?;
        let path = Path::new("/dev").join(entry.file_name());
        (own.trim_end() == serial && path.exists()).then_some(path)
    })
}
