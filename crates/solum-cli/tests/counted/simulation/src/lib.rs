//! A system that the tests of `solum sim` simulate: a counter that forgets, or does not.

use std::time::Duration;

use solum::{Clock, Console, Disk, Error};
use solum_sim::{Scenario, Setup};

/// What the counter reaches.
#[derive(solum::Ports)]
pub struct Ports {
    /// Where the sum is.
    pub disk: Disk,
    /// When to count.
    pub clock: Clock,
    /// Where the sum is told.
    pub console: Console,
}

/// Adds one for each second, makes it last unless it is forgetful, and tells the sum.
pub fn counter(mut ports: Ports, is_forgetful: bool) -> Result<(), Error> {
    let mut block = vec![0; 512];
    ports.disk.read_at(0, &mut block)?;
    loop {
        ports.clock.sleep(Duration::from_secs(1))?;
        block[0] = block[0].wrapping_add(1);
        ports.disk.write_at(0, &block)?;
        if !is_forgetful {
            ports.disk.flush()?;
        }
        ports.console.line(format_args!("{}", block[0]))?;
    }
}

fn counted(is_forgetful: bool) -> Scenario {
    Scenario::new(include_str!("../../solum.toml"), move |setup: &mut Setup| {
        setup.program("counter", move |ports| counter(ports, is_forgetful));
        setup.afterwards("reader", |client| {
            let told: Vec<u32> =
                client.lines("store.counter").iter().filter_map(|line| line.parse().ok()).collect();
            match told.windows(2).find(|pair| pair[1] <= pair[0]) {
                Some(pair) => Err(format!("{} was told after {}", pair[1], pair[0])),
                None => Ok(()),
            }
        });
    })
    .until(Duration::from_secs(20))
}

/// What is told was made to last.
pub fn sound() -> Scenario {
    counted(false)
}

/// What is told is lost with the power.
pub fn forgetful() -> Scenario {
    counted(true)
}

/// The description has a program without code.
pub fn incomplete() -> Scenario {
    Scenario::new(include_str!("../../solum.toml"), |_| ())
}

/// The process ends by a signal.
pub fn deadly() -> Scenario {
    std::process::abort()
}

/// What it is told is printed, and then nothing goes wrong.
pub fn talkative() -> Scenario {
    println!("printed by a scenario");
    eprintln!("and said by it");
    sound()
}
