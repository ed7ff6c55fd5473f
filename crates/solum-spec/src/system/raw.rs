//! `solum.toml` as it is written: every value with its place, nothing checked but its shape.
//!
//! These types are also the JSON Schema that editors read, and by which [`shape`](super::shape) finds what is misspelt.
//! Whatever may be written is optional here, so that one mistake does not hide the next; what has to be there is
//! among the `required`.

use std::collections::BTreeMap;
use std::ops::Range;

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor, value};

use crate::description::{GiveUp, Readiness, Restart, Wait, WhenEnded};
use crate::storage::DataKind;

use super::schema::{duration, machine_path, name, program, screen_size, simulation, size, target};

/// A value and the bytes of the text that it was read from. Equal if the values are.
#[derive(Clone, Debug)]
pub struct Located<T> {
    /// The bytes.
    pub span: Range<usize>,
    /// The value.
    pub value: T,
}

impl<T> Located<T> {
    pub fn as_ref(&self) -> Located<&T> {
        Located { span: self.span.clone(), value: &self.value }
    }

    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Located<U> {
        Located { span: self.span, value: change(self.value) }
    }
}

impl<T: PartialEq> PartialEq for Located<T> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl<T: Eq> Eq for Located<T> {}

impl<T: PartialOrd> PartialOrd for Located<T> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        self.value.partial_cmp(&other.value)
    }
}

impl<T: Ord> Ord for Located<T> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.value.cmp(&other.value)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Located<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = toml::Spanned::<T>::deserialize(deserializer)?;
        Ok(Self { span: spanned.span(), value: spanned.into_inner() })
    }
}

impl<T: JsonSchema> JsonSchema for Located<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        T::schema_name()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        generator.subschema_for::<T>()
    }
}

/// A table whose keys the user chooses.
pub type Named<T> = BTreeMap<Located<String>, T>;

/// A whole system: programs, the machines they run on, and how everything is wired.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(title = "solum.toml", extend("required" = ["system"]))]
pub struct File {
    /// The system as a whole.
    pub system: SystemTable,
    /// What units can run.
    pub program: Named<Program>,
    /// The computers of the system.
    pub machine: Named<Machine>,
    /// The package that simulates the system: what `solum sim` builds and runs.
    pub simulation: Option<Simulation>,
}

/// The system as a whole.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["name"]))]
pub struct SystemTable {
    /// Its name: lower-case letters, digits and hyphens.
    #[schemars(schema_with = "name")]
    pub name: Option<Located<String>>,
}

/// Something a unit can run, from exactly one of `package`, `file` and `build`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct Program {
    /// A Cargo package: its directory, seen from here.
    pub package: Option<Located<String>>,
    /// A static executable: its path, seen from here.
    pub file: Option<Located<String>>,
    /// A command and its arguments; they make the static executable `output`.
    pub build: Option<Located<Vec<Located<String>>>>,
    /// The static executable that `build` makes: its path, seen from here.
    pub output: Option<Located<String>>,
    /// The binary of the package, if it has several.
    pub bin: Option<Located<String>>,
    /// An example of the package instead of a binary.
    pub example: Option<Located<String>>,
    /// Features that the package is built with.
    pub features: Option<Located<Vec<Located<String>>>>,
    /// The Cargo profile that the package is built with. Without it: `release`.
    pub profile: Option<Located<String>>,
}

/// The package that simulates the system: what `solum sim` builds and runs. Nothing else looks at it.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["package"]))]
pub struct Simulation {
    /// A Cargo package: its directory, seen from here.
    #[schemars(schema_with = "simulation")]
    pub package: Option<Located<String>>,
    /// The binary of the package, if it has several.
    pub bin: Option<Located<String>>,
    /// The Cargo profile that the package is built with. Without it: `release`.
    pub profile: Option<Located<String>>,
}

/// One computer of the system, or several that are alike.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct Machine {
    /// Its memory. Without it: 128 MiB.
    #[schemars(schema_with = "size")]
    pub memory: Option<Located<String>>,
    /// How many processors it has. Without it: 1.
    #[schemars(with = "Option<u16>", range(min = 1, max = 1024))]
    pub cores: Option<Located<u16>>,
    /// How many machines are made of this; they are called `NAME.0`, `NAME.1` and so on.
    #[schemars(with = "Option<u32>", range(min = 1, max = 256))]
    pub count: Option<Located<u32>>,
    /// What happens when a unit failed too often: the others go on (`degrade`, the default), or the machine restarts.
    pub give_up: Option<Located<GiveUp>>,
    /// Its disks: a size, or a table with `size` and `block-size`.
    pub disk: Named<Located<Disk>>,
    /// Its screens: WIDTHxHEIGHT in pixels.
    #[schemars(with = "BTreeMap<String, ScreenSize>")]
    pub screen: Named<Located<String>>,
    /// Whether it has a keyboard.
    pub keys: Option<Located<bool>>,
    /// File systems that it mounts: where, and what: LABEL=…, UUID=…, PARTLABEL=…, PARTUUID=…, /dev/…, tmpfs or ramfs; behind a
    /// colon options like `ro`, `grow`, `nofail` and `type=ext4`.
    #[schemars(schema_with = "machine_path")]
    pub mount: Named<Located<String>>,
    /// What it does when all of its units have ended by themselves. Without it: `poweroff`.
    pub when_ended: Option<Located<WhenEnded>>,
    /// Modules of the kernel that its images load, with what they need, where the kernel has its drivers as modules. Without it:
    /// those for what `solum build --for` says.
    pub modules: Vec<Located<String>>,
    /// What an ISO of it holds beside the system.
    pub iso: Option<Iso>,
    /// The data volume of a disk image of it.
    pub data: Option<Data>,
    /// The units: programs, each occupying a processing unit.
    pub unit: Named<Unit>,
}

/// What an ISO holds beside the system.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Iso {
    /// A directory, seen from here; the machine sees what is in it at /iso.
    pub content: Option<Located<String>>,
}

/// The data volume of a disk image: what the machine keeps at /perm.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct Data {
    /// How large it is in the image; the first boot makes it as large as its disk permits. Without it: 64 MiB, and 128 MiB
    /// for Btrfs.
    #[schemars(schema_with = "size")]
    pub size: Option<Located<String>>,
    /// Its file system. Without it: `ext4`.
    pub file_system: Option<Located<DataKind>>,
    /// A directory, seen from here, whose content it starts with.
    pub content: Option<Located<String>>,
}

/// Stands for `WIDTHxHEIGHT` in the schema.
struct ScreenSize;

impl JsonSchema for ScreenSize {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ScreenSize".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        screen_size(generator)
    }
}

/// A disk: its size, or a table that says more.
#[derive(Clone, Debug, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
pub enum Disk {
    /// The size alone.
    Size(#[schemars(schema_with = "size")] String),
    /// A table.
    Table(DiskTable),
}

/// A disk with more than a size.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
#[schemars(extend("required" = ["size"]))]
pub struct DiskTable {
    /// How many bytes it holds.
    #[schemars(schema_with = "size")]
    pub size: Option<Located<String>>,
    /// What it reads and writes at once: `512 B` (the default) or `4 KiB`.
    #[schemars(schema_with = "size")]
    pub block_size: Option<Located<String>>,
}

/// A program occupying one processing unit, and what is plugged into its ports.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
#[schemars(extend("required" = ["program"]))]
pub struct Unit {
    /// What it runs: one of the programs.
    #[schemars(schema_with = "program")]
    pub program: Option<Located<String>>,
    /// Arguments of the program, without its own name.
    pub arguments: Vec<Located<String>>,
    /// What is plugged into each port: a device of this machine, an endpoint, or a port that another unit serves.
    pub ports: Named<Located<OneOrMany>>,
    /// Environment of the program.
    pub environment: Named<Located<String>>,
    /// Files and directories that a plain program finds in its machine: where, and a path seen from here.
    #[schemars(schema_with = "machine_path")]
    pub assets: Named<Located<String>>,
    /// The most memory it may use. Without it: what the machine has.
    #[schemars(schema_with = "size")]
    pub memory: Option<Located<String>>,
    /// How many processors it has for itself. Without it: it shares them.
    #[schemars(with = "Option<u16>", range(min = 1, max = 1024))]
    pub cores: Option<Located<u16>>,
    /// When it is started again. Without it: `on-failure`.
    pub restart: Option<Located<Restart>>,
    /// Units of this machine that have to be ready before it starts.
    pub needs: Vec<Located<String>>,
    /// When it counts as ready: when it says so (`told`, the default with ports), or as soon as it runs (`start`).
    pub ready: Option<Located<Readiness>>,
    /// How long it may take to become ready. Without it: 30 s.
    #[schemars(schema_with = "duration")]
    pub ready_within: Option<Located<String>>,
    /// How long it may take to stop before it is killed. Without it: 10 s.
    #[schemars(schema_with = "duration")]
    pub grace: Option<Located<String>>,
    /// How much of what it prints is kept. Without it: 1 MiB.
    #[schemars(schema_with = "size")]
    pub log: Option<Located<String>>,
    /// What has to have happened before it starts.
    pub wait: Vec<Located<Wait>>,
    /// Whether a plain program runs as root.
    pub root: Option<Located<bool>>,
}

/// What is plugged into a port.
#[derive(Clone, Debug, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
pub enum OneOrMany {
    /// One target.
    One(#[schemars(schema_with = "target")] String),
    /// Several, in order.
    Many(Vec<Target>),
}

/// A target within an array.
#[derive(Clone, Debug, Deserialize)]
#[serde(transparent)]
pub struct Target(pub Located<String>);

impl JsonSchema for Target {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Target".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        target(generator)
    }
}

// `untagged` would copy the values and lose their places on the way; so the choice is made by hand.

impl<'de> Deserialize<'de> for Disk {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Choice;

        impl<'de> Visitor<'de> for Choice {
            type Value = Disk;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a size, or a table with a size")
            }

            fn visit_str<E>(self, text: &str) -> Result<Disk, E> {
                Ok(Disk::Size(text.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, table: A) -> Result<Disk, A::Error> {
                DiskTable::deserialize(value::MapAccessDeserializer::new(table)).map(Disk::Table)
            }
        }

        deserializer.deserialize_any(Choice)
    }
}

impl<'de> Deserialize<'de> for OneOrMany {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Choice;

        impl<'de> Visitor<'de> for Choice {
            type Value = OneOrMany;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a target, or an array of them")
            }

            fn visit_str<E>(self, text: &str) -> Result<OneOrMany, E> {
                Ok(OneOrMany::One(text.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, array: A) -> Result<OneOrMany, A::Error> {
                Vec::deserialize(value::SeqAccessDeserializer::new(array)).map(OneOrMany::Many)
            }
        }

        deserializer.deserialize_any(Choice)
    }
}
