//! The table of crates in ARCHITECTURE.md says what `cargo metadata` says, in both directions.

use super::{Finding, Text};
use crate::failure::Outcome;
use crate::workspace::{Package, Workspace};
use std::collections::BTreeSet;

const MAP: &str = "ARCHITECTURE.md";

/// Programs: nothing is built upon them.
const LEAVES: &[&str] = &["solum-cli", "solum-init"];

/// All that an example may see of the workspace, beside other examples: what a user's program sees.
const SDK: &str = "solum";

/// What the simulation of an example uses beside it, and the tests of its programs, as a user's do.
const SIMULATOR: &str = "solum-sim";

/// The directory of a system's simulation. Its package is named after the system, too: names are there once.
const SIMULATION: &str = "simulation";

/// A member of the workspace, as its manifest has it.
pub struct Crate {
    name: String,
    description: String,
    /// Its directory, relative to the root.
    directory: String,
    /// Members it is built with.
    uses: BTreeSet<String>,
    /// Members its tests are built with.
    tests_use: BTreeSet<String>,
}

impl Crate {
    /// The members of a workspace.
    pub fn of_workspace(workspace: &Workspace) -> Outcome<Vec<Self>> {
        let metadata = workspace.metadata()?;
        let names: BTreeSet<&str> = metadata.packages.iter().map(|package| package.name.as_str()).collect();
        Ok(metadata.packages.iter().map(|package| Self::new(package, &names, workspace)).collect())
    }

    fn new(package: &Package, members: &BTreeSet<&str>, workspace: &Workspace) -> Self {
        let directory = package.manifest_path.parent().unwrap_or(&package.manifest_path);
        let directory = directory.strip_prefix(workspace.root()).unwrap_or(directory);
        let inside = package.dependencies.iter().filter(|dependency| members.contains(&*dependency.name));
        let (tests_use, uses): (Vec<_>, Vec<_>) =
            inside.partition(|dependency| dependency.kind.as_deref() == Some("dev"));
        let names = |dependencies: Vec<&crate::workspace::Dependency>| {
            dependencies.iter().map(|dependency| dependency.name.clone()).collect()
        };
        Self {
            name: package.name.clone(),
            description: package.description.clone().unwrap_or_default(),
            directory: directory.display().to_string(),
            uses: names(uses),
            tests_use: names(tests_use),
        }
    }

    /// Whether it has the directory that its name wants.
    fn is_in_place(&self) -> bool {
        let mut parts = self.directory.rsplit('/');
        match (parts.next(), parts.next()) {
            (Some(SIMULATION), Some(system)) if self.directory.starts_with("examples/") => {
                self.name == format!("{system}-{SIMULATION}")
            }
            // Among tests a system has no directory of its own.
            (Some(SIMULATION), _) => self.name.ends_with(&format!("-{SIMULATION}")),
            (last, _) => last == Some(&*self.name),
        }
    }

    /// Whether it is the simulation of a system.
    fn is_simulation(&self) -> bool {
        self.directory.ends_with(&format!("/{SIMULATION}"))
    }

    /// Programs as a user would write them, to be shown or to be run by tests.
    fn is_example(&self) -> bool {
        self.directory.starts_with("examples/") || self.directory.contains("/tests/")
    }
}

/// One row of the table.
struct Row {
    line: usize,
    name: String,
    purpose: String,
    may_use: BTreeSet<String>,
}

/// Where the map and the manifests disagree.
pub fn check(texts: &[Text], crates: &[Crate]) -> Vec<Finding> {
    let Some(map) = texts.iter().find(|text| text.path == MAP) else {
        return vec![Finding::at(MAP, 1, "the map is missing")];
    };
    let rows = rows(&map.content);
    let stale = rows.iter().filter(|row| !crates.iter().any(|member| member.name == row.name));
    let mut findings: Vec<Finding> =
        stale.map(|row| Finding::at(MAP, row.line, format!("there is no crate `{}`", row.name))).collect();
    findings.extend(crates.iter().flat_map(|member| check_crate(member, crates, &rows)));
    findings
}

fn check_crate(member: &Crate, crates: &[Crate], rows: &[Row]) -> Vec<Finding> {
    let manifest = format!("{}/Cargo.toml", member.directory);
    let mut findings = Vec::new();
    if !member.is_in_place() {
        let message = match member.is_simulation() {
            true => format!("crate `{}` must be named after its system: SYSTEM-{SIMULATION}", member.name),
            false => format!("crate `{}` must lie in a directory of its name", member.name),
        };
        findings.push(Finding::at(&manifest, 1, message));
    }
    for leaf in member.uses.union(&member.tests_use).filter(|name| LEAVES.contains(&name.as_str())) {
        findings.push(Finding::at(&manifest, 1, format!("nothing may depend on `{leaf}`")));
    }
    if member.is_example() {
        // A system of several programs has crates of its own that they share.
        let is_example = |name: &str| crates.iter().any(|other| other.name == name && other.is_example());
        let uses = member.uses.union(&member.tests_use);
        // A program is what is built with the SDK; it is never built with the simulator, though its tests may be.
        let is_program = member.uses.contains(SDK) && !member.is_simulation();
        let may_simulate = !is_program || !member.uses.contains(SIMULATOR);
        let is_simulator = |name: &str| name == SIMULATOR && may_simulate;
        let others = uses.filter(|name| *name != SDK && !is_simulator(name) && !is_example(name));
        findings
            .extend(others.map(|name| Finding::at(&manifest, 1, format!("an example may not use `{name}`"))));
    } else {
        match rows.iter().find(|row| row.name == member.name) {
            None => {
                findings.push(Finding::at(MAP, 1, format!("crate `{}` has no row in the table", member.name)))
            }
            Some(row) => findings.extend(check_row(member, row, &manifest)),
        }
    }
    findings
}

fn check_row(member: &Crate, row: &Row, manifest: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    if row.purpose != member.description {
        let message =
            format!("the purpose of `{}` is not its description: {}", member.name, member.description);
        findings.push(Finding::at(MAP, row.line, message));
    }
    for name in member.uses.difference(&row.may_use) {
        let message = format!("`{}` may not use `{name}`: {MAP} does not allow it", member.name);
        findings.push(Finding::at(manifest, 1, message));
    }
    findings
}

/// The rows of the table whose header is `crate | purpose | may use`.
fn rows(map: &str) -> Vec<Row> {
    let numbered = map.lines().enumerate().map(|(index, line)| (index + 1, cells(line)));
    let after = numbered.skip_while(|(_, cells)| cells[..] != ["crate", "purpose", "may use"]).skip(2);
    after.map_while(|(line, cells)| row(line, &cells)).collect()
}

fn cells(line: &str) -> Vec<&str> {
    let inner = line.trim().strip_prefix('|').and_then(|rest| rest.strip_suffix('|'));
    inner.map(|inner| inner.split('|').map(str::trim).collect()).unwrap_or_default()
}

fn row(line: usize, cells: &[&str]) -> Option<Row> {
    let [name, purpose, may_use] = cells else { return None };
    let may_use = may_use.split(',').map(|name| name.trim().trim_matches('`')).filter(|name| *name != "–");
    Some(Row {
        line,
        name: name.trim_matches('`').to_owned(),
        purpose: (*purpose).to_owned(),
        may_use: may_use.map(str::to_owned).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::super::samples::{shown, texts};
    use super::*;

    const TABLE: &str = "\
# Map

| crate | purpose | may use |
| --- | --- | --- |
| `a` | Does a. | – |
| `b` | Does b. | `a` |

| crate | of another table | may use |
";

    fn member(directory: &str, description: &str, uses: &[&str]) -> Crate {
        Crate {
            name: directory.rsplit('/').next().unwrap_or(directory).to_owned(),
            description: description.to_owned(),
            directory: directory.to_owned(),
            uses: uses.iter().map(|name| (*name).to_owned()).collect(),
            tests_use: BTreeSet::new(),
        }
    }

    fn findings(crates: &[Crate]) -> Vec<String> {
        shown(&check(&texts(&[(MAP, TABLE)]), crates))
    }

    #[test]
    fn a_true_map_is_accepted() {
        let crates = [
            member("crates/a", "Does a.", &[]),
            member("crates/b", "Does b.", &["a"]),
            member("examples/c", "", &[SDK]),
        ];
        assert_eq!(findings(&crates), [""; 0]);
    }

    #[test]
    fn a_row_without_a_crate_and_a_crate_without_a_row_are_found() {
        let crates = [member("crates/a", "Does a.", &[]), member("crates/c", "Does c.", &[])];
        assert_eq!(
            findings(&crates),
            [
                "ARCHITECTURE.md:6: there is no crate `b`",
                "ARCHITECTURE.md:1: crate `c` has no row in the table"
            ]
        );
    }

    #[test]
    fn a_dependency_against_the_map_is_found() {
        let crates = [member("crates/a", "Does a.", &["b"]), member("crates/b", "Does b.", &[])];
        assert_eq!(
            findings(&crates),
            ["crates/a/Cargo.toml:1: `a` may not use `b`: ARCHITECTURE.md does not allow it"]
        );
    }

    #[test]
    fn another_purpose_than_the_description_is_found() {
        let crates = [member("crates/a", "Does more.", &[]), member("crates/b", "Does b.", &[])];
        assert_eq!(
            findings(&crates),
            ["ARCHITECTURE.md:5: the purpose of `a` is not its description: Does more."]
        );
    }

    #[test]
    fn programs_are_not_built_upon_not_even_by_tests() {
        let mut tested = member("crates/b", "Does b.", &[]);
        tested.tests_use.insert("solum-init".to_owned());
        let crates = [member("crates/a", "Does a.", &[]), tested];
        assert_eq!(findings(&crates), ["crates/b/Cargo.toml:1: nothing may depend on `solum-init`"]);
    }

    #[test]
    fn an_example_sees_the_sdk_alone() {
        let crates = [
            member("crates/a", "Does a.", &[]),
            member("crates/b", "Does b.", &[]),
            member("examples/c", "", &["a"]),
        ];
        assert_eq!(findings(&crates), ["examples/c/Cargo.toml:1: an example may not use `a`"]);
    }

    #[test]
    fn the_simulator_is_for_simulations_tests_and_tools_and_not_for_programs() {
        let simulation = || {
            let mut simulation = member("examples/system/simulation", "", &[SDK, SIMULATOR, "server"]);
            simulation.name = "system-simulation".to_owned();
            simulation
        };
        let others =
            || [member("crates/a", "Does a.", &[]), member("crates/b", "Does b.", &[]), simulation()];
        let with = |server: Crate| others().into_iter().chain([server]).collect::<Vec<_>>();
        assert_eq!(findings(&with(member("examples/system/server", "", &[SDK]))), [""; 0]);
        assert_eq!(
            findings(&with(member("examples/system/server", "", &[SDK, SIMULATOR]))),
            ["examples/system/server/Cargo.toml:1: an example may not use `solum-sim`"]
        );
        let mut tested = member("examples/system/server", "", &[SDK]);
        tested.tests_use.insert(SIMULATOR.to_owned());
        assert_eq!(findings(&with(tested)), [""; 0]);
        assert_eq!(
            findings(&[
                member("crates/a", "Does a.", &[]),
                member("crates/b", "Does b.", &[]),
                member("examples/system/tool", "", &[SIMULATOR])
            ]),
            [""; 0]
        );
        let mut of_tests = member("crates/a/tests/simulation", "", &[SDK, SIMULATOR]);
        of_tests.name = "counted-simulation".to_owned();
        let of_tests = with(member("examples/system/server", "", &[SDK])).into_iter().chain([of_tests]);
        assert_eq!(findings(&of_tests.collect::<Vec<_>>()), [""; 0]);
        let mut nameless = simulation();
        nameless.name = "simulation".to_owned();
        let crates = [
            member("crates/a", "Does a.", &[]),
            member("crates/b", "Does b.", &[]),
            member("examples/system/server", "", &[SDK]),
            nameless,
        ];
        assert_eq!(
            findings(&crates),
            ["examples/system/simulation/Cargo.toml:1: crate `simulation` must be named after its system: \
              SYSTEM-simulation"]
        );
    }

    #[test]
    fn the_crates_of_a_system_among_the_examples_see_each_other() {
        let crates = [
            member("crates/a", "Does a.", &[]),
            member("crates/b", "Does b.", &[]),
            member("examples/system/api", "", &[SDK]),
            member("examples/system/server", "", &[SDK, "api"]),
        ];
        assert_eq!(findings(&crates), [""; 0]);
        let crates = [
            member("crates/a", "Does a.", &[]),
            member("crates/b", "Does b.", &["c"]),
            member("examples/s/c", "", &[]),
        ];
        assert_eq!(
            findings(&crates),
            ["crates/b/Cargo.toml:1: `b` may not use `c`: ARCHITECTURE.md does not allow it"]
        );
    }

    #[test]
    fn a_directory_of_another_name_is_found() {
        let mut moved = member("crates/a", "Does a.", &[]);
        moved.directory = "crates/else".to_owned();
        let crates = [moved, member("crates/b", "Does b.", &[])];
        assert_eq!(
            findings(&crates),
            ["crates/else/Cargo.toml:1: crate `a` must lie in a directory of its name"]
        );
    }

    #[test]
    fn a_missing_map_is_found() {
        assert_eq!(shown(&check(&[], &[])), ["ARCHITECTURE.md:1: the map is missing"]);
    }
}
