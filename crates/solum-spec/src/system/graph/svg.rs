//! The picture as SVG: drawn here, so it needs no other program and is the same everywhere.

use std::collections::BTreeMap;
use std::fmt::Write;

use unicode_width::UnicodeWidthChar;

use super::layered::{self, Item, Layout, Place, Wire};
use super::{Frame, Graph, Kind, Line, Node, Pin};

const MARGIN: f64 = 32.0;
const TITLE: f64 = 56.0;
const LEGEND: f64 = 34.0;
/// Between a machine's edge and what is in it.
const PADDING: f64 = 22.0;
const FRAME_HEAD: f64 = 50.0;
/// How far the machines that are alike stand out behind the first.
const STACK: f64 = 5.0;
const UNIT_HEAD: f64 = 30.0;
const UNIT_DETAIL: f64 = 15.0;
const PORT: f64 = 22.0;
const DEVICE: f64 = 46.0;
const PILL: f64 = 28.0;
const ARROW: f64 = 8.0;
/// Between wires that lead back, below everything.
const BACK: f64 = 16.0;

const NAME: Font = Font { size: 13.0, is_bold: true };
const SMALL: Font = Font { size: 11.0, is_bold: false };
const MACHINE: Font = Font { size: 15.0, is_bold: true };

const STYLE: &str = "\
.page{fill:#ffffff}text{font-family:system-ui,'Segoe UI','Noto Sans','DejaVu Sans',sans-serif;fill:#1f2933}\
.title{font-size:20px;font-weight:700}.machine-name{font-size:15px;font-weight:700}\
.name{font-size:13px;font-weight:700}.small{font-size:11px;fill:#5b6875}.port{font-size:11px;fill:#364454}\
.frame{fill:#f4f6f8;stroke:#c3ccd5}.unit{fill:#ffffff;stroke:#4a5a6a;stroke-width:1.3}\
.rule{stroke:#dfe5ea}.disk{fill:#fff3dc;stroke:#b27a1c;stroke-width:1.2}\
.screen{fill:#efe9ff;stroke:#6b52b5;stroke-width:1.2}.inner{fill:none;stroke:#6b52b5;opacity:.45}\
.input{fill:#e3f1fd;stroke:#2672b0;stroke-width:1.2}.wire{fill:none;stroke:#8a97a5;stroke-width:1.6}\
.link{stroke:#137a56}.remote{stroke-dasharray:6 4}.arrow{fill:#8a97a5}.arrow.link{fill:#137a56;stroke:none}\
.served{fill:#137a56}.used{fill:#ffffff;stroke:#137a56;stroke-width:1.4}.plain{fill:#8a97a5}\
.label{fill:#e2f5ec;stroke:#a5d8c1}.label-text{font-size:11px;fill:#0e5c41}\
@media (prefers-color-scheme:dark){.page{fill:#12171c}text{fill:#e6ebf0}.small{fill:#9fadba}.port{fill:#c3cdd6}\
.frame{fill:#1b2229;stroke:#3a4652}.unit{fill:#242d36;stroke:#8595a5}.rule{stroke:#3a4652}\
.disk{fill:#3a2f1a;stroke:#d9a54b}.screen{fill:#2c2544;stroke:#a48fe6}.inner{stroke:#a48fe6}\
.input{fill:#172b3c;stroke:#5fa8e0}.used{fill:#242d36}.label{fill:#14382b;stroke:#2c6b52}.label-text{fill:#a9e3cb}}";

/// A way of writing, as far as widths depend on it.
#[derive(Clone, Copy)]
struct Font {
    size: f64,
    is_bold: bool,
}

impl Font {
    /// The width of a text in the widest of the usual fonts (DejaVu Sans), so that it fits in any.
    fn width(self, text: &str) -> f64 {
        let em = |character: char| match character {
            'i' | 'j' | 'l' | '.' | ',' | ':' | ';' | '\'' | '|' | '!' | ' ' => 0.33,
            'f' | 't' | 'r' | '-' | '(' | ')' | '/' => 0.42,
            'm' | 'w' | 'M' | 'W' | '@' | '%' => 0.98,
            'A'..='Z' => 0.74,
            _ => 0.64 * character.width().unwrap_or(0).max(1) as f64,
        };
        let ems: f64 = text.chars().map(em).sum();
        (ems * self.size * if self.is_bold { 1.1 } else { 1.0 }).ceil()
    }
}

impl Graph {
    /// The picture as SVG.
    pub fn svg(&self) -> String {
        Picture::new(self).drawn()
    }
}

/// A machine, laid out.
struct Inside {
    layout: Layout,
    width: f64,
    height: f64,
    /// Where wires come in: the pin they lead to, the height, and the wire in the layout.
    entries: Vec<(Pin, f64, usize)>,
    /// Where wires go out: the pin they come from, the height, and the wire in the layout.
    exits: Vec<(Pin, f64, usize)>,
    /// The lines within, each with its wire in the layout.
    local: Vec<(usize, usize)>,
}

struct Picture<'a> {
    graph: &'a Graph,
    /// What is written at the end of wires, by the pin where they end.
    labels: BTreeMap<Pin, String>,
    machines: Vec<Inside>,
    outside: Layout,
    /// The lines between machines, each with its wire in `outside`.
    lines: Vec<(usize, usize)>,
}

impl<'a> Picture<'a> {
    fn new(graph: &'a Graph) -> Self {
        let labels = labels(graph);
        let machines: Vec<Inside> =
            (0..graph.machines.len()).map(|machine| inside(graph, &labels, machine)).collect();
        let items: Vec<Item> = machines
            .iter()
            .zip(&graph.machines)
            .map(|(inside, frame)| Item {
                width: inside.width + stack(frame),
                height: inside.height + stack(frame),
                left: inside.entries.iter().map(|(_, y, _)| *y).collect(),
                right: inside.exits.iter().map(|(_, y, _)| *y).collect(),
                place: Place::Free,
                least: 0,
            })
            .collect();
        let mut lines = Vec::new();
        let mut wires = Vec::new();
        for (index, line) in graph.lines.iter().enumerate().filter(|(_, line)| leaves(line)) {
            let exit = machines[line.from.machine].exits.iter().position(|(pin, ..)| *pin == line.from);
            let entry = machines[line.to.machine].entries.iter().position(|(pin, ..)| *pin == line.to);
            let (Some(exit), Some(entry)) = (exit, entry) else { continue };
            lines.push((index, wires.len()));
            wires.push(Wire {
                from: (line.from.machine, exit),
                to: (line.to.machine, entry),
                label_width: 0.0,
            });
        }
        let outside = layered::draw(&items, &wires);
        Self { graph, labels, machines, outside, lines }
    }

    /// The upper left corner of a machine.
    fn corner(&self, machine: usize) -> (f64, f64) {
        let (x, y) = self.outside.items[machine];
        (x + MARGIN, y + TITLE + MARGIN / 2.0)
    }

    /// The upper left corner of a node.
    fn node(&self, machine: usize, node: usize) -> (f64, f64) {
        let (left, top) = self.corner(machine);
        let (x, y) = self.machines[machine].layout.items[node];
        (left + PADDING + x, top + FRAME_HEAD + y)
    }

    fn drawn(&self) -> String {
        let backward = self.outside.backward.iter().filter(|back| **back).count();
        let has_legend = self.graph.lines.iter().any(|line| line.is_remote);
        let lanes = if backward > 0 { BACK * (backward + 1) as f64 } else { 0.0 };
        let title_width = Font { size: 20.0, is_bold: true }.width(&self.graph.name);
        let legend_width = if has_legend { 330.0 } else { 0.0 };
        let width = self.outside.width.max(title_width).max(legend_width) + 2.0 * MARGIN;
        let legend = if has_legend { LEGEND } else { 0.0 };
        let height = TITLE + MARGIN / 2.0 + self.outside.height + lanes + legend + MARGIN;
        let mut out = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
             height=\"{height}\" role=\"img\">\n<title>{}</title>\n<style>{STYLE}</style>\n\
             <rect class=\"page\" width=\"{width}\" height=\"{height}\"/>\n",
            escaped(&format!("The system {}", self.graph.name))
        );
        text(&mut out, "title", (MARGIN, 42.0), "start", &self.graph.name);
        for (machine, frame) in self.graph.machines.iter().enumerate() {
            self.frame(&mut out, machine, frame);
        }
        self.wires(&mut out);
        for (machine, frame) in self.graph.machines.iter().enumerate() {
            for (number, node) in frame.nodes.iter().enumerate() {
                draw_node(&mut out, self.node(machine, number), node);
            }
        }
        for (pin, label) in &self.labels {
            self.label(&mut out, *pin, label);
        }
        if has_legend {
            draw_legend(&mut out, height - MARGIN);
        }
        out + "</svg>\n"
    }

    fn frame(&self, out: &mut String, machine: usize, frame: &Frame) {
        let (x, y) = self.corner(machine);
        let Inside { width, height, .. } = self.machines[machine];
        let behind = if frame.count.is_some_and(|count| count > 1) { 2 } else { 0 };
        for step in (0..=behind).rev() {
            let offset = f64::from(step) * STACK;
            rectangle(out, "frame", (x + offset, y + offset), (width, height), 10.0);
        }
        let times = frame.count.map_or_else(String::new, |count| format!(" × {count}"));
        text(out, "machine-name", (x + 16.0, y + 24.0), "start", &format!("{}{times}", frame.name));
        text(out, "small", (x + 16.0, y + 40.0), "start", &frame.detail);
    }

    fn wires(&self, out: &mut String) {
        for (machine, inside) in self.machines.iter().enumerate() {
            let shift = self.shift(machine);
            for (line, wire) in &inside.local {
                let points = inside.layout.wires[*wire].iter().map(|point| shift(*point)).collect();
                self.wire(out, &self.graph.lines[*line], &smooth(points));
            }
        }
        let mut back = 0;
        for (line, wire) in &self.lines {
            let line = &self.graph.lines[*line];
            let before = self.leaving(line.from);
            let after = self.arriving(line.to);
            if self.outside.backward[*wire] {
                back += 1;
                self.wire(out, line, &self.around(before, after, back));
                continue;
            }
            let between = self.outside.wires[*wire].iter();
            let between = between.map(|(x, y)| (x + MARGIN, y + TITLE + MARGIN / 2.0));
            let points = before.into_iter().chain(between).chain(after).collect();
            self.wire(out, line, &smooth(points));
        }
    }

    /// From a machine's own measure to that of the picture.
    fn shift(&self, machine: usize) -> impl Fn((f64, f64)) -> (f64, f64) {
        let (left, top) = self.corner(machine);
        move |(x, y)| (left + PADDING + x, top + FRAME_HEAD + y)
    }

    /// A wire from its unit to the edge of its machine.
    fn leaving(&self, pin: Pin) -> Vec<(f64, f64)> {
        let inside = &self.machines[pin.machine];
        let (left, _) = self.corner(pin.machine);
        let found = inside.exits.iter().find(|(known, ..)| *known == pin);
        let wire = found.map_or(&[][..], |(.., wire)| &inside.layout.wires[*wire]);
        let mut points: Vec<_> = wire.iter().map(|point| self.shift(pin.machine)(*point)).collect();
        points.extend(points.last().map(|(_, y)| (left + inside.width, *y)));
        points
    }

    /// A wire from the edge of a machine to its unit.
    fn arriving(&self, pin: Pin) -> Vec<(f64, f64)> {
        let inside = &self.machines[pin.machine];
        let (left, _) = self.corner(pin.machine);
        let found = inside.entries.iter().find(|(known, ..)| *known == pin);
        let wire = found.map_or(&[][..], |(.., wire)| &inside.layout.wires[*wire]);
        let points: Vec<_> = wire.iter().map(|point| self.shift(pin.machine)(*point)).collect();
        let edge = points.first().map(|(_, y)| (left, *y));
        edge.into_iter().chain(points).collect()
    }

    /// A wire that leads back to a machine on the left: below everything.
    fn around(&self, before: Vec<(f64, f64)>, after: Vec<(f64, f64)>, number: usize) -> String {
        let (Some(start), Some(end)) = (before.last().copied(), after.first().copied()) else {
            return String::new();
        };
        let aside = 10.0 + 5.0 * number as f64;
        let below = TITLE + MARGIN / 2.0 + self.outside.height + BACK * number as f64;
        // Beyond the column, whose machines may be wider than this one.
        let columns = self.outside.items.iter().zip(&self.machines).zip(&self.graph.machines);
        let right = columns
            .filter(|(((x, _), inside), _)| (x + MARGIN..=x + MARGIN + inside.width).contains(&start.0))
            .map(|(((x, _), inside), frame)| x + MARGIN + inside.width + stack(frame))
            .fold(start.0, f64::max);
        let corners = [
            (right + aside, start.1),
            (right + aside, below),
            (end.0 - aside, below),
            (end.0 - aside, end.1),
        ];
        let mut path = smooth(before);
        path += &rounded(&corners, end);
        path + &smooth(after).replacen('M', "L", 1)
    }

    fn wire(&self, out: &mut String, line: &Line, path: &str) {
        let ends = self.graph.machines[line.to.machine].nodes[line.to.node].kind == Kind::Unit;
        let starts = self.graph.machines[line.from.machine].nodes[line.from.node].kind == Kind::Unit;
        let kind = if ends && starts { " link" } else { "" };
        let remote = if line.is_remote { " remote" } else { "" };
        let _ = writeln!(out, "<path class=\"wire{kind}{remote}\" d=\"{path}\"/>");
        let (x, y) = self.node(line.to.machine, line.to.node);
        let y = y + pin_height(&self.graph.machines[line.to.machine].nodes[line.to.node], line.to.port);
        let _ = writeln!(
            out,
            "<path class=\"arrow{kind}\" d=\"M{} {}L{} {y}L{} {}Z\"/>",
            x - ARROW - 3.0,
            y - 4.5,
            x - 2.0,
            x - ARROW - 3.0,
            y + 4.5
        );
    }

    fn label(&self, out: &mut String, pin: Pin, label: &str) {
        let (x, y) = self.node(pin.machine, pin.node);
        let y = y + pin_height(&self.graph.machines[pin.machine].nodes[pin.node], pin.port);
        let width = SMALL.width(label) + 12.0;
        let left = x - ARROW - 4.0 - width;
        rectangle(out, "label", (left, y - 8.5), (width, 17.0), 8.5);
        text(out, "label-text", (left + width / 2.0, y + 4.0), "middle", label);
    }
}

fn leaves(line: &Line) -> bool {
    line.from.machine != line.to.machine
}

fn stack(frame: &Frame) -> f64 {
    if frame.count.is_some_and(|count| count > 1) { 2.0 * STACK } else { 0.0 }
}

/// What is written where wires end; lines to one port mostly say the same.
fn labels(graph: &Graph) -> BTreeMap<Pin, String> {
    let mut all: BTreeMap<Pin, Vec<&str>> = BTreeMap::new();
    for line in graph.lines.iter().filter(|line| !line.label.is_empty()) {
        let labels = all.entry(line.to).or_default();
        if !labels.contains(&line.label.as_str()) {
            labels.push(&line.label);
        }
    }
    all.into_iter().map(|(pin, labels)| (pin, labels.join(", "))).collect()
}

/// Lays out the inside of a machine, with a gap at its edges for each wire that crosses them.
fn inside(graph: &Graph, labels: &BTreeMap<Pin, String>, machine: usize) -> Inside {
    let frame = &graph.machines[machine];
    let mut items: Vec<Item> = frame.nodes.iter().map(item).collect();
    // Units stand below each other, whether something comes in or not.
    if frame.nodes.iter().any(|node| node.kind.is_input()) {
        for (item, node) in items.iter_mut().zip(&frame.nodes) {
            item.least = usize::from(!node.kind.is_input());
        }
    }
    let mut wires = Vec::new();
    let (mut entries, mut exits) = (Vec::<(Pin, usize, usize)>::new(), Vec::<(Pin, usize, usize)>::new());
    let mut local = Vec::new();
    let label_width =
        |pin: Pin| labels.get(&pin).map_or(ARROW, |label| SMALL.width(label) + 12.0 + ARROW + 12.0);
    let gate = |place| Item { width: 0.0, height: 12.0, left: vec![6.0], right: vec![6.0], place, least: 0 };
    for (index, line) in graph.lines.iter().enumerate() {
        let (from, to) = ((line.from.node, line.from.port), (line.to.node, line.to.port));
        if !leaves(line) && line.from.machine == machine {
            local.push((index, wires.len()));
            wires.push(Wire { from, to, label_width: label_width(line.to) });
            continue;
        }
        if line.to.machine == machine && !entries.iter().any(|(pin, ..)| *pin == line.to) {
            entries.push((line.to, items.len(), wires.len()));
            wires.push(Wire { from: (items.len(), 0), to, label_width: label_width(line.to) });
            items.push(gate(Place::First));
        }
        if line.from.machine == machine && !exits.iter().any(|(pin, ..)| *pin == line.from) {
            exits.push((line.from, items.len(), wires.len()));
            wires.push(Wire { from, to: (items.len(), 0), label_width: 0.0 });
            items.push(gate(Place::Last));
        }
    }
    let layout = layered::draw(&items, &wires);
    let times = frame.count.map_or_else(String::new, |count| format!(" × {count}"));
    let head = MACHINE.width(&format!("{}{times}", frame.name)).max(SMALL.width(&frame.detail)) + 32.0;
    let with_height = |gates: Vec<(Pin, usize, usize)>| {
        let height = |item: usize| FRAME_HEAD + layout.items[item].1 + 6.0;
        gates.into_iter().map(|(pin, item, wire)| (pin, height(item), wire)).collect()
    };
    Inside {
        width: (layout.width + 2.0 * PADDING).max(head),
        height: FRAME_HEAD + layout.height + PADDING,
        entries: with_height(entries),
        exits: with_height(exits),
        local,
        layout,
    }
}

fn item(node: &Node) -> Item {
    let (width, height) = size(node);
    let pins = |ports: &[String]| (0..ports.len()).map(|port| pin_height(node, port)).collect();
    Item { width, height, left: pins(&node.left), right: pins(&node.right), place: Place::Free, least: 0 }
}

fn size(node: &Node) -> (f64, f64) {
    let names = NAME.width(&node.name).max(SMALL.width(&node.detail));
    match node.kind {
        Kind::Unit => {
            let rows = node.left.len().max(node.right.len());
            let ports = (0..rows).map(|row| {
                let width = |ports: &[String]| ports.get(row).map_or(0.0, |port| SMALL.width(port) + 14.0);
                width(&node.left) + width(&node.right) + 18.0
            });
            let width = ports.fold((names + 28.0).max(104.0), f64::max);
            (width, head(node) + PORT * rows as f64 + if rows > 0 { 6.0 } else { 2.0 })
        }
        Kind::Disk | Kind::Screen => (names + 30.0, DEVICE),
        Kind::Keys | Kind::Tcp => (NAME.width(&node.name) + 26.0, PILL),
    }
}

/// The height of a unit above its ports.
fn head(node: &Node) -> f64 {
    UNIT_HEAD + if node.detail.is_empty() { 0.0 } else { UNIT_DETAIL }
}

/// How far below the top of its node a pin is.
fn pin_height(node: &Node, port: usize) -> f64 {
    match node.kind {
        Kind::Unit => head(node) + PORT * (port as f64 + 0.5) + 2.0,
        Kind::Disk | Kind::Screen => DEVICE / 2.0,
        Kind::Keys | Kind::Tcp => PILL / 2.0,
    }
}

fn draw_node(out: &mut String, (x, y): (f64, f64), node: &Node) {
    let (width, height) = size(node);
    let middle = x + width / 2.0;
    match node.kind {
        Kind::Unit => draw_unit(out, (x, y), node),
        Kind::Disk => {
            // A cylinder: its upper rim is drawn whole.
            let _ = writeln!(
                out,
                "<path class=\"disk\" d=\"M{x} {top}a{radius} 6 0 0 1 {width} 0v{side}a{radius} 6 0 0 1 -{width} 0z\
                 M{x} {top}a{radius} 6 0 0 0 {width} 0\"/>",
                top = y + 6.0,
                radius = width / 2.0,
                side = height - 12.0
            );
            text(out, "name", (middle, y + 26.0), "middle", &node.name);
            text(out, "small", (middle, y + 39.0), "middle", &node.detail);
        }
        Kind::Screen => {
            rectangle(out, "screen", (x, y), (width, height), 6.0);
            rectangle(out, "inner", (x + 4.0, y + 4.0), (width - 8.0, height - 8.0), 3.0);
            text(out, "name", (middle, y + 21.0), "middle", &node.name);
            text(out, "small", (middle, y + 35.0), "middle", &node.detail);
        }
        Kind::Keys | Kind::Tcp => {
            rectangle(out, "input", (x, y), (width, height), height / 2.0);
            text(out, "name", (middle, y + 18.5), "middle", &node.name);
        }
    }
}

fn draw_unit(out: &mut String, (x, y): (f64, f64), node: &Node) {
    let (width, height) = size(node);
    rectangle(out, "unit", (x, y), (width, height), 7.0);
    text(out, "name", (x + width / 2.0, y + 20.0), "middle", &node.name);
    if !node.detail.is_empty() {
        text(out, "small", (x + width / 2.0, y + 35.0), "middle", &node.detail);
    }
    if !(node.left.is_empty() && node.right.is_empty()) {
        let rule = y + head(node) - 1.0;
        let _ = writeln!(out, "<path class=\"rule\" d=\"M{} {rule}H{}\"/>", x + 1.0, x + width - 1.0);
    }
    for (row, port) in node.left.iter().enumerate() {
        let pin = y + pin_height(node, row);
        let _ = writeln!(out, "<circle class=\"served\" cx=\"{x}\" cy=\"{pin}\" r=\"3.5\"/>");
        text(out, "port", (x + 10.0, pin + 4.0), "start", port);
    }
    for (row, port) in node.right.iter().enumerate() {
        let pin = y + pin_height(node, row);
        let _ = writeln!(out, "<circle class=\"used\" cx=\"{}\" cy=\"{pin}\" r=\"3.5\"/>", x + width);
        text(out, "port", (x + width - 10.0, pin + 4.0), "end", port);
    }
}

fn draw_legend(out: &mut String, y: f64) {
    let lines = [
        ("link", "a link within a machine", MARGIN),
        ("link remote", "a link over the network", MARGIN + 180.0),
    ];
    for (class, what, x) in lines {
        let _ = writeln!(out, "<path class=\"wire {class}\" d=\"M{x} {y}h30\"/>");
        text(out, "small", (x + 38.0, y + 4.0), "start", what);
    }
}

fn rectangle(out: &mut String, class: &str, (x, y): (f64, f64), (width, height): (f64, f64), radius: f64) {
    let _ = writeln!(
        out,
        "<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" rx=\"{radius}\"/>"
    );
}

fn text(out: &mut String, class: &str, (x, y): (f64, f64), anchor: &str, content: &str) {
    let content = escaped(content);
    let _ = writeln!(
        out,
        "<text class=\"{class}\" x=\"{x}\" y=\"{y}\" text-anchor=\"{anchor}\">{content}</text>"
    );
}

/// A path through points: straight where the height stays, else a bend that begins and ends level.
fn smooth(points: Vec<(f64, f64)>) -> String {
    let mut path = String::new();
    let mut last: Option<(f64, f64)> = None;
    for (x, y) in points {
        let _ = match last {
            None => write!(path, "M{x} {y}"),
            Some((_, before)) if (before - y).abs() < 0.01 => write!(path, "H{x}"),
            Some((from, before)) => {
                let middle = (from + x) / 2.0;
                write!(path, "C{middle} {before} {middle} {y} {x} {y}")
            }
        };
        last = Some((x, y));
    }
    path
}

/// Straight pieces with rounded corners; the last leads to `end`.
fn rounded(corners: &[(f64, f64)], end: (f64, f64)) -> String {
    const RADIUS: f64 = 8.0;
    let mut path = String::new();
    let mut from: Option<(f64, f64)> = None;
    for (index, corner) in corners.iter().enumerate() {
        let to = corners.get(index + 1).copied().unwrap_or(end);
        let before = from.unwrap_or((corner.0 - 2.0 * RADIUS, corner.1));
        let near = |other: (f64, f64)| {
            let (dx, dy) = (other.0 - corner.0, other.1 - corner.1);
            // One of them is 0.
            let length = (dx.abs() + dy.abs()).max(0.001);
            let step = RADIUS.min(length / 2.0) / length;
            (corner.0 + dx * step, corner.1 + dy * step)
        };
        let ((ax, ay), (bx, by)) = (near(before), near(to));
        let _ = write!(path, "L{ax} {ay}Q{} {} {bx} {by}", corner.0, corner.1);
        from = Some(*corner);
    }
    path
}

/// Text within XML. Characters that XML cannot hold are left out.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            control if control.is_control() => {}
            other => out.push(other),
        }
    }
    out
}
