//! Programs: where each comes from.

use std::ops::Range;

use super::Source;
use super::diagnostic::Diagnostic;
use super::draft::{DraftProgram, Reader, in_text_order};
use super::names;
use super::raw::{self, Located, Named};

pub(super) fn read(reader: &mut Reader<'_>, programs: Named<raw::Program>) -> Vec<DraftProgram> {
    in_text_order(programs)
        .into_iter()
        .map(|(name, program)| {
            names::check(reader, "program", &name);
            let source = source(reader, &name, program);
            DraftProgram { name, source }
        })
        .collect()
}

fn source(reader: &mut Reader<'_>, name: &Located<String>, program: raw::Program) -> Source {
    check_words(reader, &program);
    let is_taken = |key| reader.damage.is_within(&["program", &name.value, key]);
    let is_damaged = ["package", "file", "build", "output"].into_iter().any(is_taken);
    check_origin(reader, name, &program, is_damaged);
    if program.package.is_none() && !is_damaged {
        check_choices(reader, name, &program);
    }
    check_output(reader, name, &program, is_damaged);
    let raw::Program { package, file, build, output, bin, example, features, profile } = program;
    let text = |value: Option<Located<String>>| value.map(|value| value.value);
    let list = |value: Option<Located<Vec<Located<String>>>>| -> Vec<String> {
        value.into_iter().flat_map(|value| value.value).map(|word| word.value).collect()
    };
    match (package, file, build) {
        (Some(directory), ..) => Source::Package {
            directory: directory.value,
            binary: text(bin),
            example: text(example),
            features: list(features),
            profile: text(profile),
        },
        (None, Some(path), _) => Source::File { path: path.value },
        (None, None, build) => {
            Source::Build { command: list(build), output: text(output).unwrap_or_default() }
        }
    }
}

/// A program comes from one place.
fn check_origin(reader: &mut Reader<'_>, name: &Located<String>, program: &raw::Program, is_damaged: bool) {
    let mut given: Vec<(&str, Range<usize>)> = [
        program.package.as_ref().map(|at| ("package", at.span.clone())),
        program.file.as_ref().map(|at| ("file", at.span.clone())),
        program.build.as_ref().map(|at| ("build", at.span.clone())),
    ]
    .into_iter()
    .flatten()
    .collect();
    given.sort_by_key(|(_, span)| span.start);
    let name_text = &name.value;
    match given.as_slice() {
        [] if !is_damaged => {
            let forms =
                "`package = \"DIR\"`, `file = \"PATH\"`, or `build = [\"COMMAND\"]` with `output = \"PATH\"`";
            reader.wrong(
                Diagnostic::new(name.span.clone(), format!("program `{name_text}` comes from nowhere"))
                    .hint(format!("add {forms}")),
            );
        }
        [(first, at), (second, other), ..] => reader.wrong(
            Diagnostic::new(
                other.clone(),
                format!("program `{name_text}` comes from `{first}` and from `{second}`"),
            )
            .related(at.clone(), "the other one")
            .hint("leave one of them out".to_owned()),
        ),
        _ => {}
    }
    if let (Some(bin), Some(example)) = (&program.bin, &program.example) {
        let (first, second) =
            if bin.span.start < example.span.start { (bin, example) } else { (example, bin) };
        let message = format!("program `{name_text}` is a `bin` and an `example`");
        reader.wrong(
            Diagnostic::new(second.span.clone(), message)
                .related(first.span.clone(), "the other one")
                .hint("leave one of them out".to_owned()),
        );
    }
}

/// What chooses within a package has no meaning without one.
fn check_choices(reader: &mut Reader<'_>, name: &Located<String>, program: &raw::Program) {
    let given = [
        ("bin", program.bin.as_ref().map(|at| at.span.clone())),
        ("example", program.example.as_ref().map(|at| at.span.clone())),
        ("features", program.features.as_ref().map(|at| at.span.clone())),
        ("profile", program.profile.as_ref().map(|at| at.span.clone())),
    ];
    for (key, at) in given.into_iter().filter_map(|(key, at)| Some((key, at?))) {
        let message = format!("`{key}` chooses within a Cargo package, and program `{}` is none", name.value);
        reader.wrong(Diagnostic::new(at, message).hint(format!("leave `{key}` out, or give a `package`")));
    }
}

fn check_output(reader: &mut Reader<'_>, name: &Located<String>, program: &raw::Program, is_damaged: bool) {
    match (&program.build, &program.output) {
        (Some(build), _) if build.value.is_empty() => reader.wrong(
            Diagnostic::new(
                build.span.clone(),
                format!("the command that builds program `{}` is empty", name.value),
            )
            .hint("write it word by word, like `build = [\"make\", \"all\"]`".to_owned()),
        ),
        (Some(build), None) if !is_damaged => reader.wrong(
            Diagnostic::new(
                build.span.clone(),
                format!("nothing says which file this command makes for program `{}`", name.value),
            )
            .hint("add `output = \"PATH\"`".to_owned()),
        ),
        (None, Some(output)) if !is_damaged => reader.wrong(
            Diagnostic::new(
                output.span.clone(),
                format!("`output` is what `build` makes, and program `{}` has no `build`", name.value),
            )
            .hint("write `file` for an executable that is there already".to_owned()),
        ),
        _ => {}
    }
}

/// Words that nothing can be done with.
fn check_words(reader: &mut Reader<'_>, program: &raw::Program) {
    let raw::Program { package, file, build, output, bin, example, features, profile } = program;
    let single =
        [("package", package), ("file", file), ("output", output), ("bin", bin), ("example", example)];
    let single = single.into_iter().chain([("profile", profile)]);
    let single = single.filter_map(|(key, word)| Some((key, word.as_ref()?)));
    let lists = [("build", build), ("features", features)];
    let lists = lists.into_iter().filter_map(|(key, list)| Some((key, list.as_ref()?)));
    let words = lists.flat_map(|(key, list)| list.value.iter().map(move |word| (key, word)));
    let wrong: Vec<Diagnostic> = single.chain(words).filter_map(|(key, word)| unusable(key, word)).collect();
    wrong.into_iter().for_each(|diagnostic| reader.wrong(diagnostic));
}

/// A word that is empty, or that the system could not be given.
pub(super) fn unusable(key: &str, word: &Located<String>) -> Option<Diagnostic> {
    if word.value.is_empty() && key != "build" {
        Some(Diagnostic::new(word.span.clone(), format!("`{key}` is empty")))
    } else {
        with_nul(key, word)
    }
}

/// A text that the system could not be given.
pub(super) fn with_nul(key: &str, word: &Located<String>) -> Option<Diagnostic> {
    word.value.contains('\0').then(|| {
        Diagnostic::new(
            word.span.clone(),
            format!("`{key}` has a NUL character, which no program can be given"),
        )
    })
}
