//! `solum graph`: a system as a picture.

use solum_spec::system::graph::Graph as Picture;

use crate::arguments::{Graph, GraphFormat};
use crate::failure::Failure;
use crate::output::{print, write_whole};
use crate::system::Described;

/// Draws the system, with its interfaces unless nothing was to be built.
pub fn graph(arguments: &Graph) -> Result<(), Failure> {
    let described = Described::read(&arguments.described.directory)?;
    let picture = if arguments.described.no_build {
        Picture::of_draft(&described.draft)
    } else {
        Picture::of_system(&described.wire(&described.build()?)?)
    };
    let text = match arguments.format {
        GraphFormat::Svg => picture.svg(),
        GraphFormat::Dot => picture.dot(),
        GraphFormat::Mermaid => picture.mermaid(),
    };
    match &arguments.output {
        Some(path) => write_whole(path, text.as_bytes()),
        None => {
            print(&text);
            Ok(())
        }
    }
}
