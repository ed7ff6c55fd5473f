//! The first step: all that the text alone tells.

use std::ops::Range;

use serde::Deserialize;
use toml::de::{DeTable, DeValue, ValueDeserializer};

use super::diagnostic::Diagnostic;
use super::raw::{self, Located, Named};
use super::shape::{self, Damage};
use super::target::Target;
use super::{
    Machine, Simulation, Source, Unit, blocking, machines, names, plugs, programs, schema, simulation,
};
use crate::description::Readiness;

/// A description whose text is right. What a program's ports decide is not yet checked.
#[derive(Clone, Debug)]
pub struct Draft {
    pub(super) name: String,
    pub(super) programs: Vec<DraftProgram>,
    pub(super) groups: Vec<Group>,
    pub(super) simulation: Option<Located<Simulation>>,
}

/// A program and where it is described.
#[derive(Clone, Debug)]
pub(super) struct DraftProgram {
    pub name: Located<String>,
    pub source: Source,
}

/// A machine, or several that are alike.
#[derive(Clone, Debug)]
pub(super) struct Group {
    pub name: Located<String>,
    pub count: Option<u32>,
    /// What each of them is like, still without units.
    pub machine: Machine,
    pub units: Vec<DraftUnit>,
}

/// A unit before its ports are known.
#[derive(Clone, Debug)]
pub(super) struct DraftUnit {
    pub name: Located<String>,
    pub program: Located<String>,
    /// All that is known, still without plugs.
    pub unit: Unit,
    pub needs: Vec<Located<String>>,
    pub ready: Option<Located<Readiness>>,
    /// The first asset.
    pub assets_at: Option<Range<usize>>,
    /// `root`, if it is true.
    pub root_at: Option<Range<usize>>,
    pub plugs: Vec<DraftPlug>,
}

/// What is to be plugged into a port.
#[derive(Clone, Debug)]
pub(super) struct DraftPlug {
    pub port: Located<String>,
    /// The whole value.
    pub at: Range<usize>,
    pub targets: Vec<Located<Target>>,
}

impl Draft {
    /// Reads a description.
    ///
    /// # Errors
    ///
    /// Everything that is wrong, in the order of the text.
    pub fn read(text: &str) -> Result<Self, Vec<Diagnostic>> {
        let (mut root, errors) = DeTable::parse_recoverable(text);
        if !errors.is_empty() {
            return Err(in_order(errors.iter().map(|error| syntax(error, text)).collect()));
        }
        let damage = shape::check(root.get_mut(), &schema());
        let span = root.span();
        let value = toml::Spanned::new(span, DeValue::Table(root.into_inner()));
        let file = match raw::File::deserialize(ValueDeserializer::from(value)) {
            Ok(file) => file,
            // What the schema allows can be read; if not, at least it is told.
            Err(error) => {
                let diagnostic = Diagnostic::new(error.span().unwrap_or(0..0), error.message());
                return Err(in_order([damage.diagnostics, vec![diagnostic]].concat()));
            }
        };
        let mut reader = Reader { damage: &damage, diagnostics: Vec::new() };
        let draft = reader.draft(file);
        let found = reader.diagnostics;
        let all = in_order([damage.diagnostics, found].concat());
        if all.is_empty() { Ok(draft) } else { Err(all) }
    }

    /// The system's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Every program's name, where it comes from, and the bytes of the text where it is named.
    pub fn programs(&self) -> impl Iterator<Item = (&str, &Source, Range<usize>)> {
        self.programs
            .iter()
            .map(|program| (program.name.value.as_str(), &program.source, program.name.span.clone()))
    }

    /// The package that simulates the system, and the bytes of the text where it is named.
    pub fn simulation(&self) -> Option<(&Simulation, Range<usize>)> {
        self.simulation.as_ref().map(|simulation| (&simulation.value, simulation.span.clone()))
    }
}

/// Collects what is wrong while the parts of a file become those of a draft.
pub(super) struct Reader<'a> {
    pub damage: &'a Damage,
    pub diagnostics: Vec<Diagnostic>,
}

impl Reader<'_> {
    pub fn wrong(&mut self, diagnostic: Diagnostic) {
        self.diagnostics.push(diagnostic);
    }

    fn draft(&mut self, file: raw::File) -> Draft {
        let name = file.system.name;
        if let Some(name) = &name {
            names::check(self, "system", name);
        }
        let draft = Draft {
            name: name.map(|name| name.value).unwrap_or_default(),
            programs: programs::read(self, file.program),
            groups: machines::read(self, file.machine),
            simulation: file.simulation.and_then(|simulation| simulation::read(self, simulation)),
        };
        if draft.groups.is_empty() && !self.damage.is_within(&["machine"]) {
            self.wrong(
                Diagnostic::new(0..0, "the system has no machine")
                    .hint("describe one below `[machine.NAME]`".to_owned()),
            );
        }
        names::check_collisions(self, &draft);
        plugs::check(self, &draft);
        blocking::check(self, &draft);
        draft
    }
}

/// The entries of a table in the order of the text.
pub(super) fn in_text_order<T>(table: Named<T>) -> Vec<(Located<String>, T)> {
    let mut entries: Vec<_> = table.into_iter().collect();
    entries.sort_by_key(|(name, _)| name.span.start);
    entries
}

/// Diagnostics in the order of the text; what is said twice is said once.
pub(super) fn in_order(mut diagnostics: Vec<Diagnostic>) -> Vec<Diagnostic> {
    diagnostics.sort_by_key(|diagnostic| (diagnostic.span.start, diagnostic.span.end));
    diagnostics.dedup();
    diagnostics
}

fn syntax(error: &toml::de::Error, text: &str) -> Diagnostic {
    let span = error.span().unwrap_or(text.len()..text.len());
    Diagnostic::new(span, format!("this is not TOML: {}", error.message().lines().next().unwrap_or_default()))
}
