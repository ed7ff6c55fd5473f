//! The commands of the README are in the guide, where they are run, or cannot be.

use std::fs;

use crate::{commands_run, repository};

/// Commands of the README that the guide does not run as they stand, by their beginnings, and why.
const EXCLUDED: [(&str, &str); 21] = [
    ("cargo xtask", "CI runs it"),
    ("solum run ./anything-static", "a placeholder; the chapter on programs has real ones"),
    ("solum run --dir", "it runs until it is stopped; the chapter on the network does that"),
    ("solum run --share", "a placeholder; the chapter on the inside has a real one"),
    ("solum run --place host", "a placeholder; the chapter on programs has a real one"),
    ("solum run --dry-run", "a placeholder; the chapter on trouble has a real one"),
    ("solum take", "it writes into the repository; the chapter on kernels does it elsewhere"),
    ("solum kernel build", "a build takes minutes"),
    ("solum exec", "a placeholder; the chapter on kernels has a real one"),
    ("solum check", "the chapter on systems checks one of its own"),
    ("solum graph", "it writes a file; the chapter on systems draws one of its own"),
    ("solum run examples/file-server", "it runs until it is stopped; the tests of systems do that"),
    ("solum ps", "it needs a system that runs; the tests of systems have some"),
    ("solum logs", "it needs a system that runs; the tests of systems have some"),
    ("solum sim", "it is built for minutes; the chapter on simulation has a smaller one"),
    ("solum build examples/hello --format", "it writes here; the chapter on images does that elsewhere"),
    ("solum run --image", "of an image that was made here; the chapter on images has others"),
    ("solum inspect", "of an image that was made here; the chapter on images has others"),
    ("solum flash", "it writes to a device; the tests of media have some"),
    ("solum push", "a placeholder; the tests of containers have a registry"),
    ("solum down", "it needs a system that runs; the tests of systems have some"),
];

/// The lines of the README's shell blocks, without their comments.
fn commands(readme: &str) -> Vec<&str> {
    let mut in_shell = false;
    let mut commands = Vec::new();
    for line in readme.lines() {
        match line.strip_prefix("```") {
            Some(language) => in_shell = ["sh", "console"].contains(&language),
            None if in_shell => {
                commands.push(line.split_once('#').map_or(line, |(command, _)| command).trim())
            }
            None => {}
        }
    }
    commands.retain(|command| !command.is_empty());
    commands
}

#[test]
fn every_command_of_the_readme_is_run_or_excluded_with_a_reason() {
    let readme = fs::read_to_string(repository().join("README.md")).unwrap();
    let run = commands_run();
    let mut unused = EXCLUDED.to_vec();
    for command in commands(&readme) {
        let excluded = EXCLUDED.iter().find(|(beginning, _)| command.starts_with(beginning));
        unused.retain(|row| Some(row) != excluded);
        let is_known = excluded.is_some() || run.iter().any(|known| known == command);
        assert!(is_known, "README.md: no chapter of the guide runs `{command}`, and nobody says why");
    }
    assert!(unused.is_empty(), "excluded, but not in the README: {unused:?}");
}

#[test]
fn only_shell_blocks_hold_commands() {
    let readme = "`cargo no`\n```sh\na --b   # why\n\n# only a comment\nc\n```\n```toml\nno = 1\n```\n";
    assert_eq!(commands(readme), ["a --b", "c"]);
}
