//! What a program finds: arguments, environment, user, files, mounts.

use rustix::process::getuid;

use crate::harness::Scratch;
use crate::probe;

/// The user that programs run as: the one that runs `solum`, but never root.
fn user() -> u32 {
    match getuid().as_raw() {
        0 => 1000,
        own => own,
    }
}

#[test]
fn arguments_and_environment_arrive_exactly() {
    let scratch = Scratch::new();
    let words =
        ["two words", "", "it's", "\"quoted\"", "a\nb", "größe 日本", "-x", "--", "$HOME", "back\\slash"];
    let options =
        ["--name", "given", "--env", "GREETING=say \"hi\", ünïcode\n=", "--env", "EMPTY=", "--env", "COPIED"];
    let errand = [&["given"], &words[..]].concat();
    let finished = probe(&scratch, &options, &errand).env("COPIED", "from here").run();
    let mut expected: String = words.iter().map(|word| format!("argument {word:?}\n")).collect();
    expected += "COPIED=\"from here\"\nEMPTY=\"\"\nGREETING=\"say \\\"hi\\\", ünïcode\\n=\"\nHOME=\"/home/app\"\n\
                 PATH=\"/bin:/sbin:/usr/bin:/usr/sbin\"\nSOLUM_MACHINE=\"given\"\nTERM=\"vt100\"\nTMPDIR=\"/tmp\"\n\
                 USER=\"app\"\ndirectory /home/app\n";
    finished.exits(0).prints(&expected).says("");
}

#[test]
fn a_program_is_an_ordinary_user_that_may_open_low_ports() {
    let scratch = Scratch::new();
    let errand = "bind 80 then look /home/app then look /tmp then write /etc/x y then write /x y then \
                  write /home/app/x y then write /tmp/x y then look /tmp/x then read /proc/sys/kernel/hostname then \
                  resolve localhost then print /etc/passwd";
    let errand: Vec<&str> = errand.split_whitespace().collect();
    let user = user();
    let finished = probe(&scratch, &["--name", "My_Machine.x"], &errand).run();
    finished.exits(0).says("").prints(&format!(
        "port 80: Ok(())\n/home/app: directory 700 {user}:{user}\n/tmp: directory 1777 0:0\n\
         /etc/x: Err(PermissionDenied)\n/x: Err(PermissionDenied)\n/home/app/x: Ok(())\n/tmp/x: Ok(())\n/tmp/x: file 644 {user}:{user}\n\
         /proc/sys/kernel/hostname: Ok(\"my-machine-x\\n\")\nlocalhost: 127.0.0.1\n\
         root:x:0:0::/root:\nnet:x:65530:65530::/:\ntime:x:65531:65531::/:\nlink:x:65532:65532::/:\napp:x:{user}:{user}::/home/app:\n"
    ));
}

#[test]
fn root_is_had_for_the_asking() {
    let scratch = Scratch::new();
    let finished = probe(&scratch, &["--root", "--name", "r"], &["given", "x"]).run();
    finished.exits(0).says("").prints(
        "argument \"x\"\nHOME=\"/root\"\nPATH=\"/bin:/sbin:/usr/bin:/usr/sbin\"\nSOLUM_MACHINE=\"r\"\n\
         TERM=\"vt100\"\nTMPDIR=\"/tmp\"\nUSER=\"root\"\ndirectory /\n",
    );
}

#[test]
fn the_usual_file_systems_are_mounted() {
    let scratch = Scratch::new();
    let finished =
        probe(&scratch, &[], &["print", "/proc/self/mounts", "then", "list", "/proc/self/fd"]).run();
    finished.exits(0).says("");
    let printed = finished.stdout();
    let mounted: Vec<(&str, &str)> = printed
        .lines()
        .filter_map(|line| {
            let mut fields = line.split(' ').skip(1);
            Some((fields.next()?, fields.next()?))
        })
        .collect();
    for wanted in [
        ("/dev", "devtmpfs"),
        ("/proc", "proc"),
        ("/sys", "sysfs"),
        ("/dev/pts", "devpts"),
        ("/dev/shm", "tmpfs"),
        ("/run", "tmpfs"),
        ("/tmp", "tmpfs"),
        ("/sys/fs/cgroup", "cgroup2"),
    ] {
        finished.check(mounted.contains(&wanted), &format!("{} should be mounted on {}", wanted.1, wanted.0));
    }
    // Standard streams, and the descriptor that reads the directory: nothing of PID 1's leaks into the program.
    finished.check(
        printed.contains("/proc/self/fd: 0 1 2 3\n"),
        "the program should have its three streams only",
    );
}
