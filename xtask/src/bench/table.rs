//! What a benchmark prints: one Markdown table, so that it can stand in a document as it is.

use std::fmt;

/// How a measured figure compares with what it should be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It is what it should be.
    Met,
    /// It is not.
    Missed,
    /// It was asked for, and could not be had; the reason stands in place of the figure.
    Failed,
    /// Nothing was promised of it: it explains another figure.
    Told,
}

impl Verdict {
    /// Met, if the condition holds.
    pub fn of(met: bool) -> Self {
        if met { Self::Met } else { Self::Missed }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Met => "met",
            Self::Missed => "MISSED",
            Self::Failed => "not measured",
            Self::Told => "",
        }
    }
}

/// One figure.
#[derive(Debug)]
pub struct Row {
    figure: String,
    measured: String,
    target: String,
    verdict: Verdict,
}

impl Row {
    /// A figure with a target.
    pub fn judged(figure: &str, measured: impl fmt::Display, target: impl fmt::Display, met: bool) -> Self {
        let verdict = Verdict::of(met);
        Self {
            figure: figure.to_owned(),
            measured: measured.to_string(),
            target: target.to_string(),
            verdict,
        }
    }

    /// A figure that explains another one.
    pub fn told(figure: &str, measured: impl fmt::Display) -> Self {
        let (target, verdict) = (String::new(), Verdict::Told);
        Self { figure: figure.to_owned(), measured: measured.to_string(), target, verdict }
    }

    /// A figure that could not be had.
    pub fn failed(figure: &str, reason: impl fmt::Display) -> Self {
        let (target, verdict) = (String::new(), Verdict::Failed);
        // A line break or a bar would end the cell.
        let measured = reason.to_string().replace('|', "/").split_whitespace().collect::<Vec<_>>().join(" ");
        Self { figure: figure.to_owned(), measured, target, verdict }
    }

    fn cells(&self) -> [&str; 4] {
        [&self.figure, &self.measured, &self.target, self.verdict.word()]
    }
}

const HEADINGS: [&str; 4] = ["figure", "measured", "target", "verdict"];

/// The rows below their headings, aligned.
pub fn render(rows: &[Row]) -> String {
    let mut widths = HEADINGS.map(|heading| heading.chars().count());
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row.cells()) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: [&str; 4]| {
        let padded = cells.iter().zip(widths).map(|(cell, width)| format!(" {cell:width$} |"));
        format!("|{}", padded.collect::<String>())
    };
    let rules = widths.map(|width| "-".repeat(width));
    let head = [line(HEADINGS), line([&rules[0], &rules[1], &rules[2], &rules[3]])];
    head.into_iter().chain(rows.iter().map(|row| line(row.cells()))).collect::<Vec<_>>().join("\n")
}

/// Digits in groups of three, as people count: `237 486 350`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().filter_map(|group| std::str::from_utf8(group).ok()).collect();
    groups.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_aligned_markdown() {
        let rows = [
            Row::judged("bytes", 7, "at most 9", true),
            Row::judged("seconds", "1.50", "at most 1", false),
            Row::failed("machines", "no\nkernel | at all"),
            Row::told("note", "é"),
        ];
        let expected = "\
| figure   | measured           | target    | verdict      |
| -------- | ------------------ | --------- | ------------ |
| bytes    | 7                  | at most 9 | met          |
| seconds  | 1.50               | at most 1 | MISSED       |
| machines | no kernel / at all |           | not measured |
| note     | é                  |           |              |";
        assert_eq!(render(&rows), expected);
    }

    #[test]
    fn digits_are_grouped_from_the_right() {
        for (number, text) in
            [(0, "0"), (999, "999"), (1000, "1 000"), (12_345, "12 345"), (1_234_567, "1 234 567")]
        {
            assert_eq!(grouped(number), text);
        }
    }
}
