//! The flags that the compiler gets: the user's, and those that Solum needs beside them.

use std::path::{Path, PathBuf};
use std::process::Command;

use cargo_config2::{Config, Error, Flags, ResolveOptions};

/// Where Cargo looks for flags first. It takes them from one place alone (The Cargo Book, Configuration, `build.rustflags`), so all
/// of them have to stand there.
const VARIABLE: &str = "CARGO_ENCODED_RUSTFLAGS";

/// Gives the compiler these flags, too, for this target.
pub fn add(cargo: &mut Command, triple: &str, needed: &[&str]) {
    let home = home();
    // `cargo install` reads what is in its home alone.
    let directory = cargo.get_current_dir().map(Path::to_owned).or_else(|| home.clone());
    let needed: Vec<String> = home
        .as_deref()
        .and_then(without)
        .into_iter()
        .chain(needed.iter().map(|flag| (*flag).to_owned()))
        .collect();
    let of_user = directory
        .ok_or(())
        .and_then(|directory| of_user(&directory, triple, ResolveOptions::default()).map_err(drop));
    let all = of_user.and_then(|own| Flags::from([own, needed.clone()].concat()).encode().map_err(drop));
    match all {
        Ok(all) if all.is_empty() => cargo,
        Ok(all) => cargo.env(VARIABLE, all),
        // What is not understood here Cargo may understand, or say what is wrong with it.
        Err(()) => cargo.arg("--config").arg(format!("target.{triple}.rustflags={needed:?}")),
    };
}

/// Those of the user's environment and of the configuration that holds in a directory.
fn of_user(directory: &Path, triple: &str, options: ResolveOptions) -> Result<Vec<String>, Error> {
    // What is relative has no parents to look into.
    let directory = std::path::absolute(directory).unwrap_or_else(|_| directory.to_owned());
    let flags = Config::load_with_options(directory, options)?.rustflags(triple)?;
    Ok(flags.map(|flags| flags.flags).unwrap_or_default())
}

/// Where Cargo keeps sources of libraries.
fn home() -> Option<PathBuf> {
    let home = std::env::var_os("CARGO_HOME").filter(|home| !home.is_empty()).map(PathBuf::from);
    home.or_else(|| Some(std::env::home_dir()?.join(".cargo")))
}

/// What these are called in an executable's messages, instead of by their place, which has the user's name in it.
fn without(home: &Path) -> Option<String> {
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
            of_user(project.path(), TRIPLE, options).ok()
        };
        let flags = |flags: &[&str]| Some(flags.iter().map(|flag| (*flag).to_owned()).collect::<Vec<_>>());
        let build = "[build]\nrustflags = [\"-Ca\"]\n";
        let target = format!("{build}[target.{TRIPLE}]\nrustflags = \"-Cb -Cc\"\n");
        assert_eq!(of("", &[]), flags(&[]));
        assert_eq!(of(build, &[]), flags(&["-Ca"]));
        assert_eq!(of(&target, &[]), flags(&["-Cb", "-Cc"]));
        assert_eq!(of(&target, &[("RUSTFLAGS", "-Cd  -Ce")]), flags(&["-Cd", "-Ce"]));
        let both = [("RUSTFLAGS", "-Cd"), (VARIABLE, "-Cf=g h\x1f-Ci")];
        assert_eq!(of(&target, &both), flags(&["-Cf=g h", "-Ci"]));
        assert_eq!(of("[build", &[]), None);
    }

    #[test]
    fn what_is_needed_comes_last_and_is_not_lost() {
        let project = tempfile::tempdir().unwrap();
        let needed = "-Ctarget-feature=+crt-static";
        let build = || {
            let mut cargo = Command::new("cargo");
            cargo.current_dir(project.path());
            add(&mut cargo, "x86_64-unknown-linux-gnu", &[needed]);
            cargo
        };
        let cargo = build();
        let (_, flags) = cargo.get_envs().find(|(name, _)| *name == VARIABLE).unwrap();
        assert!(flags.unwrap().to_str().unwrap().ends_with(&format!("\x1f{needed}")));
        std::fs::create_dir(project.path().join(".cargo")).unwrap();
        std::fs::write(project.path().join(".cargo/config.toml"), "[build").unwrap();
        let cargo = build();
        let setting = cargo.get_args().last().unwrap().to_str().unwrap();
        assert!(setting.starts_with("target.x86_64-unknown-linux-gnu.rustflags=["), "{setting}");
        assert!(setting.contains(&format!("{needed:?}")), "{setting}");
    }
}
