//! The report for people: one fact a line, in columns.

use indicatif::HumanBytes;
use solum_spec::count;

use super::report::{
    Boot, Cd, Container, Disk, Executable, File, FileSystem, Machine, Mount, Report, Sbom, Unit,
};

/// Rows of a name and a fact.
#[derive(Default)]
struct Rows(Vec<(String, String)>);

impl Rows {
    fn add(&mut self, name: &str, fact: impl Into<String>) {
        self.0.push((name.to_owned(), fact.into()));
    }

    fn may_add(&mut self, name: &str, fact: Option<impl Into<String>>) {
        fact.into_iter().for_each(|fact| self.add(name, fact));
    }

    /// Facts that belong together are named once.
    fn text(&self) -> String {
        let width = self.0.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
        let mut text = String::new();
        let mut before = "";
        for (name, fact) in &self.0 {
            let shown = if name == before { "" } else { name };
            before = name;
            // What an image says must not reach the terminal as an order.
            let fact: String = fact.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
            text += format!("{shown:width$}  {fact}").trim_end();
            text.push('\n');
        }
        text
    }
}

/// The text of a report.
pub fn render(report: &Report, is_verbose: bool) -> String {
    let mut rows = Rows::default();
    let wrapping = report.wrapping.filter(|wrapping| *wrapping != "raw");
    rows.add("image", report.file.clone());
    rows.add("format", [report.format].into_iter().chain(wrapping).collect::<Vec<_>>().join(", wrapped as "));
    let holes = report.taken_bytes.filter(|taken| taken.saturating_mul(2) < report.size_bytes);
    let taken = holes.map(|taken| format!(", with {} in it", HumanBytes(taken)));
    rows.add("size", format!("{}{}", HumanBytes(report.size_bytes), taken.unwrap_or_default()));
    report.disk.iter().for_each(|found| disk(&mut rows, found));
    report.cd.iter().for_each(|found| cd(&mut rows, found));
    for found in &report.boots {
        boot(&mut rows, found, is_verbose);
    }
    report.container.iter().for_each(|found| container(&mut rows, found, is_verbose));
    report.notes.iter().for_each(|note| rows.add("note", note.clone()));
    report.damage.iter().for_each(|damage| rows.add("damaged", damage.clone()));
    rows.text()
}

fn disk(rows: &mut Rows, disk: &Disk) {
    rows.add("disk", format!("{}, id {}", HumanBytes(disk.size_bytes), disk.id));
    for partition in &disk.partitions {
        let mut facts = vec![
            partition.kind.map_or_else(|| format!("type {}", partition.type_id), str::to_owned),
            HumanBytes(partition.size_bytes).to_string(),
        ];
        facts.extend(partition.file_system.as_ref().map(file_system));
        let name = if partition.name.is_empty() { String::new() } else { format!("{}: ", partition.name) };
        rows.add(&format!("partition {}", partition.number), name + &facts.join(", "));
    }
}

fn file_system(found: &FileSystem) -> String {
    let label = found.label.as_ref().map(|label| format!(" {label}"));
    let size = found.size_bytes.map(|size| format!(" of {}", HumanBytes(size)));
    let used = found.used_bytes.map(|used| format!(", {} used", HumanBytes(used)));
    let parts = [label, size, used].map(Option::unwrap_or_default);
    format!("{}{}", found.kind, parts.concat())
}

fn cd(rows: &mut Rows, cd: &Cd) {
    rows.add("CD", cd.volume_id.clone());
    let firmware = if cd.firmware.is_empty() { "nothing".to_owned() } else { cd.firmware.join(", ") };
    rows.add("booted by", firmware);
    let content = match cd.files {
        0 => "nothing beside the system".to_owned(),
        files => format!("{}, {}", count(files, "file"), HumanBytes(cd.content_bytes)),
    };
    rows.add("content", content);
}

fn boot(rows: &mut Rows, boot: &Boot, is_verbose: bool) {
    if let (Some(path), Some(size)) = (&boot.path, boot.size_bytes) {
        let tries = boot.tries.map(|tries| {
            format!(
                ", may be tried {} more, failed {}",
                count(tries.left.into(), "time"),
                count(tries.done.into(), "time")
            )
        });
        let what = if path.starts_with("EFI/Linux/") { "slot" } else { "boots" };
        rows.add(what, format!("{path}, {}{}", HumanBytes(size), tries.unwrap_or_default()));
    }
    rows.may_add("title", boot.title.clone());
    rows.may_add("SHA-256", boot.sha256.clone());
    if let Some(kernel) = &boot.kernel {
        let release = kernel.release.as_deref().unwrap_or("of an unknown release");
        let architecture = kernel.architecture.map(|name| format!(" for {name}")).unwrap_or_default();
        rows.add("kernel", format!("{release}{architecture}, {}", HumanBytes(kernel.size_bytes)));
        rows.add("kernel", format!("SHA-256 {}", kernel.sha256));
    }
    rows.may_add("command line", boot.command_line.clone());
    if let Some(found) = &boot.initramfs {
        let unpacked = HumanBytes(found.unpacked_bytes);
        let size = HumanBytes(found.size_bytes);
        let way = match found.compression[..] {
            [] => "not unpacked".to_owned(),
            ["none"] => "not compressed".to_owned(),
            _ => format!("{}, {unpacked} unpacked", found.compression.join(" and ")),
        };
        rows.add("initramfs", format!("{size}, {way}"));
    }
    boot.machine.iter().for_each(|found| machine(rows, found, is_verbose));
    bill(rows, boot.sbom.as_ref());
}

fn bill(rows: &mut Rows, sbom: Option<&Sbom>) {
    rows.may_add(
        "SBOM",
        sbom.map(|sbom| format!("{}; --sbom prints it", count(sbom.components as u64, "component"))),
    );
}

fn machine(rows: &mut Rows, machine: &Machine, is_verbose: bool) {
    let system = machine.system.as_ref().map(|system| format!(", of the system {system}"));
    rows.may_add(
        "machine",
        machine.name.as_ref().map(|name| format!("{name}{}", system.unwrap_or_default())),
    );
    let cpus = machine.cpus.map(|cpus| format!(", {}", count(cpus.into(), "processor"))).unwrap_or_default();
    rows.may_add("described", machine.memory_bytes.map(|bytes| format!("{}{cpus}", HumanBytes(bytes))));
    machine.init.iter().for_each(|init| executable(rows, "PID 1", init));
    machine
        .programs
        .iter()
        .for_each(|program| executable(rows, &format!("program {}", program.name), program));
    machine.units.iter().for_each(|found| unit(rows, found));
    for (name, size) in &machine.disks {
        rows.add(&format!("disk.{name}"), HumanBytes(*size).to_string());
    }
    machine.mounts.iter().for_each(|found| rows.add("mounts", mount(found)));
    rows.may_add("network", machine.network.clone());
    machine.time_servers.iter().for_each(|server| rows.add("time server", server.clone()));
    rows.may_add("when ended", machine.when_ended.clone());
    list(rows, "modules", &machine.modules, is_verbose);
    list(rows, "files", &machine.files, is_verbose);
    rows.add(
        "certificates",
        if machine.has_ca_certificates { "of authorities: yes" } else { "of authorities: no" },
    );
}

fn executable(rows: &mut Rows, name: &str, found: &Executable) {
    let version = found.version.as_ref().map(|version| format!(", version {version}")).unwrap_or_default();
    rows.add(name, format!("{}{version}, {}", found.path, HumanBytes(found.size_bytes)));
    rows.add(name, format!("SHA-256 {}", found.sha256));
}

fn unit(rows: &mut Rows, unit: &Unit) {
    let name = format!("unit {}", unit.name);
    let words: Vec<String> =
        [&unit.program].into_iter().chain(&unit.arguments).map(|word| quoted(word)).collect();
    let person = if unit.root { ", as root" } else { "" };
    let memory =
        unit.memory_bytes.map(|bytes| format!(", {} of memory", HumanBytes(bytes))).unwrap_or_default();
    rows.add(&name, format!("{}{person}{memory}", words.join(" ")));
    if !unit.environment.is_empty() {
        rows.add(&name, format!("with {} in its environment", unit.environment.join(", ")));
    }
    if !unit.needs.is_empty() {
        rows.add(&name, format!("needs {}", unit.needs.join(", ")));
    }
    for (port, devices) in &unit.ports {
        rows.add(&name, format!("port {port}: {}", devices.join(", ")));
    }
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) { word.to_owned() } else { format!("'{word}'") }
}

fn mount(mount: &Mount) -> String {
    let mut text = format!("{} at {}", mount.source, mount.path);
    mount.kind.iter().for_each(|kind| text += &format!(", {kind}"));
    for (is, word) in
        [(mount.read_only, "read-only"), (mount.grow, "grows"), (!mount.required, "not required")]
    {
        text += &if is { format!(", {word}") } else { String::new() };
    }
    text
}

/// How many, and if it is asked for each.
fn list(rows: &mut Rows, name: &str, files: &[File], is_verbose: bool) {
    if files.is_empty() {
        return;
    }
    let sum = files.iter().fold(0, |sum: u64, file| sum.saturating_add(file.size_bytes));
    rows.add(name, format!("{}, {}", files.len(), HumanBytes(sum)));
    if is_verbose {
        files
            .iter()
            .for_each(|file| rows.add(name, format!("{}, {}", file.path, HumanBytes(file.size_bytes))));
    }
}

fn container(rows: &mut Rows, found: &Container, is_verbose: bool) {
    rows.may_add("reference", found.reference.clone());
    rows.add("digest", found.digest.clone());
    rows.add("stored", HumanBytes(found.size_bytes).to_string());
    rows.add("created", found.created.clone());
    rows.add("platform", format!("linux/{}", found.architecture));
    let words: Vec<String> = found.command.iter().map(|word| quoted(word)).collect();
    rows.add("command", words.join(" "));
    rows.add("user", if found.user.is_empty() { "root".to_owned() } else { found.user.clone() });
    rows.add("starts in", found.directory.clone());
    rows.add("environment", found.environment.join(", "));
    found.ports.iter().for_each(|port| rows.add("port", port.clone()));
    found.labels.iter().for_each(|(name, value)| rows.add("label", format!("{name}={value}")));
    for layer in &found.layers {
        rows.add("layer", format!("{}, {}", layer.digest, HumanBytes(layer.size_bytes)));
    }
    list(rows, "files", &found.files, is_verbose);
    rows.add(
        "certificates",
        if found.has_ca_certificates { "of authorities: yes" } else { "of authorities: no" },
    );
    bill(rows, found.sbom.as_ref());
}
