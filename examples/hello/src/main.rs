//! The smallest program: it prints one line, and the machine ends with it.

fn main() {
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    println!("Hello from the whole machine: {cpus} CPU{}.", if cpus == 1 { "" } else { "s" });
}
