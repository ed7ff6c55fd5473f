use std::io::{Read, Write};

use solum_spec::handover::UnitPhase;
use solum_supervisor::log::Source;

use super::*;

/// A system that does what it is told, and remembers it.
struct Fake {
    reports: Vec<UnitReport>,
    logs: Vec<LogRing>,
    wishes: Vec<Wish>,
}

impl Fake {
    /// The units `m.a` and `m.b`, whose logs hold so many bytes.
    fn new(log_bytes: usize) -> Self {
        let report = |name: &str| UnitReport {
            unit: format!("m.{name}"),
            program: "p".into(),
            phase: UnitPhase::Running,
            reason: "it is ready".into(),
            starts: 1,
            pid: Some(7),
            machine_pid: None,
        };
        let logs = vec![LogRing::new(log_bytes), LogRing::new(log_bytes)];
        Self { reports: vec![report("a"), report("b")], logs, wishes: Vec::new() }
    }

    fn print(&mut self, unit: usize, at_ms: u64, text: &str) {
        self.logs[unit].write(at_ms, Source { unit, stream: Stream::Output }, text.as_bytes());
    }
}

impl Operated for Fake {
    fn units(&self) -> Vec<UnitReport> {
        self.reports.clone()
    }

    fn find(&self, name: &str) -> Result<usize, String> {
        let found = self.reports.iter().position(|report| report.unit == name);
        found.ok_or_else(|| format!("there is no unit {name}"))
    }

    fn log(&self, unit: usize) -> Option<&LogRing> {
        self.logs.get(unit)
    }

    fn stop_limit(&self) -> Duration {
        Duration::from_millis(1_500)
    }

    fn obey(&mut self, wish: Wish) -> Result<(), String> {
        self.wishes.push(wish);
        Ok(())
    }

    fn press(&mut self, machine: Option<&str>, _: &[KeyChange]) -> Result<(), String> {
        Err(format!("{machine:?} has no keyboard"))
    }
}

/// Somebody who asks.
struct Person {
    stream: UnixStream,
    decoder: Decoder,
}

impl Person {
    fn new(operator: &mut Operator) -> Self {
        let (ours, theirs) = UnixStream::pair().unwrap();
        for stream in [&ours, &theirs] {
            stream.set_nonblocking(true).unwrap();
        }
        operator.talk(Box::new(theirs));
        Self { stream: ours, decoder: Decoder::new() }
    }

    fn asking(operator: &mut Operator, what: What) -> Self {
        let mut person = Self::new(operator);
        person.ask(what);
        person
    }

    fn ask(&mut self, what: What) {
        self.write(&control::encode(&Order { version: VERSION, what }));
    }

    fn write(&mut self, bytes: &[u8]) {
        Write::write_all(&mut self.stream, bytes).unwrap();
    }

    /// What has come until now, and whether the other side has hung up.
    fn hear(&mut self) -> (Vec<Answer>, bool) {
        let mut buffer = [0; 8192];
        let has_ended = loop {
            match Read::read(&mut self.stream, &mut buffer) {
                Ok(0) => break true,
                Ok(length) => self.decoder.push(&buffer[..length]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break false,
                // It hung up while something was still on the way to it.
                Err(_) => break true,
            }
        };
        let mut answers = Vec::new();
        while let Some(answer) = self.decoder.decode().unwrap() {
            answers.push(answer);
        }
        (answers, has_ended)
    }
}

fn line(unit: &str, at_ms: u64, text: &str) -> Answer {
    Answer::Line(LogLine { unit: unit.into(), is_error: false, at_ms, bytes: text.into() })
}

fn logs(units: &[&str], lines: Option<u32>, follow: bool) -> What {
    What::Logs { units: units.iter().map(|unit| (*unit).to_owned()).collect(), lines, follow }
}

fn bench(log_bytes: usize) -> (Fake, Operator) {
    (Fake::new(log_bytes), Operator::default())
}

/// What is answered to one order.
fn answered(fake: &mut Fake, what: What) -> Vec<Answer> {
    let mut operator = Operator::default();
    let mut person = Person::asking(&mut operator, what);
    operator.turn(fake);
    let (answers, has_ended) = person.hear();
    assert!(has_ended, "one order a connection");
    answers
}

#[test]
fn orders_are_obeyed_once_and_acknowledged() {
    let mut fake = Fake::new(1000);
    for what in [What::Start("m.b".into()), What::Stop("m.a".into()), What::Restart("m.b".into())] {
        assert_eq!(answered(&mut fake, what), [Answer::Done]);
    }
    let stopping = Answer::Stopping { within_ms: 1_500 };
    assert_eq!(answered(&mut fake, What::Down), [stopping, Answer::Done]);
    assert_eq!(fake.wishes, [Wish::Start(1), Wish::Stop(0), Wish::Restart(1), Wish::Down]);
    assert_eq!(answered(&mut fake, What::List), [Answer::Units(fake.reports.clone()), Answer::Done]);
}

#[test]
fn an_order_for_a_unit_that_is_not_there_is_refused() {
    let mut fake = Fake::new(1000);
    let refused = [Answer::Refused("there is no unit m.c".into())];
    for what in [What::Start("m.c".into()), What::Stop("m.c".into()), logs(&["m.a", "m.c"], None, true)] {
        assert_eq!(answered(&mut fake, what), refused);
    }
    assert_eq!(fake.wishes, []);
}

#[test]
fn another_version_is_refused_and_told_which_this_is() {
    let (mut fake, mut operator) = bench(1000);
    let mut person = Person::new(&mut operator);
    person.write(&control::encode(&Order { version: VERSION + 1, what: What::Down }));
    operator.turn(&mut fake);
    let text = "the system was started by another version of Solum (3, asked in 4)";
    assert_eq!(person.hear(), (vec![Answer::Refused(text.into())], true));
    assert_eq!(fake.wishes, []);
}

#[test]
fn garbage_is_refused_and_disturbs_nobody_else() {
    let (mut fake, mut operator) = bench(1000);
    let mut follower = Person::asking(&mut operator, logs(&[], None, true));
    let mut frames: Vec<Vec<u8>> = vec![vec![0xff; 64], b"GET / HTTP/1.1\r\n\r\n".to_vec()];
    // A frame that is whole, and no order.
    frames.push(control::encode(&vec![0xffu8; 40]));
    for garbage in frames {
        let mut person = Person::new(&mut operator);
        person.write(&garbage);
        operator.turn(&mut fake);
        let (answers, has_ended) = person.hear();
        assert!(matches!(answers[..], [Answer::Refused(_)]) && has_ended, "{garbage:?}: {answers:?}");
    }
    fake.print(0, 1, "on it goes\n");
    operator.turn(&mut fake);
    assert_eq!(follower.hear(), (vec![line("m.a", 1, "on it goes")], false));
}

#[test]
fn an_order_may_come_in_pieces() {
    let (mut fake, mut operator) = bench(1000);
    let mut person = Person::new(&mut operator);
    for byte in control::encode(&Order { version: VERSION, what: What::Stop("m.a".into()) }) {
        assert_eq!(fake.wishes, []);
        person.write(&[byte]);
        operator.turn(&mut fake);
    }
    assert_eq!(fake.wishes, [Wish::Stop(0)]);
    assert_eq!(person.hear(), (vec![Answer::Done], true));
}

#[test]
fn who_hangs_up_is_forgotten_and_who_only_stops_asking_is_answered() {
    let (mut fake, mut operator) = bench(1000);
    let silent = Person::new(&mut operator);
    let follower = Person::asking(&mut operator, logs(&[], None, true));
    operator.turn(&mut fake);
    assert_eq!(operator.poll_descriptors().len(), 2);
    drop((silent, follower));
    operator.turn(&mut fake);
    assert_eq!(operator.poll_descriptors().len(), 0);
    let mut person = Person::asking(&mut operator, What::List);
    person.stream.shutdown(std::net::Shutdown::Write).unwrap();
    operator.turn(&mut fake);
    assert_eq!(person.hear(), (vec![Answer::Units(fake.reports.clone()), Answer::Done], true));
}

#[test]
fn logs_of_several_units_come_in_the_order_of_time() {
    let mut fake = Fake::new(10_000);
    fake.print(0, 1, "one\n");
    fake.print(1, 2, "two\n");
    fake.print(0, 3, "three\nfour\n");
    let all = [
        line("m.a", 1, "one"),
        line("m.b", 2, "two"),
        line("m.a", 3, "three"),
        line("m.a", 3, "four"),
        Answer::Done,
    ];
    assert_eq!(answered(&mut fake, logs(&[], None, false)), all);
    assert_eq!(answered(&mut fake, logs(&["m.b"], None, false)), [line("m.b", 2, "two"), Answer::Done]);
    assert_eq!(
        answered(&mut fake, logs(&["m.b", "m.a"], Some(1), false)),
        [line("m.b", 2, "two"), line("m.a", 3, "four"), Answer::Done]
    );
    assert_eq!(answered(&mut fake, logs(&[], Some(0), false)), [Answer::Done]);
}

#[test]
fn who_follows_hears_what_comes_and_that_it_is_over() {
    let (mut fake, mut operator) = bench(10_000);
    fake.print(0, 1, "before\n");
    let mut person = Person::asking(&mut operator, logs(&["m.a"], Some(0), true));
    operator.turn(&mut fake);
    assert_eq!(person.hear(), (vec![], false));
    fake.print(0, 2, "after\n");
    fake.print(1, 2, "of another\n");
    operator.turn(&mut fake);
    assert_eq!(person.hear(), (vec![line("m.a", 2, "after")], false));
    fake.print(0, 3, "last\n");
    operator.finish(&mut fake, Duration::ZERO);
    assert_eq!(person.hear(), (vec![line("m.a", 3, "last"), Answer::Done], true));
}

#[test]
fn who_asked_just_before_the_end_is_answered() {
    let (mut fake, mut operator) = bench(10_000);
    fake.print(0, 1, "only\n");
    let mut person = Person::asking(&mut operator, logs(&[], None, true));
    operator.finish(&mut fake, Duration::ZERO);
    assert_eq!(person.hear(), (vec![line("m.a", 1, "only"), Answer::Done], true));
}

/// A conversation in which what was said takes a while to arrive.
struct Late {
    stream: UnixStream,
    reads: u32,
}

impl Talk for Late {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.reads += 1;
        if self.reads < 4 { Err(ErrorKind::WouldBlock.into()) } else { Read::read(&mut self.stream, buffer) }
    }

    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        Write::write(&mut self.stream, bytes)
    }

    fn input(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }

    fn output(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

#[test]
fn whose_first_order_comes_after_the_end_is_told_all() {
    for what in [What::Watch, logs(&[], None, true)] {
        let (mut fake, mut operator) = bench(10_000);
        fake.print(0, 1, "only\n");
        let (ours, theirs) = UnixStream::pair().unwrap();
        [&ours, &theirs].into_iter().for_each(|stream| stream.set_nonblocking(true).unwrap());
        operator.talk(Box::new(Late { stream: theirs, reads: 0 }));
        let mut person = Person { stream: ours, decoder: Decoder::new() };
        person.ask(what);
        operator.finish(&mut fake, Duration::from_secs(60));
        let (answers, has_ended) = person.hear();
        assert!(answers.ends_with(&[line("m.a", 1, "only"), Answer::Done]) && has_ended, "{answers:?}");
    }
}

/// Prints so many numbered lines while somebody follows who does not read.
fn flood(fake: &mut Fake, operator: &mut Operator, lines: u64) {
    for number in 0..lines {
        fake.print(0, number, &format!("{number:0>60}\n"));
        operator.turn(fake);
    }
}

/// Adds up what came, which has to be in order.
fn account(answers: &[Answer]) -> (u64, u64) {
    let (mut next, mut came, mut lost) = (0, 0, 0);
    for answer in answers {
        match answer {
            Answer::Line(line) => {
                let number: u64 = std::str::from_utf8(&line.bytes).unwrap().parse().unwrap();
                assert_eq!(number, next, "what is missing is told where it is missing");
                (next, came) = (next + 1, came + 1);
            }
            Answer::Lost { unit, lines, bytes } => {
                assert_eq!((unit.as_str(), *bytes), ("m.a", 60 * lines));
                (next, lost) = (next + lines, lost + lines);
            }
            Answer::Done => {}
            other => panic!("{other:?}"),
        }
    }
    (came, lost)
}

#[test]
fn a_slow_reader_is_told_exactly_what_it_missed() {
    let (mut fake, mut operator) = bench(20_000);
    let mut slow = Person::asking(&mut operator, logs(&["m.a"], None, true));
    let mut quick = Person::asking(&mut operator, What::List);
    flood(&mut fake, &mut operator, 20_000);
    assert_eq!(quick.hear().0.len(), 2, "nobody waits for the slow one");
    let waiting = operator.connections[0].output.len();
    assert!(waiting < 2 * WAITING_BYTES, "{waiting} bytes wait");
    let mut answers = Vec::new();
    loop {
        let (more, has_ended) = slow.hear();
        assert!(!has_ended);
        if more.is_empty() {
            break;
        }
        answers.extend(more);
        operator.turn(&mut fake);
    }
    let (came, lost) = account(&answers);
    assert_eq!(came + lost, 20_000);
    assert!(lost > 0);
}

#[test]
fn who_does_not_read_the_end_in_time_is_left_without_the_last_word() {
    let (mut fake, mut operator) = bench(1 << 20);
    let mut slow = Person::asking(&mut operator, logs(&["m.a"], None, true));
    flood(&mut fake, &mut operator, 8000);
    operator.finish(&mut fake, Duration::from_millis(1));
    drop(operator);
    let (answers, has_ended) = slow.hear();
    assert!(has_ended && !answers.contains(&Answer::Done));
    assert!(account(&answers).0 < 8000);
}

#[test]
fn the_end_waits_for_who_reads() {
    let (mut fake, mut operator) = bench(1 << 20);
    let mut slow = Person::asking(&mut operator, logs(&["m.a"], None, true));
    flood(&mut fake, &mut operator, 8000);
    slow.stream.set_nonblocking(false).unwrap();
    let reader = std::thread::spawn(move || slow.hear());
    operator.finish(&mut fake, Duration::from_secs(60));
    // Else whoever was not told the end would wait for it for ever.
    drop(operator);
    let (answers, has_ended) = reader.join().unwrap();
    assert!(has_ended && answers.ends_with(&[Answer::Done]));
    assert_eq!(account(&answers), (8000, 0));
}

#[test]
fn who_watches_is_told_of_every_unit_and_then_of_changes_and_goes_on_giving_orders() {
    let (mut fake, mut operator) = bench(10_000);
    fake.print(1, 1, "early\n");
    let mut person = Person::asking(&mut operator, What::Watch);
    operator.turn(&mut fake);
    let all = Answer::Units(fake.reports.clone());
    assert_eq!(person.hear(), (vec![all, line("m.b", 1, "early")], false));
    operator.turn(&mut fake);
    assert_eq!(person.hear(), (vec![], false), "nothing has changed");
    fake.reports[1].phase = UnitPhase::Ended;
    operator.turn(&mut fake);
    assert_eq!(person.hear(), (vec![Answer::Units(vec![fake.reports[1].clone()])], false));
    person.ask(What::Start("m.b".into()));
    person.ask(What::Stop("m.c".into()));
    operator.turn(&mut fake);
    let refused = Answer::Refused("there is no unit m.c".into());
    assert_eq!(person.hear(), (vec![Answer::Done, refused], false));
    assert_eq!(fake.wishes, [Wish::Start(1)]);
    operator.finish(&mut fake, Duration::ZERO);
    assert_eq!(person.hear(), (vec![Answer::Done], true));
}

#[test]
fn who_comes_when_there_are_too_many_waits_and_is_served_later() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let mut operator = Operator::new(UnixListener::bind(&path).unwrap()).unwrap();
    let mut fake = Fake::new(1000);
    let mut people: Vec<UnixStream> =
        (0..CONNECTIONS_MAX).map(|_| UnixStream::connect(&path).unwrap()).collect();
    operator.turn(&mut fake);
    let late = UnixStream::connect(&path).unwrap();
    late.set_nonblocking(true).unwrap();
    let mut late = Person { stream: late, decoder: Decoder::new() };
    late.ask(What::List);
    operator.turn(&mut fake);
    assert_eq!(operator.poll_descriptors().len(), CONNECTIONS_MAX, "the socket is not waited for");
    assert_eq!(late.hear(), (vec![], false));
    people.pop();
    operator.turn(&mut fake);
    operator.turn(&mut fake);
    assert_eq!(late.hear(), (vec![Answer::Units(fake.reports.clone()), Answer::Done], true));
}

#[test]
fn more_units_than_fit_into_a_frame_are_listed_in_several() {
    let mut fake = Fake::new(1000);
    let template = UnitReport { reason: "r".repeat(1000), ..fake.reports[0].clone() };
    fake.reports = (0..200).map(|index| UnitReport { starts: index, ..template.clone() }).collect();
    let (mut operator, mut listed) = (Operator::default(), Vec::new());
    let mut person = Person::asking(&mut operator, What::List);
    let mut parts = 0;
    loop {
        operator.turn(&mut fake);
        let (answers, has_ended) = person.hear();
        for answer in answers {
            match answer {
                Answer::Units(units) => (parts, listed) = (parts + 1, [listed, units].concat()),
                other => assert_eq!(other, Answer::Done),
            }
        }
        if has_ended {
            break;
        }
    }
    assert_eq!((parts, listed), (4, fake.reports));
}

#[test]
fn who_only_stopped_asking_is_not_waited_for() {
    let (mut fake, mut operator) = bench(1 << 20);
    for at_ms in 0..2000 {
        fake.print(0, at_ms, &format!("{}\n", "x".repeat(500)));
    }
    let mut person = Person::asking(&mut operator, logs(&["m.a"], None, false));
    operator.turn(&mut fake);
    person.stream.shutdown(std::net::Shutdown::Write).unwrap();
    operator.turn(&mut fake);
    let readable: Vec<_> = operator.poll_descriptors();
    assert_eq!(readable.len(), 1, "there is more to be sent, and nothing to be heard");
    drop(readable);
    let (mut lines, mut has_ended) = (0, false);
    while !has_ended {
        let (answers, ended) = person.hear();
        lines += answers.iter().filter(|answer| matches!(answer, Answer::Line(_))).count();
        has_ended = ended;
        operator.turn(&mut fake);
    }
    assert!(lines > 1500, "{lines} lines");
}

#[test]
fn who_watches_and_does_not_read_costs_no_more_than_its_share() {
    let (mut fake, mut operator) = bench(1000);
    let mut person = Person::asking(&mut operator, What::Watch);
    for count in 0..5000 {
        fake.reports[0].reason = format!("{count}{}", "r".repeat(1000));
        operator.turn(&mut fake);
    }
    let waiting = operator.connections[0].output.len();
    assert!(waiting < 2 * WAITING_BYTES, "{waiting} bytes wait");
    person.ask(What::Start("m.b".into()));
    operator.turn(&mut fake);
    assert_eq!(fake.wishes, [], "nor is it asked for more");
    let mut told = String::new();
    loop {
        let (answers, _) = person.hear();
        operator.turn(&mut fake);
        for answer in &answers {
            if let Answer::Units(units) = answer {
                told.clone_from(&units[0].reason);
            }
        }
        if answers.contains(&Answer::Done) {
            break;
        }
    }
    assert!(told.starts_with("4999r"), "in the end it knows what is true");
    assert_eq!(fake.wishes, [Wish::Start(1)]);
}
