//! The person at the terminal: what is going on, and Ctrl-C.

use std::io::{self, IsTerminal, Write};
use std::thread;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGWINCH};
use signal_hook::iterator::Signals;
use solum_vm::Handle;

/// Says something about Solum's own work, on standard error. The program's output is on standard output.
pub fn say(text: &str) {
    let mut stderr = io::stderr().lock();
    let (dim, off) = if stderr.is_terminal() { ("\x1b[2m", "\x1b[0m") } else { ("", "") };
    // Nobody is left to hear that standard error is closed.
    let _ = writeln!(stderr, "{dim}solum: {text}{off}");
}

/// A line that shows that something goes on, and vanishes when it is over. Only on a terminal.
pub fn spinner(text: String) -> ProgressBar {
    let bar = ProgressBar::new_spinner().with_message(text);
    let style = ProgressStyle::with_template("{spinner} {msg} {elapsed}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
    bar.enable_steady_tick(Duration::from_millis(120));
    bar
}

/// Whether a person types and reads.
pub fn is_interactive() -> bool {
    io::stdin().is_terminal() && io::stdout().is_terminal()
}

/// Passes on what the user asks of a machine: the first Ctrl-C, SIGTERM or hang-up stops it in an orderly way, the
/// second kills it; a terminal of another size is told on.
pub fn obey_signals(handle: Handle) -> io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP, SIGWINCH])?;
    tell_size(&handle);
    thread::spawn(move || {
        let mut asked = false;
        for signal in signals.forever() {
            match signal {
                SIGWINCH => tell_size(&handle),
                _ if asked => handle.kill(),
                _ => {
                    asked = true;
                    say("stopping; once more kills");
                    handle.stop();
                }
            }
        }
    });
    Ok(())
}

fn tell_size(handle: &Handle) {
    if let Ok(size) = rustix::termios::tcgetwinsize(rustix::stdio::stdout()) {
        handle.resize(size.ws_row, size.ws_col);
    }
}
