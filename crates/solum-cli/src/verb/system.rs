//! `solum run` on the directory of a system.

use std::collections::BTreeMap;
use std::time::Duration;

use solum_spec::plan::Plan;
use solum_spec::system::{Machine, System};
use solum_vm::Handle;
use solum_vm::system::{HostPlace, host};

use crate::arguments::{Place, Run, ScreenKind};
use crate::attended::{Screen, attended, published, refused, unprepared};
use crate::exit_code::ExitCode;
use crate::failure::Failure;
use crate::launch;
use crate::running::Claim;
use crate::suited::{flags_of_a_program, refuse_for_system};
use crate::system::{Described, Executables};
use crate::terminal::say;
use crate::typing::Typing;
use crate::window;

/// Builds, wires and runs a system; gives back an exit status.
pub fn run(arguments: &Run) -> Result<u8, Failure> {
    refuse_unsuited(arguments)?;
    refuse_unsuited_screens(arguments)?;
    let described = Described::read(&arguments.program.program)?;
    let executables = described.build()?;
    let system = described.wire(&executables)?;
    let claim = Claim::new(&described.directory)?;
    match arguments.place {
        Place::Host => on_host(arguments, &system, &executables, &claim),
        Place::Vm => super::system_vm::run(&described.directory, arguments, &system, executables, &claim),
    }
}

fn on_host(
    arguments: &Run,
    system: &System,
    executables: &Executables,
    claim: &Claim,
) -> Result<u8, Failure> {
    let paths: BTreeMap<String, String> = executables
        .iter()
        .map(|(name, found)| (name.clone(), found.path.to_string_lossy().into_owned()))
        .collect();
    let machines: Vec<_> = system.machines.iter().collect();
    refuse_assets(&machines)?;
    let plan = system.plan(&machines, &paths);
    let published = published(arguments, &plan)?;
    refuse_screens_that_are_not_there(arguments, &plan)?;
    let place = HostPlace::prepare(claim.state(), &plan, &published, arguments.frames.as_deref())
        .map_err(unprepared)?;
    for listener in &plan.listeners {
        if let Some(address) = place.address(listener) {
            say(&format!("{} is at {address}", listener.full_name()));
        }
    }
    let (mut operator, requests, handle) = attended(claim)?;
    show(arguments, &plan, &place, &handle)?;
    let _typing = Typing::begin(&plan, handle);
    let screen = Screen::new(&plan, arguments, &mut operator)?;
    let timeout = arguments.around.timeout.map(|seconds| Duration::from_secs(seconds.into()));
    let end = host::run(place, plan, operator, requests, timeout, &mut |notice| screen.notice(&notice))
        .map_err(|error| refused(&error))?;
    screen.finish();
    launch::conclude_system(end)
}

/// Opens windows for the screens, where that is possible and nobody wants otherwise.
fn show(arguments: &Run, plan: &Plan, place: &HostPlace, handle: &Handle) -> Result<(), Failure> {
    if plan.screens.is_empty() {
        return Ok(());
    }
    let variable = |name: &str| std::env::var_os(name);
    let (x11, wayland) = (variable("DISPLAY"), variable("WAYLAND_DISPLAY"));
    let keeps_frames = arguments.frames.is_some();
    let chosen = window::choose(arguments.screen, keeps_frames, x11.as_deref(), wayland.as_deref());
    let opened = chosen.map_err(|why| why.map(str::to_owned)).and_then(|()| {
        let failed = |why| format!("the display {} cannot be used: {why}", x11.unwrap_or_default().display());
        window::open(plan, handle.clone()).map_err(|why| Some(failed(why)))
    });
    match opened {
        Ok(onlookers) => {
            for (screen, onlooker) in plan.screens.iter().zip(onlookers) {
                place.look_on(screen, onlooker);
                say(&format!("screen {}.{} is a window", screen.machine, screen.name));
            }
            return Ok(());
        }
        Err(Some(why)) if arguments.screen == ScreenKind::Window => {
            let message = format!("screens cannot be windows: {why}");
            return Err(Failure::new(ExitCode::HostRefuses, message)
                .hint("leave --screen out: what they show is in pictures then".to_owned()));
        }
        Err(Some(why)) => say(&format!("screens are pictures, not windows: {why}")),
        Err(None) => {}
    }
    for screen in &plan.screens {
        say(&format!("screen {}.{} is at {}", screen.machine, screen.name, place.picture(screen).display()));
    }
    Ok(())
}

/// What belongs to a machine of one program has no meaning for a system.
fn refuse_unsuited(arguments: &Run) -> Result<(), Failure> {
    let Run { program, inside, around, .. } = arguments;
    let mut given = flags_of_a_program(program, inside, &arguments.arguments);
    given.extend([
        ("--share", !arguments.shares.is_empty()),
        ("--disk", !around.disks.is_empty()),
        ("--publish", !around.publish.is_empty()),
        ("--memory", around.memory.is_some()),
        ("--cpus", around.cpus.is_some()),
        ("--dry-run", around.dry_run),
    ]);
    refuse_for_system(&given)
}

/// The screen of a virtual machine is its emulator's.
pub fn refuse_unsuited_screens(arguments: &Run) -> Result<(), Failure> {
    let given =
        [("--screen", arguments.screen != ScreenKind::Auto), ("--frames", arguments.frames.is_some())];
    match given.iter().find(|(_, is_given)| *is_given) {
        Some((name, _)) if arguments.place == Place::Vm => {
            let message = format!("{name} is for systems whose units are processes of this host");
            Err(Failure::new(ExitCode::UnusableInput, message)
                .hint("add --place host; a virtual machine's screen is seen by a viewer of VNC".to_owned()))
        }
        _ => Ok(()),
    }
}

/// What is said about screens has to be about one.
fn refuse_screens_that_are_not_there(arguments: &Run, plan: &Plan) -> Result<(), Failure> {
    let given = match (arguments.screen, &arguments.frames) {
        (_, Some(_)) => "--frames keeps what screens show",
        (ScreenKind::Window | ScreenKind::Png, None) => "--screen says what screens are",
        (ScreenKind::Auto, None) => return Ok(()),
    };
    if !plan.screens.is_empty() {
        return Ok(());
    }
    let message = format!("{given}, and no machine of this system has a screen");
    Err(Failure::new(ExitCode::UnusableInput, message)
        .hint("leave it out, or describe a screen in solum.toml: screen.NAME = \"640x480\"".to_owned()))
}

/// A process of this host sees the host's files, not those of its machine.
fn refuse_assets(machines: &[&Machine]) -> Result<(), Failure> {
    for machine in machines {
        if let Some(unit) = machine.units.iter().find(|unit| !unit.assets.is_empty()) {
            let message = format!(
                "the unit {}.{} has assets, and a process of this host would not find them at their paths",
                machine.name, unit.name
            );
            return Err(Failure::new(ExitCode::UnusableInput, message)
                .hint("run it in a virtual machine: --place vm".to_owned()));
        }
    }
    Ok(())
}
