//! Machines: what each of them has.

use super::diagnostic::Diagnostic;
use super::draft::{DraftUnit, Group, Reader, in_text_order};
use super::raw::{self, Located, Named};
use super::{Data, Disk, Machine, Screen, duration, names, units};
use crate::storage::FileSystem;
use crate::{ByteSize, outer_first};

const MEMORY: ByteSize = ByteSize::mebibytes(128);
const BLOCK_BYTES: u32 = 512;
/// More pixels in a direction than any screen has.
const PIXELS_MAX: u32 = 8192;

pub(super) fn read(reader: &mut Reader<'_>, machines: Named<raw::Machine>) -> Vec<Group> {
    in_text_order(machines).into_iter().map(|(name, machine)| group(reader, name, machine)).collect()
}

fn group(reader: &mut Reader<'_>, name: Located<String>, raw: raw::Machine) -> Group {
    names::check(reader, "machine", &name);
    if raw.unit.is_empty() && !reader.damage.is_within(&["machine", &name.value, "unit"]) {
        reader.wrong(
            Diagnostic::new(name.span.clone(), format!("machine `{}` has no unit", name.value))
                .hint(format!("describe one below `[machine.{}.unit.NAME]`", name.value)),
        );
    }
    let machine = Machine {
        name: name.value.clone(),
        group: name.value.clone(),
        number: None,
        host_name: String::new(),
        memory: reader.size("memory", raw.memory.as_ref(), MEMORY),
        cores: raw.cores.as_ref().map_or(1, |cores| cores.value),
        give_up: raw.give_up.map(|give_up| give_up.value).unwrap_or_default(),
        disks: disks(reader, raw.disk),
        screens: screens(reader, raw.screen),
        keys: raw.keys.is_some_and(|keys| keys.value),
        file_systems: file_systems(reader, raw.mount),
        when_ended: raw.when_ended.map(|when| when.value).unwrap_or_default(),
        modules: raw.modules.into_iter().map(|module| module.value).collect(),
        iso_content: raw.iso.and_then(|iso| iso.content).map(|content| content.value),
        data: data(reader, raw.data.unwrap_or_default()),
        units: Vec::new(),
    };
    let mut whole = Budget { machine: &machine, units: Vec::new() };
    let units: Vec<DraftUnit> = in_text_order(raw.unit)
        .into_iter()
        .map(|(unit, raw)| {
            whole.add(&unit.value, &raw);
            units::read(reader, &machine, unit, raw)
        })
        .collect();
    whole.check(reader, raw.memory.as_ref(), raw.cores.as_ref());
    Group { count: raw.count.map(|count| count.value), machine, units, name }
}

fn disks(reader: &mut Reader<'_>, disks: Named<Located<raw::Disk>>) -> Vec<Disk> {
    let entries = in_text_order(disks);
    let read = |(name, disk): (Located<String>, Located<raw::Disk>)| {
        names::check(reader, "disk", &name);
        let (size, block) = match disk.value {
            raw::Disk::Size(size) => (Some(Located { span: disk.span, value: size }), None),
            raw::Disk::Table(table) => (table.size, table.block_size),
        };
        let block_bytes = block_bytes(reader, block.as_ref());
        // Without a size, or with a wrong one, that has been said; any size will do then.
        let any = ByteSize::bytes(u64::from(block_bytes));
        let bytes = reader.size("size", size.as_ref(), any).as_bytes();
        if let Some(size) = size {
            check_disk(reader, &name.value, &size, bytes, block_bytes);
        }
        Disk { name: name.value, bytes, block_bytes }
    };
    entries.into_iter().map(read).collect()
}

fn block_bytes(reader: &mut Reader<'_>, block: Option<&Located<String>>) -> u32 {
    let size = reader.size("block-size", block, ByteSize::bytes(u64::from(BLOCK_BYTES)));
    match (size.as_bytes(), block) {
        (512, _) => 512,
        (4096, _) => 4096,
        (_, Some(block)) => {
            reader.wrong(
                Diagnostic::new(block.span.clone(), format!("a disk has no blocks of {size}"))
                    .hint("write `512 B` or `4 KiB`".to_owned()),
            );
            BLOCK_BYTES
        }
        (_, None) => BLOCK_BYTES,
    }
}

fn check_disk(reader: &mut Reader<'_>, name: &str, size: &Located<String>, bytes: u64, block_bytes: u32) {
    let block = u64::from(block_bytes);
    let shown = if block_bytes == 512 { "512 B" } else { "4 KiB" };
    let diagnostic = if bytes < block {
        let message = format!("disk `{name}` is smaller than one of its blocks, which have {shown}");
        Diagnostic::new(size.span.clone(), message).hint(format!("write at least `{shown}`"))
    } else if !bytes.is_multiple_of(block) {
        let message = format!("disk `{name}` does not end with a whole block of {shown}");
        Diagnostic::new(size.span.clone(), message).hint(format!("write `{}`", bytes.next_multiple_of(block)))
    } else {
        return;
    };
    reader.wrong(diagnostic);
}

fn screens(reader: &mut Reader<'_>, screens: Named<Located<String>>) -> Vec<Screen> {
    let entries = in_text_order(screens);
    let read = |(name, size): (Located<String>, Located<String>)| {
        names::check(reader, "screen", &name);
        let pixels = |text: &str| text.parse().ok().filter(|pixels| (1..=PIXELS_MAX).contains(pixels));
        let sides =
            size.value.split_once('x').and_then(|(width, height)| Some((pixels(width)?, pixels(height)?)));
        if sides.is_none() {
            reader.wrong(
                Diagnostic::new(size.span, format!("`{}` is not the size of a screen", size.value)).hint(
                    format!("write WIDTHxHEIGHT in pixels, each at most {PIXELS_MAX}, like `1024x768`"),
                ),
            );
        }
        let (width, height) = sides.unwrap_or((1, 1));
        Screen { name: name.value, width, height }
    };
    entries.into_iter().map(read).collect()
}

fn file_systems(reader: &mut Reader<'_>, mounts: Named<Located<String>>) -> Vec<FileSystem> {
    let mut known: Vec<(FileSystem, std::ops::Range<usize>)> = Vec::new();
    for (target, text) in in_text_order(mounts) {
        let (source, options) = text.value.split_once(':').unwrap_or((&text.value, ""));
        let read = FileSystem::new(source, &target.value).and_then(|read| read.with_options(options));
        match read {
            Ok(read) => {
                if let Some((_, first)) = known.iter().find(|(other, _)| other.target == read.target) {
                    reader.wrong(
                        Diagnostic::new(target.span.clone(), format!("`{}` is mounted twice", read.target))
                            .related(first.clone(), "here too")
                            .hint("give one of them another path".to_owned()),
                    );
                }
                known.push((read, target.span));
            }
            Err(error) => {
                // The error is a sentence with its hint behind a semicolon.
                let error = error.to_string();
                let (what, hint) = error.split_once("; ").unwrap_or((&error, "write LABEL=…"));
                let at =
                    if what.starts_with(&format!("`{}`", target.value)) { target.span } else { text.span };
                reader.wrong(Diagnostic::new(at, what).hint(hint.to_owned()));
            }
        }
    }
    let mut known: Vec<FileSystem> = known.into_iter().map(|(file_system, _)| file_system).collect();
    outer_first(&mut known, |one| &one.target);
    known
}

fn data(reader: &mut Reader<'_>, raw: raw::Data) -> Data {
    let kind = raw.file_system.map(|kind| kind.value).unwrap_or_default();
    let size = raw.size.map(|size| reader.size("data.size", Some(&size), kind.default_size()));
    Data { size, kind, content: raw.content.map(|content| content.value) }
}

/// What the units of a machine want of it, together.
struct Budget<'a> {
    machine: &'a Machine,
    units: Vec<Wants>,
}

/// What one unit wants.
struct Wants {
    unit: String,
    memory: Option<Located<String>>,
    cores: Option<Located<u16>>,
}

impl Budget<'_> {
    fn add(&mut self, name: &str, unit: &raw::Unit) {
        self.units.push(Wants {
            unit: name.to_owned(),
            memory: unit.memory.clone(),
            cores: unit.cores.clone(),
        });
    }

    fn check(self, reader: &mut Reader<'_>, memory: Option<&Located<String>>, cores: Option<&Located<u16>>) {
        let name = &self.machine.name;
        let memories: Vec<(&str, Located<u64>)> = self
            .units
            .iter()
            .filter_map(|wants| {
                let memory = wants.memory.as_ref()?;
                let bytes = memory.value.parse::<ByteSize>().ok()?.as_bytes();
                Some((wants.unit.as_str(), Located { span: memory.span.clone(), value: bytes }))
            })
            .collect();
        let sum = memories.iter().fold(0u64, |sum, (_, bytes)| sum.saturating_add(bytes.value));
        if sum > self.machine.memory.as_bytes() {
            let wanted = ByteSize::bytes(sum);
            let message =
                format!("the units of machine `{name}` may use {wanted}, but it has {}", self.machine.memory);
            let hint =
                format!("give the machine more memory, like `memory = \"{wanted}\"`, or the units less");
            let place = memory.map(|memory| memory.span.clone());
            over(reader, message, hint, place, memories.into_iter().map(|(unit, at)| (unit, at.span)));
        }
        let wanted: Vec<(&str, &Located<u16>)> = self
            .units
            .iter()
            .filter_map(|wants| Some((wants.unit.as_str(), wants.cores.as_ref()?)))
            .collect();
        let sum: u64 = wanted.iter().map(|(_, cores)| u64::from(cores.value)).sum();
        if sum > u64::from(self.machine.cores) {
            let message = format!(
                "the units of machine `{name}` have {sum} cores for themselves, but it has {}",
                self.machine.cores
            );
            let hint = format!("give the machine more, like `cores = {sum}`, or the units less");
            let place = cores.map(|cores| cores.span.clone());
            over(reader, message, hint, place, wanted.into_iter().map(|(unit, at)| (unit, at.span.clone())));
        } else if sum == u64::from(self.machine.cores)
            && let Some(other) = self.units.iter().find(|wants| wants.cores.is_none())
        {
            let message = format!(
                "units of machine `{name}` have all of its cores for themselves, and none is left for `{}`",
                other.unit
            );
            let hint = format!("give the machine more, like `cores = {}`, or the units less", sum + 1);
            let place = cores.map(|cores| cores.span.clone());
            over(reader, message, hint, place, wanted.into_iter().map(|(unit, at)| (unit, at.span.clone())));
        }
    }
}

/// Points at the last of those who want too much, and shows the others and what there is.
fn over<'a>(
    reader: &mut Reader<'_>,
    message: String,
    hint: String,
    whole: Option<std::ops::Range<usize>>,
    wanting: impl Iterator<Item = (&'a str, std::ops::Range<usize>)>,
) {
    let mut wanting: Vec<_> = wanting.collect();
    let Some((_, last)) = wanting.pop() else { return };
    let mut diagnostic = Diagnostic::new(last, message).hint(hint);
    for (unit, at) in wanting {
        diagnostic = diagnostic.related(at, format!("for `{unit}`"));
    }
    if let Some(whole) = whole {
        diagnostic = diagnostic.related(whole, "what the machine has");
    }
    reader.wrong(diagnostic);
}

impl Reader<'_> {
    /// The size that is written, or else `default`.
    pub(super) fn size(
        &mut self,
        key: &str,
        written: Option<&Located<String>>,
        default: ByteSize,
    ) -> ByteSize {
        let Some(written) = written else { return default };
        let wrong = match written.value.parse::<ByteSize>() {
            Ok(size) if size.as_bytes() > 0 || key == "size" => return size,
            Ok(_) => Diagnostic::new(written.span.clone(), format!("`{key}` is 0")),
            Err(error) => {
                // The error is a sentence with its hint behind a semicolon.
                let error = error.to_string();
                let (what, hint) = error.split_once("; ").unwrap_or((&error, "write a size like 512M"));
                Diagnostic::new(written.span.clone(), what).hint(hint.to_owned())
            }
        };
        self.wrong(wrong);
        default
    }

    /// The milliseconds that are written, or else `default`.
    pub(super) fn milliseconds(&mut self, written: Option<&Located<String>>, default: u32) -> u32 {
        let Some(written) = written else { return default };
        duration::milliseconds(&written.value).unwrap_or_else(|error| {
            self.wrong(
                Diagnostic::new(written.span.clone(), format!("`{}` {error}", written.value))
                    .hint("write a length of time like `500 ms`, `10 s`, `2 min` or `1 h`".to_owned()),
            );
            default
        })
    }
}
