//! A kernel's modules: what a set of them depends on, in the order in which they must be loaded.
//!
//! Dependencies are read from the modules themselves (`depends=` and `softdep=` in their `.modinfo` section, as
//! `modpost` wrote them), so that a tree serves on which `depmod` has never run: Debian packages carry none.

mod aliases;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use object::read::elf::ElfFile64;
use object::{Object, ObjectSection};

use crate::compression::Compression;
use crate::error::Error;

/// One module, ready to be loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Module {
    /// Its name, with underscores, as `/proc/modules` shows it.
    pub name: String,
    /// The ELF file, decompressed, as `init_module(2)` takes it.
    pub bytes: Vec<u8>,
}

/// Where a kernel has a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// As a file, to be loaded.
    Loadable,
    /// In the kernel image, always there.
    BuiltIn,
}

/// The directory `lib/modules/RELEASE` of a kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModuleTree {
    directory: PathBuf,
    version: String,
    files: BTreeMap<String, PathBuf>,
    built_in: BTreeSet<String>,
}

/// No module is larger unpacked; the largest of Debian's (amdgpu, i915) take under 30 MB.
const MODULE_SIZE_MAX: u64 = 256 << 20;

impl ModuleTree {
    /// Lists the modules below a directory `lib/modules/RELEASE`; `version` is that release.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] where a directory or `modules.builtin` cannot be read.
    pub fn open(directory: &Path, version: &str) -> Result<Self, Error> {
        let mut files = BTreeMap::new();
        list_modules(directory, &mut files)?;
        let built_in_list = directory.join("modules.builtin");
        let built_in = match fs::read_to_string(&built_in_list) {
            Ok(text) => text.lines().filter_map(|line| module_name(Path::new(line))).collect(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => BTreeSet::new(),
            Err(error) => return Err(Error::io("read", &built_in_list, error)),
        };
        Ok(Self { directory: directory.to_owned(), version: version.to_owned(), files, built_in })
    }

    /// The directory `lib/modules/RELEASE`.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// How many modules there are as files.
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Whether there is no module file at all.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Where the kernel has a module, if it has it. Hyphens and underscores in names are the same to the kernel.
    pub fn presence(&self, name: &str) -> Option<Presence> {
        let name = normalised(name);
        match (self.files.contains_key(&name), self.built_in.contains(&name)) {
            (true, _) => Some(Presence::Loadable),
            (false, true) => Some(Presence::BuiltIn),
            (false, false) => None,
        }
    }

    /// The modules named and all that they depend on, each once, in an order in which they can be loaded.
    /// Those built in are left out. Soft dependencies are taken along where the kernel has them.
    ///
    /// # Errors
    ///
    /// [`Error::ModuleMissing`] for a name that the kernel does not have, [`Error::ModuleCorrupt`] for a file that
    /// cannot be unpacked or is no module, [`Error::Io`].
    pub fn closure<Name: AsRef<str>>(&self, names: &[Name]) -> Result<Vec<Module>, Error> {
        let mut closure = Closure { tree: self, seen: BTreeSet::new(), modules: Vec::new() };
        for name in names {
            closure.add(name.as_ref())?;
        }
        Ok(closure.modules)
    }

    fn read(&self, name: &str, path: &Path) -> Result<(Module, Dependencies), Error> {
        let bytes = self.unpack(path)?;
        let dependencies = Dependencies::of(&bytes)
            .map_err(|reason| Error::ModuleCorrupt { path: path.to_owned(), reason })?;
        Ok((Module { name: name.to_owned(), bytes }, dependencies))
    }

    /// The ELF file of a module.
    fn unpack(&self, path: &Path) -> Result<Vec<u8>, Error> {
        let packed = fs::read(path).map_err(|error| Error::io("read", path, error))?;
        let Some(form) = Compression::of(&packed) else { return Ok(packed) };
        form.unpack(&packed, MODULE_SIZE_MAX).map_err(|error| {
            let reason = format!("it cannot be unpacked: {error}");
            Error::ModuleCorrupt { path: path.to_owned(), reason }
        })
    }

    /// The module that a soft dependency means. The crypto subsystem's name an algorithm ("crc32c"), of which the
    /// implementation for every processor is `ALGORITHM_generic` (crypto/Makefile).
    fn soft(&self, name: &str) -> Option<String> {
        [name.to_owned(), format!("{name}_generic")].into_iter().find(|name| self.presence(name).is_some())
    }
}

/// A depth-first walk: a module is appended once all that it needs has been.
struct Closure<'tree> {
    tree: &'tree ModuleTree,
    seen: BTreeSet<String>,
    modules: Vec<Module>,
}

impl Closure<'_> {
    fn add(&mut self, name: &str) -> Result<(), Error> {
        let name = normalised(name);
        let Some(path) = self.tree.files.get(&name) else {
            return match self.tree.built_in.contains(&name) {
                true => Ok(()),
                false => Err(Error::ModuleMissing { module: name, version: self.tree.version.clone() }),
            };
        };
        // Marked before its dependencies are walked, so that a cycle of soft dependencies ends.
        if !self.seen.insert(name.clone()) {
            return Ok(());
        }
        let (module, dependencies) = self.tree.read(&name, path)?;
        self.add_where_present(&dependencies.before)?;
        for needed in &dependencies.needed {
            self.add(needed)?;
        }
        self.modules.push(module);
        self.add_where_present(&dependencies.after)
    }

    fn add_where_present(&mut self, names: &[String]) -> Result<(), Error> {
        for name in names.iter().filter_map(|name| self.tree.soft(name)) {
            self.add(&name)?;
        }
        Ok(())
    }
}

/// What one module wants of others.
#[derive(Debug, Default, PartialEq, Eq)]
struct Dependencies {
    /// Without these it cannot be loaded.
    needed: Vec<String>,
    /// To be loaded before and after it where they exist (modprobe.d(5), "softdep").
    before: Vec<String>,
    after: Vec<String>,
}

impl Dependencies {
    fn of(module: &[u8]) -> Result<Self, String> {
        let mut dependencies = Self::default();
        for (key, list) in modinfo(module)? {
            match key.as_str() {
                "depends" => {
                    dependencies
                        .needed
                        .extend(list.split(',').filter(|name| !name.is_empty()).map(str::to_owned));
                }
                "softdep" => dependencies.add_soft(&list),
                _ => {}
            }
        }
        Ok(dependencies)
    }

    fn add_soft(&mut self, list: &str) {
        let mut target = None;
        for word in list.split_whitespace() {
            match (word, target) {
                ("pre:", _) => target = Some(true),
                ("post:", _) => target = Some(false),
                (name, Some(true)) => self.before.push(name.to_owned()),
                (name, Some(false)) => self.after.push(name.to_owned()),
                (_, None) => {}
            }
        }
    }
}

/// What a module says of itself: the entries `KEY=VALUE` of its `.modinfo` section.
fn modinfo(module: &[u8]) -> Result<Vec<(String, String)>, String> {
    let file = ElfFile64::<object::Endianness>::parse(module)
        .map_err(|error| format!("it is not a 64-bit ELF file: {error}"))?;
    let section = file.section_by_name(".modinfo").ok_or("it is an ELF file, but not a kernel module")?;
    let section = section.data().map_err(|error| format!("its .modinfo section is damaged: {error}"))?;
    let pair = |entry: &[u8]| {
        let entry = String::from_utf8_lossy(entry);
        entry.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned()))
    };
    Ok(section.split(|byte| *byte == 0).filter_map(pair).collect())
}

fn normalised(name: &str) -> String {
    name.replace('-', "_")
}

/// The module that a file `NAME.ko`, `NAME.ko.xz`, … holds.
fn module_name(path: &Path) -> Option<String> {
    let file_name = path.file_name()?.to_str()?;
    let (name, rest) = file_name.split_once(".ko")?;
    matches!(rest, "" | ".xz" | ".zst" | ".gz").then(|| normalised(name))
}

/// Symbolic links are not followed: `build` and `source` lead out of the tree.
fn list_modules(directory: &Path, files: &mut BTreeMap<String, PathBuf>) -> Result<(), Error> {
    let failed = |error| Error::io("list", directory, error);
    for entry in fs::read_dir(directory).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let path = entry.path();
        let kind = entry.file_type().map_err(failed)?;
        if kind.is_dir() {
            list_modules(&path, files)?;
        } else if let (true, Some(name)) = (kind.is_file(), module_name(&path)) {
            files.insert(name, path);
        }
    }
    Ok(())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::compression::tests::pack;

    /// An ELF file of nothing but a `.modinfo` section and the names of its sections.
    fn module(modinfo: &str) -> Vec<u8> {
        const NAMES: &[u8] = b"\0.modinfo\0.shstrtab\0";
        let modinfo = modinfo.as_bytes();
        let (names_at, sections_at) =
            (64 + modinfo.len(), (64 + modinfo.len() + NAMES.len()).next_multiple_of(8));
        let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
        bytes.resize(16, 0);
        for half in [1_u16, 62] {
            bytes.extend(half.to_le_bytes());
        }
        bytes.extend(1_u32.to_le_bytes());
        for word in [0, 0, sections_at as u64] {
            bytes.extend(word.to_le_bytes());
        }
        bytes.extend(0_u32.to_le_bytes());
        for half in [64_u16, 56, 0, 64, 3, 2] {
            bytes.extend(half.to_le_bytes());
        }
        bytes.extend(modinfo);
        bytes.extend(NAMES);
        bytes.resize(sections_at + 64, 0);
        for (name, kind, at, size) in [(1, 1, 64, modinfo.len()), (10, 3, names_at, NAMES.len())] {
            bytes.extend(u32::to_le_bytes(name));
            bytes.extend(u32::to_le_bytes(kind));
            for word in [0, 0, at as u64, size as u64, 0, 1, 0] {
                bytes.extend(u64::to_le_bytes(word));
            }
        }
        bytes
    }

    pub(super) fn tree(modules: &[(&str, &str)]) -> (tempfile::TempDir, ModuleTree) {
        let directory = tempfile::tempdir().unwrap();
        let net = directory.path().join("kernel/drivers/net");
        fs::create_dir_all(&net).unwrap();
        for (file, modinfo) in modules {
            let bytes = module(modinfo);
            let bytes = match file.rsplit_once('.') {
                Some((_, "xz")) => pack(Compression::Xz, &bytes),
                Some((_, "zst")) => pack(Compression::Zstd, &bytes),
                Some((_, "gz")) => pack(Compression::Gzip, &bytes),
                _ => bytes,
            };
            fs::write(net.join(file), bytes).unwrap();
        }
        fs::write(directory.path().join("modules.builtin"), "kernel/drivers/virtio/virtio-ring.ko\n")
            .unwrap();
        std::os::unix::fs::symlink("/", directory.path().join("build")).unwrap();
        let tree = ModuleTree::open(directory.path(), "6.12").unwrap();
        (directory, tree)
    }

    pub(super) fn names(modules: &[Module]) -> Vec<&str> {
        modules.iter().map(|module| module.name.as_str()).collect()
    }

    #[test]
    fn a_module_follows_all_that_it_needs() {
        let (_directory, tree) = tree(&[
            ("virtio_net.ko.xz", "license=GPL\0depends=net-failover,virtio_ring\0name=virtio_net\0"),
            ("net_failover.ko.zst", "depends=failover\0"),
            ("failover.ko.gz", "depends=\0"),
            ("unrelated.ko", "depends=\0"),
        ]);
        let modules = tree.closure(&["virtio-net", "virtio_ring", "failover"]).unwrap();
        assert_eq!(names(&modules), ["failover", "net_failover", "virtio_net"]);
        assert!(modules.iter().all(|module| module.bytes.starts_with(b"\x7fELF")));
        assert_eq!(tree.len(), 4);
    }

    #[test]
    fn soft_dependencies_come_along_where_they_exist_and_may_form_a_cycle() {
        let (_directory, tree) = tree(&[
            ("a.ko", "softdep=pre: b crc32c gone post: c\0depends=\0"),
            ("b.ko", "softdep=post: a\0depends=\0"),
            ("c.ko", "depends=a\0"),
            ("crc32c_generic.ko", "alias=crc32c\0depends=\0"),
        ]);
        assert_eq!(names(&tree.closure(&["a"]).unwrap()), ["b", "crc32c_generic", "a", "c"]);
    }

    #[test]
    fn what_the_kernel_has_not_is_an_error_that_names_it() {
        let (_directory, tree) = tree(&[("a.ko", "depends=gone\0")]);
        for (name, missing) in [("9p", "9p"), ("a", "gone")] {
            match tree.closure(&[name]) {
                Err(Error::ModuleMissing { module, .. }) => assert_eq!(module, missing),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(tree.presence("a"), Some(Presence::Loadable));
        assert_eq!(tree.presence("virtio-ring"), Some(Presence::BuiltIn));
        assert_eq!(tree.presence("9p"), None);
    }

    #[test]
    fn a_damaged_module_is_named() {
        let (directory, tree) = tree(&[("cut.ko.xz", "depends=\0"), ("text.ko", "depends=\0")]);
        let net = directory.path().join("kernel/drivers/net");
        let whole = fs::read(net.join("cut.ko.xz")).unwrap();
        fs::write(net.join("cut.ko.xz"), &whole[..whole.len() / 2]).unwrap();
        fs::write(net.join("text.ko"), "not a module").unwrap();
        for (name, reason) in [("cut", "it cannot be unpacked"), ("text", "it is not a 64-bit ELF file")] {
            let error = tree.closure(&[name]).unwrap_err();
            assert!(matches!(error, Error::ModuleCorrupt { .. }));
            assert!(error.to_string().contains(reason), "{error}");
        }
    }
}
