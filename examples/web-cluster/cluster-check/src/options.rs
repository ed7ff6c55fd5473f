//! What can be said on the command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Parser;

/// Loads a running web cluster, kills its units or machines meanwhile, and checks that what clients saw is linearizable and that no
/// acknowledged write is lost.
#[derive(Debug, Parser)]
pub struct Options {
    /// The directory of the system, which is running
    #[arg(short = 'C', long, value_name = "DIR", default_value = ".")]
    pub directory: PathBuf,
    /// The solum executable
    #[arg(long, value_name = "FILE", default_value = "solum")]
    pub solum: PathBuf,
    /// Where the fronts listen
    #[arg(
        long,
        value_name = "ADDRESS",
        value_delimiter = ',',
        default_value = "127.0.0.2:8080,127.0.0.3:8080,127.0.0.4:8080,127.0.0.5:8080"
    )]
    pub fronts: Vec<SocketAddr>,
    /// Clients at the same time
    #[arg(long, value_name = "N", default_value_t = 8)]
    pub threads: u64,
    /// How long; with --power-cuts, as long as those take
    #[arg(long, value_name = "N", default_value_t = 30)]
    pub seconds: u64,
    /// Keys that all clients read and write
    #[arg(long, value_name = "N", default_value_t = 8)]
    pub keys: u64,
    /// Milliseconds between kills, on average; 0 for none
    #[arg(long, value_name = "MS", default_value_t = 1500)]
    pub kill_every: u64,
    /// At the place vm: cut the power of so many machines (kill -9 of QEMU), each when everything runs again after the last
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub power_cuts: u64,
    /// Each power cut with a number that this divides is one of all machines at once; 0 for none
    #[arg(long, value_name = "N", default_value_t = 6)]
    pub all_every: u64,
    /// Only units, or machines, with this in their names are killed
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub only: String,
    /// Of this many kills, one is of all units of a machine at once; 0 for none
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub machine_every: u64,
    /// What the random choices begin with
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Where to write what every client saw, a line each
    #[arg(long, value_name = "FILE")]
    pub history: Option<PathBuf>,
}

/// Random numbers that are the same for the same seed (xorshift64*, Vigna 2016).
pub struct Random(u64);

impl Random {
    /// A sequence of its own for each pair.
    pub fn new(seed: u64, stream: u64) -> Self {
        let mixed = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ stream.wrapping_mul(0xd1b5_4a32_d192_ed03);
        let mut random = Self(mixed | 1);
        for _ in 0..8 {
            random.next();
        }
        random
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// Less than `bound`, which is not 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        (self.next() >> 16) % bound
    }
}
