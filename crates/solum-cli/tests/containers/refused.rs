//! What `solum push` does not do: each with a sentence, a hint and its exit status.

use std::net::TcpListener;

use crate::fake::Fake;
use crate::harness::{Finished, Scratch};
use crate::made::probe;
use crate::server::Server;

#[track_caller]
fn refused(scratch: &Scratch, finished: &Finished, status: i32, text: &str) {
    finished.exits(status).prints("");
    let said = scratch.contract(&finished.stderr());
    finished.check(said == text, &format!("it should say exactly:\n{text}but said:\n{said}"));
}

fn push(scratch: &Scratch, image: &str, reference: &str) -> Finished {
    let command = scratch.solum_without_init(&["push", image, reference]);
    command.env("HOME", "[SCRATCH]").env("XDG_RUNTIME_DIR", "").env("DOCKER_CONFIG", "").run()
}

#[test]
fn what_is_no_image() {
    let scratch = Scratch::new();
    let hint = "hint: make one with `solum build --format oci`\n";
    scratch.directory("empty");
    scratch.file("text", "no image");
    let made = probe(&scratch, &[]);
    let layer = made.image.layers[0].digest.replace("sha256:", "blobs/sha256/");
    scratch.file(&format!("image/{layer}"), "damaged");
    for (path, why) in [
        ("[SCRATCH]/empty", "it has no oci-layout".to_owned()),
        ("[SCRATCH]/image", format!("its {layer} has other bytes than its name says")),
        ("[SCRATCH]/text", "it is no archive: failed to read entire block".to_owned()),
    ] {
        let text = format!("error: {path} is not an image: {why}\n{hint}");
        refused(&scratch, &push(&scratch, path, "localhost/x"), 102, &text);
    }
    let missing = push(&scratch, "[SCRATCH]/missing", "localhost/x");
    let text = "error: cannot read the image [SCRATCH]/missing: no such file or directory\n";
    refused(&scratch, &missing, 102, text);
}

#[test]
fn names_that_are_none() {
    let scratch = Scratch::new();
    for (name, why) in [
        ("probe", "it names no registry; write HOST/probe"),
        ("https://host.example/probe", "it has a scheme; write HOST/NAME:TAG without one"),
        ("host.example/probe:", "it has a tag that is none: letters, digits, `_`, `.` and `-`, at most 128"),
    ] {
        let text = format!(
            "error: invalid value '{name}' for '<HOST[:PORT]/NAME[:TAG]>': {why}\n\n\
             For more information, try '--help'.\n"
        );
        refused(&scratch, &push(&scratch, "[SCRATCH]/never-looked-at", name), 2, &text);
    }
}

#[test]
fn a_registry_that_is_not_there() {
    let scratch = Scratch::new();
    let made = probe(&scratch, &[]);
    // A port that was free a moment ago, and that nobody is given until this socket is gone.
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    drop(socket);
    let text = format!(
        "error: the registry 127.0.0.1:{port} cannot be reached: Connection refused\n\
         hint: look whether the name and the port are right, and whether the registry runs\n"
    );
    refused(&scratch, &push(&scratch, made.layout, &format!("127.0.0.1:{port}/x")), 110, &text);
    let unknown = push(&scratch, made.layout, "nowhere.invalid/x");
    unknown.exits(110).prints("").mentions("error: the registry nowhere.invalid cannot be reached: ");
}

#[test]
fn a_registry_that_does_not_know_the_user() {
    let scratch = Scratch::new();
    let Some(server) = Server::with_passwords(&scratch) else { return };
    let made = probe(&scratch, &[]);
    let name = server.name();
    let reference = format!("{name}/team/probe");
    let text = format!(
        "error: the registry {name} wants to know who you are\n\
         hint: log in with `podman login {name}` or `docker login {name}`\n"
    );
    refused(&scratch, &push(&scratch, made.layout, &reference), 110, &text);
    // `printf user:wrong | base64`
    let auths = format!(r#"{{"auths": {{"{name}": {{"auth": "dXNlcjp3cm9uZw=="}}}}}}"#);
    scratch.file(".docker/config.json", auths);
    let text = format!(
        "error: the registry {name} does not accept user with the password from [SCRATCH]/.docker/config.json\n\
         hint: log in again with `podman login {name}` or `docker login {name}`, or ask for the right to write to \
         team/probe\n"
    );
    refused(&scratch, &push(&scratch, made.layout, &reference), 110, &text);
}

#[test]
fn logins_that_cannot_be_read() {
    let scratch = Scratch::new();
    let made = probe(&scratch, &[]);
    scratch.file(".docker/config.json", "{");
    let finished = push(&scratch, made.layout, "localhost:1/x");
    finished.exits(102).prints("").mentions("error: the logins in ").mentions("hint: write them anew with");
    scratch.file(".docker/config.json", r#"{"credsStore": "that-is-nowhere"}"#);
    let text = "error: docker-credential-that-is-nowhere, which keeps the login for localhost:1, cannot be run: no such file \
                or directory\nhint: name a file with the login in REGISTRY_AUTH_FILE\n";
    refused(&scratch, &push(&scratch, made.layout, "localhost:1/x"), 103, text);
    let words = ["push", made.layout, "localhost:1/x"];
    let named = scratch.solum_without_init(&words).env("REGISTRY_AUTH_FILE", "[SCRATCH]/missing").run();
    let text = "error: cannot read the logins in [SCRATCH]/missing: no such file or directory\n";
    refused(&scratch, &named, 102, text);
}

#[test]
fn what_a_registry_says_is_passed_on_with_a_hint() {
    let scratch = Scratch::new();
    let made = probe(&scratch, &[]);
    let cases = [
        (400, "NAME_INVALID", "invalid repository name", "give another name than x, or make it there first"),
        (403, "DENIED", "requested access is denied", "ask for the right to write to x"),
        (429, "TOOMANYREQUESTS", "slow down", "try again later"),
        (500, "UNKNOWN", "it burns", "try again later, or look into the registry's log"),
    ];
    for (status, code, message, hint) in cases {
        let fake = Fake::new(move |_, asked| match asked.line.starts_with("HEAD") {
            true => (404, vec![], String::new()),
            false => (status, vec![], format!(r#"{{"errors":[{{"code":"{code}","message":"{message}"}}]}}"#)),
        });
        let name = format!("127.0.0.1:{}", fake.port);
        let finished = push(&scratch, made.layout, &format!("{name}/x"));
        finished.exits(110).prints("");
        finished.mentions(&format!("error: the registry {name} refuses: {message} ({code})\nhint: {hint}\n"));
    }
    let page = Fake::new(|_, _| (200, vec![], "<html>".into()));
    let name = format!("127.0.0.1:{}", page.port);
    let finished = push(&scratch, made.layout, &format!("{name}/x"));
    finished.exits(110).mentions(&format!(
        "error: the registry {name} refuses: 200 OK\nhint: look whether {name} is a registry of images\n"
    ));
}
