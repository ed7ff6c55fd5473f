//! Loads a running web cluster from several threads, kills its units or machines meanwhile, and checks what the clients saw.

#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "a tool of the host")]

mod client;
mod kills;
mod load;
mod options;
mod power;
mod ps;
mod report;

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::Parser;
use options::Options;
use report::Report;

/// How long everything may take to work again after the last kill.
const RECOVERY: Duration = Duration::from_secs(120);

fn main() -> ExitCode {
    let options = Options::parse();
    match run(&options) {
        Ok(report) => {
            print!("{report}");
            if report.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(why) => {
            eprintln!("error: {why}");
            ExitCode::from(2)
        }
    }
}

fn run(options: &Options) -> Result<Report, String> {
    let began = Instant::now();
    let load = load::Load::new(options, began);
    load.wait_for_all_fronts(RECOVERY)?;
    let is_over = AtomicBool::new(false);
    let (records, kills) = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..options.threads)
            .map(|thread| {
                let (load, is_over) = (&load, &is_over);
                scope.spawn(move || load.work(thread, is_over))
            })
            .collect();
        let kills = match options.power_cuts {
            0 => kills::kill_until(options, began + Duration::from_secs(options.seconds)),
            cuts => power::cut(options, cuts),
        };
        is_over.store(true, Ordering::Relaxed);
        let records: Vec<_> = workers.into_iter().filter_map(|worker| worker.join().ok()).flatten().collect();
        (records, kills)
    });
    let seconds = began.elapsed().as_secs_f64();
    load.wait_for_all_fronts(RECOVERY)?;
    let last = load.read_everything();
    Ok(Report::new(options, seconds, &records, &last, kills?))
}
