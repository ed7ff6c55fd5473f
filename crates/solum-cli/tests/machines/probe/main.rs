//! The probe: a program that does errands in its machine and says what came of them, a line for each finding.
//!
//! It is no part of Cargo's build: `machines/probe.rs` compiles it with the standard library alone.

mod network;
mod processes;
mod signals;
mod terminal;

use std::env;
use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::process::{self, ExitCode};

fn main() -> io::Result<ExitCode> {
    let words: Vec<String> = env::args().skip(1).collect();
    if words.first().is_some_and(|word| word == "given") {
        given(&words[1..])?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut status = 0;
    for errand in words.split(|word| word == "then") {
        let errand: Vec<&str> = errand.iter().map(String::as_str).collect();
        status = run(&errand)?;
    }
    Ok(ExitCode::from(status))
}

/// Does one errand; the last one's status is the probe's.
fn run(errand: &[&str]) -> io::Result<u8> {
    match *errand {
        ["status", status] => return Ok(status.parse().unwrap()),
        ["abort"] => process::abort(),
        ["panic"] => panic!("as I was told to"),
        ["bad-access"] => processes::bad_access(),
        ["echo"] => echo()?,
        ["flood", bytes] => flood(bytes.parse().unwrap())?,
        ["read", path] => println!("{path}: {:?}", fs::read_to_string(path).map_err(|error| error.kind())),
        ["moment"] => println!("{}", std::time::UNIX_EPOCH.elapsed().unwrap().as_secs()),
        ["print", path] => print!("{}", fs::read_to_string(path)?),
        ["write", path, text] => {
            println!("{path}: {:?}", fs::write(path, text).map_err(|error| error.kind()))
        }
        ["patch", path, offset, text] => {
            fs::File::options().write(true).open(path)?.write_all_at(text.as_bytes(), offset.parse().unwrap())?
        }
        ["list", path] => list(path)?,
        ["look", path] => look(path)?,
        ["fill", path] => fill(path),
        ["hog"] => processes::hog(),
        ["kill-role", name] => processes::kill_role(name)?,
        ["ask", command] => signals::ask(command)?,
        ["terminate-pid-1"] => signals::terminate_pid_1(),
        ["orphans"] => processes::leave_orphans(),
        ["reaping"] => processes::see_an_orphan_reaped()?,
        ["ctrl-s"] => signals::type_ctrl_s(),
        ["polite"] => return Ok(signals::end_when_asked()),
        ["stubborn"] => signals::never_end(),
        ["bind", port] => println!("port {port}: {:?}", network::bind(port.parse().unwrap())),
        ["tcp", port] => network::answer_once_by_tcp(port.parse().unwrap())?,
        ["udp", port] => network::answer_once_by_udp(port.parse().unwrap())?,
        ["tell-time", moment] => network::tell_time(moment.parse().unwrap())?,
        ["network"] => network::describe()?,
        ["terminal"] => terminal::converse()?,
        ["ipv6"] => network::wait_for_ipv6()?,
        ["resolve", name] => network::resolve(name),
        ref other => panic!("no such errand: {other:?}"),
    }
    Ok(0)
}

/// What it was started with.
fn given(arguments: &[String]) -> io::Result<()> {
    for argument in arguments {
        println!("argument {argument:?}");
    }
    let mut variables: Vec<(String, String)> = env::vars().collect();
    variables.sort();
    for (name, value) in variables {
        println!("{name}={value:?}");
    }
    println!("directory {}", env::current_dir()?.display());
    Ok(())
}

/// Its input back, and how much it was on standard error.
fn echo() -> io::Result<()> {
    let mut input = Vec::new();
    io::stdin().read_to_end(&mut input)?;
    io::stdout().write_all(&input)?;
    eprint!("{} bytes", input.len());
    Ok(())
}

/// So many bytes on standard output, and as many on standard error, from two threads at once.
fn flood(bytes: usize) -> io::Result<()> {
    let errors = std::thread::spawn(move || io::stderr().write_all(&pattern(bytes, 3)));
    io::stdout().write_all(&pattern(bytes, 7))?;
    errors.join().unwrap()
}

/// Bytes in which a lost, doubled or swapped part shows. The tests make the same.
fn pattern(length: usize, step: u32) -> Vec<u8> {
    (0..length as u32).map(|index| (index.wrapping_mul(step) ^ (index >> 8)) as u8).collect()
}

/// The names in a directory, in order, on one line.
fn list(path: &str) -> io::Result<()> {
    let mut names = Vec::new();
    for entry in fs::read_dir(path)? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    println!("{path}: {}", names.join(" "));
    Ok(())
}

/// What a path is: type, permissions, owner, group.
fn look(path: &str) -> io::Result<()> {
    let metadata = fs::symlink_metadata(path)?;
    let kind = match metadata.file_type() {
        kind if kind.is_dir() => "directory",
        kind if kind.is_symlink() => "link",
        kind if kind.is_file() => "file",
        _ => "other",
    };
    println!("{path}: {kind} {:o} {}:{}", metadata.mode() & 0o7777, metadata.uid(), metadata.gid());
    Ok(())
}

/// Writes until there is no more space.
fn fill(path: &str) {
    let filled = fs::File::create(path).and_then(|mut file| {
        loop {
            file.write_all(&[0x55; 64 * 1024])?;
        }
    });
    let Err::<(), _>(error) = filled else { return };
    println!("{path}: {:?}", error.kind());
    println!("{path}: removed {:?}", fs::remove_file(path).map_err(|error| error.kind()));
}
