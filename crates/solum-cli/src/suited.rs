//! Flags that have no meaning for what was given: none is left unheard.

use crate::arguments::{Inside, Program, Run, ScreenKind};
use crate::exit_code::ExitCode;
use crate::failure::Failure;

/// The flags that are for a machine of one program, and whether they were given.
pub fn flags_of_a_program(
    program: &Program,
    inside: &Inside,
    arguments: &[String],
) -> Vec<(&'static str, bool)> {
    vec![
        ("arguments behind `--`", !arguments.is_empty()),
        ("--bin", program.bin.is_some()),
        ("--example", program.example.is_some()),
        ("--features", !program.features.is_empty()),
        ("--profile", program.profile.is_some()),
        ("--target", program.target.is_some()),
        ("--file", !inside.files.is_empty()),
        ("--dir", !inside.directories.is_empty()),
        ("--env", !inside.environment.is_empty()),
        ("--root", inside.root),
        ("--wait", !inside.wait.is_empty()),
        ("--mount", !inside.file_systems.is_empty()),
        ("--when-ended", inside.when_ended.is_some()),
        ("--name", inside.name.is_some()),
        ("--grace", inside.grace.is_some()),
        ("--network", inside.network.is_some()),
    ]
}

/// The flags that are for a system that runs, and whether they were given.
pub fn flags_of_a_system(arguments: &Run) -> [(&'static str, bool); 4] {
    [
        ("--only", !arguments.only.is_empty()),
        ("--publish-unit", !arguments.publish_units.is_empty()),
        ("--screen", arguments.screen != ScreenKind::Auto),
        ("--frames", arguments.frames.is_some()),
    ]
}

/// Refuses what belongs to a system where one program or one image was given; it has no meaning there, and is not left unheard.
pub fn refuse_for_one(given: &[(&str, bool)], one: &str, hint: &str) -> Result<(), Failure> {
    let Some((what, _)) = given.iter().find(|(_, is_given)| *is_given) else { return Ok(()) };
    let message = format!("{what} is for a system, and this is one {one}");
    Err(Failure::new(ExitCode::UnusableInput, message).hint(hint.to_owned()))
}

/// Refuses what belongs to one machine where the images of several were given.
pub fn refuse_for_images(given: &[(&str, bool)]) -> Result<(), Failure> {
    let Some((what, _)) = given.iter().find(|(_, is_given)| *is_given) else { return Ok(()) };
    let message = match *what {
        "--snapshot" => format!("{what} cannot be given to these images of a system"),
        _ => format!("{what} cannot be given to the images of a system: it is for one machine"),
    };
    let hint = match *what {
        "--publish" => "write --publish-unit MACHINE.UNIT.PORT=HOST",
        "--disk" => "describe it in solum.toml, and build the images anew",
        "--snapshot" => {
            "build disks (--format disk): the disks of other images are files beside them, and would be changed"
        }
        _ => "give it to one image, with --image FILE",
    };
    Err(Failure::new(ExitCode::UnusableInput, message).hint(hint.to_owned()))
}

/// Refuses what belongs to a machine of one program where a system was given.
pub fn refuse_for_system(given: &[(&str, bool)]) -> Result<(), Failure> {
    let Some((what, _)) = given.iter().find(|(_, is_given)| *is_given) else { return Ok(()) };
    let message = format!("{what} cannot be given to a system: it is for a machine of one program");
    let hint = match *what {
        "--publish" => "write --publish-unit MACHINE.UNIT.PORT=HOST",
        "--memory" => "write `memory = \"512 MiB\"` below its [machine.NAME] in solum.toml",
        "--cpus" => "write `cores = 2` below its [machine.NAME] in solum.toml",
        "--disk" => "write `disk.NAME = \"64 MiB\"` below its [machine.NAME] in solum.toml",
        "--mount" => "write `mount.\"/PATH\" = \"SOURCE\"` below its [machine.NAME] in solum.toml",
        "--when-ended" => "write `when-ended = \"reboot\"` below its [machine.NAME] in solum.toml",
        "--iso-content" => "write `iso.content = \"DIR\"` below its [machine.NAME] in solum.toml",
        "--data" => "write `data.content = \"DIR\"` below its [machine.NAME] in solum.toml",
        "--data-size" => "write `data.size = \"64 MiB\"` below its [machine.NAME] in solum.toml",
        "--data-file-system" => "write `data.file-system = \"btrfs\"` below its [machine.NAME] in solum.toml",
        "--network" => "plug `tcp.PORT` into a port of a unit in solum.toml; its machine then has a network",
        "--dry-run" => "look at it with `solum check` or `solum graph`",
        _ => "what its units need is said in solum.toml",
    };
    Err(Failure::new(ExitCode::UnusableInput, message).hint(hint.to_owned()))
}

/// Refuses what decides what is in an image, where the image is there already.
pub fn refuse_for_image(given: &[(&str, bool)]) -> Result<(), Failure> {
    let Some((what, _)) = given.iter().find(|(_, is_given)| *is_given) else { return Ok(()) };
    let message =
        format!("{what} cannot be given with --image: what is in an image was decided when it was made");
    Err(Failure::new(ExitCode::UnusableInput, message)
        .hint(format!("give {what} to `solum build`, or leave it out")))
}

/// Refuses what this kind of image has nothing for.
pub fn refuse_for_kind(given: &[(&str, bool)]) -> Result<(), Failure> {
    let Some((what, _)) = given.iter().find(|(_, is_given)| *is_given) else { return Ok(()) };
    let message = format!("{what} means nothing for an image of this kind");
    Err(Failure::new(ExitCode::UnusableInput, message).hint(
        "leave it out; a container takes more from `podman run`, and `solum inspect` says what an image is"
            .to_owned(),
    ))
}

/// Refuses what none of the formats has anything for.
pub fn refuse_for_formats(given: &[(&str, bool, &str)]) -> Result<(), Failure> {
    let Some((what, _, formats)) = given.iter().find(|(_, is_given, _)| *is_given) else { return Ok(()) };
    let message = format!("{what} is for {formats}, and no such image is made");
    Err(Failure::new(ExitCode::UnusableInput, message)
        .hint(format!("leave {what} out, or add such a format; `solum build --list` explains them")))
}
