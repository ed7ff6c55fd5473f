//! The unit's loop, in a world whose time passes only while it waits.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use raid::MemberState;
use solum::clock::{Source, Waker};
use solum::link::{Answerer, Incoming, Token};
use solum::{clock, console, entropy, health};

use super::*;

/// What clients want, and what they got.
#[derive(Default)]
struct Clients {
    waiting: VecDeque<(u16, Vec<u8>, Vec<u8>)>,
    sending: Vec<u8>,
    replies: Vec<Vec<u8>>,
}

#[derive(Clone, Default)]
struct Port(Rc<RefCell<Clients>>);

impl Port {
    fn ask(&self, method: u16, payload: &[u8], bulk: &[u8]) {
        self.0.borrow_mut().waiting.push_back((method, payload.to_vec(), bulk.to_vec()));
    }
}

impl Source for Port {
    fn arm<'a>(&'a mut self, _: &mut Waker<'a>) -> bool {
        !self.0.borrow().waiting.is_empty()
    }
}

impl Answerer for Port {
    fn next(&mut self, _: Option<Moment>) -> solum::Result<Incoming> {
        let mut clients = self.0.borrow_mut();
        let (method, payload, bulk) = clients.waiting.pop_front().ok_or(Error::Deadline)?;
        let token = Token { client: 0, call: 1, bulk: bulk.len() };
        clients.sending = bulk;
        Ok(Incoming::Request { token, method, payload })
    }

    fn receive(&mut self, _: &Token, buffer: &mut [u8]) -> solum::Result<()> {
        buffer.copy_from_slice(&self.0.borrow().sending);
        Ok(())
    }

    fn send(&mut self, _: &Token, data: &[u8]) -> solum::Result<()> {
        self.0.borrow_mut().sending = data.to_vec();
        Ok(())
    }

    fn reply(&mut self, _: Token, outcome: Result<&[u8], &str>) -> solum::Result<()> {
        let reply = outcome.map_err(|text| Error::Refused(text.into()))?.to_vec();
        self.0.borrow_mut().replies.push(reply);
        Ok(())
    }
}

/// A clock that ends the program when nothing is left to wait for, or at the end of the test.
struct TestClock {
    now: Cell<Moment>,
    end: Moment,
}

impl clock::Driver for TestClock {
    fn now(&self) -> Moment {
        self.now.get()
    }

    fn wall(&self) -> solum::Result<Duration> {
        Ok(Duration::ZERO)
    }

    fn select(
        &self,
        sources: &mut [&mut dyn Source],
        deadline: Option<Moment>,
    ) -> solum::Result<Option<usize>> {
        let is_ready = |source: &mut &mut dyn Source| source.arm(&mut Waker::default());
        if let Some(first) = sources.iter_mut().position(is_ready) {
            return Ok(Some(first));
        }
        let next = deadline.ok_or(Error::Closed)?;
        self.now.set(next.max(self.now.get()));
        if self.now.get() > self.end { Err(Error::Closed) } else { Ok(None) }
    }
}

#[derive(Clone, Default)]
struct Lines(Rc<RefCell<Vec<String>>>);

impl console::Driver for Lines {
    fn line(&mut self, text: &str) -> solum::Result<()> {
        self.0.borrow_mut().push(text.to_owned());
        Ok(())
    }
}

struct Zeros;

impl entropy::Driver for Zeros {
    fn fill(&mut self, buffer: &mut [u8]) -> solum::Result<()> {
        buffer.fill(0);
        Ok(())
    }
}

struct Well;

impl health::Driver for Well {
    fn ready(&self) -> solum::Result<()> {
        Ok(())
    }

    fn health(&self, _: Result<(), String>) -> solum::Result<()> {
        Ok(())
    }
}

/// Runs the unit until its world ends, and gives what it said.
fn run(members: Vec<Disk>, volume: &Port, status: &Port) -> (String, Vec<String>) {
    let lines = Lines::default();
    let end = Moment::from_beginning(Duration::from_secs(60));
    let clock = Rc::new(TestClock { now: Cell::new(Moment::default()), end });
    let ports = Ports {
        members,
        volume: Serve::new(Box::new(volume.clone()), clock.clone(), Rc::new(Well)),
        status: Serve::new(Box::new(status.clone()), clock.clone(), Rc::new(Well)),
        clock: Clock::new(clock),
        entropy: Entropy::new(Box::new(Zeros)),
        console: Console::new(Box::new(lines.clone())),
    };
    let reason = mirror(ports).expect_err("it serves until its world ends");
    let lines = lines.0.borrow().clone();
    (reason, lines)
}

#[test]
fn requests_are_answered_and_other_work_is_done_while_nobody_asks() {
    let (volume, status) = (Port::default(), Port::default());
    volume.ask(2, &[0], &[7; 1024]);
    volume.ask(1, &[0], &[0; 512]);
    status.ask(0, &[], &[]);
    let members = (0..3).map(|_| Disk::memory(4 << 20)).collect();
    let (reason, lines) = run(members, &volume, &status);
    assert_eq!(reason, Error::Closed.to_string());
    assert_eq!(volume.0.borrow().sending, [7; 512]);
    let reply = status.0.borrow().replies[0].clone();
    let report: Report = postcard::from_bytes(&reply).unwrap();
    assert_eq!((report.in_sync, report.intended_regions), (3, 1));
    assert!(report.members.iter().all(|member| member.state == MemberState::InSync));
    assert!(lines[0].starts_with("a new mirror of"), "{lines:?}");
    assert!(lines.iter().any(|line| line == "the whole mirror was read and compared"), "{lines:?}");
}

#[test]
fn too_few_disks_are_told_with_what_to_write_instead() {
    let (reason, _) = run(vec![Disk::memory(4 << 20)], &Port::default(), &Port::default());
    assert!(reason.contains("1 disks are plugged in") && reason.contains("hint: in solum.toml"), "{reason}");
}
