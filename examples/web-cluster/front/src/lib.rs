//! The unit `front`: HTTP in, answers from the cache or the sequencer.

mod web;

use std::time::Duration;

use cluster::Unreached;
use cluster::calls::{Looks, LooksCalls, Requests, RequestsCalls};
use cluster::front::{Answer, Effect, Event, Front, Request};
use cluster::page::Page;
use solum::{CallError, Clock, Http, Link};
use web::Asked;

/// How long the cache of the same machine may take.
const CACHE_PATIENCE: Duration = Duration::from_millis(200);
/// How long the sequencer may take, which may have to be started again, and to wait for leases to end.
const SEQUENCER_PATIENCE: Duration = Duration::from_secs(10);

/// What the unit reaches.
#[derive(solum::Ports)]
pub struct Ports {
    /// Where requests come from.
    pub http: Http,
    /// The cache of the same machine.
    pub cache: Link<Looks>,
    /// Who has what no cache has, and takes what is written.
    pub sequencer: Link<Requests>,
    /// When leases end.
    pub clock: Clock,
}

struct Unit {
    front: Front,
    cache: Link<Looks>,
    sequencer: Link<Requests>,
    clock: Clock,
}

impl Unit {
    fn serve(&mut self, request: Request) -> Answer {
        let mut event = Event::Asked(request);
        loop {
            let now_ms = self.clock.now().since_beginning().as_millis() as u64;
            event = match self.front.step(now_ms, event) {
                Effect::Look(key) => Event::Looked(self.cache.look(key).map_err(|_| Unreached)),
                Effect::Fill(fetched) => {
                    // A cache that does not take it is a cache without it.
                    let _ = self.cache.fill(fetched);
                    Event::Filled
                }
                Effect::Read(key, presence) => Event::Read(reached(self.sequencer.read(key, presence))),
                Effect::Reserve => Event::Reserved(self.sequencer.reserve().map_err(|_| Unreached)),
                Effect::Write(number, key, value) => {
                    Event::Written(reached(self.sequencer.write(number, key, value)))
                }
                Effect::Answer(answer) => return answer,
            };
        }
    }

    fn list(&mut self, prefix: String, after: Option<cluster::Key>) -> Result<Page, Answer> {
        match reached(self.sequencer.list(prefix, after)) {
            Ok(Ok(page)) => Ok(page),
            Ok(Err(refusal)) => Err(Answer::Refused(refusal)),
            Err(Unreached) => Err(Answer::Unavailable),
        }
    }
}

fn reached<T, E>(outcome: Result<T, CallError<E>>) -> Result<Result<T, E>, Unreached> {
    match outcome {
        Ok(value) => Ok(Ok(value)),
        Err(CallError::Service(error)) => Ok(Err(error)),
        Err(CallError::Link(_)) => Err(Unreached),
    }
}

/// The program.
///
/// # Errors
///
/// Those of the port `http`. A cache or a sequencer that is gone is an answer.
pub fn front(ports: Ports) -> Result<(), solum::Error> {
    let Ports { mut http, mut cache, mut sequencer, clock } = ports;
    cache.set_patience(CACHE_PATIENCE);
    sequencer.set_patience(SEQUENCER_PATIENCE);
    http.set_body_limit(cluster::VALUE_BYTES_MAX);
    let mut unit = Unit { front: Front::default(), cache, sequencer, clock };
    loop {
        let exchange = http.next(None)?;
        let request = &exchange.request;
        let response = match web::asked(&request.method, &request.path, &request.query, &request.body) {
            Ok(Asked::One(request)) => web::answered(&unit.serve(request)),
            Ok(Asked::List { prefix, after }) => match unit.list(prefix, after) {
                Ok(page) => web::listed(&page),
                Err(answer) => web::answered(&answer),
            },
            Err(response) => response,
        };
        exchange.respond(&response)?;
    }
}
