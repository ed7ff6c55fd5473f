//! The QEMU process and the channels to it.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::io::{Errno, FdFlags};
use rustix::process::Pid;

use crate::child;
use crate::error::VmError;
use crate::machine::{Console, Machine};
use crate::qemu::{self, Channels, Sockets};
use crate::qmp;

/// Where bytes come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// The program's standard output, or its terminal.
    Output,
    /// The program's standard error.
    Error,
    /// The kernel's log.
    KernelLog,
    /// The control channel.
    Control,
    /// QMP.
    Monitor,
    /// QEMU's standard error.
    Complaints,
}

/// A channel that bytes come from.
#[derive(Debug)]
pub(crate) struct Inlet {
    pub(crate) source: Source,
    pub(crate) descriptor: OwnedFd,
}

/// What a look into an inlet gives.
pub(crate) enum Received {
    Bytes(Vec<u8>),
    Nothing,
    End,
}

impl Inlet {
    /// Reads without waiting.
    pub(crate) fn read(&self) -> Received {
        let mut buffer = [0; 64 * 1024];
        match rustix::io::read(&self.descriptor, &mut buffer) {
            Ok(0) => Received::End,
            Ok(count) => Received::Bytes(buffer[..count].to_vec()),
            Err(Errno::AGAIN | Errno::INTR) => Received::Nothing,
            // A socket whose peer was killed with bytes unread says ECONNRESET: an end like any other.
            Err(_) => Received::End,
        }
    }
}

/// A QEMU process.
#[derive(Debug)]
pub(crate) struct Emulator {
    child: Child,
    /// All that is still open; empty when QEMU is gone.
    pub(crate) inlets: Vec<Inlet>,
    control: UnixStream,
    monitor: UnixStream,
    input: Option<OwnedFd>,
}

/// A terminal's output that waits for us; the most an unprivileged process may ask for (pipe(7)).
const TERMINAL_PIPE_BYTES: usize = 1 << 20;

impl Emulator {
    /// Starts QEMU.
    pub(crate) fn start(machine: &Machine, cable: Option<OwnedFd>) -> Result<Self, VmError> {
        let mut pairs = Pairs::default();
        let (kernel_log, theirs_kernel_log) = pairs.open()?;
        let (control, theirs_control) = pairs.open()?;
        let (monitor, theirs_monitor) = pairs.open()?;
        let streams = match machine.console {
            Console::Terminal => None,
            Console::Streams => Some([pairs.open()?, pairs.open()?, pairs.open()?]),
        };
        let sockets = Sockets {
            kernel_log: theirs_kernel_log,
            control: theirs_control,
            monitor: theirs_monitor,
            streams: streams.as_ref().map(|streams| [streams[0].1, streams[1].1, streams[2].1]),
            network: cable.map(|cable| pairs.hand_over(cable.into())),
        };
        let command = qemu::command(machine, &Channels::Sockets(sockets))?;
        let mut child = spawn(machine, &command, pairs)?;

        let mut inlets = Vec::new();
        let mut add = |source, descriptor: OwnedFd| -> io::Result<()> {
            rustix::io::ioctl_fionbio(&descriptor, true)?;
            inlets.push(Inlet { source, descriptor });
            Ok(())
        };
        let input = match streams {
            Some([(input, _), (output, _), (error, _)]) => {
                add(Source::Output, output.into())?;
                add(Source::Error, error.into())?;
                Some(input.into())
            }
            None => {
                if let Some(output) = child.stdout.take() {
                    // Without the larger pipe a burst of output is more easily lost, and nothing else.
                    let _ = rustix::pipe::fcntl_setpipe_size(&output, TERMINAL_PIPE_BYTES);
                    add(Source::Output, output.into())?;
                }
                child.stdin.take().map(OwnedFd::from)
            }
        };
        add(Source::KernelLog, kernel_log.into())?;
        add(Source::Control, control.try_clone()?.into())?;
        add(Source::Monitor, monitor.try_clone()?.into())?;
        if let Some(complaints) = child.stderr.take() {
            add(Source::Complaints, complaints.into())?;
        }
        Ok(Self { child, inlets, control, monitor, input })
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Writes to the control channel. The machine may be gone, which its end of file says too.
    pub(crate) fn send(&mut self, frame: &[u8]) {
        let _ = self.control.write_all(frame);
    }

    /// Gives QEMU a command. QEMU may be gone, which its end of file says too.
    pub(crate) fn command(&mut self, name: &str) {
        let _ = self.monitor.write_all(qmp::command(name).as_bytes());
    }

    /// Closes the control channel.
    pub(crate) fn hang_up(&mut self) {
        let _ = self.control.shutdown(Shutdown::Both);
    }

    /// Ends QEMU at once.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
    }

    /// QEMU's exit status, once its channels have ended.
    pub(crate) fn wait(&mut self) -> io::Result<ExitStatus> {
        self.child.wait()
    }

    /// Lets a thread pass on what the program is to read, from now on.
    pub(crate) fn feed(&mut self, reader: Option<Box<dyn Read + Send>>, console: Console) {
        let Some(outlet) = self.input.take() else { return };
        let reader = reader.unwrap_or_else(|| Box::new(io::empty()));
        let feeder = std::thread::Builder::new().name("input".into());
        // Without the thread the program's input is empty: the outlet closes with the closure.
        let _ = feeder.spawn(move || feed(reader, outlet, console));
    }
}

impl Drop for Emulator {
    /// A run that fails half-way leaves no machine behind. After [`Emulator::wait`] both do nothing.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn feed(mut reader: Box<dyn Read + Send>, outlet: OwnedFd, console: Console) {
    let mut buffer = [0; 16 * 1024];
    let mut last = b'\n';
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) if write_all(&outlet, &buffer[..count]).is_ok() => last = buffer[count - 1],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            _ => return,
        }
    }
    match console {
        // QEMU closes a socket on its end of file, and with it the port, which the program sees as its own.
        // Closing all of it at once would lose what QEMU has not yet read.
        Console::Streams => {
            let _ = rustix::net::shutdown(&outlet, rustix::net::Shutdown::Write);
            wait_for_end(&outlet);
        }
        // A terminal ends its input with ^D (POSIX XBD 11.1.9); within a line the first one only sends the line.
        Console::Terminal => {
            let _ = write_all(&outlet, if last == b"\n"[0] { b"\x04" } else { b"\x04\x04" });
        }
    }
}

fn write_all(outlet: &OwnedFd, mut bytes: &[u8]) -> rustix::io::Result<()> {
    while !bytes.is_empty() {
        match rustix::io::write(outlet, bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Nothing ever comes from the program's input, so this ends with QEMU's end of the socket.
fn wait_for_end(outlet: &OwnedFd) {
    let mut buffer = [0; 64];
    while matches!(rustix::io::read(outlet, &mut buffer), Ok(1..) | Err(Errno::INTR)) {}
}

/// QEMU's ends of the sockets, open until it has its copies.
#[derive(Default)]
struct Pairs {
    theirs: Vec<UnixStream>,
}

impl Pairs {
    /// Our end, and the number of theirs.
    fn open(&mut self) -> io::Result<(UnixStream, i32)> {
        let (ours, theirs) = UnixStream::pair()?;
        Ok((ours, self.hand_over(theirs)))
    }

    /// The number of a socket that becomes QEMU's.
    fn hand_over(&mut self, socket: UnixStream) -> i32 {
        let number = socket.as_raw_fd();
        self.theirs.push(socket);
        number
    }
}

fn spawn(machine: &Machine, command: &[std::ffi::OsString], pairs: Pairs) -> Result<Child, VmError> {
    let (program, arguments) =
        command.split_first().ok_or_else(|| VmError::NoEmulator(machine.emulator.clone()))?;
    let terminal = || if machine.console == Console::Terminal { Stdio::piped() } else { Stdio::null() };
    let numbers: Vec<i32> = pairs.theirs.iter().map(AsRawFd::as_raw_fd).collect();
    let parent = rustix::process::getpid();
    let mut qemu = Command::new(program);
    qemu.args(arguments).stdin(terminal()).stdout(terminal()).stderr(Stdio::piped());
    // A group of its own: Ctrl-C is for whoever runs the machine, who asks it to stop in an orderly way.
    qemu.process_group(0);
    // SAFETY: between fork and exec only async-signal-safe calls are allowed; this makes plain system calls and
    // allocates nothing.
    unsafe { qemu.pre_exec(move || prepare_child(&numbers, parent)) };
    let child = qemu.spawn().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => VmError::NoEmulator(machine.emulator.clone()),
        _ => VmError::Spawn(machine.emulator.clone(), error),
    });
    drop(pairs);
    child
}

/// In the child: dies with its parent, and keeps its ends of the sockets through exec.
fn prepare_child(keep: &[i32], parent: Pid) -> io::Result<()> {
    child::die_with(parent)?;
    for &number in keep {
        // SAFETY: the parent holds these descriptors open until after the fork, so the child has them too.
        let descriptor = unsafe { BorrowedFd::borrow_raw(number) };
        rustix::io::fcntl_setfd(descriptor, FdFlags::empty())?;
    }
    Ok(())
}
