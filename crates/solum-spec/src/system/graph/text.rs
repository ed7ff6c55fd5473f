//! The languages of Graphviz and Mermaid, which draw for themselves.

use std::fmt::Write;

use super::{Graph, Kind, Line, Node, Pin};

impl Graph {
    /// The picture in the language of Graphviz.
    pub fn dot(&self) -> String {
        let mut out = format!("digraph {} {{\n", dot_text(&self.name));
        out += "  rankdir=LR;\n  compound=true;\n  node [fontname=\"sans-serif\", fontsize=11, shape=box];\n";
        out += "  edge [fontname=\"sans-serif\", fontsize=10];\n";
        for (machine, frame) in self.machines.iter().enumerate() {
            let _ = writeln!(out, "  subgraph cluster_{machine} {{");
            let _ = writeln!(out, "    label={};", dot_text(&frame_title(frame)));
            for (node, shown) in frame.nodes.iter().enumerate() {
                let shape = match shown.kind {
                    Kind::Unit => "box, style=bold",
                    Kind::Disk => "cylinder",
                    Kind::Screen => "box, peripheries=2",
                    Kind::Keys | Kind::Tcp => "ellipse",
                };
                let _ = writeln!(
                    out,
                    "    n{machine}_{node} [label={}, shape={shape}];",
                    dot_text(&node_title(shown))
                );
            }
            out += "  }\n";
        }
        for line in &self.lines {
            let style = if line.is_remote { ", style=dashed" } else { "" };
            let label = dot_text(&self.line_title(line));
            let _ = writeln!(out, "  {} -> {} [label={label}{style}];", id(line.from), id(line.to));
        }
        out + "}\n"
    }

    /// The picture in the language of Mermaid.
    pub fn mermaid(&self) -> String {
        let mut out = format!("---\ntitle: {}\n---\nflowchart LR\n", self.name);
        for (machine, frame) in self.machines.iter().enumerate() {
            let _ = writeln!(out, "  subgraph m{machine}[{}]", mermaid_text(&frame_title(frame)));
            for (node, shown) in frame.nodes.iter().enumerate() {
                let (open, close) = match shown.kind {
                    Kind::Unit => ("[", "]"),
                    Kind::Disk => ("[(", ")]"),
                    Kind::Screen => ("[[", "]]"),
                    Kind::Keys | Kind::Tcp => ("([", "])"),
                };
                let _ =
                    writeln!(out, "    n{machine}_{node}{open}{}{close}", mermaid_text(&node_title(shown)));
            }
            out += "  end\n";
        }
        for line in &self.lines {
            let arrow = if line.is_remote { "-.->" } else { "-->" };
            let title = self.line_title(line);
            let label = if title.is_empty() { String::new() } else { format!("|{}|", mermaid_text(&title)) };
            let _ = writeln!(out, "  {} {arrow}{label} {}", id(line.from), id(line.to));
        }
        out
    }

    fn node(&self, pin: Pin) -> &Node {
        &self.machines[pin.machine].nodes[pin.node]
    }

    /// `volume → volume: disk`, as far as the ends have names.
    fn line_title(&self, line: &Line) -> String {
        let from = &self.node(line.from).right[line.from.port];
        let to = &self.node(line.to).left[line.to.port];
        let ports = match (from.as_str(), to.as_str()) {
            ("", port) | (port, "") => port.to_owned(),
            (from, to) if from == to => from.to_owned(),
            (from, to) => format!("{from} → {to}"),
        };
        if line.label.is_empty() { ports } else { format!("{ports}: {}", line.label) }
    }
}

fn id(pin: Pin) -> String {
    format!("n{}_{}", pin.machine, pin.node)
}

fn frame_title(frame: &super::Frame) -> String {
    let times = frame.count.map_or_else(String::new, |count| format!(" × {count}"));
    format!("{}{times}\n{}", frame.name, frame.detail)
}

fn node_title(node: &Node) -> String {
    if node.detail.is_empty() { node.name.clone() } else { format!("{}\n{}", node.name, node.detail) }
}

/// A string of Graphviz: in quotes, in which only quotes and the escape itself are special.
fn dot_text(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}

/// A string of Mermaid: in quotes, with entities for what has a meaning.
fn mermaid_text(text: &str) -> String {
    let mut out = String::from("\"");
    for character in text.chars() {
        match character {
            '\n' => out += "<br>",
            '"' | '#' | '<' | '>' | '&' | '|' | ';' => {
                let _ = write!(out, "#{};", u32::from(character));
            }
            _ => out.push(character),
        }
    }
    out + "\""
}
