//! A time server: the other end of a machine's network cable, where nothing else is.

use std::net::Shutdown;
use std::os::unix::net::UnixDatagram;
use std::thread;

use crate::harness::Scratch;

/// What QEMU's own network would be replaced by, for [`monitored`](crate::harness::monitor::monitored).
pub const CABLE: (&str, &str) = (
    "user,id=net0*",
    "dgram,id=net0,local.type=unix,local.path=[SCRATCH]/machine,remote.type=unix,remote.path=[SCRATCH]/server",
);

/// Its address.
pub const ADDRESS: &str = "10.0.2.2";
const ADDRESS_BYTES: [u8; 4] = [10, 0, 2, 2];
/// Its hardware's address: one that is given locally.
const HARDWARE: [u8; 6] = [0x52, 0x54, 0, 0, 0, 2];

/// Seconds between the beginnings of NTP's time and of Unix's (RFC 5905 §6).
const NTP_TO_UNIX_S: u64 = 2_208_988_800;

/// Answers until it is dropped.
pub struct TimeServer(UnixDatagram);

/// Starts one that always says the same moment, in seconds since 1970.
pub fn start(scratch: &Scratch, moment_s: u64) -> TimeServer {
    let socket = UnixDatagram::bind(scratch.path("server")).unwrap();
    let (theirs, machine) = (socket.try_clone().unwrap(), scratch.path("machine"));
    thread::spawn(move || {
        let mut frame = [0; 2048];
        while let Ok(length @ 1..) = theirs.recv(&mut frame) {
            if let Some(answer) = answer(&frame[..length], moment_s) {
                // A machine that is gone needs none.
                let _ = theirs.send_to(&answer, &machine);
            }
        }
    });
    TimeServer(socket)
}

impl Drop for TimeServer {
    fn drop(&mut self) {
        let _ = self.0.shutdown(Shutdown::Both);
    }
}

/// What follows from a frame (IEEE 802.3: to whom, from whom, of which kind).
fn answer(frame: &[u8], moment_s: u64) -> Option<Vec<u8>> {
    let (head, packet) = frame.split_at_checked(14)?;
    let packet = match u16::from_be_bytes([head[12], head[13]]) {
        0x0806 => resolve(packet)?,
        0x0800 => carry(packet, moment_s)?,
        _ => return None,
    };
    Some([&head[6..12], &HARDWARE, &head[12..14], &packet].concat())
}

/// RFC 826: who has this address?
fn resolve(packet: &[u8]) -> Option<Vec<u8>> {
    let packet = packet.get(..28)?;
    let is_for_us = packet[6..8] == [0, 1] && packet[24..28] == ADDRESS_BYTES;
    is_for_us.then(|| [&packet[..6], &[0, 2], &HARDWARE, &ADDRESS_BYTES, &packet[8..18]].concat())
}

/// RFC 791 without options, and RFC 768 without a checksum.
fn carry(packet: &[u8], moment_s: u64) -> Option<Vec<u8>> {
    let is_question = packet.len() >= 28 + 48
        && packet[0] == 0x45
        && packet[9] == 17
        && packet[16..20] == ADDRESS_BYTES
        && packet[22..24] == 123u16.to_be_bytes();
    is_question.then(|| {
        let time = tell(&packet[28..76], moment_s);
        let mut head =
            [&[0x45, 0, 0, 76, 0, 0, 0, 0, 64, 17, 0, 0], &packet[16..20], &packet[12..16]].concat();
        let words = head.chunks(2).map(|word| u32::from(u16::from_be_bytes([word[0], word[1]])));
        let sum: u32 = words.sum();
        let folded = (sum & 0xffff) + (sum >> 16);
        head[10..12].copy_from_slice(&(!(folded as u16)).to_be_bytes());
        [&head[..], &packet[22..24], &packet[20..22], &[0, 56, 0, 0], &time].concat()
    })
}

/// RFC 5905 §7.3: a server's answer, of version 4 and stratum 1.
fn tell(question: &[u8], moment_s: u64) -> Vec<u8> {
    let seconds = u32::try_from(moment_s + NTP_TO_UNIX_S).unwrap().to_be_bytes();
    let moment = [seconds, [0; 4]].concat();
    let head = [0x24, 1, question[2], 0xec, 0, 0, 0, 0, 0, 0, 0, 0, b'G', b'P', b'S', 0];
    [&head[..], &moment, &question[40..48], &moment, &moment].concat()
}
