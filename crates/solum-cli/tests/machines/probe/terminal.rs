//! A conversation on a terminal.

use std::fs;
use std::io::{self, IsTerminal, Read};

const TIOCGWINSZ: u64 = 0x5413;

unsafe extern "C" {
    fn ioctl(descriptor: i32, request: u64, ...) -> i32;
}

/// Says what the terminal is, then what is typed on it, a line and then the rest.
pub fn converse() -> io::Result<()> {
    println!(
        "terminals: {} {} {}",
        is_terminal(&io::stdin()),
        is_terminal(&io::stdout()),
        is_terminal(&io::stderr())
    );
    println!("may be opened again: {:?}", fs::File::open("/dev/tty").map(drop).map_err(|error| error.kind()));
    let [rows, columns] = wait_for_size();
    println!("size: {rows} lines of {columns}");
    let mut line = String::new();
    io::stdin().read_line(&mut line)?;
    println!("read {line:?}");
    let mut rest = String::new();
    io::stdin().read_to_string(&mut rest)?;
    println!("then {rest:?} and the end");
    Ok(())
}

fn is_terminal(stream: &impl IsTerminal) -> bool {
    stream.is_terminal()
}

/// The size may come a moment after the program.
fn wait_for_size() -> [u16; 2] {
    loop {
        let mut size = [0u16; 4];
        // SAFETY: the kernel writes a `struct winsize`, which is four shorts.
        unsafe { ioctl(0, TIOCGWINSZ, size.as_mut_ptr()) };
        if size[0] > 0 {
            return [size[0], size[1]];
        }
        std::thread::yield_now();
    }
}
