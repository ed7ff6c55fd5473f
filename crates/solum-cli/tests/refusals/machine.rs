//! Machines that cannot be: their parts contradict each other, or the host does not have what they need.

use std::net::{TcpListener, UdpSocket};

use crate::harness::{Finished, Scratch, elf};
use crate::refused;

/// `solum run` of something that passes for a program, with these options.
fn run(scratch: &Scratch, options: &[&str]) -> Finished {
    scratch.file("program", elf::program());
    scratch.solum(&[&["run", "[SCRATCH]/program"], options].concat()).run()
}

#[test]
fn parts_that_contradict_each_other() {
    let scratch = Scratch::new();
    scratch.directory("data");
    let cases: [(&[&str], &str); 11] = [
        (
            &["--wait", "network", "--network", "none"],
            "error: the program is to wait for the network, but the machine has none\n\
             hint: leave out --wait, or --network none\n",
        ),
        (
            &["--publish", "8000:80", "--network", "none"],
            "error: port 80 is published, but the machine has no network\n\
             hint: leave out --publish, or --network none\n",
        ),
        (
            &["--publish", "8000:80", "--publish", "8000:81"],
            "error: port 8000 of the host is published twice\n\
             hint: give one of them another port of the host\n",
        ),
        (
            &["--share", "[SCRATCH]/data:/data", "--share", "[SCRATCH]/tmp:/data/"],
            "error: two shares or file systems have the same place in the machine: /data\n\
             hint: give one of them another path\n",
        ),
        (
            &["--mount", "LABEL=a:/perm", "--mount", "LABEL=b:/perm"],
            "error: two shares or file systems have the same place in the machine: /perm\n\
             hint: give one of them another path\n",
        ),
        (
            &["--share", "[SCRATCH]/data:/data", "--mount", "tmpfs:/data"],
            "error: two shares or file systems have the same place in the machine: /data\n\
             hint: give one of them another path\n",
        ),
        (
            &["--share", "[SCRATCH]/data:/data/sub", "--mount", "tmpfs:/data"],
            "error: the file system at /data would hide the share at /data/sub\n\
             hint: give one of them another path\n",
        ),
        (&["--cpus", "0"], "error: a machine needs at least one CPU\nhint: try --cpus 1\n"),
        (
            &["--env", "=value"],
            "error: `` cannot be the name of an environment variable\nhint: write --env NAME=VALUE\n",
        ),
        (
            &["--env", "NOWHERE_SET"],
            "error: --env NOWHERE_SET: there is no such variable to copy from here\n\
             hint: write --env NOWHERE_SET=VALUE\n",
        ),
        (
            &["--kernel", "debian", "--kernel-version", "6.12.1"],
            "error: --kernel-version chooses what is built from source, but another kernel was asked for\n\
             hint: leave --kernel out, or write --kernel source\n",
        ),
    ];
    for (options, text) in cases {
        refused(&scratch, &run(&scratch, options), 102, text);
    }
}

#[test]
fn a_variable_that_is_no_text_is_not_copied() {
    let scratch = Scratch::new();
    scratch.file("program", elf::program());
    let value = std::os::unix::ffi::OsStrExt::from_bytes(b"caf\xe9");
    let solum = scratch.solum(&["run", "[SCRATCH]/program", "--env", "PLACE"]).env_bytes("PLACE", value);
    let text = "error: --env PLACE: its value here is not UTF-8, so it cannot be copied\n\
                hint: write --env PLACE=VALUE\n";
    refused(&scratch, &solum.run(), 102, text);
}

#[test]
fn addresses_around_which_qemu_makes_no_network() {
    let scratch = Scratch::new();
    for (network, text) in [
        (
            "10.0.0.1/31",
            "error: QEMU cannot make a network with a prefix of 31 bits\n\
             hint: write a prefix from 4 to 29, like --network 10.0.2.15/24\n",
        ),
        (
            "10.0.0.255/24",
            "error: 10.0.0.255 is the address of a network, not of a machine in it\n\
             hint: take another one, like 10.0.0.254\n",
        ),
        (
            "10.0.0.1/24,gateway=10.0.1.1",
            "error: the gateway 10.0.1.1 is not a neighbour of 10.0.0.1/24\n\
             hint: leave the gateway out, or name another address of the same network\n",
        ),
    ] {
        refused(&scratch, &run(&scratch, &["--network", network]), 102, text);
    }
}

#[test]
fn a_port_that_is_taken() {
    let scratch = Scratch::new();
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    for (protocol, port) in
        [("tcp", tcp.local_addr().unwrap().port()), ("udp", udp.local_addr().unwrap().port())]
    {
        let other = if port < 60_000 { port + 1 } else { port - 1 };
        let suffix = if protocol == "udp" { "/udp" } else { "" };
        let finished = run(&scratch, &["--publish", &format!("{port}:80/{protocol}")]);
        let text = format!(
            "error: {protocol} port 127.0.0.1:{port} cannot be published: address already in use\n\
             hint: `ss -lnp 'sport = :{port}'` shows who has it; another one: --publish {other}:80{suffix}\n"
        );
        refused(&scratch, &finished, 106, &text);
    }
}

#[test]
fn an_address_that_the_host_does_not_have() {
    let scratch = Scratch::new();
    // TEST-NET-3 (RFC 5737) is nobody's.
    let finished = run(&scratch, &["--publish", "203.0.113.1:8000:80"]);
    let text = "error: tcp port 203.0.113.1:8000 cannot be published: cannot assign requested address\n\
                hint: `ip address` shows this host's addresses\n";
    refused(&scratch, &finished, 106, text);
    let finished = run(&scratch, &["--publish", "[::1]:8000:80"]);
    let text = "error: [::1]:8000:80/tcp cannot be published: QEMU's user network listens on IPv4 addresses only\n\
                hint: leave the address out, or write 127.0.0.1 or 0.0.0.0\n";
    refused(&scratch, &finished, 106, text);
}

#[test]
fn shares_that_are_no_directories() {
    let scratch = Scratch::new();
    scratch.file("file", "");
    for (name, reason) in [("missing", "no such file or directory"), ("file", "not a directory")] {
        let finished = run(&scratch, &["--share", &format!("[SCRATCH]/{name}:/data")]);
        let text = format!(
            "error: [SCRATCH]/{name} cannot be shared: {reason}\n\
             hint: a share is an existing directory that you may read, written DIR:/path[:ro]\n"
        );
        refused(&scratch, &finished, 102, &text);
    }
}

#[test]
fn more_processors_than_qemu_makes() {
    let scratch = Scratch::new();
    let finished = run(&scratch, &["--cpus", "60000"]);
    finished.exits(105).prints("").mentions("error: QEMU refused the machine: ");
    finished.mentions("hint: --dry-run prints the command, to be tried by hand\n");
    crate::without_a_trace(&scratch, &finished);
}

#[test]
fn too_little_memory_for_the_kernel() {
    let scratch = Scratch::new();
    for (memory, given) in [("0", "0 bytes"), ("1M", "1 MiB"), ("4M", "4 MiB")] {
        let finished = run(&scratch, &["--memory", memory]);
        finished.exits(105).prints("");
        let said = finished.stderr();
        let sentence = format!("error: {given} of memory are too few: this kernel and image need ");
        finished.check(said.starts_with(&sentence), &format!("it should begin with {sentence:?}"));
        finished.mentions(" MiB at least\nhint: try --memory ");
        crate::without_a_trace(&scratch, &finished);
    }
}

#[test]
fn a_bare_number_is_bytes_which_nobody_means() {
    let scratch = Scratch::new();
    let finished = run(&scratch, &["--memory", "8"]);
    finished.exits(105).prints("").mentions("error: 8 bytes of memory are too few: ");
    finished.mentions("hint: a number without a unit is bytes; 8 MiB would be --memory 8M, and ");
    let finished = run(&scratch, &["--memory", "512"]);
    finished.exits(105).mentions("hint: a number without a unit is bytes; 512 MiB would be --memory 512M\n");
}

#[test]
fn qemu_is_not_installed() {
    let scratch = Scratch::new();
    scratch.directory("empty");
    scratch.file("initramfs", "");
    let kernel = crate::harness::kernel::kernel().to_str().unwrap();
    let finished =
        scratch.solum(&["exec", kernel, "[SCRATCH]/initramfs"]).env("PATH", "[SCRATCH]/empty").run();
    let text = "error: the emulator qemu-system-x86_64 is not installed\n\
                hint: install it: `apt-get install qemu-system-x86` (Debian, Ubuntu), `dnf install \
                qemu-system-x86-core` (Fedora), `pacman -S qemu-base` (Arch)\n";
    refused(&scratch, &finished, 103, text);
}
