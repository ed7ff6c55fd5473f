//! Kernel modules. Which ones, and in which order, the builder of the image decided.

use std::fs::File;
use std::path::Path;

use rustix::io::Errno;
use rustix::system::finit_module;
use solum_spec::reason;

/// The module is compressed and the kernel shall unpack it (`MODULE_INIT_COMPRESSED_FILE`,
/// include/uapi/linux/module.h; needs CONFIG_MODULE_DECOMPRESS, Linux 5.17).
const COMPRESSED: i32 = 4;

/// Where an image without a description lists its modules, in the order of loading.
const ORDER: &str = "/lib/modules/order";

/// Loads modules in the order given. What cannot be loaded is left out and named: a machine may well run without.
pub fn load_all<'a>(paths: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let mut missing = Vec::new();
    for path in paths {
        let loaded = File::open(path)
            .and_then(|file| Ok(finit_module(file, c"", if is_compressed(path) { COMPRESSED } else { 0 })?));
        match loaded {
            Err(error) if error.raw_os_error() != Some(Errno::EXIST.raw_os_error()) => {
                missing.push(format!("the kernel module {path} could not be loaded: {}", reason(&error)));
            }
            _ => {}
        }
    }
    missing
}

/// Loads what an image without a description lists.
pub fn load_listed() -> Vec<String> {
    let order = std::fs::read_to_string(ORDER).unwrap_or_default();
    load_all(order.lines())
}

fn is_compressed(path: &str) -> bool {
    Path::new(path)
        .extension()
        .is_some_and(|suffix| ["xz", "zst", "gz"].iter().any(|compressed| suffix == *compressed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compressed_modules_are_known_by_their_names() {
        for (path, compressed) in
            [("/m/a.ko", false), ("/m/a.ko.xz", true), ("/m/a.ko.zst", true), ("/m/a.ko.gz", true)]
        {
            assert_eq!(is_compressed(path), compressed, "{path}");
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        let missing = load_all(["/nonexistent/a.ko"]);
        assert_eq!(missing.len(), 1);
        assert!(missing[0].contains("/nonexistent/a.ko"), "{missing:?}");
    }
}
