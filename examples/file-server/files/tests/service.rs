//! The service through its interface, and what clients notice when it is started again.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::cell::RefCell;
use std::rc::Rc;

use files::{Found, Service, open};
use files_api::{Client, Files, FilesCalls, FilesError, Kind, Mark, Stat, TRANSFER_BYTES_MAX};
use solum::disk::{Driver, Geometry};
use solum::native::SystemClock;
use solum::{CallError, Disk, Link};

/// A disk that outlives those who use it.
#[derive(Clone)]
struct Lasting(Rc<RefCell<Disk>>);

impl Lasting {
    fn new(bytes: u64) -> Self {
        Self(Rc::new(RefCell::new(Disk::memory(bytes))))
    }

    fn disk(&self) -> Disk {
        Disk::new(Box::new(self.clone()))
    }

    /// A server that was started on it.
    fn link(&self) -> Link<Files> {
        let (file_system, _) = open(self.disk()).unwrap();
        Link::<Files>::local(Box::new(Service::new(file_system)), Rc::new(SystemClock))
    }
}

impl Driver for Lasting {
    fn geometry(&self) -> Geometry {
        Geometry { bytes: self.0.borrow().capacity(), block_bytes: 512, writable: true }
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> solum::Result<()> {
        self.0.borrow_mut().read_at(offset, buffer)
    }

    fn write_at(&mut self, offset: u64, data: &[u8]) -> solum::Result<()> {
        self.0.borrow_mut().write_at(offset, data)
    }

    fn flush(&mut self) -> solum::Result<()> {
        self.0.borrow_mut().flush()
    }

    fn discard(&mut self, offset: u64, length: u64) -> solum::Result<()> {
        self.0.borrow_mut().discard(offset, length)
    }
}

#[test]
fn every_call_reaches_the_file_system() {
    let mut link = Lasting::new(4 << 20).link();
    link.make_directory("d".into()).unwrap();
    link.create("d/a".into()).unwrap();
    link.write("d/a".into(), 2, b"xyz".to_vec()).unwrap();
    assert_eq!(link.read("d/a".into(), 1, 10), Ok(b"\0xyz".to_vec()));
    link.truncate("d/a".into(), 3).unwrap();
    let mark = link.rename("d/a".into(), "d/b".into()).unwrap();
    assert_eq!(link.stat("d/b".into()), Ok(Stat { kind: Kind::File, size: 3 }));
    let names: Vec<_> = link.list("d".into(), None, 9).unwrap().into_iter().map(|entry| entry.name).collect();
    assert_eq!((names, link.sync(mark)), (vec!["b".to_owned()], Ok(())));
    assert!(link.room().unwrap().free_bytes > 3 << 20);
    link.remove("d/b".into()).unwrap();
    link.remove_directory("d".into()).unwrap();
    assert_eq!(link.remove_all("d".into()), Err(CallError::Service(FilesError::NotFound("d".into()))));
}

#[test]
fn a_call_that_is_too_long_is_refused_and_a_client_cuts_it_into_pieces() {
    let mut client = Client::new(Lasting::new(4 << 20).link());
    let refused = client.link().read("a".into(), 0, TRANSFER_BYTES_MAX + 1);
    assert_eq!(refused, Err(CallError::Service(FilesError::TooLarge)));
    let content: Vec<u8> = (0..200_001u32).map(|index| (index % 251) as u8).collect();
    client.replace("a", b"before").unwrap();
    client.replace("a", &content).unwrap();
    assert!(client.read_file("a").unwrap() == content);
    for index in 0..300 {
        let mark = client.link().create(format!("name {index:03}")).unwrap();
        client.keep(mark);
    }
    let names: Vec<_> = client.list_all("/").unwrap().into_iter().map(|entry| entry.name).collect();
    assert_eq!((names.len(), &*names[300]), (301, "name 299"));
    client.sync().unwrap();
    assert_eq!(client.stat("a.new"), Ok(None), "nothing is left beside it");
}

#[test]
fn a_client_learns_at_its_sync_that_changes_were_lost() {
    let disk = Lasting::new(1 << 20);
    let mut client = Client::new(disk.link());
    client.replace("a", b"one").unwrap();
    client.sync().unwrap();
    client.replace("a", b"two").unwrap();
    *client.link() = disk.link();
    client.replace("b", b"three").unwrap();
    assert_eq!(client.sync(), Err(CallError::Service(FilesError::Lost)));
    assert_eq!(client.read_file("a").unwrap(), b"one");
    client.replace("a", b"two").unwrap();
    client.sync().unwrap();
    *client.link() = disk.link();
    assert_eq!(client.read_file("a").unwrap(), b"two");
    client.sync().unwrap();
}

#[test]
fn a_repeated_sync_whose_first_answer_was_lost_is_answered_by_the_next_server() {
    let disk = Lasting::new(1 << 20);
    let mut link = disk.link();
    let mark = link.create("a".into()).unwrap();
    link.sync(mark).unwrap();
    let mut link = disk.link();
    assert_eq!(link.sync(mark), Ok(()));
    let nonsense = Mark { life: u64::MAX, change: u64::MAX };
    assert_eq!(link.sync(nonsense), Err(CallError::Service(FilesError::Lost)));
}

#[test]
fn a_blank_disk_is_formatted_and_no_other() {
    let disk = Lasting::new(1 << 20);
    assert_eq!(open(disk.disk()).unwrap().1, Found::Blank);
    assert_eq!(open(disk.disk()).unwrap().1, Found::Whole(0));
    let mut other = Disk::memory(1 << 20);
    other.write_at(512, &[9; 512]).unwrap();
    let error = open(other).map(drop).unwrap_err();
    assert_eq!(error.to_string(), "there is no file system on the disk, but the disk is not blank either");
}

#[test]
fn damage_is_told_and_can_be_removed() {
    let disk = Lasting::new(1 << 20);
    let mut link = disk.link();
    link.make_directory("d".into()).unwrap();
    let mark = link.create("d/a".into()).unwrap();
    link.sync(mark).unwrap();
    let names = (0..256).map(|block| block * 4096).find(|offset| {
        let mut block = [0; 4096];
        disk.0.borrow_mut().read_at(*offset, &mut block).unwrap();
        // A leaf with one entry, whose name is of one byte and means a file.
        block[..6] == [1, 0, 1, 0, 1, 1]
    });
    disk.0.borrow_mut().write_at(names.unwrap(), &[7; 512]).unwrap();
    let (file_system, found) = open(disk.disk()).unwrap();
    let Found::Damaged(damage) = found else { panic!("{found:?}") };
    assert!(damage[0].starts_with("/d: the directory in block "), "{damage:?}");
    let mut link = Link::<Files>::local(Box::new(Service::new(file_system)), Rc::new(SystemClock));
    assert!(matches!(link.create("b".into()), Err(CallError::Service(FilesError::Damaged(_)))));
    assert!(matches!(link.list("d".into(), None, 9), Err(CallError::Service(FilesError::Damaged(_)))));
    link.remove_all("d".into()).unwrap();
    link.create("b".into()).unwrap();
}
