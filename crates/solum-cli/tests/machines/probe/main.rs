//! The probe: a program that does one errand in its machine and says what it found.
//!
//! It is no part of Cargo's build; `machines/probe.rs` compiles it with the standard library alone.

use std::env;
use std::io::{self, Read, Write};
use std::process::ExitCode;

fn main() -> io::Result<ExitCode> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["status", status] => Ok(ExitCode::from(status.parse::<u8>().unwrap())),
        ["given", ..] => given(&arguments[1..]),
        ["echo"] => echo(),
        other => panic!("no such errand: {other:?}"),
    }
}

/// What it was started with.
fn given(arguments: &[String]) -> io::Result<ExitCode> {
    for argument in arguments {
        println!("argument {argument:?}");
    }
    let mut variables: Vec<(String, String)> = env::vars().collect();
    variables.sort();
    for (name, value) in variables {
        println!("{name}={value:?}");
    }
    println!("directory {}", env::current_dir()?.display());
    Ok(ExitCode::SUCCESS)
}

/// Its input back, and how much it was on standard error.
fn echo() -> io::Result<ExitCode> {
    let mut input = Vec::new();
    io::stdin().read_to_end(&mut input)?;
    io::stdout().write_all(&input)?;
    eprint!("{} bytes", input.len());
    Ok(ExitCode::SUCCESS)
}
