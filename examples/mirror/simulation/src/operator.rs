//! Whoever reads why there is no mirror, and does what the hint says.

use solum::Disk;
use solum_sim::Shared;

use crate::model::Model;

/// The first bytes of a member: its heads.
const HEADS_BYTES: usize = 16 << 10;

/// Reads what the mirror ended with.
///
/// # Errors
///
/// That of the mirror.
pub fn read(outcome: Result<(), String>, model: &Shared<Model>) -> Result<(), String> {
    let is_refused = matches!(&outcome, Err(why) if why.starts_with("no disk is a member of a mirror"));
    if is_refused {
        let model = &mut *model.borrow_mut();
        // Whoever has something to lose is not told to empty disks.
        assert!(!model.has_what_lasts(), "there was a mirror, and now {outcome:?}");
        model.is_to_be_emptied = true;
    }
    outcome
}

/// Empties the disks if the mirror said so.
pub fn obey(members: &mut [Disk], model: &Shared<Model>) {
    if std::mem::take(&mut model.borrow_mut().is_to_be_emptied) {
        for member in members {
            // What fails is told by the mirror again.
            let _ = member.write_at(0, &[0; HEADS_BYTES]).and_then(|()| member.flush());
        }
    }
}
