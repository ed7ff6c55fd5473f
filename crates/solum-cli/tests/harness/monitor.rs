//! QEMU's monitor: what is done to a machine from outside. The protocol is QMP (QEMU, "QEMU Machine Protocol Specification").

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use serde_json::Value;

use super::{Scratch, Solum};

/// A monitor that is listened to.
pub struct Monitor(BufReader<UnixStream>);

impl Monitor {
    /// That of a QEMU that was started with a socket for it.
    #[track_caller]
    pub fn connect(socket: &Path) -> Self {
        let mut monitor = Self(BufReader::new(UnixStream::connect(socket).unwrap()));
        assert!(monitor.hear().get("QMP").is_some(), "it greets");
        monitor.ask(r#"{"execute":"qmp_capabilities"}"#);
        monitor
    }

    /// What it answers to a command.
    #[track_caller]
    pub fn ask(&mut self, command: &str) -> Value {
        writeln!(self.0.get_mut(), "{command}").unwrap();
        loop {
            let mut said = self.hear();
            assert!(said.get("error").is_none(), "{command}: {said}");
            // Events come between.
            if let Some(answer) = said.get_mut("return") {
                return answer.take();
            }
        }
    }

    pub fn press_power_button(&mut self) {
        self.ask(r#"{"execute":"system_powerdown"}"#);
    }

    fn hear(&mut self) -> Value {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap()
    }
}

/// Has a `solum` start its QEMU with a monitor, at the socket `monitor`, and with these words added. What a pattern of the
/// shell describes of the other words is replaced.
pub fn monitored<'a>(
    solum: Solum<'a>,
    scratch: &Scratch,
    replaced: &[(&str, &str)],
    added: &str,
) -> Solum<'a> {
    let emulator = solum_vm::DEFAULT_EMULATOR;
    let cases: String =
        replaced.iter().map(|(pattern, word)| format!("        {pattern}) word=\"{word}\" ;;\n")).collect();
    let script = format!(
        "#!/bin/sh\nPATH=\"${{PATH#*:}}\"\nfor word do\n    shift\n    case \"$word\" in\n{cases}    esac\n    \
         set -- \"$@\" \"$word\"\ndone\nexec {emulator} \"$@\" -qmp 'unix:[SCRATCH]/monitor,server=on,wait=off' {added}\n"
    );
    scratch.executable(&format!("bin/{emulator}"), scratch.expand(&script));
    let path = format!("[SCRATCH]/bin:{}", std::env::var("PATH").unwrap());
    solum.env("PATH", &path)
}
