//! The key-value store, where requests and answers are bytes.

use std::collections::HashMap;
use std::io;

use super::simulation::{Request, SIZE, Value, is_of};

/// The most that a request or an answer takes.
pub const LONGEST: usize = 2 + SIZE;

const PUT: u8 = 0;
const GET: u8 = 1;

/// Writes a request into the buffer, and returns the part of it that is the request.
pub fn encode(request: Request, buffer: &mut [u8; LONGEST]) -> &[u8] {
    match request {
        Request::Put(key, value) => {
            buffer[..2].copy_from_slice(&[PUT, key]);
            buffer[2..].copy_from_slice(&value);
            buffer
        }
        Request::Get(key) => {
            buffer[..2].copy_from_slice(&[GET, key]);
            &buffer[..2]
        }
    }
}

/// What the server keeps.
#[derive(Default)]
pub struct Store(HashMap<u8, Value>);

impl Store {
    /// Does what is asked. Nothing is the answer to who writes, and to who reads what nobody has written.
    pub fn answer(&mut self, request: &[u8]) -> io::Result<Option<Value>> {
        match *request {
            [PUT, key, ref value @ ..] => {
                self.0.insert(key, value.try_into().map_err(io::Error::other)?);
                Ok(None)
            }
            [GET, key] => Ok(self.0.get(&key).copied()),
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    }
}

/// Whether the answer can be one to this request.
pub fn check(request: Request, answer: &[u8]) -> io::Result<()> {
    let fits = match request {
        Request::Put(..) => answer.is_empty(),
        Request::Get(key) => answer.is_empty() || answer.try_into().is_ok_and(|value| is_of(value, key)),
    };
    if fits { Ok(()) } else { Err(io::Error::other(format!("{request:?} was answered {answer:?}"))) }
}
