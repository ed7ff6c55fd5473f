//! Writes a timeline to look at: `cargo run -p solum-sim --example timeline -- out.html`, or `-- out.html 200000` for
//! one with so many items.

#[path = "../tests/timeline/fixture.rs"]
mod fixture;

fn main() -> std::io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let file = arguments.next().unwrap_or_else(|| "timeline.html".into());
    let run = match arguments.next().and_then(|items| items.parse().ok()) {
        Some(items) => fixture::large(items),
        None => fixture::mirror(),
    };
    std::fs::write(file, run.to_html())
}
