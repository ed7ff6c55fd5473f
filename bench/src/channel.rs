//! What is measured: something that carries messages of one size between two processes.

use iceoryx2::port::publisher::Publisher;
use iceoryx2::port::subscriber::Subscriber;
use iceoryx2::prelude::*;
use solum_link::{End, Frame, Kind, Range, Received};
use std::error::Error;
use std::fs::File;
use std::io::{Read, Write};

/// Sends and receives whole messages, waiting as long as it takes.
pub trait Channel {
    fn send(&mut self, message: &[u8]) -> Result<(), Box<dyn Error>>;
    fn receive(&mut self, into: &mut [u8]) -> Result<(), Box<dyn Error>>;
}

/// Messages in the ring.
pub struct Ring {
    pub end: End,
    pub received: Received,
}

impl Channel for Ring {
    fn send(&mut self, message: &[u8]) -> Result<(), Box<dyn Error>> {
        let frame = Frame { kind: Kind::Request, payload: message, ..Frame::default() };
        Ok(self.end.send_waiting(&frame, None)?)
    }

    fn receive(&mut self, into: &mut [u8]) -> Result<(), Box<dyn Error>> {
        while !self.end.receive_into(&mut self.received)? {
            self.end.wait(None);
        }
        into.copy_from_slice(&self.received.payload);
        Ok(())
    }
}

/// Messages in the pool: frames say where, and come back when the place is free.
pub struct Pool {
    pub end: End,
    pub received: Received,
    /// Where the next messages may be written.
    pub free: Vec<Range>,
    pub use_of: Use,
}

/// What happens to a message in the pool.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// The server copies it out, and sends one back in the same place.
    Echo,
    /// The server copies it out.
    CopiedOut,
    /// The server uses it where it is: it reads a word of each page.
    InPlace,
}

impl Pool {
    /// Takes the next frame; its range.
    fn next(&mut self) -> Result<(Kind, Range), Box<dyn Error>> {
        while !self.end.receive_into(&mut self.received)? {
            self.end.wait(None);
        }
        Ok((self.received.kind, self.received.range.ok_or("a frame without a range")?))
    }

    fn tell(&mut self, kind: Kind, range: Range) -> Result<(), Box<dyn Error>> {
        Ok(self.end.send_waiting(&Frame { kind, range: Some(range), ..Frame::default() }, None)?)
    }
}

impl Channel for Pool {
    fn send(&mut self, message: &[u8]) -> Result<(), Box<dyn Error>> {
        if self.free.is_empty() {
            let (_, range) = self.next()?;
            self.free.push(range);
        }
        let range = self.free.remove(0);
        self.end.pool().copy_in(range, message)?;
        self.tell(if self.received.kind == Kind::Request { Kind::Response } else { Kind::Request }, range)
    }

    fn receive(&mut self, into: &mut [u8]) -> Result<(), Box<dyn Error>> {
        let (_, range) = self.next()?;
        let part = self.end.pool().part(range)?;
        if self.use_of == Use::InPlace {
            for page in (0..part.len()).step_by(4096) {
                part.read(page, &mut into[..8])?;
            }
        } else {
            part.read(0, into)?;
        }
        if self.use_of == Use::Echo {
            self.free.push(range);
            return Ok(());
        }
        self.tell(Kind::Response, range)
    }
}

/// A socket or a pair of pipes.
pub struct Stream {
    pub reader: File,
    pub writer: File,
}

impl Channel for Stream {
    fn send(&mut self, message: &[u8]) -> Result<(), Box<dyn Error>> {
        Ok(self.writer.write_all(message)?)
    }

    fn receive(&mut self, into: &mut [u8]) -> Result<(), Box<dyn Error>> {
        Ok(self.reader.read_exact(into)?)
    }
}

/// Two rings of rtrb, between threads.
pub struct Threads<const SIZE: usize> {
    pub producer: rtrb::Producer<[u8; SIZE]>,
    pub consumer: rtrb::Consumer<[u8; SIZE]>,
}

impl<const SIZE: usize> Channel for Threads<SIZE> {
    fn send(&mut self, message: &[u8]) -> Result<(), Box<dyn Error>> {
        let mut message: [u8; SIZE] = message.try_into()?;
        while let Err(rtrb::PushError::Full(back)) = self.producer.push(message) {
            message = back;
            std::hint::spin_loop();
        }
        Ok(())
    }

    fn receive(&mut self, into: &mut [u8]) -> Result<(), Box<dyn Error>> {
        loop {
            match self.consumer.pop() {
                Ok(message) => break into.copy_from_slice(&message),
                // Without a pause: the fastest that it can be.
                Err(rtrb::PopError::Empty) if self.producer.is_abandoned() => return Err("it is over".into()),
                Err(rtrb::PopError::Empty) => {}
            }
        }
        Ok(())
    }
}

/// Two topics of iceoryx2.
pub struct Topics {
    _node: Node<ipc::Service>,
    publisher: Publisher<ipc::Service, [u8], ()>,
    subscriber: Subscriber<ipc::Service, [u8], ()>,
}

impl Topics {
    /// Both sides open both topics; each publishes to one.
    pub fn open(name: &str, is_child: bool, size: usize) -> Result<Self, Box<dyn Error>> {
        set_log_level(LogLevel::Fatal);
        let node = NodeBuilder::new().create::<ipc::Service>()?;
        let topic = |direction: &str| {
            node.service_builder(&ServiceName::new(&format!("{name}/{direction}"))?)
                .publish_subscribe::<[u8]>()
                .enable_safe_overflow(false)
                .subscriber_max_buffer_size(16)
                .open_or_create()
                .map_err(Box::<dyn Error>::from)
        };
        let (there, back) = (topic("there")?, topic("back")?);
        let (out, inward) = if is_child { (back, there) } else { (there, back) };
        let publisher = out
            .publisher_builder()
            .initial_max_slice_len(size)
            .backpressure_strategy(BackpressureStrategy::RetryUntilDelivered)
            .create()?;
        let subscriber = inward.subscriber_builder().create()?;
        Ok(Self { _node: node, publisher, subscriber })
    }
}

impl Channel for Topics {
    fn send(&mut self, message: &[u8]) -> Result<(), Box<dyn Error>> {
        loop {
            let sample = self.publisher.loan_slice_uninit(message.len())?;
            // Nobody receives it until the other process has subscribed.
            if sample.write_from_slice(message).send()? > 0 {
                return Ok(());
            }
        }
    }

    fn receive(&mut self, into: &mut [u8]) -> Result<(), Box<dyn Error>> {
        loop {
            if let Some(sample) = self.subscriber.receive()? {
                into.copy_from_slice(sample.payload());
                return Ok(());
            }
        }
    }
}
