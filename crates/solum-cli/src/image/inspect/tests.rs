use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use solum_image::compress::{Compression, compress};
use solum_image::disk::{FIRST_IMAGE, Identity, single_image_esp};
use solum_image::gpt::{self, Guid, Wanted};
use solum_image::initramfs::{Bundled, BundledContent, Module, program_path, with_init};
use solum_image::wrapping::{qcow2, vhd, vmdk};
use solum_image::{Architecture, ReadAt, fat, oci};
use solum_spec::Description;
use solum_spec::description::{GiveUp, Network, Readiness, Restart, Unit, WhenEnded};
use solum_spec::network::{Secret, SystemNetwork};
use solum_spec::plan::{Device, Disk, Plan, Plug, Program};

use super::*;

const BILL: &[u8] = br#"{"components": [{"name": "a", "components": [{"name": "b"}]}]}"#;
const IDENTITY: Identity<'static> = Identity { seed: b"seed", epoch_s: 0 };

/// A file that firmware takes for a program, and that says of itself what a kernel says.
fn kernel_file() -> Vec<u8> {
    let mut file = vec![0; 1536];
    let mut put = |at: usize, bytes: &[u8]| file[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, b"MZ");
    put(60, &64u32.to_le_bytes());
    put(64, b"PE\0\0\x64\x86");
    put(70, &1u16.to_le_bytes());
    put(84, &240u16.to_le_bytes());
    put(88, &0x20bu16.to_le_bytes());
    for (field, value) in [(32, 512), (36, 512), (56, 0x5000), (60, 1024)] {
        put(88 + field, &u32::to_le_bytes(value));
    }
    put(328, b".text");
    for (field, value) in [(8, 512), (12, 0x4000), (16, 512), (20, 1024)] {
        put(328 + field, &u32::to_le_bytes(value));
    }
    put(0x202, b"HdrS");
    put(0x20e, &0x200u16.to_le_bytes());
    put(0x400, b"6.12.0-test (me)\0");
    file
}

fn description() -> Description {
    Description {
        host_name: "hello".to_owned(),
        modules: vec!["/lib/modules/virtio.ko".to_owned()],
        shares: Vec::new(),
        file_systems: vec!["LABEL=solum-data:/perm:grow".parse().unwrap()],
        network: Network::Automatic,
        time_servers: Vec::new(),
        when_ended: WhenEnded::Reboot,
        memory_bytes: Some(192 << 20),
        cpus: Some(2),
        unit: Unit {
            name: "hello".to_owned(),
            path: "/bin/hello".to_owned(),
            arguments: vec!["two words".to_owned()],
            environment: vec![("TOKEN".to_owned(), "secret-value".to_owned())],
            user_id: 0,
            wait: Vec::new(),
            grace_ms: 1000,
        },
    }
}

fn initramfs() -> Vec<u8> {
    initramfs_of(None)
}

fn initramfs_of(plan: Option<&Plan>) -> Vec<u8> {
    let file = Bundled {
        path: "/data/x".to_owned(),
        permissions: 0o600,
        content: BundledContent::File(b"content".to_vec()),
    };
    let archive = with_init(
        b"init".to_vec(),
        &description(),
        plan,
        vec![(program_path("hello"), b"program".to_vec())],
        vec![Module { name: "virtio".to_owned(), bytes: vec![7; 9] }],
        Vec::new(),
        vec![file],
    );
    compress(archive.unwrap(), Compression::Zstd).unwrap()
}

fn unified() -> Vec<u8> {
    uki::write(&uki::Parts {
        stub: &kernel_file(),
        kernel: &kernel_file(),
        command_line: "quiet",
        initramfs: &initramfs(),
        os_release: "PRETTY_NAME=\"hello\"\n",
        kernel_release: "6.12.0-test",
        sbom: Some(BILL),
    })
    .unwrap()
}

/// A disk with two slots, smaller than one that is built.
fn disk_image() -> impl ReadAt {
    let files = vec![
        (FIRST_IMAGE.to_owned(), unified()),
        ("EFI/Linux/solum_2+2-1.efi".to_owned(), unified()),
        ("EFI/BOOT/BOOTX64.EFI".to_owned(), kernel_file()),
    ];
    let options = fat::Options { size: fat::Size::Smallest, label: "ESP", id: 7, epoch_s: 0 };
    let esp = fat::write(files, &options).unwrap();
    let wanted =
        Wanted { kind: gpt::kind::ESP, id: Guid::new(1), name: "esp".to_owned(), size: esp.length() };
    let (mut disk, table) = gpt::write(Guid::new(2), &[wanted], None).unwrap();
    disk.push_image(table.partitions[0].offset, esp);
    disk
}

fn container_image() -> oci::Image {
    oci::image(oci::Contents {
        name: "hello".to_owned(),
        program: b"program".to_vec(),
        architecture: Architecture::X86_64,
        arguments: vec!["a".to_owned()],
        environment: vec![("TOKEN".to_owned(), "secret-value".to_owned())],
        user_id: 1000,
        ports: vec![(80, solum_spec::Protocol::Tcp)],
        labels: std::collections::BTreeMap::new(),
        certificates: Some(b"PEM".to_vec()),
        time_zones: Vec::new(),
        bundled: Vec::new(),
        bill_of_materials: Some(BILL.to_vec()),
        created_s: 0,
        reference: oci::Reference::local("hello"),
    })
    .unwrap()
}

/// An image in every format that is one file.
fn images(place: &Path) -> Vec<PathBuf> {
    let disk = disk_image();
    let wrapped = |write: &dyn Fn(&mut Cursor<Vec<u8>>)| {
        let mut sink = Cursor::new(Vec::new());
        write(&mut sink);
        sink.into_inner()
    };
    let id = vhd::Options { id: Guid::new(3), epoch_s: 0 };
    let mut raw = vec![0; disk.length() as usize];
    disk.read_at(0, &mut raw).unwrap();
    let files = [
        ("uki", unified()),
        ("disk", raw),
        ("qcow2", wrapped(&|sink| qcow2::write(&disk, sink).unwrap())),
        ("vmdk", wrapped(&|sink| vmdk::write(&disk, "hello.vmdk", sink).unwrap())),
        ("vhd", wrapped(&|sink| vhd::write(&disk, &id, sink).unwrap())),
        ("oci", container_image().archive().unwrap()),
        ("kernel", kernel_file()),
        ("archive", initramfs()),
    ];
    let paths = files.map(|(name, bytes)| {
        let path = place.join(name);
        fs::write(&path, bytes).unwrap();
        path
    });
    paths.to_vec()
}

#[test]
fn every_format_says_what_machine_is_in_it() {
    let place = tempfile::tempdir().unwrap();
    for path in images(place.path()) {
        let name = path.file_name().unwrap().to_str().unwrap();
        let report = inspect(&path).unwrap();
        assert!(report.damage.is_empty(), "{name}: {:?}", report.damage);
        let format = if ["qcow2", "vmdk", "vhd"].contains(&name) { "disk" } else { name };
        assert_eq!(report.format, format);
        let text = render(&report, true);
        let json = serde_json::to_string(&report).unwrap();
        assert!(!text.contains("secret-value") && !json.contains("secret-value"), "{text}");
        match name {
            "oci" => {
                assert!(text.contains("/bin/hello a\n") && text.contains("80/tcp"), "{text}");
                assert!(text.contains("of authorities: yes"), "{text}");
                assert_eq!(file_of(&path, &report, "/bin/hello").unwrap(), b"program");
            }
            "kernel" => assert!(text.contains("6.12.0-test for x86_64"), "{text}"),
            _ => {
                for fact in
                    ["hello 'two words', as root", "LABEL=solum-data at /perm", "/data/x, 7 B", "reboot"]
                {
                    assert!(text.contains(fact), "{name} should say `{fact}`:\n{text}");
                }
                assert_eq!(file_of(&path, &report, "data/x").unwrap(), b"content");
            }
        }
        if !["kernel", "archive"].contains(&name) {
            assert_eq!(bill_of_materials(&report), Some(BILL), "{name}");
            assert!(text.contains("components; --sbom") && text.contains("2 components"), "{text}");
        }
    }
}

#[test]
fn both_slots_of_a_disk_are_told_with_their_counters() {
    let place = tempfile::tempdir().unwrap();
    let path = &images(place.path())[1];
    let report = inspect(path).unwrap();
    let told: Vec<_> = report.boots.iter().map(|boot| (boot.path.as_deref().unwrap(), boot.tries)).collect();
    let tries = Some(report::Tries { left: 2, done: 1 });
    assert_eq!(told, [("EFI/Linux/solum_1.efi", None), ("EFI/Linux/solum_2+2-1.efi", tries)]);
    assert_eq!(
        report.disk.unwrap().partitions[0].file_system.as_ref().unwrap().label.as_deref(),
        Some("ESP")
    );
}

#[test]
fn a_directory_is_an_image() {
    let place = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| fs::write(place.path().join(name), bytes).unwrap();
    write("vmlinuz", &kernel_file());
    write("initramfs", &initramfs());
    write("cmdline", b"quiet\n");
    write("sbom.cdx.json", BILL);
    let report = inspect(place.path()).unwrap();
    assert_eq!((report.format, report.boots[0].command_line.as_deref()), ("initramfs", Some("quiet")));
    write("vmlinuz", b"no kernel");
    write("initramfs", b"no initramfs");
    write("sbom.cdx.json", b"no JSON");
    assert_eq!(inspect(place.path()).unwrap().damage.len(), 3);
}

/// A machine of a system with one unit.
fn system() -> Plan {
    let unit = plan::Unit {
        machine: "store".to_owned(),
        name: "mirror".to_owned(),
        program: 0,
        fits: vec![0],
        arguments: Vec::new(),
        environment: vec![("TOKEN".to_owned(), "secret-value".to_owned())],
        plugs: vec![Plug { port: "members".to_owned(), devices: vec![Device::Disk(0), Device::Units] }],
        root: false,
        memory: Some(1 << 20),
        cores: Vec::new(),
        needs: vec![0],
        wait: Vec::new(),
        restart: Restart::Always,
        ready: Readiness::Start,
        ready_within_ms: 1,
        grace_ms: 1,
        log_bytes: 1,
    };
    Plan {
        system: "shop".to_owned(),
        programs: vec![Program { name: "mirror".to_owned(), path: "/bin/hello".to_owned(), ported: true }],
        units: vec![unit],
        disks: vec![Disk {
            machine: "store".to_owned(),
            name: "a".to_owned(),
            bytes: 4096,
            block_bytes: 512,
        }],
        give_up: GiveUp::Degrade,
        network: Some(SystemNetwork {
            address: [10, 0, 0, 2].into(),
            prefix: 16,
            mac: [2; 6],
            hosts: Vec::new(),
            port: 1,
            secret: Secret(*b"secret-value-of-thirty-two-bytes"),
            peers: Vec::new(),
        }),
        ..Plan::default()
    }
}

#[test]
fn a_machine_of_a_system_tells_its_units_and_not_its_secrets() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("archive");
    fs::write(&path, initramfs_of(Some(&system()))).unwrap();
    let report = inspect(&path).unwrap();
    let text = render(&report, true);
    for fact in [
        "hello, of the system shop",
        "mirror, 1.00 MiB of memory",
        "192.00 MiB, 2 processors",
        "10.0.0.2/16 at the interface 02:02:02:02:02:02",
        "port members: disk.a, units",
        "needs mirror",
        "with TOKEN in",
    ] {
        assert!(text.contains(fact), "it should say `{fact}`:\n{text}");
    }
    let json = serde_json::to_string(&report).unwrap();
    assert!(!text.contains("secret-value") && !json.contains("secret-value"), "{text}{json}");
    let refused = |wanted: &str| format!("{:?}", file_of(&path, &report, wanted).unwrap_err());
    assert!(refused(plan::PATH).contains("secret key"));
    assert!(refused("/bin").contains("there is no file /bin"), "a directory");
}

#[test]
fn a_cd_of_others_is_told_as_far_as_it_can_be() {
    let Some(tool) = xorriso() else {
        crate::output::print_line("skipped: xorriso is not installed");
        return;
    };
    let place = tempfile::tempdir().unwrap();
    let content = place.path().join("content");
    fs::create_dir(&content).unwrap();
    fs::write(content.join("a"), "hello").unwrap();
    let path = place.path().join("cd");
    let mut command = std::process::Command::new(tool);
    command.args(["-as", "mkisofs", "-quiet", "-R", "-V", "OTHERS", "-o"]).arg(&path).arg(&content);
    assert!(command.status().unwrap().success());
    let report = inspect(&path).unwrap();
    let cd = report.cd.unwrap();
    assert_eq!((&*cd.volume_id, cd.files, cd.content_bytes), ("OTHERS", 1, 5));
    assert!(report.boots.is_empty() && report.damage.is_empty());
}

fn xorriso() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|directory| directory.join("xorriso")).find(|path| path.is_file())
}

/// Places that depend on nothing but the round.
fn scattered(round: u64, length: usize) -> usize {
    (round.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 16) as usize % length
}

#[test]
fn damaged_and_truncated_images_are_told_or_refused() {
    let place = tempfile::tempdir().unwrap();
    let damaged = place.path().join("damaged");
    for path in images(place.path()) {
        let whole = fs::read(&path).unwrap();
        // What tells formats apart is in front; sections and files lie anywhere.
        let rounds = if whole.len() > 1 << 20 { 24 } else { 200 };
        for round in 0..rounds {
            let mut bytes = whole.clone();
            let at = scattered(round, if round % 3 == 0 { 2048.min(whole.len()) } else { whole.len() });
            match round % 4 {
                0 => bytes.truncate(at),
                1 => bytes[at] ^= 1 << (round % 8),
                2 => bytes[at] = 0xff,
                _ => bytes[at..(at + 16).min(whole.len())].fill(0),
            }
            fs::write(&damaged, &bytes).unwrap();
            match inspect(&damaged) {
                Ok(report) => drop(render(&report, true)),
                Err(failure) => {
                    let account = format!("{} at {at}: {failure:?}", path.display());
                    assert_eq!(failure.status(), ExitCode::UnusableInput as u8, "{account}");
                }
            }
        }
    }
}

#[test]
fn a_truncated_image_is_called_damaged() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("image");
    let whole = unified();
    fs::write(&path, &whole[..whole.len() - 1600]).unwrap();
    assert!(!inspect(&path).unwrap().damage.is_empty());
    let esp = single_image_esp(Architecture::X86_64, unified(), &IDENTITY).unwrap();
    fs::write(&path, esp.to_vec()).unwrap();
    assert!(inspect(&path).is_err(), "a file system alone is no image");
}
