//! A plain program, which knows nothing of Solum: does what its first argument says.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode};

use units::{arguments, ignore_requests_to_end};

fn main() -> ExitCode {
    let arguments = arguments();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["stay", ..] => stay("staying"),
        ["stubborn"] => {
            ignore_requests_to_end();
            stay("not hearing")
        }
        // Its child is in its process group, and outlives it unless somebody looks after that.
        ["parent"] => {
            let child = own().arg("stay").spawn();
            println!("child {}", child.map_or(0, |child| child.id()));
            stay("parent")
        }
        // No child is too large by itself.
        ["hoard", megabytes, "3"] => {
            let children: Vec<_> = (0..2).map(|_| own().args(["hoard", megabytes, "1"]).spawn()).collect();
            let ended = children.into_iter().map(|child| child.and_then(|mut child| child.wait()));
            println!("{:?}", ended.collect::<Vec<_>>());
            ExitCode::SUCCESS
        }
        ["hoard", megabytes, _] => {
            let bytes = megabytes.parse::<usize>().unwrap_or(0) << 20;
            // Kept until the end, or the children would only need it one after the other.
            let hoard = std::hint::black_box(vec![1_u8; bytes]);
            println!("hoarded {} bytes", hoard.len());
            stay("staying")
        }
        // In a process group of its own, out of reach of whoever ends the unit's.
        ["fugitive", note] => match std::fs::read_to_string(note) {
            Err(_) => {
                let child = own().arg("stay").process_group(0).spawn();
                let noted = child.and_then(|child| std::fs::write(note, child.id().to_string()));
                println!("{noted:?}");
                ExitCode::FAILURE
            }
            Ok(child) => {
                let is_there = Path::new("/proc").join(child).exists();
                println!("the child is {}", if is_there { "still there" } else { "gone" });
                ExitCode::SUCCESS
            }
        },
        ["read", paths @ ..] => {
            for path in paths {
                match std::fs::read_to_string(path) {
                    Ok(text) => println!("{path}: {}", text.trim_end()),
                    Err(error) => println!("{path}: {error}"),
                }
            }
            ExitCode::SUCCESS
        }
        ["both-streams"] => {
            println!("out");
            eprintln!("err");
            ExitCode::SUCCESS
        }
        _ => ExitCode::from(2),
    }
}

fn own() -> Command {
    Command::new(std::env::current_exe().unwrap_or_default())
}

fn stay(words: &str) -> ! {
    println!("{words}");
    loop {
        std::thread::park();
    }
}
