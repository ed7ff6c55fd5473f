//! Circles of units that wait for each other: a call blocks until it is answered, and a unit starts when what it needs
//! is ready. In a circle each would wait for the next for ever.

use std::collections::{HashMap, VecDeque};
use std::ops::Range;

use super::diagnostic::Diagnostic;
use super::draft::{Draft, Group, Reader};
use super::target::Target;

/// One unit waits for another.
struct Edge {
    to: usize,
    verb: Verb,
    at: Range<usize>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Verb {
    Calls,
    Needs,
}

impl Verb {
    const fn word(self) -> &'static str {
        match self {
            Self::Calls => "calls",
            Self::Needs => "needs",
        }
    }
}

/// Units of the description; machines that are alike count once. Nothing is lost by that: whoever follows a circle of
/// descriptions from machine to machine comes to a machine a second time, because there are finitely many.
pub(super) fn check(reader: &mut Reader<'_>, draft: &Draft) {
    let mut numbers = HashMap::new();
    let mut names = Vec::new();
    for group in &draft.groups {
        for unit in &group.units {
            let key = (group.name.value.as_str(), unit.name.value.as_str());
            numbers.insert(key, names.len());
            names.push(key);
        }
    }
    let edges: Vec<Vec<Edge>> = draft.groups.iter().flat_map(|group| group_edges(group, &numbers)).collect();
    let mut is_told = vec![false; names.len()];
    for start in 0..names.len() {
        if is_told[start] {
            continue;
        }
        if let Some(circle) = shortest_circle(&edges, start) {
            for (from, _) in &circle {
                is_told[*from] = true;
            }
            reader.wrong(diagnostic(&circle, &names));
        }
    }
}

fn group_edges<'a>(
    group: &'a Group,
    numbers: &HashMap<(&'a str, &'a str), usize>,
) -> impl Iterator<Item = Vec<Edge>> {
    let own = group.name.value.as_str();
    group.units.iter().map(move |unit| {
        let needs = unit.needs.iter().filter_map(|needed| {
            let to = *numbers.get(&(own, needed.value.as_str()))?;
            Some(Edge { to, verb: Verb::Needs, at: needed.span.clone() })
        });
        let targets = unit.plugs.iter().flat_map(|plug| &plug.targets);
        let calls = targets.filter_map(|target| {
            let Target::Unit { machine, unit, .. } = &target.value else { return None };
            let machine = machine.as_ref().map_or(own, |machine| &machine.name);
            let to = *numbers.get(&(machine, unit.as_str()))?;
            Some(Edge { to, verb: Verb::Calls, at: target.span.clone() })
        });
        let from = numbers.get(&(own, unit.name.value.as_str()));
        // Whoever waits for itself has been told so.
        calls.chain(needs).filter(|edge| Some(&edge.to) != from).collect()
    })
}

/// The shortest way from a unit back to itself.
fn shortest_circle(edges: &[Vec<Edge>], start: usize) -> Option<Vec<(usize, &Edge)>> {
    let mut came_by: Vec<Option<(usize, &Edge)>> = vec![None; edges.len()];
    let mut queue = VecDeque::from([start]);
    while let Some(from) = queue.pop_front() {
        for edge in &edges[from] {
            if came_by[edge.to].is_none() {
                came_by[edge.to] = Some((from, edge));
                queue.push_back(edge.to);
            }
        }
    }
    let mut circle = Vec::new();
    let mut at = start;
    loop {
        let (from, edge) = came_by[at]?;
        circle.push((from, edge));
        if from == start {
            circle.reverse();
            return Some(circle);
        }
        at = from;
    }
}

fn diagnostic(circle: &[(usize, &Edge)], names: &[(&str, &str)]) -> Diagnostic {
    let is_one_machine = circle.iter().all(|(from, _)| names[*from].0 == names[circle[0].0].0);
    let name = |number: usize| {
        let (machine, unit) = names[number];
        if is_one_machine { format!("`{unit}`") } else { format!("`{machine}.{unit}`") }
    };
    let steps: Vec<(String, &Edge)> = circle
        .iter()
        .map(|(from, edge)| (format!("{} {} {}", name(*from), edge.verb.word(), name(edge.to)), *edge))
        .collect();
    let told: Vec<&str> = steps.iter().map(|(step, _)| step.as_str()).collect();
    let is_all = |verb| circle.iter().all(|(_, edge)| edge.verb == verb);
    let (what, hint) = if is_all(Verb::Calls) {
        (
            "a cycle of blocking calls",
            "every call waits for its answer: turn one of these links around, or move what both need into a unit that calls neither",
        )
    } else if is_all(Verb::Needs) {
        ("a cycle of needs", "none of them could start first: leave one of these `needs` out")
    } else {
        (
            "a cycle of units that wait for each other",
            "a unit starts when what it needs is ready, and a call waits for its answer: leave one of these out",
        )
    };
    // The circle is shown from where the text first closes it, so the order does not depend on names.
    let (own, rest) = steps.split_first().map_or((None, &[][..]), |(own, rest)| (Some(own), rest));
    let at = own.map_or(0..0, |(_, edge)| edge.at.clone());
    let label = own.map(|(step, _)| step.replace('`', "")).unwrap_or_default();
    rest.iter()
        .fold(
            Diagnostic::new(at, format!("{what}: {}", told.join(", "))).label(label),
            |diagnostic, (step, edge)| diagnostic.related(edge.at.clone(), step.replace('`', "")),
        )
        .hint(hint.to_owned())
}
