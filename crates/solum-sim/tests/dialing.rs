//! Who wants to connect to a machine that is not up is answered when it is, as by TCP.

use std::time::Duration;

use solum::Http;
use solum_sim::{Envelope, Recipe, Scenario, Setup};

const DESCRIPTION: &str = r#"
[system]
name = "greeter"

[program.web]
file = "web"

[machine.front]
memory = "64 MiB"
[machine.front.unit.web]
program = "web"
ports.http = "tcp.80"
"#;

#[derive(solum::Ports)]
struct Ports {
    http: Http,
}

fn web(mut ports: Ports) -> Result<(), solum::Error> {
    loop {
        ports.http.next(None)?.respond(&solum::http::Response::text(200, "hello"))?;
    }
}

fn outcome(
    client: impl Fn(&mut solum_sim::Client) -> Result<(), String> + Clone + Send + Sync + 'static,
) -> Option<String> {
    let scenario = Scenario::new(DESCRIPTION, move |setup: &mut Setup| {
        setup.program("web", web);
        setup.client("client", client.clone());
    });
    scenario.envelope(Envelope::none()).run(&Recipe::seed(0), false).failure
}

fn greeted(client: &mut solum_sim::Client, patience: Duration) -> Result<Duration, String> {
    let began = client.now();
    let mut http = client.http("front", 80).map_err(|error| error.to_string())?;
    http.set_patience(patience);
    let answer = http.request("GET", "/", b"").map_err(|error| error.to_string())?;
    assert_eq!((answer.status, &answer.body[..]), (200, &b"hello"[..]));
    Ok(client.now() - began)
}

#[test]
fn a_request_before_a_machine_is_up_is_answered_afterwards() {
    // It tries again after a second, and the machine is up long before.
    let failure = outcome(|client| {
        let took = greeted(client, Duration::from_secs(2))?;
        if took < Duration::from_secs(1) { Err(format!("{took:?} are too short")) } else { Ok(()) }
    });
    assert_eq!(failure, None);
}

#[test]
fn a_request_to_a_machine_without_power_is_answered_when_that_has_come_back() {
    let failure = outcome(|client| {
        greeted(client, Duration::from_secs(2))?;
        client.cut_power("front");
        greeted(client, Duration::from_secs(60)).map(|_| ())
    });
    assert_eq!(failure, None);
}

#[test]
fn who_does_not_wait_is_not_connected_later() {
    let failure = outcome(|client| {
        match greeted(client, Duration::from_millis(500)) {
            Err(_) => {}
            Ok(took) => return Err(format!("there was an answer after {took:?}")),
        }
        client.sleep(Duration::from_secs(5));
        let took = greeted(client, Duration::from_millis(500))?;
        if took > Duration::from_millis(100) { Err(format!("it took {took:?}")) } else { Ok(()) }
    });
    assert_eq!(failure, None);
}
