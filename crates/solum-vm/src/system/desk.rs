//! The screens and keyboards of a system whose units are processes of this host.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use solum_spec::plan::{self, Plan};
use solum_unit::{Keyboards, Screens};

use super::picture::{Onlooker, Picture};

/// 60 frames a second.
const REFRESH: Duration = Duration::from_nanos(1_000_000_000 / 60);

/// What people would sit at.
pub struct Desk {
    /// Machine and name of each screen, in the order of `screens`.
    names: Vec<(String, String)>,
    /// All screens.
    pub screens: Screens<Picture>,
    /// All keyboards.
    pub keyboards: Keyboards,
}

impl Desk {
    /// The screens and keyboards of a plan; pictures go into the directory `pictures`, and every frame into `frames`.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn new(plan: &Plan, pictures: &Path, frames: Option<&Path>) -> io::Result<Self> {
        let keyboards = Keyboards::new(plan.keys.iter().map(|keys| keys.machine.clone()));
        let mut desk = Self { names: Vec::new(), screens: Screens::new()?, keyboards };
        for screen in &plan.screens {
            let name = screen.full_name();
            let display = Picture::new(&name, screen.width, pictures, frames)?;
            desk.screens.add(name, (screen.width, screen.height), REFRESH, display)?;
            desk.names.push((screen.machine.clone(), screen.name.clone()));
        }
        Ok(desk)
    }

    /// The frames of a screen, for a unit that is started.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn open(&mut self, screen: &plan::Screen) -> io::Result<(OwnedFd, OwnedFd)> {
        let place = self.place_of(screen).ok_or(io::ErrorKind::NotFound)?;
        self.screens.open(place)
    }

    /// Shows every frame of a screen to somebody else too.
    pub fn look_on(&mut self, screen: &plan::Screen, onlooker: Onlooker) {
        let place = self.place_of(screen);
        if let Some(picture) = place.and_then(|place| self.screens.display(place)) {
            picture.look_on(onlooker);
        }
    }

    fn place_of(&self, screen: &plan::Screen) -> Option<usize> {
        self.names.iter().position(|(machine, name)| *machine == screen.machine && *name == screen.name)
    }
}
