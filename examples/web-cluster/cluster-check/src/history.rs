//! What clients asked for, and what they were answered; and whether a single copy could have answered so.

use solum_sim::check::linearizable::{
    self, Budget, Call, CallOf, Failure, Register, RegisterOperation, RegisterOutcome,
};

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

/// Checks the operations on one key, which had no value before.
///
/// # Errors
///
/// What cannot be, or could not be found out, in words.
pub fn check(operations: &[Operation]) -> Result<(), Failure<RegisterOperation<u64>, RegisterOutcome<u64>>> {
    let calls: Vec<_> =
        operations.iter().zip(1..).map(|(operation, number)| call(*operation, number)).collect();
    linearizable::check(&Register::new(None), &calls, Budget::default())
}

/// Nobody noted which client it was, so each is called by its place in the history.
fn call(operation: Operation, number: u64) -> CallOf<Register<u64>> {
    let Operation { action, began, ended } = operation;
    let (operation, outcome) = match action {
        Action::Put(value) => (RegisterOperation::Write(value), RegisterOutcome::Done),
        Action::Delete => (RegisterOperation::Delete, RegisterOutcome::Done),
        Action::Read(value) => (RegisterOperation::Read, RegisterOutcome::Value(value)),
    };
    match ended {
        Some(ended) => Call::answered(number, operation, outcome, began, ended),
        None => Call::open(number, operation, began),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_checked_as_what_they_were() {
        let put = Operation::answered(Action::Put(1), 0, 1);
        let read = |value, began| Operation::answered(Action::Read(value), began, began + 1);
        assert_eq!(
            check(&[put, read(Some(1), 2), Operation::open(Action::Delete, 4), read(None, 5)]),
            Ok(())
        );
        let failure = check(&[put, read(None, 2)]).unwrap_err().to_string();
        assert!(failure.starts_with("these 2 operations fit into no order:"), "{failure}");
        assert!(check(&[put, Operation::answered(Action::Delete, 2, 3), read(Some(1), 4)]).is_err());
        assert!(
            check(&[put, Operation::open(Action::Put(2), 2), read(Some(2), 3), read(Some(1), 5)]).is_err()
        );
    }
}
