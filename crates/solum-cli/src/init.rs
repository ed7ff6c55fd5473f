//! Where the init file comes from: beside `solum`, else the workspace it is run from or was built from (a clone, by
//! `cargo install --path`), else `cargo install`.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use solum_image::{Architecture, executable};

use crate::cache::Cache;
use crate::cargo::{self, Crate, Origin, StaticTarget};
use crate::exit_code::ExitCode;
use crate::failure::{Failure, reason};
use crate::terminal::say;

/// The version that host and machine must share.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// PID 1 for machines of this host's architecture.
pub struct Init {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// What it was built from, if it was built here.
    origin: Option<Origin>,
}

impl Init {
    /// The crates that it was compiled from, if that is known.
    pub fn crates(&self) -> Option<Vec<Crate>> {
        self.origin.as_ref().map(Origin::crates)
    }
}

/// Finds it, building or installing it if it must be.
pub fn find(cache: &Cache) -> Result<Init, Failure> {
    let (path, origin) = locate(cache)?;
    let bytes = fs::read(&path).map_err(|error| Failure::file("cannot read the init", &path, &error))?;
    executable::inspect(&bytes, Architecture::HOST).map_err(|refusal| {
        Failure::new(ExitCode::UnusableInput, format_args!("the init {} {refusal}", path.display()))
    })?;
    Ok(Init { bytes, origin })
}

fn locate(cache: &Cache) -> Result<(PathBuf, Option<Origin>), Failure> {
    let solum = env::current_exe().ok().and_then(|path| path.canonicalize().ok());
    let beside = solum
        .as_deref()
        .and_then(Path::parent)
        .map(|directory| directory.join(format!("solum-init-{}", Architecture::HOST)));
    if let Some(path) = beside.filter(|path| path.is_file()) {
        return Ok((path, None));
    }
    if let Some(workspace) = workspace() {
        let target = StaticTarget::best_for(&workspace, Architecture::HOST);
        let built = cargo::build_init(&workspace, &target, &mut || {
            say("building PID 1, which later runs find built")
        })?;
        return Ok((built.path, Some(built.origin)));
    }
    Ok((install(cache)?, None))
}

/// Solum's own workspace: that of this executable, or the one it is run from, or the one it was built from.
fn workspace() -> Option<PathBuf> {
    let solum = env::current_exe().ok().and_then(|path| path.canonicalize().ok());
    let here = env::current_dir().ok();
    let sources = Path::new(env!("CARGO_MANIFEST_DIR"));
    let places = [solum.as_deref(), here.as_deref(), Some(sources)];
    places.into_iter().flatten().find_map(workspace_above)
}

/// Solum's own workspace of the same version, if `path` lies in it.
fn workspace_above(path: &Path) -> Option<PathBuf> {
    path.ancestors().find(|directory| is_workspace(directory)).map(Path::to_owned)
}

fn is_workspace(directory: &Path) -> bool {
    directory.join("crates/solum-init/Cargo.toml").is_file()
        && fs::read_to_string(directory.join("Cargo.toml"))
            .is_ok_and(|manifest| manifest.contains(&format!("version = \"{VERSION}\"")))
}

/// Installs the init of exactly this version into the cache, once for each target.
fn install(cache: &Cache) -> Result<PathBuf, Failure> {
    let here = env::current_dir().unwrap_or_else(|_| PathBuf::from("/"));
    let target = StaticTarget::best_for(&here, Architecture::HOST);
    let root = cache.directory(&format!("init/{VERSION}/{}", target.triple))?;
    let path = root.join("bin/solum-init");
    if path.is_file() {
        return Ok(path);
    }
    let status =
        cargo::install_init(VERSION, &target, &root).stdin(Stdio::null()).status().map_err(|error| {
            Failure::new(ExitCode::ToolMissing, format_args!("cargo cannot be started: {}", reason(&error)))
        })?;
    if let Some(code) = ExitCode::of_interrupted(status) {
        return Err(Failure::new(code, format_args!("installing solum-init {VERSION} was interrupted")));
    }
    if status.success() && path.is_file() {
        return Ok(path);
    }
    Err(Failure::new(ExitCode::BuildFailed, format_args!("cargo could not install solum-init {VERSION}"))
        .hint(format!(
            "put solum-init-{} beside the solum executable, or run solum from its workspace",
            Architecture::HOST
        )))
}
