//! What `#[solum::interface]` makes of a trait, from a call to its answer.

use std::collections::BTreeMap;
use std::rc::Rc;

use serde::{Deserialize, Serialize};
use solum::link::Interface;
use solum::native::SystemClock;
use solum::{CallError, Link};

/// Why a word was not found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StoreError {
    /// There is none of that name.
    Missing(String),
}

/// A store of words.
#[solum::interface(version = 3)]
pub trait Store {
    /// Puts a word in.
    #[once]
    fn put(&mut self, key: String, word: Vec<u8>);
    /// Takes it out again.
    #[retry]
    fn get(&mut self, key: String) -> Result<Vec<u8>, StoreError>;
    /// How many there are.
    #[retry]
    fn count(&mut self) -> u64;
}

#[derive(Default)]
struct Words(BTreeMap<String, Vec<u8>>);

impl StoreService for Words {
    fn put(&mut self, key: String, word: Vec<u8>) {
        self.0.insert(key, word);
    }

    fn get(&mut self, key: String) -> Result<Vec<u8>, StoreError> {
        self.0.get(&key).cloned().ok_or(StoreError::Missing(key))
    }

    fn count(&mut self) -> u64 {
        self.0.len() as u64
    }
}

#[test]
fn calls_reach_the_service_and_answers_come_back() {
    let mut link = Link::<Store>::local(Box::new(Words::default()), Rc::new(SystemClock));
    assert_eq!(link.server_epoch(), None);
    link.put("a".into(), vec![1, 2]).unwrap();
    assert_eq!(link.server_epoch(), Some(1));
    assert_eq!(link.get("a".into()), Ok(vec![1, 2]));
    assert_eq!(link.get("b".into()), Err(CallError::Service(StoreError::Missing("b".into()))));
    assert_eq!(link.count(), Ok(1));
}

/// Arguments with the names that the attribute itself has use for.
#[solum::interface]
pub trait Sum {
    /// Adds them up.
    #[retry]
    fn sum(&mut self, call: u8, service: u8, answer: u8) -> u8;
}

struct Adder;

impl SumService for Adder {
    fn sum(&mut self, call: u8, service: u8, answer: u8) -> u8 {
        call + service + answer
    }
}

#[test]
fn arguments_may_have_any_name() {
    let mut link = Link::<Sum>::local(Box::new(Adder), Rc::new(SystemClock));
    assert_eq!(link.sum(1, 2, 4), Ok(7));
}

#[test]
fn what_no_method_or_no_arguments_is_is_refused() {
    let mut link = Link::<Store>::local(Box::new(Words::default()), Rc::new(SystemClock));
    let unknown = link.call::<_, u64>(9, true, &()).unwrap_err();
    assert_eq!(unknown.to_string(), "the peer refused: there is no method 9");
    let garbage = link.call::<_, u64>(1, true, &(0xffff_ffffu32, 0xffff_ffffu32)).unwrap_err();
    assert_eq!(garbage.to_string(), "the peer refused: the arguments of method 1 cannot be read");
    let surplus = link.call::<_, u64>(2, true, &1u8).unwrap_err();
    assert_eq!(surplus.to_string(), "the peer refused: the arguments of method 2 cannot be read");
    let other_answer =
        link.call::<_, String>(2, true, &()).is_err() || link.call::<_, (u64, u64)>(2, true, &()).is_err();
    assert!(other_answer);
}

#[test]
fn the_interface_names_itself() {
    assert_eq!((Store::ID.name, Store::ID.version), ("Store", 3));
    assert_ne!(Store::ID.fingerprint, 0);
}
