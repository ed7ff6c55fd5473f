//! Answers each request with its path.

use solum::http::Response;
use solum::{Error, Http};

#[derive(solum::Ports)]
struct Ports {
    http: Http,
}

#[solum::program]
fn web_page(mut ports: Ports) -> Result<(), Error> {
    loop {
        let exchange = ports.http.next(None)?;
        let answer = Response::text(200, format!("this is {}\n", exchange.request.path));
        // Who went away in the meantime missed it.
        let _ = exchange.respond(&answer);
    }
}
