//! Files from a mirror: a web server, or a directory laid out like one.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::Error;
use crate::files;
use crate::job::Interrupt;
use crate::progress::{Progress, Unit};

/// Where releases of Linux are published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mirror {
    /// A web server, by the URL below which `v6.x/` is.
    Url(String),
    /// A directory, with `v6.x/` in it or with the files themselves.
    Directory(PathBuf),
}

impl Mirror {
    /// The publisher's own.
    pub fn publisher() -> Self {
        Self::Url("https://cdn.kernel.org/pub/linux/kernel".into())
    }

    /// Reads what a user typed: a URL, or else a directory.
    pub fn parse(text: &str) -> Self {
        match text.starts_with("http://") || text.starts_with("https://") {
            true => Self::Url(text.trim_end_matches('/').to_owned()),
            false => Self::Directory(PathBuf::from(text)),
        }
    }

    /// Where the mirror has `file` of the release series `directory` ("v6.x").
    pub(crate) fn locate(&self, directory: &str, file: &str) -> Location {
        match self {
            Self::Url(base) => Location::Url(format!("{base}/{directory}/{file}")),
            Self::Directory(base) => {
                let nested = base.join(directory).join(file);
                Location::File(if nested.exists() { nested } else { base.join(file) })
            }
        }
    }
}

/// One file of a mirror.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Location {
    Url(String),
    File(PathBuf),
}

impl std::fmt::Display for Location {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Url(url) => out.write_str(url),
            Self::File(path) => write!(out, "{}", path.display()),
        }
    }
}

impl Location {
    fn refuse(&self, cause: impl Into<String>) -> Error {
        Error::Mirror { location: self.to_string(), cause: cause.into() }
    }

    /// Opens it, and tells its length where that is known.
    fn open(&self) -> Result<(Box<dyn Read>, Option<u64>), Error> {
        match self {
            Self::File(path) => {
                let file = File::open(path).map_err(|error| self.refuse(error.to_string()))?;
                let length = file.metadata().map_err(|error| self.refuse(error.to_string()))?.len();
                Ok((Box::new(file), Some(length)))
            }
            Self::Url(url) => {
                let response = agent().get(url).call().map_err(|error| self.refuse(http_cause(&error)))?;
                let length = response.body().content_length();
                Ok((Box::new(response.into_body().into_reader()), length))
            }
        }
    }

    /// Reads a small text.
    pub(crate) fn read_text(&self) -> Result<String, Error> {
        const LENGTH_MAX: u64 = 16 << 20;
        let mut text = Vec::new();
        let (reader, _) = self.open()?;
        reader.take(LENGTH_MAX).read_to_end(&mut text).map_err(|error| self.refuse(error.to_string()))?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    /// Copies it to `destination`, which has it complete or not at all.
    pub(crate) fn fetch(
        &self,
        destination: &Path,
        interrupt: &Interrupt,
        progress: &dyn Progress,
    ) -> Result<(), Error> {
        let directory = destination.parent().unwrap_or(Path::new("."));
        files::create_directory(directory)?;
        let (mut reader, length) = self.open()?;
        let mut partial = tempfile::NamedTempFile::new_in(directory)
            .map_err(|error| Error::io("write to", directory, error))?;
        let write_failed = |error| Error::io("write", destination, error);
        let mut buffer = vec![0; 1 << 16];
        let mut done = 0;
        loop {
            interrupt.check()?;
            let count = match reader.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(self.refuse(cut_short(done, length, &error.to_string()))),
            };
            partial.write_all(&buffer[..count]).map_err(write_failed)?;
            done += count as u64;
            progress.progress(Unit::Bytes, done, length);
        }
        if length.is_some_and(|length| done < length) {
            return Err(self.refuse(cut_short(done, length, "the connection ended")));
        }
        partial.as_file().sync_all().map_err(write_failed)?;
        partial.persist(destination).map_err(|error| write_failed(error.error))?;
        Ok(())
    }
}

/// Puts the file that `location` has into the directory of downloads, unless it is there, with the checksum `sha256`
/// that its publisher states. A file there with another one is damaged: it is fetched again, once.
pub(crate) fn fetch_checked(
    location: &Location,
    destination: &Path,
    sha256: &str,
    interrupt: &Interrupt,
    progress: &dyn Progress,
) -> Result<(), Error> {
    if destination.is_file() {
        if files::sha256_of_file(destination)? == sha256 {
            return Ok(());
        }
        progress.phase(&format!("the download in the cache is damaged; fetching {location} again"));
        files::remove(destination)?;
    }
    location.fetch(destination, interrupt, progress)?;
    let actual = files::sha256_of_file(destination)?;
    if actual != sha256 {
        files::remove(destination)?;
        return Err(Error::Checksum { location: location.to_string(), expected: sha256.to_owned(), actual });
    }
    Ok(())
}

/// The checksum of `file` in a list as `sha256sum` writes it; a signature around the list is passed over.
pub(crate) fn checksum_in<'list>(list: &'list str, file: &str) -> Option<&'list str> {
    list.lines().find_map(|line| {
        let (sum, name) = line.split_once(char::is_whitespace)?;
        let is_sum = sum.len() == 64 && sum.bytes().all(|byte| byte.is_ascii_hexdigit());
        (is_sum && name.trim_start_matches([' ', '*']) == file).then_some(sum)
    })
}

fn agent() -> ureq::Agent {
    ureq::Agent::config_builder()
        .timeout_connect(Some(Duration::from_secs(20)))
        .timeout_recv_response(Some(Duration::from_secs(60)))
        .build()
        .into()
}

fn http_cause(error: &ureq::Error) -> String {
    match error {
        ureq::Error::StatusCode(404) => "the server has no such file (404 Not Found)".into(),
        ureq::Error::StatusCode(status) => format!("the server answered with status {status}"),
        ureq::Error::HostNotFound => "there is no server of that name".into(),
        ureq::Error::Io(error) => error.to_string(),
        other => other.to_string(),
    }
}

fn cut_short(done: u64, length: Option<u64>, reason: &str) -> String {
    match length {
        Some(length) => format!("only {done} of {length} bytes arrived ({reason})"),
        None => format!("it broke off after {done} bytes ({reason})"),
    }
}

/// Files of the directory of downloads that a download has begun and not finished.
pub(crate) fn partial_in(downloads: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut files = files::entries(downloads)?;
    files.retain(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(".tmp")));
    Ok(files)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::progress::Silent;
    use std::collections::HashMap;
    use std::fs;
    use std::io::{BufRead, BufReader};
    use std::net::{TcpListener, TcpStream};
    use std::sync::{Arc, Mutex};

    /// What a test server has below one path.
    #[derive(Clone)]
    pub(crate) enum Page {
        Whole(Vec<u8>),
        /// States the whole length, sends half, and hangs up.
        Half(Vec<u8>),
        Status(u16),
    }

    /// A web server on the loopback interface, for as long as the test process lives; and what was asked of it.
    pub(crate) fn serve(pages: &[(&str, Page)]) -> (String, Arc<Mutex<Vec<String>>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let pages: HashMap<_, _> =
            pages.iter().map(|(path, page)| ((*path).to_owned(), page.clone())).collect();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = asked.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                answer(stream.unwrap(), &pages, &log);
            }
        });
        (base, asked)
    }

    fn answer(mut stream: TcpStream, pages: &HashMap<String, Page>, log: &Mutex<Vec<String>>) {
        let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
        let request = lines.next().unwrap().unwrap();
        while lines.next().is_some_and(|line| !line.unwrap().is_empty()) {}
        let path = request.split(' ').nth(1).unwrap().to_owned();
        log.lock().unwrap().push(path.clone());
        let head = |status: u16, length: usize| {
            format!("HTTP/1.1 {status} Reason\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n")
        };
        let answer = match pages.get(&path) {
            Some(Page::Whole(body)) => [head(200, body.len()).as_bytes(), body].concat(),
            Some(Page::Half(body)) => [head(200, body.len()).as_bytes(), &body[..body.len() / 2]].concat(),
            Some(Page::Status(status)) => head(*status, 0).into_bytes(),
            None => head(404, 0).into_bytes(),
        };
        stream.write_all(&answer).unwrap();
    }

    fn fetch(url: String) -> (tempfile::TempDir, Result<(), Error>) {
        let directory = tempfile::tempdir().unwrap();
        let result = Location::Url(url).fetch(
            &directory.path().join("downloads/file"),
            &Interrupt::default(),
            &Silent,
        );
        (directory, result)
    }

    #[test]
    fn a_file_arrives_whole_or_not_at_all() {
        let body = b"solum ".repeat(50_000);
        let (base, _) = serve(&[
            ("/whole", Page::Whole(body.clone())),
            ("/half", Page::Half(body.clone())),
            ("/broken", Page::Status(503)),
        ]);
        let (directory, result) = fetch(format!("{base}/whole"));
        result.unwrap();
        assert_eq!(fs::read(directory.path().join("downloads/file")).unwrap(), body);
        let table = [
            ("/half", "only 150000 of 300000 bytes arrived"),
            ("/absent", "the server has no such file (404 Not Found)"),
            ("/broken", "the server answered with status 503"),
        ];
        for (path, cause) in table {
            let url = format!("{base}{path}");
            let (directory, result) = fetch(url.clone());
            let error = result.unwrap_err();
            let text = error.to_string();
            assert!(text.starts_with(&format!("cannot get {url}: ")) && text.contains(cause), "{text}");
            assert!(error.hint().unwrap().contains("--mirror"));
            assert_eq!(files::size_of_tree(directory.path()), 0, "nothing half-written stays");
        }
    }

    #[test]
    fn a_server_that_is_not_there_is_a_sentence() {
        let unused = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let (_directory, result) = fetch(format!("http://{unused}/file"));
        let text = result.unwrap_err().to_string();
        assert!(text.contains("refused"), "{text}");
    }

    #[test]
    fn a_damaged_download_is_fetched_again_and_a_good_one_is_not() {
        let (base, asked) = serve(&[("/file", Page::Whole(b"good".to_vec()))]);
        let location = Location::Url(format!("{base}/file"));
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        let sha256 = files::sha256(b"good");
        for (before, requests) in [(None, 1), (Some("good"), 1), (Some("bad"), 2)] {
            if let Some(before) = before {
                fs::write(&path, before).unwrap();
            }
            fetch_checked(&location, &path, &sha256, &Interrupt::default(), &Silent).unwrap();
            assert_eq!(fs::read(&path).unwrap(), b"good");
            assert_eq!(asked.lock().unwrap().len(), requests, "{before:?}");
        }
        let error = fetch_checked(&location, &path, &files::sha256(b"other"), &Interrupt::default(), &Silent)
            .unwrap_err();
        assert!(matches!(error, Error::Checksum { .. }));
        assert!(!path.exists(), "what has the wrong checksum does not stay");
    }

    #[test]
    fn a_directory_serves_as_mirror_nested_or_flat() {
        let directory = tempfile::tempdir().unwrap();
        let mirror = Mirror::parse(directory.path().to_str().unwrap());
        fs::write(directory.path().join("flat"), "1").unwrap();
        files::create_directory(&directory.path().join("v6.x")).unwrap();
        fs::write(directory.path().join("v6.x/nested"), "2").unwrap();
        assert_eq!(mirror.locate("v6.x", "flat").read_text().unwrap(), "1");
        assert_eq!(mirror.locate("v6.x", "nested").read_text().unwrap(), "2");
        let error = mirror.locate("v6.x", "gone").read_text().unwrap_err();
        assert!(error.to_string().contains("No such file or directory"), "{error}");
    }

    #[test]
    fn a_url_and_a_directory_are_told_apart() {
        assert_eq!(Mirror::parse("https://mirror/linux/"), Mirror::Url("https://mirror/linux".into()));
        assert_eq!(Mirror::parse("mirror/linux"), Mirror::Directory("mirror/linux".into()));
    }

    #[test]
    fn the_checksum_is_found_in_a_signed_list() {
        let sum = "0".repeat(63) + "a";
        let list = format!(
            "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n{}  linux-6.12.1.tar.gz\n{sum}  linux-6.12.1.tar.xz\n\
             -----BEGIN PGP SIGNATURE-----\n",
            "1".repeat(64)
        );
        assert_eq!(checksum_in(&list, "linux-6.12.1.tar.xz"), Some(sum.as_str()));
        assert_eq!(checksum_in(&list, "linux-6.12.2.tar.xz"), None);
        assert_eq!(checksum_in("short  linux-6.12.1.tar.xz", "linux-6.12.1.tar.xz"), None);
    }
}
