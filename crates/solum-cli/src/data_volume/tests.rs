use super::*;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::{Command, Output};

const E2FSCK: Tool = Tool { program: "e2fsck", package: "e2fsprogs", purpose: "" };
const DEBUGFS: Tool = Tool { program: "debugfs", package: "e2fsprogs", purpose: "" };

const VOLUME: DataVolume = DataVolume {
    kind: DataKind::Ext4,
    size: 64 << 20,
    content: None,
    owner: (1000, 1001),
    id: Guid::new(0x11111111_2222_8333_8444_555555555555),
    epoch_s: 1_763_763_013,
};

fn run(tool: Tool, arguments: &[&str]) -> Option<Output> {
    let Some(file) = tool.find() else {
        println!("skipped: {} is not installed", tool.program);
        return None;
    };
    Some(Command::new(file).args(arguments).output().unwrap())
}

/// A directory with one of each kind; `order` tells in which order they are made.
fn content(names: &[&str]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("deep")).unwrap();
    for name in names {
        fs::write(directory.path().join(name), name.repeat(1000)).unwrap();
    }
    fs::write(directory.path().join("empty"), "").unwrap();
    fs::set_permissions(directory.path().join("empty"), fs::Permissions::from_mode(0o4750)).unwrap();
    fs::hard_link(directory.path().join("one"), directory.path().join("deep/same")).unwrap();
    symlink("../one", directory.path().join("deep/link")).unwrap();
    directory
}

#[test]
fn an_ext4_volume_is_clean_and_holds_its_content() {
    let content = content(&["one", "two", "deep/three"]);
    let out = tempfile::tempdir().unwrap();
    let path = out.path().join("volume");
    DataVolume { content: Some(content.path()), ..VOLUME }.write(&path).unwrap();
    let path = path.to_str().unwrap();
    let Some(checked) = run(E2FSCK, &["-fn", path]) else { return };
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stdout));
    let say = |request: &str| {
        let said = run(DEBUGFS, &["-R", request, path]).unwrap();
        String::from_utf8(said.stdout).unwrap()
    };
    assert_eq!(say("cat deep/three"), "deep/three".repeat(1000));
    assert_eq!(say("cat deep/same"), "one".repeat(1000));
    assert!(say("stat deep/link").contains("Fast link dest: \"../one\""), "{}", say("stat deep/link"));
    let empty = say("stat empty");
    assert!(empty.contains("Mode:  04750") && empty.contains("mtime: 0x6920e345"), "{empty}");
    assert!(empty.contains("User:  1000   Group:  1001"), "{empty}");
    assert!(say("stat one").contains("Links: 2"));
    assert!(say("stats").contains("Filesystem volume name:   solum-data"));
    assert!(say("stats").contains("11111111-2222-8333-8444-555555555555"));
}

#[test]
fn the_same_content_is_the_same_ext4_volume() {
    let out = tempfile::tempdir().unwrap();
    let make = |names: &[&str]| {
        let content = content(names);
        let path = out.path().join("volume");
        DataVolume { content: Some(content.path()), ..VOLUME }.write(&path).unwrap();
        fs::read(path).unwrap()
    };
    let one = make(&["one", "two", "deep/three"]);
    assert_eq!(one.len(), 64 << 20);
    assert!(one == make(&["deep/three", "two", "one"]));
    assert!(one != make(&["one", "two"]));
}

#[test]
fn content_larger_than_the_volume_is_refused_with_the_size_that_does() {
    let content = content(&["one"]);
    fs::write(content.path().join("large"), vec![1; 20 << 20]).unwrap();
    let out = tempfile::tempdir().unwrap();
    let small = DataVolume { content: Some(content.path()), size: 8 << 20, ..VOLUME };
    let failure = format!("{:?}", small.write(&out.path().join("volume")).unwrap_err());
    assert!(failure.contains("does not fit into a data volume of 8 MiB: it needs"), "{failure}");
    assert!(!out.path().join("volume").exists(), "nothing is left behind");
    let needed = failure.split("it needs ").nth(1).unwrap().split(' ').next().unwrap();
    let large = DataVolume { size: needed.parse::<u64>().unwrap() << 20, ..small };
    large.write(&out.path().join("volume")).unwrap();
    let none = DataVolume { size: 100 << 10, ..VOLUME };
    let failure = format!("{:?}", none.write(&out.path().join("none")).unwrap_err());
    assert!(failure.contains("too small for ext4"), "{failure}");
}

#[test]
fn a_btrfs_volume_has_its_label_and_is_refused_other_owners() {
    if MKFS_BTRFS.find().is_none() {
        println!("skipped: mkfs.btrfs is not installed");
        return;
    }
    let content = content(&["one"]);
    let own = fs::metadata(content.path()).unwrap();
    let out = tempfile::tempdir().unwrap();
    let path = out.path().join("volume");
    let volume =
        DataVolume { kind: DataKind::Btrfs, size: 128 << 20, content: Some(content.path()), ..VOLUME };
    DataVolume { owner: (own.uid(), own.gid()), ..volume }.write(&path).unwrap();
    // The superblock lies at 64 KiB: magic at 64, label at 299 (Btrfs design, On-disk Format).
    let bytes = fs::read(&path).unwrap();
    assert_eq!(&bytes[65536 + 64..][..8], b"_BHRfS_M");
    assert_eq!(&bytes[65536 + 299..][..11], b"solum-data\0");
    assert_eq!(bytes.len(), 128 << 20);
    let failure = format!("{:?}", DataVolume { owner: (7, 7), ..volume }.write(&path).unwrap_err());
    assert!(failure.contains("would not belong to 7:7"), "{failure}");
    let small = DataVolume { size: 1 << 20, content: None, ..volume };
    let failure = format!("{:?}", small.write(&path).unwrap_err());
    assert!(failure.contains("mkfs.btrfs failed"), "{failure}");
}
