//! The person at the terminal: what is going on.

use std::cell::Cell;
use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{HumanBytes, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use solum_kernel::{Progress, Unit};

/// The line that shows that something goes on, if there is one.
static SHOWN: Mutex<Option<ProgressBar>> = Mutex::new(None);

fn shown() -> Option<ProgressBar> {
    SHOWN.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

fn show(bar: Option<ProgressBar>) {
    *SHOWN.lock().unwrap_or_else(PoisonError::into_inner) = bar;
}

/// Says something about Solum's own work, on standard error. The program's output is on standard output.
pub fn say(text: &str) {
    match shown() {
        Some(bar) => bar.suspend(|| write_line(text)),
        None => write_line(text),
    }
}

/// Says that what goes on is being stopped; the line that shows that something goes on says so too.
pub fn say_stopping(text: &str) {
    say(text);
    if let Some(bar) = shown() {
        bar.set_message("stopping");
    }
}

fn write_line(text: &str) {
    let mut stderr = io::stderr().lock();
    let (dim, off) = if stderr.is_terminal() { ("\x1b[2m", "\x1b[0m") } else { ("", "") };
    // Nobody is left to hear that standard error is closed.
    let _ = writeln!(stderr, "{dim}solum: {text}{off}");
}

/// A line that shows that something goes on, and vanishes when it is over. Only on a terminal.
pub struct Spinner(ProgressBar);

impl Spinner {
    /// Shows it.
    pub fn new(text: String) -> Self {
        Self::with(text, "{spinner} {msg} {elapsed}", |style| style)
    }

    /// Shows it, and how many bytes there are by now.
    pub fn growing(text: String, bytes: impl Fn() -> u64 + Clone + Send + Sync + 'static) -> Self {
        let measured = move |_: &ProgressState, out: &mut dyn fmt::Write| {
            // What cannot be drawn is drawn the next time.
            let _ = write!(out, "{}", HumanBytes(bytes()));
        };
        Self::with(text, "{spinner} {msg} {measured} {elapsed}", |style| style.with_key("measured", measured))
    }

    fn with(text: String, template: &str, style: impl FnOnce(ProgressStyle) -> ProgressStyle) -> Self {
        let bar = ProgressBar::new_spinner().with_message(text);
        let plain =
            ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner());
        bar.set_style(style(plain));
        bar.enable_steady_tick(Duration::from_millis(120));
        show(Some(bar.clone()));
        Self(bar)
    }

    /// It is over.
    pub fn finish(&self) {
        show(None);
        self.0.finish_and_clear();
    }
}

impl Drop for Spinner {
    fn drop(&mut self) {
        self.finish();
    }
}

/// Progress of a long task: on a terminal a bar, elsewhere a line for each phase.
pub struct Bars {
    bar: ProgressBar,
}

impl Bars {
    /// Nothing is shown until there is something to show.
    pub fn new() -> Self {
        let bar = ProgressBar::hidden();
        show(Some(bar.clone()));
        Self { bar }
    }

    fn style(unit: Unit, has_total: bool) -> ProgressStyle {
        let template = match (unit, has_total) {
            (Unit::Bytes, true) => "{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}",
            (Unit::Bytes, false) => "{spinner} {msg} {bytes} {elapsed}",
            (Unit::Steps, true) => "{msg} {wide_bar} {pos}/{len} files {elapsed}",
            (Unit::Steps, false) => "{spinner} {msg} {pos} files {elapsed}",
        };
        ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
    }
}

impl Progress for Bars {
    fn phase(&self, text: &str) {
        if io::stderr().is_terminal() {
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
            self.bar.enable_steady_tick(Duration::from_millis(120));
            self.bar.set_style(Self::style(Unit::Steps, false));
            self.bar.reset();
            self.bar.set_message(text.to_owned());
        } else {
            say(text);
        }
    }

    fn progress(&self, unit: Unit, done: u64, total: Option<u64>) {
        self.bar.set_style(Self::style(unit, total.is_some()));
        if let Some(total) = total {
            self.bar.set_length(total.max(done));
        }
        self.bar.set_position(done);
    }
}

impl Drop for Bars {
    fn drop(&mut self) {
        show(None);
        self.bar.finish_and_clear();
    }
}

/// Passes on a line of somebody else's words, with its end, on standard error.
pub fn pass_on(line: &[u8]) {
    // Nobody is left to hear that standard error is closed.
    let write = || drop(io::stderr().write_all(line));
    match shown() {
        Some(bar) => bar.suspend(write),
        None => write(),
    }
}

/// How often it is told where no bar can be shown.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// Progress of many runs: on a terminal a bar, elsewhere a line now and then.
pub struct RunBar {
    bar: ProgressBar,
    told: Cell<Instant>,
}

impl RunBar {
    /// Nothing is shown until there is something to show.
    pub fn new(name: &str) -> Self {
        let bar = ProgressBar::hidden().with_prefix(name.to_owned());
        show(Some(bar.clone()));
        Self { bar, told: Cell::new(Instant::now()) }
    }

    /// So many runs are done, of how many is not always known; `text` says that, and more.
    pub fn tell(&self, done: u64, total: Option<u64>, text: &str) {
        if io::stderr().is_terminal() {
            self.bar.set_length(total.unwrap_or(done));
            self.bar.set_position(done);
            let shape = if total.is_some() { "{prefix} {wide_bar}" } else { "{spinner} {prefix}" };
            self.draw(shape, text);
        } else if self.told.get().elapsed() >= TELL_EVERY {
            self.told.set(Instant::now());
            say(text);
        }
    }

    /// Something begins of which nobody knows how long it takes.
    pub fn phase(&self, text: &str) {
        if io::stderr().is_terminal() {
            self.draw("{spinner} {prefix}", text);
        } else {
            say(text);
        }
    }

    /// Prints something beside it.
    pub fn suspend(&self, print: impl FnOnce()) {
        self.bar.suspend(print);
    }

    fn draw(&self, shape: &str, text: &str) {
        let style = ProgressStyle::with_template(&format!("{shape} {{msg}}, {{elapsed}}"));
        self.bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        self.bar.set_message(text.to_owned());
        if self.bar.is_hidden() {
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
            self.bar.enable_steady_tick(Duration::from_millis(120));
        }
    }
}

impl Drop for RunBar {
    fn drop(&mut self) {
        show(None);
        self.bar.finish_and_clear();
    }
}

/// Whether a person types and reads.
pub fn is_interactive() -> bool {
    io::stdin().is_terminal() && io::stdout().is_terminal()
}

/// Whether reading standard input does not stop this process: it is no terminal, or this is its foreground job.
pub fn is_in_foreground() -> bool {
    let foreground = rustix::termios::tcgetpgrp(rustix::stdio::stdin());
    foreground.map_or(true, |group| group == rustix::process::getpgrp())
}
