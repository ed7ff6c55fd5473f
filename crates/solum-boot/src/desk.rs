//! What people sit at: the screen and the keyboard of this machine, opened when a unit first has them.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::OFlags;
use solum_spec::keyboard::{KeyChange, code};
use solum_spec::plan::{self, Plan};
use solum_unit::Screens;
use solum_unit::keyboard::events;

use crate::devices::keyboard;
use crate::screen::CardScreen;

/// A little less than a sixtieth of a second: a card that draws 60 pictures a second sets the pace itself, and one that takes
/// everything at once (virtio-gpu) does not set any.
const REFRESH: Duration = Duration::from_millis(15);
const CARDS: &str = "/dev/dri";

/// The screen and the keyboard.
pub struct Desk {
    /// The screen, once it was opened.
    pub screens: Screens<CardScreen>,
    opened: Option<(plan::Screen, usize)>,
}

impl Desk {
    /// Nothing is opened yet.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn new() -> io::Result<Self> {
        Ok(Self { screens: Screens::new()?, opened: None })
    }

    /// The frames of a screen, for a unit that is started.
    ///
    /// # Errors
    ///
    /// That there is no graphics card, or none with such a screen; else what the system says.
    pub fn open(&mut self, screen: &plan::Screen) -> io::Result<(OwnedFd, OwnedFd)> {
        let place = match &self.opened {
            Some((opened, place)) if opened == screen => *place,
            Some((opened, _)) => {
                let first = &opened.name;
                return Err(io::Error::other(format!("a machine has one screen, which is {first}")));
            }
            None => {
                let missing = || io::Error::other("the kernel knows no graphics card of this machine");
                let path = first_card().ok_or_else(missing)?;
                let size = (screen.width, screen.height);
                let card = CardScreen::open(&path, size)?;
                let name = screen.full_name();
                let place = self.screens.add(name, size, REFRESH, card)?;
                self.opened = Some((screen.clone(), place));
                place
            }
        };
        self.screens.open(place)
    }
}

/// The keyboard, for a unit that is started.
///
/// # Errors
///
/// That there is none; else what the system says.
pub fn open_keyboard() -> io::Result<OwnedFd> {
    let mut options = OpenOptions::new();
    Ok(options.read(true).custom_flags(OFlags::NONBLOCK.bits() as i32).open(find_keyboard()?)?.into())
}

/// Lets this happen at the keyboard. The kernel takes what is written to an input device as what it did
/// (drivers/input/evdev.c, `evdev_write`).
///
/// # Errors
///
/// A sentence that says why it cannot be done.
pub fn press(keys: &[KeyChange]) -> Result<(), String> {
    let pressed = find_keyboard().and_then(|path| {
        let mut keyboard = OpenOptions::new().write(true).open(path)?;
        keys.iter().flat_map(|key| events(*key)).try_for_each(|event| File::write_all(&mut keyboard, &event))
    });
    pressed.map_err(|error| format!("the keyboard: {}", solum_spec::reason(&error)))
}

fn find_keyboard() -> io::Result<PathBuf> {
    keyboard(&[code::ENTER, code::A, code::SPACE])
        .ok_or_else(|| io::Error::other("the kernel knows no keyboard of this machine"))
}

/// Whether the devices are there that this machine's screen and keyboard need.
pub fn is_complete(plan: &Plan) -> bool {
    (plan.screens.is_empty() || first_card().is_some()) && (plan.keys.is_empty() || find_keyboard().is_ok())
}

fn first_card() -> Option<PathBuf> {
    let cards = fs::read_dir(Path::new(CARDS)).ok()?.flatten();
    cards.map(|entry| entry.path()).filter(|path| path.display().to_string().contains("card")).min()
}
