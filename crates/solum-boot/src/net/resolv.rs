//! The file that tells programs their DNS servers (resolv.conf(5)).

use std::fmt::Write as _;
use std::io;
use std::path::Path;

/// Name of the file in its directory.
const FILE: &str = "resolv.conf";

/// The file's text. The resolvers of glibc and musl read the first three servers; those that read more are served too.
pub(super) fn text(servers: &[String], domains: &[&str]) -> String {
    let mut text = String::new();
    for (position, server) in servers.iter().enumerate() {
        if !servers[..position].contains(server) {
            // Writing to a string has no way to fail.
            let _ = writeln!(text, "nameserver {server}");
        }
    }
    if !domains.is_empty() {
        let _ = writeln!(text, "search {}", domains.join(" "));
    }
    text
}

/// Replaces the file in one step, so that no program reads half of it. It is not synced: it lies in memory, and a machine
/// that starts again writes it again.
pub(super) fn write(directory: &Path, text: &str) -> io::Result<()> {
    let beside = directory.join(".resolv.conf.new");
    std::fs::write(&beside, text)?;
    std::fs::rename(beside, directory.join(FILE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_named_once_and_in_order() {
        let servers = ["10.0.2.3", "fe80::1%eth0", "10.0.2.3"].map(str::to_owned);
        let expected = "nameserver 10.0.2.3\nnameserver fe80::1%eth0\nsearch a.example b.example\n";
        assert_eq!(text(&servers, &["a.example", "b.example"]), expected);
        assert_eq!(text(&[], &[]), "");
    }

    #[test]
    fn the_file_is_replaced_whole() {
        let directory = tempfile::tempdir().unwrap();
        write(directory.path(), "nameserver 10.0.0.1\nnameserver 10.0.0.2\n").unwrap();
        write(directory.path(), "nameserver 10.0.0.3\n").unwrap();
        let files: Vec<_> =
            std::fs::read_dir(directory.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
        assert_eq!(files, [FILE]);
        assert_eq!(std::fs::read_to_string(directory.path().join(FILE)).unwrap(), "nameserver 10.0.0.3\n");
    }
}
