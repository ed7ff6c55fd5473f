//! Whole systems, simulated.

use std::time::Duration;

use solum::{Clock, Console, Disk, Http, Link, Serve};
use solum_sim::{Campaign, Envelope, Fault, Recipe, Scenario, Search, Setup, records, shared};

const DESCRIPTION: &str = r#"
[system]
name = "counters"

[program.counter]
file = "counter"
[program.web]
file = "web"

[machine.store]
memory = "64 MiB"
disk.data = "1 MiB"
[machine.store.unit.counter]
program = "counter"
ports.disk = "disk.data"

[machine.front]
memory = "64 MiB"
count = 2
[machine.front.unit.web]
program = "web"
ports.http = "tcp.80"
ports.counter = "store/counter.counter"
"#;

#[solum::interface]
trait Counter {
    /// Adds one, makes it last, and gives the sum.
    #[once]
    fn add(&mut self) -> Result<u64, String>;
}

#[derive(solum::Ports)]
struct CounterPorts {
    disk: Disk,
    counter: Serve<Counter>,
    console: Console,
}

struct Sum {
    disk: Disk,
    sum: u64,
    flushes: bool,
}

impl CounterService for Sum {
    fn add(&mut self) -> Result<u64, String> {
        let mut block = vec![0; 512];
        block[..8].copy_from_slice(&(self.sum + 1).to_le_bytes());
        self.disk.write_at(0, &block).map_err(|error| error.to_string())?;
        if self.flushes {
            self.disk.flush().map_err(|error| error.to_string())?;
        }
        self.sum += 1;
        Ok(self.sum)
    }
}

fn counter(mut ports: CounterPorts, flushes: bool) -> Result<(), solum::Error> {
    let mut block = vec![0; 512];
    ports.disk.read_at(0, &mut block)?;
    let sum = block[..8].iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
    ports.console.line(format_args!("counting from {sum}"))?;
    ports.counter.run(&mut Sum { disk: ports.disk, sum, flushes })
}

#[derive(solum::Ports)]
struct WebPorts {
    http: Http,
    counter: Link<Counter>,
    clock: Clock,
}

fn web(mut ports: WebPorts) -> Result<(), solum::Error> {
    ports.counter.set_patience(Duration::from_secs(2));
    loop {
        let exchange = ports.http.next(None)?;
        let response = match ports.counter.add() {
            Ok(sum) => solum::http::Response::text(200, sum.to_string()),
            Err(error) => solum::http::Response::text(503, error.to_string()),
        };
        exchange.respond(&response)?;
        let _ = ports.clock.now();
    }
}

/// Two clients count; no sum may ever be given twice, nor go back.
fn scenario(flushes: bool) -> Scenario {
    Scenario::new(DESCRIPTION, move |setup: &mut Setup| {
        setup.program("counter", move |ports| counter(ports, flushes));
        setup.program("web", web);
        let sums = shared(Vec::new());
        for front in 0..2 {
            let sums = sums.clone();
            setup.client(&format!("client-{front}"), move |client| {
                let mut web =
                    client.http(&format!("front.{front}"), 80).map_err(|error| error.to_string())?;
                web.set_patience(Duration::from_secs(3));
                while !client.is_calm() {
                    if let Ok(answer) = web.request("GET", "/", b"")
                        && answer.status == 200
                    {
                        let sum: u64 = String::from_utf8_lossy(&answer.body)
                            .parse()
                            .map_err(|error| format!("{error}"))?;
                        if sums.borrow().contains(&sum) {
                            return Err(format!("{sum} was given twice"));
                        }
                        sums.borrow_mut().push(sum);
                    }
                    client.sleep(Duration::from_millis(100));
                }
                Ok(())
            });
        }
        setup.afterwards("visitor", |client| {
            for front in 0..2 {
                let mut web =
                    client.http(&format!("front.{front}"), 80).map_err(|error| error.to_string())?;
                while !web.request("GET", "/", b"").is_ok_and(|answer| answer.status == 200) {
                    client.sleep(Duration::from_millis(500));
                }
            }
            Ok(())
        });
        setup.check("somebody counted", |end| {
            let sum = end.disk("store.data").map(|disk| disk[0]).unwrap_or_default();
            if sum == 0 { Err(format!("nobody did, {:?}", end.lines("store.counter"))) } else { Ok(()) }
        });
    })
}

#[test]
fn nothing_goes_wrong_without_faults() {
    let outcome = scenario(true).envelope(Envelope::none()).run(&Recipe::seed(1), true);
    assert_eq!(outcome.failure, None);
    assert!(outcome.faults.is_empty() && outcome.events > 1000, "{outcome:?}");
    let trace = outcome.trace.unwrap();
    assert_eq!(records(&trace).count() as u64, outcome.events);
}

#[test]
fn the_same_seed_is_the_same_run_and_its_choices_are_too() {
    let scenario = scenario(true);
    for seed in 0..10 {
        let first = scenario.run(&Recipe::seed(seed), true);
        let second = scenario.run(&Recipe::seed(seed), true);
        assert_eq!(first.failure, None, "seed {seed}");
        assert!(first.trace == second.trace && first.digest == second.digest, "seed {seed}");
        let window_ns = scenario.window_ns(&Recipe::seed(seed));
        let scripted = scenario.run(&Recipe::seed(seed).scripted(first.choices.clone(), window_ns), true);
        assert!(first.trace == scripted.trace, "the script of seed {seed}");
        assert_eq!(first.choices, scripted.choices);
    }
}

#[test]
fn what_was_not_flushed_is_missed_after_a_power_cut() {
    let broken = scenario(false);
    let found = (0..300).find(|seed| broken.run(&Recipe::seed(*seed), false).failure.is_some());
    let failure = broken.run(&Recipe::seed(found.unwrap()), false).failure.unwrap();
    assert!(failure.contains("was given twice"), "{failure}");
}

#[test]
fn every_kind_of_fault_of_the_envelope_happens_and_no_other() {
    // What is never flushed can always be lost.
    let scenario = scenario(false);
    let mut seen = std::collections::BTreeMap::new();
    for seed in 0..60 {
        let outcome = scenario.run(&Recipe::seed(seed), false);
        outcome.faults.into_iter().for_each(|(kind, count)| *seen.entry(kind).or_insert(0) += count);
    }
    let expected: Vec<Fault> = Fault::ALL.into_iter().filter(|kind| !kind.is_damage()).collect();
    let seen: Vec<Fault> = seen.into_keys().collect();
    assert_eq!(seen, expected);
}

#[test]
fn a_failure_is_made_small_and_replayed_by_its_token() {
    let report = Campaign::new(scenario(false)).seeds(0..300).run(&|_| ()).unwrap();
    let failure = &report.failures[0];
    let shrunk = failure.shrunk.as_ref().unwrap();
    eprintln!("{}", failure.text());
    assert!(shrunk.recipe.script.as_ref().unwrap().len() <= 6, "{:?}", shrunk.recipe);
    assert!(shrunk.outcome.choices.len() < failure.outcome.choices.len());
    let token: Recipe = shrunk.recipe.to_string().parse().unwrap();
    let again = scenario(false).run(&token, false);
    assert_eq!((again.failure, again.digest), (shrunk.outcome.failure.clone(), shrunk.outcome.digest));
}

#[test]
fn a_crash_after_every_operation_finds_what_was_not_flushed() {
    let crashes =
        |flushes| Campaign::new(scenario(flushes).until(Duration::from_secs(5))).search(Search::Crashes);
    let report = crashes(false).without_shrinking().run(&|_| ()).unwrap();
    assert!(report.failures[0].why.contains("was given twice"), "{:?}", report.failures[0].why);
    let report = crashes(true).expect_none();
    assert!(report.runs > 100, "{report:?}");
}

#[test]
fn every_search_finds_it() {
    for search in [Search::Random, Search::Pct, Search::Novelty] {
        let campaign = Campaign::new(scenario(false)).seeds(0..500).search(search).without_shrinking();
        assert_eq!(campaign.run(&|_| ()).unwrap().failures.len(), 1, "{search:?}");
    }
}

#[derive(solum::Ports)]
struct Careless {
    clock: Clock,
}

fn careless(ports: Careless) -> Result<(), solum::Error> {
    let before = std::time::Instant::now();
    ports.clock.sleep(Duration::from_secs(1))?;
    assert!(before.elapsed() < Duration::from_secs(1));
    Ok(())
}

#[test]
fn a_program_that_reads_the_systems_clock_is_named() {
    let description = r#"
        system.name = "careless"
        program.careless.file = "careless"
        machine.m = { memory = "64 MiB", unit.u = { program = "careless" } }
    "#;
    let scenario = Scenario::new(description, |setup| setup.program("careless", careless));
    let panics = Scenario::new(description, |setup| {
        setup.program("careless", |_: Careless| {
            std::fs::read("/proc/self/status").expect("it is always there");
            Ok::<_, String>(())
        });
    });
    let failure = panics.run(&Recipe::seed(0), false).failure.unwrap();
    assert!(failure.starts_with("m.u reached past its ports: it used a file of the system"), "{failure}");
    let panics = Scenario::new(description, |setup| {
        setup.program("careless", |_: Careless| -> Result<(), String> { panic!("no more bread") });
    });
    let failure = panics.run(&Recipe::seed(0), false).failure.unwrap();
    assert!(failure.starts_with("m.u panicked: no more bread ("), "{failure}");
    let failure = scenario.run(&Recipe::seed(0), false).failure.unwrap();
    assert!(failure.starts_with("m.u reached past its ports: it read the system's clock"), "{failure}");
    assert!(failure.contains("careless (") && failure.contains("hint: plug in a Clock"), "{failure}");
}

#[test]
fn another_process_makes_the_same_run() {
    const CHILD: &str = "SOLUM_DIGEST_OF_SEED";
    let digest = |seed| scenario(true).run(&Recipe::seed(seed), false).digest;
    if let Some(seed) = std::env::var(CHILD).ok().and_then(|seed| seed.parse().ok()) {
        println!("digest {:016x}", digest(seed));
        return;
    }
    for seed in 0..4_u64 {
        let mut child = std::process::Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", "another_process_makes_the_same_run", "--nocapture"]);
        let output = child.env(CHILD, seed.to_string()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(said.contains(&format!("digest {:016x}", digest(seed))), "seed {seed}: {said}");
    }
}

#[test]
fn code_and_description_have_the_same_programs() {
    let of = |names: &'static [&'static str]| {
        let scenario = Scenario::new(DESCRIPTION, move |setup| {
            for name in names {
                match *name {
                    "web" => setup.program(name, web),
                    name => setup.program(name, |ports| counter(ports, true)),
                }
            }
        });
        scenario.run(&Recipe::seed(0), false).failure.unwrap_or_default()
    };
    assert_eq!(of(&["counter", "web"]), "");
    assert!(of(&["web"]).starts_with("the scenario has no code for the program `counter`"));
    assert!(of(&["countr", "web"]).ends_with("what it has for `countr` belongs to none"));
    assert!(of(&["counter", "web", "other"]).starts_with("the scenario has code for `other`, which"));
}

#[test]
fn a_name_that_the_description_does_not_have_is_the_scenarios_mistake() {
    let of = |act: fn(&solum_sim::Client)| {
        let scenario = Scenario::new(DESCRIPTION, move |setup| {
            setup.program("counter", |ports| counter(ports, true));
            setup.program("web", web);
            setup.client("clumsy", move |client| {
                act(client);
                Ok(())
            });
        });
        scenario.run(&Recipe::seed(0), false).failure.unwrap_or_default()
    };
    let killed = of(|client| assert!(!client.kill("store.countr")));
    assert_eq!(
        killed,
        "the scenario names a unit `store.countr`, and the description has store.counter, front.0.web, front.1.web"
    );
    assert!(
        of(|client| assert!(!client.cut_power("stor")))
            .contains("a machine `stor`, and the description has store")
    );
    assert!(
        of(|client| assert!(client.http("front.2", 80).is_err()))
            .contains("no unit of the machine front.2 listens")
    );
}
