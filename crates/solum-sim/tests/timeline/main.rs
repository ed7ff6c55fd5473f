//! The timeline in a real browser: what people see of a run, and what they can do with it.

mod browser;
mod fixture;

use browser::Browser;
use solum_sim::timeline::{Lane, LaneKind, Mark, MarkKind, Span, SpanKind, Timeline};

const MS: f64 = 1e6;

#[test]
fn the_page_says_what_ran_and_shows_its_lanes_by_machine() {
    if browser::is_missing() {
        return;
    }
    let mut page = Browser::open(&fixture::mirror(), "");
    assert_eq!(page.text("#system"), "mirror-store");
    assert_eq!(page.text("#replay"), "solum sim examples/mirror --replay m1:k3x9-0f2a77c1-d41");
    assert!(page.text("#failure").contains("block 131072 was acknowledged, and is lost"));
    assert_eq!(
        page.texts("#names .lane span"),
        ["store", "mirror", "user", "disk.a", "disk.b", "disk.c", "store network", "outside", "client"]
    );
    let is_drawn = page.eval("solumTimeline.shapes() > 500");
    assert_eq!(is_drawn, true);
    page.assert_quiet();
}

#[test]
fn a_search_counts_its_matches_and_enter_goes_from_one_to_the_next() {
    if browser::is_missing() {
        return;
    }
    let mut page = Browser::open(&fixture::mirror(), "");
    let (from, to) = page.visible();
    page.key("/", false);
    page.write("RESYNC from");
    assert_eq!(page.text("#count"), "2 matches");
    page.key("Enter", false);
    assert_eq!(page.text("#count"), "1 of 2");
    assert_eq!(page.eval("solumTimeline.chosen()"), "mirror: disk b is behind, resync from a");
    page.key("Enter", false);
    assert_eq!(page.eval("solumTimeline.chosen()"), "resync b from a");
    let (near_from, near_to) = page.visible();
    assert!(near_to - near_from < (to - from) / 4.0, "it did not zoom: {near_from} to {near_to}");
    assert!(near_from < 2_045.0 * MS && near_to > 2_150.0 * MS, "the match is not in sight");
    page.key("Enter", true);
    assert_eq!(page.text("#count"), "1 of 2");
    assert_eq!(page.eval("solumTimeline.search('disk.b write torn')"), 1, "a word may be the lane's");
    assert_eq!(page.eval("solumTimeline.search('store.disk')"), 3, "lanes are found by their names");
    assert_eq!(page.eval("solumTimeline.search('nothing is called so')"), 0);
    assert_eq!(page.text("#count"), "no matches");
    page.assert_quiet();
}

#[test]
fn pointing_tells_and_clicking_keeps_what_a_thing_is() {
    if browser::is_missing() {
        return;
    }
    let mut page = Browser::open(&fixture::mirror(), "#t=2700000000-3100000000");
    let at = page.place("cut off from client, one way");
    page.hover(at);
    let told = page.text("#details");
    assert!(told.contains("cut off from client, one way") && told.contains("▲ partition"), "{told}");
    assert!(told.contains("store network"), "{told}");
    assert!(told.replace('\u{202f}', " ").contains("2 700 000 000 ns"), "{told}");
    assert!(told.replace('\u{202f}', " ").contains("350 000 000 ns"), "{told}");
    assert!(page.text("#tip").contains("350 ms"));
    page.click(at);
    page.hover((at.0, at.1 + 300.0));
    let corner = page.middle("#search");
    page.hover(corner);
    assert!(page.text("#details").contains("cut off from client"), "a click keeps it");
    page.key("Escape", false);
    assert!(page.text("#details").contains("Point at something"));
    page.assert_quiet();
}

#[test]
fn a_lost_message_is_told_as_an_arrow_that_never_came() {
    if browser::is_missing() {
        return;
    }
    let run = fixture::mirror();
    let lost = run.arrows.iter().find(|arrow| arrow.is_lost).expect("one is lost");
    let hash = format!("#t={}-{}", lost.from_ns - 1_000_000, lost.to_ns + 1_000_000);
    let mut page = Browser::open(&run, &hash);
    let at = page.place(&lost.label);
    page.hover(at);
    let told = page.text("#details");
    assert!(told.contains(&lost.label) && told.contains("client → store.user"), "{told}");
    assert!(told.contains("never came"), "{told}");
    page.assert_quiet();
}

#[test]
fn the_list_of_faults_leads_to_each_of_them() {
    if browser::is_missing() {
        return;
    }
    let run = fixture::mirror();
    let of_spans = run.spans.iter().filter(|span| span.fault.is_some()).count();
    let of_marks =
        run.marks.iter().filter(|mark| matches!(mark.kind, MarkKind::Fault | MarkKind::Failure)).count();
    let lost = run.arrows.iter().filter(|arrow| arrow.is_lost).count();
    let mut page = Browser::open(&run, "");
    let listed = page.texts("#faults button");
    assert_eq!(listed.len(), of_spans + of_marks + lost);
    let torn = listed.iter().position(|text| text.contains("torn: 1536")).expect("the torn write is listed");
    page.eval(&format!("document.querySelectorAll('#faults button')[{torn}].click()"));
    page.frame();
    let span =
        run.spans.iter().find(|span| span.fault.as_deref().is_some_and(|fault| fault.starts_with("torn")));
    let span = span.expect("one write is torn");
    let (from, to) = page.visible();
    assert!(from < span.from_ns as f64 && span.to_ns as f64 > from && (to - from) < 100.0 * MS);
    assert!(page.text("#details").contains("torn: 1536 of 4096 bytes reached the disk"));
    page.key("f", false);
    assert_eq!(page.text("#faults button.chosen span"), listed_fault(&listed[torn + 1]));
    page.assert_quiet();
}

/// What a row of the list says, without its time and its lane.
fn listed_fault(row: &str) -> &str {
    row.lines().nth(1).expect("a sign, and a text")
}

#[test]
fn wheel_keys_drags_and_the_address_move_what_is_seen() {
    if browser::is_missing() {
        return;
    }
    let mut page = Browser::open(&fixture::mirror(), "#t=1000000000-2000000000");
    assert_eq!(page.visible(), (1_000.0 * MS, 2_000.0 * MS));
    let middle = page.middle("#canvas");
    page.wheel(middle, -200.0);
    let (from, to) = page.visible();
    assert!((to - from) < 700.0 * MS, "the wheel zooms in");
    assert!(((from + to) / 2.0 - 1_500.0 * MS).abs() < 2.0 * MS, "about the pointer: {from} to {to}");
    page.key("-", false);
    page.key("ArrowRight", false);
    let (right, _) = page.visible();
    page.drag(middle, (middle.0 + 100.0, middle.1));
    assert!(page.visible().0 < right, "what is dragged to the right shows what was before");
    page.key("0", false);
    let (from, to) = page.visible();
    assert!(from <= 0.0 && to >= 4_820.0 * MS);
    let minimap = page.middle("#minimap");
    page.key("+", false);
    page.key("+", false);
    page.click((minimap.0 + 200.0, minimap.1));
    assert!(page.visible().0 > 1_000.0 * MS, "a press in the small picture goes there");
    page.eval("location.hash = '#t=100-200'");
    page.frame();
    assert_eq!(page.visible(), (100.0, 200.0));
    let ticks = page.text("#range");
    assert!(ticks.contains("100 ns"), "{ticks}");
    page.assert_quiet();
}

#[test]
fn kinds_can_be_hidden_and_come_back_when_one_is_gone_to() {
    if browser::is_missing() {
        return;
    }
    let mut page = Browser::open(&fixture::mirror(), "#t=4760000000-4815000000");
    let label = "read 4096 at 131072";
    page.place(label);
    page.eval("document.querySelector('#filters input[data-kind=read]').click()");
    page.frame();
    assert!(page.eval(&format!("solumTimeline.place({label:?})")).is_null(), "reads are hidden");
    page.eval(
        "[...document.querySelectorAll('#faults button')].find(b => b.innerText.includes('bit rot')).click()",
    );
    page.frame();
    page.place(label);
    assert_eq!(page.eval("document.querySelector('#filters input[data-kind=read]').checked"), true);
    page.assert_quiet();
}

#[test]
fn keys_open_the_help_and_walk_along_a_lane() {
    if browser::is_missing() {
        return;
    }
    let mut page = Browser::open(&fixture::mirror(), "");
    page.key("?", true);
    assert_eq!(page.eval("document.querySelector('#help').open"), true);
    assert!(page.text("#help").contains("Shift"));
    page.key("Escape", false);
    assert_eq!(page.eval("document.querySelector('#help').open"), false);
    page.eval("document.querySelector('#failure').click()");
    page.frame();
    assert_eq!(page.eval("solumTimeline.chosen()"), "disk c differs from disk a at block 131072");
    page.key("p", false);
    let before = page.eval("solumTimeline.chosen()");
    assert!(before.as_str().expect("a text").starts_with("POST /block/"), "{before}");
    page.key("n", false);
    assert_eq!(page.eval("solumTimeline.chosen()"), "disk c differs from disk a at block 131072");
    page.assert_quiet();
}

#[test]
fn the_address_follows_what_is_seen_and_the_replay_command_is_copied() {
    if browser::is_missing() {
        return;
    }
    let mut page = Browser::open(&fixture::mirror(), "");
    page.eval("solumTimeline.see(1000, 5000)");
    page.until("location.hash !== ''");
    let hash = page.eval("location.hash");
    assert_eq!(hash, "#t=1000-5000");
    let permissions = serde_json::json!({ "permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"] });
    page.ask_browser("Browser.grantPermissions", permissions);
    let copy = page.middle("#copy");
    page.click(copy);
    assert_eq!(page.text("#copy"), "Copied");
    let copied = page.eval("navigator.clipboard.readText()");
    assert_eq!(copied, "solum sim examples/mirror --replay m1:k3x9-0f2a77c1-d41");
    page.assert_quiet();
}

#[test]
fn light_and_dark_are_drawn_anew_when_the_scheme_changes() {
    if browser::is_missing() {
        return;
    }
    let mut page = Browser::open(&fixture::mirror(), "");
    let looks =
        "[getComputedStyle(document.body).backgroundColor, document.querySelector('#canvas').toDataURL()]";
    let light = page.eval(looks);
    page.scheme("dark");
    page.frame();
    let dark = page.eval(looks);
    assert_ne!(light[0], dark[0], "the page");
    assert_ne!(light[1], dark[1], "the lanes");
    page.assert_quiet();
}

#[test]
fn hostile_names_and_labels_are_only_text() {
    if browser::is_missing() {
        return;
    }
    let evil = "</script><script>window.broken = 1</script><img src=x onerror='window.broken = 2'><!-- \u{2028} ${1} /*{js}*/";
    let lane = Lane { name: evil.into(), machine: evil.into(), kind: LaneKind::Unit };
    let span = Span {
        lane: 0,
        from_ns: 10,
        to_ns: 90,
        kind: SpanKind::Call,
        label: evil.into(),
        fault: Some(evil.into()),
    };
    let run = Timeline {
        system: evil.into(),
        replay: evil.into(),
        failure: Some(evil.into()),
        end_ns: 100,
        lanes: vec![lane],
        marks: vec![Mark { lane: 0, at_ns: 50, kind: MarkKind::Line, label: evil.into() }],
        spans: vec![span],
        ..Timeline::default()
    };
    let mut page = Browser::open(&run, "");
    page.eval("document.querySelector('#faults button').click()");
    page.frame();
    assert_eq!(page.eval("document.querySelector('#details h2').textContent"), evil);
    assert_eq!(page.eval("document.querySelector('#system').textContent"), evil);
    assert_eq!(page.eval("window.broken === undefined"), true);
    assert_eq!(page.eval("document.images.length"), 0);
    assert_eq!(page.eval("solumTimeline.search('onerror')"), 3, "two items, and the lane");
    page.assert_quiet();
}

#[test]
fn many_lanes_scroll_under_the_names_of_their_machines() {
    if browser::is_missing() {
        return;
    }
    let lane = |i: usize| Lane {
        name: format!("web.{}.unit{i}", i / 20),
        machine: format!("web.{}", i / 20),
        kind: LaneKind::Unit,
    };
    let span = |lane: usize| Span {
        lane,
        from_ns: 400,
        to_ns: 600,
        kind: SpanKind::Call,
        label: format!("call {lane}"),
        fault: None,
    };
    let run = Timeline {
        end_ns: 1000,
        lanes: (0..80).map(lane).collect(),
        spans: (0..80).map(span).collect(),
        ..Timeline::default()
    };
    let mut page = Browser::open(&run, "");
    let names = page.middle("#range");
    let names = (names.0, names.1 + 200.0);
    page.wheel(names, 1000.0);
    page.until("document.querySelector('#stage').scrollTop > 900");
    page.frame();
    let top = "(() => { const b = document.querySelector('#stage').getBoundingClientRect(); \
               return document.elementFromPoint(b.left + 20, b.top + 10).closest('.lane').title; })()";
    assert_eq!(page.eval(top), "web.1", "the machine's name stays above its lanes");
    let widths =
        page.eval("['axis', 'canvas'].map(id => document.getElementById(id).getBoundingClientRect().width)");
    assert_eq!(widths[0], widths[1], "the ticks stand above what they measure");
    let at = page.place("call 30");
    page.hover(at);
    assert!(page.text("#details").contains("web.1.unit30"), "what is pointed at is what is drawn there");
    page.eval("solumTimeline.search('call 79')");
    page.key("/", false);
    page.key("Enter", false);
    let last = page.place("call 79");
    assert!(last.1 < 900.0, "a match is scrolled into sight: {last:?}");
    page.assert_quiet();
}

#[test]
fn odd_runs_are_shown_as_well() {
    if browser::is_missing() {
        return;
    }
    let mut empty = Browser::open(&Timeline::default(), "");
    assert_eq!(empty.text("#fault-count"), "none");
    empty.assert_quiet();
    let lane = Lane { name: "alone".into(), machine: String::new(), kind: LaneKind::Client };
    let late = u64::MAX;
    let mark = |lane, at_ns| Mark { lane, at_ns, kind: MarkKind::Fault, label: "late".into() };
    let marks = vec![mark(0, late - 1), mark(7, 5)];
    let run = Timeline { end_ns: late, lanes: vec![lane], marks, ..Timeline::default() };
    let mut page = Browser::open(&run, "");
    page.eval("document.querySelectorAll('#faults button')[1].click()");
    page.frame();
    let told = page.text("#details").replace('\u{202f}', " ");
    assert!(told.contains("18 446 744 073 709 551 614 ns"), "every digit of a late time: {told}");
    page.assert_quiet();
}

#[test]
fn two_hundred_thousand_items_are_drawn_and_drawn_again() {
    if browser::is_missing() {
        return;
    }
    let mut page = Browser::open(&fixture::large(200_000), "");
    assert!(page.text("#summary").replace('\u{202f}', " ").contains("200 000 items"));
    let shapes = page.eval("solumTimeline.shapes()").as_u64().expect("a number");
    assert!((100..40_000).contains(&shapes), "what shares a pixel is one shape: {shapes}");
    let frames = page.eval("solumTimeline.frames()").as_u64().expect("a number");
    let middle = page.middle("#canvas");
    page.wheel(middle, -250.0);
    assert!(page.eval("solumTimeline.frames()").as_u64().expect("a number") > frames, "it is drawn again");
    page.eval("solumTimeline.see(1000000000, 1000400000)");
    page.frame();
    let near = page.eval("solumTimeline.shapes()").as_u64().expect("a number");
    assert!((10..300).contains(&near), "only what is in sight is drawn: {near}");
    assert_eq!(page.eval("solumTimeline.search('message 25000')"), 1);
    page.assert_quiet();
}
