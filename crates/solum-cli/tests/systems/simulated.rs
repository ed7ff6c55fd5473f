//! The same programs in the simulation and as processes of this host: both have to do the same, as far as anybody can see.

use std::time::Duration;

use solum_sim::{Envelope, Outcome, Recipe, Scenario, Setup};

use super::devices::talk;
use crate::harness::system::System;
use crate::harness::{WORKSPACE, free_port};

/// Requests in the order in which they are made, and their answers.
const RECORDED: &str = include_str!("web-cluster.recorded");
const WEB_CLUSTER: &str = include_str!("../../../../examples/web-cluster/solum.toml");
const FILE_SERVER: &str = include_str!("../../../../examples/file-server/solum.toml");

/// A request to a machine, and its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Exchange {
    machine: String,
    method: String,
    path: String,
    sent: String,
    status: u16,
    answered: String,
}

/// What was recorded: a line each.
fn recorded() -> Vec<Exchange> {
    let lines = RECORDED.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (machine, method, path, sent, status, answered) =
                serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"));
            Exchange { machine, method, path, sent, status, answered }
        })
        .collect()
}

/// An example's description, with its packages where a system in a scratch directory finds them.
fn elsewhere(description: &str, example: &str) -> String {
    let from = format!("{WORKSPACE}/examples/{example}/");
    description.replace("package = \"", &format!("package = \"{from}"))
}

/// One run without faults. All it has to do is told by its client.
fn calm(description: &str, setup: impl Fn(&mut Setup) + Send + Sync + 'static) -> Outcome {
    let scenario = Scenario::new(description, setup).envelope(Envelope::none()).until(Duration::ZERO);
    let outcome = scenario.run(&Recipe::seed(0), false);
    assert_eq!(outcome.failure, None);
    outcome
}

/// Makes the requests to a simulated cluster, and fails at the first that is answered otherwise.
fn ask_simulation(exchanges: &[Exchange]) {
    let exchanges = exchanges.to_vec();
    calm(WEB_CLUSTER, move |setup| {
        web_cluster_simulation::programs(setup);
        let exchanges = exchanges.clone();
        setup.client("recorded", move |client| {
            for wanted in exchanges {
                let mut http = client.http(&wanted.machine, 8080).map_err(|error| error.to_string())?;
                let answer = http.request(&wanted.method, &wanted.path, wanted.sent.as_bytes());
                let answer = answer.map_err(|error| format!("{wanted:?}: {error}"))?;
                let answered = String::from_utf8_lossy(&answer.body).into_owned();
                let seen = Exchange { status: answer.status, answered, ..wanted.clone() };
                if seen != wanted {
                    return Err(format!(
                        "the simulation differs from the record\n seen {seen:?}\n not  {wanted:?}"
                    ));
                }
            }
            Ok(())
        });
    });
}

/// Makes one request to a cluster of processes.
fn ask_host(port: u16, exchange: &Exchange) -> Exchange {
    let Exchange { machine, method, path, sent, .. } = exchange;
    // The host gives machines addresses in their order, from this on.
    let number: usize = machine.strip_prefix("web.").unwrap().parse().unwrap();
    let address = format!("127.0.0.{}:{port}", number + 2);
    let length = sent.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: {machine}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{sent}"
    );
    let answer = talk(&address, &request);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{exchange:?}: {answer}"));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Exchange {
        status: status.unwrap_or_else(|| panic!("{head}")),
        answered: body.to_owned(),
        ..exchange.clone()
    }
}

#[test]
fn a_web_cluster_answers_as_its_simulation_does() {
    let exchanges = recorded();
    assert!(exchanges.len() >= 40);
    ask_simulation(&exchanges);

    let port = free_port();
    let description = elsewhere(WEB_CLUSTER, "web-cluster").replace("tcp.8080", &format!("tcp.{port}"));
    let system = System::described(&description);
    let mut running = system.on_host(&[]).start();
    for number in 0..4 {
        let address = format!("127.0.0.{}:{port}", number + 2);
        running = running.until_it_says(&format!("solum: web.{number}.front.http is at {address}\n"));
    }
    let running = running.until_it_prints("store.sequencer | epoch 1, 4 caches\n");
    for wanted in &exchanges {
        assert_eq!(ask_host(port, wanted), *wanted, "the host differs from the record");
    }
    system.down(running).exits(0);
}

/// What the units of the file server print in two lives of their machine, in a simulation.
fn simulated_notes() -> [Vec<String>; 2] {
    let both = std::sync::Arc::new(std::sync::Mutex::new(Default::default()));
    let seen = both.clone();
    calm(FILE_SERVER, move |setup| {
        setup.program("files", files::files);
        setup.program("notes", notes::notes);
        let is_done = |lines: &[String]| lines.last().is_some_and(|line| line.starts_with("in notes: "));
        setup.client("power", move |client| {
            while !is_done(&client.lines("store.notes")) {
                client.sleep(Duration::from_millis(10));
            }
            let first = client.lines("store.notes").len();
            client.cut_power("store");
            while client.lines("store.notes").len() == first || !is_done(&client.lines("store.notes")) {
                client.sleep(Duration::from_millis(10));
            }
            Ok(())
        });
        let seen = seen.clone();
        setup.check("both are remembered", move |end| {
            *seen.lock().unwrap() = ["store.server", "store.notes"].map(|unit| end.lines(unit));
            Ok(())
        });
    });
    both.lock().unwrap().clone()
}

#[test]
fn a_file_server_prints_what_its_simulation_prints() {
    let system = System::described(&elsewhere(FILE_SERVER, "file-server"));
    let mut printed = String::new();
    for number in 1..=2 {
        let running = system.on_host(&[]).start();
        let running = running.until_it_prints(&format!("| note {number} is safe in notes/{number}.txt\n"));
        let running = running.until_it_prints("| in notes: ");
        let finished = system.down(running);
        finished.exits(0);
        printed += &finished.stdout();
    }
    let of = |unit: &str| -> Vec<String> {
        let lines = printed.lines().filter_map(|line| line.split_once('|'));
        lines
            .filter(|(name, _)| name.trim() == format!("store.{unit}"))
            .map(|(_, line)| line[1..].to_owned())
            .collect()
    };
    assert_eq!([of("server"), of("notes")], simulated_notes());
}
