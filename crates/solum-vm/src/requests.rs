//! How a caller reaches a run that is under way.

use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use solum_spec::keyboard::KeyChange;

/// What can be asked of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// End in an orderly way.
    Stop,
    /// End now.
    Kill,
    /// Give the program this signal (Linux numbers).
    Signal(u8),
    /// This happens at the keyboard of this machine, or at the only one of the system.
    Key(Option<String>, KeyChange),
    /// The terminal has this size now, in characters.
    Resize {
        /// Lines.
        rows: u16,
        /// Characters in a line.
        columns: u16,
    },
}

/// Asks things of a run; may be cloned, and used from any thread. After the run has ended it does nothing.
#[derive(Clone, Debug)]
pub struct Handle {
    sender: Sender<Request>,
    waker: Waker,
}

/// The receiving end; a run takes it.
#[derive(Debug)]
pub struct Requests {
    receiver: Receiver<Request>,
    waker: Waker,
    woken: UnixStream,
}

/// Interrupts the wait of a run.
#[derive(Clone, Debug)]
pub(crate) struct Waker(Arc<Mutex<UnixStream>>);

impl Waker {
    /// Wakes the run; if it is about to be woken anyway, that is enough.
    pub(crate) fn wake(&self) {
        if let Ok(mut stream) = self.0.lock() {
            // A full buffer is a wake-up already under way, a closed one a run that ended.
            let _ = stream.write(&[0]);
        }
    }
}

/// A handle and the end that goes into the run.
pub fn requests() -> std::io::Result<(Handle, Requests)> {
    let (waker, woken) = UnixStream::pair()?;
    waker.set_nonblocking(true)?;
    woken.set_nonblocking(true)?;
    let waker = Waker(Arc::new(Mutex::new(waker)));
    let (sender, receiver) = channel();
    Ok((Handle { sender, waker: waker.clone() }, Requests { receiver, waker, woken }))
}

impl Handle {
    /// Asks for an orderly end: the program is told to stop, then the machine powers off.
    pub fn stop(&self) {
        self.send(Request::Stop);
    }

    /// Ends the run at once; what the machine did not write out is lost.
    pub fn kill(&self) {
        self.send(Request::Kill);
    }

    /// Gives the program a signal (Linux numbers).
    pub fn signal(&self, signal: u8) {
        self.send(Request::Signal(signal));
    }

    /// Presses a key of the system's only keyboard, or lets it go.
    pub fn key(&self, key: KeyChange) {
        self.send(Request::Key(None, key));
    }

    /// Presses a key of this machine's keyboard, or lets it go.
    pub fn key_of(&self, machine: &str, key: KeyChange) {
        self.send(Request::Key(Some(machine.to_owned()), key));
    }

    /// Says how large the terminal is, in characters.
    pub fn resize(&self, rows: u16, columns: u16) {
        self.send(Request::Resize { rows, columns });
    }

    fn send(&self, request: Request) {
        if self.sender.send(request).is_ok() {
            self.waker.wake();
        }
    }
}

impl Requests {
    /// The next request, if there is one.
    pub(crate) fn next(&mut self) -> Option<Request> {
        self.receiver.try_recv().ok()
    }

    /// Readable when there may be a request.
    pub(crate) fn descriptor(&self) -> BorrowedFd<'_> {
        self.woken.as_fd()
    }

    /// Forgets earlier wake-ups; to be called before [`next`](Self::next), or a request could be missed.
    pub(crate) fn rest(&mut self) {
        let mut bytes = [0; 64];
        while matches!(self.woken.read(&mut bytes), Ok(count) if count > 0) {}
    }

    pub(crate) fn waker(&self) -> Waker {
        self.waker.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_arrive_in_order_and_handles_outlive_the_run() {
        let (handle, mut requests) = requests().unwrap();
        let other = handle.clone();
        handle.stop();
        other.kill();
        requests.rest();
        assert_eq!(requests.next(), Some(Request::Stop));
        assert_eq!(requests.next(), Some(Request::Kill));
        assert_eq!(requests.next(), None);
        drop(requests);
        handle.stop();
    }
}
