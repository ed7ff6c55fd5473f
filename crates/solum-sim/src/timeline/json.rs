//! What the page reads: columns instead of rows, and each text once, so that a long run stays a small file.

use super::{Arrow, LaneKind, Mark, MarkKind, Span, SpanKind, Timeline};
use serde_json::{Value, json};
use std::collections::HashMap;

/// The largest time that JavaScript's numbers hold exactly.
const LARGEST_EXACT: u64 = (1 << 53) - 1;

const SPAN_KINDS: [(SpanKind, &str); 7] = [
    (SpanKind::Life, "life"),
    (SpanKind::Read, "read"),
    (SpanKind::Write, "write"),
    (SpanKind::Flush, "flush"),
    (SpanKind::Call, "call"),
    (SpanKind::Off, "off"),
    (SpanKind::Network, "network"),
];

const MARK_KINDS: [(MarkKind, &str); 4] = [
    (MarkKind::Line, "line"),
    (MarkKind::Supervisor, "supervisor"),
    (MarkKind::Fault, "fault"),
    (MarkKind::Failure, "failure"),
];

/// The run as JSON that may stand inside of a script element.
pub fn of(timeline: &Timeline) -> String {
    let mut texts = Texts::default();
    let spans = spans(&timeline.spans, &mut texts);
    let arrows = arrows(&timeline.arrows, &mut texts);
    let marks = marks(&timeline.marks, &mut texts);
    let lanes: Vec<Value> = timeline
        .lanes
        .iter()
        .map(|lane| json!({ "name": lane.name, "machine": lane.machine, "kind": lane_kind(lane.kind) }))
        .collect();
    let run = json!({
        "system": timeline.system,
        "replay": timeline.replay,
        "failure": timeline.failure,
        "end": time(timeline.end_ns),
        "span_kinds": SPAN_KINDS.map(|(_, name)| name),
        "mark_kinds": MARK_KINDS.map(|(_, name)| name),
        "lanes": lanes,
        "spans": spans,
        "arrows": arrows,
        "marks": marks,
        "texts": texts.list,
    });
    // In a script element nothing but `<` can begin a tag or a comment; in JSON it stands in strings only.
    run.to_string().replace('<', "\\u003c")
}

fn spans<'a>(spans: &'a [Span], texts: &mut Texts<'a>) -> Value {
    let labels: Vec<usize> = spans.iter().map(|span| texts.place(&span.label)).collect();
    let faults: Vec<Option<usize>> =
        spans.iter().map(|span| span.fault.as_deref().map(|fault| texts.place(fault))).collect();
    json!({
        "lane": column(spans, |span| span.lane),
        "from": column(spans, |span| time(span.from_ns)),
        "to": column(spans, |span| time(span.to_ns)),
        "kind": column(spans, |span| place(&SPAN_KINDS, span.kind)),
        "label": labels,
        // A column of numbers is read faster than one with `null` in it.
        "fault": column(&faults, |fault| fault.map_or(json!(-1), Value::from)),
    })
}

fn arrows<'a>(arrows: &'a [Arrow], texts: &mut Texts<'a>) -> Value {
    let labels: Vec<usize> = arrows.iter().map(|arrow| texts.place(&arrow.label)).collect();
    json!({
        "from_lane": column(arrows, |arrow| arrow.from_lane),
        "from": column(arrows, |arrow| time(arrow.from_ns)),
        "to_lane": column(arrows, |arrow| arrow.to_lane),
        "to": column(arrows, |arrow| time(arrow.to_ns)),
        "label": labels,
        "lost": column(arrows, |arrow| u8::from(arrow.is_lost)),
    })
}

fn marks<'a>(marks: &'a [Mark], texts: &mut Texts<'a>) -> Value {
    let labels: Vec<usize> = marks.iter().map(|mark| texts.place(&mark.label)).collect();
    json!({
        "lane": column(marks, |mark| mark.lane),
        "at": column(marks, |mark| time(mark.at_ns)),
        "kind": column(marks, |mark| place(&MARK_KINDS, mark.kind)),
        "label": labels,
    })
}

fn column<T, V: Into<Value>>(items: &[T], value: impl Fn(&T) -> V) -> Value {
    items.iter().map(|item| value(item).into()).collect::<Vec<Value>>().into()
}

/// A number, or its digits as a text where a number would be rounded.
fn time(ns: u64) -> Value {
    if ns <= LARGEST_EXACT { ns.into() } else { ns.to_string().into() }
}

fn place<K: PartialEq>(kinds: &[(K, &str)], kind: K) -> usize {
    kinds.iter().position(|(known, _)| *known == kind).unwrap_or(0)
}

fn lane_kind(kind: LaneKind) -> &'static str {
    match kind {
        LaneKind::Machine => "machine",
        LaneKind::Unit => "unit",
        LaneKind::Disk => "disk",
        LaneKind::Client => "client",
    }
}

/// Each text once.
#[derive(Default)]
struct Texts<'a> {
    list: Vec<&'a str>,
    places: HashMap<&'a str, usize>,
}

impl<'a> Texts<'a> {
    fn place(&mut self, text: &'a str) -> usize {
        *self.places.entry(text).or_insert_with(|| {
            self.list.push(text);
            self.list.len() - 1
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_cannot_end_the_script() {
        let mark = Mark { lane: 0, at_ns: 1, kind: MarkKind::Line, label: "</script><!-- &\u{2028}".into() };
        let timeline = Timeline { marks: vec![mark], ..Timeline::default() };
        let json = of(&timeline);
        assert!(!json.contains('<'), "{json}");
        let read: Value = serde_json::from_str(&json).unwrap();
        assert_eq!(read["texts"][0], "</script><!-- &\u{2028}");
    }

    #[test]
    fn times_beyond_what_a_number_holds_keep_their_digits() {
        assert_eq!(time(LARGEST_EXACT), json!(9_007_199_254_740_991_u64));
        assert_eq!(time(u64::MAX), json!("18446744073709551615"));
    }

    #[test]
    fn every_kind_has_a_name_and_each_text_stands_once() {
        let span = |kind| Span { lane: 0, from_ns: 0, to_ns: 1, kind, label: "same".into(), fault: None };
        let spans = SPAN_KINDS.map(|(kind, _)| span(kind)).to_vec();
        let read: Value = serde_json::from_str(&of(&Timeline { spans, ..Timeline::default() })).unwrap();
        assert_eq!(read["spans"]["kind"], json!([0, 1, 2, 3, 4, 5, 6]));
        assert_eq!(read["texts"], json!(["same"]));
    }
}
