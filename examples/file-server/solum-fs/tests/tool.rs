//! The tool `solum-fs`, as it is typed.

#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "a test of a tool of the host")]
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

struct Place {
    directory: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let place = Self { directory: tempfile::tempdir().unwrap() };
        place.does("format --size 4MiB");
        place
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn command(&self, words: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_solum-fs"));
        command.current_dir(self.directory.path()).arg("disk.img").args(words.split_whitespace());
        command
    }

    fn run(&self, words: &str) -> Output {
        self.command(words).output().unwrap()
    }

    /// What it printed; it was done.
    fn does(&self, words: &str) -> String {
        let output = self.run(words);
        assert!(output.status.success(), "{words}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// What it complained about; it was not done.
    fn refuses(&self, words: &str) -> String {
        let output = self.run(words);
        assert_eq!(output.status.code(), Some(1), "{words}");
        String::from_utf8(output.stderr).unwrap()
    }
}

fn damage(image: &Path, content: &[u8]) {
    let mut bytes = fs::read(image).unwrap();
    let at = bytes.windows(content.len()).position(|window| window == content).unwrap();
    bytes[at] ^= 1;
    fs::write(image, bytes).unwrap();
}

#[test]
fn files_go_in_and_out() {
    let place = Place::new();
    let content: Vec<u8> = (0..2_500_000u32).map(|index| (index / 3) as u8).collect();
    fs::write(place.file("in"), &content).unwrap();
    place.does("mkdir d");
    place.does("put in d/a");
    place.does("get d/a out");
    assert!(fs::read(place.file("out")).unwrap() == content);
    place.does("mv d/a b");
    assert_eq!(place.does("ls"), "     2500000 b\n           0 d/\n");
    assert_eq!(place.does("ls b"), "     2500000 b\n");
    let mut child = place.command("put - b").stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"from standard input\n").unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(place.does("cat b"), "from standard input\n");
    place.does("rmdir d");
    place.does("rm b");
    assert_eq!(place.does("ls"), "");
    let report = place.does("check");
    assert!(
        report.starts_with("0 files, 0 directories, 4 of 1024 blocks used, generation ")
            && report.ends_with(": no problem\n"),
        "{report}"
    );
    assert!(place.does("df").starts_with("total          4194304 bytes\n"));
}

#[test]
fn what_does_not_fit_leaves_the_disk_as_it_was() {
    let place = Place::new();
    fs::write(place.file("small"), "small").unwrap();
    fs::write(place.file("large"), vec![1; 5 << 20]).unwrap();
    place.does("put small a");
    assert_eq!(place.refuses("put large a"), "error: the disk is full\n");
    assert_eq!(place.does("cat a"), "small");
    assert_eq!(place.does("ls"), "           5 a\n");
    // Where there is no place for it, the first complaint is the one that counts.
    assert_eq!(place.refuses("put small x/a"), "error: /x: there is no such file or directory\n");
}

#[test]
fn complaints_say_what_to_type_next() {
    let place = Place::new();
    assert_eq!(place.refuses("cat x"), "error: x: there is no such file or directory\n");
    assert_eq!(
        place.refuses("format"),
        "error: there is something on disk.img\nhint: to lose it: solum-fs disk.img format --force\n"
    );
    assert_eq!(
        place.refuses("format --size 8MiB"),
        "error: disk.img is there already and has 4194304 bytes\nhint: leave --size out to use it as it is\n"
    );
    place.does("format --force");
    fs::write(place.file("disk.img"), vec![0; 1 << 20]).unwrap();
    assert_eq!(
        place.refuses("ls"),
        "error: the disk is blank: there is no file system on it\nhint: to make one: solum-fs disk.img format\n"
    );
    fs::remove_file(place.file("disk.img")).unwrap();
    let missing = place.refuses("ls");
    assert!(missing.starts_with("error: disk.img cannot be opened: No such file"), "{missing}");
    assert!(place.refuses("format").contains("hint: to make it: solum-fs disk.img format --size 64MiB"));
    assert_eq!(place.run("format --size 8MB").status.code(), Some(2));
}

#[test]
fn a_disk_in_use_is_left_alone() {
    let place = Place::new();
    let file = fs::File::open(place.file("disk.img")).unwrap();
    file.lock().unwrap();
    assert_eq!(
        place.refuses("mkdir a"),
        "error: disk.img is in use\nhint: stop the system that runs on it first\n"
    );
}

#[test]
fn damage_is_found_named_and_removed() {
    let place = Place::new();
    fs::write(place.file("in"), "a content that can be found").unwrap();
    place.does("mkdir d");
    place.does("put in d/a");
    damage(&place.file("disk.img"), b"a content that can be found");
    let output = place.run("check");
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert!(said.starts_with("/d/a: the content in block ") && said.contains("is damaged"), "{said}");
    assert!(place.refuses("cat d/a").contains("hint: to see all that is damaged: solum-fs disk.img check"));
    place.does("rm d/a");
    place.does("check");
}
