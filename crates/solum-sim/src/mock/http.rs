//! Clients of a program that speaks HTTP.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use solum::tcp::Listen;
use solum::{Error, Result};

use super::actor::{Actor, Stage};
use super::clock::Clock;
use super::plain::Health;
use super::tcp::{Heard, Peer, Tcp};

/// A request that a client is to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    method: String,
    target: String,
    fields: Vec<(String, String)>,
    body: Vec<u8>,
    pause: Duration,
}

impl Ask {
    /// A request of this method; `target` is the path, percent-encoded, with a query if there is one.
    pub fn new(method: &str, target: &str) -> Self {
        let (method, target) = (method.to_owned(), target.to_owned());
        Self { method, target, fields: Vec::new(), body: Vec::new(), pause: Duration::ZERO }
    }

    /// Adds a header field.
    #[must_use]
    pub fn field(mut self, name: &str, value: &str) -> Self {
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: impl AsRef<[u8]>) -> Self {
        self.body = body.as_ref().to_vec();
        self
    }

    /// It is sent this long after the answer to the client's request before.
    #[must_use]
    pub fn after(mut self, pause: Duration) -> Self {
        self.pause = pause;
        self
    }

    fn bytes(&self) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\nhost: mock\r\n", self.method, self.target);
        if !self.body.is_empty() {
            head.push_str(&format!("content-length: {}\r\n", self.body.len()));
        }
        for (name, value) in &self.fields {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        [head.as_bytes(), b"\r\n", &self.body].concat()
    }
}

/// What the program answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status (RFC 9110, section 15).
    pub status: u16,
    /// The header fields: names in lower case.
    pub fields: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The first value of a header field, by its name in lower case.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str())
    }

    /// The body as a text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// A request that was given to a client, and its answer once it is there.
#[derive(Clone)]
pub struct Asked {
    what: String,
    outcome: Rc<RefCell<Option<Result<Answer>>>>,
}

impl Asked {
    /// The answer.
    ///
    /// # Panics
    ///
    /// If the program did not answer.
    #[track_caller]
    pub fn answer(&self) -> Answer {
        match &*self.outcome.borrow() {
            Some(Ok(answer)) => answer.clone(),
            Some(Err(_)) => panic!("the program ended the connection without an answer to {}", self.what),
            None => panic!("the program has not answered {}", self.what),
        }
    }

    /// The answer, if it is there; [`Error::Closed`] if the program ended the connection without one.
    pub fn outcome(&self) -> Option<Result<Answer>> {
        self.outcome.borrow().clone()
    }
}

/// Clients of a port of type [`solum::Http`]: requests go in, and the program's answers come out.
///
/// ```
/// use solum::http::Response;
/// use solum_sim::mock;
///
/// // The program.
/// fn greeter(mut http: solum::Http) -> solum::Result<()> {
///     loop {
///         let exchange = http.next(None)?;
///         let greeting = format!("hello {}\n", exchange.request.path);
///         exchange.respond(&Response::text(200, greeting))?;
///     }
/// }
///
/// let http = mock::Http::new();
/// // A script …
/// let page = http.get("/a%20b");
/// // … or plain code, for which each call is answered by the program.
/// http.client(|browser| {
///     let first = browser.get("/one").unwrap();
///     let second = browser.ask(mock::Ask::new("PUT", "/two").body(first.text())).unwrap();
///     assert_eq!(second.text(), "hello /two\n");
/// });
///
/// let end = greeter(http.port(&mock::Clock::new(), &mock::Health::new()));
/// assert_eq!(end, Err(solum::Error::Closed), "all requests are answered");
/// assert_eq!((page.answer().status, page.answer().text()), (200, "hello /a b\n".to_owned()));
/// assert!(http.are_done());
/// ```
///
/// A client has one connection and sends a request when the one before is answered; if the program ends the connection, it
/// makes another. When all clients are done, waiting gives [`Error::Closed`]: see [`Clock`].
#[derive(Clone, Default)]
pub struct Http {
    tcp: Tcp,
    clients: Rc<RefCell<Vec<Client>>>,
    script: Rc<RefCell<Option<Client>>>,
}

impl Http {
    /// No requests yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A port with these clients.
    pub fn port(&self, clock: &Clock, health: &Health) -> solum::Http {
        solum::Http::new(self.driver(clock), clock.driver(), health.driver())
    }

    /// What makes a port of it.
    pub fn driver(&self, clock: &Clock) -> Box<dyn Listen> {
        // The connections do not keep their clients, so that nothing keeps itself.
        let clients = Rc::clone(&self.clients);
        clock.watch(move || clients.borrow().iter().all(Client::has_sent_all));
        self.tcp.driver(clock)
    }

    /// The script's client asks for a path.
    pub fn get(&self, target: &str) -> Asked {
        self.ask(Ask::new("GET", target))
    }

    /// The script's client sends a body to a path.
    pub fn put(&self, target: &str, body: impl AsRef<[u8]>) -> Asked {
        self.ask(Ask::new("PUT", target).body(body))
    }

    /// The script's client sends a request, after those it was given before.
    pub fn ask(&self, ask: Ask) -> Asked {
        let client = self.script.borrow_mut().get_or_insert_with(|| self.new_client(None)).clone();
        let asked = client.enqueue(ask);
        client.go_on();
        asked
    }

    /// Another client: plain code, which begins here and goes on whenever the program has answered. A panic in it is a panic of
    /// the test.
    pub fn client(&self, body: impl FnOnce(&mut Browser) + 'static) {
        let stage: Rc<RefCell<Option<Rc<Stage>>>> = Rc::default();
        let wanted: Rc<RefCell<Option<(Ask, Asked)>>> = Rc::default();
        let mut browser = Browser { stage: Rc::clone(&stage), wanted: Rc::clone(&wanted) };
        let (actor, made) = Actor::new(move || body(&mut browser));
        *stage.borrow_mut() = Some(made);
        self.new_client(Some(Play { actor, wanted })).go_on();
    }

    fn new_client(&self, play: Option<Play>) -> Client {
        let state = State { play, asks: VecDeque::new(), under_way: None, input: Vec::new(), peer: None };
        let client = Client { tcp: self.tcp.clone(), state: Rc::new(RefCell::new(state)) };
        self.clients.borrow_mut().push(client.clone());
        client
    }

    /// The connections below, for bytes that are no HTTP.
    pub fn tcp(&self) -> &Tcp {
        &self.tcp
    }

    /// Whether every request was answered, and every client came to the end of its code.
    pub fn are_done(&self) -> bool {
        self.clients.borrow().iter().all(|client| {
            let state = client.state.borrow();
            state.play.is_none() && state.under_way.is_none() && state.asks.is_empty()
        })
    }
}

/// What a client that is plain code asks with.
pub struct Browser {
    stage: Rc<RefCell<Option<Rc<Stage>>>>,
    wanted: Rc<RefCell<Option<(Ask, Asked)>>>,
}

impl Browser {
    /// Asks for a path, and returns with the answer.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] if the program ended the connection without one.
    pub fn get(&mut self, target: &str) -> Result<Answer> {
        self.ask(Ask::new("GET", target))
    }

    /// Sends a request, and returns with the answer.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] if the program ended the connection without one.
    pub fn ask(&mut self, ask: Ask) -> Result<Answer> {
        let asked = Asked::of(&ask);
        *self.wanted.borrow_mut() = Some((ask, asked.clone()));
        let stage = self.stage.borrow().clone().ok_or(Error::Closed)?;
        if !stage.pause() {
            return Err(Error::Closed);
        }
        asked.outcome().unwrap_or(Err(Error::Closed))
    }
}

impl Asked {
    fn of(ask: &Ask) -> Self {
        Self { what: format!("{} {}", ask.method, ask.target), outcome: Rc::default() }
    }
}

/// A client, wherever its requests come from.
#[derive(Clone)]
struct Client {
    tcp: Tcp,
    state: Rc<RefCell<State>>,
}

struct State {
    play: Option<Play>,
    asks: VecDeque<(Ask, Asked)>,
    under_way: Option<(Ask, Asked)>,
    /// What came of an answer.
    input: Vec<u8>,
    peer: Option<Peer>,
}

/// Plain code that asks.
struct Play {
    actor: Actor,
    wanted: Rc<RefCell<Option<(Ask, Asked)>>>,
}

impl Client {
    fn has_sent_all(&self) -> bool {
        self.state.borrow().asks.is_empty()
    }

    fn enqueue(&self, ask: Ask) -> Asked {
        let asked = Asked::of(&ask);
        self.state.borrow_mut().asks.push_back((ask, asked.clone()));
        asked
    }

    /// Sends the next request, if none is under way.
    fn go_on(&self) {
        if self.state.borrow().under_way.is_some() {
            return;
        }
        let play = self.state.borrow_mut().play.take();
        if let Some(mut play) = play
            && !play.actor.play()
        {
            let mut state = self.state.borrow_mut();
            state.asks.extend(play.wanted.borrow_mut().take());
            state.play = Some(play);
        }
        let next = self.state.borrow_mut().asks.pop_front();
        let Some((ask, asked)) = next else { return };
        let peer = self.state.borrow_mut().peer.take().unwrap_or_else(|| self.connect());
        peer.pause(ask.pause).sends(ask.bytes());
        let mut state = self.state.borrow_mut();
        (state.peer, state.under_way) = (Some(peer), Some((ask, asked)));
    }

    fn connect(&self) -> Peer {
        let (peer, tcp, state) = (self.tcp.connect(), self.tcp.downgrade(), Rc::downgrade(&self.state));
        peer.reacts(move |_, heard| {
            let (Some(tcp), Some(state)) = (tcp(), state.upgrade()) else { return };
            let client = Self { tcp, state };
            match heard {
                Heard::Bytes(bytes) => {
                    client.state.borrow_mut().input.extend_from_slice(bytes);
                    client.read_answer();
                }
                Heard::HungUp => client.lost(),
            }
        });
        peer
    }

    fn read_answer(&self) {
        let mut state = self.state.borrow_mut();
        let Some((ask, _)) = &state.under_way else { return };
        let Some((answer, length)) = parse(&state.input, ask.method == "HEAD") else { return };
        state.input.drain(..length);
        if answer.field("connection") == Some("close") {
            // The program is about to end it; the next request goes on another.
            state.peer = None;
            state.input.clear();
        }
        let under_way = state.under_way.take();
        drop(state);
        if let Some((_, asked)) = under_way {
            *asked.outcome.borrow_mut() = Some(Ok(answer));
        }
        self.go_on();
    }

    /// The program ended the connection.
    fn lost(&self) {
        let mut state = self.state.borrow_mut();
        let is_other = state.peer.as_ref().is_none_or(|peer| !peer.is_hung_up());
        if is_other {
            return;
        }
        let old = state.peer.take();
        state.input.clear();
        if let Some(old) = old.filter(Peer::has_more_to_send) {
            // It ended while nothing was asked: what was to be asked is asked on another.
            drop(state);
            let peer = self.connect();
            peer.goes_on_for(&old);
            self.state.borrow_mut().peer = Some(peer);
            return;
        }
        let under_way = state.under_way.take();
        drop(state);
        if let Some((_, asked)) = under_way {
            *asked.outcome.borrow_mut() = Some(Err(Error::Closed));
            self.go_on();
        }
    }
}

/// A whole answer, and its length in bytes.
fn parse(input: &[u8], is_head: bool) -> Option<(Answer, usize)> {
    let mut fields = [httparse::EMPTY_HEADER; 64];
    let mut head = httparse::Response::new(&mut fields);
    let start = match head.parse(input) {
        Ok(httparse::Status::Complete(length)) => length,
        _ => return None,
    };
    let status = head.code?;
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    let fields: Vec<_> =
        head.headers.iter().map(|field| (field.name.to_ascii_lowercase(), text(field.value))).collect();
    let mut answer = Answer { status, fields, body: Vec::new() };
    let length = answer.field("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let length = if is_head { 0 } else { length };
    answer.body = input.get(start..start + length)?.to_vec();
    Some((answer, start + length))
}

#[cfg(test)]
mod tests {
    use super::*;
    use solum::http::Response;

    /// Answers what was asked, in words.
    fn serve(http: &Http, clock: &Clock, mut answer: impl FnMut(&str) -> Option<Response>) -> Error {
        let mut port = http.port(clock, &Health::new());
        loop {
            match port.next(None) {
                Ok(exchange) => {
                    let request = &exchange.request;
                    let body = String::from_utf8_lossy(&request.body).into_owned();
                    let said = format!("{} {} {body}", request.method, request.path);
                    if let Some(response) = answer(&said) {
                        exchange.respond(&response).unwrap();
                    }
                }
                Err(error) => return error,
            }
        }
    }

    fn echo(said: &str) -> Option<Response> {
        Some(Response::text(200, said))
    }

    #[test]
    fn a_script_is_sent_one_after_the_other_with_its_pauses() {
        let (clock, http) = (Clock::new(), Http::new());
        let first = http.put("/a", "body");
        let second = http.ask(Ask::new("HEAD", "/b").after(Duration::from_secs(30)));
        let third = http.ask(Ask::new("GET", "/c").field("connection", "close"));
        let fourth = http.get("/d");
        assert_eq!(first.outcome(), None);
        assert_eq!(serve(&http, &clock, echo), Error::Closed);
        assert_eq!(first.answer().text(), "PUT /a body");
        assert_eq!(
            (second.answer().text().as_str(), second.answer().field("content-length")),
            ("", Some("8"))
        );
        assert_eq!(third.answer().field("connection"), Some("close"));
        assert_eq!(fourth.answer().text(), "GET /d ");
        assert_eq!(clock.now().since_beginning(), Duration::from_secs(30));
        assert!(http.are_done());
    }

    #[test]
    fn a_program_that_hangs_up_is_noticed_and_asked_again_on_another_connection() {
        let http = Http::new();
        let (lost, next) = (http.get("/lost"), http.get("/next"));
        serve(&http, &Clock::new(), |said| if said.contains("lost") { None } else { echo(said) });
        assert_eq!(lost.outcome(), Some(Err(Error::Closed)));
        assert_eq!(next.answer().status, 200);
    }

    #[test]
    fn a_client_that_is_silent_for_too_long_comes_again() {
        let (clock, http) = (Clock::new(), Http::new());
        http.get("/a");
        let late = http.ask(Ask::new("GET", "/late").after(Duration::from_secs(600)));
        serve(&http, &clock, echo);
        assert_eq!((late.answer().status, clock.now().since_beginning()), (200, Duration::from_secs(600)));
    }

    #[test]
    fn several_clients_are_served_in_turn() {
        let http = Http::new();
        for name in ["a", "b"] {
            http.client(move |browser| {
                for number in 0..3 {
                    let path = format!("/{name}{number}");
                    assert_eq!(browser.get(&path).unwrap().text(), format!("GET {path} "));
                }
            });
        }
        let mut order = Vec::new();
        serve(&http, &Clock::new(), |said| {
            order.push(said[5..7].to_owned());
            echo(said)
        });
        assert_eq!(order, ["a0", "b0", "a1", "b1", "a2", "b2"]);
        assert!(http.are_done());
    }

    #[test]
    fn what_is_no_http_is_sent_below() {
        let http = Http::new();
        let peer = http.tcp().connect();
        peer.sends("nonsense\r\n\r\n");
        serve(&http, &Clock::new(), echo);
        assert!(peer.text().starts_with("HTTP/1.1 400 "));
    }

    #[test]
    #[should_panic(expected = "the program has not answered GET /never")]
    fn what_was_not_answered_says_so() {
        Http::new().get("/never").answer();
    }
}
