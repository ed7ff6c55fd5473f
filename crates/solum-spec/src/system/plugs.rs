//! What is plugged in where, as far as the text alone tells: what is named exists, and nobody takes what another has.

use std::collections::HashMap;
use std::ops::Range;

use super::diagnostic::Diagnostic;
use super::draft::{Draft, DraftUnit, Group, Reader};
use super::raw::Located;
use super::suggest::hint;
use super::target::{MachineTarget, Target, Which};

pub(super) fn check(reader: &mut Reader<'_>, draft: &Draft) {
    for group in &draft.groups {
        let mut taken = HashMap::new();
        for unit in &group.units {
            check_program(reader, draft, unit);
            check_needs(reader, group, unit);
            for plug in &unit.plugs {
                for target in &plug.targets {
                    check_target(reader, draft, group, unit, target);
                    check_alone(reader, &mut taken, target);
                }
            }
        }
    }
}

fn check_program(reader: &mut Reader<'_>, draft: &Draft, unit: &DraftUnit) {
    let name = &unit.program.value;
    let known = || draft.programs.iter().map(|program| program.name.value.as_str());
    // An empty name stands for one that is missing, which has been said.
    let is_known = name.is_empty() || known().any(|known| known == name);
    if is_known || reader.damage.is_at(&["program"]) || reader.damage.is_at(&["program", name]) {
        return;
    }
    let hint = hint(name, known(), "the programs are")
        .unwrap_or_else(|| format!("describe it below `[program.{name}]`"));
    reader.wrong(
        Diagnostic::new(unit.program.span.clone(), format!("there is no program `{name}`")).hint(hint),
    );
}

fn check_needs(reader: &mut Reader<'_>, group: &Group, unit: &DraftUnit) {
    for needed in &unit.needs {
        let wrong = if needed.value == unit.name.value {
            Diagnostic::new(needed.span.clone(), format!("unit `{}` needs itself", needed.value))
                .hint("leave it out".to_owned())
        } else if find(group, &needed.value).is_none() && !is_damaged(reader, group, "unit", &needed.value) {
            no_unit(group, &needed.value, needed.span.clone())
        } else {
            continue;
        };
        reader.wrong(wrong);
    }
}

fn find<'a>(group: &'a Group, unit: &str) -> Option<&'a DraftUnit> {
    group.units.iter().find(|candidate| candidate.name.value == unit)
}

/// Whether this may be missing because it was taken out.
fn is_damaged(reader: &Reader<'_>, group: &Group, kind: &str, name: &str) -> bool {
    let path = ["machine", group.name.value.as_str(), kind, name];
    reader.damage.is_at(&path[..3]) || reader.damage.is_at(&path)
}

fn no_unit(group: &Group, unit: &str, span: Range<usize>) -> Diagnostic {
    let known = group.units.iter().map(|unit| unit.name.value.as_str());
    Diagnostic::new(span, format!("machine `{}` has no unit `{unit}`", group.name.value))
        .hint(hint(unit, known, "it has"))
}

fn check_target(
    reader: &mut Reader<'_>,
    draft: &Draft,
    group: &Group,
    unit: &DraftUnit,
    target: &Located<Target>,
) {
    match &target.value {
        Target::Disk(name) => {
            let known: Vec<&str> = group.machine.disks.iter().map(|disk| disk.name.as_str()).collect();
            check_device(reader, group, "disk", name, &known, &target.span);
        }
        Target::Screen(name) => {
            let known: Vec<&str> = group.machine.screens.iter().map(|screen| screen.name.as_str()).collect();
            check_device(reader, group, "screen", name, &known, &target.span);
        }
        Target::Keys => {
            if !group.machine.keys && !reader.damage.is_at(&["machine", &group.name.value, "keys"]) {
                let message = format!("machine `{}` has no keyboard", group.name.value);
                let hint = format!("add `keys = true` below `[machine.{}]`", group.name.value);
                reader.wrong(Diagnostic::new(target.span.clone(), message).hint(hint));
            }
        }
        Target::Tcp(_) => {}
        Target::Unit { machine, unit: server, port } => {
            let found = match machine {
                None => Some(group),
                Some(machine) => server_group(reader, draft, machine, (server, port), &target.span),
            };
            let Some(server_group) = found else { return };
            if find(server_group, server).is_none() {
                if !is_damaged(reader, server_group, "unit", server) {
                    reader.wrong(no_unit(server_group, server, target.span.clone()));
                }
            } else if server_group.name.value == group.name.value && *server == unit.name.value {
                let message = format!("unit `{server}` is wired to itself");
                let hint = match machine {
                    Some(MachineTarget { which: Which::All, .. }) => {
                        "each machine's own unit is among `.*`; let another unit ask".to_owned()
                    }
                    _ => "it would wait for its own answer; wire it to another unit".to_owned(),
                };
                reader.wrong(Diagnostic::new(target.span.clone(), message).hint(hint));
            }
        }
    }
}

fn check_device(
    reader: &mut Reader<'_>,
    group: &Group,
    kind: &str,
    name: &str,
    known: &[&str],
    span: &Range<usize>,
) {
    if known.contains(&name) || is_damaged(reader, group, kind, name) {
        return;
    }
    let machine = &group.name.value;
    let size = if kind == "disk" { "64 MiB" } else { "1024x768" };
    let hint = hint(name, known.iter().copied(), "it has")
        .unwrap_or_else(|| format!("add `{kind}.{name} = \"{size}\"` below `[machine.{machine}]`"));
    reader.wrong(
        Diagnostic::new(span.clone(), format!("machine `{machine}` has no {kind} `{name}`")).hint(hint),
    );
}

/// The machine of a target, if it is named as it has to be.
fn server_group<'a>(
    reader: &mut Reader<'_>,
    draft: &'a Draft,
    machine: &MachineTarget,
    (unit, port): (&str, &str),
    span: &Range<usize>,
) -> Option<&'a Group> {
    let name = &machine.name;
    let Some(group) = draft.groups.iter().find(|group| group.name.value == *name) else {
        if !reader.damage.is_at(&["machine"]) && !reader.damage.is_at(&["machine", name]) {
            let known = draft.groups.iter().map(|group| group.name.value.as_str());
            reader.wrong(Diagnostic::new(span.clone(), format!("there is no machine `{name}`")).hint(hint(
                name,
                known,
                "the machines are",
            )));
        }
        return None;
    };
    let last = group.count.map(|count| count.saturating_sub(1));
    let wrong = match (machine.which, last) {
        (Which::Only, None) | (Which::All, Some(_)) => None,
        (Which::Number(number), Some(last)) if number <= last => None,
        (Which::Only, Some(_)) => Some((
            format!("there are several machines `{name}`, and this does not say which"),
            format!(
                "write `{name}.0/{unit}.{port}` for the first, or `{name}.*/{unit}.{port}` for all of them"
            ),
        )),
        (Which::Number(number), Some(last)) => Some((
            format!("there is no machine `{name}.{number}`"),
            format!("the last one is `{name}.{last}`"),
        )),
        (Which::Number(_) | Which::All, None) => Some((
            format!("there is only one machine `{name}`"),
            format!("write `{name}/{unit}.{port}`, or give the machine a `count`"),
        )),
    };
    match wrong {
        None => Some(group),
        Some((message, hint)) => {
            reader.wrong(
                Diagnostic::new(span.clone(), message)
                    .related(group.name.span.clone(), count_label(group.count))
                    .hint(hint),
            );
            None
        }
    }
}

fn count_label(count: Option<u32>) -> String {
    count.map_or_else(
        || "a machine without a `count`".to_owned(),
        |machines| match machines {
            1 => "1 machine is made of this".to_owned(),
            machines => format!("{machines} machines are made of this"),
        },
    )
}

/// A device of a machine has one owner: a disk one writer, a screen one painter, a port one listener.
fn check_alone<'a>(
    reader: &mut Reader<'_>,
    taken: &mut HashMap<&'a Target, &'a Located<Target>>,
    target: &'a Located<Target>,
) {
    let (message, hint) = match &target.value {
        Target::Unit { .. } => return,
        Target::Disk(name) => (
            format!("disk `{name}` is plugged in twice, and a disk has one writer"),
            "plug in another disk, or share it through a unit that serves it",
        ),
        Target::Screen(name) => {
            (format!("screen `{name}` is plugged in twice, and one unit draws on a screen"), "add a screen")
        }
        Target::Keys => (
            "the keyboard is plugged in twice, and one unit reads it".to_owned(),
            "let that unit pass keys on",
        ),
        Target::Tcp(port) => (
            format!("TCP port {port} is plugged in twice on one machine"),
            "choose another number for one of them",
        ),
    };
    if let Some(first) = taken.get(&target.value) {
        reader.wrong(
            Diagnostic::new(target.span.clone(), message)
                .related(first.span.clone(), "first plugged in here")
                .hint(hint.to_owned()),
        );
    } else {
        taken.insert(&target.value, target);
    }
}
