//! QMP, QEMU's monitor protocol: one JSON object a line (docs/interop/qmp-spec in QEMU's sources).

use serde_json::{Value, json};

/// A longer line is no QMP.
const LINE_MAX: usize = 1 << 20;

/// What QEMU says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Message {
    /// A command was carried out, or refused.
    Reply,
    /// The machine is off (`SHUTDOWN`), and QEMU is about to end.
    Off,
    /// Anything else.
    Other,
}

/// A command as a line.
pub(crate) fn command(name: &str) -> String {
    format!("{}\n", json!({ "execute": name }))
}

/// Takes bytes as they arrive and gives back messages.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    partial: Vec<u8>,
}

impl Reader {
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Vec<Message> {
        self.partial.extend_from_slice(bytes);
        let mut messages = Vec::new();
        while let Some(end) = self.partial.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = self.partial.drain(..=end).collect();
            messages.push(parse(&line));
        }
        if self.partial.len() > LINE_MAX {
            self.partial.clear();
        }
        messages
    }
}

fn parse(line: &[u8]) -> Message {
    let Ok(Value::Object(object)) = serde_json::from_slice(line) else { return Message::Other };
    if object.contains_key("return") || object.contains_key("error") {
        return Message::Reply;
    }
    match object.get("event").and_then(Value::as_str) {
        Some("SHUTDOWN") => Message::Off,
        _ => Message::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_told_apart_however_they_arrive() {
        let session = concat!(
            r#"{"QMP": {"version": {"qemu": {"micro": 22, "minor": 2, "major": 7}}, "capabilities": ["oob"]}}"#,
            "\r\n",
            r#"{"return": {}}"#,
            "\r\n",
            r#"{"timestamp": {"seconds": 1, "microseconds": 2}, "event": "RESUME"}"#,
            "\r\n",
            r#"{"timestamp": {}, "event": "SHUTDOWN", "data": {"guest": true, "reason": "guest-shutdown"}}"#,
            "\r\n",
            r#"{"error": {"class": "CommandNotFound", "desc": "The command x has not been found"}}"#,
            "\r\nno json\r\n",
        );
        for chunk in 1..session.len() {
            let mut reader = Reader::default();
            let seen: Vec<Message> =
                session.as_bytes().chunks(chunk).flat_map(|bytes| reader.push(bytes)).collect();
            use Message::{Off, Other, Reply};
            assert_eq!(seen, [Other, Reply, Other, Off, Reply, Other], "in chunks of {chunk}");
        }
    }

    #[test]
    fn commands_are_lines_of_json() {
        assert_eq!(command("system_powerdown"), "{\"execute\":\"system_powerdown\"}\n");
    }
}
