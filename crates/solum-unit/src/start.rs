//! From a unit to a running process.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::{self, PipeReader};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal};
use seccompiler::BpfProgram;
use solum_link::EndDescriptors;
use solum_spec::handover::{self, Handover, LinkEnd, Plug, Resource};

use crate::confinement::{self, Confinement};
use crate::descriptors::{Lifted, Numbered};
use crate::group::Group;
use crate::memory_file;

/// Descriptors that a unit may open beside those it is handed: streams that it accepts.
const MORE_DESCRIPTORS: u64 = 1024;

/// A process that is to be.
pub struct Start<'a> {
    /// The unit's own name: `machine.unit`.
    pub unit: &'a str,
    /// How many times it was started before, plus one.
    pub epoch: u32,
    /// Its executable, open for reading.
    pub program: BorrowedFd<'a>,
    /// Its arguments; the first is its own name.
    pub arguments: &'a [CString],
    /// Its environment, `NAME=VALUE`.
    pub environment: &'a [CString],
    /// What is plugged into its ports.
    pub grants: &'a [Grant<'a>],
    /// How far it is shut in.
    pub confinement: &'a Confinement,
    /// Its control group, if it has one.
    pub group: Option<&'a Group>,
}

/// What is plugged into one port.
pub struct Grant<'a> {
    /// The port.
    pub port: &'a str,
    /// The devices, in order.
    pub devices: Vec<Device<'a>>,
}

/// A device, open.
pub enum Device<'a> {
    /// A file or a block device.
    Disk {
        /// Open as far as it may be used.
        file: BorrowedFd<'a>,
        /// Its capacity.
        bytes: u64,
        /// Bytes of a block.
        block_bytes: u32,
        /// Whether it may be written.
        writable: bool,
    },
    /// An end of a link.
    Link {
        /// Who is at the other end.
        peer: &'a str,
        /// The end.
        end: EndDescriptors<'a>,
    },
    /// A socket that listens.
    Listener(BorrowedFd<'a>),
    /// Two frames in memory, and a socket to whoever shows them.
    Screen {
        /// The frames.
        memory: BorrowedFd<'a>,
        /// The socket.
        shown: BorrowedFd<'a>,
        /// Pixels in a line.
        width: u32,
        /// Lines.
        height: u32,
    },
    /// A stream of input events.
    Keys(BorrowedFd<'a>),
    /// A socket to the supervisor.
    Units(BorrowedFd<'a>),
}

/// A running unit.
#[derive(Debug)]
pub struct Process {
    /// Its number. Whoever starts it has to wait for it.
    pub pid: Pid,
    /// What it tells its supervisor, as frames of [`handover::FromUnit`].
    pub control: UnixStream,
    /// Its standard output and standard error, not blocking.
    pub output: [PipeReader; 2],
    /// Readable when it has ended (pidfd_open(2)).
    pub ended: OwnedFd,
}

/// Starts a process. When this returns it runs its own program already, shut in.
///
/// # Errors
///
/// What the system says; nothing is left of the attempt.
pub fn start(start: &Start<'_>) -> io::Result<Process> {
    let (control, control_of_unit) = UnixStream::pair()?;
    control.set_nonblocking(true)?;
    let (output, output_of_unit) = io::pipe()?;
    let (errors, errors_of_unit) = io::pipe()?;
    for pipe in [&output, &errors] {
        rustix::io::ioctl_fionbio(pipe, true)?;
    }
    let (handed, lifted) = hand_over(start, control_of_unit.as_fd())?;
    let mut child = Prepared::new(start, lifted)?;
    // Its own name stands here only for messages: the child replaces itself before this would be run.
    let mut command = Command::new("/proc/self/exe");
    command.env_clear().stdin(Stdio::null()).stdout(output_of_unit).stderr(errors_of_unit);
    // SAFETY: between fork and exec the closure makes system calls and nothing else; everything they need was made before.
    unsafe { command.pre_exec(move || child.become_program()) };
    let mut process = command.spawn()?;
    drop((handed, control_of_unit));
    let pid = Pid::from_child(&process);
    let ended = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).inspect_err(|_| {
        // Without it nothing would be told of the process's end.
        let _ = process.kill();
        let _ = process.wait();
    })?;
    Ok(Process { pid, control, output: [output, errors], ended })
}

/// Writes the handover and numbers the descriptors. The file in memory has to live until the process is started.
fn hand_over(start: &Start<'_>, control: BorrowedFd<'_>) -> io::Result<(File, Lifted)> {
    let first = handover::DESCRIPTOR;
    // The handover itself comes first, and is written last, when every number is known.
    let mut numbered = Numbered::default();
    let control_number = numbered.add(first + 1, control);
    let mut number = |descriptor| numbered.add(first + 1, descriptor);
    let plugs = start.grants.iter().map(|grant| plug(grant, &mut number)).collect();
    let handover = Handover {
        version: handover::VERSION,
        unit: start.unit.to_owned(),
        epoch: start.epoch,
        control: control_number,
        plugs,
    };
    let file = memory_file::sealed("solum-handover", &handover.to_bytes())?;
    let lifted = numbered.lift_with(first, file.as_fd())?;
    Ok((file, lifted))
}

fn plug<'a>(grant: &Grant<'a>, number: &mut impl FnMut(BorrowedFd<'a>) -> RawFd) -> Plug {
    let resources = grant.devices.iter().map(|device| resource(device, number)).collect();
    Plug { port: grant.port.to_owned(), resources }
}

fn resource<'a>(device: &Device<'a>, number: &mut impl FnMut(BorrowedFd<'a>) -> RawFd) -> Resource {
    match device {
        Device::Disk { file, bytes, block_bytes, writable } => Resource::Disk {
            descriptor: number(*file),
            bytes: *bytes,
            block_bytes: *block_bytes,
            writable: *writable,
        },
        Device::Link { peer, end } => Resource::Link(LinkEnd {
            peer: (*peer).to_owned(),
            memory: number(end.memory),
            own_bell: number(end.own_bell),
            peer_bell: number(end.peer_bell),
        }),
        Device::Listener(socket) => Resource::Listener { descriptor: number(*socket) },
        Device::Screen { memory, shown, width, height } => Resource::Screen {
            memory: number(*memory),
            shown: number(*shown),
            width: *width,
            height: *height,
        },
        Device::Keys(stream) => Resource::Keys { descriptor: number(*stream) },
        Device::Units(socket) => Resource::Units { descriptor: number(*socket) },
    }
}

/// Everything the child needs between fork and exec, so that it only makes system calls.
struct Prepared {
    parent: Pid,
    lifted: Lifted,
    program: OwnedFd,
    _arguments: Vec<CString>,
    argument_pointers: Pointers,
    _environment: Vec<CString>,
    environment_pointers: Pointers,
    confinement: Confinement,
    filters: Vec<BpfProgram>,
    landlock: Option<OwnedFd>,
    entrance: Option<OwnedFd>,
}

/// Pointers to strings that live beside them, and a null pointer at the end.
struct Pointers(Vec<*const libc::c_char>);

// SAFETY: the strings are owned by the same structure and never changed; the pointers are only read.
unsafe impl Send for Pointers {}
// SAFETY: as for `Send`.
unsafe impl Sync for Pointers {}

impl Pointers {
    fn to(strings: &[CString]) -> Self {
        // The heap memory of a CString stays where it is when the CString itself is moved.
        Self(strings.iter().map(|string| string.as_ptr()).chain([std::ptr::null()]).collect())
    }
}

impl Prepared {
    fn new(start: &Start<'_>, lifted: Lifted) -> io::Result<Self> {
        let arguments = start.arguments.to_vec();
        let mut environment = start.environment.to_vec();
        let handed = format!("{}={}", handover::VARIABLE, handover::DESCRIPTOR);
        environment.push(CString::new(handed)?);
        // Above all numbers that are given away, and gone when the program runs.
        let program = rustix::io::fcntl_dupfd_cloexec(start.program, lifted.end())?;
        let (filters, landlock) = match start.confinement.ported {
            Some(devices) => (devices.filters()?, confinement::landlock(&program)?),
            None => (Vec::new(), None),
        };
        let lift = |descriptor: OwnedFd| rustix::io::fcntl_dupfd_cloexec(descriptor, lifted.end());
        let landlock = landlock.map(lift).transpose()?;
        let entrance = start.group.map(Group::entrance).transpose()?.map(lift).transpose()?;
        Ok(Self {
            parent: rustix::process::getpid(),
            lifted,
            program,
            argument_pointers: Pointers::to(&arguments),
            _arguments: arguments,
            environment_pointers: Pointers::to(&environment),
            _environment: environment,
            confinement: start.confinement.clone(),
            filters,
            landlock,
            entrance,
        })
    }

    /// Shuts this process in and makes it the program. Returns only if that failed.
    fn become_program(&mut self) -> io::Result<()> {
        rustix::process::setsid()?;
        if let Some(entrance) = &self.entrance {
            rustix::io::write(entrance, b"0")?;
        }
        self.limit()?;
        self.lifted.land()?;
        // Whatever was open without being closed on exec.
        // SAFETY: close_range(2) takes three integers and touches no memory.
        unsafe {
            libc::syscall(
                libc::SYS_close_range,
                self.lifted.end(),
                libc::c_uint::MAX,
                libc::CLOSE_RANGE_CLOEXEC,
            )
        };
        self.give_up_root()?;
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
        // The parent may have died before that call, and then nobody would send the signal.
        if rustix::process::getppid() != Some(self.parent) {
            return Err(io::Error::from_raw_os_error(libc::ESRCH));
        }
        rustix::thread::set_no_new_privs(true)?;
        if let Some(ruleset) = &self.landlock {
            // SAFETY: landlock_restrict_self(2) takes a descriptor and flags, and touches no memory.
            if unsafe { libc::syscall(libc::SYS_landlock_restrict_self, ruleset.as_raw_fd(), 0) } < 0 {
                return Err(io::Error::last_os_error());
            }
        }
        let own = rustix::process::getpid().as_raw_nonzero().get().cast_unsigned();
        for filter in &mut self.filters {
            confinement::own(filter, own);
            seccompiler::apply_filter(filter).map_err(|_| io::Error::last_os_error())?;
        }
        let empty: &CStr = c"";
        // SAFETY: every pointer is to memory that this structure owns; both lists end with a null pointer. The call returns
        // only if it failed.
        unsafe {
            libc::syscall(
                libc::SYS_execveat,
                self.program.as_raw_fd(),
                empty.as_ptr(),
                self.argument_pointers.0.as_ptr(),
                self.environment_pointers.0.as_ptr(),
                libc::AT_EMPTY_PATH,
            );
        }
        Err(io::Error::last_os_error())
    }

    fn limit(&self) -> io::Result<()> {
        use rustix::process::{Resource, Rlimit, setrlimit};
        let set =
            |resource, value| setrlimit(resource, Rlimit { current: Some(value), maximum: Some(value) });
        set(Resource::Core, 0)?;
        if let Some(devices) = &self.confinement.ported {
            set(Resource::Nofile, self.lifted.end() as u64 + MORE_DESCRIPTORS)?;
            // Nothing behind the end of a disk that is a file.
            set(Resource::Fsize, devices.disk.max(devices.screen).unwrap_or(0))?;
        }
        if let Some(bytes) = self.confinement.memory.filter(|_| self.entrance.is_none()) {
            set(Resource::Data, bytes)?;
        }
        if !self.confinement.cores.is_empty() {
            let mut set = rustix::thread::CpuSet::new();
            for core in &self.confinement.cores {
                set.set(*core);
            }
            rustix::thread::sched_setaffinity(None, &set)?;
        }
        Ok(())
    }

    fn give_up_root(&self) -> io::Result<()> {
        if let Some(root) = &self.confinement.empty_root {
            // SAFETY: chroot(2) and chdir(2) read a string that ends with a zero byte.
            if unsafe { libc::chroot(root.as_ptr()) } < 0 || unsafe { libc::chdir(c"/".as_ptr()) } < 0 {
                return Err(io::Error::last_os_error());
            }
        }
        if let Some(id) = self.confinement.user_id {
            // Also for a program that finds a way to be root again (capabilities(7), "bounding set").
            for capability in 0..=63 {
                // SAFETY: prctl(2) with this option takes integers and touches no memory. Numbers that the kernel does not
                // know are refused, which is as good.
                unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) };
            }
            // SAFETY: these take integers and, with a length of 0, touch no memory.
            let failed = unsafe {
                libc::setgroups(0, std::ptr::null()) < 0
                    || libc::setresgid(id, id, id) < 0
                    || libc::setresuid(id, id, id) < 0
            };
            if failed {
                return Err(io::Error::last_os_error());
            }
        }
        Ok(())
    }
}
