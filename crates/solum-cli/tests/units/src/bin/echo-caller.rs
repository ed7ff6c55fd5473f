//! Calls `Echo`: each of its arguments is said, but for `hang`, which waits for an answer that does not come.

use solum::{Console, Error, Link};
use units::{Echo, EchoCalls, arguments};

#[derive(solum::Ports)]
struct Ports {
    echo: Link<Echo>,
    console: Console,
}

#[solum::program]
fn echo_caller(mut ports: Ports) -> Result<(), Error> {
    for words in arguments() {
        let answer = match words.as_str() {
            "hang" => ports.echo.hang().map(|()| "answered".to_owned()),
            _ => ports.echo.echo(words),
        };
        match answer {
            Ok(answer) => ports.console.line(answer)?,
            Err(Error::Gone { epoch }) => {
                ports.console.line(format_args!("gone in its life {epoch}"))?;
            }
            Err(error) => ports.console.line(format_args!("failed: {error}"))?,
        }
    }
    Ok(())
}
