//! A plain program, which knows nothing of Solum: does what its first argument says.

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
            let child = Command::new(std::env::current_exe().unwrap_or_default()).arg("stay").spawn();
            println!("child {}", child.map_or(0, |child| child.id()));
            stay("parent")
        }
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

fn stay(words: &str) -> ! {
    println!("{words}");
    loop {
        std::thread::park();
    }
}
