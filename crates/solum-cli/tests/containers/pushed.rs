//! `solum push`: to a real registry, and out of it again.

use std::process::Command;

use serde_json::Value;

use crate::fake::{Asked, Fake, Reply};
use crate::harness::{Finished, Scratch};
use crate::made::{Made, probe};
use crate::podman::Podman;
use crate::server::{OTHER_ADDRESS, PASSWORD, Server, USER};

/// `solum push` for a user who is logged in nowhere but in `auth.json`.
fn push(scratch: &Scratch, image: &str, reference: &str, options: &[&str]) -> Finished {
    let words = [&["push", image, reference], options].concat();
    let command = scratch.solum_without_init(&words);
    command.env("HOME", "[SCRATCH]").env("XDG_RUNTIME_DIR", "").env("DOCKER_CONFIG", "").run()
}

fn whole_name(made: &Made, reference: &str) -> String {
    format!("{reference}@{}\n", made.image.manifest.digest)
}

#[test]
fn a_layout_and_an_archive_are_pushed_and_the_bill_of_materials_is_found_there() {
    let scratch = Scratch::new();
    let Some(server) = Server::open(&scratch) else { return };
    let made = probe(&scratch, &[]);
    for (source, name) in [(made.layout, "team/layout"), (made.archive, "team/archive")] {
        let reference = format!("{}/{name}:v1", server.name());
        push(&scratch, source, &reference, &[]).exits(0).prints(&whole_name(&made, &reference));
        let manifest = server.get(&format!("/v2/{name}/manifests/v1"));
        assert_eq!((manifest.status, &manifest.body), (200, &made.image.manifest.bytes), "{}", manifest.head);
        // The registry of Debian 12 has no list of attachments, so the list is an image of its own.
        let tag = made.image.manifest.digest.replace(':', "-");
        let list: Value =
            serde_json::from_slice(&server.get(&format!("/v2/{name}/manifests/{tag}")).body).unwrap();
        let [listed] = list["manifests"].as_array().unwrap().as_slice() else { panic!("{list}") };
        assert_eq!(listed["artifactType"], "application/vnd.cyclonedx+json");
        let path = format!("/v2/{name}/manifests/{}", listed["digest"].as_str().unwrap());
        let attached: Value = serde_json::from_slice(&server.get(&path).body).unwrap();
        assert_eq!(attached["subject"]["digest"], made.image.manifest.digest.as_str());
        let bill = attached["layers"][0]["digest"].as_str().unwrap();
        let bill = server.get(&format!("/v2/{name}/blobs/{bill}")).body;
        assert_eq!(bill, made.image.bill_of_materials().unwrap().bytes);
        let bill: Value = serde_json::from_slice(&bill).unwrap();
        assert_eq!(bill["bomFormat"], "CycloneDX", "{bill}");
    }
}

#[test]
fn what_the_registry_has_is_not_sent_again() {
    let scratch = Scratch::new();
    let Some(server) = Server::open(&scratch) else { return };
    let made = probe(&scratch, &[]);
    let reference = format!("{}/again", server.name());
    let first = push(&scratch, made.layout, &reference, &[]);
    first
        .exits(0)
        .prints(&whole_name(&made, &format!("{reference}:latest")))
        .mentions("solum: sending sha256:");
    let tag = made.image.manifest.digest.replace(':', "-");
    let list = server.get(&format!("/v2/again/manifests/{tag}")).body;
    push(&scratch, made.layout, &reference, &[]).exits(0).says("");
    assert_eq!(server.get(&format!("/v2/again/manifests/{tag}")).body, list, "an attachment is listed once");
}

#[test]
fn podman_pulls_what_was_pushed_and_runs_it() {
    let scratch = Scratch::new();
    let Some(podman) = Podman::new(&scratch) else { return };
    let Some(server) = Server::open(&scratch) else { return };
    let made = probe(&scratch, &[]);
    let reference = format!("{}/team/probe:v1", server.name());
    push(&scratch, made.archive, &reference, &[]).exits(0);
    podman.done(&["pull", "--tls-verify=false", &reference]);
    let digest = podman.done(&["inspect", "--format", "{{.Digest}}", &reference]);
    assert_eq!(digest.trim(), made.image.manifest.digest);
    assert_eq!(podman.run(&["run", "--rm", &reference, "status", "5"]).status.code(), Some(5));
}

#[test]
fn a_login_of_podmans_is_used() {
    let scratch = Scratch::new();
    let Some(podman) = Podman::new(&scratch) else { return };
    let Some(server) = Server::with_passwords(&scratch) else { return };
    let made = probe(&scratch, &[]);
    podman.log_in(&server.name(), USER, PASSWORD);
    let reference = format!("{}/team/probe:v1", server.name());
    let words = ["push", made.layout, &reference];
    let command = scratch.solum_without_init(&words).env("REGISTRY_AUTH_FILE", "[SCRATCH]/auth.json");
    command.run().exits(0).prints(&whole_name(&made, &reference));
}

#[test]
fn a_login_of_dockers_and_one_of_a_helper_are_used() {
    let scratch = Scratch::new();
    let Some(server) = Server::with_passwords(&scratch) else { return };
    let made = probe(&scratch, &[]);
    // `printf user:pass:word | base64`
    let auths = format!(r#"{{"auths": {{"{}": {{"auth": "dXNlcjpwYXNzOndvcmQ="}}}}}}"#, server.name());
    scratch.file(".docker/config.json", auths);
    let reference = format!("{}/docker", server.name());
    push(&scratch, made.layout, &reference, &[])
        .exits(0)
        .prints(&whole_name(&made, &format!("{reference}:latest")));

    let helper = format!(
        "#!/bin/sh\nread -r name\n[ \"$1 $name\" = 'get {}' ] || exit 1\n\
         echo '{{\"ServerURL\":\"\",\"Username\":\"{USER}\",\"Secret\":\"{PASSWORD}\"}}'\n",
        server.name()
    );
    scratch.executable("bin/docker-credential-test", helper);
    scratch.file(".docker/config.json", format!(r#"{{"credHelpers": {{"{}": "test"}}}}"#, server.name()));
    let reference = format!("{}/helper", server.name());
    let words = ["push", made.layout, &reference];
    let path = format!("[SCRATCH]/bin:{}", std::env::var("PATH").unwrap());
    let command = scratch.solum_without_init(&words).env("HOME", "[SCRATCH]").env("XDG_RUNTIME_DIR", "");
    let finished = command.env("DOCKER_CONFIG", "").env("PATH", &path).run();
    finished.exits(0).check(!finished.stderr().contains(PASSWORD), "the password is nobody's business");
}

/// A registry that wants a token for everything, and lists attachments by itself.
fn with_tokens(port: u16, asked: &Asked) -> Reply {
    let challenge = format!(
        "Bearer realm=\"http://127.0.0.1:{port}/token\",service=\"tests\",scope=\"repository:probe:pull,push\""
    );
    // `printf user:pass:word | base64`
    let is_user = asked.authorization.as_deref() == Some("Basic dXNlcjpwYXNzOndvcmQ=");
    let has_token = asked.authorization.as_deref() == Some("Bearer the-token");
    let (method, path) = asked.line.split_once(' ').unwrap();
    match method {
        "GET" if path.starts_with("/token") && is_user => (200, vec![], r#"{"token":"the-token"}"#.into()),
        "GET" if path.starts_with("/token") => (401, vec![], String::new()),
        _ if !has_token => (401, vec![("WWW-Authenticate", challenge)], String::new()),
        "HEAD" => (404, vec![], String::new()),
        "POST" => (202, vec![("Location", "/upload?state=1".into())], String::new()),
        "PUT" => (201, vec![("OCI-Subject", "sha256:0".into())], String::new()),
        _ => (404, vec![], String::new()),
    }
}

#[test]
fn a_token_is_fetched_where_the_registry_says() {
    let scratch = Scratch::new();
    let fake = Fake::new(with_tokens);
    let made = probe(&scratch, &[]);
    let auths = format!(r#"{{"auths": {{"127.0.0.1:{}": {{"auth": "dXNlcjpwYXNzOndvcmQ="}}}}}}"#, fake.port);
    scratch.file(".docker/config.json", auths);
    let reference = format!("127.0.0.1:{}/probe:v1", fake.port);
    push(&scratch, made.layout, &reference, &[]).exits(0).prints(&whole_name(&made, &reference));
    let asked = fake.asked();
    let lines: Vec<&str> = asked.iter().map(|one| one.line.as_str()).collect();
    let tokens: Vec<&&str> = lines.iter().filter(|line| line.contains("/token")).collect();
    assert_eq!(tokens, [&"GET /token?service=tests&scope=repository%3Aprobe%3Apull%2Cpush"], "one is enough");
    let config = &made.image.config;
    let sent = format!("PUT /upload?state=1&digest={}", config.digest);
    assert_eq!(asked.iter().find(|one| one.line == sent).unwrap().body, config.bytes);
    assert!(
        !lines.iter().any(|line| line.contains("manifests/sha256-")),
        "it lists attachments itself: {lines:?}"
    );
}

/// A registry whose tokens are had for another token, as after `docker login` at some of them.
fn with_tokens_for_tokens(port: u16, asked: &Asked) -> Reply {
    let form = String::from_utf8_lossy(&asked.body);
    match asked.line.as_str() {
        "POST /token"
            if form.contains("grant_type=refresh_token") && form.contains("refresh_token=a-login") =>
        {
            (200, vec![], r#"{"access_token":"the-token"}"#.into())
        }
        "POST /token" => (400, vec![], String::new()),
        _ => with_tokens(port, asked),
    }
}

#[test]
fn a_token_of_a_login_is_given_for_one_of_the_registry() {
    let scratch = Scratch::new();
    let fake = Fake::new(with_tokens_for_tokens);
    let made = probe(&scratch, &[]);
    let auths = format!(r#"{{"auths": {{"127.0.0.1:{}": {{"identitytoken": "a-login"}}}}}}"#, fake.port);
    scratch.file(".docker/config.json", auths);
    let reference = format!("127.0.0.1:{}/probe:v1", fake.port);
    push(&scratch, made.layout, &reference, &[]).exits(0).prints(&whole_name(&made, &reference));
}

#[test]
fn who_the_user_is_is_told_to_the_registry_alone() {
    let scratch = Scratch::new();
    let store = Fake::new(|_, _| (201, vec![], String::new()));
    let elsewhere = format!("http://127.0.0.1:{}/store", store.port);
    let fake = Fake::new(move |port, asked| match with_tokens(port, asked) {
        (202, _, body) => (202, vec![("Location", elsewhere.clone())], body),
        reply => reply,
    });
    let made = probe(&scratch, &[]);
    let auths = format!(r#"{{"auths": {{"127.0.0.1:{}": {{"auth": "dXNlcjpwYXNzOndvcmQ="}}}}}}"#, fake.port);
    scratch.file(".docker/config.json", auths);
    push(&scratch, made.layout, &format!("127.0.0.1:{}/probe", fake.port), &[]).exits(0);
    let stored = store.asked();
    let line = format!("PUT /store?digest={}", made.image.config.digest);
    assert!(stored.iter().any(|asked| asked.line == line && asked.body == made.image.config.bytes));
    assert!(stored.iter().all(|asked| asked.authorization.is_none()), "{stored:?}");
}

#[test]
fn docker_hub_is_asked_at_its_own_host_with_the_login_that_docker_keeps() {
    let scratch = Scratch::new();
    let proxy = Fake::new(|port, asked| match asked.line.strip_prefix("CONNECT ") {
        Some(_) => (200, vec![], String::new()),
        None => with_tokens(port, asked),
    });
    let made = probe(&scratch, &[]);
    let helper = format!(
        "#!/bin/sh\nread -r name\n\
         [ \"$1 $name\" = 'get https://index.docker.io/v1/' ] || {{ echo credentials not found; exit 1; }}\n\
         echo '{{\"ServerURL\":\"\",\"Username\":\"{USER}\",\"Secret\":\"{PASSWORD}\"}}'\n"
    );
    scratch.executable("bin/docker-credential-test", helper);
    scratch.file(".docker/config.json", r#"{"credsStore": "test"}"#);
    let words = ["push", made.layout, "docker.io/me/probe:v1", "--plain-http"];
    let command = scratch.solum_without_init(&words).env("HOME", "[SCRATCH]").env("XDG_RUNTIME_DIR", "");
    let path = format!("[SCRATCH]/bin:{}", std::env::var("PATH").unwrap());
    let command = command.env("PATH", &path).env("ALL_PROXY", &format!("http://127.0.0.1:{}", proxy.port));
    let finished = command.env("DOCKER_CONFIG", "").env("NO_PROXY", "").env("no_proxy", "").run();
    finished.exits(0).prints(&whole_name(&made, "docker.io/me/probe:v1"));
    let asked = proxy.asked();
    let lines: Vec<&str> = asked.iter().map(|one| one.line.as_str()).collect();
    for line in ["CONNECT registry-1.docker.io:80", "PUT /v2/me/probe/manifests/v1"] {
        assert!(lines.contains(&line), "{line}: {lines:?}");
    }
    assert!(!lines.contains(&"CONNECT docker.io:80"), "{lines:?}");
}

#[test]
fn a_certificate_that_the_host_trusts_is_trusted() {
    let scratch = Scratch::new();
    let made = probe(&scratch, &[]);
    let mut command = Command::new("openssl");
    command.args([
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "30",
    ]);
    command.args(["-subj", "/CN=tests", "-addext", &format!("subjectAltName=IP:{OTHER_ADDRESS}")]);
    // A certificate that may sign others is none of a server (RFC 5280, section 4.2.1.9, as webpki reads it).
    command.args(["-addext", "basicConstraints=critical,CA:FALSE"]);
    command.arg("-keyout").arg(scratch.path("key.pem")).arg("-out").arg(scratch.path("certificate.pem"));
    let Ok(output) = command.output() else {
        println!("skipped: there is no openssl");
        return;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let Some(server) = Server::with_certificate(&scratch, "certificate.pem", "key.pem") else { return };
    let reference = format!("{OTHER_ADDRESS}:{}/probe:v1", server.port);
    let words = ["push", made.layout, &reference];
    let trusting = scratch.solum_without_init(&words).env("SSL_CERT_FILE", "[SCRATCH]/certificate.pem");
    trusting.run().exits(0).prints(&whole_name(&made, &reference));
    let refused = scratch.solum_without_init(&words).run();
    refused.exits(110).prints("").mentions("cannot be reached: ").mentions("hint: --plain-http speaks to");
}

#[test]
fn a_dry_run_reaches_for_nothing() {
    let scratch = Scratch::new();
    let made = probe(&scratch, &[]);
    let reference = "nowhere.invalid/probe:v1";
    let said = push(&scratch, made.archive, reference, &["--dry-run"]);
    said.exits(0).prints(&whole_name(&made, reference)).mentions("application/vnd.cyclonedx+json)\n");
}
