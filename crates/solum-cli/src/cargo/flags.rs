//! The flags that the compiler gets: the user's, and those that Solum needs beside them.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use cargo_config2::{Config, Flags, ResolveOptions};

/// Where Cargo looks for flags first. It takes them from one place alone (The Cargo Book, Configuration, `build.rustflags`), so all
/// of them have to stand there.
pub const VARIABLE: &str = "CARGO_ENCODED_RUSTFLAGS";

/// What the variable has to be for a build in this directory, if there are any flags.
pub fn encoded(directory: &Path, triple: &str, needed: &[&str]) -> Option<OsString> {
    let own = of_user(directory, triple, ResolveOptions::default());
    let all: Vec<String> =
        own.into_iter().chain(without_home()).chain(needed.iter().map(|flag| (*flag).to_owned())).collect();
    // A flag with such a separator in it cannot be given.
    Flags::from(all).encode().ok().filter(|encoded| !encoded.is_empty()).map(OsString::from)
}

/// Those of the user's environment and of the configuration that holds in a directory. Whatever Cargo cannot read there, it will
/// say itself.
fn of_user(directory: &Path, triple: &str, options: ResolveOptions) -> Vec<String> {
    let flags = std::path::absolute(directory)
        .ok()
        .and_then(|directory| Config::load_with_options(directory, options).ok())
        .and_then(|configuration| configuration.rustflags(triple).ok()?);
    flags.map(|flags| flags.flags).unwrap_or_default()
}

/// What sources of libraries are called in an executable's messages, instead of by the place where Cargo keeps them, which has
/// the user's name in it.
fn without_home() -> Option<String> {
    let home = std::env::var_os("CARGO_HOME").filter(|home| !home.is_empty()).map(PathBuf::from);
    let home = home.or_else(|| Some(std::env::home_dir()?.join(".cargo")))?;
    Some(format!("--remap-path-prefix={}=/cargo", home.to_str()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flags_of_the_user_stay_in_force() {
        const TRIPLE: &str = "x86_64-unknown-linux-musl";
        let project = tempfile::tempdir().unwrap();
        let configuration = project.path().join(".cargo/config.toml");
        std::fs::create_dir(project.path().join(".cargo")).unwrap();
        let of = |text: &str, environment: &[(&str, &str)]| {
            std::fs::write(&configuration, text).unwrap();
            let options = ResolveOptions::default().cargo_home(None).env(environment.iter().copied());
            of_user(project.path(), TRIPLE, options)
        };
        let build = "[build]\nrustflags = [\"-Ca\"]\n";
        let target = format!("{build}[target.{TRIPLE}]\nrustflags = \"-Cb -Cc\"\n");
        assert_eq!(of("", &[]), [""; 0]);
        assert_eq!(of(build, &[]), ["-Ca"]);
        assert_eq!(of(&target, &[]), ["-Cb", "-Cc"]);
        assert_eq!(of(&target, &[("RUSTFLAGS", "-Cd  -Ce")]), ["-Cd", "-Ce"]);
        assert_eq!(of(&target, &[("RUSTFLAGS", "-Cd"), (VARIABLE, "-Cf=g h\x1f-Ci")]), ["-Cf=g h", "-Ci"]);
        assert_eq!(of("[build", &[]), [""; 0]);
    }

    #[test]
    fn what_is_needed_comes_last() {
        let project = tempfile::tempdir().unwrap();
        let encoded = encoded(project.path(), "x86_64-unknown-linux-gnu", &["-Ctarget-feature=+crt-static"]);
        assert!(encoded.unwrap().to_str().unwrap().ends_with("\x1f-Ctarget-feature=+crt-static"));
    }
}
