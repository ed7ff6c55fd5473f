//! Which modules serve which hardware: the `alias=` entries of modules, matched against what the kernel reports of hardware.
//!
//! Both look like `pci:v00008086d000010D3sv00008086sd0000A01Fbc02sc00i00`; the modules' are patterns.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{ModuleTree, modinfo, normalised};
use crate::error::Error;
use crate::progress::{Progress, Unit};

/// Where `depmod` leaves the patterns of a tree: `alias PATTERN MODULE`, a line each (depmod(8)).
const LIST: &str = "modules.alias";

/// Where we leave them, without those of what is left out.
const OUR_LIST: &str = "solum.alias";

/// Parts of the tree whose modules a machine of ours has no use for, or cannot use without firmware that it does not
/// have. Who wants one names it.
const LEFT_OUT: [&str; 8] = [
    "kernel/arch/x86/kvm",
    "kernel/drivers/bluetooth",
    "kernel/drivers/gpu",
    "kernel/drivers/infiniband",
    "kernel/drivers/media",
    "kernel/drivers/net/wireless",
    "kernel/drivers/staging",
    "kernel/sound",
];

/// Hardware of these kinds brings much and lacks nothing without: processors name accelerators of algorithms, and
/// mainboards (`dmi`) the drivers of their lamps and fans.
const KINDS_LEFT_OUT: [&str; 2] = ["cpu", "dmi"];

/// Patterns and the modules that have them, by the word before the first colon.
pub(super) struct Aliases {
    by_kind: BTreeMap<String, Vec<(String, String)>>,
}

impl Aliases {
    /// Reads a list as `depmod` writes it.
    fn parse(text: &str) -> Self {
        let mut by_kind: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
        for line in text.lines() {
            let Some((pattern, module)) =
                line.strip_prefix("alias ").and_then(|rest| rest.trim_end().rsplit_once(' '))
            else {
                continue;
            };
            let entry = (pattern.to_owned(), normalised(module));
            by_kind.entry(kind_of(pattern).to_owned()).or_default().push(entry);
        }
        Self { by_kind }
    }

    /// The modules that have a pattern for this.
    fn serving(&self, id: &str) -> impl Iterator<Item = &str> {
        let candidates = self.by_kind.get(kind_of(id)).map(Vec::as_slice).unwrap_or_default();
        // A few kinds are themselves patterns: "acpi*:PNP0C0C:*".
        let open =
            self.by_kind.iter().filter(|(kind, _)| kind.contains('*')).flat_map(|(_, entries)| entries);
        candidates
            .iter()
            .chain(open)
            .filter(|(pattern, _)| matches(pattern, id))
            .map(|(_, name)| name.as_str())
    }
}

fn kind_of(text: &str) -> &str {
    text.split_once(':').map_or("", |(kind, _)| kind)
}

impl ModuleTree {
    /// The loadable modules that serve hardware, which is named as the kernel does in the files `modalias` below
    /// `/sys/devices`. Left out are sound, graphics, radio and their like: a machine of ours has no use for them.
    ///
    /// # Errors
    ///
    /// [`Error::Io`]; [`Error::ModuleCorrupt`] where a module cannot be read.
    pub fn serving<Id: AsRef<str>>(&self, ids: &[Id], progress: &dyn Progress) -> Result<Vec<String>, Error> {
        let aliases = self.aliases(progress)?;
        let wanted = ids.iter().map(AsRef::as_ref).filter(|id| !KINDS_LEFT_OUT.contains(&kind_of(id)));
        let names: BTreeSet<&str> = wanted.flat_map(|id| aliases.serving(id)).collect();
        let is_of_use = |name: &&str| self.files.get(*name).is_some_and(|path| self.is_of_use(path));
        Ok(names.into_iter().filter(is_of_use).map(str::to_owned).collect())
    }

    fn is_of_use(&self, path: &Path) -> bool {
        let place = path.strip_prefix(&self.directory).unwrap_or(path);
        !LEFT_OUT.iter().any(|directory| place.starts_with(directory))
    }

    /// The list that `depmod` made; where it did not, it is made from the modules themselves, and left there if that can be.
    fn aliases(&self, progress: &dyn Progress) -> Result<Aliases, Error> {
        for list in [LIST, OUR_LIST].map(|name| self.directory.join(name)) {
            match fs::read_to_string(&list) {
                Ok(text) => return Ok(Aliases::parse(&text)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(Error::io("read", &list, error)),
            }
        }
        let text = self.collect_aliases(progress)?;
        // Without it, the next one takes these seconds again, and that is all.
        let _ = leave(&self.directory, &self.directory.join(OUR_LIST), &text);
        Ok(Aliases::parse(&text))
    }

    fn collect_aliases(&self, progress: &dyn Progress) -> Result<String, Error> {
        progress.phase(&format!("reading which hardware the modules of {} serve", self.version));
        let mut text = String::new();
        // A few thousand, of which each must be unpacked: all processors take part, in turns short enough to watch.
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let files: Vec<_> = self.files.iter().filter(|(_, path)| self.is_of_use(path)).collect();
        let total = files.len() as u64;
        for (turn, batch) in files.chunks(threads * 16).enumerate() {
            progress.progress(Unit::Steps, (turn * threads * 16) as u64, Some(total));
            let read = |part: &[(&String, &PathBuf)]| {
                part.iter().map(|(name, path)| self.aliases_of(name, path)).collect::<Result<String, Error>>()
            };
            let parts: Vec<Result<String, Error>> = std::thread::scope(|scope| {
                let workers: Vec<_> = batch.chunks(16).map(|part| scope.spawn(move || read(part))).collect();
                let ended = |worker: std::thread::ScopedJoinHandle<'_, _>| {
                    worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
                };
                workers.into_iter().map(ended).collect()
            });
            for part in parts {
                text.push_str(&part?);
            }
        }
        Ok(text)
    }

    fn aliases_of(&self, name: &str, path: &Path) -> Result<String, Error> {
        let refuse = |reason: String| Error::ModuleCorrupt { path: path.to_owned(), reason };
        let bytes = self.unpack(path)?;
        let entries = modinfo(&bytes).map_err(refuse)?;
        let aliases = entries.iter().filter(|(key, _)| key == "alias");
        Ok(aliases.map(|(_, pattern)| format!("alias {pattern} {name}\n")).collect())
    }
}

/// Leaves a file under its name at once: another process may be reading the tree.
fn leave(directory: &Path, list: &Path, text: &str) -> io::Result<()> {
    let file = tempfile::NamedTempFile::new_in(directory)?;
    fs::write(file.path(), text)?;
    file.persist(list).map(drop).map_err(io::Error::from)
}

/// Whether a pattern of a module matches what the kernel says of hardware: fnmatch(3) without flags, in which hyphens and
/// underscores are the same (libkmod does it so).
fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut at, mut position) = (0, 0);
    // Where to go on from if this fails: the last star is made to stand for one byte more.
    let mut retry: Option<(usize, usize)> = None;
    loop {
        let step = match pattern.get(at) {
            Some(b'*') => {
                retry = Some((at + 1, position));
                at += 1;
                continue;
            }
            None if position == text.len() => return true,
            Some(_) if position < text.len() => one(&pattern[at..], text[position]),
            _ => None,
        };
        match (step, retry) {
            (Some(length), _) => {
                at += length;
                position += 1;
            }
            (None, Some((after_star, from))) if from < text.len() => {
                retry = Some((after_star, from + 1));
                (at, position) = (after_star, from + 1);
            }
            (None, _) => return false,
        }
    }
}

/// How many bytes of the pattern stand for this byte, if they do.
fn one(pattern: &[u8], byte: u8) -> Option<usize> {
    let same = |byte: u8| if byte == b'-' { b'_' } else { byte };
    match pattern.first()? {
        b'?' => Some(1),
        b'[' => {
            let end = pattern.iter().position(|byte| *byte == b']')?;
            let (mut set, negated) = match &pattern[1..end] {
                [b'!' | b'^', set @ ..] => (set, true),
                set => (set, false),
            };
            let mut is_in = false;
            while let [first, rest @ ..] = set {
                (is_in, set) = match rest {
                    [b'-', last, rest @ ..] => (is_in || (*first..=*last).contains(&byte), rest),
                    _ => (is_in || *first == byte, rest),
                };
            }
            (is_in != negated).then_some(end + 1)
        }
        literal => (same(*literal) == same(byte)).then_some(1),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{names, tree};
    use super::*;
    use crate::progress::Silent;

    const E1000E: &str = "pci:v00008086d000010D3sv00008086sd0000A01Fbc02sc00i00";

    #[test]
    fn patterns_match_as_fnmatch_does() {
        let table = [
            ("pci:v00008086d000010D3sv*sd*bc*sc*i*", E1000E, true),
            ("pci:v*d*sv*sd*bc01sc06i01*", E1000E, false),
            ("pci:v*d*sv*sd*bc02sc*i*", E1000E, true),
            ("acpi*:PNP0C0C:*", "acpi:PNP0C0C:", true),
            ("acpi*:PNP0C0C:*", "acpi:PNP0C0CX:", false),
            ("usb:v05ACp12[0-3]?d*", "usb:v05ACp123Ad0001", true),
            ("usb:v05ACp12[0-3]?d*", "usb:v05ACp124Ad0001", false),
            ("usb:v05ACp12[!0-3]?d*", "usb:v05ACp124Ad0001", true),
            ("usb:v[0A]*", "usb:vA", true),
            ("platform:i2c-designware", "platform:i2c_designware", true),
            ("a*b*c", "aXbXbXc", true),
            ("a*b*c", "aXcXb", false),
            ("a*", "a", true),
            ("a?", "a", false),
            ("a[", "a[", false),
            ("", "", true),
            ("*", "", true),
            ("a", "ab", false),
        ];
        for (pattern, text, expected) in table {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn modules_are_chosen_by_hardware() {
        let (directory, tree) = tree(&[
            ("e1000e.ko.xz", "alias=pci:v00008086d000010D3sv*sd*bc*sc*i*\0depends=\0"),
            ("button.ko", "alias=acpi*:PNP0C0C:*\0alias=acpi*:LNXPWRBN:*\0depends=\0"),
            ("aesni.ko", "alias=cpu:type:x86,*\0depends=\0"),
            ("other.ko", "alias=pci:v000010ECd00008168sv*sd*bc*sc*i*\0depends=\0"),
        ]);
        let ids = [E1000E, "acpi:LNXPWRBN:", "cpu:type:x86,ven0002", "nonsense", "pci:"];
        let chosen = tree.serving(&ids, &Silent).unwrap();
        assert_eq!(chosen, ["button", "e1000e"]);
        assert_eq!(names(&tree.closure(&chosen).unwrap()), ["button", "e1000e"]);
        let list = fs::read_to_string(directory.path().join(OUR_LIST)).unwrap();
        assert!(list.contains("alias acpi*:PNP0C0C:* button\n"), "{list}");
    }

    #[test]
    fn the_list_is_made_once_and_taken_from_depmod_where_it_was_run() {
        let (directory, tree) = tree(&[("a.ko", "alias=pci:one\0"), ("b.ko", "alias=pci:one\0")]);
        fs::write(directory.path().join(LIST), "# Aliases extracted\nalias pci:one b\nalias pci:one gone\n")
            .unwrap();
        assert_eq!(tree.serving(&["pci:one"], &Silent).unwrap(), ["b"]);
    }

    #[test]
    fn what_a_machine_has_no_use_for_is_left_out() {
        let (directory, _) = tree(&[("snd.ko", "alias=pci:one\0"), ("net.ko", "alias=pci:one\0")]);
        let sound = directory.path().join("kernel/sound");
        fs::create_dir_all(&sound).unwrap();
        fs::rename(directory.path().join("kernel/drivers/net/snd.ko"), sound.join("snd.ko")).unwrap();
        let tree = ModuleTree::open(directory.path(), "6.12").unwrap();
        assert_eq!(tree.serving(&["pci:one"], &Silent).unwrap(), ["net"]);
    }

    #[test]
    fn a_damaged_module_is_named() {
        let (_directory, tree) = tree(&[("a.ko", "alias=pci:one\0")]);
        fs::write(tree.directory().join("kernel/drivers/net/a.ko"), "text").unwrap();
        assert!(matches!(tree.serving(&["pci:one"], &Silent), Err(Error::ModuleCorrupt { .. })));
    }
}
