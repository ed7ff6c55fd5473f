//! What units print, for people: each line with its unit in front, in the unit's colour.

use std::io::{self, IsTerminal};

use solum_spec::count;
use solum_spec::operation::LogLine;

use crate::output::print;
use crate::terminal::say;

/// The colours of units, in their order: those that are read on dark and on light ground.
const COLOURS: [u8; 6] = [36, 32, 33, 35, 34, 31];

/// Prints lines of units.
pub struct Lines {
    names: Vec<String>,
    is_coloured: bool,
}

impl Lines {
    /// Lines of these units; others are met as they come.
    pub fn new(names: Vec<String>) -> Self {
        Self { names, is_coloured: io::stdout().is_terminal() }
    }

    /// Prints a line.
    pub fn show(&mut self, line: &LogLine) {
        let text = String::from_utf8_lossy(&line.bytes);
        let place = self.place(&line.unit);
        let width = self.names.iter().map(String::len).max().unwrap_or(0);
        let name = &line.unit;
        // A line of a program must not end its neighbour's colour, or the terminal's.
        let (colour, off) = match self.is_coloured {
            true => (format!("\x1b[{}m", COLOURS[place % COLOURS.len()]), "\x1b[0m"),
            false => (String::new(), ""),
        };
        let mark = if line.is_error { '!' } else { '|' };
        print(&format!("{colour}{name:width$} {mark}{off} {text}{off}\n"));
    }

    /// Says that lines are missing.
    pub fn lost(&mut self, unit: &str, lines: u64, bytes: u64) {
        say(&format!(
            "{unit}: {} ({}) {} missing here: output came faster than it was read",
            count(lines, "line"),
            count(bytes, "byte"),
            if lines == 1 { "is" } else { "are" }
        ));
    }

    fn place(&mut self, name: &str) -> usize {
        match self.names.iter().position(|known| known == name) {
            Some(place) => place,
            None => {
                self.names.push(name.to_owned());
                self.names.len() - 1
            }
        }
    }
}
