//! The notes, with a file server in the same program.

use std::rc::Rc;

use files::{Service, open};
use files_api::{Client, Files};
use notes::keep_a_note;
use solum::native::SystemClock;
use solum::{Disk, Link};

#[test]
fn each_start_finds_the_note_of_the_one_before() {
    let (file_system, _) = open(Disk::memory(1 << 20)).unwrap();
    let mut client =
        Client::new(Link::<Files>::local(Box::new(Service::new(file_system)), Rc::new(SystemClock)));
    let mut lines = Vec::new();
    for _ in 0..2 {
        keep_a_note(&mut client, |line| {
            lines.push(line);
            Ok(())
        })
        .unwrap();
    }
    let expected = [
        "0 notes from before",
        "note 1 is safe in notes/1.txt",
        "in notes: 1.txt, contents.txt",
        "1 notes from before",
        "the last one, notes/1.txt: This is note 1.",
        "note 2 is safe in notes/2.txt",
        "in notes: 1.txt, 2.txt, contents.txt",
    ];
    assert_eq!(lines, expected);
}
