//! In place of [`units`](crate::units), without the feature `system`: a program that is its whole machine has none, and its
//! file is smaller by what they need.

use std::convert::Infallible;
use std::io;
use std::os::fd::RawFd;
use std::time::Duration;

use rustix::event::PollFd;
use rustix::process::{Pid, WaitStatus};
use solum_spec::control::{Ending, Outcome};
use solum_spec::description::Wait;
use solum_spec::network::SystemNetwork;

use crate::storage::Owners;

/// There is none.
pub enum Plan {}

impl Plan {
    pub fn reaches_out(&self) -> bool {
        match *self {}
    }
}

pub fn plan() -> Result<Option<Plan>, String> {
    Ok(None)
}

pub fn network(plan: &Plan) -> Option<&SystemNetwork> {
    match *plan {}
}

pub fn grace_ms(plan: &Plan) -> u32 {
    match *plan {}
}

pub fn owners(plan: &Plan) -> Owners {
    match *plan {}
}

/// Nothing fails here.
pub struct Failed {
    pub what: String,
    pub words: Vec<u8>,
    pub is_asked: bool,
}

/// There are none.
pub struct Units(Infallible);

impl Units {
    pub fn start(plan: Plan) -> io::Result<Self> {
        match plan {}
    }

    pub fn condition(&mut self, _: Wait) {
        match self.0 {}
    }

    pub fn patience(&self) -> Option<Duration> {
        match self.0 {}
    }

    pub fn poll_descriptors(&self) -> Vec<PollFd<'_>> {
        match self.0 {}
    }

    pub fn turn(&mut self) -> Option<(Outcome, Option<Ending>)> {
        match self.0 {}
    }

    pub fn drain(&mut self) {
        match self.0 {}
    }

    pub fn failed(&mut self) -> Option<Failed> {
        match self.0 {}
    }

    pub fn ended(&mut self, _: Pid, _: WaitStatus) -> bool {
        match self.0 {}
    }

    pub fn signal(&mut self, _: u8) {
        match self.0 {}
    }

    pub fn start_relay(&mut self) -> Option<(Vec<u8>, Vec<RawFd>)> {
        match self.0 {}
    }

    pub fn relay_ended(&self) {
        match self.0 {}
    }
}
