//! Packages of a Debian-like distribution, taken with its own client, which checks the archive's signatures.
//!
//! Nothing is installed: packages are downloaded into a directory and unpacked there, which needs no root.

use std::cmp::Ordering;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::Error;
use crate::files;
use crate::lock::Lock;
use crate::progress::Progress;
use crate::tools::Host;

/// The package manager, with the options under which this process may use it.
pub(crate) struct Apt<'run> {
    host: &'run Host,
    progress: &'run dyn Progress,
    /// Where package lists are kept that the system's own could not be refreshed for: only root may do that.
    private: PathBuf,
    /// Held while package lists are refreshed: two that do so at once get in each other's way.
    lock: PathBuf,
    purpose: &'static str,
}

/// One version of a package, as the archive describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) sha256: String,
}

impl<'run> Apt<'run> {
    /// `purpose` says what packages are wanted for, should the host have no package manager of this kind.
    pub(crate) fn new(
        host: &'run Host,
        progress: &'run dyn Progress,
        cache: &Path,
        purpose: &'static str,
    ) -> Self {
        Self { host, progress, private: cache.join("apt"), lock: cache.join(".lock-apt"), purpose }
    }

    /// The newest package among those whose names `series` takes, where it gives the part that orders them.
    /// The package lists are refreshed if they know none.
    ///
    /// # Errors
    ///
    /// [`Error::PackageMissing`] with `pattern`, which says for people what names are meant.
    pub(crate) fn newest(
        &self,
        prefix: &str,
        pattern: &str,
        series: impl Fn(&str) -> Option<&str>,
    ) -> Result<Package, Error> {
        if let Some(package) = self.newest_known(prefix, &series)? {
            return Ok(package);
        }
        self.refresh()?;
        self.newest_known(prefix, &series)?
            .ok_or_else(|| Error::PackageMissing { pattern: pattern.to_owned() })
    }

    fn newest_known(
        &self,
        prefix: &str,
        series: impl Fn(&str) -> Option<&str>,
    ) -> Result<Option<Package>, Error> {
        let names = self.host.output_of(self.command("apt-cache")?.with(["pkgnames", prefix]))?;
        for name in newest_first(&names, series) {
            // A name alone may be a mere mention in another package's dependencies.
            let Ok(text) =
                self.host.output_of(self.command("apt-cache")?.with(["show", "--no-all-versions", name]))
            else {
                continue;
            };
            if let Some(package) = Package::parse(&text) {
                return Ok(Some(package));
            }
        }
        Ok(None)
    }

    /// Downloads a package into `directory` and unpacks it there, and gives the directory that it was unpacked to.
    pub(crate) fn unpack(&self, package: &Package, directory: &Path) -> Result<PathBuf, Error> {
        self.progress.phase(&format!("fetching the package {} {}", package.name, package.version));
        if self.download(package, directory).is_err() {
            // Archives drop old versions: lists of last week may name files that are gone.
            self.refresh()?;
            self.download(package, directory)?;
        }
        let file = only_file(directory, "deb")?;
        let actual = files::sha256_of_file(&file)?;
        if actual != package.sha256 {
            let location = format!("the package {}", package.name);
            return Err(Error::Checksum { location, expected: package.sha256.clone(), actual });
        }
        self.progress.phase(&format!("unpacking {}", package.name));
        let unpacked = directory.join("unpacked");
        let mut command = self.host.command("dpkg-deb", self.purpose)?;
        command.arg("--extract").arg(&file).arg(&unpacked);
        self.host.output_of(command)?;
        files::remove(&file)?;
        Ok(unpacked)
    }

    fn download(&self, package: &Package, directory: &Path) -> Result<(), Error> {
        let mut command = self.command("apt-get")?.with(["download"]);
        command.arg(format!("{}={}", package.name, package.version)).current_dir(directory);
        self.host.output_of(command).map(drop)
    }

    fn refresh(&self) -> Result<(), Error> {
        let _lock = Lock::take(&self.lock, || {
            self.progress.phase("waiting for another solum, which is refreshing the package lists");
        })?;
        // Also after another has done so: it may have been interrupted.
        self.progress.phase("refreshing the package lists");
        if !self.host.is_root {
            for place in ["lists/partial", "archives/partial"] {
                files::create_directory(&self.private.join(place))?;
            }
        }
        let update = self.command("apt-get")?.with(["update"]);
        self.host.output_of(update).map(drop)
    }

    fn command(&self, program: &str) -> Result<Command, Error> {
        let mut command = self.host.command(program, self.purpose)?;
        command.arg("--quiet");
        if self.host.is_root {
            // Else apt drops its rights, may then not write into our directory, and warns about that.
            command.args(["-o", "APT::Sandbox::User=root"]);
        } else if self.private.is_dir() {
            for (option, place) in
                [("Dir::State::lists", "lists"), ("Dir::Cache::archives", "archives"), ("Dir::Cache", "")]
            {
                command.arg("-o").arg(format!("{option}={}/", self.private.join(place).display()));
            }
        }
        Ok(command)
    }
}

/// Adds arguments to a command, in the middle of an expression.
trait With {
    fn with<const COUNT: usize>(self, arguments: [&str; COUNT]) -> Self;
}

impl With for Command {
    fn with<const COUNT: usize>(mut self, arguments: [&str; COUNT]) -> Self {
        self.args(arguments);
        self
    }
}

impl Package {
    /// Reads the first stanza that `apt-cache show` prints. One without a file is a virtual package.
    fn parse(text: &str) -> Option<Self> {
        let field = |name: &str| {
            let mut lines = text.lines().take_while(|line| !line.is_empty());
            lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": ").map(str::to_owned))
        };
        field("Filename")?;
        Some(Self { name: field("Package")?, version: field("Version")?, sha256: field("SHA256")? })
    }
}

fn newest_first(names: &str, series: impl Fn(&str) -> Option<&str>) -> Vec<&str> {
    let mut found: Vec<_> = names.lines().filter_map(|name| Some((series(name)?, name))).collect();
    found.sort_by(|left, right| compare_versions(right.0, left.0));
    found.into_iter().map(|(_, name)| name).collect()
}

/// Orders versions as people read them: digits as numbers, all else as text.
pub(crate) fn compare_versions(left: &str, right: &str) -> Ordering {
    let (mut left, mut right) = (left, right);
    loop {
        if left.is_empty() || right.is_empty() {
            return left.len().cmp(&right.len());
        }
        let (left_text, left_number, left_rest) = next_part(left);
        let (right_text, right_number, right_rest) = next_part(right);
        let order = left_text.cmp(right_text).then(left_number.cmp(&right_number));
        if order != Ordering::Equal {
            return order;
        }
        (left, right) = (left_rest, right_rest);
    }
}

/// Text up to the first digit, the number there, and what follows.
fn next_part(version: &str) -> (&str, u64, &str) {
    let is_digit = |byte: char| byte.is_ascii_digit();
    let (text, rest) = version.split_at(version.find(is_digit).unwrap_or(version.len()));
    let (number, rest) = rest.split_at(rest.find(|byte| !is_digit(byte)).unwrap_or(rest.len()));
    (text, number.parse().unwrap_or(0), rest)
}

fn only_file(directory: &Path, extension: &str) -> Result<PathBuf, Error> {
    let failed = |error| Error::io("list", directory, error);
    for entry in std::fs::read_dir(directory).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|found| found == extension) {
            return Ok(path);
        }
    }
    Err(failed(std::io::Error::other(format!("the package manager left no .{extension} file"))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_by_their_numbers() {
        let ascending =
            ["6.1", "6.1.0-9", "6.1.0-50", "6.2", "6.12", "6.12.9+deb12", "6.12.117+deb12", "10.0"];
        for pair in ascending.windows(2) {
            assert_eq!(compare_versions(pair[0], pair[1]), Ordering::Less, "{pair:?}");
            assert_eq!(compare_versions(pair[1], pair[0]), Ordering::Greater, "{pair:?}");
        }
        assert_eq!(compare_versions("6.12", "6.12"), Ordering::Equal);
    }

    #[test]
    fn a_stanza_is_read_and_a_virtual_package_is_none() {
        let stanza = "Package: linux-source-6.12\nVersion: 6.12.117-1~deb12u1\nFilename: pool/x.deb\nSHA256: e8\n\n\
                      Package: other\n";
        assert_eq!(
            Package::parse(stanza),
            Some(Package {
                name: "linux-source-6.12".into(),
                version: "6.12.117-1~deb12u1".into(),
                sha256: "e8".into()
            })
        );
        assert_eq!(Package::parse("Package: linux-image\nVersion: 1\nSHA256: e8\n"), None);
        assert_eq!(Package::parse(""), None);
    }
}
