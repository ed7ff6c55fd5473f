//! One question to a time server and its answer, as bytes (SNTP, RFC 4330 and RFC 5905 §14), without I/O.
//!
//! sntpc writes, checks and reads the packets. It asks for a socket and a clock; here the socket is the bytes, and the clock
//! is the time at which they came or went.

use std::cell::Cell;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use sntpc::{KissOfDeathCode, NtpContext, NtpTimestampGenerator, NtpUdpSocket, SendRequestResult};

/// Length of a packet without extensions (RFC 5905 §7.3).
const PACKET: usize = 48;

/// A question that was asked.
#[derive(Debug)]
pub struct Question {
    sent: SendRequestResult,
    bytes: [u8; PACKET],
}

/// What a server says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The time.
    Time {
        /// What must be added to the own clock, in microseconds.
        offset_us: i64,
        /// How long question and answer travelled, in microseconds: the offset is wrong by at most half of it.
        travel_us: u64,
    },
    /// The server does not want to be asked (RFC 4330 §8): not so often, or (`forever`) never again.
    GoAway {
        /// Never again.
        forever: bool,
    },
}

impl Question {
    /// A question asked at this time of the own clock, as time since 1970.
    pub fn new(now: Duration) -> Option<Self> {
        let wire = Wire { received: &[], sent: Cell::new([0; PACKET]) };
        let sent = ready(sntpc::sntp_send_request(ANYONE, &wire, NtpContext::new(At(now))))?.ok()?;
        Some(Self { sent, bytes: wire.sent.get() })
    }

    /// The packet to send.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What a packet that came at `now` means. `None` if it is no answer to this question, or is one of a server whose clock
    /// is not set: the wrong origin timestamp, mode or version, leap indicator 3, stratum above 15, a root distance or a
    /// time that makes no sense.
    pub fn answer(&self, packet: &[u8], now: Duration) -> Option<Answer> {
        let wire = Wire { received: packet, sent: Cell::new([0; PACKET]) };
        let result = ready(sntpc::sntp_process_response(ANYONE, &wire, NtpContext::new(At(now)), self.sent))?;
        match result {
            Ok(time) => Some(Answer::Time { offset_us: time.offset, travel_us: time.roundtrip }),
            Err(sntpc::Error::KissOfDeath(code)) => {
                let forever = matches!(code, KissOfDeathCode::Deny | KissOfDeathCode::Rstr);
                Some(Answer::GoAway { forever })
            }
            Err(_) => None,
        }
    }
}

/// Sockets are connected, so the kernel has checked where a packet is from.
const ANYONE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

#[derive(Clone, Copy)]
struct At(Duration);

impl NtpTimestampGenerator for At {
    fn init(&mut self) {}

    fn timestamp_sec(&self) -> u64 {
        self.0.as_secs()
    }

    fn timestamp_subsec_micros(&self) -> u32 {
        self.0.subsec_micros()
    }
}

struct Wire<'a> {
    received: &'a [u8],
    sent: Cell<[u8; PACKET]>,
}

impl NtpUdpSocket for Wire<'_> {
    async fn send_to(&self, bytes: &[u8], _: SocketAddr) -> sntpc::Result<usize> {
        let packet = bytes.try_into().map_err(|_| sntpc::Error::Network)?;
        self.sent.set(packet);
        Ok(bytes.len())
    }

    async fn recv_from(&self, buffer: &mut [u8]) -> sntpc::Result<(usize, SocketAddr)> {
        let length = self.received.len().min(buffer.len());
        buffer[..length].copy_from_slice(&self.received[..length]);
        Ok((length, ANYONE))
    }
}

/// The result of a future that never waits.
fn ready<F: Future>(future: F) -> Option<F::Output> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}
