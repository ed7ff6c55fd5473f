//! A link whose other end is in the same program.

use crate::clock::{Moment, Source, Waker};
use crate::error::{Error, Result};

use super::{Answerer, Bulk, Call, Caller, Incoming, Interface, Reply, Token};

/// The service lives as long as the link.
const EPOCH: u32 = 1;

/// Lets the service answer while the call is sent, and keeps the answers until they are asked for.
pub struct Local<I: Interface> {
    service: Box<I::Service>,
    last_call: u32,
    answers: Vec<(u32, Result<Vec<u8>>, Vec<u8>)>,
}

impl<I: Interface> Local<I> {
    pub fn new(service: Box<I::Service>) -> Self {
        Self { service, last_call: 0, answers: Vec::new() }
    }
}

impl<I: Interface> Caller for Local<I> {
    fn submit(
        &mut self,
        method: u16,
        _retry: bool,
        payload: &[u8],
        bulk: Bulk<'_>,
        _deadline: Option<Moment>,
    ) -> Result<u32> {
        self.last_call = self.last_call.wrapping_add(1);
        let mut beside = Beside(match bulk {
            Bulk::Nothing => Vec::new(),
            Bulk::Send(pieces) => pieces.concat(),
            Bulk::Receive(length) => vec![0; length],
        });
        let token = Token { client: 0, call: self.last_call, bulk: beside.0.len() };
        let mut call = Call { method, payload, reply: Vec::new(), token: &token, answerer: &mut beside };
        let outcome = I::dispatch(&mut self.service, &mut call);
        let reply = call.reply;
        self.answers.push((self.last_call, outcome.map(|()| reply), beside.0));
        Ok(self.last_call)
    }

    fn complete(&mut self, call: u32, received: &mut [&mut [u8]]) -> Result<Reply> {
        let index = self.answers.iter().position(|(number, ..)| *number == call).ok_or(Error::Broken)?;
        let (_, answer, beside) = self.answers.swap_remove(index);
        let mut rest = beside.as_slice();
        for piece in received {
            let (filling, more) = rest.split_at_checked(piece.len()).ok_or(Error::Broken)?;
            piece.copy_from_slice(filling);
            rest = more;
        }
        answer.map(|payload| Reply { payload, epoch: EPOCH })
    }
}

/// The bytes beside the one call that is under way.
struct Beside(Vec<u8>);

impl Answerer for Beside {
    fn next(&mut self, _deadline: Option<Moment>) -> Result<Incoming> {
        Err(Error::Closed)
    }

    fn receive(&mut self, _call: &Token, buffer: &mut [u8]) -> Result<()> {
        buffer.copy_from_slice(self.0.get(..buffer.len()).ok_or(Error::Broken)?);
        Ok(())
    }

    fn send(&mut self, _call: &Token, data: &[u8]) -> Result<()> {
        self.0.get_mut(..data.len()).ok_or(Error::Broken)?.copy_from_slice(data);
        Ok(())
    }

    fn reply(&mut self, _call: Token, _outcome: Result<&[u8], &str>) -> Result<()> {
        Ok(())
    }
}

impl Source for Beside {
    fn arm<'a>(&'a mut self, _waker: &mut Waker<'a>) -> bool {
        true
    }
}
