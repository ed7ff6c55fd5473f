//! What is in an initramfs.

/// The content of a file in a cpio archive of the kind the kernel unpacks: each entry is a header of 110 characters,
/// the name with its zero byte, the content; both padded to four bytes (Documentation/driver-api/early-userspace/
/// buffer-format.rst).
pub fn file_in_archive<'a>(archive: &'a [u8], name: &str) -> Option<&'a [u8]> {
    const HEADER_BYTES: usize = 110;
    let mut at = 0;
    while archive.get(at..at + 6)? == b"070701" {
        let field = |index: usize| {
            let start = at + 6 + 8 * index;
            let digits = std::str::from_utf8(archive.get(start..start + 8)?).ok()?;
            usize::from_str_radix(digits, 16).ok()
        };
        let (length, name_length) = (field(6)?, field(11)?);
        let name_at = at + HEADER_BYTES;
        let content_at = (name_at + name_length).next_multiple_of(4);
        if archive.get(name_at..name_at + name_length)?.strip_suffix(b"\0")? == name.as_bytes() {
            return archive.get(content_at..content_at + length);
        }
        at = (content_at + length).next_multiple_of(4);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, content: &[u8]) -> Vec<u8> {
        let zeros = "00000000".repeat(4);
        let mut bytes = format!(
            "070701{0}{zeros}00000000{1:08x}{zeros}{2:08x}00000000{name}\0",
            "00000001",
            content.len(),
            name.len() + 1
        )
        .into_bytes();
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes.extend(content);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    #[test]
    fn a_file_is_found_behind_others() {
        let archive = [entry("bin", b""), entry("bin/hello", b"12345"), entry("init", b"abc")].concat();
        assert_eq!(file_in_archive(&archive, "init"), Some(&b"abc"[..]));
        assert_eq!(file_in_archive(&archive, "bin/hello"), Some(&b"12345"[..]));
        assert_eq!(file_in_archive(&archive, "lib"), None);
        assert_eq!(file_in_archive(b"\x28\xb5\x2f\xfd zstd", "init"), None);
    }
}
