//! Sizes of what Solum puts into an image.

use crate::bench::archive::file_in_archive;
use crate::bench::lab::{self, ALONE, HELLO, Lab};
use crate::bench::table::{Row, grouped};
use crate::failure::{Failure, Outcome};

/// PID 1 with networking.
const TARGET_INIT: u64 = 1 << 20;

/// The whole initramfs of `hello`: PID 1 and the program.
const TARGET_HELLO: u64 = 1_000_000;

/// The whole initramfs of `alone`: the one file.
const TARGET_ALONE: u64 = 450_000;

/// Measures init and the two initramfs as `solum take` and `solum run` make them, and says what is in them.
pub fn measure(lab: &Lab) -> Outcome<Vec<Row>> {
    let hello = lab.take("hello.plain", HELLO, &["--compress", "none"])?;
    let alone = lab.take("alone.plain", ALONE, &["--compress", "none"])?;
    let archive = lab::read(&hello)?;
    let init = file_in_archive(&archive, "init")
        .ok_or_else(|| Failure::new("the initramfs of hello holds no init"))?
        .len() as u64;
    let hello_packed = lab::length(&lab.take("hello.packed", HELLO, &[])?)?;
    let alone_packed = lab::length(&lab.take("alone.packed", ALONE, &[])?)?;
    Ok(vec![
        judged("init with networking, static, not compressed", init, TARGET_INIT),
        judged("hello's initramfs, as `solum take` writes it", hello_packed, TARGET_HELLO),
        told("… not compressed (`--compress none`)", archive.len() as u64),
        judged("alone's initramfs, as `solum take` writes it", alone_packed, TARGET_ALONE),
        told("… not compressed (`--compress none`)", lab::length(&alone)?),
    ])
}

fn judged(figure: &str, bytes: u64, most: u64) -> Row {
    let most_shown = format!("at most {}", grouped(most));
    Row::judged(figure, format_args!("{} bytes", grouped(bytes)), most_shown, bytes <= most)
}

fn told(figure: &str, bytes: u64) -> Row {
    Row::told(figure, format_args!("{} bytes", grouped(bytes)))
}
