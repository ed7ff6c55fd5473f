//! A real registry, on a port of its own, with its data in a scratch directory.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::thread;

use crate::harness::Scratch;

/// Who may push where there are passwords.
pub const USER: &str = "user";
/// The password. A colon is in it, because it also stands between the two.
pub const PASSWORD: &str = "pass:word";
/// Both, as `htpasswd -B` writes them.
const LOGINS: &str = "user:$2y$05$mLXDXc.PU.4xzclNhJPg1.xc2XIQM4Q0wH7k3NpBt0keJAw3zNGS2\n";

/// Without these the registry says that there is no such manifest.
const ACCEPTED: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json";

/// Not taken for a registry without TLS, as `127.0.0.1` is.
pub const OTHER_ADDRESS: &str = "127.0.0.2";

/// A registry that runs.
pub struct Server {
    child: Child,
    pub port: u16,
}

/// An answer.
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Server {
    /// One that lets everybody in; if it is not installed, this says that the test is skipped.
    pub fn open(scratch: &Scratch) -> Option<Self> {
        Self::start(scratch, "127.0.0.1", "", "")
    }

    /// One that wants [`USER`] and [`PASSWORD`].
    pub fn with_passwords(scratch: &Scratch) -> Option<Self> {
        let logins = scratch.file("htpasswd", LOGINS);
        Self::start(
            scratch,
            "127.0.0.1",
            &format!("auth: {{htpasswd: {{realm: tests, path: {logins:?}}}}}\n"),
            "",
        )
    }

    /// One at [`OTHER_ADDRESS`] that speaks TLS with this certificate.
    pub fn with_certificate(scratch: &Scratch, certificate: &str, key: &str) -> Option<Self> {
        let (certificate, key) = (scratch.path(certificate), scratch.path(key));
        Self::start(
            scratch,
            OTHER_ADDRESS,
            "",
            &format!(", tls: {{certificate: {certificate:?}, key: {key:?}}}"),
        )
    }

    fn start(scratch: &Scratch, address: &str, auth: &str, http: &str) -> Option<Self> {
        let data = scratch.directory("registry");
        let configuration = format!(
            "version: 0.1\nlog: {{level: info}}\nstorage: {{filesystem: {{rootdirectory: {data:?}}}}}\n\
             http: {{addr: \"{address}:0\"{http}}}\n{auth}"
        );
        let configuration = scratch.file("registry.yml", configuration);
        let mut command = Command::new("docker-registry");
        command
            .arg("serve")
            .arg(configuration)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let Ok(mut child) = command.spawn() else {
            println!("skipped: there is no docker-registry");
            return None;
        };
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
        let mut said = Vec::new();
        let port = lines.find_map(|line| {
            let port = line.split(&format!("listening on {address}:")).nth(1).map(|rest| {
                let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
                digits.parse().unwrap()
            });
            said.push(line);
            port
        });
        let port = port.unwrap_or_else(|| panic!("the registry does not listen:\n{}", said.join("\n")));
        // What it says later must not fill the pipe.
        thread::spawn(move || lines.for_each(drop));
        Some(Self { child, port })
    }

    /// Where it is.
    pub fn name(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// What it has at a path.
    pub fn get(&self, path: &str) -> Answer {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        // HTTP/1.0 has no chunks.
        write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\nAccept: {ACCEPTED}\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let end = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
        let head = String::from_utf8(answer[..end].to_vec()).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, head, body: answer[end + 4..].to_vec() }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
