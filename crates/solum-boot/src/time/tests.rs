//! The whole role but the real clock: servers on the loopback interface, and a clock that only remembers.

use std::cell::RefCell;
use std::sync::mpsc;
use std::thread;

use super::*;
use crate::time::exchange::Answer;

/// 2026-11-20T12:00:00Z, in seconds since 1970.
const NOON_S: u64 = 1_795_176_000;
/// Seconds from 1900, where NTP counts from, to 1970 (RFC 5905 figure 4).
const ERA_S: u64 = 2_208_988_800;

#[derive(Debug, PartialEq)]
enum Deed {
    Step(i64),
    Slew { offset_us: i64, interval_s: u64 },
    Save,
}

/// A clock that stands still unless it is moved.
struct Still {
    now: Duration,
    deeds: RefCell<Vec<Deed>>,
    allowed: bool,
}

impl Still {
    fn at(seconds: u64) -> Self {
        Self { now: Duration::from_secs(seconds), deeds: RefCell::default(), allowed: true }
    }
}

impl Clock for Still {
    fn now(&self) -> Duration {
        self.now
    }

    fn step(&mut self, offset_us: i64) -> io::Result<()> {
        if !self.allowed {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        self.now = Duration::from_micros(self.now.as_micros() as u64).saturating_add_signed(offset_us);
        self.deeds.borrow_mut().push(Deed::Step(offset_us));
        Ok(())
    }

    fn slew(&mut self, offset_us: i64, interval_s: u64) -> io::Result<()> {
        self.deeds.borrow_mut().push(Deed::Slew { offset_us, interval_s });
        Ok(())
    }

    fn save(&mut self) -> io::Result<()> {
        self.deeds.borrow_mut().push(Deed::Save);
        Ok(())
    }
}

trait AddSigned {
    fn saturating_add_signed(self, offset_us: i64) -> Self;
}

impl AddSigned for Duration {
    fn saturating_add_signed(self, offset_us: i64) -> Self {
        let change = Duration::from_micros(offset_us.unsigned_abs());
        if offset_us < 0 { self.saturating_sub(change) } else { self + change }
    }
}

/// A good answer to `question` by a server whose clock says `seconds` and half a second.
fn answer(question: &[u8], seconds: u64) -> [u8; 48] {
    let mut packet = [0; 48];
    packet[..4].copy_from_slice(&[0x24, 2, 6, 0xe9]); // no warning, version 4, server; stratum 2
    packet[24..32].copy_from_slice(&question[40..48]);
    let now = (((seconds + ERA_S) & 0xffff_ffff) << 32) | 0x8000_0000;
    packet[16..24].copy_from_slice(&(now - (60 << 32)).to_be_bytes());
    packet[32..40].copy_from_slice(&now.to_be_bytes());
    packet[40..48].copy_from_slice(&now.to_be_bytes());
    packet
}

/// A server that answers one question with what `reply` makes of it; gives its port.
fn serve(reply: impl Fn(&[u8]) -> Vec<Vec<u8>> + Send + 'static) -> u16 {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    thread::spawn(move || {
        let mut question = [0; 512];
        let (length, client) = socket.recv_from(&mut question).unwrap();
        for packet in reply(&question[..length]) {
            socket.send_to(&packet, client).unwrap();
        }
    });
    port
}

/// Turns until something is reported.
fn first_report<C: Clock>(keeper: &mut Keeper<'_, C>) -> ClockReport {
    let (sender, receiver) = mpsc::channel();
    loop {
        keeper.turn(&mut |report| sender.send(report).unwrap()).unwrap();
        if let Ok(report) = receiver.try_recv() {
            return report;
        }
    }
}

#[test]
fn a_clock_that_is_wrong_is_set_at_once_and_the_moment_is_written() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("clock-set");
    let servers = ["127.0.0.1".to_owned()];
    let port = serve(|question| vec![answer(question, NOON_S).to_vec()]);
    let mut keeper = Keeper::new(&servers, port, &file, Still::at(NOON_S - 1000));
    let report = first_report(&mut keeper);
    assert_eq!(report, ClockReport { server: "127.0.0.1".into(), offset_ms: 1_000_500 });
    let deeds = [Deed::Step(1_000_500_000), Deed::Slew { offset_us: 0, interval_s: 64 }, Deed::Save];
    assert_eq!(keeper.clock.deeds.take(), deeds);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "2026-11-20T12:00:00Z\n");
}

#[test]
fn a_clock_that_is_nearly_right_is_not_moved_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("clock-set");
    let servers = ["127.0.0.1".to_owned()];
    let port = serve(|question| vec![answer(question, NOON_S).to_vec()]);
    let mut clock = Still::at(NOON_S);
    clock.now += Duration::from_millis(600);
    let mut keeper = Keeper::new(&servers, port, &file, clock);
    // One microsecond is lost where NTP's binary fractions become decimal ones.
    assert!((-100..=-99).contains(&first_report(&mut keeper).offset_ms));
    let deeds = keeper.clock.deeds.take();
    let [Deed::Slew { offset_us: -100_001..=-99_999, interval_s: 64 }, Deed::Save] = deeds[..] else {
        panic!("{deeds:?}")
    };
}

#[test]
fn forged_and_useless_packets_do_not_hide_the_answer() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("clock-set");
    let servers = ["127.0.0.1".to_owned()];
    let port = serve(|question| {
        let mut forged = answer(question, NOON_S + 9999);
        forged[31] ^= 1;
        vec![
            vec![],
            vec![0; 48],
            forged.to_vec(),
            answer(question, NOON_S)[..47].to_vec(),
            answer(question, NOON_S).to_vec(),
        ]
    });
    let mut keeper = Keeper::new(&servers, port, &file, Still::at(NOON_S - 5));
    assert_eq!(first_report(&mut keeper).offset_ms, 5_500);
}

#[test]
fn without_the_right_to_set_the_clock_nobody_is_told_that_it_is_set() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("clock-set");
    let servers = ["127.0.0.1".to_owned()];
    let port = serve(|question| vec![answer(question, NOON_S).to_vec()]);
    let mut keeper = Keeper::new(&servers, port, &file, Still { allowed: false, ..Still::at(0) });
    let mut reported = false;
    keeper.turn(&mut |_| reported = true).unwrap();
    keeper.turn(&mut |_| reported = true).unwrap();
    assert!(!reported && !file.exists());
}

#[test]
fn a_clock_only_catches_up() {
    let late = EARLIEST_S + 1_000;
    for (now_s, known, behind) in [
        (0, None, Some(EARLIEST_S as i64)),
        (0, Some(late), Some(late as i64)),
        (late - 5, Some(late), Some(5)),
        (late, Some(late - 5), None),
        (late, None, None),
        (late, Some(u64::MAX), None),
        (0, Some(0), Some(EARLIEST_S as i64)),
    ] {
        assert_eq!(behind_s(now_s, known), behind, "{now_s} {known:?}");
    }
}

#[test]
fn servers_are_taken_in_turn_and_once() {
    let servers = ["127.0.0.1", "::1", "127.0.0.1", "no such name"].map(str::to_owned);
    let keeper = Keeper::new(&servers, PORT, Path::new("/nowhere"), Still::at(NOON_S));
    let expected: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    assert_eq!(keeper.resolve(), expected);
}

#[test]
fn answers_that_cannot_be_believed_are_none() {
    let question = Question::new(Duration::from_secs(NOON_S)).unwrap();
    let later = Duration::from_secs(NOON_S + 1);
    let good = answer(question.bytes(), NOON_S);
    // Half a second of travel each way: the server's half second is right.
    assert_eq!(question.answer(&good, later), Some(Answer::Time { offset_us: 0, travel_us: 1_000_000 }));
    let table: [(&str, usize, u8); 8] = [
        ("not set (leap indicator 3)", 0, 0xe4),
        ("a question, not an answer", 0, 0x23),
        ("version 0", 0, 0x04),
        ("stratum 16", 1, 16),
        ("stratum 255", 1, 255),
        ("a root delay of hours", 4, 0x40),
        ("the answer to another question", 30, 0xaa),
        ("set in the future", 16, 0xff),
    ];
    for (what, offset, byte) in table {
        let mut packet = good;
        packet[offset] = byte;
        assert_eq!(question.answer(&packet, later), None, "{what}");
    }
    let mut silent = good;
    silent[40..48].fill(0);
    assert_eq!(question.answer(&silent, later), None, "no time at all");
    for (code, forever) in [(b"DENY", true), (b"RSTR", true), (b"RATE", false), (b"X\xff\xff\xff", false)] {
        let mut kiss = good;
        kiss[1] = 0;
        kiss[12..16].copy_from_slice(code);
        assert_eq!(question.answer(&kiss, later), Some(Answer::GoAway { forever }), "{code:?}");
    }
}

proptest::proptest! {
    #[test]
    fn no_bytes_can_make_the_parser_panic(
        bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..100),
        now_s in 0..u64::from(u32::MAX) * 2,
    ) {
        let now = Duration::from_secs(now_s);
        let question = Question::new(now).unwrap();
        let _ = question.answer(&bytes, now);
        let mut ours = answer(question.bytes(), NOON_S);
        for (place, byte) in ours.iter_mut().zip(&bytes) {
            *place ^= byte;
        }
        ours[24..32].copy_from_slice(&question.bytes()[40..48]);
        let _ = question.answer(&ours, now);
    }
}
