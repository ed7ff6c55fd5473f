//! The flags of `solum push`.

use std::path::PathBuf;

use clap::Args;
use solum_image::oci::Reference;

/// `solum push`
#[derive(Debug, Args)]
pub struct Push {
    /// The image: a layout directory or an archive, as `solum build --format oci` writes them
    pub image: PathBuf,
    /// What it is called there, and where; without a tag it is `latest`
    #[arg(value_name = "HOST[:PORT]/NAME[:TAG]", value_parser = in_a_registry)]
    pub reference: Reference,
    /// Speaks HTTP without TLS; nothing else is tried with localhost, 127.0.0.1 and [::1]
    #[arg(long)]
    pub plain_http: bool,
    /// Says what would be pushed, and reaches for no registry
    #[arg(long)]
    pub dry_run: bool,
}

fn in_a_registry(text: &str) -> Result<Reference, String> {
    let reference: Reference = text.parse().map_err(|error| format!("it {error}"))?;
    if reference.to_string().len() > text.len() && !text.starts_with(&format!("{}/", reference.registry)) {
        return Err(format!("it names no registry; write HOST/{text}"));
    }
    Ok(reference)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_names_its_registry() {
        assert_eq!(in_a_registry("localhost/a").unwrap().to_string(), "localhost/a:latest");
        assert_eq!(in_a_registry("127.0.0.1:5000/a:b").unwrap().to_string(), "127.0.0.1:5000/a:b");
        assert_eq!(in_a_registry("a/b:c").unwrap_err(), "it names no registry; write HOST/a/b:c");
        assert!(in_a_registry("host.example/B").unwrap_err().starts_with("it has a name that is none"));
    }
}
