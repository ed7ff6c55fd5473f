//! What clients asked for, and what they were answered.

/// What an operation on one key was about. Every value is written once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// The key is to have this value.
    Put(u64),
    /// The key is to have none.
    Delete,
    /// The key had this value, or none.
    Read(Option<u64>),
}

/// An operation on one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operation {
    /// What it was.
    pub action: Action,
    /// When it was asked for, by a clock that all clients share.
    pub began: u64,
    /// When it was answered; nothing if it was not, so that it may have happened, or happen yet.
    pub ended: Option<u64>,
}

impl Operation {
    /// One that was answered.
    pub fn answered(action: Action, began: u64, ended: u64) -> Self {
        Self { action, began, ended: Some(ended) }
    }

    /// One whose outcome nobody knows.
    pub fn open(action: Action, began: u64) -> Self {
        Self { action, began, ended: None }
    }
}
