//! What a kernel and its initramfs say.

use std::path::Path;

use serde_json::Value;
use solum_image::sparse::read_vec;
use solum_image::unpack::{Unread, unpack};
use solum_image::{ReadAt, kernel, uki};

use super::machine::{self, Versions, sha256};
use super::report::{Boot, Initramfs, Kernel, Sbom, Tries};

/// A unified kernel image. What is damaged in it is said, and the rest is told.
pub fn of_uki(
    file: &(impl ReadAt + ?Sized),
    path: Option<&str>,
    damage: &mut Vec<String>,
    notes: &mut Vec<String>,
) -> Option<Boot> {
    let uki = match uki::read(file) {
        Ok(uki) => uki,
        Err(error) => {
            damage.push(error.to_string());
            return None;
        }
    };
    let mut part = |name: &str| match uki.content(file, name) {
        Ok(content) => content,
        Err(error) => {
            damage.push(format!("its section {name} cannot be read: {error}"));
            None
        }
    };
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).trim_end_matches(['\0', '\n']).to_owned();
    let release = part(".uname").map(text);
    let mut boot = Boot {
        path: path.map(str::to_owned),
        tries: path.and_then(tries),
        title: part(".osrel").map(text).as_deref().and_then(title),
        size_bytes: Some(file.length()),
        command_line: part(".cmdline").map(text),
        ..Boot::default()
    };
    let (kernel, archive, bill) = (part(".linux"), part(".initrd"), part(".sbom"));
    boot.sha256 = read_vec(file, 0, file.length()).ok().map(|bytes| sha256(&bytes));
    boot.kernel = kernel.map(|bytes| {
        let said = kernel::read(&bytes);
        let mut kernel = kernel_of(&bytes, said);
        kernel.release = kernel.release.or(release);
        kernel.architecture = kernel.architecture.or(uki.architecture.map(|one| one.name()));
        kernel
    });
    if let Some(bill) = bill {
        add_bill(&mut boot, bill, damage);
    }
    if let Some(archive) = archive {
        add_initramfs(&mut boot, archive, damage, notes);
    }
    Some(boot)
}

/// What is to be said of a kernel's bytes.
pub fn kernel_of(bytes: &[u8], said: Option<kernel::Kernel>) -> Kernel {
    Kernel {
        architecture: said.as_ref().map(|kernel| kernel.architecture.name()),
        release: said.and_then(|kernel| kernel.release),
        size_bytes: bytes.len() as u64,
        sha256: sha256(bytes),
    }
}

/// The damage that hinders no machine.
pub const UNREADABLE_BILL: &str = "its bill of materials cannot be read";

/// Adds the bill of materials.
pub fn add_bill(boot: &mut Boot, bytes: Vec<u8>, damage: &mut Vec<String>) {
    match bill_of(&bytes) {
        Some((sbom, _)) => boot.sbom = Some(sbom),
        None => damage.push(UNREADABLE_BILL.to_owned()),
    }
    boot.bill_of_materials = Some(bytes);
}

/// Adds the initramfs, and the machine in it.
pub fn add_initramfs(boot: &mut Boot, archive: Vec<u8>, damage: &mut Vec<String>, notes: &mut Vec<String>) {
    let unpacked = unpack(&archive);
    match &unpacked.unread {
        None => {}
        Some(Unread::Compressed(name)) => {
            notes.push(format!("its initramfs is compressed by {name}, which is not read here"));
        }
        Some(Unread::Damaged(why)) => damage.push(why.clone()),
    }
    boot.initramfs = Some(Initramfs {
        compression: unpacked.compressions(),
        size_bytes: archive.len() as u64,
        unpacked_bytes: unpacked.size(),
        sha256: sha256(&archive),
    });
    let versions = boot.bill_of_materials.as_deref().and_then(bill_of).map(|(_, versions)| versions);
    match unpacked.members() {
        Ok(members) if members.is_empty() => {}
        Ok(members) => {
            let (machine, more) = machine::read(&members, &versions.unwrap_or_default());
            notes.extend(more);
            boot.machine = Some(machine);
        }
        Err(error) => damage.push(error.to_string()),
    }
    boot.archive = archive;
}

/// How many things a bill of materials names, and which versions belong to which hashes.
pub fn bill_of(bytes: &[u8]) -> Option<(Sbom, Versions)> {
    let document: Value = serde_json::from_slice(bytes).ok()?;
    let components = document.get("components")?.as_array()?;
    let mut versions = Versions::new();
    let mut count = 0;
    for component in components {
        count += 1 + component.get("components").and_then(Value::as_array).map_or(0, Vec::len);
        let version = component.get("version").and_then(Value::as_str);
        let hashes = component.get("hashes").and_then(Value::as_array).into_iter().flatten();
        let hashes = hashes.filter_map(|hash| hash.get("content")?.as_str());
        let pairs =
            hashes.zip(std::iter::repeat(version)).filter_map(|(hash, version)| Some((hash, version?)));
        versions.extend(pairs.map(|(hash, version)| (hash.to_owned(), version.to_owned())));
    }
    Some((Sbom { components: count }, versions))
}

/// The counters in the name of a file: `NAME+LEFT-DONE.efi` (UAPI Group, Boot Loader Specification, "Boot counting").
fn tries(path: &str) -> Option<Tries> {
    let stem = Path::new(path).file_stem()?.to_str()?;
    let (_, counters) = stem.rsplit_once('+')?;
    let (left, done) = counters.split_once('-').unwrap_or((counters, "0"));
    let number =
        |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten();
    Some(Tries { left: number(left)?, done: number(done)? })
}

/// What an os-release file says for people (os-release(5)).
fn title(text: &str) -> Option<String> {
    let value = |key: &str| {
        let line = text.lines().find_map(|line| line.trim().strip_prefix(key)?.strip_prefix('='))?;
        Some(line.trim_matches(['"', '\'']).to_owned())
    };
    value("PRETTY_NAME").or_else(|| value("NAME"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_read_from_names() {
        let of = |left, done| Some(Tries { left, done });
        for (name, expected) in [
            ("EFI/Linux/solum_1.efi", None),
            ("EFI/Linux/solum_2+3.efi", of(3, 0)),
            ("solum_2+0-3.efi", of(0, 3)),
            ("a+b.efi", None),
            ("a+.efi", None),
            ("a+99999999999.efi", None),
        ] {
            assert_eq!(tries(name), expected, "{name}");
        }
    }

    #[test]
    fn a_title_is_what_is_said_for_people() {
        assert_eq!(title("ID=a\nPRETTY_NAME=\"A b\"\nNAME=c").as_deref(), Some("A b"));
        assert_eq!(title("NAME=c").as_deref(), Some("c"));
        assert_eq!(title("what"), None);
    }
}
