//! A keyboard that plays what it was told.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use solum::clock::{Source, Waker};
use solum::keys::{Action, Driver, Key, code};
use solum::{Error, Result};
use solum_spec::keyboard::code_of;

use super::clock::Clock;
use super::script::Script;

/// A keyboard that plays a script.
///
/// ```
/// use std::time::Duration;
/// use solum::keys::{Action, Key, code};
/// use solum_sim::mock;
///
/// let (clock, keys) = (mock::Clock::new(), mock::Keys::new());
/// keys.press(code::LEFT).pause(Duration::from_millis(200)).release(code::LEFT).types("a1");
///
/// let mut port = keys.port(&clock);
/// assert_eq!(port.next(None), Ok(Key { code: code::LEFT, action: Action::Pressed }));
/// assert_eq!(port.next(None), Ok(Key { code: code::LEFT, action: Action::Released }));
/// assert_eq!(clock.now().since_beginning(), Duration::from_millis(200));
/// assert_eq!(port.next(None)?.code, code::A);
/// # Ok::<(), solum::Error>(())
/// ```
///
/// When the script is over, whoever waits for keys and nothing else gets [`Error::Closed`]: see [`Clock`].
#[derive(Clone, Default)]
pub struct Keys {
    script: Rc<RefCell<Script<Option<Key>>>>,
}

impl Keys {
    /// A keyboard that nobody touches yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A port with this keyboard.
    pub fn port(&self, clock: &Clock) -> solum::Keys {
        solum::Keys::new(self.driver(clock), clock.driver())
    }

    /// What makes a port of it.
    pub fn driver(&self, clock: &Clock) -> Box<dyn Driver> {
        let script = Rc::clone(&self.script);
        clock.watch(move || script.borrow().is_over());
        Box::new(Keyboard { script: Rc::clone(&self.script), clock: clock.clone(), is_out: false })
    }

    /// An event of any kind comes next.
    pub fn push(&self, key: Key) -> &Self {
        self.script.borrow_mut().push(Some(key));
        self
    }

    /// A key is pressed.
    pub fn press(&self, code: u16) -> &Self {
        self.push(Key { code, action: Action::Pressed })
    }

    /// A key is let go.
    pub fn release(&self, code: u16) -> &Self {
        self.push(Key { code, action: Action::Released })
    }

    /// A key is pressed and let go.
    pub fn tap(&self, code: u16) -> &Self {
        self.press(code).release(code)
    }

    /// Letters, digits, spaces and line ends are typed; capital letters with the left shift key.
    ///
    /// # Panics
    ///
    /// If there is no key for a character.
    #[track_caller]
    pub fn types(&self, text: &str) -> &Self {
        for character in text.chars() {
            let code = match character {
                ' ' => Some(code::SPACE),
                '\n' => Some(code::ENTER),
                _ if character.is_ascii_alphanumeric() => code_of(&character.to_string()),
                _ => None,
            };
            let Some(code) = code else {
                panic!("there is no key for {character:?} here; use tap() with a number of solum::keys::code")
            };
            if character.is_ascii_uppercase() {
                self.press(code::LEFT_SHIFT).tap(code).release(code::LEFT_SHIFT);
            } else {
                self.tap(code);
            }
        }
        self
    }

    /// Nothing comes for so long after what was before was taken.
    pub fn pause(&self, duration: Duration) -> &Self {
        self.script.borrow_mut().pause(duration);
        self
    }

    /// The keyboard is pulled out: from then on there is [`Error::Closed`].
    pub fn unplug(&self) -> &Self {
        self.script.borrow_mut().push(None);
        self
    }
}

struct Keyboard {
    script: Rc<RefCell<Script<Option<Key>>>>,
    clock: Clock,
    /// It was pulled out.
    is_out: bool,
}

impl Driver for Keyboard {
    fn next(&mut self) -> Result<Option<Key>> {
        if self.is_out {
            return Err(Error::Closed);
        }
        let next = self.script.borrow_mut().next(self.clock.now());
        self.is_out = matches!(next, Some(None));
        match next {
            Some(None) => Err(Error::Closed),
            next => Ok(next.flatten()),
        }
    }
}

impl Source for Keyboard {
    fn arm<'a>(&'a mut self, waker: &mut Waker<'a>) -> bool {
        self.is_out || self.script.borrow_mut().arm(self.clock.now(), waker)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capitals_are_typed_with_shift_and_a_keyboard_can_be_pulled_out() {
        let (clock, keys) = (Clock::new(), Keys::new());
        keys.types("Ab").unplug();
        let mut port = keys.port(&clock);
        let mut seen = Vec::new();
        let end = loop {
            match port.next(None) {
                Ok(key) => seen.push((key.code, key.action)),
                Err(error) => break error,
            }
        };
        let (shift, pressed, released) = (code::LEFT_SHIFT, Action::Pressed, Action::Released);
        let expected = [
            (shift, pressed),
            (code::A, pressed),
            (code::A, released),
            (shift, released),
            (code::B, pressed),
            (code::B, released),
        ];
        assert_eq!((seen.as_slice(), end), (&expected[..], Error::Closed));
        assert_eq!(port.next(None), Err(Error::Closed));
    }
}
