//! Plain blocking code of a test that takes turns with the program it talks to.

use std::cell::Cell;
use std::ptr;
use std::rc::Rc;

use corosensei::{Coroutine, Yielder};

type Turns = Yielder<(), ()>;

thread_local! {
    /// The actor whose turn it is; 0 if it is nobody's.
    static PLAYING: Cell<u64> = const { Cell::new(0) };
    static ACTORS: Cell<u64> = const { Cell::new(0) };
}

/// Code with a stack of its own, which stops wherever its [`Stage`] pauses.
pub(super) struct Actor {
    coroutine: Coroutine<(), (), ()>,
    number: u64,
}

/// What an actor pauses with.
pub(super) struct Stage {
    number: u64,
    yielder: Cell<*const Turns>,
}

impl Actor {
    /// The body begins with the first turn.
    pub fn new(body: impl FnOnce() + 'static) -> (Self, Rc<Stage>) {
        let number = ACTORS.get() + 1;
        ACTORS.set(number);
        let stage = Rc::new(Stage { number, yielder: Cell::new(ptr::null()) });
        let own = Rc::clone(&stage);
        let coroutine = Coroutine::new(move |yielder: &Turns, ()| {
            own.yielder.set(yielder);
            body();
        });
        (Self { coroutine, number }, stage)
    }

    /// Gives it a turn: until its next pause, or its end, which is `true`. What it panics with goes on here.
    pub fn play(&mut self) -> bool {
        /// Also after a panic the turn is whose it was.
        struct Turn(u64);
        impl Drop for Turn {
            fn drop(&mut self) {
                PLAYING.set(self.0);
            }
        }
        let _turn = Turn(PLAYING.replace(self.number));
        self.coroutine.resume(()).as_return().is_some()
    }
}

impl Stage {
    /// Ends the actor's turn; returns when the next begins. If it is not its turn, because somebody else got hold of what
    /// pauses, or the actor is being ended, there is no pause, and that is `false`.
    pub fn pause(&self) -> bool {
        if PLAYING.get() != self.number {
            return false;
        }
        // SAFETY: the turn is this actor's, so this runs on its stack, within the body; the body was given the yielder by
        // reference for as long as it runs, and set it here before anything else.
        unsafe { (*self.yielder.get()).suspend(()) };
        true
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    /// An actor that notes what it does, and the place where it does.
    fn noting(steps: u32) -> (Actor, Rc<Stage>, Rc<RefCell<Vec<String>>>) {
        let notes = Rc::new(RefCell::new(Vec::new()));
        let stage: Rc<RefCell<Option<Rc<Stage>>>> = Rc::default();
        let (own, its) = (Rc::clone(&notes), Rc::clone(&stage));
        let (actor, made) = Actor::new(move || {
            struct Ended(Rc<RefCell<Vec<String>>>);
            impl Drop for Ended {
                fn drop(&mut self) {
                    self.0.borrow_mut().push("ended".into());
                }
            }
            let _ended = Ended(Rc::clone(&own));
            for step in 0..steps {
                own.borrow_mut().push(step.to_string());
                let stage = Rc::clone(its.borrow().as_ref().unwrap());
                assert!(stage.pause());
            }
        });
        *stage.borrow_mut() = Some(Rc::clone(&made));
        (actor, made, notes)
    }

    #[test]
    fn it_takes_turns_until_it_ends() {
        let (mut actor, stage, notes) = noting(2);
        assert!(!stage.pause(), "it is nobody's turn");
        assert_eq!([actor.play(), actor.play(), actor.play()], [false, false, true]);
        assert_eq!(*notes.borrow(), ["0", "1", "ended"]);
    }

    #[test]
    fn one_that_is_given_up_cleans_up() {
        let (mut actor, _, notes) = noting(9);
        actor.play();
        drop(actor);
        assert_eq!(*notes.borrow(), ["0", "ended"]);
    }

    #[test]
    fn nobody_pauses_in_the_turn_of_another() {
        let (mut outer, stage, _) = noting(2);
        let seen = Rc::new(Cell::new(None));
        let (own, foreign) = (Rc::clone(&seen), Rc::clone(&stage));
        let (mut inner, _) = Actor::new(move || own.set(Some(foreign.pause())));
        outer.play();
        assert!(inner.play());
        assert_eq!(seen.get(), Some(false));
    }

    #[test]
    fn a_panic_comes_through_and_gives_the_turn_back() {
        let (mut actor, _) = Actor::new(|| panic!("no"));
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| actor.play())).is_err());
        assert_eq!(PLAYING.get(), 0);
    }
}
