//! What Solum's simulator takes for the work of `cargo xtask bench sim`: units on machines of their own, that talk over links.
//!
//! Everything is on as it always is: each choice and each event is recorded, and the records are kept.

#[path = "../simulation/mod.rs"]
mod simulation;

use std::collections::BTreeMap;
use std::time::Duration;

use simulation::{
    CLIENTS, KEY_VALUE, LATENCY, Outcome, PING_PONG, ROUND_TRIPS, Request, SEED, SIZE, Work, is_of,
};
use solum::{Clock, Disk, Link, Serve};
use solum_sim::{Envelope, Latency, Recipe, Scenario, Setup, Shared, shared};

/// Operations of the disk, half of them to write.
const OPERATIONS: u64 = 1_000_000;
const DISK: Work = Work { name: "disk", operations: OPERATIONS, events: OPERATIONS };
/// Pairs of units, and how often each pair exchanges a message.
const PAIRS: u64 = 500;
const MESSAGES: u64 = 30;
const UNITS: Work =
    Work { name: "thousand-units", operations: PAIRS * MESSAGES, events: 2 * PAIRS * MESSAGES };

fn main() -> Outcome {
    let line = match std::env::args().nth(1).as_deref() {
        Some("ping-pong") => simulation::measure(&PING_PONG, || run(&ping_pong())),
        Some("key-value") => simulation::measure(&KEY_VALUE, || run(&key_value())),
        Some("disk") => simulation::measure(&DISK, || run(&disk())),
        Some("thousand-units") => simulation::measure(&UNITS, || run(&thousand_units())),
        _ => Err("write: ping-pong, key-value, disk or thousand-units".into()),
    }?;
    println!("{line}");
    Ok(())
}

fn run(scenario: &Scenario) -> Outcome<Duration> {
    let outcome = scenario.run(&Recipe::seed(SEED), true);
    match outcome.failure {
        None => Ok(outcome.took),
        Some(why) => Err(why.into()),
    }
}

/// A system whose units have done their work when the count is 0. Faults would stop at once.
fn scenario(description: &str, workers: u64, programs: fn(&mut Setup, Shared<u64>)) -> Scenario {
    let setup = move |setup: &mut Setup| {
        let left = shared(workers);
        programs(setup, left.clone());
        setup.client("watch", move |client| {
            while *left.borrow() > 0 {
                client.sleep(Duration::from_secs(1));
            }
            Ok(())
        });
    };
    let [least, most] = LATENCY.map(|latency| latency.as_nanos() as u64);
    let latency = Latency { remote_ns: least, spread_ns: most - least, ..Latency::default() };
    Scenario::new(description, setup)
        .envelope(Envelope::none())
        .until(Duration::ZERO)
        .settle(Duration::from_secs(3600))
        .latency(latency)
}

/// Sends back what comes.
#[solum::interface]
trait Echo {
    /// The same.
    #[once]
    fn echo(&mut self, message: Message) -> Message;
}

/// 64 bytes, which travel as such.
type Message = serde_bytes::ByteArray<SIZE>;

struct Mirror;

impl EchoService for Mirror {
    fn echo(&mut self, message: Message) -> Message {
        message
    }
}

#[derive(solum::Ports)]
struct Answering {
    echo: Serve<Echo>,
}

fn answer(mut ports: Answering) -> Result<(), solum::Error> {
    ports.echo.run(&mut Mirror)
}

#[derive(solum::Ports)]
struct Asking {
    echo: Link<Echo>,
    clock: Clock,
}

fn ask(ports: &mut Asking, rounds: u64, pause: Option<Duration>) -> Result<(), String> {
    let mut message = Message::new([0; SIZE]);
    for round in 0..rounds {
        message[..8].copy_from_slice(&round.to_le_bytes());
        let back = ports.echo.echo(message).map_err(|error| error.to_string())?;
        assert_eq!(message, back, "what comes back is what was sent");
        if let Some(pause) = pause {
            ports.clock.sleep(pause).map_err(|error| error.to_string())?;
        }
    }
    Ok(())
}

fn ping_pong() -> Scenario {
    let description = r#"
        system.name = "ping-pong"
        program.asking.file = "asking"
        program.answering.file = "answering"
        machine.client = { memory = "64 MiB", unit.asking = { program = "asking", ports.echo = "server/answering.echo" } }
        machine.server = { memory = "64 MiB", unit.answering = { program = "answering" } }
    "#;
    scenario(description, 1, |setup, left| {
        setup.program("asking", move |mut ports: Asking| {
            ask(&mut ports, ROUND_TRIPS, None)?;
            *left.borrow_mut() -= 1;
            Ok::<_, String>(())
        });
        setup.program("answering", answer);
    })
}

/// The key-value store.
#[solum::interface]
trait Store {
    /// Keeps a value.
    #[once]
    fn put(&mut self, key: u8, value: Message);
    /// What was kept.
    #[once]
    fn get(&mut self, key: u8) -> Option<Message>;
}

#[derive(Default)]
struct Kept(BTreeMap<u8, Message>);

impl StoreService for Kept {
    fn put(&mut self, key: u8, value: Message) {
        self.0.insert(key, value);
    }

    fn get(&mut self, key: u8) -> Option<Message> {
        self.0.get(&key).copied()
    }
}

#[derive(solum::Ports)]
struct Keeping {
    store: Serve<Store>,
}

#[derive(solum::Ports)]
struct Using {
    store: Link<Store>,
}

fn use_store(mut ports: Using, client: u8) -> Result<(), String> {
    for request in simulation::requests(client) {
        match request {
            Request::Put(key, value) => {
                ports.store.put(key, Message::new(value)).map_err(|error| error.to_string())?
            }
            Request::Get(key) => {
                let kept = ports.store.get(key).map_err(|error| error.to_string())?;
                assert!(kept.is_none_or(|value| is_of(&value, key)), "it is of another key");
            }
        }
    }
    Ok(())
}

fn key_value() -> Scenario {
    let description = r#"
        system.name = "key-value"
        program.using.file = "using"
        program.keeping.file = "keeping"
        machine.client = { count = 4, memory = "64 MiB", unit.using = { program = "using", ports.store = "server/keeping.store" } }
        machine.server = { memory = "64 MiB", unit.keeping = { program = "keeping" } }
    "#;
    scenario(description, CLIENTS.into(), |setup, left| {
        let client = shared(0);
        setup.program("using", move |ports: Using| {
            let client = {
                *client.borrow_mut() += 1;
                *client.borrow()
            };
            use_store(ports, client)?;
            *left.borrow_mut() -= 1;
            Ok::<_, String>(())
        });
        setup.program("keeping", |mut ports: Keeping| ports.store.run(&mut Kept::default()));
    })
}

#[derive(solum::Ports)]
struct Writing {
    disk: Disk,
}

fn disk() -> Scenario {
    let description = r#"
        system.name = "disk"
        program.writing.file = "writing"
        machine.store = { memory = "64 MiB", disk.data = "1 MiB", unit.writing = { program = "writing", ports.disk = "disk.data" } }
    "#;
    scenario(description, 1, |setup, left| {
        setup.program("writing", move |mut ports: Writing| {
            let mut block = [0; 512];
            let blocks = ports.disk.capacity() / 512;
            for operation in 0..OPERATIONS / 2 {
                let at = operation % blocks * 512;
                block[..8].copy_from_slice(&operation.to_le_bytes());
                ports.disk.write_at(at, &block).map_err(|error| error.to_string())?;
                ports.disk.read_at(at, &mut block).map_err(|error| error.to_string())?;
            }
            *left.borrow_mut() -= 1;
            Ok::<_, String>(())
        });
    })
}

fn thousand_units() -> Scenario {
    let description = r#"
        system.name = "thousand-units"
        program.asking.file = "asking"
        program.answering.file = "answering"
        [machine.left]
        count = 250
        memory = "64 MiB"
        unit.asking = { program = "asking", ports.echo = "answering.echo" }
        unit.answering = { program = "answering" }
        [machine.right]
        count = 250
        memory = "64 MiB"
        unit.asking = { program = "asking", ports.echo = "answering.echo" }
        unit.answering = { program = "answering" }
    "#;
    scenario(description, PAIRS, |setup, left| {
        setup.program("asking", move |mut ports: Asking| {
            ask(&mut ports, MESSAGES, Some(Duration::from_secs(1)))?;
            *left.borrow_mut() -= 1;
            Ok::<_, String>(())
        });
        setup.program("answering", answer);
    })
}
