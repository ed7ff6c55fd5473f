//! Descriptions that are right, and what becomes of them.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod declared;

use std::fs;
use std::path::Path;

use std::net::Ipv4Addr;

use solum_spec::description::{Readiness, Restart, Wait};
use solum_spec::network::{Keys, Secret};
use solum_spec::plan::{End, Plan};
use solum_spec::ports::Direction;
use solum_spec::system::graph::Graph;
use solum_spec::system::{Colours, Device, Draft, Source, System};

fn system(name: &str) -> System {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/systems").join(name);
    let text = fs::read_to_string(path.with_extension("toml")).unwrap();
    let drawn = |diagnostics: Vec<solum_spec::system::Diagnostic>| -> String {
        diagnostics.iter().map(|wrong| wrong.render(name, &text, Colours::None)).collect()
    };
    let draft = Draft::read(&text).map_err(drawn).unwrap_or_else(|said| panic!("{said}"));
    draft.wire(&declared::ports(&text)).map_err(drawn).unwrap_or_else(|said| panic!("{said}"))
}

#[test]
fn everything_that_is_written_arrives() {
    let system = system("mirror");
    assert_eq!(system.name, "mirror-store");
    let programs: Vec<&str> = system.programs.iter().map(|program| program.name.as_str()).collect();
    assert_eq!(programs, ["mirror", "files", "shell"]);
    let Source::Package { directory, binary, .. } = &system.programs[1].source else { panic!("a package") };
    assert_eq!((directory.as_str(), binary.as_deref()), ("programs/files", Some("files")));
    assert_eq!(system.programs[2].source, Source::File { path: "bin/shell".into() });
    let [machine] = system.machines.as_slice() else { panic!("one machine") };
    assert_eq!((machine.name.as_str(), machine.number, machine.host_name.as_str()), ("store", None, "store"));
    assert_eq!((machine.memory.as_mebibytes(), machine.cores, machine.keys), (128, 1, false));
    let disks: Vec<_> =
        machine.disks.iter().map(|disk| (disk.name.as_str(), disk.bytes >> 20, disk.block_bytes)).collect();
    assert_eq!(disks, [("a", 64, 512), ("b", 64, 512), ("c", 64, 4096)]);
    let mirror = machine.unit("mirror").unwrap();
    assert_eq!((mirror.restart, mirror.ready), (Restart::Always, Readiness::Told));
    assert_eq!((mirror.ready_within_ms, mirror.grace_ms, mirror.log.as_mebibytes()), (30_000, 10_000, 1));
    let shell = machine.unit("shell").unwrap();
    assert_eq!((shell.restart, shell.ready, shell.grace_ms), (Restart::OnFailure, Readiness::Start, 500));
    assert_eq!(
        (shell.arguments.as_slice(), shell.wait.as_slice()),
        (&["--loud".to_owned()][..], &[Wait::Network][..])
    );
    assert_eq!(shell.environment, [("MODE".to_owned(), "demo".to_owned())]);
    assert_eq!(shell.memory.unwrap().as_mebibytes(), 32);
    assert_eq!(machine.unit("files").unwrap().needs, ["mirror"]);
    let endpoints: Vec<_> = machine
        .endpoints()
        .map(|(unit, plug, port)| (unit.name.as_str(), plug.port.as_str(), port))
        .collect();
    assert_eq!(endpoints, [("shell", "http", 8080)]);
}

#[test]
fn a_file_system_is_mounted_before_those_below_it() {
    let text = "[system]\nname = \"s\"\n[program.p]\nfile = \"p\"\n[machine.m]\nmount.\"/a/b\" = \"LABEL=b\"\nmount.\"/a\" = \
                \"LABEL=a\"\n[machine.m.unit.u]\nprogram = \"p\"\n";
    let system = Draft::read(text).unwrap().wire(&declared::ports(text)).unwrap();
    let targets: Vec<&str> = system.machines[0].file_systems.iter().map(|one| one.target.as_str()).collect();
    assert_eq!(targets, ["/a", "/a/b"]);
}

#[test]
fn plugs_are_in_the_order_of_the_program_and_links_have_two_ends() {
    let system = system("mirror");
    let mirror = system.machines[0].unit("mirror").unwrap();
    let plugs: Vec<_> = mirror.plugs.iter().map(|plug| (plug.port.as_str(), plug.devices.len())).collect();
    assert_eq!(plugs, [("members", 3), ("volume", 1), ("status", 0), ("clock", 0)]);
    assert_eq!(mirror.plugs[0].devices[2], Device::Disk("c".into()));
    let Device::Link(index) = mirror.plugs[1].devices[0] else { panic!("a link") };
    let link = &system.links[index];
    assert_eq!(
        (link.client.to_string(), link.server.to_string()),
        ("store.files".into(), "store.mirror".into())
    );
    assert_eq!((link.client.port.as_str(), link.server.port.as_str()), ("volume", "volume"));
    assert_eq!(link.interface.name, "disk");
    assert!(link.is_local());
}

#[test]
fn machines_with_a_count_are_wired_one_by_one() {
    let system = system("web-cluster");
    let names: Vec<_> = system.machines.iter().map(|machine| (&*machine.name, &*machine.host_name)).collect();
    assert_eq!(
        names,
        [("store", "store"), ("web.0", "web-0"), ("web.1", "web-1"), ("web.2", "web-2"), ("web.3", "web-3")]
    );
    let front = system.machine("web.2").unwrap().unit("front").unwrap();
    let caches = front.plugs.iter().find(|plug| plug.port == "caches").unwrap();
    let servers: Vec<String> = caches
        .devices
        .iter()
        .map(|device| match device {
            Device::Link(index) => system.links[*index].server.to_string(),
            other => panic!("a link, not {other:?}"),
        })
        .collect();
    assert_eq!(servers, ["web.0.cache", "web.1.cache", "web.2.cache", "web.3.cache"]);
    let sequencer = system.machine("store").unwrap().unit("sequencer").unwrap();
    let requests = sequencer.plugs.iter().find(|plug| plug.port == "requests").unwrap();
    assert_eq!((requests.direction, requests.devices.len()), (Direction::Serves, 4));
    for (index, device) in requests.devices.iter().enumerate() {
        let Device::Link(link) = device else { panic!("a link") };
        let link = &system.links[*link];
        assert_eq!((link.server.index, link.client.to_string()), (index, format!("web.{index}.front")));
        assert!(!link.is_local());
    }
}

#[test]
fn every_sketch_is_accepted() {
    for name in sketches() {
        assert!(!system(&name).machines.is_empty(), "{name}");
    }
}

fn sketches() -> Vec<String> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/systems");
    let mut names: Vec<String> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    names.sort();
    names
}

/// `SOLUM_BLESS=1` writes the pictures anew; then look at them.
#[test]
fn pictures_are_as_they_were_looked_at() {
    for name in sketches() {
        let graph = Graph::of_system(&system(&name));
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/systems").join(&name);
        for (extension, drawn) in [("svg", graph.svg()), ("dot", graph.dot()), ("mermaid", graph.mermaid())] {
            let path = path.with_extension(extension);
            if std::env::var_os("SOLUM_BLESS").is_some() {
                fs::write(&path, &drawn).unwrap();
            }
            let looked_at = fs::read_to_string(&path).unwrap_or_default();
            assert!(looked_at == drawn, "{name}.{extension} is drawn otherwise; bless it and look at it");
        }
    }
}

#[test]
fn a_machine_of_several_knows_its_peers_and_no_secret_but_its_own() {
    let system = system("web-cluster");
    let keys: Vec<Keys> = (0..system.machines.len())
        .map(|place| Keys { secret: Secret([place as u8; 32]), public: [100 + place as u8; 32] })
        .collect();
    let store = system.network(&system.machines[0], &keys).unwrap();
    assert_eq!((store.address, store.prefix), (Ipv4Addr::new(10, 83, 0, 1), 16));
    assert_eq!(store.secret, keys[0].secret);
    let hosts: Vec<&str> = store.hosts.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(hosts, ["store", "web-0", "web-1", "web-2", "web-3"]);
    let web = system.network(&system.machines[2], &keys).unwrap();
    assert_eq!(web.mac, [0x52, 0x54, 0, 0x53, 0, 3]);
    let peers: Vec<_> = web.peers.iter().map(|peer| (peer.machine.as_str(), peer.public[0])).collect();
    assert_eq!(peers, [("store", 100), ("web.0", 101), ("web.2", 103), ("web.3", 104)]);
    let bytes = Plan { network: Some(web), ..Plan::default() }.to_bytes();
    for (place, _) in keys.iter().enumerate().filter(|(place, _)| *place != 2) {
        assert!(!bytes.windows(32).any(|window| window == [place as u8; 32]), "the secret of {place}");
    }
}

#[test]
fn both_machines_of_a_link_know_it_by_one_number() {
    let system = system("web-cluster");
    let plan = |place: usize| system.plan(&[&system.machines[place]], &Default::default());
    let (store, web) = (plan(0), plan(1));
    assert!(store.reaches_out() && web.reaches_out());
    let remote = |plan: &Plan, client: &str, server: &str| {
        let link = plan.links.iter().find(|link| link.client == client && link.server == server)?;
        link.remote.clone()
    };
    let here = remote(&web, "web.0.front", "store.sequencer").unwrap();
    let there = remote(&store, "web.0.front", "store.sequencer").unwrap();
    assert_eq!((here.id, here.here, here.machine.as_str()), (there.id, End::Client, "store"));
    assert_eq!((there.here, there.machine.as_str()), (End::Server, "web.0"));
    assert_eq!(remote(&store, "store.sequencer", "store.files"), None);
    let whole: Vec<_> = system.machines.iter().collect();
    assert!(!system.plan(&whole, &Default::default()).reaches_out());
    let alone = self::system("mirror");
    assert_eq!(alone.network(&alone.machines[0], &[]), None);
}
