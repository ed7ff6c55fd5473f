//! Which names are allowed, and that none means two things.

use std::collections::HashMap;

use super::diagnostic::Diagnostic;
use super::draft::{Draft, Reader};
use super::raw::Located;
use super::target;
use crate::storage::{LAST_PANIC, PERMANENT};

/// The longest name: that of a label in the DNS (RFC 1035, section 2.3.4).
const NAME_BYTES_MAX: usize = 63;

/// Whether `name` can be the name of a `kind`.
pub(super) fn check(reader: &mut Reader<'_>, kind: &str, name: &Located<String>) {
    let text = &name.value;
    let allowed = |byte: &u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
    let diagnostic = if text.is_empty() {
        Diagnostic::new(name.span.clone(), format!("the {kind} has an empty name"))
            .hint("write a name of lower-case letters, digits and hyphens".to_owned())
    } else if text.len() > NAME_BYTES_MAX {
        let message =
            format!("the name of the {kind} has {} bytes, where {NAME_BYTES_MAX} are the most", text.len());
        Diagnostic::new(name.span.clone(), message).hint("shorten it".to_owned())
    } else if !text.as_bytes().iter().all(allowed) {
        Diagnostic::new(name.span.clone(), format!("`{text}` cannot be the name of a {kind}"))
            .label("only lower-case letters, digits and hyphens are allowed")
            .hint(corrected(text))
    } else if !text.starts_with(|first: char| first.is_ascii_lowercase()) || text.ends_with('-') {
        Diagnostic::new(name.span.clone(), format!("`{text}` cannot be the name of a {kind}"))
            .label("it has to begin with a letter, and to end with a letter or a digit")
            .hint(corrected(text))
    } else {
        return;
    };
    reader.wrong(diagnostic);
}

/// The nearest name that is allowed.
fn corrected(text: &str) -> Option<String> {
    let allowed: String =
        text.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect();
    let name = allowed.trim_start_matches(|c: char| !c.is_ascii_lowercase()).trim_end_matches('-');
    (name.len() == text.len()).then(|| format!("write `{name}`"))
}

/// Names that are well-formed each, but mean two things.
pub(super) fn check_collisions(reader: &mut Reader<'_>, draft: &Draft) {
    for unit in draft.groups.iter().flat_map(|group| &group.units) {
        check_unit(reader, &unit.name);
    }
    let mut owners: HashMap<String, &Located<String>> = HashMap::new();
    for group in &draft.groups {
        let numbers: Vec<Option<u32>> =
            group.count.map_or(vec![None], |count| (0..count).map(Some).collect());
        let host_names: Vec<String> =
            numbers.into_iter().map(|number| host_name(&group.name.value, number)).collect();
        if let Some(longest) = host_names.last().filter(|name| name.len() > NAME_BYTES_MAX) {
            // Without a count the name itself has been found too long.
            if group.name.value.len() <= NAME_BYTES_MAX {
                let message = format!(
                    "the machine `{longest}` would have a name of {} bytes, where {NAME_BYTES_MAX} are the most",
                    longest.len()
                );
                reader.wrong(Diagnostic::new(group.name.span.clone(), message).hint("shorten it".to_owned()));
            }
        }
        if let Some((name, other)) = host_names.iter().find_map(|name| Some((name, *owners.get(name)?))) {
            let (first, second) = if other.span.start < group.name.span.start {
                (other, &group.name)
            } else {
                (&group.name, other)
            };
            reader.wrong(
                Diagnostic::new(
                    second.span.clone(),
                    format!("two machines would be `{name}` on the network"),
                )
                .related(first.span.clone(), "the other one")
                .hint("choose another name for one of them".to_owned()),
            );
        }
        owners.extend(host_names.into_iter().map(|name| (name, &group.name)));
    }
}

/// A unit's name begins what is plugged in, and is that of its directory in [`PERMANENT`]. What else is there cannot be meant:
/// `.solum` and `lost+found` are no names.
fn check_unit(reader: &mut Reader<'_>, name: &Located<String>) {
    let text = name.value.as_str();
    let taken = if target::WORDS.contains(&text) {
        format!("`{text}.…` plugs in a device")
    } else if text == LAST_PANIC {
        format!("`{PERMANENT}/{text}` says what failed last, and would be this unit's directory")
    } else {
        return;
    };
    let diagnostic = Diagnostic::new(name.span.clone(), format!("a unit cannot be called `{text}`"));
    reader.wrong(diagnostic.label(taken).hint("choose another name".to_owned()));
}

/// The name of a machine on the network.
pub(super) fn host_name(group: &str, number: Option<u32>) -> String {
    number.map_or_else(|| group.to_owned(), |number| format!("{group}-{number}"))
}
