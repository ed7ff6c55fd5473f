//! The kernel that `solum run` takes by itself.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::{Scratch, elf};

/// The kernel's file, for tests that hand it over themselves.
///
/// SOLUM_TEST_KERNEL names another provider or file, for every test.
pub fn kernel() -> &'static Path {
    static KERNEL: OnceLock<PathBuf> = OnceLock::new();
    KERNEL.get_or_init(|| {
        let scratch = Scratch::new();
        scratch.file("program", elf::program());
        let name = format!("test-{}", std::process::id());
        let mut arguments = vec!["run", "[SCRATCH]/program", "--dry-run", "--name", &name];
        let chosen = chosen();
        arguments.extend(chosen.iter().flat_map(|kernel| ["--kernel", kernel]));
        let finished = scratch.solum(&arguments).run();
        finished.exits(0);
        let words = words_of(&finished.stdout());
        std::fs::remove_file(option(&words, "-initrd")).unwrap();
        option(&words, "-kernel").into()
    })
}

/// What the environment asks for in place of the default.
pub fn chosen() -> Option<String> {
    std::env::var("SOLUM_TEST_KERNEL").ok()
}

/// What `--kernel` is to be given so that it takes this kernel, with its modules.
pub fn name() -> String {
    let entry =
        kernel().parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy().into_owned();
    // The cache names its entries after their providers.
    chosen().unwrap_or_else(|| entry.split('-').next().unwrap_or_default().to_owned())
}

/// The words of a command line, as a shell reads them.
pub fn words_of(line: &str) -> Vec<String> {
    let script = format!("printf '%s\\0' {line}");
    let output = std::process::Command::new("sh").arg("-c").arg(script).output().unwrap();
    assert!(output.status.success(), "a shell cannot read this: {line}");
    String::from_utf8(output.stdout).unwrap().split_terminator('\0').map(str::to_owned).collect()
}

/// The word after an option.
#[track_caller]
pub fn option<'a>(words: &'a [String], name: &str) -> &'a str {
    let at = words.iter().position(|word| word == name);
    at.and_then(|at| words.get(at + 1)).unwrap_or_else(|| panic!("no {name} among {words:?}"))
}
