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
    let mut without_hardware = false;
    for path in paths {
        let error = match File::open(path) {
            Err(error) => error,
            Ok(file) => {
                let flags = if is_compressed(path) { COMPRESSED } else { 0 };
                match finit_module(file, c"", flags) {
                    Err(error) if !is_as_well(error, &mut without_hardware) => error.into(),
                    _ => continue,
                }
            }
        };
        missing.push(format!("the kernel module {path} could not be loaded: {}", reason(&error)));
    }
    missing
}

/// Whether a module that could not be loaded is none to speak of. It is loaded already; or it looked for its hardware
/// and found none, as is to be expected of an image that starts on many machines; or it needs such a one.
fn is_as_well(error: Errno, without_hardware: &mut bool) -> bool {
    *without_hardware |= error == Errno::NODEV;
    // ENOENT is an unknown symbol (init_module(2)): that of a module which is not there.
    matches!(error, Errno::EXIST | Errno::NODEV) || (error == Errno::NOENT && *without_hardware)
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
    fn hardware_that_is_not_there_is_no_fault() {
        let mut without_hardware = false;
        let table = [
            (Errno::EXIST, true),
            // Nothing explains the symbol that is missing here,
            (Errno::NOENT, false),
            (Errno::NOEXEC, false),
            (Errno::NODEV, true),
            // but here the module that has it may have found no hardware.
            (Errno::NOENT, true),
            (Errno::NOEXEC, false),
        ];
        for (error, expected) in table {
            assert_eq!(is_as_well(error, &mut without_hardware), expected, "{error}");
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        let missing = load_all(["/nonexistent/a.ko"]);
        assert_eq!(missing.len(), 1);
        assert!(missing[0].contains("/nonexistent/a.ko"), "{missing:?}");
    }
}
