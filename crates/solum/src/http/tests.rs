//! A server among clients that send what they like, when they like.

use std::cell::{Cell, RefCell};

use super::*;

/// What a client sent that was not read, and what it was answered.
#[derive(Default)]
struct Wire {
    sent: VecDeque<u8>,
    answered: Vec<u8>,
    /// It sends a byte whenever somebody waits for it.
    dribbles: bool,
}

#[derive(Clone, Default)]
struct Client(Rc<RefCell<Wire>>);

impl Client {
    fn sends(&self, text: &str) {
        self.0.borrow_mut().sent.extend(text.bytes());
    }

    fn answered(&self) -> String {
        String::from_utf8_lossy(&self.0.borrow().answered).into_owned()
    }
}

impl Converse for Client {
    fn read(&mut self, buffer: &mut [u8]) -> Result<Option<usize>> {
        let mut wire = self.0.borrow_mut();
        let length = buffer.len().min(wire.sent.len());
        for (byte, sent) in buffer.iter_mut().zip(wire.sent.drain(..length)) {
            *byte = sent;
        }
        Ok((length > 0).then_some(length))
    }

    fn write(&mut self, data: &[u8]) -> Result<Option<usize>> {
        self.0.borrow_mut().answered.extend_from_slice(data);
        Ok(Some(data.len()))
    }

    fn arm_write<'a>(&'a mut self, _: &mut Waker<'a>) -> bool {
        true
    }

    fn peer(&self) -> String {
        String::new()
    }
}

impl Source for Client {
    fn arm<'a>(&'a mut self, _: &mut Waker<'a>) -> bool {
        let mut wire = self.0.borrow_mut();
        if wire.dribbles {
            wire.sent.push_back(b'a');
        }
        !wire.sent.is_empty()
    }
}

/// Clients that connected and were not accepted.
#[derive(Clone, Default)]
struct Backlog(Rc<RefCell<VecDeque<Client>>>);

impl Listen for Backlog {
    fn accept(&mut self) -> Result<Option<Box<dyn Converse>>> {
        Ok(self.0.borrow_mut().pop_front().map(|client| Box::new(client) as Box<dyn Converse>))
    }
}

impl Source for Backlog {
    fn arm<'a>(&'a mut self, _: &mut Waker<'a>) -> bool {
        !self.0.borrow().is_empty()
    }
}

/// A clock that runs while somebody waits: to the deadline, unless something is ready before.
#[derive(Default)]
struct Waits(Cell<u64>, Cell<u32>);

impl Waits {
    fn pass(&self, time: Duration) {
        self.0.set(self.0.get() + time.as_millis() as u64);
    }
}

impl clock::Driver for Waits {
    fn now(&self) -> Moment {
        Moment::from_beginning(Duration::from_millis(self.0.get()))
    }

    fn wall(&self) -> Result<Duration> {
        Err(Error::Closed)
    }

    fn select(&self, sources: &mut [&mut dyn Source], deadline: Option<Moment>) -> Result<Option<usize>> {
        self.1.set(self.1.get() + 1);
        assert!(self.1.get() < 1000, "it waits for ever");
        let ready = sources.iter_mut().position(|source| source.arm(&mut Waker::default()));
        let left = deadline.map_or(Duration::MAX, |deadline| deadline.since(self.now()));
        self.pass(left.min(if ready.is_some() { Duration::from_millis(1) } else { Duration::MAX }));
        Ok(ready)
    }
}

impl health::Driver for Waits {
    fn ready(&self) -> Result<()> {
        Ok(())
    }

    fn health(&self, _: Result<(), String>) -> Result<()> {
        Ok(())
    }
}

fn server() -> (Http, Backlog, Rc<Waits>) {
    let (backlog, clock) = (Backlog::default(), Rc::new(Waits::default()));
    let http = Http::new(Box::new(backlog.clone()), clock.clone(), clock.clone());
    (http, backlog, clock)
}

fn connect(backlog: &Backlog) -> Client {
    let client = Client::default();
    backlog.0.borrow_mut().push_back(client.clone());
    client
}

/// Takes what there is, in which is no request.
fn look(http: &mut Http, clock: &Waits) {
    let now = clock::Driver::now(clock);
    assert!(matches!(http.next(Some(now)), Err(Error::Deadline)));
}

const BEGINNING: &str = "PUT / HTTP/1.1\r\ncontent-length: 9000\r\n\r\n";

#[test]
fn who_was_silent_longest_is_turned_away_when_too_much_is_being_sent() {
    let (mut http, backlog, clock) = server();
    http.set_body_limit(10_000);
    http.set_input_limit(30_000);
    let begun = format!("{BEGINNING}{}", "a".repeat(8000));
    let clients: Vec<Client> = (0..3).map(|_| connect(&backlog)).collect();
    for client in &clients {
        client.sends(&begun);
        look(&mut http, &clock);
        clock.pass(Duration::from_secs(1));
    }
    clients[0].sends("a");
    look(&mut http, &clock);
    clock.pass(Duration::from_secs(1));
    assert!(clients.iter().all(|client| client.answered().is_empty()), "it is not too much yet");
    let late = connect(&backlog);
    late.sends(&begun);
    look(&mut http, &clock);
    let turned_away: Vec<bool> =
        clients.iter().map(|client| client.answered().starts_with("HTTP/1.1 503 ")).collect();
    assert_eq!(turned_away, [false, true, false]);
    clients[2].sends(&"b".repeat(1000));
    let exchange = http.next(None).unwrap();
    assert_eq!(exchange.request.body.len(), 9000);
    exchange.respond(&Response::new(204)).unwrap();
    assert!(clients[2].answered().starts_with("HTTP/1.1 204 "));
    assert!(late.answered().is_empty());
}

#[test]
fn the_largest_request_has_room_whatever_the_limit_is() {
    let (mut http, backlog, _) = server();
    http.set_input_limit(0);
    let client = connect(&backlog);
    client.sends(&format!("{BEGINNING}{}", "a".repeat(9000)));
    assert_eq!(http.next(None).unwrap().request.body.len(), 9000);
}

#[test]
fn a_server_with_all_its_connections_is_not_ready_for_more_until_one_expires() {
    let (mut http, backlog, clock) = server();
    for _ in 0..=CONNECTIONS_MAX {
        connect(&backlog);
    }
    look(&mut http, &clock);
    assert_eq!(backlog.0.borrow().len(), 1);
    let mut waker = Waker::default();
    assert!(!http.arm(&mut waker), "the one that waits has to wait");
    let expiry = waker.at();
    assert_eq!(expiry, Some(Moment::default().after(CONNECTION_PATIENCE)));
    clock.pass(CONNECTION_PATIENCE);
    assert!(http.arm(&mut Waker::default()), "there is room");
}

#[test]
fn clients_that_send_a_byte_now_and_then_do_not_postpone_the_deadline() {
    let (mut http, backlog, _) = server();
    let client = connect(&backlog);
    client.0.borrow_mut().dribbles = true;
    let deadline = Moment::default().after(Duration::from_millis(20));
    assert!(matches!(http.next(Some(deadline)), Err(Error::Deadline)));
}
