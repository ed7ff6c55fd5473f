//! `solum build`: from a program, or from each machine of a system, to images that boot.

use std::env;
use std::path::{Path, PathBuf};
use std::time::Instant;

use indicatif::HumanBytes;
use solum_image::oci::Reference;
use solum_spec::ByteSize;
use solum_spec::description::DEFAULT_USER_ID;
use solum_spec::machine::DEFAULT_MEMORY;
use solum_spec::storage::DataKind;
use solum_spec::system::Machine;

use super::build_check;
use crate::arguments::{Build, Computer, Format};
use crate::assemble::{self, Contents};
use crate::bill::Bill;
use crate::built::{self, Built};
use crate::cache::Cache;
use crate::cargo::Crate;
use crate::exit_code::ExitCode;
use crate::failure::Failure;
use crate::image::{self, Container, Data, Material, Product};
use crate::kernel_choice::{self, Chosen};
use crate::kernel_modules::Modules;
use crate::output::{print, print_line};
use crate::program::{self, Purpose};
use crate::suited::{flags_of_a_program, refuse_for_formats, refuse_for_system};
use crate::system::{self, Described};
use crate::terminal::say;
use crate::{certificates, content, init};

/// The time that files in images have where `SOURCE_DATE_EPOCH` does not say: an image does not tell when it was made.
const EPOCH_S: u64 = 1_767_225_600;
/// PID 1 in bills of materials.
const INIT: &str = "solum-init";

/// Makes every image that was asked for.
pub fn build(arguments: &Build) -> Result<(), Failure> {
    if arguments.list {
        print(&image::explain());
        return Ok(());
    }
    let mut formats = arguments.formats.clone();
    formats.sort_unstable();
    formats.dedup();
    refuse_unused(arguments)?;
    read_content(arguments)?;
    if arguments.check {
        return build_check::check(&arguments.program.program);
    }
    Shop::open(arguments, &formats)?.make_all(&formats)
}

/// What was asked for and would be in none of the images.
fn refuse_unused(arguments: &Build) -> Result<(), Failure> {
    let makes = |wanted: &[Format]| arguments.formats.iter().any(|format| wanted.contains(format));
    let no_iso = !makes(&[Format::Iso]);
    let no_disk = !makes(&[Format::Disk, Format::Qcow2, Format::Vmdk, Format::Vhd]);
    let no_container = !makes(&[Format::Oci]);
    let (iso, disk, oci) = ("the format iso", "the formats disk, qcow2, vmdk and vhd", "the format oci");
    refuse_for_formats(&[
        ("--iso-content", no_iso && arguments.iso_content.is_some(), iso),
        ("--bios", no_iso && arguments.bios, iso),
        ("--medium-size", no_iso && arguments.medium_size.is_some(), iso),
        ("--data", no_disk && arguments.data.is_some(), disk),
        ("--data-size", no_disk && arguments.data_size.is_some(), disk),
        ("--data-file-system", no_disk && arguments.data_file_system.is_some(), disk),
        ("--tag", no_container && arguments.tag.is_some(), oci),
        ("--expose", no_container && !arguments.exposed.is_empty(), oci),
        ("--label", no_container && !arguments.labels.is_empty(), oci),
        ("--time-zones", no_container && arguments.time_zones, oci),
    ])
}

/// Refuses content that no image could have before a program is compiled for it.
fn read_content(arguments: &Build) -> Result<(), Failure> {
    if let Some(directory) = &arguments.iso_content {
        content::check_links(directory, &content::scan(directory)?)?;
    }
    arguments.data.as_deref().map(content::scan).transpose()?;
    Ok(())
}

fn show(product: &Product) {
    let (size, taken) = (product.size.as_bytes(), product.taken.as_bytes());
    let holes = if taken.saturating_mul(2) < size {
        format!(", with {} in it", HumanBytes(taken))
    } else {
        String::new()
    };
    print_line(&format!("{}  {}{holes}", product.path.display(), HumanBytes(size)));
}

/// Everything that images are made of, ready.
struct Shop<'a> {
    arguments: &'a Build,
    /// Nothing, if only containers are made: they have the host's.
    kernel: Option<Chosen>,
    modules: Modules,
    cache: Cache,
    epoch_s: u64,
}

impl<'a> Shop<'a> {
    fn open(arguments: &'a Build, formats: &[Format]) -> Result<Self, Failure> {
        let cache = Cache::of_user()?;
        let (choose, otherwise): (fn(&_, &_) -> _, _) = match arguments.computer {
            Computer::Vm => (kernel_choice::choose, Modules::VirtualMachines),
            Computer::Pc => (kernel_choice::choose_for_computers, Modules::Computers),
        };
        let modules = Modules::of(&arguments.modules, otherwise)?;
        let has_machine = formats.iter().any(|format| *format != Format::Oci);
        let kernel = has_machine.then(|| choose(&arguments.kernel, &cache)).transpose()?;
        if let (true, Some(kernel)) = (arguments.verbose, &kernel) {
            say(&format!("kernel: {} ({})", kernel.version(), kernel.image().display()));
        }
        Ok(Self { arguments, kernel, modules, cache, epoch_s: epoch()? })
    }

    /// Builds what was given, and makes every image of it.
    fn make_all(&self, formats: &[Format]) -> Result<(), Failure> {
        let given = &self.arguments.program.program;
        if !system::is_described(given) {
            return self.make(&[self.of_program()?], formats);
        }
        let arguments = self.arguments;
        let mut flags = flags_of_a_program(&arguments.program, &arguments.inside, &arguments.arguments);
        flags.extend([
            ("--memory", arguments.memory.is_some()),
            ("--cpus", arguments.cpus.is_some()),
            ("--iso-content", arguments.iso_content.is_some()),
            ("--data", arguments.data.is_some()),
            ("--data-size", arguments.data_size.is_some()),
            ("--data-file-system", arguments.data_file_system.is_some()),
        ]);
        refuse_for_system(&flags)?;
        let described = Described::read(given)?;
        let executables = described.build()?;
        let system = described.wire(&executables)?;
        let elsewhere = env::var_os(build_check::KEYS);
        let keys = built::kept_keys(&system, &described.directory, elsewhere.as_deref().map(Path::new))?;
        let init = init::find(&self.cache)?;
        let crates = init.crates();
        let built = Built::new(&described.directory, &system, executables, init.bytes, keys);
        let of_machine = |machine| self.of_machine(&built, machine, crates.as_deref());
        let materials: Result<Vec<Material<'_>>, Failure> = system.machines.iter().map(of_machine).collect();
        self.make(&materials?, formats)
    }

    fn make(&self, materials: &[Material<'_>], formats: &[Format]) -> Result<(), Failure> {
        let places = Places::new(self.arguments.output.as_deref(), materials.len() * formats.len())?;
        let all =
            || materials.iter().flat_map(|material| formats.iter().map(move |format| (material, *format)));
        for (material, format) in all() {
            let path = places.of(&material.name, format);
            material.refuse(format, &path)?;
            if !self.arguments.discard_data {
                image::refuse_to_lose(&path)?;
            }
        }
        for (material, format) in all() {
            let path = places.of(&material.name, format);
            let start = Instant::now();
            material.make(format, &path)?.iter().for_each(show);
            if self.arguments.verbose {
                say(&format!("made in {} ms", start.elapsed().as_millis()));
            }
        }
        Ok(())
    }

    fn of_program(&self) -> Result<Material<'_>, Failure> {
        let arguments = self.arguments;
        let inside = &arguments.inside;
        let program = program::find(&arguments.program, Purpose::Build)?;
        let mut draft = assemble::draft(inside, &arguments.arguments, &program)?;
        draft.memory = arguments.memory.unwrap_or(DEFAULT_MEMORY);
        draft.cpus = arguments.cpus.unwrap_or(1);
        let machine = draft.validate().map_err(|error| assemble::contradiction(&error))?;
        let needs_init = !program.executable.is_machine && self.kernel.is_some();
        let init = needs_init.then(|| init::find(&self.cache)).transpose()?;
        let mut bill = Bill::new(&machine.name, self.epoch_s);
        self.kernel.iter().for_each(|kernel| bill.add_kernel(kernel));
        init.iter().for_each(|init| bill.add_program(INIT, &init.bytes, init.crates().as_deref()));
        let crates = program.crates();
        bill.add_program(&program.name, &program.bytes, crates.as_deref());
        let mut of_container = Bill::new(&machine.name, self.epoch_s);
        of_container.add_program(&program.name, &program.bytes, crates.as_deref());
        let user_id = if machine.root { 0 } else { DEFAULT_USER_ID };
        let container = Container {
            user_id: if inside.root { 0 } else { DEFAULT_USER_ID },
            bill_of_materials: of_container,
            reference: arguments.tag.clone().unwrap_or_else(|| Reference::local(&machine.name)),
            ports: arguments.exposed.iter().map(|exposed| (exposed.port, exposed.protocol)).collect(),
            labels: arguments.labels.iter().cloned().collect(),
            time_zones: if arguments.time_zones { certificates::time_zones()? } else { Vec::new() },
        };
        let init = init.map(|init| init.bytes);
        let mut contents = Contents::of_program(&machine, inside, program, init)?;
        // An image is the same whoever makes it, and in whatever terminal.
        contents.description.unit.user_id = user_id;
        contents.description.unit.environment.clone_from(&machine.environment);
        contents.description.memory_bytes = arguments.memory.map(ByteSize::as_bytes);
        contents.description.cpus = arguments.cpus;
        let data = Data {
            size: arguments.data_size,
            kind: arguments.data_file_system.map_or_else(DataKind::default, Into::into),
            content: arguments.data.clone(),
        };
        Ok(Material {
            iso_content: arguments.iso_content.clone(),
            memory: machine.memory,
            cpus: machine.cpus,
            ..self.material(&machine.name, contents, data, Ok(container), bill)
        })
    }

    fn of_machine(
        &self,
        built: &Built<'_>,
        machine: &Machine,
        crates_of_init: Option<&[Crate]>,
    ) -> Result<Material<'_>, Failure> {
        let plan = built.plan(machine);
        let mut bill = Bill::new(&machine.name, self.epoch_s);
        self.kernel.iter().for_each(|kernel| bill.add_kernel(kernel));
        bill.add_program(INIT, built.init(), crates_of_init);
        for found in built.programs(&plan) {
            bill.add_program(&found.name, &found.bytes, found.crates().as_deref());
        }
        let contents = built.contents(machine, plan, &self.arguments.inside)?;
        let seen = |path: &String| built.directory().join(path);
        let data = Data {
            size: machine.data.size,
            kind: machine.data.kind,
            content: machine.data.content.as_ref().map(seen),
        };
        let no_container =
            format!("machine {} cannot be a container: its units need their supervisor", machine.name);
        let is_chosen = machine.modules.is_empty() || self.arguments.modules.is_given();
        let modules = if is_chosen { self.modules.clone() } else { Modules::Named(machine.modules.clone()) };
        Ok(Material {
            modules,
            iso_content: machine.iso_content.as_ref().map(seen),
            disks: machine.disks.clone(),
            memory: machine.memory,
            cpus: machine.cores,
            ..self.material(&machine.name, contents, data, Err(no_container), bill)
        })
    }

    fn material(
        &self,
        name: &str,
        contents: Contents,
        data: Data,
        container: Result<Container, String>,
        bill_of_materials: Bill,
    ) -> Material<'_> {
        Material {
            name: name.to_owned(),
            contents,
            kernel: self.kernel.as_ref(),
            modules: self.modules.clone(),
            cache: &self.cache,
            append: self.arguments.append.clone(),
            epoch_s: self.epoch_s,
            iso_content: None,
            bios: self.arguments.bios,
            medium: self.arguments.medium_size,
            data,
            disks: Vec::new(),
            memory: DEFAULT_MEMORY,
            cpus: 1,
            container,
            bill_of_materials,
        }
    }
}

/// `SOURCE_DATE_EPOCH` (reproducible-builds.org, its specification), or the time that all images have.
fn epoch() -> Result<u64, Failure> {
    let Ok(text) = env::var("SOURCE_DATE_EPOCH") else { return Ok(EPOCH_S) };
    text.parse().map_err(|_| {
        let message = format!("SOURCE_DATE_EPOCH is `{text}`, which is no number of seconds");
        Failure::new(ExitCode::UnusableInput, message).hint(
            "set it to seconds since 1970, like `git log -1 --format=%ct` prints them, or unset it"
                .to_owned(),
        )
    })
}

/// Where images are written.
struct Places<'a> {
    output: Option<&'a Path>,
    is_one: bool,
}

impl<'a> Places<'a> {
    fn new(output: Option<&'a Path>, count: usize) -> Result<Self, Failure> {
        let is_one = count == 1;
        if let Some(path) = output.filter(|path| !is_one && path.is_file()) {
            let message = format!(
                "{} is a file, and {count} images are made: --output takes a directory",
                path.display()
            );
            return Err(Failure::new(ExitCode::UnusableInput, message)
                .hint("give a directory, or ask for one format".to_owned()));
        }
        Ok(Self { output, is_one })
    }

    fn of(&self, name: &str, format: Format) -> PathBuf {
        let own = format!("{name}.{}", format.suffix());
        match self.output {
            None => own.into(),
            Some(path) => {
                let ends_as_directory = path.as_os_str().as_encoded_bytes().ends_with(b"/");
                let is_within = ends_as_directory || (path.is_dir() && !format.is_directory());
                if self.is_one && !is_within { path.to_owned() } else { path.join(own) }
            }
        }
    }
}
