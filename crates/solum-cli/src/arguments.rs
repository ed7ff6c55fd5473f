//! Every flag of every verb: its name, its help, how it is read. Completions and man pages come from here too.

mod build;
mod flash;
mod inspect;
mod push;
mod sim;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Parser, Subcommand, ValueEnum};
use solum_image::Compression;
use solum_spec::description::{Network, StaticNetwork, Wait, WhenEnded};
use solum_spec::keyboard::{self, KeyChange};
use solum_spec::machine::DEFAULT_MEMORY;
use solum_spec::storage::FileSystem;
use solum_spec::{Bundle, ByteSize, Publish, Share};
use solum_vm::{Bus, DiskFile};

pub use build::{Build, Computer, Format};
pub use flash::Flash;
pub use inspect::Inspect;
pub use push::Push;
pub use sim::{Search, Seeds, Sim};

/// Turns programs into whole machines: a Linux kernel, one small PID 1, and your code; nothing else.
#[derive(Debug, Parser)]
#[command(
    name = "solum",
    version,
    max_term_width = 110,
    subcommand_required = true,
    arg_required_else_help = true
)]
#[command(after_help = crate::exit_code::HELP)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Runs a program as the whole user space of a machine
    Run(Box<Run>),
    /// Makes images that boot anywhere: of a program, or of each machine of a system
    Build(Box<Build>),
    /// Writes the initramfs of a program's machine
    Take(Box<Take>),
    /// Boots a kernel with an initramfs
    Exec(Box<Exec>),
    /// Checks the description of a system, and how its programs are wired
    Check(Check),
    /// Draws a system: its machines, their units and devices, and the links
    Graph(Graph),
    /// Simulates a system: many runs, in which everything goes wrong that it claims to survive
    Sim(Box<Sim>),
    /// Builds, lists, shows and removes kernels
    #[command(subcommand)]
    Kernel(Kernel),
    /// Says what is in an image: kernel, programs, units, files, sizes, hashes, bill of materials
    Inspect(Inspect),
    /// Writes an image to a stick or card, and reads it back
    Flash(Flash),
    /// Sends a container image to a registry
    Push(Push),
    /// Lists the units of a running system
    Ps(Ps),
    /// Shows what the units of a running system print
    Logs(Logs),
    /// Starts a unit of a running system that was stopped, has ended or was given up
    Start(OfUnit),
    /// Stops a unit of a running system
    Stop(OfUnit),
    /// Stops a unit of a running system and starts it again
    Restart(OfUnit),
    /// Presses keys at the keyboard of a machine of a running system
    Press(Press),
    /// Stops a running system
    Down(Running),
    /// Says what is installed, what is missing, and how to get it
    Doctor(Doctor),
    /// Prints the completions for a shell
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Writes the man pages into a directory
    Man {
        /// The directory; it is made if it is missing.
        directory: PathBuf,
    },
}

/// Which program, and how Cargo builds it.
#[derive(Clone, Debug, Args)]
pub struct Program {
    /// A Cargo package directory, a static executable, or the directory of a system (with a solum.toml)
    pub program: PathBuf,
    /// The binary of the package, if it has several
    #[arg(long, value_name = "NAME", conflicts_with = "example", help_heading = "Package")]
    pub bin: Option<String>,
    /// An example of the package instead of a binary
    #[arg(long, value_name = "NAME", help_heading = "Package")]
    pub example: Option<String>,
    /// Features to build with, separated by commas
    #[arg(long, value_delimiter = ',', value_name = "FEATURES", help_heading = "Package")]
    pub features: Vec<String>,
    /// Cargo profile to build with [default: release]
    #[arg(long, value_name = "PROFILE", help_heading = "Package")]
    pub profile: Option<String>,
    /// Rust target to build for [default: musl where it is installed, else GNU linked statically]
    #[arg(long, value_name = "TRIPLE", help_heading = "Package")]
    pub target: Option<String>,
}

/// What is inside the machine beside the program.
#[derive(Clone, Debug, Args)]
pub struct Inside {
    /// Copies a file into the image
    #[arg(long = "file", value_name = "SRC:/PATH", help_heading = "Inside the machine")]
    pub files: Vec<Bundle>,
    /// Copies a directory into the image
    #[arg(long = "dir", value_name = "SRC:/PATH", help_heading = "Inside the machine")]
    pub directories: Vec<Bundle>,
    /// Sets a variable in the program's environment; without a value, copies it from here
    #[arg(long = "env", value_name = "NAME[=VALUE]", help_heading = "Inside the machine")]
    pub environment: Vec<String>,
    /// Runs the program as root instead of as an ordinary user
    #[arg(long, help_heading = "Inside the machine")]
    pub root: bool,
    /// Starts the program only when the network has an address, or the clock was set
    #[arg(long, value_enum, value_delimiter = ',', value_name = "WHAT", help_heading = "Inside the machine")]
    pub wait: Vec<WaitFor>,
    /// How the machine gets its addresses: dhcp, none, or ADDRESS/PREFIX[,gateway=ADDRESS][,dns=ADDRESS]… [default: dhcp]
    #[arg(long, value_parser = network, value_name = "HOW", help_heading = "Inside the machine")]
    pub network: Option<Network>,
    /// An NTP server, name or address; may be given several times
    #[arg(long = "time-server", value_name = "SERVER", help_heading = "Inside the machine")]
    pub time_servers: Vec<String>,
    /// Mounts a file system: LABEL=…, UUID=…, PARTLABEL=…, PARTUUID=…, /dev/…, tmpfs or ramfs; options like ro, type=ext4,
    /// grow, nofail, and the file system's own; may be given several times
    #[arg(long = "mount", value_name = "SOURCE:/PATH[:OPTIONS]", help_heading = "Inside the machine")]
    pub file_systems: Vec<FileSystem>,
    /// What the machine does when the program ended by itself [default: poweroff]
    #[arg(long, value_enum, value_name = "WHAT", help_heading = "Inside the machine")]
    pub when_ended: Option<Afterwards>,
    /// Whether the certificates of authorities are in the image: auto puts them there if the program looks for them
    #[arg(
        long,
        value_enum,
        default_value = "auto",
        value_name = "WHEN",
        help_heading = "Inside the machine"
    )]
    pub ca_certificates: Certificates,
    /// The machine's name [default: the program's]
    #[arg(long, value_name = "NAME", help_heading = "Inside the machine")]
    pub name: Option<String>,
    /// How long the program may take to stop before it is killed, in seconds [default: 10]
    #[arg(long, value_name = "SECONDS", help_heading = "Inside the machine")]
    pub grace: Option<u32>,
}

impl Inside {
    /// The way to addresses that holds.
    pub fn network(&self) -> Network {
        self.network.clone().unwrap_or_default()
    }

    /// What follows the program's end.
    pub fn when_ended(&self) -> WhenEnded {
        self.when_ended.map_or_else(WhenEnded::default, Into::into)
    }

    /// The grace that holds.
    pub fn grace_seconds(&self) -> u32 {
        self.grace.unwrap_or(10)
    }
}

/// Whether the certificates of authorities are in an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Certificates {
    /// If a program looks for them.
    Auto,
    /// In any case.
    Always,
    /// Not.
    Never,
}

/// What a machine does when its program ended by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Afterwards {
    /// It switches itself off.
    Poweroff,
    /// It starts anew.
    Reboot,
    /// It starts the program again.
    Restart,
    /// It stands still.
    Halt,
}

impl From<Afterwards> for WhenEnded {
    fn from(afterwards: Afterwards) -> Self {
        match afterwards {
            Afterwards::Poweroff => Self::PowerOff,
            Afterwards::Reboot => Self::Reboot,
            Afterwards::Restart => Self::Restart,
            Afterwards::Halt => Self::Halt,
        }
    }
}

/// The virtual machine around it.
#[derive(Clone, Debug, Args)]
pub struct Around {
    /// Memory of the machine, like 512M; a number without a unit is bytes [default: 128 MiB]
    #[arg(long, value_name = "SIZE", help_heading = "Machine")]
    pub memory: Option<ByteSize>,
    /// Number of processors [default: 1]
    #[arg(long, value_name = "N", help_heading = "Machine")]
    pub cpus: Option<u16>,
    /// Makes a port of the machine reachable from the host
    #[arg(long, value_name = "[ADDRESS:]HOST:MACHINE[/udp]", help_heading = "Machine")]
    pub publish: Vec<Publish>,
    /// Gives the machine a file as a disk, byte for byte; may be given several times
    #[arg(long = "disk", value_name = "FILE[:ro]", help_heading = "Machine")]
    pub disks: Vec<DiskFile>,
    /// How the machine's processor is made: by hardware (kvm) or by software (tcg)
    #[arg(long, value_enum, default_value = "auto", help_heading = "Machine")]
    pub accel: Accelerator,
    /// The kind of PC that QEMU makes
    #[arg(long, value_enum, default_value = "auto", value_name = "KIND", help_heading = "Machine")]
    pub machine: MachineKind,
    /// Adds words to the kernel's command line
    #[arg(long, value_name = "WORDS", allow_hyphen_values = true, help_heading = "Machine")]
    pub append: Vec<String>,
    /// Ends the machine after this many seconds
    #[arg(long, value_name = "SECONDS", help_heading = "Machine")]
    pub timeout: Option<u32>,
    /// Ends the run when the machine reboots, instead of booting it again
    #[arg(long, help_heading = "Machine")]
    pub no_reboot: bool,
    /// Prints the QEMU command instead of running it
    #[arg(long, help_heading = "Machine")]
    pub dry_run: bool,
    /// Prints the QEMU command as a JSON array of its words
    #[arg(long, requires = "dry_run", help_heading = "Machine")]
    pub json: bool,
    /// Shows the kernel's messages and says what Solum decides
    #[arg(long, short)]
    pub verbose: bool,
}

impl Around {
    /// The memory that holds.
    pub fn memory(&self) -> ByteSize {
        self.memory.unwrap_or(DEFAULT_MEMORY)
    }

    /// The number of processors that holds.
    pub fn cpus(&self) -> u16 {
        self.cpus.unwrap_or(1)
    }
}

/// Which kernel.
#[derive(Clone, Debug, Args)]
pub struct KernelChoice {
    /// Where the kernel comes from: a provider (debian, debian-pc, source, source-pc, host), pc for
    /// source-pc if that was built and else debian-pc, or a kernel file
    /// [default: a built one if there is one, else debian; for screens debian-pc]
    #[arg(long, value_name = "PROVIDER|PATH", help_heading = "Kernel")]
    pub kernel: Option<String>,
    /// The version, for the provider `source`
    #[arg(long, value_name = "VERSION", help_heading = "Kernel")]
    pub kernel_version: Option<String>,
}

/// `solum run`
#[derive(Clone, Debug, Args)]
// An argument that is changed becomes the last one, unless all say which they are.
#[command(mut_arg("program", |program| program.index(1).required(false).default_value(".")))]
pub struct Run {
    #[command(flatten)]
    pub program: Program,
    /// Boots an image instead, or a directory with the image of each machine of a system, as `solum build` makes them
    #[arg(long, value_name = "FILE|DIR", conflicts_with = "program", help_heading = "Image")]
    pub image: Option<PathBuf>,
    /// How the machine sees the image [default: virtio]
    #[arg(long, value_enum, value_name = "BUS", requires = "image", help_heading = "Image")]
    pub attach: Option<Attach>,
    /// What the machine writes to the image is forgotten at its end
    #[arg(long, requires = "image", help_heading = "Image")]
    pub snapshot: bool,
    /// Arguments of the program
    #[arg(last = true, index = 2)]
    pub arguments: Vec<String>,
    /// Where it runs: as a virtual machine, or as a process of this host
    #[arg(long, value_enum, default_value = "vm")]
    pub place: Place,
    #[command(flatten)]
    pub around: Around,
    /// Shows only what these units of a system print, separated by commas
    #[arg(long, value_delimiter = ',', value_name = "UNITS", help_heading = "System")]
    pub only: Vec<String>,
    /// Makes a unit of a system reachable at another port of the host
    #[arg(long = "publish-unit", value_name = "MACHINE.UNIT.PORT=[ADDRESS:]HOST", help_heading = "System")]
    pub publish_units: Vec<PublishUnit>,
    /// What the screens of a system are, as processes of this host; pictures are there in any case
    #[arg(long, value_enum, default_value = "auto", value_name = "KIND", help_heading = "System")]
    pub screen: ScreenKind,
    /// Keeps every frame that a screen of a system shows, as DIR/MACHINE.SCREEN/NUMBER.png
    #[arg(long, value_name = "DIR", help_heading = "System")]
    pub frames: Option<PathBuf>,
    /// Lets the machine see a directory of the host
    #[arg(long = "share", value_name = "DIR:/PATH[:ro]", help_heading = "Machine")]
    pub shares: Vec<Share>,
    #[command(flatten)]
    pub kernel: KernelChoice,
    #[command(flatten)]
    pub inside: Inside,
}

/// How a machine sees the medium that it boots from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Attach {
    /// As a disk of a virtual machine.
    Virtio,
    /// As a CD.
    Cd,
    /// As a USB stick.
    Usb,
    /// As a disk of a PC.
    Sata,
    /// As a fast disk of a PC.
    Nvme,
}

impl From<Attach> for Bus {
    fn from(attach: Attach) -> Self {
        match attach {
            Attach::Virtio => Self::Virtio,
            Attach::Cd => Self::Cd,
            Attach::Usb => Self::Usb,
            Attach::Sata => Self::Sata,
            Attach::Nvme => Self::Nvme,
        }
    }
}

/// A port of a unit, and where the host has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishUnit {
    /// `MACHINE.UNIT.PORT`.
    pub port: String,
    /// The address on the host.
    pub address: SocketAddr,
}

impl FromStr for PublishUnit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (port, address) =
            text.split_once('=').ok_or("write it as MACHINE.UNIT.PORT=HOST, like web.0.front.http=8000")?;
        let number = |text: &str| text.parse::<u16>().map_err(|_| format!("`{text}` is no port number"));
        let address = match address.rsplit_once(':') {
            Some((host, port)) => {
                let host = host.parse::<IpAddr>().map_err(|_| format!("`{host}` is no IP address"))?;
                SocketAddr::new(host, number(port)?)
            }
            None => SocketAddr::from(([127, 0, 0, 1], number(address)?)),
        };
        Ok(Self { port: port.to_owned(), address })
    }
}

/// `solum take`
#[derive(Debug, Args)]
#[command(mut_arg("program", |program| {
    // An argument that is changed becomes the last one, unless all say which they are.
    program.index(2).help("A Cargo package directory, or a static executable")
}))]
pub struct Take {
    /// The file to write
    #[arg(index = 1)]
    pub out_initramfs: PathBuf,
    #[command(flatten)]
    pub program: Program,
    /// Arguments of the program
    #[arg(last = true, index = 3)]
    pub arguments: Vec<String>,
    /// Adds the modules of this kernel (a provider or a kernel file); without it, only a kernel that has its
    /// drivers built in can boot the image
    #[arg(long, value_name = "PROVIDER|PATH", help_heading = "Kernel")]
    pub kernel: Option<String>,
    #[command(flatten)]
    pub modules: ModuleChoice,
    /// How the initramfs is compressed; `none` is for kernels without CONFIG_RD_ZSTD
    #[arg(long, value_enum, default_value = "zstd")]
    pub compress: Compress,
    #[command(flatten)]
    pub inside: Inside,
}

/// Which modules an image gets.
#[derive(Debug, Args)]
pub struct ModuleChoice {
    /// What the modules are for: `vm`, `pc` (common computers), `this-host`, or a FILE with the lines of another
    /// machine's /sys/devices/**/modalias [default: vm]
    #[arg(long, value_name = "vm|pc|this-host|FILE", help_heading = "Kernel", conflicts_with = "modules")]
    pub modules_for: Option<String>,
    /// A module to load, with what it needs, instead of those of --modules-for; may be given several times
    #[arg(long = "module", value_name = "NAME", help_heading = "Kernel")]
    pub modules: Vec<String>,
}

impl ModuleChoice {
    /// Whether anything was chosen.
    pub fn is_given(&self) -> bool {
        self.modules_for.is_some() || !self.modules.is_empty()
    }
}

/// How an initramfs is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Compress {
    /// Zstandard.
    Zstd,
    /// Not at all.
    None,
}

impl From<Compress> for Compression {
    fn from(compress: Compress) -> Self {
        match compress {
            Compress::Zstd => Self::SmallestZstd,
            Compress::None => Self::None,
        }
    }
}

/// `solum exec`
#[derive(Debug, Args)]
pub struct Exec {
    /// The kernel: a bzImage, or an ELF vmlinux that can be booted by PVH
    pub kernel: PathBuf,
    /// The initramfs
    pub initramfs: PathBuf,
    #[command(flatten)]
    pub around: Around,
}

/// `solum kernel`
#[derive(Debug, Subcommand)]
pub enum Kernel {
    /// Builds a kernel, or fetches a prebuilt one
    Build(KernelBuild),
    /// Lists the kernels in the cache
    List {
        /// Prints JSON
        #[arg(long)]
        json: bool,
    },
    /// Shows one kernel
    Show {
        /// Its id, or the beginning of it, as `list` prints it
        id: String,
        /// Prints JSON
        #[arg(long)]
        json: bool,
    },
    /// Removes kernels from the cache
    Remove {
        /// Their ids, or the beginnings of them
        #[arg(required_unless_present = "all")]
        ids: Vec<String>,
        /// Removes all of them
        #[arg(long, conflicts_with = "ids")]
        all: bool,
    },
}

/// `solum kernel build`
#[derive(Debug, Args)]
pub struct KernelBuild {
    /// Where the built kernel is copied to; it stays in the cache in any case
    pub out: Option<PathBuf>,
    /// Where the kernel comes from
    #[arg(long, default_value = "source", value_name = "PROVIDER|PATH")]
    pub kernel: String,
    /// What the kernel is for
    #[arg(long, value_enum, default_value = "vm")]
    pub profile: KernelProfile,
    /// Version to build [default: that of the distribution's source package, where there is one]
    #[arg(long, value_name = "VERSION")]
    pub version: Option<String>,
    /// Where releases are taken from: an address or a directory laid out like kernel.org's /pub/linux/kernel
    #[arg(long, value_name = "URL|DIR")]
    pub mirror: Option<String>,
    /// A file of CONFIG_ lines on top of the profile; may be given several times
    #[arg(long = "config", value_name = "FRAGMENT")]
    pub fragments: Vec<PathBuf>,
    /// An unpacked kernel source tree to build from
    #[arg(long, value_name = "DIR", conflicts_with_all = ["version", "mirror"])]
    pub tree: Option<PathBuf>,
    /// Prints JSON
    #[arg(long)]
    pub json: bool,
}

/// What a kernel is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum KernelProfile {
    /// Virtual machines.
    Vm,
    /// Computers and the virtual machines of clouds: drivers of common hardware, all built in.
    Pc,
}

/// A system's description.
#[derive(Debug, Args)]
pub struct Described {
    /// The directory with the system's solum.toml
    #[arg(default_value = ".")]
    pub directory: PathBuf,
    /// Builds no program, so what only a program's ports tell stays unchecked
    #[arg(long)]
    pub no_build: bool,
}

/// `solum check`
#[derive(Debug, Args)]
pub struct Check {
    #[command(flatten)]
    pub described: Described,
    /// Prints JSON
    #[arg(long)]
    pub json: bool,
    /// Prints the JSON Schema of solum.toml, for editors, and checks nothing
    #[arg(long, conflicts_with_all = ["json", "no_build", "directory"])]
    pub schema: bool,
}

/// `solum graph`
#[derive(Debug, Args)]
pub struct Graph {
    #[command(flatten)]
    pub described: Described,
    /// The language of the picture
    #[arg(long, value_enum, default_value = "svg")]
    pub format: GraphFormat,
    /// Where the picture is written [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// The language of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum GraphFormat {
    /// Scalable Vector Graphics, which browsers show.
    Svg,
    /// The language of Graphviz.
    Dot,
    /// The language of Mermaid, which renders in Markdown on many sites.
    Mermaid,
}

/// Which running system.
#[derive(Debug, Args)]
pub struct Running {
    /// The directory that the system was started with
    #[arg(short = 'C', long, default_value = ".", value_name = "DIR")]
    pub directory: PathBuf,
}

/// `solum ps`
#[derive(Debug, Args)]
pub struct Ps {
    #[command(flatten)]
    pub running: Running,
    /// Prints JSON
    #[arg(long)]
    pub json: bool,
}

/// `solum logs`
#[derive(Debug, Args)]
pub struct Logs {
    /// The units, as MACHINE.UNIT or UNIT; all if none is named
    pub units: Vec<String>,
    #[command(flatten)]
    pub running: Running,
    /// Goes on with what they print from now on
    #[arg(long, short)]
    pub follow: bool,
    /// So many of the last lines of each unit; all that are kept if not given
    #[arg(long, short = 'n', value_name = "N")]
    pub lines: Option<u32>,
    /// Prints each line as a JSON object
    #[arg(long)]
    pub json: bool,
}

/// `solum start`, `solum stop`, `solum restart`
#[derive(Debug, Args)]
pub struct OfUnit {
    /// The unit, as MACHINE.UNIT, or UNIT if only one machine has it
    pub unit: String,
    #[command(flatten)]
    pub running: Running,
}

/// `solum press`
#[derive(Debug, Args)]
pub struct Press {
    /// Keys that are pressed and let go one after the other: `left`, `enter`, `f1`, or several together: `ctrl+c`
    #[arg(required_unless_present = "text", value_parser = chord)]
    pub keys: Vec<Chord>,
    /// Types this text, after the keys, as on a keyboard of the United States
    #[arg(long)]
    pub text: Option<String>,
    /// The machine with the keyboard, if several have one
    #[arg(long, short)]
    pub machine: Option<String>,
    #[command(flatten)]
    pub running: Running,
}

/// What happens when keys are pressed together and let go.
#[derive(Clone, Debug)]
pub struct Chord(pub Vec<KeyChange>);

fn chord(text: &str) -> Result<Chord, String> {
    keyboard::chord(text).map(Chord).map_err(|word| {
        let near = keyboard::words().filter(|known| word.len() > 1 && known.contains(&*word.to_lowercase()));
        let near: Vec<&str> = near.collect();
        match near.is_empty() {
            true => format!("`{word}` is no key; write one as `left`, `a`, `KEY_A` or `#30`"),
            false => format!("`{word}` is no key; there are {}", near.join(", ")),
        }
    })
}

/// `solum doctor`
#[derive(Debug, Args)]
pub struct Doctor {
    /// Prints JSON
    #[arg(long)]
    pub json: bool,
}

/// Where a system runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Place {
    /// A virtual machine.
    Vm,
    /// A process of this host.
    Host,
}

/// What a screen is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ScreenKind {
    /// A window where there is a display, unless --frames is given; else a picture.
    Auto,
    /// A window on the X11 display that DISPLAY names.
    Window,
    /// A picture in a file, which follows what is shown.
    Png,
}

/// How a virtual processor is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Accelerator {
    /// Hardware where it can be relied on, else software.
    Auto,
    /// The processor's virtualisation.
    Kvm,
    /// Software emulation.
    Tcg,
}

/// The kind of PC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum MachineKind {
    /// The fastest that boots the kernel reliably.
    Auto,
    /// A PC with PCI Express and ACPI.
    Q35,
    /// The least that boots Linux.
    Microvm,
}

/// What a program can be made to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum WaitFor {
    /// An interface has an address.
    Network,
    /// The clock was set from a time server.
    Clock,
}

impl From<WaitFor> for Wait {
    fn from(wait: WaitFor) -> Self {
        match wait {
            WaitFor::Network => Self::Network,
            WaitFor::Clock => Self::Clock,
        }
    }
}

fn network(text: &str) -> Result<Network, String> {
    match text {
        "dhcp" => return Ok(Network::Automatic),
        "none" => return Ok(Network::None),
        _ => {}
    }
    let mut parts = text.split(',');
    let own = parts.next().unwrap_or_default();
    let (address, prefix) = own
        .split_once('/')
        .ok_or("write dhcp, none, or ADDRESS/PREFIX like 10.0.2.15/24,gateway=10.0.2.2")?;
    let address = address.parse().map_err(|_| format!("`{address}` is not an IPv4 address"))?;
    let prefix = match prefix.parse() {
        Ok(prefix @ 0..=32) => prefix,
        _ => return Err(format!("`{prefix}` is not the length of a prefix, 0 to 32")),
    };
    let mut network = StaticNetwork { address, prefix, gateway: None, dns: Vec::new() };
    for part in parts {
        match part.split_once('=') {
            Some(("gateway", gateway)) => {
                let parsed = gateway.parse().map_err(|_| format!("`{gateway}` is not an IPv4 address"))?;
                network.gateway = Some(parsed);
            }
            Some(("dns", server)) => {
                network.dns.push(server.parse().map_err(|_| format!("`{server}` is not an IP address"))?);
            }
            _ => return Err(format!("`{part}` is neither gateway=ADDRESS nor dns=ADDRESS")),
        }
    }
    Ok(Network::Static(network))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_flags_are_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn only_run_says_that_it_takes_systems() {
        let mut command = Arguments::command();
        let mut help = |verb| {
            let verb: &mut clap::Command = command.find_subcommand_mut(verb).unwrap();
            verb.render_help().to_string()
        };
        assert!(help("run").contains("solum.toml"));
        let take = help("take");
        assert!(!take.contains("solum.toml") && take.contains("Cargo package directory"), "{take}");
    }

    #[test]
    fn defaults_are_those_of_the_help() {
        let run = |words: &[&str]| match Arguments::try_parse_from([&["solum", "run", "p"], words].concat()) {
            Ok(Arguments { verb: Verb::Run(run) }) => run,
            other => panic!("{other:?}"),
        };
        let plain = run(&[]);
        assert_eq!((plain.around.memory(), plain.around.cpus()), (ByteSize::mebibytes(128), 1));
        assert_eq!((plain.inside.network(), plain.inside.grace_seconds()), (Network::Automatic, 10));
        let given = run(&["--memory", "1G", "--cpus", "3", "--network", "none"]);
        assert_eq!((given.around.memory(), given.around.cpus()), (ByteSize::mebibytes(1024), 3));
        assert_eq!(given.inside.network(), Network::None);
    }

    #[test]
    fn networks_are_read() {
        assert_eq!(network("dhcp"), Ok(Network::Automatic));
        let Ok(Network::Static(fixed)) = network("10.0.2.15/24,gateway=10.0.2.2,dns=10.0.2.3,dns=::1") else {
            panic!("a static network")
        };
        assert_eq!((fixed.prefix, fixed.dns.len()), (24, 2));
        assert!(network("10.0.2.15").is_err());
        assert!(network("10.0.2.15/33").unwrap_err().contains("0 to 32"));
        assert!(network("10.0.2.15/24,router=1.2.3.4").unwrap_err().contains("router"));
    }
}
