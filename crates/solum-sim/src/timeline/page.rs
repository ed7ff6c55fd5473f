//! The page itself: one file that asks nobody for anything.

use super::{Timeline, json};

const PAGE: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");
const SCRIPTS: [&str; 5] = [
    include_str!("model.js"),
    include_str!("draw.js"),
    include_str!("pointer.js"),
    include_str!("page.js"),
    include_str!("main.js"),
];

impl Timeline {
    /// The run as one file of HTML, which a browser opens without a network.
    pub fn to_html(&self) -> String {
        // In a function of their own, so that the scripts leave no names behind but `solumTimeline`.
        let script = format!("(() => {{\n'use strict';\n{}}})();", SCRIPTS.concat());
        fill(PAGE, &[("/*{css}*/", STYLE), ("/*{run}*/", &json::of(self)), ("/*{js}*/", &script)])
    }
}

/// Puts texts in the place of marks that follow each other. What was put in is not looked at again, so a run may hold
/// the marks itself.
fn fill(page: &str, texts: &[(&str, &str)]) -> String {
    let mut filled =
        String::with_capacity(page.len() + texts.iter().map(|(_, text)| text.len()).sum::<usize>());
    let mut rest = page;
    for (mark, text) in texts {
        let (before, after) = rest.split_once(mark).unwrap_or((rest, ""));
        filled.push_str(before);
        filled.push_str(text);
        rest = after;
    }
    filled.push_str(rest);
    filled
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_may_hold_the_marks_of_the_page() {
        assert_eq!(fill("a[1]b[2]c", &[("[1]", "[2]"), ("[2]", "x")]), "a[2]bxc");
    }

    #[test]
    fn the_page_has_all_its_parts_and_names_no_other_place() {
        let page = Timeline { system: "/*{js}*/".into(), ..Timeline::default() }.to_html();
        assert!(
            page.contains("class Painter") && page.contains("--fault-soft") && page.ends_with("</html>\n")
        );
        assert_eq!(page.matches("/*{").count(), 1, "a mark was left, beside that in the name");
        assert!(!page.contains("://"), "the page names a place in the network");
        for script in SCRIPTS {
            assert!(!script.contains("</"), "a script would end its element early");
        }
    }
}
