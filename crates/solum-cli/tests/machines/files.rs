//! Directories that are shared, and files that are bundled.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use crate::harness::{Finished, Scratch, is_root};
use crate::probe;

/// Distributions' kernels for clouds have no 9p.
pub fn lacks_shares(finished: &Finished) -> bool {
    let lacks = finished.stderr().contains("cannot mount shares: it has no 9p file system");
    if lacks {
        println!("skipped: this kernel cannot mount shares");
    }
    lacks
}

/// Programs of root's machines are user 1000, to whom a directory must belong to be written.
fn give_to_the_program(path: &Path) {
    if is_root() {
        std::os::unix::fs::chown(path, Some(1000), Some(1000)).unwrap();
    }
}

#[test]
fn a_share_is_seen_from_both_sides() {
    let scratch = Scratch::new();
    scratch.file("share/here", "from the host");
    give_to_the_program(&scratch.path("share"));
    let errand =
        "read /data/here then write /data/there from-the-machine then list /data then read /data/none";
    let errand: Vec<&str> = errand.split(' ').collect();
    let finished = probe(&scratch, &["--share", "[SCRATCH]/share:/data"], &errand).run();
    if lacks_shares(&finished) {
        return;
    }
    finished.exits(0).says("").prints(
        "/data/here: Ok(\"from the host\")\n/data/there: Ok(())\n/data: here there\n/data/none: Err(NotFound)\n",
    );
    assert_eq!(fs::read(scratch.path("share/there")).unwrap(), b"from-the-machine");
    let owner = fs::metadata(scratch.path("share")).unwrap().uid();
    assert_eq!(fs::metadata(scratch.path("share/there")).unwrap().uid(), owner);
}

#[test]
fn a_read_only_share_cannot_be_written() {
    let scratch = Scratch::new();
    scratch.file("share/here", "from the host");
    scratch.directory("other, one");
    give_to_the_program(&scratch.path("share"));
    give_to_the_program(&scratch.path("other, one"));
    let options = ["--share", "[SCRATCH]/share:/deep/data:ro", "--share", "[SCRATCH]/other, one:/tmp/two"];
    let errand = "read /deep/data/here then write /deep/data/there x then write /tmp/two/new y";
    let finished = probe(&scratch, &options, &errand.split(' ').collect::<Vec<_>>()).run();
    if lacks_shares(&finished) {
        return;
    }
    finished.exits(0).says("").prints(
        "/deep/data/here: Ok(\"from the host\")\n/deep/data/there: Err(ReadOnlyFilesystem)\n/tmp/two/new: Ok(())\n",
    );
    assert_eq!(scratch.names("share"), ["here"]);
    assert_eq!(scratch.names("other, one"), ["new"]);
}

#[test]
fn bundled_files_keep_content_permissions_and_links() {
    let scratch = Scratch::new();
    let secret = scratch.file("secret", "s3cret");
    fs::set_permissions(secret, fs::Permissions::from_mode(0o600)).unwrap();
    scratch.file("tree/sub/leaf", "green");
    scratch.executable("tree/tool", "#!");
    symlink("sub/leaf", scratch.path("tree/link")).unwrap();
    let options = ["--file", "[SCRATCH]/secret:/etc/secret", "--dir", "[SCRATCH]/tree:/srv/tree"];
    let errand = "read /etc/secret then look /etc/secret then list /srv/tree then look /srv/tree/tool then \
                  look /srv/tree/link then read /srv/tree/link";
    let finished = probe(&scratch, &options, &errand.split_whitespace().collect::<Vec<_>>()).run();
    let user = if is_root() { 1000 } else { rustix::process::getuid().as_raw() };
    finished.exits(0).says("").prints(&format!(
        "/etc/secret: Ok(\"s3cret\")\n/etc/secret: file 600 {user}:{user}\n/srv/tree: link sub tool\n\
         /srv/tree/tool: file 755 {user}:{user}\n/srv/tree/link: link 777 0:0\n/srv/tree/link: Ok(\"green\")\n"
    ));
}

#[test]
fn files_of_the_image_win_over_those_that_pid_1_makes() {
    let scratch = Scratch::new();
    scratch.file("hosts", "127.0.0.1 localhost\n192.0.2.7 elsewhere\n");
    let errand = ["resolve", "elsewhere", "then", "read", "/etc/passwd"];
    let finished = probe(&scratch, &["--root", "--file", "[SCRATCH]/hosts:/etc/hosts"], &errand).run();
    finished.exits(0).says("").prints(
        "elsewhere: 192.0.2.7\n\
         /etc/passwd: Ok(\"root:x:0:0::/root:\\nnet:x:65530:65530::/:\\ntime:x:65531:65531::/:\\nlink:x:65532:65532::/:\\n\")\n",
    );
}
