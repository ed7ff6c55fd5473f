//! What happens while a machine still waits for its file systems.

use std::path::PathBuf;

use crate::harness::Scratch;
use crate::harness::monitor::{Monitor, monitored};
use crate::storage::{debugfs, ext4, made, printed, text};
use crate::{probe, time_server};

#[test]
fn what_a_time_server_said_before_a_disk_came_holds_over_what_is_kept_there() {
    // 2033-05-18, and half a year later than that.
    let (server_s, kept_s) = (2_000_000_000, 2_016_000_000);
    let scratch = Scratch::new();
    let (Some(image), Some(_)) = (ext4(&scratch, "late.img", "data"), ext4(&scratch, "first.img", "first"))
    else {
        return;
    };
    let clock = scratch.file("clock", format!("{kept_s}\n"));
    debugfs(&image, &["mkdir .solum", &format!("write {} .solum/clock", text(&clock))]);
    let _server = time_server::start(&scratch, server_s);
    // Only this kernel can be given a disk while it runs. The first disk brings the driver.
    let options = "--kernel debian --machine q35 --verbose --append solum.patience=300 --network 10.0.2.15/24 --disk \
                   [SCRATCH]/first.img --mount LABEL=data:/perm";
    let words: Vec<&str> = ["run", probe::path(), "--timeout", "300", "--time-server", time_server::ADDRESS]
        .into_iter()
        .chain(options.split_whitespace())
        .chain(["--", "moment"])
        .collect();
    let slot = "-device pcie-root-port,id=bay,chassis=1";
    let running = monitored(scratch.solum(&words), &scratch, &[time_server::CABLE], slot).start();
    let running = running.until_it_says("clock: set from 10.0.2.2, ");
    assert!(!running.stderr.has("storage: /perm is "), "it cannot have that disk yet");
    let mut monitor = Monitor::connect(&scratch.path("monitor"));
    let file = format!(r#""driver":"file","node-name":"late","filename":"{}""#, text(&image));
    monitor.ask(&format!(r#"{{"execute":"blockdev-add","arguments":{{{file}}}}}"#));
    let device = r#""driver":"virtio-blk-pci","drive":"late","bus":"bay""#;
    monitor.ask(&format!(r#"{{"execute":"device_add","arguments":{{{device}}}}}"#));
    let finished = running.finish();
    finished.exits(0).mentions("solum: storage: /perm is vdb (ext4)\n");
    let moment: u64 = finished.stdout().trim_end().parse().unwrap();
    finished.check((server_s..server_s + 3600).contains(&moment), "the server's time holds");
    let kept = printed("debugfs", &["-R", "cat .solum/clock", text(&image)]);
    let kept_s: u64 = kept.split_whitespace().next().unwrap().parse().unwrap();
    assert!((moment..server_s + 3600).contains(&kept_s), "and is what is kept: {kept}");
}

/// A file system with much to look at, and something to mend at the beginning and at the end of that.
fn damaged(scratch: &Scratch) -> Option<PathBuf> {
    let image = scratch.path("data.img");
    // In an ext3, every inode is looked at, used or not.
    let options = "-q -t ext3 -m 0 -L data -N 262144 -E lazy_itable_init=0";
    let options: Vec<&str> = options.split(' ').chain([text(&image), "128M"]).collect();
    if !made("mke2fs", &options) {
        return None;
    }
    let precious = scratch.file("precious", "all that there is");
    debugfs(
        &image,
        &[
            &format!("write {} precious", text(&precious)),
            "set_inode_field precious blocks 8",
            "set_super_value free_blocks_count 1",
            "set_super_value flags 0",
            "set_super_value state 2",
        ],
    );
    Some(image)
}

#[test]
fn a_request_to_stop_ends_a_repair_in_good_order() {
    let scratch = Scratch::new();
    let Some(image) = damaged(&scratch) else { return };
    let options = ["--disk", "[SCRATCH]/data.img", "--mount", "LABEL=data:/perm"];
    let more = ["--machine", "q35", "--verbose", "--grace", "100000"];
    // 8 MiB are read at once, and the 56 that are left take two minutes.
    let slow = ("*,file=*/data.img", "$word,throttling.bps-read=524288,throttling.bps-read-max=8388608");
    let solum = probe(&scratch, &[&options[..], &more].concat(), &["read", "/perm/precious"]);
    let running = monitored(solum, &scratch, &[slow], "").start().until_it_says("Run /init");
    let mut monitor = Monitor::connect(&scratch.path("monitor"));
    // It reads less than 3 MiB ahead of what it looks at (a fiftieth of the memory; e2fsck.conf(5), `readahead_mem_pct`).
    let read = |monitor: &mut Monitor| {
        monitor.ask(r#"{"execute":"query-blockstats"}"#)[0]["stats"]["rd_bytes"].as_u64().unwrap()
    };
    while read(&mut monitor) < 6 << 20 {}
    monitor.press_power_button();
    let finished = running.finish();
    finished
        .exits(107)
        .prints("")
        .mentions("error: the machine was asked to stop before its program was started\n");
    let described = printed("debugfs", &["-R", "stat precious", text(&image)]);
    assert!(described.contains("Blockcount: 2\n"), "what it came to is mended: {described}");
    let described = printed("dumpe2fs", &["-h", text(&image)]);
    assert!(described.contains("Free blocks:              1\n"), "it did not come to the end: {described}");
    // Mended first of all and written last of all, which a repair that is killed does not (e2fsck/super.c, `check_super_block`).
    assert!(described.contains("directory_hash"), "it was ended in good order: {described}");
    let finished = probe(&scratch, &options, &["read", "/perm/precious"]).run();
    finished
        .exits(0)
        .prints("/perm/precious: Ok(\"all that there is\")\n")
        .mentions("solum: warning: /perm: the file system was repaired; e2fsck said: ");
    made("e2fsck", &["-fn", text(&image)]);
}
