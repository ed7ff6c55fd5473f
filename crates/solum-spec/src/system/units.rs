//! Units: what each of them runs, and how.

use super::diagnostic::Diagnostic;
use super::draft::{DraftPlug, DraftUnit, Reader, in_text_order};
use super::programs::{unusable, with_nul};
use super::raw::{self, Located, Named, OneOrMany};
use super::target::{self, Target, TargetError};
use super::{Asset, Machine, Unit, names};
use crate::description::Readiness;
use crate::{Bundle, ByteSize};

const READY_WITHIN_MS: u32 = 30_000;
const GRACE_MS: u32 = 10_000;
const LOG: ByteSize = ByteSize::mebibytes(1);

/// The beginning of the variables by which a supervisor tells a program about itself.
const OWN_VARIABLES: &str = "SOLUM_";

pub(super) fn read(
    reader: &mut Reader<'_>,
    machine: &Machine,
    name: Located<String>,
    raw: raw::Unit,
) -> DraftUnit {
    names::check(reader, "unit", &name);
    let unusable_arguments = raw.arguments.iter().filter_map(|word| with_nul("arguments", word));
    reader.diagnostics.extend(unusable_arguments);
    let memory = raw.memory.as_ref().map(|memory| reader.size("memory", Some(memory), machine.memory));
    let assets_at = raw.assets.keys().map(|target| target.span.clone()).min_by_key(|at| at.start);
    let unit = Unit {
        name: name.value.clone(),
        program: raw.program.as_ref().map(|program| program.value.clone()).unwrap_or_default(),
        arguments: raw.arguments.into_iter().map(|word| word.value).collect(),
        environment: environment(reader, raw.environment),
        assets: assets(reader, raw.assets),
        memory,
        cores: raw.cores.map(|cores| cores.value),
        restart: raw.restart.map(|restart| restart.value).unwrap_or_default(),
        needs: raw.needs.iter().map(|unit| unit.value.clone()).collect(),
        ready: Readiness::Start,
        ready_within_ms: reader.milliseconds(raw.ready_within.as_ref(), READY_WITHIN_MS),
        grace_ms: reader.milliseconds(raw.grace.as_ref(), GRACE_MS),
        log: log(reader, machine, raw.log.as_ref()),
        wait: raw.wait.iter().map(|wait| wait.value).collect(),
        root: raw.root.as_ref().is_some_and(|root| root.value),
        plugs: Vec::new(),
    };
    let program = raw.program.unwrap_or_else(|| name.as_ref().map(|_| String::new()));
    DraftUnit {
        plugs: plugs(reader, raw.ports),
        program,
        needs: raw.needs,
        ready: raw.ready,
        assets_at,
        root_at: raw.root.filter(|root| root.value).map(|root| root.span),
        unit,
        name,
    }
}

fn log(reader: &mut Reader<'_>, machine: &Machine, written: Option<&Located<String>>) -> ByteSize {
    let log = reader.size("log", written, LOG);
    if let Some(written) = written.filter(|_| log > machine.memory) {
        reader.wrong(
            Diagnostic::new(
                written.span.clone(),
                format!(
                    "a log of {log} does not fit machine `{}`, which has {}",
                    machine.name, machine.memory
                ),
            )
            .hint("logs lie in memory: write a smaller size".to_owned()),
        );
    }
    log
}

fn environment(reader: &mut Reader<'_>, environment: Named<Located<String>>) -> Vec<(String, String)> {
    let entries = in_text_order(environment);
    for (name, value) in &entries {
        if name.value.is_empty() || name.value.contains(['=', '\0']) {
            let message =
                format!("`{}` cannot be the name of an environment variable", name.value.escape_debug());
            reader.wrong(Diagnostic::new(name.span.clone(), message));
        } else if name.value.starts_with(OWN_VARIABLES) {
            let message = format!("variables that begin with `{OWN_VARIABLES}` are set by the supervisor");
            reader.wrong(Diagnostic::new(name.span.clone(), message).hint("choose another name".to_owned()));
        }
        reader.diagnostics.extend(with_nul(&name.value, value));
    }
    entries.into_iter().map(|(name, value)| (name.value, value.value)).collect()
}

fn assets(reader: &mut Reader<'_>, assets: Named<Located<String>>) -> Vec<Asset> {
    let entries = in_text_order(assets);
    for (target, source) in &entries {
        reader.diagnostics.extend(unusable("assets", source));
        if !target.value.starts_with('/') {
            reader.wrong(
                Diagnostic::new(target.span.clone(), format!("`{}` is not an absolute path", target.value))
                    .label("where the program finds it")
                    .hint(format!("write `assets.\"/{}\" = \"{}\"`", target.value, source.value)),
            );
        } else if let Err(reason) = Bundle::check_target(&target.value) {
            reader.wrong(Diagnostic::new(target.span.clone(), format!("`{}` {reason}", target.value)));
        }
    }
    entries.into_iter().map(|(target, source)| Asset { target: target.value, source: source.value }).collect()
}

fn plugs(reader: &mut Reader<'_>, ports: Named<Located<OneOrMany>>) -> Vec<DraftPlug> {
    let mut plugs = Vec::new();
    for (port, plugged) in in_text_order(ports) {
        let words = match plugged.value {
            OneOrMany::One(word) => vec![Located { span: plugged.span.clone(), value: word }],
            OneOrMany::Many(words) => words.into_iter().map(|word| word.0).collect(),
        };
        let targets = words.into_iter().filter_map(|word| target(reader, word)).collect();
        plugs.push(DraftPlug { port, at: plugged.span, targets });
    }
    plugs
}

fn target(reader: &mut Reader<'_>, word: Located<String>) -> Option<Located<Target>> {
    match word.value.parse::<Target>() {
        Ok(target) => Some(word.map(|_| target)),
        Err(error) => {
            let hint = match &error {
                TargetError::Form => target::FORMS,
                TargetError::TcpPort(_) => "write it like `tcp.8080`",
                TargetError::Udp => "use `tcp.NUMBER`, or a plain program",
            };
            let message = if word.value.is_empty() {
                "an empty text is nothing that can be plugged in".to_owned()
            } else {
                format!("`{}` {error}", word.value)
            };
            reader.wrong(Diagnostic::new(word.span, message).hint(hint.to_owned()));
            None
        }
    }
}
