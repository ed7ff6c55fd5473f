//! A writer with a thread of its own, so that a slow reader of the program's output cannot keep a run from
//! hearing a request or a deadline.

use std::io::{self, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;

use crate::requests::Waker;

/// Bytes that may wait for a slow reader before the machine has to wait too.
const QUEUE_MAX: usize = 4 << 20;

#[derive(Debug, Default)]
struct Shared {
    queued: AtomicUsize,
    /// Why the writer failed, if it did.
    error: OnceLock<io::Error>,
}

/// The near end of a writer.
#[derive(Debug)]
pub(crate) struct Sink {
    sender: Sender<Vec<u8>>,
    shared: Arc<Shared>,
    thread: JoinHandle<()>,
}

impl Sink {
    /// Starts the thread; `waker` is used when there is room again and when the writer failed.
    pub(crate) fn start(writer: Box<dyn Write + Send>, waker: Waker) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let (sender, receiver) = channel();
        let theirs = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("console".into())
            .spawn(move || pass_on(&receiver, writer, &theirs, &waker))?;
        Ok(Self { sender, shared, thread })
    }

    /// Queues bytes.
    pub(crate) fn write(&self, bytes: &[u8]) {
        if !self.is_broken() {
            self.shared.queued.fetch_add(bytes.len(), Ordering::Relaxed);
            // The receiver outlives every sender: its thread ends when the channel closes.
            let _ = self.sender.send(bytes.to_vec());
        }
    }

    /// Nothing more should be queued for now.
    pub(crate) fn is_full(&self) -> bool {
        self.shared.queued.load(Ordering::Relaxed) > QUEUE_MAX
    }

    /// The writer failed; what is written from now on goes nowhere.
    pub(crate) fn is_broken(&self) -> bool {
        self.shared.error.get().is_some()
    }

    /// Waits until everything is written.
    ///
    /// # Errors
    ///
    /// What the writer failed with: output was lost. A reader that went away (`BrokenPipe`) has read what it wanted.
    pub(crate) fn finish(self) -> io::Result<()> {
        drop(self.sender);
        // A panic in a caller's writer has been reported by that thread; the run goes on to its report.
        let _ = self.thread.join();
        let error = Arc::into_inner(self.shared).and_then(|shared| shared.error.into_inner());
        error.filter(|error| error.kind() != io::ErrorKind::BrokenPipe).map_or(Ok(()), Err)
    }
}

fn pass_on(receiver: &Receiver<Vec<u8>>, mut writer: Box<dyn Write + Send>, shared: &Shared, waker: &Waker) {
    for bytes in receiver {
        if shared.error.get().is_none()
            && let Err(error) = writer.write_all(&bytes).and_then(|()| writer.flush())
        {
            let _ = shared.error.set(error);
            waker.wake();
        }
        let before = shared.queued.fetch_sub(bytes.len(), Ordering::Relaxed);
        if before > QUEUE_MAX && before - bytes.len() <= QUEUE_MAX {
            waker.wake();
        }
    }
}
