//! Coroutines with stacks of their own: one for each unit and each client.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Mutex, Once, PoisonError};

use corosensei::stack::DefaultStack;
use corosensei::{Coroutine, CoroutineResult, Yielder};

/// Address space of a stack, as much as Linux gives a process; memory is taken only for what is used of it.
const STACK_BYTES: usize = 8 << 20;

type Body = Coroutine<(), (), (), DefaultStack>;

/// A coroutine: something that runs until it waits, and goes on later.
pub struct Task {
    /// It is handed to and fro for each of its turns.
    body: Box<Body>,
}

/// Stacks of tasks that ended, of whichever thread. To map one is dear, and so is it to write to it for the first time.
static STACKS: Mutex<Vec<DefaultStack>> = Mutex::new(Vec::new());

thread_local! {
    /// How the running task waits, unless it is being ended.
    static YIELDER: Cell<*const Yielder<(), ()>> = const { Cell::new(std::ptr::null()) };
    /// Whether the running task is being ended from outside.
    static DYING: Cell<bool> = const { Cell::new(false) };
    /// Where and why the running task panicked.
    static PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Why a task ended before it was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exit {
    /// The exit status that its process would have.
    pub status: u8,
    /// Why.
    pub text: String,
}

/// How a task's own part ended.
pub enum Ended {
    /// It returned.
    Returned(Result<(), Exit>),
    /// It panicked; where, and why.
    Panicked(String),
}

impl Task {
    /// A task that has not begun. Whatever way `body` ends, `ended` is told, unless the task is dropped.
    ///
    /// # Errors
    ///
    /// There is no address space for its stack.
    pub fn new(
        body: impl FnOnce() -> Result<(), Exit> + 'static,
        ended: impl FnOnce(Ended) + 'static,
    ) -> std::io::Result<Self> {
        hear_panics();
        let pooled = STACKS.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let stack = match pooled {
            Some(stack) => stack,
            None => DefaultStack::new(STACK_BYTES)?,
        };
        let body = Coroutine::with_stack(stack, move |yielder: &Yielder<(), ()>, ()| {
            YIELDER.set(yielder);
            match catch_unwind(AssertUnwindSafe(body)) {
                Ok(outcome) => ended(Ended::Returned(outcome)),
                // The stack is being unwound for good.
                Err(payload) if DYING.get() => resume_unwind(payload),
                Err(payload) => ended(Ended::Panicked(words(&*payload))),
            }
        });
        Ok(Self { body: Box::new(body) })
    }

    /// Lets it run until it waits; whether it will go on later.
    #[inline]
    pub fn resume(mut self) -> Option<Self> {
        let before = YIELDER.get();
        let result = self.body.resume(());
        YIELDER.set(before);
        match result {
            CoroutineResult::Yield(()) => Some(self),
            CoroutineResult::Return(()) => {
                keep(self.body.into_stack());
                None
            }
        }
    }

    /// Ends it where it waits: what lives on its stack is dropped.
    pub fn end(mut self) {
        let before = (DYING.replace(true), YIELDER.replace(std::ptr::null()));
        self.body.force_unwind();
        DYING.set(before.0);
        YIELDER.set(before.1);
        keep(self.body.into_stack());
    }
}

fn keep(stack: DefaultStack) {
    STACKS.lock().unwrap_or_else(PoisonError::into_inner).push(stack);
}

/// Waits, as the running task, until it is resumed. Without one that may wait, it does nothing.
pub fn suspend() {
    let yielder = YIELDER.get();
    if yielder.is_null() {
        return;
    }
    // SAFETY: the pointer is the running task's own: the first frame of its stack set it and holds what it points to; whoever
    // resumes another task puts back what was there, and `end` takes it away while a stack is unwound.
    unsafe { (*yielder).suspend(()) };
    YIELDER.set(yielder);
}

/// Whether a task runs that may wait.
pub fn may_wait() -> bool {
    !YIELDER.get().is_null()
}

fn words(payload: &(dyn Any + Send)) -> String {
    if let Some(heard) = PANIC.take() {
        return heard;
    }
    let text = payload.downcast_ref::<&str>().copied();
    text.or(payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a word").to_owned()
}

/// A panic of a task is told with the run that it ends, and not where nobody knows which unit it was.
fn hear_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if YIELDER.get().is_null() && !DYING.get() {
                return before(info);
            }
            let payload = info.payload();
            let text = payload.downcast_ref::<&str>().copied();
            let text =
                text.or(payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("no reason given");
            let place =
                info.location().map(|at| format!(" ({}:{})", at.file(), at.line())).unwrap_or_default();
            PANIC.set(Some(format!("{text}{place}")));
        }));
    });
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::*;

    fn wait() {
        suspend();
    }

    #[test]
    fn a_task_goes_on_where_it_waited_and_tells_how_it_ended() {
        let steps = Rc::new(Cell::new(0));
        let told = Rc::new(Cell::new(false));
        let (inner, tell) = (Rc::clone(&steps), Rc::clone(&told));
        let body = move || {
            for _ in 0..3 {
                inner.set(inner.get() + 1);
                wait();
            }
            Ok(())
        };
        let ended = move |how| tell.set(matches!(how, Ended::Returned(Ok(()))));
        let mut task = Task::new(body, ended).unwrap();
        for step in 1..=3 {
            task = task.resume().unwrap();
            assert_eq!(steps.get(), step);
        }
        assert!(!told.get() && task.resume().is_none() && told.get());
        assert!(!may_wait(), "no task runs");
    }

    #[test]
    fn a_task_that_is_ended_drops_what_it_has_and_may_not_wait_meanwhile() {
        struct Dropped(Rc<Cell<bool>>);
        impl Drop for Dropped {
            fn drop(&mut self) {
                self.0.set(!may_wait());
            }
        }
        let dropped = Rc::new(Cell::new(false));
        let guard = Dropped(Rc::clone(&dropped));
        let body = move || {
            let _guard = guard;
            wait();
            unreachable!()
        };
        let task = Task::new(body, |_| unreachable!("it did not end by itself")).unwrap();
        task.resume().unwrap().end();
        assert!(dropped.get());
    }

    #[test]
    fn a_panic_is_told_with_its_place() {
        let told = Rc::new(RefCell::new(String::new()));
        let tell = Rc::clone(&told);
        let ended = move |how| {
            if let Ended::Panicked(text) = how {
                *tell.borrow_mut() = text;
            }
        };
        let task = Task::new(|| panic!("no more {}", "bread"), ended).unwrap();
        assert!(task.resume().is_none());
        assert!(
            told.borrow().starts_with("no more bread (") && told.borrow().contains("task.rs:"),
            "{told:?}"
        );
    }

    #[test]
    fn tasks_within_each_other_wait_each_for_itself() {
        let order = Rc::new(RefCell::new(Vec::new()));
        let make = |name: &'static str| {
            let order = Rc::clone(&order);
            let body = move || {
                for step in 0..2 {
                    order.borrow_mut().push((name, step));
                    wait();
                }
                Ok(())
            };
            Task::new(body, |_| ()).unwrap()
        };
        let (mut a, mut b) = (make("a"), make("b"));
        for _ in 0..2 {
            a = a.resume().unwrap();
            b = b.resume().unwrap();
        }
        assert_eq!(*order.borrow(), [("a", 0), ("b", 0), ("a", 1), ("b", 1)]);
        a.end();
        b.end();
    }
}
