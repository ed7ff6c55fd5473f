//! File systems that outlive their machine: found, mounted, mended, left alone, made larger.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Signal;

use crate::harness::system::System;
use crate::harness::{Scratch, Solum};
use crate::probe;

/// Runs a tool of the host's; false, with a word about it, where that is not installed.
pub fn made(program: &str, arguments: &[&str]) -> bool {
    // Where Debian has tools for file systems, and the PATH of users has not.
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    let output = match Command::new("env").arg(format!("PATH={path}")).arg(program).args(arguments).output() {
        Ok(output) if output.status.code() == Some(127) => {
            println!("skipped: {program} is not installed");
            return false;
        }
        Ok(output) => output,
        Err(error) => panic!("env: {error}"),
    };
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&said));
    true
}

/// What a tool prints, whatever it thinks of it.
pub fn printed(program: &str, arguments: &[&str]) -> String {
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    let output =
        Command::new("env").arg(format!("PATH={path}")).arg(program).args(arguments).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A file with an ext4 file system of this name in it.
pub fn ext4(scratch: &Scratch, name: &str, label: &str) -> Option<PathBuf> {
    let path = scratch.path(name);
    made("mke2fs", &["-q", "-t", "ext4", "-m", "0", "-L", label, text(&path), "16M"]).then_some(path)
}

/// Writes a file into an ext4 file system, and does what else debugfs(8) is told.
pub fn debugfs(image: &Path, requests: &[&str]) {
    for request in requests {
        made("debugfs", &["-w", "-R", request, text(image)]);
    }
}

/// At how many places two files differ, and the last one.
fn differences(one: &[u8], other: &[u8]) -> (usize, usize) {
    assert_eq!(one.len(), other.len());
    let places = one.iter().zip(other).enumerate().filter(|(_, (one, other))| one != other);
    places.fold((0, 0), |(count, _), (place, _)| (count + 1, place))
}

pub fn words(errand: &str) -> Vec<&str> {
    errand.split_whitespace().collect()
}

#[test]
fn what_is_written_is_there_after_the_next_start() {
    let scratch = Scratch::new();
    let Some(image) = ext4(&scratch, "data.img", "data") else { return };
    let options = ["--disk", "[SCRATCH]/data.img", "--mount", "LABEL=data:/perm"];
    let errand = "look /perm then look /perm/.solum then write /perm/kept yes";
    let finished = probe(&scratch, &options, &words(errand)).run();
    finished
        .exits(0)
        .says("")
        .prints("/perm: directory 1777 0:0\n/perm/.solum: directory 700 0:0\n/perm/kept: Ok(())\n");
    let described = printed("dumpe2fs", &["-h", text(&image)]);
    assert!(described.contains("Filesystem state:         clean"), "{described}");
    assert!(!described.contains("needs_recovery"), "{described}");
    let uuid = described.lines().find_map(|line| line.strip_prefix("Filesystem UUID:")).unwrap().trim();
    let read_only = format!("UUID={}:/else/where:ro,noatime", uuid.to_uppercase());
    // Nobody waits for that long, and a clock cannot say when it would be over.
    let append = format!("solum.patience={}", u64::MAX);
    let options = ["--disk", "[SCRATCH]/data.img:ro", "--mount", &read_only, "--append", &append];
    let errand = "read /else/where/kept then write /else/where/new x";
    let finished = probe(&scratch, &options, &words(errand)).run();
    finished
        .exits(0)
        .says("")
        .prints("/else/where/kept: Ok(\"yes\")\n/else/where/new: Err(ReadOnlyFilesystem)\n");
}

#[test]
fn what_is_not_there_is_said_with_what_is() {
    let scratch = Scratch::new();
    if ext4(&scratch, "data.img", "data").is_none() {
        return;
    }
    scratch.file("empty.img", vec![0; 1 << 20]);
    let disks = ["--disk", "[SCRATCH]/data.img", "--disk", "[SCRATCH]/empty.img"];
    let options = [&disks[..], &["--append", "solum.patience=1", "--mount", "LABEL=photos:/photos"]].concat();
    let why = "/photos cannot be mounted: LABEL=photos did not appear within 1 seconds; there is: vda (ext4, label data), vdb \
               (no known file system)\n";
    probe(&scratch, &options, &["status", "3"]).run().exits(107).prints("").says(&format!("error: {why}"));
    let optional = [&options[..6], &["--mount", "LABEL=photos:/photos:nofail"]].concat();
    probe(&scratch, &optional, &["status", "3"]).run().exits(3).says(&format!("solum: warning: {why}"));
    let options = [&disks[..], &["--mount", "/dev/vdb:/photos"]].concat();
    probe(&scratch, &options, &["status", "3"])
        .run()
        .exits(107)
        .mentions("error: /photos cannot be mounted: there is no file system of a known kind on vdb; it is left as it is.");
    assert_eq!(fs::read(scratch.path("empty.img")).unwrap(), vec![0; 1 << 20]);
    let options = [&disks[..], &["--mount", "/dev/vda:/photos:frobnicate"]].concat();
    probe(&scratch, &options, &["status", "3"]).run().exits(107).mentions("the options `frobnicate`");
    let options = [&disks[..], &["--mount", "LABEL=data:/photos:type=vfat"]].concat();
    let text = "error: /photos cannot be mounted: vda is ext4, and it is described as vfat\n";
    probe(&scratch, &options, &["status", "3"]).run().exits(107).says(text);
}

#[test]
fn two_disks_of_one_name_are_both_named() {
    let scratch = Scratch::new();
    for name in ["a.img", "b.img"] {
        if ext4(&scratch, name, "data").is_none() {
            return;
        }
    }
    let options = ["--disk", "[SCRATCH]/a.img", "--disk", "[SCRATCH]/b.img", "--mount", "LABEL=data:/perm"];
    let finished = probe(&scratch, &options, &["status", "0"]).run();
    finished.exits(107).mentions(
        "error: /perm cannot be mounted: LABEL=data is not clear, because both vda (ext4, label data) and vdb (ext4, label \
         data) are that; name the right one, by UUID=",
    );
}

#[test]
fn every_kind_of_file_system_is_mounted() {
    let scratch = Scratch::new();
    scratch.file("content/hello.txt", "from a CD");
    let [two, photos, cd, pool] = ["two", "photos", "cd", "pool"].map(|name| scratch.path(name));
    // A btrfs below 256 MiB cannot be resized (fs/btrfs/ioctl.c, `btrfs_ioctl_resize`).
    for empty in [&photos, &pool] {
        fs::File::create(empty).unwrap().set_len(300 << 20).unwrap();
    }
    let content = scratch.path("content");
    let is_complete = made("mke2fs", &["-q", "-t", "ext2", "-L", "two", text(&two), "4M"])
        && made("mkfs.vfat", &["-n", "PHOTOS", text(&photos)])
        && made("mkfs.btrfs", &["-q", "-L", "pool", text(&pool)])
        && made(
            "xorriso",
            &["-as", "mkisofs", "-quiet", "-V", "HOLIDAYS", "-R", "-o", text(&cd), text(&content)],
        );
    if !is_complete {
        return;
    }
    fs::OpenOptions::new().write(true).open(&pool).unwrap().set_len(400 << 20).unwrap();
    let mut options = words("--mount tmpfs:/cache:size=1M,noexec --mount ramfs:/memory --memory 256M");
    for (file, mount) in [
        ("[SCRATCH]/two", "LABEL=two:/two"),
        ("[SCRATCH]/photos", "LABEL=PHOTOS:/photos"),
        ("[SCRATCH]/cd", "LABEL=HOLIDAYS:/iso"),
        ("[SCRATCH]/pool", "LABEL=pool:/perm:grow"),
    ] {
        options.extend(["--disk", file, "--mount", mount]);
    }
    let errand = "read /iso/hello.txt then write /iso/x y then write /photos/x y then write /perm/x y then write /cache/x y \
                  then look /two then list /memory";
    probe_debian(&scratch, &options, &words(errand)).run().exits(0).says("").prints(
        "/iso/hello.txt: Ok(\"from a CD\")\n/iso/x: Err(ReadOnlyFilesystem)\n/photos/x: Ok(())\n/perm/x: Ok(())\n\
         /cache/x: Ok(())\n/two: directory 755 0:0\n/memory: \n",
    );
    let described = printed("btrfs", &["inspect-internal", "dump-super", text(&pool)]);
    assert!(described.contains("total_bytes\t\t419430400"), "{described}");
}

#[test]
fn what_can_be_mended_is_mended() {
    let scratch = Scratch::new();
    let Some(image) = ext4(&scratch, "data.img", "data") else { return };
    let wrong_count = "set_super_value free_blocks_count 1";
    debugfs(&image, &[wrong_count, "set_super_value state 2"]);
    let options = ["--disk", "[SCRATCH]/data.img", "--mount", "LABEL=data:/perm"];
    let finished = probe(&scratch, &options, &["write", "/perm/x", "y"]).run();
    finished
        .exits(0)
        .prints("/perm/x: Ok(())\n")
        .mentions("solum: warning: /perm: the file system was repaired; e2fsck said: ");
    probe(&scratch, &options, &["read", "/perm/x"]).run().exits(0).says("").prints("/perm/x: Ok(\"y\")\n");
    made("e2fsck", &["-fn", text(&image)]);
}

#[test]
fn what_cannot_be_mended_is_left_alone() {
    let scratch = Scratch::new();
    let Some(image) = ext4(&scratch, "data.img", "data") else { return };
    let precious = scratch.file("precious", "all that there is");
    let into = [format!("write {} precious", text(&precious)), format!("write {} broken", text(&precious))];
    debugfs(&image, &into.each_ref().map(String::as_str));
    debugfs(&image, &["set_inode_field broken block[0] 99999999", "set_super_value state 2"]);
    let before = fs::read(&image).unwrap();
    let options = ["--disk", "[SCRATCH]/data.img", "--mount", "LABEL=data:/perm"];
    let why = "/perm cannot be mounted: vda (ext4, label data) is damaged (e2fsck ended with 4 and said: data: Inode 13 has \
               corrupt extent header.; data: UNEXPECTED INCONSISTENCY; RUN fsck MANUALLY.). It is left as it is; repair it on \
               another computer with `e2fsck -f /dev/vda`, under the name that it has there\n";
    let finished = probe(&scratch, &options, &["status", "0"]).run();
    finished.exits(107).prints("").says(&format!("error: {why}"));
    // When it was looked at, and that it is damaged, stands in the superblock.
    let (count, last) = differences(&before, &fs::read(&image).unwrap());
    assert!(count < 16 && last < 2048, "{count} bytes were changed, the last at {last}");
    assert_eq!(printed("debugfs", &["-R", "cat precious", text(&image)]), "all that there is");
    let optional = [&options[..3], &["LABEL=data:/perm:nofail"]].concat();
    let finished = probe(&scratch, &optional, &["list", "/"]).run();
    finished.exits(0).says(&format!("solum: warning: {why}"));
}

#[test]
fn without_a_mender_a_damaged_file_system_is_not_even_touched() {
    let scratch = Scratch::new();
    let Some(image) = ext4(&scratch, "data.img", "data") else { return };
    debugfs(&image, &["set_super_value state 2"]);
    let before = fs::read(&image).unwrap();
    // A link that leads nowhere stands where it would be put.
    std::os::unix::fs::symlink("nothing", scratch.directory("sbin").join("e2fsck")).unwrap();
    let options =
        ["--disk", "[SCRATCH]/data.img", "--mount", "LABEL=data:/perm", "--dir", "[SCRATCH]/sbin:/sbin"];
    probe(&scratch, &options, &["status", "0"]).run().exits(107).mentions(
        "is damaged (the kernel has found errors in it, and there is no e2fsck to repair it). It is left as it is",
    );
    assert_eq!(differences(&before, &fs::read(&image).unwrap()), (0, 0));
}

#[test]
fn a_journal_that_cannot_be_replayed_is_explained() {
    let scratch = Scratch::new();
    let Some(image) = ext4(&scratch, "data.img", "data") else { return };
    debugfs(&image, &["feature needs_recovery"]);
    let before = fs::read(&image).unwrap();
    let options = ["--disk", "[SCRATCH]/data.img:ro", "--mount", "LABEL=data:/data"];
    let finished = probe(&scratch, &options, &["status", "0"]).run();
    finished.exits(107).says(
        "error: /data cannot be mounted: vda (ext4, label data) was not unmounted, and its journal cannot be replayed, because \
         the disk cannot be written; make that possible once, or mount it with the option noload, which leaves out what was \
         written last\n",
    );
    let options = ["--disk", "[SCRATCH]/data.img:ro", "--mount", "LABEL=data:/data:ro,noload"];
    probe(&scratch, &options, &["list", "/data"]).run().exits(0).says("").prints("/data: lost+found\n");
    assert_eq!(differences(&before, &fs::read(&image).unwrap()), (0, 0));
}

/// `solum run` of the probe with Debian's kernel, which has modules for all file systems.
fn probe_debian<'a>(scratch: &'a Scratch, options: &[&str], errand: &[&str]) -> Solum<'a> {
    // Two kernels on one command line are one too many, so that this names its own beside `probe`.
    let words = [&["run", probe::path(), "--timeout", "300", "--kernel", "debian"], options, &["--"], errand];
    scratch.solum(&words.concat())
}

#[test]
fn what_is_no_ext_and_cannot_be_mounted_is_left_alone_too() {
    let scratch = Scratch::new();
    let [photos, card, pool] = ["photos", "card", "pool"].map(|name| scratch.path(name));
    for (empty, mebibytes) in [(&photos, 16), (&card, 16), (&pool, 128)] {
        fs::File::create(empty).unwrap().set_len(mebibytes << 20).unwrap();
    }
    let is_complete = made("mkfs.vfat", &["-F", "16", "-n", "PHOTOS", text(&photos)])
        && made("mkfs.vfat", &["-F", "16", "-n", "CARD", text(&card)])
        && made("mkfs.btrfs", &["-q", "-L", "pool", text(&pool)]);
    if !is_complete {
        return;
    }
    let patch = |path: &Path, place: u64, bytes: &[u8]| {
        fs::OpenOptions::new().write(true).open(path).unwrap().write_all_at(bytes, place).unwrap();
    };
    // A root directory that ends within a sector (fs/fat/inode.c, `fat_fill_super`).
    patch(&photos, 17, &17u16.to_le_bytes());
    // BS_Reserved1, whose lowest bit Linux sets while it is mounted.
    patch(&card, 37, &[1]);
    // The root tree's place, behind the magic, so that the checksum is wrong.
    patch(&pool, 0x1_0050, &[0xff; 8]);
    let bytes = || [&photos, &pool].map(|path| fs::read(path).unwrap());
    let before = bytes();
    let disks = ["--disk", "[SCRATCH]/photos", "--disk", "[SCRATCH]/card", "--disk", "[SCRATCH]/pool"];
    let why = |target: &str, device: &str| {
        format!(
            "{target} cannot be mounted: the kernel refuses {device}: the file system is damaged, or of a kind that it does not \
             know yet; it is left as it is, and the kernel's log says more\n"
        )
    };
    let (of_photos, of_pool) =
        (why("/photos", "vda (vfat, label PHOTOS)"), why("/pool", "vdc (btrfs, label pool)"));
    let mounts = ["--mount", "LABEL=PHOTOS:/photos:nofail", "--mount", "LABEL=CARD:/card", "--mount"];
    let optional = [&disks[..], &mounts, &["LABEL=pool:/pool:nofail"]].concat();
    probe_debian(&scratch, &optional, &["write", "/card/x", "y"]).run().exits(0).prints("/card/x: Ok(())\n").says(
        &format!(
            "solum: warning: {of_photos}solum: warning: /card: vdb was not unmounted once, and was not checked since; \
             `fsck.vfat /dev/vdb` on another computer clears this, under the name that it has there\nsolum: warning: {of_pool}"
        ),
    );
    let required = [&disks[..], &["--mount", "LABEL=pool:/pool"]].concat();
    let finished = probe_debian(&scratch, &required, &["status", "0"]).run();
    finished.exits(107).prints("").says(&format!("error: {of_pool}"));
    assert!(before == bytes(), "something was written to what is damaged");
}

#[test]
fn the_parts_of_a_btrfs_are_left_in_place() {
    let scratch = Scratch::new();
    let [one, other] = ["one", "other"].map(|name| scratch.path(name));
    for empty in [&one, &other] {
        fs::File::create(empty).unwrap().set_len(128 << 20).unwrap();
    }
    let redundant = ["-q", "-L", "pool", "-d", "raid1", "-m", "raid1", text(&one), text(&other)];
    if !made("mkfs.btrfs", &redundant) {
        return;
    }
    let disks = ["--disk", "[SCRATCH]/one", "--disk", "[SCRATCH]/other"];
    let said = "/pool cannot be mounted: LABEL=pool is not one device, because vda (btrfs, label pool) and vdb belong to one btrfs \
                of 2 devices; leave them all in place, and name one as the source and each other as an option, like \
                /dev/vda:/PATH:device=/dev/vdb\n";
    let alone = "/one cannot be mounted: vda (btrfs, label pool) is one of 2 devices that its file system needs; name the others \
                 as options, like device=/dev/…\n";
    let mounts = ["LABEL=pool:/pool:nofail", "/dev/vda:/one:nofail", "/dev/vda:/perm:device=/dev/vdb"];
    let mounts = mounts.iter().flat_map(|mount| ["--mount", mount]);
    let options: Vec<&str> = disks.into_iter().chain(mounts).collect();
    let finished = probe_debian(&scratch, &options, &["write", "/perm/x", "y"]).run();
    finished
        .exits(0)
        .prints("/perm/x: Ok(())\n")
        .says(&format!("solum: warning: {said}solum: warning: {alone}"));
}

#[test]
fn a_full_disk_is_mounted_and_said() {
    let scratch = Scratch::new();
    let Some(image) = ext4(&scratch, "data.img", "data") else { return };
    let described = printed("dumpe2fs", &["-h", text(&image)]);
    let free = described.lines().find_map(|line| line.strip_prefix("Free blocks:")).unwrap();
    let free: usize = free.trim().parse().unwrap();
    // The driver keeps back a fiftieth for itself (fs/ext4/super.c, `ext4_calculate_resv_clusters`).
    let large = scratch.file("large", vec![1; (free - 700) * 1024]);
    debugfs(&image, &[&format!("write {} large", text(&large))]);
    let options = ["--disk", "[SCRATCH]/data.img", "--mount", "LABEL=data:/perm"];
    let finished = probe(&scratch, &options, &words("fill /perm/x then list /perm")).run();
    finished
        .exits(0)
        .prints("/perm/x: StorageFull\n/perm/x: removed Ok(())\n/perm: .solum large lost+found\n")
        .mentions("solum: warning: /perm: it is full: only ")
        .check(finished.stderr().lines().count() == 1, "nothing else should be said");
}

#[test]
fn a_disk_that_disappears_is_said_and_the_machine_still_ends() {
    let scratch = Scratch::new();
    if ext4(&scratch, "data.img", "data").is_none() {
        return;
    }
    let options = words("--machine q35 --root --disk [SCRATCH]/data.img --mount LABEL=data:/perm");
    // The driver lets go of the disk, which is what the kernel does with one that was pulled.
    let errand = "write /perm/x y then write /sys/bus/virtio/drivers/virtio_blk/unbind virtio3 then read /perm/x then polite";
    let running = probe(&scratch, &options, &words(errand)).start();
    let running = running.until_it_prints("ready\n").until_it_says("has disappeared");
    running.signal(Signal::TERM);
    let finished = running.finish();
    finished
        .exits(7)
        .mentions(
            "solum: warning: vda, which is mounted at /perm, has disappeared: what was not written yet is lost, and programs get \
             errors there until the machine is started again\n",
        )
        .check(finished.stdout().contains("/perm/x: Err("), "reading should fail");
}

#[test]
fn another_disk_of_the_same_name_that_comes_later_is_said() {
    let scratch = Scratch::new();
    let made = [("data.img", "data"), ("other.img", "dat_")].map(|(name, label)| ext4(&scratch, name, label));
    if made.iter().any(Option::is_none) {
        return;
    }
    let options = words(
        "--machine q35 --root --disk [SCRATCH]/data.img --disk [SCRATCH]/other.img --mount LABEL=data:/perm",
    );
    // The label's fourth byte (Documentation/filesystems/ext4/super.rst, `s_volume_name`).
    let errand = "patch /dev/vdb 1147 a then write /sys/bus/virtio/drivers/virtio_blk/unbind virtio4 then \
                  write /sys/bus/virtio/drivers/virtio_blk/bind virtio4 then polite";
    let running = probe(&scratch, &options, &words(errand)).start();
    let running = running.until_it_prints("ready\n").until_it_says("or take the other away");
    running.signal(Signal::TERM);
    running.finish().exits(7).mentions(
        "solum: warning: vda stays mounted at /perm, but at the next start it would not be: LABEL=data is not clear, because \
         both vda (ext4, label data) and vdb (ext4, label data) are that; name the right one, by UUID=",
    );
}

#[test]
fn a_partition_and_its_file_system_grow_with_their_disk() {
    let scratch = Scratch::new();
    let Some(volume) = ext4(&scratch, "volume", "solum-data") else { return };
    let disk = scratch.path("disk.img");
    fs::File::create(&disk).unwrap().set_len(32 << 20).unwrap();
    let layout =
        words("-n 1:2048:+4M -n 2:10240:+16M -c 2:solum-data -u 2:03BF9910-60DC-4114-BBB8-9A613BCFF58C");
    if !made("sgdisk", &[&layout[..], &[text(&disk)]].concat()) {
        return;
    }
    let (from, to) = (format!("if={}", text(&volume)), format!("of={}", text(&disk)));
    made("dd", &[&from, &to, "bs=512", "seek=10240", "conv=notrunc"]);
    fs::OpenOptions::new().write(true).open(&disk).unwrap().set_len(100 << 20).unwrap();
    let mount = "PARTUUID=03bf9910-60dc-4114-bbb8-9a613bcff58c:/perm:grow";
    let options = ["--disk", "[SCRATCH]/disk.img", "--mount", mount];
    probe(&scratch, &options, &words("write /perm/x y")).run().exits(0).says("").prints("/perm/x: Ok(())\n");
    let verified = printed("sgdisk", &["-v", text(&disk)]);
    assert!(verified.contains("No problems found.") && !verified.contains("Caution"), "{verified}");
    let shown = printed("sgdisk", &["-i", "2", text(&disk)]);
    assert!(shown.contains("Partition size: 192512 sectors (94.0 MiB)"), "{shown}");
    let bytes = fs::read(&disk).unwrap();
    fs::write(&volume, &bytes[10240 * 512..(10240 + 192_512) * 512]).unwrap();
    made("e2fsck", &["-fn", text(&volume)]);
    let described = printed("dumpe2fs", &["-h", text(&volume)]);
    assert!(described.contains("Block count:              96256\n"), "{described}");
    // There is nothing left to gain, and nothing is touched.
    let table = |bytes: &[u8]| [&bytes[..17408], &bytes[bytes.len() - 16896..]].concat();
    probe(&scratch, &options, &words("read /perm/x")).run().exits(0).says("").prints("/perm/x: Ok(\"y\")\n");
    assert_eq!(differences(&table(&bytes), &table(&fs::read(&disk).unwrap())), (0, 0));
}

#[test]
fn a_partition_table_without_room_beside_it_is_left_alone() {
    let scratch = Scratch::new();
    let Some(volume) = ext4(&scratch, "volume", "data") else { return };
    let disk = scratch.path("disk.img");
    fs::File::create(&disk).unwrap().set_len(64 << 20).unwrap();
    // The first one is where tools of a Mac put it.
    let layout = words("-a 1 -n 1:40:2047 -n 2:2048:+24M");
    if !made("sgdisk", &[&layout[..], &[text(&disk)]].concat()) {
        return;
    }
    let (from, to) = (format!("if={}", text(&volume)), format!("of={}", text(&disk)));
    made("dd", &[&from, &to, "bs=512", "seek=2048", "conv=notrunc"]);
    let table = || {
        let bytes = fs::read(&disk).unwrap();
        [&bytes[..1 << 20], &bytes[bytes.len() - 16896..]].concat()
    };
    let before = table();
    let options = ["--disk", "[SCRATCH]/disk.img", "--mount", "LABEL=data:/perm:grow"];
    probe(&scratch, &options, &words("write /perm/x y")).run().exits(0).prints("/perm/x: Ok(())\n").says(
        "solum: warning: /perm: it could not be made larger: beside the partition table of vda there is no room for a copy, \
         without which a power cut now could lose every partition; enlarge the partition on another computer\n",
    );
    assert_eq!(differences(&before, &table()), (0, 0));
    // What is in the partition grew all the same.
    let bytes = fs::read(&disk).unwrap();
    fs::write(&volume, &bytes[1 << 20..25 << 20]).unwrap();
    let described = printed("dumpe2fs", &["-h", text(&volume)]);
    assert!(described.contains("Block count:              24576\n"), "{described}");
}

#[test]
fn files_that_cannot_be_disks_are_refused() {
    let scratch = Scratch::new();
    scratch.directory("directory");
    let hint = "hint: a disk is an existing file that you may write, or FILE:ro; make one, for example with `mke2fs -t ext4 \
                FILE 64M`\n";
    for (name, why) in [("none", "no such file or directory"), ("directory", "is a directory")] {
        let disk = format!("[SCRATCH]/{name}");
        let finished = probe(&scratch, &["--disk", &disk], &["status", "0"]).run();
        let said = scratch.contract(&finished.stderr());
        assert_eq!(said, format!("error: {disk} cannot be a disk: {why}\n{hint}"), "{}", finished.account());
        finished.exits(102);
    }
    scratch.file("disk", vec![0; 1 << 20]);
    let options = ["--disk", "[SCRATCH]/disk"];
    let first = probe(&scratch, &options, &["polite"]).start().until_it_prints("ready\n");
    let second = probe(&scratch, &options, &["status", "0"]).run();
    second.mentions("error: QEMU refused the machine: ").mentions(
        "hint: another machine uses that file as its disk: end it first, or give this one a copy\n",
    );
    first.signal(Signal::TERM);
    first.finish().exits(7);
}

/// A system of one machine with a file system at /perm, and of probes that do these errands once.
fn described(units: &[(&str, &str)]) -> String {
    let mut text = format!(
        "[system]\nname = \"tested\"\n[program.probe]\nfile = {:?}\n[machine.m]\ndisk.data = \"16 MiB\"\nmount.\"/perm\" = \
         \"LABEL=data\"\n",
        probe::path()
    );
    for (name, errand) in units {
        let arguments = format!("{:?}", words(errand));
        text += &format!(
            "[machine.m.unit.{name}]\nprogram = \"probe\"\narguments = {arguments}\nrestart = \"never\"\n",
        );
    }
    text
}

/// It; nothing where no file system can be made.
fn system_of(units: &[(&str, &str)]) -> Option<System> {
    let system = System::described(&described(units));
    system.scratch.directory("system/.solum/disks");
    ext4(&system.scratch, "system/.solum/disks/m.data.disk", "data").map(|_| system)
}

#[test]
fn each_plain_unit_has_a_directory_that_stays_its_own() {
    let units = [("b", "write /perm/b/kept yes then look /perm/b then look /perm")];
    let Some(system) = system_of(&units) else { return };
    let printed = "m.b | /perm/b/kept: Ok(())\nm.b | /perm/b: directory 700 2000:2000\nm.b | /perm: directory 755 0:0\n";
    system.in_machines(&[]).run().exits(0).prints(printed);
    // Users are numbered in the order of units, and here is one before it.
    let units = [("a", "status 0"), ("b", "read /perm/b/kept then look /perm/b/kept then read /perm/a/x")];
    system.scratch.file("system/solum.toml", described(&units));
    let finished = system.in_machines(&[]).run();
    finished.exits(0).prints(
        "m.b | /perm/b/kept: Ok(\"yes\")\nm.b | /perm/b/kept: file 644 2001:2001\nm.b | /perm/a/x: Err(PermissionDenied)\n",
    );
    // Without it, what was its user's is not for the one that has its number now.
    let units = [("b", "look /perm/b/kept then look /perm/a then read /perm/a/x")];
    system.scratch.file("system/solum.toml", described(&units));
    system.in_machines(&[]).run().exits(0).prints(
        "m.b | /perm/b/kept: file 644 2000:2000\nm.b | /perm/a: directory 700 0:0\nm.b | /perm/a/x: Err(PermissionDenied)\n",
    );
    // It comes back, behind the other one.
    let units = [("b", "status 0"), ("a", "write /perm/a/kept yes then look /perm/a")];
    system.scratch.file("system/solum.toml", described(&units));
    let finished = system.in_machines(&[]).run();
    finished.exits(0).prints("m.a | /perm/a/kept: Ok(())\nm.a | /perm/a: directory 700 2001:2001\n");
}

#[test]
fn the_last_words_of_a_unit_are_kept() {
    let Some(system) = system_of(&[("good", "status 0"), ("bad", "moment then panic")]) else { return };
    let finished = system.in_machines(&[]).run();
    finished.exits(101).mentions("m.bad failed: it ended with status 101\n");
    system.scratch.file("system/solum.toml", described(&[("reader", "print /perm/last-panic")]));
    let finished = system.in_machines(&[]).run();
    finished.exits(0);
    let output = finished.stdout();
    let lines: Vec<&str> = output.lines().map(|line| line.trim_start_matches("m.reader | ")).collect();
    finished.check(lines[0].ends_with("Z: the unit m.bad ended with status 101"), "it says who and how");
    finished.check(lines[1].is_empty() && lines[2].parse::<u64>().is_ok(), "what it printed is there");
    finished.check(lines.contains(&"as I was told to"), "and its last words");
}
