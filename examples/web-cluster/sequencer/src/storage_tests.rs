//! The storage over a file server that is started again, or stops, after every single call.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use files_api::{Files, FilesService, Kind, Mark, Room, Stat};
use solum::Link;
use solum::native::SystemClock;

use super::*;

type Paths = BTreeMap<String, Option<Vec<u8>>>;

#[derive(Default)]
struct Server {
    visible: Paths,
    durable: Paths,
    life: u64,
    changes: u64,
    durable_changes: u64,
    /// How many changes the life began with.
    first_change: u64,
    calls: usize,
    /// After this many calls it is started again.
    restart_at: Option<usize>,
    /// From this call on it fails.
    stop_at: Option<usize>,
    is_full: bool,
}

impl Server {
    fn call(&mut self) -> Result<(), FilesError> {
        if self.restart_at == Some(self.calls) {
            self.lose_power();
        }
        self.calls += 1;
        match self.stop_at {
            Some(stop) if self.calls > stop => Err(FilesError::Disk("it stopped".into())),
            _ => Ok(()),
        }
    }

    fn lose_power(&mut self) {
        self.visible = self.durable.clone();
        self.changes = self.durable_changes;
        self.first_change = self.changes;
        self.life += 1;
    }

    fn changed(&mut self) -> Result<Mark, FilesError> {
        self.changes += 1;
        Ok(Mark { life: self.life, change: self.changes })
    }

    fn file(&mut self, path: &str) -> Result<&mut Vec<u8>, FilesError> {
        let found = self.visible.get_mut(path).and_then(Option::as_mut);
        found.ok_or_else(|| FilesError::NotFound(path.to_owned()))
    }

    fn add(&mut self, path: String, content: Option<Vec<u8>>) -> Result<Mark, FilesError> {
        self.call()?;
        if self.visible.contains_key(&path) {
            return Err(FilesError::AlreadyExists(path));
        }
        self.visible.insert(path, content);
        self.changed()
    }
}

/// A client's view of a server that others have too.
struct Shared(Rc<RefCell<Server>>);

impl FilesService for Shared {
    fn create(&mut self, path: String) -> Result<Mark, FilesError> {
        self.0.borrow_mut().add(path, Some(Vec::new()))
    }

    fn make_directory(&mut self, path: String) -> Result<Mark, FilesError> {
        self.0.borrow_mut().add(path, None)
    }

    fn read(&mut self, path: String, offset: u64, length: u32) -> Result<Vec<u8>, FilesError> {
        let mut server = self.0.borrow_mut();
        server.call()?;
        let rest = server.file(&path)?.iter().skip(offset as usize);
        Ok(rest.take(length as usize).copied().collect())
    }

    fn write(&mut self, path: String, offset: u64, data: Vec<u8>) -> Result<Mark, FilesError> {
        let mut server = self.0.borrow_mut();
        server.call()?;
        let file = server.file(&path)?;
        file.resize(file.len().max(offset as usize + data.len()), 0);
        file[offset as usize..][..data.len()].copy_from_slice(&data);
        server.changed()
    }

    fn truncate(&mut self, path: String, size: u64) -> Result<Mark, FilesError> {
        let mut server = self.0.borrow_mut();
        server.call()?;
        server.file(&path)?.resize(size as usize, 0);
        server.changed()
    }

    fn rename(&mut self, from: String, to: String) -> Result<Mark, FilesError> {
        let mut server = self.0.borrow_mut();
        server.call()?;
        let content = server.visible.remove(&from).ok_or(FilesError::NotFound(from))?;
        server.visible.insert(to, content);
        server.changed()
    }

    fn remove(&mut self, path: String) -> Result<Mark, FilesError> {
        let mut server = self.0.borrow_mut();
        server.call()?;
        server.visible.remove(&path).ok_or(FilesError::NotFound(path))?;
        server.changed()
    }

    fn remove_directory(&mut self, path: String) -> Result<Mark, FilesError> {
        self.remove(path)
    }

    fn remove_all(&mut self, path: String) -> Result<Mark, FilesError> {
        self.remove(path)
    }

    fn list(&mut self, path: String, after: Option<String>, limit: u32) -> Result<Vec<Entry>, FilesError> {
        let mut server = self.0.borrow_mut();
        server.call()?;
        let stat = Stat { kind: Kind::File, size: 0 };
        let inside = |full: &String| full.strip_prefix(&path)?.strip_prefix('/').map(str::to_owned);
        let names = server.visible.keys().filter_map(inside);
        let wanted = names.filter(|name| after.as_ref().is_none_or(|after| name > after));
        Ok(wanted.take(limit as usize).map(|name| Entry { name, stat }).collect())
    }

    fn stat(&mut self, path: String) -> Result<Stat, FilesError> {
        Err(FilesError::NotFound(path))
    }

    fn room(&mut self) -> Room {
        let is_full = self.0.borrow().is_full;
        Room { total_bytes: 1 << 30, used_bytes: 0, free_bytes: if is_full { 0 } else { 1 << 30 } }
    }

    fn sync(&mut self, mark: Mark) -> Result<(), FilesError> {
        let mut server = self.0.borrow_mut();
        server.call()?;
        let survived = mark.life + 1 == server.life && mark.change <= server.first_change;
        if mark.life != server.life && !survived {
            return Err(FilesError::Lost);
        }
        server.durable = server.visible.clone();
        server.durable_changes = server.changes;
        Ok(())
    }
}

fn open(server: &Rc<RefCell<Server>>) -> Result<(Storage, u64), Broken> {
    let link = Link::<Files>::local(Box::new(Shared(Rc::clone(server))), Rc::new(SystemClock));
    Storage::open(Client::new(link))
}

fn key(text: &str) -> Key {
    Key::new(text).unwrap()
}

fn record(count: u64, value: Option<&str>) -> Record {
    Record { number: Number { epoch: 1, count }, value: value.map(|text| text.as_bytes().to_vec()) }
}

fn script() -> Vec<(Key, Record)> {
    vec![
        (key("a"), record(1, Some("one"))),
        (key("b"), record(2, Some("two"))),
        (key("a"), record(3, None)),
        (key("a"), record(4, Some("four"))),
        (key("b"), record(5, None)),
        (key("c"), record(6, None)),
        (key("b"), record(7, None)),
    ]
}

/// What is there for each key after so much of the script.
fn after(script: &[(Key, Record)]) -> BTreeMap<Key, Record> {
    script.iter().cloned().collect()
}

fn found(storage: &mut Storage) -> BTreeMap<Key, Record> {
    let keys = ["a", "b", "c"].map(key).into_iter();
    keys.filter_map(|key| storage.load(&key).unwrap().record.map(|record| (key, record))).collect()
}

fn listed(storage: &mut Storage) -> Vec<String> {
    storage.list("", None).unwrap().keys.iter().map(ToString::to_string).collect()
}

#[test]
fn a_file_server_that_is_started_again_after_any_call_does_no_harm() {
    let mut calls = 0;
    for restart_at in 0.. {
        let server = Rc::new(RefCell::new(Server { restart_at: Some(restart_at), ..Server::default() }));
        let (mut storage, first) = open(&server).unwrap();
        for (key, record) in script() {
            assert_eq!(storage.save(&key, &record), Ok(Ok(())), "restart at {restart_at}");
        }
        assert_eq!(found(&mut storage), after(&script()), "restart at {restart_at}");
        server.borrow_mut().lose_power();
        let (mut storage, second) = open(&server).unwrap();
        assert!(first < second, "restart at {restart_at}: {first}, {second}");
        assert_eq!(found(&mut storage), after(&script()), "restart at {restart_at}");
        assert_eq!(listed(&mut storage), ["a"]);
        if server.borrow().calls < restart_at {
            break;
        }
        calls = restart_at;
    }
    assert!(calls > 50, "{calls}");
}

#[test]
fn after_a_stop_at_any_call_what_was_saved_is_there_and_what_is_read_lasts() {
    let mut is_complete = false;
    for stop_at in 0.. {
        for loses_power in [false, true] {
            let server = Rc::new(RefCell::new(Server { stop_at: Some(stop_at), ..Server::default() }));
            let mut done = 0;
            if let Ok((mut storage, _)) = open(&server) {
                let mut is_saved = |(key, record): &(Key, Record)| storage.save(key, record) == Ok(Ok(()));
                done = script().iter().take_while(|step| is_saved(step)).count();
            }
            is_complete = done == script().len();
            server.borrow_mut().stop_at = None;
            if loses_power {
                server.borrow_mut().lose_power();
            }
            let (mut storage, _) = open(&server).unwrap();
            let seen = found(&mut storage);
            let next = script().len().min(done + 1);
            let possible = [after(&script()[..done]), after(&script()[..next])];
            assert!(possible.contains(&seen), "stop at {stop_at}, {done} done: {seen:?}");
            let list = listed(&mut storage);
            server.borrow_mut().lose_power();
            let (mut storage, _) = open(&server).unwrap();
            assert_eq!((found(&mut storage), listed(&mut storage)), (seen, list), "stop at {stop_at}");
        }
        if is_complete {
            return;
        }
    }
}

#[test]
fn of_what_a_save_left_half_done_the_newer_part_counts_for_good() {
    let content = |count, text: &[u8]| Some([&record(count, None).number.to_bytes(), text].concat());
    for (of_value, is_there) in [(1, false), (3, true)] {
        let server = Rc::new(RefCell::new(Server::default()));
        open(&server).unwrap();
        server.borrow_mut().visible.insert("values/a".into(), content(of_value, b"x"));
        server.borrow_mut().visible.insert("deleted/a".into(), content(2, b""));
        let (mut storage, _) = open(&server).unwrap();
        server.borrow_mut().lose_power();
        let expected = if is_there { record(3, Some("x")) } else { record(2, None) };
        assert_eq!(storage.load(&key("a")).unwrap().record, Some(expected));
        assert_eq!(listed(&mut storage).is_empty(), !is_there);
    }
}

#[test]
fn only_so_many_deletions_are_remembered_and_of_the_others_how_old_they_are() {
    let server = Rc::new(RefCell::new(Server::default()));
    let (mut storage, _) = open(&server).unwrap();
    let name = |count: u64| key(&format!("k{count}"));
    for count in 1..=TOMBSTONES_MAX as u64 + 3 {
        storage.save(&name(count), &record(count, None)).unwrap().unwrap();
    }
    // The oldest that is still remembered is deleted again, and is not the oldest any more.
    storage.save(&name(4), &record(5000, None)).unwrap().unwrap();
    storage.save(&name(1), &record(5001, None)).unwrap().unwrap();
    server.borrow_mut().lose_power();
    let (mut reopened, _) = open(&server).unwrap();
    for storage in [&mut storage, &mut reopened] {
        let forgotten = Number { epoch: 1, count: 5 };
        for count in [2, 3, 5] {
            let expected = Stored { record: None, forgotten };
            assert_eq!(storage.load(&name(count)), Ok(expected), "{count}");
        }
        for (count, number) in [(1, 5001), (4, 5000), (6, 6)] {
            let expected = Stored { record: Some(record(number, None)), forgotten };
            assert_eq!(storage.load(&name(count)), Ok(expected), "{count}");
        }
    }
    let names = server.borrow().visible.keys().filter(|path| path.starts_with("deleted/")).count();
    assert_eq!(names, TOMBSTONES_MAX);
}

#[test]
fn a_full_disk_refuses_values_and_takes_deletions() {
    let server = Rc::new(RefCell::new(Server::default()));
    let (mut storage, _) = open(&server).unwrap();
    storage.save(&key("a"), &record(1, Some("one"))).unwrap().unwrap();
    server.borrow_mut().is_full = true;
    assert_eq!(storage.save(&key("a"), &record(2, Some("two"))), Ok(Err(Refusal::Full)));
    assert_eq!(storage.load(&key("a")).unwrap().record, Some(record(1, Some("one"))));
    assert_eq!(storage.save(&key("a"), &record(3, None)), Ok(Ok(())));
}

#[test]
fn keys_are_listed_below_a_prefix_and_behind_a_key() {
    let server = Rc::new(RefCell::new(Server::default()));
    let (mut storage, _) = open(&server).unwrap();
    for (count, name) in ["a", "b/1", "b/2", "b/3", "b", "c"].iter().enumerate() {
        storage.save(&key(name), &record(count as u64 + 1, Some("x"))).unwrap().unwrap();
    }
    let mut list = |prefix, after: Option<&str>| -> Vec<String> {
        let page = storage.list(prefix, after.map(key).as_ref()).unwrap();
        page.keys.iter().map(ToString::to_string).collect()
    };
    assert_eq!(list("", None), ["a", "b", "b/1", "b/2", "b/3", "c"]);
    assert_eq!(list("b/", None), ["b/1", "b/2", "b/3"]);
    assert_eq!(list("b/", Some("b/1")), ["b/2", "b/3"]);
    assert_eq!(list("", Some("b/3")), ["c"]);
    assert_eq!(list("d/", None), Vec::<String>::new());
}

#[test]
fn a_file_that_no_sequencer_wrote_is_told_and_not_guessed() {
    let server = Rc::new(RefCell::new(Server::default()));
    let (mut storage, _) = open(&server).unwrap();
    server.borrow_mut().visible.insert("values/a".into(), Some(vec![1, 2, 3]));
    let why = "values/a: the file has a content that no sequencer wrote".to_owned();
    assert_eq!(storage.load(&key("a")), Err(Refusal::Storage(why)));
    server.borrow_mut().visible.insert("epoch".into(), Some(vec![]));
    assert_eq!(open(&server).err(), Some(Broken::Content("epoch".into())));
}
