//! Reading an archive: what is in it, without copying it.

use super::{MAGIC, TRAILER, TYPE_DIRECTORY, TYPE_FILE, TYPE_MASK, TYPE_SYMLINK};
use crate::cpio::Owner;
use crate::sparse::Unreadable;

/// Length of a header: the magic number and thirteen fields of eight hexadecimal digits.
const HEADER: usize = 110;
/// With checksums, which the kernel does not look at.
const MAGIC_WITH_CHECKSUMS: &[u8] = b"070702";
/// Linux does not take longer paths (PATH_MAX).
const LONGEST_PATH: usize = 4096;

/// What a member of an archive is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberKind {
    /// A directory.
    Directory,
    /// A regular file.
    File,
    /// A symbolic link.
    Symlink,
    /// A device, a pipe or a socket.
    Special,
}

/// One thing in an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member<'a> {
    /// Where it is, without a slash at its beginning. What is not UTF-8 in it is replaced.
    pub path: String,
    /// What it is.
    pub kind: MemberKind,
    /// The lower twelve bits of `st_mode` (inode(7)).
    pub permissions: u32,
    /// Whose it is.
    pub owner: Owner,
    /// Of a symbolic link, its target.
    pub content: &'a [u8],
}

/// Whether an archive begins here.
pub fn begins(bytes: &[u8]) -> bool {
    bytes.starts_with(MAGIC) || bytes.starts_with(MAGIC_WITH_CHECKSUMS)
}

/// Reads the archive at the beginning of `bytes`, and says how long it is: more may follow.
///
/// # Errors
///
/// [`Unreadable`], if it ends without its trailer or a header is none.
pub fn read(bytes: &[u8]) -> Result<(Vec<Member<'_>>, usize), Unreadable> {
    let early = || Unreadable::malformed("its initramfs ends too early");
    let mut members = Vec::new();
    let mut at = 0;
    loop {
        let header = bytes.get(at..).and_then(|rest| rest.get(..HEADER)).ok_or_else(early)?;
        let [_, mode, user_id, group_id, _, _, length, _, _, _, _, name_length, _] =
            fields(header).ok_or_else(|| Unreadable::malformed("its initramfs is damaged"))?;
        let name_length = name_length as usize;
        if !(1..=LONGEST_PATH).contains(&name_length) {
            return Err(Unreadable::malformed("its initramfs is damaged"));
        }
        let name = bytes.get(at + HEADER..).and_then(|rest| rest.get(..name_length)).ok_or_else(early)?;
        let start = (at + HEADER + name_length).next_multiple_of(4);
        let content = bytes.get(start..).and_then(|rest| rest.get(..length as usize)).ok_or_else(early)?;
        at = (start + length as usize).next_multiple_of(4);
        let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
        if name == TRAILER.as_bytes() {
            return Ok((members, at.min(bytes.len())));
        }
        members.push(Member {
            path: path(name),
            kind: match mode & TYPE_MASK {
                TYPE_DIRECTORY => MemberKind::Directory,
                TYPE_FILE => MemberKind::File,
                TYPE_SYMLINK => MemberKind::Symlink,
                _ => MemberKind::Special,
            },
            permissions: mode & 0o7777,
            owner: Owner { user_id, group_id },
            content,
        });
    }
}

/// As the kernel unpacks it: from the root, wherever that is said to be.
fn path(name: &[u8]) -> String {
    let name = String::from_utf8_lossy(name);
    let path = name.trim_start_matches("./").trim_start_matches('/');
    if path.is_empty() { ".".to_owned() } else { path.to_owned() }
}

fn fields(header: &[u8]) -> Option<[u32; 13]> {
    if !begins(header) {
        return None;
    }
    let mut fields = [0; 13];
    for (field, digits) in fields.iter_mut().zip(header.get(6..)?.chunks_exact(8)) {
        // `from_str_radix` would take a sign.
        let digits = std::str::from_utf8(digits).ok().filter(|text| !text.starts_with('+'))?;
        *field = u32::from_str_radix(digits, 16).ok()?;
    }
    Some(fields)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Archive;
    use super::*;

    fn example() -> Vec<u8> {
        let mut archive = Archive::new();
        let owner = Owner { user_id: 1000, group_id: 7 };
        archive.file("/bin/a", 0o755, owner, b"program".to_vec()).unwrap();
        archive.file("/etc/empty", 0o600, Owner::default(), Vec::new()).unwrap();
        archive.symlink("/etc/resolv.conf", b"/run/net").unwrap();
        archive.to_bytes()
    }

    #[test]
    fn what_is_written_is_read() {
        let bytes = example();
        let (members, length) = read(&bytes).unwrap();
        assert_eq!(length, bytes.len());
        let told: Vec<_> = members.iter().map(|one| (&*one.path, one.kind, one.permissions)).collect();
        use MemberKind::{Directory, File, Symlink};
        assert_eq!(
            told,
            [
                ("bin", Directory, 0o755),
                ("bin/a", File, 0o755),
                ("etc", Directory, 0o755),
                ("etc/empty", File, 0o600),
                ("etc/resolv.conf", Symlink, 0o777)
            ]
        );
        assert_eq!(members[1].content, b"program");
        assert_eq!(members[1].owner, Owner { user_id: 1000, group_id: 7 });
        assert_eq!(members[4].content, b"/run/net");
    }

    #[test]
    fn more_may_follow() {
        let bytes = [example(), example()].concat();
        assert_eq!(read(&bytes).unwrap().1, bytes.len() / 2);
    }

    #[test]
    fn a_truncated_archive_is_refused() {
        let bytes = example();
        // Nothing but padding stands behind the trailer's name.
        for end in 0..bytes.len() - 4 {
            assert!(read(&bytes[..end]).is_err(), "{end} of {} bytes", bytes.len());
        }
    }

    proptest! {
        #[test]
        fn damage_is_no_panic(at in 0..example().len(), value: u8, at2 in 0..example().len(), value2: u8) {
            let mut bytes = example();
            bytes[at] = value;
            bytes[at2] = value2;
            let _ = read(&bytes);
        }

        #[test]
        fn any_bytes_are_no_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = read(&bytes);
            let start = bytes.len().min(6);
            bytes[..start].copy_from_slice(&MAGIC[..start]);
            let _ = read(&bytes);
        }
    }
}
