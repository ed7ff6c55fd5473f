//! The guide is true: its commands are run, one session of bash for each chapter, and answer what the guide says.
//!
//! In a chapter, a block ```` ```console ```` holds commands (`$ …`, continued after a `\`) and what they print; `…`
//! stands for anything within a line, and alone in a line for any number of lines. A command must succeed, unless
//! `$ echo $?` follows it. What else a block may say, after commas:
//!
//! - `clone`: it runs in the root of the repository, the others in a directory of the chapter's own;
//! - `needs=TOOL`: it is skipped where TOOL is not installed; a tool of its own kind is `built-kernel`;
//! - `shown`: it is not run, for the reason in [`SHOWN`].
//!
//! A block of another language with `file=NAME` becomes that file in the chapter's directory.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod answer;
mod chapter;
mod readme;
mod session;

use std::fs;
use std::path::{Path, PathBuf};

use chapter::{Block, Chapter};
use session::Session;

/// Commands that are only shown, by their beginnings, and why.
const SHOWN: [(&str, &str); 9] = [
    (
        "solum flash hello.img /dev/sdb",
        "nobody's stick is to be overwritten; `tests/media` writes to devices that are files",
    ),
    ("solum build examples/web-cluster", "it is built to be run, which takes long"),
    (
        "solum run --image cluster",
        "five machines under firmware take long without KVM; `tests/images` boots smaller systems",
    ),
    ("solum kernel build --config", "a build takes minutes"),
    ("solum kernel build --profile pc", "a build takes minutes"),
    ("solum take --kernel debian-pc", "what is in it depends on the devices of the host"),
    (
        "podman ",
        "not every host lets its tests make containers as a user does; `tests/containers` runs it in its own way",
    ),
    (
        "solum push hello.tar registry.example",
        "there is no such registry; `tests/containers` pushes to a real one",
    ),
    ("solum kernel remove", "it would take away kernels that somebody else uses"),
];

macro_rules! chapters {
    ($($name:ident),*) => {
        const CHAPTERS: &[&str] = &[$(stringify!($name)),*];
        $(#[test] fn $name() { Session::play(&chapter(stringify!($name))); })*
    };
}

chapters!(
    first, programs, inside, storage, network, end, kernels, alone, images, containers, system, ported,
    simulation, trouble, limits
);

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn sources() -> PathBuf {
    repository().join("docs/guide/src")
}

fn chapter(name: &str) -> Chapter {
    let text = fs::read_to_string(sources().join(name).with_extension("md")).unwrap();
    Chapter::parse(name, &text)
}

#[test]
fn the_summary_names_every_chapter_once_and_in_order() {
    let summary = fs::read_to_string(sources().join("SUMMARY.md")).unwrap();
    let linked: Vec<&str> =
        summary.split("](").skip(1).filter_map(|rest| rest.split(".md)").next()).collect();
    assert_eq!(linked, CHAPTERS, "SUMMARY.md, and the chapters of this test");
    let files = fs::read_dir(sources()).unwrap().map(|entry| entry.unwrap().file_name());
    assert_eq!(files.count(), CHAPTERS.len() + 1, "a file in docs/guide/src is no chapter");
}

#[test]
fn what_is_only_shown_has_a_reason() {
    let mut unused = SHOWN.to_vec();
    for chapter in CHAPTERS.iter().map(|name| chapter(name)) {
        for step in chapter.blocks.iter().filter(|block| block.shown).flat_map(|block| &block.steps) {
            let reason = SHOWN.iter().find(|(beginning, _)| step.command.starts_with(beginning));
            assert!(reason.is_some(), "{}: nobody says why it is only shown", step.place);
            unused.retain(|row| Some(row) != reason);
        }
    }
    assert!(unused.is_empty(), "reasons without a command: {unused:?}");
}

/// Every command of the guide that is run, as it is written.
fn commands_run() -> Vec<String> {
    let chapters = CHAPTERS.iter().map(|name| chapter(name));
    let blocks = chapters.flat_map(|chapter| chapter.blocks).filter(|block: &Block| !block.shown);
    blocks.flat_map(|block| block.steps).map(|step| step.command).collect()
}
