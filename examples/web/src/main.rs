//! An HTTP/1.1 server (RFC 9112) on port 8000 that answers GET and HEAD with the files of a directory.
//!
//! `solum run examples/web --dir examples/web/assets:/srv --publish 8000:8000`, then `curl localhost:8000`.

#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "a plain program")]

use std::fs;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

const PORT: u16 = 8000;
/// The longest request head that is read, in bytes.
const HEAD_MAX: usize = 16 * 1024;
/// How long a client may take to send its request or to take the answer.
const PATIENCE: Duration = Duration::from_secs(10);

fn main() -> io::Result<()> {
    let root: PathBuf = std::env::args_os().nth(1).map_or_else(|| "/srv".into(), Into::into);
    let listener = TcpListener::bind(("0.0.0.0", PORT))?;
    println!("Serving {} on port {PORT}.", root.display());
    for stream in listener.incoming() {
        let root = root.clone();
        // A client that fails is that client's matter; the next one is served all the same.
        let _ = stream.map(|stream| std::thread::spawn(move || serve(stream, &root)));
    }
    Ok(())
}

fn serve(mut stream: TcpStream, root: &Path) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let answer = match read_target(&mut stream)? {
        Request::Read { target, body } => answer(root, &target, body),
        Request::OtherMethod => Answer::text(405, "Method Not Allowed"),
        Request::Malformed => Answer::text(400, "Bad Request"),
    };
    stream.write_all(&answer.head())?;
    if answer.send_body {
        stream.write_all(&answer.body)?;
    }
    Ok(())
}

enum Request {
    Read { target: String, body: bool },
    OtherMethod,
    Malformed,
}

fn read_target(stream: &mut TcpStream) -> io::Result<Request> {
    let mut head = Vec::new();
    let mut chunk = [0; 2048];
    while head.len() < HEAD_MAX {
        match stream.read(&mut chunk)? {
            0 => return Ok(Request::Malformed),
            length => head.extend_from_slice(&chunk[..length]),
        }
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut request = httparse::Request::new(&mut headers);
        match (request.parse(&head), request.method, request.path) {
            (Ok(httparse::Status::Partial), ..) => {}
            (Ok(httparse::Status::Complete(_)), Some(method @ ("GET" | "HEAD")), Some(target)) => {
                return Ok(Request::Read { target: target.to_owned(), body: method == "GET" });
            }
            (Ok(httparse::Status::Complete(_)), ..) => return Ok(Request::OtherMethod),
            (Err(_), ..) => return Ok(Request::Malformed),
        }
    }
    Ok(Request::Malformed)
}

struct Answer {
    status: u16,
    reason: &'static str,
    kind: &'static str,
    body: Vec<u8>,
    send_body: bool,
}

impl Answer {
    fn text(status: u16, reason: &'static str) -> Self {
        let body = format!("{status} {reason}\n").into_bytes();
        Self { status, reason, kind: "text/plain; charset=utf-8", body, send_body: true }
    }

    fn head(&self) -> Vec<u8> {
        let Self { status, reason, kind, body, .. } = self;
        format!(
            "HTTP/1.1 {status} {reason}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            body.len()
        )
        .into_bytes()
    }
}

fn answer(root: &Path, target: &str, send_body: bool) -> Answer {
    let path = target.split(['?', '#']).next().unwrap_or_default().trim_start_matches('/');
    let path = if path.is_empty() { "index.html" } else { path };
    // Only plain names below the directory: no `..`, no hidden files, nothing absolute.
    if path.split('/').any(|part| part.is_empty() || part.starts_with('.')) {
        return Answer { send_body, ..Answer::text(404, "Not Found") };
    }
    match fs::read(root.join(path)) {
        Ok(body) => Answer { status: 200, reason: "OK", kind: kind_of(path), body, send_body },
        Err(_) => Answer { send_body, ..Answer::text(404, "Not Found") },
    }
}

fn kind_of(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, suffix)| suffix) {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("txt") => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_found_and_nothing_outside_the_directory() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets");
        assert_eq!(answer(&root, "/", true).status, 200);
        assert_eq!(answer(&root, "/?x=1", true).kind, "text/html; charset=utf-8");
        for target in ["/../Cargo.toml", "/..%2f", "//etc/passwd", "/missing", "/.hidden"] {
            assert_eq!(answer(&root, target, true).status, 404, "{target}");
        }
    }
}
