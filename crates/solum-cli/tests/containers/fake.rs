//! A registry that is played: it answers as the test says, for what the real one cannot be brought to do.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// What was asked.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Method and path, like `GET /v2/`.
    pub line: String,
    /// The header `Authorization`.
    pub authorization: Option<String>,
    pub body: Vec<u8>,
}

/// What is answered: status, headers, body.
pub type Reply = (u16, Vec<(&'static str, String)>, String);

/// A server whose answers a function gives.
pub struct Fake {
    pub port: u16,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Fake {
    /// One that answers by this function, which is given the server's port.
    pub fn new(answer: impl Fn(u16, &Asked) -> Reply + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&asked);
        thread::spawn(move || {
            for stream in listener.incoming() {
                converse(&stream.unwrap(), |question| {
                    seen.lock().unwrap().push(question.clone());
                    answer(port, question)
                });
            }
        });
        Self { port, asked }
    }

    /// Everything that was asked so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

/// One question for each connection, which is simplest; one more where a way through was asked for.
fn converse(stream: &TcpStream, answer: impl Fn(&Asked) -> Reply) {
    let mut reader = BufReader::new(stream);
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        // Whoever connects and leaves has asked nothing.
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        match line.trim_end() {
            "" => break,
            line => head.push(line.to_owned()),
        }
    }
    let header = |name: &str| {
        head.iter()
            .skip(1)
            .filter_map(|line| line.split_once(": "))
            .find_map(|(known, value)| known.eq_ignore_ascii_case(name).then(|| value.to_owned()))
    };
    let length = header("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let line = head[0].rsplit_once(' ').unwrap().0.to_owned();
    let asked = Asked { line, authorization: header("authorization"), body };
    let (status, headers, text) = answer(&asked);
    if asked.line.starts_with("CONNECT") && status == 200 {
        (&*stream).write_all(b"HTTP/1.1 200 As told\r\n\r\n").unwrap();
        return converse(stream, answer);
    }
    let mut reply =
        format!("HTTP/1.1 {status} As told\r\nConnection: close\r\nContent-Length: {}\r\n", text.len());
    for (name, value) in headers {
        reply += &format!("{name}: {value}\r\n");
    }
    let mut stream = stream;
    let body = if asked.line.starts_with("HEAD") { "" } else { &text };
    stream.write_all(format!("{reply}\r\n{body}").as_bytes()).unwrap();
}
