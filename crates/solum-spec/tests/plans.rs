//! From a system to what each supervisor runs.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod declared;

use std::collections::BTreeMap;

use solum_spec::description::{DescriptionError, GiveUp, Readiness, Restart, Wait};
use solum_spec::plan::{Device, Plan};
use solum_spec::system::{Draft, Machine, System};

const TEXT: &str = r#"
# program store: uses disk disk, serves words Words
# program front: uses tcp tcp, uses words Words many, uses disk disk optional, uses units units
[system]
name = "shop"
[program.front]
file = "front"
[program.store]
file = "store"
[program.tool]
file = "tool"

[machine.a]
cores = 4
disk.x = "1 MiB"
disk.y = { size = "2 MiB", block-size = "4 KiB" }
give-up = "restart"
[machine.a.unit.front]
program = "front"
cores = 1
ports.tcp = "tcp.80"
ports.words = ["b.0/store.words", "store.words"]
needs = ["store"]
[machine.a.unit.store]
program = "store"
cores = 2
ports.disk = "disk.y"
restart = "never"
ready-within = "3 s"
grace = "2 s"
log = "64 KiB"
wait = ["network", "clock"]

[machine.b]
count = 2
disk.x = "1 MiB"
[machine.b.unit.tool]
program = "tool"
arguments = ["one", "two"]
environment.A = "b"
memory = "8 MiB"
root = true
restart = "always"
[machine.b.unit.store]
program = "store"
ports.disk = "disk.x"
needs = ["tool"]
"#;

fn system() -> System {
    let ports = declared::ports(TEXT);
    let mut ports = ports;
    ports.insert("tool".into(), None);
    Draft::read(TEXT).unwrap().wire(&ports).unwrap()
}

fn paths() -> BTreeMap<String, String> {
    ["front", "store", "tool"].map(|name| (name.to_owned(), format!("/bin/{name}"))).into()
}

fn plan(system: &System, names: &[&str]) -> Plan {
    let machines: Vec<&Machine> =
        system.machines.iter().filter(|machine| names.contains(&machine.name.as_str())).collect();
    assert_eq!(machines.len(), names.len(), "the machines are there");
    system.plan(&machines, &paths())
}

fn whole() -> Plan {
    plan(&system(), &["a", "b.0", "b.1"])
}

/// The devices of a unit's port.
fn devices(plan: &Plan, unit: &str, port: &str) -> Vec<Device> {
    let unit = &plan.units[plan.find(unit).unwrap()];
    unit.plugs.iter().find(|plug| plug.port == port).unwrap().devices.clone()
}

#[test]
fn a_simulation_is_known_and_changes_nothing_that_runs() {
    let text = format!("{TEXT}\n[simulation]\npackage = \"sim\"\nbin = \"quick\"\nprofile = \"dev\"\n");
    let draft = Draft::read(&text).unwrap();
    let (simulation, at) = draft.simulation().unwrap();
    assert_eq!(&text[at], "\"sim\"");
    let mut ports = declared::ports(TEXT);
    ports.insert("tool".into(), None);
    let simulated = draft.wire(&ports).unwrap();
    assert_eq!(simulated.simulation.as_ref(), Some(simulation));
    assert_eq!(
        (&*simulation.package, simulation.binary.as_deref(), simulation.profile.as_deref()),
        ("sim", Some("quick"), Some("dev"))
    );
    let names = ["a", "b.0", "b.1"];
    assert_eq!(plan(&simulated, &names), plan(&system(), &names));
    assert_eq!(System { simulation: None, ..simulated }, system());
}

#[test]
fn programs_have_their_paths_and_say_whether_they_are_ported() {
    let plan = whole();
    let programs: Vec<_> = plan
        .programs
        .iter()
        .map(|program| (program.name.as_str(), program.path.as_str(), program.ported))
        .collect();
    assert_eq!(
        programs,
        [("front", "/bin/front", true), ("store", "/bin/store", true), ("tool", "/bin/tool", false)]
    );
    let of = |unit: &str| programs[plan.units[plan.find(unit).unwrap()].program].0;
    assert_eq!((of("a.front"), of("b.1.store"), of("b.0.tool")), ("front", "store", "tool"));
}

#[test]
fn a_unit_may_be_given_a_program_that_its_wiring_fits() {
    let text = r#"
# program a: uses clock clock, serves words Words, uses disk disk
# program same: serves words Words, uses disk disk, uses more disk optional
# program needy: serves words Words, uses disk disk, uses more disk
# program diskless: serves words Words
# program newer: serves words Words@2, uses disk disk
# program asking: uses words Words
[system]
name = "s"
[program]
a.file = "a"
same.file = "same"
needy.file = "needy"
diskless.file = "diskless"
newer.file = "newer"
asking.file = "asking"
plain.file = "plain"
other.file = "other"
[machine.m]
disk.d = "1 MiB"
[machine.m.unit.u]
program = "a"
ports.disk = "disk.d"
[machine.m.unit.q]
program = "asking"
ports.words = "u.words"
[machine.m.unit.p]
program = "plain"
"#;
    let mut ports = declared::ports(text);
    ports.extend([("plain".to_owned(), None), ("other".to_owned(), None)]);
    let system = Draft::read(text).unwrap().wire(&ports).unwrap();
    let plan = plan(&system, &["m"]);
    let name = |place: &usize| plan.programs[*place].name.as_str();
    let fits =
        |unit: &str| -> Vec<&str> { plan.units[plan.find(unit).unwrap()].fits.iter().map(name).collect() };
    assert_eq!(fits("u"), ["a", "same"]);
    assert_eq!(fits("p"), ["plain", "other"]);
}

#[test]
fn units_come_machine_by_machine_and_need_those_of_their_own() {
    let plan = whole();
    let names: Vec<String> = plan.units.iter().map(|unit| unit.full_name()).collect();
    assert_eq!(names, ["a.front", "a.store", "b.0.tool", "b.0.store", "b.1.tool", "b.1.store"]);
    let needs: Vec<&[usize]> = plan.units.iter().map(|unit| unit.needs.as_slice()).collect();
    assert_eq!(needs, [&[1][..], &[], &[], &[2], &[], &[4]]);
    assert_eq!(plan.find("a.store"), Ok(1));
    assert_eq!(plan.find("front"), Ok(0), "a name that only one machine has");
    assert!(plan.find("store").is_err(), "a name that several machines have");
}

#[test]
fn terms_arrive() {
    let plan = whole();
    let store = &plan.units[1];
    assert_eq!((store.restart, store.ready), (Restart::Never, Readiness::Told));
    assert_eq!((store.ready_within_ms, store.grace_ms, store.log_bytes), (3000, 2000, 65536));
    assert_eq!(store.wait, [Wait::Network, Wait::Clock]);
    let tool = &plan.units[2];
    assert_eq!((tool.restart, tool.ready, tool.root), (Restart::Always, Readiness::Start, true));
    assert_eq!((tool.arguments.join(" "), tool.memory), ("one two".to_owned(), Some(8 << 20)));
    assert_eq!(tool.environment, [("A".to_owned(), "b".to_owned())]);
    assert!(!store.root && store.memory.is_none());
}

#[test]
fn processors_are_given_in_order_within_each_machine() {
    let cores: Vec<Vec<usize>> = whole().units.into_iter().map(|unit| unit.cores).collect();
    assert_eq!(cores, [vec![0], vec![1, 2], vec![], vec![], vec![], vec![]]);
}

#[test]
fn what_a_unit_has_for_itself_no_other_may_run_on() {
    let unit = |name: &str, cores: &str| format!("[machine.m.unit.{name}]\nprogram = \"p\"\n{cores}\n");
    let text = "[system]\nname = \"s\"\n[program.p]\nfile = \"p\"\n[machine.m]\ncores = 4\n".to_owned()
        + &unit("a", "")
        + &unit("b", "cores = 1")
        + &unit("c", "");
    let system = Draft::read(&text).unwrap().wire(&BTreeMap::from([("p".to_owned(), None)])).unwrap();
    let cores = plan(&system, &["m"]).units.into_iter().map(|unit| unit.cores);
    assert_eq!(cores.collect::<Vec<_>>(), [vec![1, 2, 3], vec![0], vec![1, 2, 3]]);
}

#[test]
fn a_disk_is_that_of_the_units_own_machine() {
    let plan = whole();
    let disk = |unit: &str| match devices(&plan, unit, "disk")[..] {
        [Device::Disk(place)] => {
            let disk = &plan.disks[place];
            (disk.machine.as_str(), disk.name.as_str(), disk.bytes >> 20, disk.block_bytes)
        }
        ref other => panic!("{other:?}"),
    };
    assert_eq!(disk("a.store"), ("a", "y", 2, 4096));
    assert_eq!(disk("b.0.store"), ("b.0", "x", 1, 512));
    assert_eq!(disk("b.1.store"), ("b.1", "x", 1, 512));
}

#[test]
fn both_ends_of_a_link_are_the_same_link() {
    let plan = whole();
    let front = devices(&plan, "a.front", "words");
    let Device::Client(far) = front[0] else { panic!("{front:?}") };
    let Device::Client(near) = front[1] else { panic!("{front:?}") };
    assert_eq!(devices(&plan, "b.0.store", "words"), [Device::Server(far)]);
    assert_eq!(devices(&plan, "a.store", "words"), [Device::Server(near)]);
    assert_eq!(devices(&plan, "b.1.store", "words"), []);
    assert_eq!(plan.links.len(), 2);
    let link = &plan.links[far];
    assert_eq!(link.interface, "Words");
    assert!(link.client.contains("a") && link.server.contains("b.0"), "{link:?}");
}

#[test]
fn what_is_listened_at_is_named_and_power_over_units_comes_by_itself() {
    let plan = whole();
    let [listener] = plan.listeners.as_slice() else { panic!("{:?}", plan.listeners) };
    assert_eq!((listener.machine.as_str(), listener.unit.as_str()), ("a", "front"));
    assert_eq!((listener.port.as_str(), listener.number), ("tcp", 80));
    assert_eq!(devices(&plan, "a.front", "tcp"), [Device::Listener(0)]);
    assert_eq!(devices(&plan, "a.front", "units"), [Device::Units]);
}

#[test]
fn the_plan_of_one_machine_has_nothing_of_the_others_but_the_ends_of_links() {
    let system = system();
    let one = plan(&system, &["b.1"]);
    let names: Vec<String> = one.units.iter().map(|unit| unit.full_name()).collect();
    assert_eq!(names, ["b.1.tool", "b.1.store"]);
    assert_eq!((one.links.len(), one.listeners.len(), one.disks.len()), (0, 0, 1));
    assert_eq!(one.units[1].needs, [0]);
    assert_eq!(devices(&one, "b.1.store", "disk"), [Device::Disk(0)]);
    let far = plan(&system, &["b.0"]);
    assert_eq!(devices(&far, "b.0.store", "words"), [Device::Server(0)]);
    assert_eq!(far.links.len(), 1);
    // Programs keep their places, so that a unit may be given any of them.
    assert_eq!((one.programs.len(), one.system.as_str()), (3, "shop"));
}

/// What each unit is told, by names.
fn told(plan: &Plan) -> Vec<String> {
    let name = |place: &usize| plan.units[*place].full_name();
    let device = |device: &Device| match *device {
        Device::Disk(place) => format!("{}.{}", plan.disks[place].machine, plan.disks[place].name),
        Device::Listener(place) => plan.listeners[place].full_name(),
        Device::Client(place) => format!("asks {}", plan.links[place].server),
        Device::Server(place) => format!("serves {}", plan.links[place].client),
        other => format!("{other:?}"),
    };
    let unit = |unit: &solum_spec::plan::Unit| {
        let program = &plan.programs[unit.program].path;
        let fits: Vec<&str> = unit.fits.iter().map(|program| plan.programs[*program].name.as_str()).collect();
        let needs: Vec<String> = unit.needs.iter().map(name).collect();
        let devices: Vec<String> = unit.plugs.iter().flat_map(|plug| &plug.devices).map(device).collect();
        format!("{} {program} {fits:?} {needs:?} {devices:?}", unit.full_name())
    };
    plan.units.iter().map(unit).collect()
}

#[test]
fn the_plans_of_all_machines_together_name_what_they_named_before() {
    let system = system();
    let all = Plan::of_all(["a", "b.0", "b.1"].map(|name| plan(&system, &[name])));
    assert_eq!(told(&all), told(&whole()));
    assert_eq!((&all.disks, &all.listeners), (&whole().disks, &whole().listeners));
    assert_eq!((all.system.as_str(), all.network), ("shop", None));
}

#[test]
fn only_a_machine_of_its_own_is_started_anew_when_a_unit_is_given_up() {
    let system = system();
    assert_eq!(plan(&system, &["a"]).give_up, GiveUp::RestartMachine);
    assert_eq!(plan(&system, &["b.0"]).give_up, GiveUp::Degrade);
    assert_eq!(plan(&system, &["a", "b.0"]).give_up, GiveUp::Degrade, "a workstation stays up");
}

#[test]
fn a_plan_survives_the_way_into_an_image() {
    let plan = whole();
    let bytes = plan.to_bytes();
    assert_eq!(Plan::from_bytes(&bytes), Ok(plan));
    for end in 0..bytes.len() {
        assert_eq!(Plan::from_bytes(&bytes[..end]), Err(DescriptionError), "{end} bytes");
    }
    assert_eq!(Plan::from_bytes(&[&bytes[..], &[0]].concat()), Err(DescriptionError));
}
