//! What the programs of a description declare, from its comments.

use solum_spec::ports::{Count, Declaration, Direction, Interface, Port};
use solum_spec::system::Ports;

/// Reads `# program NAME: uses PORT INTERFACE [one|optional|many], serves PORT INTERFACE, …`.
pub fn ports(text: &str) -> Ports {
    text.lines()
        .filter_map(|line| line.strip_prefix("# program "))
        .map(|line| {
            let (name, declared) = line.split_once(':').unwrap();
            let declared = declared.split(',').map(str::trim).filter(|port| !port.is_empty());
            (name.to_owned(), Some(declared.map(declaration).collect()))
        })
        .collect()
}

fn declaration(text: &str) -> Declaration {
    let words: Vec<&str> = text.split_whitespace().collect();
    let direction = match words[0] {
        "uses" => Direction::Uses,
        "serves" => Direction::Serves,
        other => panic!("a port uses or serves, and does not `{other}`"),
    };
    let count = match words.get(3) {
        None | Some(&"one") => Count::One,
        Some(&"optional") => Count::Optional,
        Some(&"many") => Count::Many,
        Some(other) => panic!("there is no count `{other}`"),
    };
    let (rest, fingerprint) = words[2].split_once('#').unwrap_or((words[2], "0"));
    let (name, version) = rest.split_once('@').unwrap_or((rest, "1"));
    let interface = Interface {
        name: name.to_owned(),
        version: version.parse().unwrap(),
        fingerprint: fingerprint.parse().unwrap(),
    };
    Port { name: words[1].to_owned(), interface, direction, count }
}
