//! Screens and keyboards: what is shown is counted and kept, what is pressed comes from outside.

use std::collections::VecDeque;
use std::hash::Hasher;
use std::rc::Rc;

use solum::clock::{Source, Waker};
use solum::keys::{self, Key};
use solum::screen::{self, Image};
use solum::{Error, Result};
use solum_spec::plan::Plan;
use twox_hash::XxHash3_64;

use crate::kernel::Kernel;
use crate::sim::Sim;
use crate::task;
use crate::trace::Record;

/// How long a picture takes until it is shown, in nanoseconds: 60 of them a second.
const FRAME_NS: u64 = 16_666_667;

/// What is shown and pressed.
pub struct Pictures {
    screens: Vec<Screen>,
    keyboards: Vec<Keyboard>,
}

struct Screen {
    name: String,
    size: (u32, u32),
    shown: Option<Image>,
}

struct Keyboard {
    machine: String,
    device: u64,
    pressed: VecDeque<Key>,
}

impl Pictures {
    /// The screens and keyboards of a plan.
    pub fn new(kernel: &Kernel, plan: &Plan) -> Self {
        let screen = |screen: &solum_spec::plan::Screen| Screen {
            name: screen.full_name(),
            size: (screen.width, screen.height),
            shown: None,
        };
        let keyboard = |keys: &solum_spec::plan::Keys| Keyboard {
            machine: keys.machine.clone(),
            device: kernel.device(),
            pressed: VecDeque::new(),
        };
        Self {
            screens: plan.screens.iter().map(screen).collect(),
            keyboards: plan.keys.iter().map(keyboard).collect(),
        }
    }

    /// What a screen shows, by its full name.
    pub fn shown(&self, name: &str) -> Option<&Image> {
        self.screens.iter().find(|screen| screen.name == name)?.shown.as_ref()
    }
}

impl Sim {
    /// A machine has lost its power, and what was pressed.
    pub(crate) fn forget_keys(&self, machine: usize) {
        let name = &self.terms.machines[machine].name;
        let keyboards = &mut self.pictures.borrow_mut().keyboards;
        let own = keyboards.iter_mut().filter(|keyboard| keyboard.machine == *name);
        own.for_each(|keyboard| keyboard.pressed.clear());
    }

    /// Somebody presses a key of a machine, or lets it go. False if the machine has no keyboard.
    pub(crate) fn press(&self, machine: &str, key: Key) -> bool {
        let device = {
            let pictures = &mut *self.pictures.borrow_mut();
            let keyboard = pictures.keyboards.iter_mut().find(|keyboard| keyboard.machine == machine);
            let Some(keyboard) = keyboard else { return false };
            keyboard.pressed.push_back(key);
            keyboard.device
        };
        self.kernel.notify(device);
        true
    }
}

/// A screen in the hands of its unit.
pub struct SimScreen {
    /// The world.
    pub sim: Rc<Sim>,
    /// Its place in the plan.
    pub screen: usize,
    /// Who has it.
    pub unit: usize,
}

impl screen::Driver for SimScreen {
    fn size(&self) -> (u32, u32) {
        self.sim.pictures.borrow().screens.get(self.screen).map_or((0, 0), |screen| screen.size)
    }

    fn present(&mut self, image: &Image) -> Result<()> {
        if !task::may_wait() {
            return Err(Error::Closed);
        }
        let mut digest = XxHash3_64::new();
        image.pixels().iter().for_each(|pixel| digest.write(&pixel.to_le_bytes()));
        let text = format!("shows a picture, {:016x}", digest.finish());
        self.sim.kernel.record(&Record::Used(self.unit as u32, text.into()));
        if let Some(screen) = self.sim.pictures.borrow_mut().screens.get_mut(self.screen) {
            screen.shown = Some(image.clone());
        }
        self.sim.kernel.pass(FRAME_NS);
        Ok(())
    }
}

/// A keyboard in the hands of its unit.
pub struct SimKeys {
    sim: Rc<Sim>,
    keyboard: usize,
    device: u64,
}

impl SimKeys {
    /// The keyboard with this place in the plan.
    pub fn new(sim: &Rc<Sim>, keyboard: usize) -> Option<Self> {
        let device = sim.pictures.borrow().keyboards.get(keyboard)?.device;
        Some(Self { sim: Rc::clone(sim), keyboard, device })
    }
}

impl keys::Driver for SimKeys {
    fn next(&mut self) -> Result<Option<Key>> {
        Ok(self.sim.pictures.borrow_mut().keyboards[self.keyboard].pressed.pop_front())
    }
}

impl Source for SimKeys {
    fn arm<'a>(&'a mut self, waker: &mut Waker<'a>) -> bool {
        if !self.sim.pictures.borrow().keyboards[self.keyboard].pressed.is_empty() {
            return true;
        }
        waker.device(self.device);
        false
    }
}
