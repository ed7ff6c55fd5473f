//! In place of [`permanent`](crate::permanent), without the feature `storage`: nothing outlives the machine but what its
//! program keeps.

use std::time::Duration;

use crate::time::Kept;

/// There is none.
pub enum Permanent {}

impl Permanent {
    pub fn find() -> Option<Self> {
        None
    }

    pub fn machine_id(&self, _: impl FnOnce() -> String) -> String {
        match *self {}
    }

    pub fn load_seed(&self) {
        match *self {}
    }

    pub fn save_seed(&self) {
        match *self {}
    }

    pub fn clock(&self) -> Option<Kept> {
        match *self {}
    }

    pub fn reserve_clock(&mut self) {
        match *self {}
    }

    pub fn wait_for_clock(&mut self) {
        match *self {}
    }

    pub fn end_clock(&mut self) {
        match *self {}
    }

    pub fn patience(&self) -> Duration {
        match *self {}
    }

    pub fn turn(&mut self) {
        match *self {}
    }

    pub fn last_panic(&self, _: &str, _: &[u8]) {
        match *self {}
    }

    pub fn has_last_panic(&self) -> bool {
        match *self {}
    }

    pub fn fetch_kernel_panic(&self) -> bool {
        match *self {}
    }
}
