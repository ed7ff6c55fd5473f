//! An error in a description: where it is, what is wrong, what to write instead; and how that is drawn.

use std::fmt::Write;
use std::ops::Range;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// One thing that is wrong in a `solum.toml`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// The bytes of the text that are underlined.
    pub span: Range<usize>,
    /// What is wrong, a sentence without a full stop.
    pub message: String,
    /// A few words beside the underlined place; may be empty.
    pub label: String,
    /// Other places that belong to it, each with a few words.
    pub related: Vec<(Range<usize>, String)>,
    /// What to write instead.
    pub hint: Option<String>,
}

impl Diagnostic {
    /// Something wrong at `span`.
    pub fn new(span: Range<usize>, message: impl Into<String>) -> Self {
        Self { span, message: message.into(), label: String::new(), related: Vec::new(), hint: None }
    }

    /// Says something beside the place.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// Shows another place as well.
    #[must_use]
    pub fn related(mut self, span: Range<usize>, label: impl Into<String>) -> Self {
        self.related.push((span, label.into()));
        self
    }

    /// Says what to write instead.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<Option<String>>) -> Self {
        self.hint = hint.into();
        self
    }

    /// Line and column of the place in `text`, both from 1. A column is a character.
    pub fn position(&self, text: &str) -> (usize, usize) {
        let place = Place::of(&self.span, text);
        (place.line + 1, text[place.line_start..place.start].chars().count() + 1)
    }

    /// Draws it for a person: the message, the lines of `text` with the places underlined, the hint. `name` is what the
    /// text is called, the path of its file.
    pub fn render(&self, name: &str, text: &str, colours: Colours) -> String {
        let paint = Paint(colours);
        let places = self.places(text);
        let last = places.iter().map(|(place, ..)| place.line + 1).max().unwrap_or(1);
        let margin = last.to_string().len();
        let (line, column) = self.position(text);
        let mut out = format!("{}: {}\n", paint.red("error"), self.message);
        let _ = writeln!(out, "{:margin$}{} {name}:{line}:{column}", "", paint.blue("-->"));
        let _ = writeln!(out, "{:margin$} {}", "", paint.blue("|"));
        let mut drawn: Option<usize> = None;
        for (place, label, is_primary) in &places {
            if drawn != Some(place.line) {
                if drawn.is_some_and(|drawn| drawn + 1 < place.line) {
                    let _ = writeln!(out, "{}", paint.blue("..."));
                }
                let number = format!("{:>margin$}", place.line + 1);
                let line = format!("{} {} {}", paint.blue(&number), paint.blue("|"), place.shown(text));
                let _ = writeln!(out, "{}", line.trim_end());
                drawn = Some(place.line);
            }
            let (indent, width) = place.columns(text);
            let mark = if *is_primary { "^" } else { "-" }.repeat(width);
            let under = if label.is_empty() { mark } else { format!("{mark} {label}") };
            let under = if *is_primary { paint.red(&under) } else { paint.blue(&under) };
            let _ = writeln!(out, "{:margin$} {} {:indent$}{under}", "", paint.blue("|"), "");
        }
        if let Some(hint) = &self.hint {
            let _ = writeln!(out, "{:margin$} {}", "", paint.blue("|"));
            let _ = writeln!(out, "{}: {hint}", paint.cyan("hint"));
        }
        out
    }

    /// All places in the order of the text; the underlined one is marked.
    fn places(&self, text: &str) -> Vec<(Place, &str, bool)> {
        let own = (Place::of(&self.span, text), self.label.as_str(), true);
        let related = self.related.iter().map(|(span, label)| (Place::of(span, text), label.as_str(), false));
        let mut places: Vec<_> = std::iter::once(own).chain(related).collect();
        places.sort_by_key(|(place, ..)| place.start);
        places
    }
}

/// Whether to draw in colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colours {
    /// A terminal shows it.
    Terminal,
    /// The characters alone.
    None,
}

struct Paint(Colours);

impl Paint {
    fn in_colour(&self, code: &str, text: &str) -> String {
        match self.0 {
            Colours::Terminal => format!("\x1b[1;{code}m{text}\x1b[0m"),
            Colours::None => text.to_owned(),
        }
    }

    fn red(&self, text: &str) -> String {
        self.in_colour("31", text)
    }

    fn blue(&self, text: &str) -> String {
        self.in_colour("34", text)
    }

    fn cyan(&self, text: &str) -> String {
        self.in_colour("36", text)
    }
}

const TAB: &str = "    ";

/// A span, cut to the line in which it begins.
struct Place {
    /// Counted from 0.
    line: usize,
    line_start: usize,
    line_end: usize,
    start: usize,
    end: usize,
}

impl Place {
    fn of(span: &Range<usize>, text: &str) -> Self {
        let boundary = |mut at: usize| {
            at = at.min(text.len());
            while !text.is_char_boundary(at) {
                at -= 1;
            }
            at
        };
        let start = boundary(span.start);
        let line_start = text[..start].rfind('\n').map_or(0, |at| at + 1);
        let line_end = text[start..].find('\n').map_or(text.len(), |at| start + at);
        let line_end = line_end - usize::from(text[line_start..line_end].ends_with('\r'));
        let start = start.min(line_end);
        let end = boundary(span.end).clamp(start, line_end);
        Self { line: text[..line_start].matches('\n').count(), line_start, line_end, start, end }
    }

    fn shown(&self, text: &str) -> String {
        shown(&text[self.line_start..self.line_end])
    }

    /// How far the place is from the left, and how wide it is, as a terminal shows it.
    fn columns(&self, text: &str) -> (usize, usize) {
        let width = |range: Range<usize>| shown(&text[range]).width();
        (width(self.line_start..self.start), width(self.start..self.end).max(1))
    }
}

/// A line as it is shown: without what a terminal would take for a command.
fn shown(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    for character in line.chars() {
        match character {
            '\t' => out.push_str(TAB),
            // Control characters have no width, nor have the marks that turn the direction of writing.
            _ if character.width().is_none() || is_direction(character) => out.push('\u{fffd}'),
            _ => out.push(character),
        }
    }
    out
}

const fn is_direction(character: char) -> bool {
    matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_is_underlined_as_a_terminal_shows_it() {
        let text = "a = 1\n\tお = \"x\" # end\r\nb = 2\n";
        let start = text.find('"').unwrap();
        let drawn = Diagnostic::new(start..start + 3, "this is wrong")
            .label("here")
            .related(0..1, "because of this")
            .hint("write `y`".to_owned())
            .render("dir/solum.toml", text, Colours::None);
        let expected = "error: this is wrong\n --> dir/solum.toml:2:6\n  |\n1 | a = 1\n  | - because of this\n\
                        2 |     お = \"x\" # end\n  |          ^^^ here\n  |\nhint: write `y`\n";
        assert_eq!(drawn, expected);
    }

    #[test]
    fn no_span_is_too_far() {
        for text in ["", "a", "é\n", "\n\n"] {
            for span in [0..0, 0..9, 1..2, 7..9] {
                let drawn = Diagnostic::new(span, "m").render("f", text, Colours::None);
                assert!(drawn.contains('^'), "{drawn}");
            }
        }
    }

    #[test]
    fn a_text_cannot_command_the_terminal() {
        let drawn = Diagnostic::new(0..1, "m").render("f", "\x1b[2J \u{202e}", Colours::None);
        assert!(!drawn.contains(['\x1b', '\u{202e}']), "{drawn}");
        assert!(Diagnostic::new(0..1, "m").render("f", "x", Colours::Terminal).contains("\x1b[1;31m^"));
    }
}
