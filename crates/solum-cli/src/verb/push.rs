//! `solum push`: an image to a registry.

use std::fs;
use std::path::Path;

use solum_image::oci::{Attached, Blob, Descriptor, Image};
use solum_kernel::Progress;

use crate::arguments::Push;
use crate::exit_code::ExitCode;
use crate::failure::Failure;
use crate::output::print_line;
use crate::registry::{Attachment, Registry};
use crate::terminal::{Bars, say};

/// Reads the image, and sends what the registry lacks of it.
pub fn push(arguments: &Push) -> Result<(), Failure> {
    let Push { image: path, reference, plain_http, dry_run } = arguments;
    let image = read(path)?;
    // What has been pushed is named so that it is this image for ever, whatever the tag will mean.
    let whole = format!("{reference}@{}", image.manifest.digest);
    if *dry_run {
        describe(&image);
        print_line(&whole);
        return Ok(());
    }
    let registry = Registry::new(reference, *plain_http)?;
    let bars = Bars::new();
    send_blobs(&registry, image.blobs(), &bars)?;
    registry.send_manifest(&reference.tag, &image.manifest.media_type, &image.manifest.bytes)?;
    for attached in &image.attached {
        send_blobs(&registry, attached.blobs.iter(), &bars)?;
        let Attached { manifest, .. } = attached;
        let answer = registry.send_manifest(&manifest.digest, &manifest.media_type, &manifest.bytes)?;
        if answer == Attachment::ListedByTag {
            registry.list_by_tag(&image.manifest, &entry(attached))?;
        }
    }
    drop(bars);
    print_line(&whole);
    Ok(())
}

/// Reads an image: a layout directory or an archive.
pub fn read(path: &Path) -> Result<Image, Failure> {
    let unreadable = |error: std::io::Error| Failure::file("cannot read the image", path, &error);
    let read = if fs::metadata(path).map_err(unreadable)?.is_dir() {
        Image::from_layout(|file| fs::read(path.join(file)).ok())
    } else {
        Image::from_archive(&fs::read(path).map_err(unreadable)?)
    };
    read.map_err(|error| {
        Failure::new(ExitCode::UnusableInput, format_args!("{} is not an image: {error}", path.display()))
            .hint("make one with `solum build --format oci`".to_owned())
    })
}

fn send_blobs<'a>(
    registry: &Registry,
    blobs: impl Iterator<Item = &'a Blob>,
    progress: &dyn Progress,
) -> Result<(), Failure> {
    for blob in blobs {
        if !registry.has_blob(&blob.digest)? {
            progress.phase(&format!("sending {} ({} bytes)", short(&blob.digest), blob.bytes.len()));
            registry.send_blob(blob, progress)?;
        }
    }
    Ok(())
}

/// How an attachment stands in the list of what is attached to an image (OCI Distribution Specification 1.1, "Listing
/// Referrers").
fn entry(attached: &Attached) -> Descriptor {
    Descriptor {
        media_type: attached.manifest.media_type.clone(),
        digest: attached.manifest.digest.clone(),
        size: attached.manifest.bytes.len() as u64,
        artifact_type: Some(attached.artifact_type.clone()),
        ..Descriptor::default()
    }
}

/// Says what there is to push.
fn describe(image: &Image) {
    let attached = image.attached.iter().flat_map(|one| one.blobs.iter().chain([&one.manifest]));
    for blob in image.blobs().chain([&image.manifest]).chain(attached) {
        say(&format!("would send {} ({} bytes, {})", short(&blob.digest), blob.bytes.len(), blob.media_type));
    }
}

/// Enough of a digest to tell one from another.
fn short(digest: &str) -> &str {
    digest.get(..19).unwrap_or(digest)
}
