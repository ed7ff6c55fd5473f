//! The package that simulates the system.

use super::Simulation;
use super::draft::Reader;
use super::programs::unusable;
use super::raw::{self, Located};

pub(super) fn read(reader: &mut Reader<'_>, simulation: raw::Simulation) -> Option<Located<Simulation>> {
    let raw::Simulation { package, bin, profile } = simulation;
    let words = [("package", &package), ("bin", &bin), ("profile", &profile)];
    let given = words.into_iter().filter_map(|(key, word)| Some((key, word.as_ref()?)));
    given.filter_map(|(key, word)| unusable(key, word)).for_each(|diagnostic| reader.wrong(diagnostic));
    let text = |word: Option<Located<String>>| word.map(|word| word.value);
    // That it has to be there, the shape says.
    package.map(|package| Located {
        span: package.span,
        value: Simulation { package: package.value, binary: text(bin), profile: text(profile) },
    })
}
