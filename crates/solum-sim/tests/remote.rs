//! What units on two machines are to each other.

use std::time::Duration;

use solum::{Clock, Disk, Serve};
use solum_sim::{About, Choice, Envelope, Fault, Recipe, Scenario, Setup, records};

const DESCRIPTION: &str = r#"
    system.name = "remote"
    program.server.file = "server"
    program.user.file = "user"
    machine.store = { memory = "64 MiB", disk.data = "1 MiB", unit.server = { program = "server", ports.disk = "disk.data" } }
    machine.desk = { memory = "64 MiB", unit.user = { program = "user", ports.disk = "store/server.volume" } }
"#;

#[derive(solum::Ports)]
struct Serving {
    disk: Disk,
    volume: Serve<Disk>,
}

fn serve(mut ports: Serving) -> Result<(), solum::Error> {
    let mut driver = ports.disk.into_driver();
    ports.volume.run(&mut *driver)
}

#[derive(solum::Ports)]
struct Using {
    disk: Disk,
    clock: Clock,
}

/// What a round writes, and where.
fn written(round: u64) -> (u64, Vec<u8>) {
    (round % 64 * 8192, (0..8192_u64).map(|byte| (byte * 7 + round) as u8).collect())
}

/// Writes, and reads what the round before wrote: the memory of the link still has what was just written.
fn write_and_read(ports: &mut Using, round: u64) -> solum::Result<bool> {
    let (at, data) = written(round);
    ports.disk.write_at(at, &data)?;
    ports.disk.flush()?;
    let (at, expected) = written(round - 1);
    let mut read = vec![0; 8192];
    ports.disk.read_at(at, &mut read)?;
    Ok(read == expected)
}

fn scenario() -> Scenario {
    Scenario::new(DESCRIPTION, |setup: &mut Setup| {
        setup.program("server", serve);
        setup.program("user", |mut ports: Using| {
            let mut is_before_written = false;
            for round in 1.. {
                // Whether it was written is not known after an error.
                let outcome = write_and_read(&mut ports, round);
                let is_right = outcome != Ok(false) || !is_before_written;
                assert!(is_right, "round {round}: another block was read than was written");
                is_before_written = outcome.is_ok();
                ports.clock.sleep(Duration::from_millis(50))?;
            }
            Ok::<_, solum::Error>(())
        });
        setup.afterwards("nobody", |client| {
            client.sleep(Duration::from_secs(3));
            Ok(())
        });
    })
}

#[test]
fn a_disk_that_another_machine_serves_gives_what_was_written() {
    let outcome = scenario().envelope(Envelope::none()).run(&Recipe::seed(0), false);
    assert_eq!(outcome.failure, None);
    for seed in 0..40 {
        assert_eq!(scenario().run(&Recipe::seed(seed), false).failure, None, "seed {seed}");
    }
}

#[test]
fn no_fault_happens_once_it_is_calm() {
    let scenario = scenario();
    for seed in 0..40 {
        let trace = scenario.run(&Recipe::seed(seed), true).trace.unwrap();
        let after = records(&trace).skip_while(|(_, record)| *record != solum_sim::Record::Calm);
        let fault = after.into_iter().find(|(_, record)| matches!(record, solum_sim::Record::Fault(..)));
        assert!(fault.is_none(), "seed {seed}: {fault:?}");
    }
}

#[test]
fn a_script_cannot_leave_the_envelope() {
    let scenario = scenario().envelope(Envelope::of([Fault::SlowDisks]));
    let abouts =
        [About::DiskFault, About::Packet, About::Delay, About::Misfortune, About::PowerCut, About::DiskLoss];
    let script: Vec<Choice> = abouts
        .into_iter()
        .flat_map(|about| (0..400).map(move |number| (about, number)))
        .map(|(about, number)| Choice {
            about,
            index: number % 4,
            number: number / 4,
            value: 1 + number * 7919,
        })
        .collect();
    let outcome = scenario.run(&Recipe::seed(1).scripted(script, 0), false);
    assert_eq!(outcome.failure, None);
    assert!(outcome.faults.keys().all(|kind| *kind == Fault::SlowDisks), "{:?}", outcome.faults);
}
