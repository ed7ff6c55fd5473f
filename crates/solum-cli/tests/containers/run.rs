//! Images that Podman runs.

use std::io::{BufRead, BufReader};

use rustix::process::Signal;
use solum_image::oci::CERTIFICATES_PATH;

use crate::harness::{Scratch, Solum};
use crate::made::{self, make};
use crate::podman::Podman;
use crate::probe;

#[test]
fn podman_loads_the_archive_under_its_name_and_digest() {
    let scratch = Scratch::new();
    let Some(podman) = Podman::new(&scratch) else { return };
    let made = made::probe(&scratch, &[]);
    let said = podman.done(&["load", "--input", made.archive]);
    assert!(said.contains("localhost/probe:latest"), "{said}");
    // Podman names the list of image and attachments, too, and both are right.
    let digests = podman.done(&["inspect", "--format", "{{.RepoDigests}}", "probe"]);
    assert!(digests.contains(&format!("localhost/probe@{}", made.image.manifest.digest)), "{digests}");
}

#[test]
fn podman_takes_the_layout_and_the_archive_as_what_they_are() {
    let scratch = Scratch::new();
    let Some(podman) = Podman::new(&scratch) else { return };
    let made = made::probe(&scratch, &[]);
    // It makes the path a name, and a name has no capital letters as the scratch directory's may have.
    for source in ["oci:image", "oci-archive:[SCRATCH]/image.tar", "docker-archive:[SCRATCH]/image.tar"] {
        let id = podman.done(&["pull", "--quiet", source]);
        // The id of an image is the digest of its configuration.
        assert_eq!(format!("sha256:{}", id.trim()), made.image.config.digest, "{source}");
    }
}

#[test]
fn a_program_finds_what_it_was_promised() {
    let scratch = Scratch::new();
    let Some(podman) = Podman::new(&scratch) else { return };
    make(&scratch, probe::path(), &["--env", "GREETING=good day"], &["given", "two words"]);
    podman.done(&["load", "--input", "[SCRATCH]/image.tar"]);
    let given = podman.done(&["run", "--rm", "probe"]);
    let has = |line: &str| assert!(given.lines().any(|known| known == line), "{line}:\n{given}");
    has("argument \"two words\"");
    has("GREETING=\"good day\"");
    has("PATH=\"/bin:/sbin:/usr/bin:/usr/sbin\"");
    has("HOME=\"/home/app\"");
    has("USER=\"app\"");
    has("TMPDIR=\"/tmp\"");
    has("directory /home/app");
    assert!(!given.contains("SOLUM_MACHINE"), "the machine is not the program's own:\n{given}");
    let others = podman.done(&["run", "--rm", "probe", "given", "other"]);
    assert!(others.starts_with("argument \"other\"\n"), "arguments can be replaced:\n{others}");
}

#[test]
fn a_program_is_an_ordinary_user_with_a_home_and_certificates() {
    let scratch = Scratch::new();
    let Some(podman) = Podman::new(&scratch) else { return };
    made::probe(&scratch, &[]);
    podman.done(&["load", "--input", "[SCRATCH]/image.tar"]);
    let words = "run --rm probe look /home/app then look /tmp then write /home/app/x y then look /home/app/x then write /x y \
                 then read";
    let mut words: Vec<&str> = words.split_whitespace().collect();
    words.push(CERTIFICATES_PATH);
    let said = podman.done(&words);
    let expected = "/home/app: directory 700 1000:1000\n\
                    /tmp: directory 1777 0:0\n\
                    /home/app/x: Ok(())\n\
                    /home/app/x: file 644 1000:1000\n\
                    /x: Err(PermissionDenied)\n\
                    /etc/ssl/certs/ca-certificates.crt: Ok(\"-----BEGIN CERTIFICATE-----";
    assert!(said.starts_with(expected), "{said}");
}

#[test]
fn the_status_is_the_programs_own() {
    let scratch = Scratch::new();
    let Some(podman) = Podman::new(&scratch) else { return };
    made::probe(&scratch, &[]);
    podman.done(&["load", "--input", "[SCRATCH]/image.tar"]);
    for status in [0, 7, 255] {
        let ended = podman.run(&["run", "--rm", "probe", "status", &status.to_string()]);
        assert_eq!(ended.status.code(), Some(status), "{}", String::from_utf8_lossy(&ended.stderr));
    }
}

/// `solum run --image`, with this directory before all others that have programs.
fn run<'a>(scratch: &'a Scratch, image: &str, programs: &str) -> Solum<'a> {
    let path = format!("{programs}:{}", std::env::var("PATH").unwrap());
    scratch.solum(&["run", "--image", image]).env("PATH", &path)
}

/// Nothing of the container is in Podman's store, and nothing of Solum's where temporary files are.
#[track_caller]
fn nothing_is_left(scratch: &Scratch, podman: &Podman<'_>) {
    assert_eq!(podman.done(&["ps", "--all", "--quiet"]), "");
    assert_eq!(podman.done(&["images", "--all", "--quiet"]), "");
    assert_eq!(scratch.names("tmp"), [""; 0]);
}

#[test]
fn who_asks_solum_to_end_asks_the_program() {
    let scratch = Scratch::new();
    let Some(podman) = Podman::new(&scratch) else { return };
    made::probe(&scratch, &["polite"]);
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        let running = run(&scratch, "[SCRATCH]/image.tar", &podman.for_path()).start();
        let running = running.until_it_prints("ready\n");
        // To Solum alone, not to what it has started.
        running.signal(signal);
        let finished = running.finish();
        finished.exits(7).prints("ready\nasked to end by signal 15\n");
        finished.says("solum: stopping; once more kills\n");
        nothing_is_left(&scratch, &podman);
    }
}

#[test]
fn the_second_request_kills_the_container() {
    let scratch = Scratch::new();
    let Some(podman) = Podman::new(&scratch) else { return };
    made::probe(&scratch, &["stubborn"]);
    let running = run(&scratch, "[SCRATCH]/image.tar", &podman.for_path()).start();
    let running = running.until_it_prints("ready\n");
    running.signal(Signal::INT);
    let finished = running.until_it_says("solum: stopping; once more kills\n").insist(Signal::INT);
    let text = "solum: stopping; once more kills\nsolum: killing\nerror: the container was killed\n";
    finished.exits(130).prints("ready\n").says(text);
    nothing_is_left(&scratch, &podman);
}

#[test]
fn a_solum_that_is_killed_takes_the_container_along() {
    let scratch = Scratch::new();
    let Some(podman) = Podman::new(&scratch) else { return };
    made::probe(&scratch, &["polite"]);
    let running = run(&scratch, "[SCRATCH]/image.tar", &podman.for_path()).start();
    let running = running.until_it_prints("ready\n");
    running.signal(Signal::KILL);
    // Its output ends when Podman's does. Whether that has taken the image away is up to Podman: who would see to it is dead.
    running.finish().prints("ready\nasked to end by signal 15\n");
    assert_eq!(podman.done(&["ps", "--quiet"]), "");
}

#[test]
fn what_podman_has_to_say_is_not_the_programs_status() {
    let scratch = Scratch::new();
    let Some(podman) = Podman::new(&scratch) else { return };
    let programs = podman.for_path();
    made::probe(&scratch, &["status", "125"]);
    run(&scratch, "[SCRATCH]/image.tar", &programs).run().exits(125).says("");
    // A Podman that can do everything but run.
    let script = format!(
        "#!/bin/sh\n[ $1 = run ] || exec '{programs}/podman' \"$@\"\necho Error: no luck >&2\nexit $STATUS\n"
    );
    scratch.executable("unlucky/podman", script);
    for (podmans, status, message) in [
        ("125", 106, "error: Podman did not run the container, and ended with status 125\n"),
        ("127", 107, "error: the program could not be started in its container\n"),
    ] {
        let finished = run(&scratch, "[SCRATCH]/image.tar", &scratch.expand("[SCRATCH]/unlucky"));
        let finished = finished.env("STATUS", podmans).run();
        finished.exits(status).mentions("Error: no luck\n").mentions(message).mentions("\nhint: ");
    }
    nothing_is_left(&scratch, &podman);
}

#[test]
fn solum_runs_both_and_leaves_the_users_images_as_they_were() {
    let scratch = Scratch::new();
    let Some(podman) = Podman::new(&scratch) else { return };
    make(&scratch, probe::path(), &[], &["status", "7"]);
    // A name with capitals, which Podman would not take as that of an image.
    std::fs::rename(scratch.path("image"), scratch.path("Image.oci")).unwrap();
    let run = |image: &str| run(&scratch, image, &podman.for_path()).run();
    for image in ["[SCRATCH]/Image.oci", "[SCRATCH]/image.tar"] {
        run(image).exits(7);
        assert_eq!(podman.done(&["images", "--all", "--quiet"]), "", "after {image}");
    }
    // The same image is the user's as well.
    podman.done(&["load", "--input", "[SCRATCH]/image.tar"]);
    let names = || podman.done(&["images", "--format", "{{.Id}} {{.Repository}}:{{.Tag}}"]);
    let before = names();
    run("[SCRATCH]/image.tar").exits(7);
    assert_eq!(names(), before);
    assert!(before.contains("localhost/probe:latest"), "{before}");
}

#[test]
fn stopping_the_container_reaches_a_single_file_program_as_its_shutdown() {
    let scratch = Scratch::new();
    let Some(podman) = Podman::new(&scratch) else { return };
    let made = make(&scratch, "examples/alone", &[], &["--stay"]);
    assert_eq!(made.image.configuration.execution.user, "1000:1000", "there is no machine to bring up");
    podman.done(&["load", "--input", "[SCRATCH]/image.tar"]);
    let mut running = podman.start(&["run", "--name", "stopped", "alone"]);
    let mut lines = BufReader::new(running.stdout.take().unwrap()).lines().map(Result::unwrap);
    let first = lines.next().unwrap();
    assert!(first.starts_with("Alone in a process of somebody else's machine"), "{first}");
    assert!(lines.any(|line| line == "Staying until I am asked to end."));
    // Longer than the test may take: who does not hear the request, hangs.
    podman.done(&["stop", "--time", "600", "stopped"]);
    assert_eq!(lines.collect::<Vec<_>>(), ["Asked to end, and ending."]);
    assert_eq!(running.wait().unwrap().code(), Some(0));
}

#[test]
fn a_plain_program_is_asked_by_its_signal() {
    let scratch = Scratch::new();
    let Some(podman) = Podman::new(&scratch) else { return };
    made::probe(&scratch, &["polite"]);
    podman.done(&["load", "--input", "[SCRATCH]/image.tar"]);
    let mut running = podman.start(&["run", "--name", "stopped", "probe"]);
    let mut lines = BufReader::new(running.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert_eq!(lines.next().as_deref(), Some("ready"));
    podman.done(&["stop", "--time", "600", "stopped"]);
    assert_eq!(lines.collect::<Vec<_>>(), ["asked to end by signal 15"]);
    assert_eq!(running.wait().unwrap().code(), Some(7));
}
