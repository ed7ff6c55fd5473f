//! Options that mean nothing to what is run are refused, and not left unheard.

use crate::alone;
use crate::harness::{Scratch, elf};

#[test]
fn what_is_for_a_machine_of_one_program_is_refused_for_a_system() {
    let system = alone("errand", "arguments = [\"stay\", \"here\"]");
    let options: [(&[&str], &str, &str); 11] = [
        (&["--env", "A=b"], "--env", "what its units need is said in solum.toml"),
        (&["--", "word"], "arguments behind `--`", "what its units need is said in solum.toml"),
        (&["--file", "a:/b"], "--file", "what its units need is said in solum.toml"),
        (&["--root"], "--root", "what its units need is said in solum.toml"),
        (&["--share", "a:/b"], "--share", "what its units need is said in solum.toml"),
        (&["--grace", "3"], "--grace", "what its units need is said in solum.toml"),
        (&["--publish", "8000:80"], "--publish", "write --publish-unit MACHINE.UNIT.PORT=HOST"),
        (
            &["--memory", "1G"],
            "--memory",
            "write `memory = \"512 MiB\"` below its [machine.NAME] in solum.toml",
        ),
        (&["--cpus", "2"], "--cpus", "write `cores = 2` below its [machine.NAME] in solum.toml"),
        (
            &["--network", "dhcp"],
            "--network",
            "plug `tcp.PORT` into a port of a unit in solum.toml; its machine then has a network",
        ),
        (&["--dry-run"], "--dry-run", "look at it with `solum check` or `solum graph`"),
    ];
    for (words, name, hint) in options {
        let text = format!(
            "error: {name} cannot be given to a system: it is for a machine of one program\nhint: {hint}\n"
        );
        system.on_host(words).run().exits(102).prints("").says(&text);
    }
    assert_eq!(system.scratch.names("system"), ["solum.toml"], "and nothing was begun");
}

#[test]
fn screens_are_windows_and_frames_where_processes_draw_on_them_alone() {
    let system = alone("errand", "arguments = [\"stay\", \"here\"]");
    let options: [(&[&str], &str, &str); 2] = [
        (&["--frames", "[SCRATCH]/frames"], "--frames", "keeps what screens show"),
        (&["--screen", "png"], "--screen", "says what screens are"),
    ];
    for (words, name, what) in options {
        let text = format!(
            "error: {name} {what}, and no machine of this system has a screen\n\
             hint: leave it out, or describe a screen in solum.toml: screen.NAME = \"640x480\"\n"
        );
        system.on_host(words).run().exits(102).prints("").says(&text);
        let text = format!(
            "error: {name} is for systems whose units are processes of this host\n\
             hint: add --place host; a virtual machine's screen is seen by a viewer of VNC\n"
        );
        let words = [&["run", &system.directory, "--place", "vm"], words].concat();
        system.scratch.solum_without_init(&words).run().exits(102).prints("").says(&text);
    }
}

#[test]
fn what_is_for_a_system_is_refused_for_one_program() {
    let scratch = Scratch::new();
    scratch.executable("program", elf::program());
    for (option, name) in [
        (["--only", "a"], "--only"),
        (["--publish-unit", "m.u.http=80"], "--publish-unit"),
        (["--screen", "png"], "--screen"),
        (["--frames", "a"], "--frames"),
    ] {
        let words = [&["run", "[SCRATCH]/program", "--place", "host"], &option[..]].concat();
        let text = format!(
            "error: {name} is for a system, and this is one program\n\
             hint: give the directory of a system, one with a solum.toml\n"
        );
        scratch.solum_without_init(&words).run().exits(102).prints("").says(&text);
    }
}
