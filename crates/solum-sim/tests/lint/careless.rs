//! A program that does everything which `examples/clippy.toml` forbids.

use std::io::{Read, Result};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

fn time() {
    Instant::now().elapsed();
    let _ = SystemTime::now().elapsed();
    std::thread::sleep(Duration::ZERO);
    std::thread::park_timeout(Duration::ZERO);
}

fn threads() -> Result<()> {
    let _ = std::thread::spawn(|| ()).join();
    std::thread::scope(|_| ());
    std::thread::Builder::new().spawn(|| ())?;
    std::process::Command::new("true").status()?;
    Ok(())
}

fn process() -> Result<()> {
    let _ = (std::env::args().count(), std::env::args_os().count());
    let _ = (std::env::var("A"), std::env::var_os("A"));
    let _ = (std::env::vars().count(), std::env::vars_os().count());
    std::env::set_var("A", "b");
    std::env::remove_var("A");
    std::env::set_current_dir(std::env::current_dir()?)?;
    std::io::stdin().read_exact(&mut [])
}

fn files(path: &Path) -> Result<()> {
    std::fs::canonicalize(path)?;
    std::fs::copy(path, path)?;
    std::fs::create_dir(path)?;
    std::fs::create_dir_all(path)?;
    std::fs::exists(path)?;
    std::fs::metadata(path)?;
    std::fs::read(path)?;
    std::fs::read_dir(path)?;
    std::fs::read_link(path)?;
    std::fs::read_to_string(path)?;
    std::fs::remove_dir(path)?;
    std::fs::remove_dir_all(path)?;
    std::fs::remove_file(path)?;
    std::fs::rename(path, path)?;
    std::fs::write(path, "")?;
    path.metadata()?;
    path.read_dir()?;
    let _ = (path.exists(), path.is_dir(), path.is_file());
    std::fs::DirBuilder::new().create(path)?;
    std::fs::OpenOptions::new().open(path)?;
    std::fs::File::open(path)?;
    Ok(())
}

fn network() -> Result<()> {
    std::net::ToSocketAddrs::to_socket_addrs("a:1")?;
    std::net::TcpListener::bind("a:1")?;
    std::net::TcpStream::connect("a:1")?;
    std::net::UdpSocket::bind("a:1")?;
    std::os::unix::net::UnixDatagram::unbound()?;
    std::os::unix::net::UnixListener::bind("a")?;
    std::os::unix::net::UnixStream::connect("a")?;
    Ok(())
}

static LAZY: std::sync::LazyLock<u8> = std::sync::LazyLock::new(|| 1);
static ONCE: std::sync::OnceLock<u8> = std::sync::OnceLock::new();

std::thread_local! {
    static LOCAL: u8 = 1;
}

fn state() -> usize {
    let map = std::collections::HashMap::from([(*LAZY, ONCE.get())]);
    let set = std::collections::HashSet::from([LOCAL.with(|local| *local)]);
    let _ = std::hash::RandomState::new();
    map.len() + set.len()
}

fn main() -> Result<()> {
    time();
    threads()?;
    process()?;
    files(Path::new("a"))?;
    network()?;
    match state() {
        0 => std::process::exit(1),
        _ => std::process::abort(),
    }
}
