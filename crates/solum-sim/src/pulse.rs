//! Whether runs go on. A unit that computes and asks for nothing cannot be interrupted, but it can be named.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use solum_spec::plan::Plan;

use crate::recipe::Recipe;

/// The runs that are under way in this process.
static RUNS: Mutex<Vec<Weak<Pulse>>> = Mutex::new(Vec::new());

/// How far a run is, for whoever watches from another thread.
pub struct Pulse {
    beats: AtomicU64,
    actor: AtomicU32,
    recipe: Recipe,
    plan: Arc<Plan>,
}

impl Pulse {
    /// The pulse of a run that begins.
    pub fn new(recipe: &Recipe, plan: &Arc<Plan>) -> Arc<Self> {
        let pulse = Arc::new(Self {
            beats: AtomicU64::new(0),
            actor: AtomicU32::new(0),
            recipe: recipe.clone(),
            plan: Arc::clone(plan),
        });
        let runs = &mut *RUNS.lock().unwrap_or_else(PoisonError::into_inner);
        runs.retain(|run| run.strong_count() > 0);
        runs.push(Arc::downgrade(&pulse));
        pulse
    }

    /// Nobody runs any more.
    pub fn rest(&self) {
        self.beats.store(0, Ordering::Relaxed);
    }

    /// This actor runs now.
    pub fn beat(&self, actor: u32, beats: u64) {
        self.actor.store(actor, Ordering::Relaxed);
        self.beats.store(beats, Ordering::Relaxed);
    }
}

/// Looks at runs now and then.
#[derive(Default)]
pub struct Watch {
    seen: Vec<(Weak<Pulse>, u64)>,
}

/// A run that does not go on.
pub struct Stuck {
    /// The run.
    pub recipe: Recipe,
    /// Who computes.
    pub who: String,
    /// The name of the system.
    pub system: String,
}

impl Watch {
    /// A run that has not gone on since it was last looked at.
    pub fn look(&mut self) -> Option<Stuck> {
        let runs = RUNS.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let before = std::mem::take(&mut self.seen);
        let mut stuck = None;
        for run in runs {
            let Some(pulse) = run.upgrade() else { continue };
            let beats = pulse.beats.load(Ordering::Relaxed);
            // One that has not begun waits for its thread.
            if beats > 0 && before.iter().any(|(known, earlier)| known.ptr_eq(&run) && *earlier == beats) {
                let actor = pulse.actor.load(Ordering::Relaxed) as usize;
                let unit = pulse.plan.units.get(actor).map(solum_spec::plan::Unit::full_name);
                let who = unit.unwrap_or_else(|| "a client".to_owned());
                let system = pulse.plan.system.clone();
                stuck = Some(Stuck { recipe: pulse.recipe.clone(), who, system });
            }
            self.seen.push((run, beats));
        }
        stuck
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_does_not_go_on_is_seen_and_one_that_is_over_is_not() {
        let plan = Arc::new(Plan::default());
        let pulse = Pulse::new(&Recipe::seed(77), &plan);
        let mut watch = Watch::default();
        let is_stuck = |watch: &mut Watch| watch.look().is_some_and(|stuck| stuck.recipe.seed == 77);
        assert!(!is_stuck(&mut watch) && !is_stuck(&mut watch), "it has not begun");
        pulse.beat(5, 1);
        assert!(!is_stuck(&mut watch), "it was not looked at since");
        assert!(is_stuck(&mut watch));
        pulse.beat(5, 2);
        assert!(!is_stuck(&mut watch));
        drop(pulse);
        assert!(!is_stuck(&mut watch));
    }
}
