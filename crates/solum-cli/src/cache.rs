//! The one directory in which Solum keeps what is expensive to make again.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use crate::exit_code::ExitCode;
use crate::failure::{Failure, reason};

/// The cache directory: `$SOLUM_CACHE`, else `$XDG_CACHE_HOME/solum`, else `~/.cache/solum` (XDG Base Directory
/// Specification).
pub struct Cache {
    root: PathBuf,
}

impl Cache {
    /// The cache of this user. Nothing is made yet.
    pub fn of_user() -> Result<Self, Failure> {
        let named =
            |variable: &str| env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from);
        let root = named("SOLUM_CACHE")
            .or_else(|| named("XDG_CACHE_HOME").map(|base| base.join("solum")))
            .or_else(|| named("HOME").map(|home| home.join(".cache/solum")))
            .ok_or_else(|| {
                Failure::new(ExitCode::HostRefuses, "there is no place for a cache, because HOME is not set")
                    .hint("set SOLUM_CACHE=/path/to/a/directory".to_owned())
            })?;
        Ok(Self { root })
    }

    /// The directory itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A directory in the cache, made if it is missing.
    pub fn directory(&self, name: &str) -> Result<PathBuf, Failure> {
        let path = self.root.join(name);
        fs::create_dir_all(&path).map_err(|error| {
            let message = format!("cannot make the directory {}: {}", path.display(), reason(&error));
            Failure::new(ExitCode::HostRefuses, message)
                .hint("put the cache elsewhere with SOLUM_CACHE=/path".to_owned())
        })?;
        Ok(path)
    }
}
