//! What lies where in a machine's initramfs.

use solum_spec::Description;
use solum_spec::description;
use solum_spec::plan::{self, Plan};

use crate::cpio::{Archive, ArchiveError, Owner};

/// Where the kernel looks for PID 1 in an initramfs.
pub const INIT_PATH: &str = "/init";

const NULL_PATH: &str = "/dev/null";

/// Directory of the program in a machine.
pub const PROGRAM_DIRECTORY: &str = "/bin";

/// Directory of kernel modules in a machine. They lie flat, because the builder has resolved their order.
pub const MODULE_DIRECTORY: &str = "/lib/modules";

/// A file of the user's that is copied into the image.
#[derive(Clone, Debug)]
pub struct Bundled {
    /// Absolute path in the machine.
    pub path: String,
    /// Permission bits.
    pub permissions: u32,
    /// What it is.
    pub content: BundledContent,
}

/// What a bundled path is.
#[derive(Clone, Debug)]
pub enum BundledContent {
    /// A regular file with these bytes.
    File(Vec<u8>),
    /// A directory; its entries are bundled by themselves.
    Directory,
    /// A symbolic link to this target, bytes like every path in Linux.
    Symlink(Vec<u8>),
}

/// A kernel module, uncompressed.
#[derive(Clone, Debug)]
pub struct Module {
    /// Name without directory and suffix, like `virtio_net`.
    pub name: String,
    /// The ELF object.
    pub bytes: Vec<u8>,
}

/// Path of a module in the image.
pub fn module_path(name: &str) -> String {
    format!("{MODULE_DIRECTORY}/{name}.ko")
}

/// Path of a program in the image.
pub fn program_path(name: &str) -> String {
    format!("{PROGRAM_DIRECTORY}/{name}")
}

/// The initramfs of a machine whose PID 1 is Solum's own: init, description, the plan of one that belongs to a system,
/// modules, programs with their paths, files that belong to root, the user's files.
///
/// # Errors
///
/// [`ArchiveError`] for a bundled path that is none, that another entry has already, or whose file is too large.
pub fn with_init(
    init: Vec<u8>,
    description: &Description,
    plan: Option<&Plan>,
    programs: Vec<(String, Vec<u8>)>,
    modules: Vec<Module>,
    provided: Vec<Bundled>,
    bundled: Vec<Bundled>,
) -> Result<Vec<u8>, ArchiveError> {
    let mut archive = Archive::new();
    let root = Owner::default();
    archive.file(INIT_PATH, 0o755, root, init)?;
    // A kernel that finds no console starts PID 1 without standard streams (`console_on_rootfs` in init/main.c). Rust's
    // runtime then opens /dev/null in their place before `main`, and aborts if there is none, which panics the kernel.
    // An empty file does until PID 1 has mounted a devtmpfs over it.
    archive.file(NULL_PATH, 0o666, root, Vec::new())?;
    archive.file(description::PATH, 0o444, root, description.to_bytes())?;
    if let Some(plan) = plan {
        archive.file(plan::PATH, 0o400, root, plan.to_bytes())?;
    }
    for (path, program) in programs {
        archive.file(&path, 0o755, root, program)?;
    }
    for module in modules {
        archive.file(&module_path(&module.name), 0o444, root, module.bytes)?;
    }
    add_bundled(&mut archive, provided, root)?;
    let user = description.unit.user_id;
    add_bundled(&mut archive, bundled, Owner { user_id: user, group_id: user })?;
    Ok(archive.to_bytes())
}

/// The initramfs of a machine whose program is PID 1 itself: that one file, and the kernel's modules if it has any.
///
/// # Errors
///
/// Those of [`with_init`].
pub fn single_file(
    program: Vec<u8>,
    modules: Vec<Module>,
    bundled: Vec<Bundled>,
) -> Result<Vec<u8>, ArchiveError> {
    let mut archive = Archive::new();
    let root = Owner::default();
    archive.file(INIT_PATH, 0o755, root, program)?;
    if !modules.is_empty() {
        // Nobody describes this machine to its program, so the order of loading travels as a file of its own.
        let order: String = modules.iter().map(|module| module_path(&module.name) + "\n").collect();
        archive.file(&format!("{MODULE_DIRECTORY}/order"), 0o444, root, order.into_bytes())?;
    }
    for module in modules {
        archive.file(&module_path(&module.name), 0o444, root, module.bytes)?;
    }
    add_bundled(&mut archive, bundled, root)?;
    Ok(archive.to_bytes())
}

pub(crate) fn add_bundled(
    archive: &mut Archive,
    bundled: Vec<Bundled>,
    owner: Owner,
) -> Result<(), ArchiveError> {
    for Bundled { path, permissions, content } in bundled {
        match content {
            BundledContent::File(bytes) => archive.file(&path, permissions, owner, bytes)?,
            BundledContent::Directory => archive.directory(&path, permissions, owner)?,
            BundledContent::Symlink(target) => archive.symlink(&path, &target)?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use solum_spec::description::{Network, Unit};

    fn description() -> Description {
        Description {
            host_name: "m".into(),
            modules: vec![],
            shares: vec![],
            file_systems: vec![],
            network: Network::None,
            time_servers: vec![],
            when_ended: Default::default(),
            memory_bytes: None,
            cpus: None,
            unit: Unit {
                name: "p".into(),
                path: program_path("p"),
                arguments: vec![],
                environment: vec![],
                user_id: 1000,
                wait: vec![],
                grace_ms: 1,
            },
        }
    }

    fn names(archive: &[u8]) -> Vec<String> {
        let text = String::from_utf8_lossy(archive);
        text.split("070701").skip(1).map(|e| e[104..].split('\0').next().unwrap().to_owned()).collect()
    }

    #[test]
    fn a_machine_holds_init_description_program_modules_and_files() {
        let module = Module { name: "virtio".into(), bytes: b"ko".to_vec() };
        let file = Bundled {
            path: "/data/x".into(),
            permissions: 0o600,
            content: BundledContent::File(b"x".to_vec()),
        };
        let bytes = with_init(
            b"i".to_vec(),
            &description(),
            None,
            vec![(program_path("p"), b"p".to_vec())],
            vec![module],
            vec![],
            vec![file],
        )
        .unwrap();
        assert_eq!(
            names(&bytes),
            [
                "bin",
                "bin/p",
                "data",
                "data/x",
                "dev",
                "dev/null",
                "etc",
                "etc/solum",
                "etc/solum/description",
                "init",
                "lib",
                "lib/modules",
                "lib/modules/virtio.ko",
                "TRAILER!!!"
            ]
        );
    }

    #[test]
    fn nobody_but_root_reads_the_plan() {
        let bytes = with_init(vec![], &description(), Some(&Plan::default()), vec![], vec![], vec![], vec![])
            .unwrap();
        let text = String::from_utf8_lossy(&bytes);
        // Magic number, inode number, mode, user (Linux, Documentation/driver-api/early-userspace/buffer-format.rst).
        let entry =
            text.split("070701").skip(1).find(|entry| entry[104..].starts_with("etc/solum/plan\0")).unwrap();
        assert_eq!((&entry[8..16], &entry[16..24]), ("00008100", "00000000"));
    }

    #[test]
    fn a_single_file_machine_holds_one_file() {
        let bytes = single_file(b"p".to_vec(), vec![], vec![]).unwrap();
        assert_eq!(names(&bytes), ["init", "TRAILER!!!"]);
    }

    #[test]
    fn a_user_file_may_not_replace_the_program() {
        let file =
            Bundled { path: "/bin/p".into(), permissions: 0o600, content: BundledContent::File(vec![]) };
        let refused = with_init(
            vec![],
            &description(),
            None,
            vec![(program_path("p"), vec![])],
            vec![],
            vec![],
            vec![file],
        );
        assert_eq!(refused, Err(ArchiveError::Collision("bin/p".into())));
    }
}
