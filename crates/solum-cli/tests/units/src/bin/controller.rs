//! Lets two other units share the time: the first runs, then the second, then the second is another program.

use std::time::Duration;

use solum::{Clock, Console, Error, Health, Units};
use units::arguments;

#[derive(solum::Ports)]
struct Ports {
    units: Units,
    clock: Clock,
    console: Console,
    health: Health,
}

#[solum::program]
fn controller(mut ports: Ports) -> Result<(), Error> {
    ports.health.ready()?;
    let arguments = arguments();
    let [first, second, program] = arguments.as_slice() else {
        return Err(Error::Refused("two units and a program".into()));
    };
    let names: Vec<String> = ports.units.list()?.into_iter().map(|unit| unit.unit).collect();
    ports.console.line(format_args!("units: {}", names.join(" ")))?;
    ports.units.stop(second)?;
    expect(&mut ports, second, "Ended", 1)?;
    ports.units.stop(first)?;
    expect(&mut ports, first, "Ended", 1)?;
    ports.units.replace(second, program)?;
    ports.units.start(second)?;
    expect(&mut ports, second, "Running", 2)?;
    for refused in [
        ports.units.stop("nobody"),
        ports.units.stop("controller"),
        ports.units.replace(second, "nothing"),
        ports.units.replace(second, "plain"),
    ] {
        let answer = refused.map_or_else(|error| error.to_string(), |()| "done".to_owned());
        ports.console.line(answer)?;
    }
    Ok(())
}

/// Waits until a unit is in this phase of this life.
fn expect(ports: &mut Ports, unit: &str, phase: &str, epoch: u32) -> Result<(), Error> {
    loop {
        let state = ports.units.state(unit)?;
        if format!("{:?}", state.phase) == phase && state.epoch == epoch {
            return ports.console.line(format_args!("{unit} is {phase} in its life {epoch}"));
        }
        ports.clock.sleep(Duration::from_millis(5))?;
    }
}
