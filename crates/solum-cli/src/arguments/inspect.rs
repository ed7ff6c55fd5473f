//! The flags of `solum inspect`.

use std::path::PathBuf;

use clap::Args;

/// `solum inspect`
#[derive(Debug, Args)]
pub struct Inspect {
    /// The image: a file, a directory or a device
    #[arg(value_name = "FILE")]
    pub image: PathBuf,
    /// Prints everything as JSON
    #[arg(long, conflicts_with_all = ["sbom", "file"])]
    pub json: bool,
    /// Prints the bill of materials that is in the image (CycloneDX, JSON)
    #[arg(long, conflicts_with = "file")]
    pub sbom: bool,
    /// Prints one file of the machine or container, as it is there
    #[arg(long, value_name = "PATH")]
    pub file: Option<String>,
    /// Lists every file and every module
    #[arg(long, short)]
    pub verbose: bool,
}
