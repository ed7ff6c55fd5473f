//! Parts of a made-up distribution, and its package manager of four shell scripts.

use std::cell::RefCell;
use std::fs;

use super::*;
use crate::progress::Silent;
use crate::tools::tests::install_script;

/// Knows the packages that lie in `archive`, and the name of one that only others mention.
const APT_CACHE: &str = r#"
case "$*" in
*pkgnames*) for prefix; do :; done; ls "$BENCH/archive"; echo "$prefix-doc" ;;
*show*) for name; do :; done; test -e "$BENCH/archive/$name" || exit 100
    printf 'Package: %s\nVersion: 1:2.0-1\nFilename: pool/x\nSHA256: %s\n' \
        "$name" "$(sha256sum < "$BENCH/archive/$name" | cut -d' ' -f1)" ;;
esac"#;

const APT_GET: &str = r#"
for last; do :; done
echo "$last" >> "$BENCH/asked"
case "$*" in
*download*) test ! -e "$BENCH/no-network" || { echo 'E: Failed to fetch' >&2; exit 100; }
    cp "$BENCH/archive/${last%%=*}" ./part.deb ;;
esac"#;

const DPKG_DEB: &str = r#"mkdir "$3" && tar --extract --file "$2" --directory "$3""#;

const DPKG_QUERY: &str = r#"
case "$*" in
*--search*systemd*) echo "systemd-boot-efi:amd64: $2" ;;
*--show*systemd-boot-efi*) echo 'systemd-boot-efi 252.39-1' ;;
*) echo 'dpkg-query: no path found matching pattern' >&2; exit 1 ;;
esac"#;

const STUB: &str = "usr/lib/systemd/boot/efi/linuxx64.efi.stub";

struct Bench {
    directory: tempfile::TempDir,
    host: Host,
    cache: Cache,
}

fn bench() -> Bench {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    let programs = root.join("programs");
    for made in ["programs", "archive", "root"] {
        files::create_directory(&root.join(made)).unwrap();
    }
    for (name, script) in
        [("apt-cache", APT_CACHE), ("apt-get", APT_GET), ("dpkg-deb", DPKG_DEB), ("dpkg-query", DPKG_QUERY)]
    {
        install_script(&programs.join(name), &format!("BENCH='{}'\n{}", root.display(), script.trim()));
    }
    let mut path = programs.into_os_string();
    path.push(":/usr/bin:/bin");
    let host = Host { path, root: root.join("root"), ..Host::current() };
    let cache = Cache::new(&root.join("cache"));
    Bench { directory, host, cache }
}

impl Bench {
    fn parts(&self) -> Parts<'_> {
        let architecture = Architecture::X86_64;
        Parts { host: &self.host, cache: &self.cache, architecture, progress: &Silent }
    }

    /// Installs a file that has its place as content.
    fn install(&self, place: &str) {
        put(&self.host.root, place);
    }

    /// Puts a package with such files into the archive.
    fn offer(&self, package: &str, places: &[&str]) {
        let content = self.directory.path().join(format!("content-{package}"));
        for place in places {
            put(&content, place);
        }
        let mut tar = std::process::Command::new("tar");
        tar.args(["--create", "--directory"]).arg(&content).arg("--file");
        assert!(
            tar.arg(self.directory.path().join("archive").join(package)).arg(".").status().unwrap().success()
        );
    }

    /// The last words of what `apt-get` was asked so far.
    fn asked(&self) -> Vec<String> {
        let log = fs::read_to_string(self.directory.path().join("asked")).unwrap_or_default();
        log.lines().map(str::to_owned).collect()
    }
}

fn put(root: &Path, place: &str) {
    let file = root.join(place);
    files::create_directory(file.parent().unwrap()).unwrap();
    files::write(&file, place.as_bytes()).unwrap();
}

fn package(name: &str, version: &str) -> Option<PackageVersion> {
    Some(PackageVersion { name: name.into(), version: version.into() })
}

#[test]
fn an_installed_file_is_taken_and_its_package_named() {
    let bench = bench();
    bench.offer("systemd-boot-efi", &[STUB]);
    bench.install(STUB);
    let stub = bench.parts().efi_stub().unwrap();
    assert_eq!(stub.path, bench.host.root.join(STUB));
    assert_eq!(stub.sha256, files::sha256(STUB.as_bytes()));
    assert_eq!(stub.package, package("systemd-boot-efi", "252.39-1"));
    assert!(bench.asked().is_empty());
}

#[test]
fn a_file_that_no_package_has_is_taken_too() {
    let bench = bench();
    bench.install("sbin/e2fsck.static");
    assert_eq!(bench.parts().e2fsck().unwrap().package, None);
}

#[test]
fn other_package_managers_are_asked_in_their_own_way() {
    let table = [
        ("rpm", r#"echo 'systemd-boot-unsigned 256-1.fc41'"#, "systemd-boot-unsigned", "256-1.fc41"),
        (
            "pacman",
            r#"case "$*" in *owns*) echo systemd ;; *) echo 'systemd 257-1' ;; esac"#,
            "systemd",
            "257-1",
        ),
    ];
    for (program, script, name, version) in table {
        let bench = bench();
        let programs = bench.directory.path().join("programs");
        fs::remove_file(programs.join("dpkg-query")).unwrap();
        install_script(&programs.join(program), script);
        bench.install(STUB);
        // What else this machine has in its PATH answers to nothing about a directory of ours.
        assert_eq!(bench.parts().efi_stub().unwrap().package, package(name, version), "{program}");
    }
}

#[test]
fn what_is_not_installed_is_fetched_once() {
    let bench = bench();
    bench.offer(
        "systemd-boot-efi",
        &[STUB, "usr/lib/systemd/boot/efi/systemd-bootx64.efi", "usr/share/doc/x"],
    );
    let stub = bench.parts().efi_stub().unwrap();
    assert!(stub.path.starts_with(bench.cache.root()), "{}", stub.path.display());
    assert!(!stub.path.to_string_lossy().contains(':'), "{}", stub.path.display());
    assert_eq!(stub.sha256, files::sha256(STUB.as_bytes()));
    assert_eq!(stub.package, package("systemd-boot-efi", "1:2.0-1"));
    assert_eq!(bench.parts().efi_stub().unwrap(), stub);
    bench.parts().boot_manager().unwrap();
    assert_eq!(bench.asked(), ["systemd-boot-efi=1:2.0-1"], "one package has both");
}

#[test]
fn firmware_is_of_one_layout_and_the_newer_is_preferred() {
    let bench = bench();
    for place in ["OVMF_CODE.fd", "OVMF_VARS.fd", "OVMF_CODE_4M.fd"] {
        bench.install(&format!("usr/share/OVMF/{place}"));
    }
    let names = |firmware: &Firmware| {
        [&firmware.code, &firmware.variables]
            .map(|found| found.path.file_name().unwrap().to_string_lossy().into_owned())
    };
    assert_eq!(names(&bench.parts().firmware().unwrap()), ["OVMF_CODE.fd", "OVMF_VARS.fd"]);
    bench.install("usr/share/OVMF/OVMF_VARS_4M.fd");
    assert_eq!(names(&bench.parts().firmware().unwrap()), ["OVMF_CODE_4M.fd", "OVMF_VARS_4M.fd"]);
}

#[test]
fn a_part_of_two_packages_needs_both() {
    let bench = bench();
    bench.offer("isolinux", &["usr/lib/ISOLINUX/isolinux.bin", "usr/lib/ISOLINUX/isohdpfx.bin"]);
    bench.offer("syslinux-common", &["usr/lib/syslinux/modules/bios/ldlinux.c32"]);
    let found = bench.parts().bios_loader().unwrap();
    assert_eq!(found.loader.package, package("isolinux", "1:2.0-1"));
    assert_eq!(found.module.package, package("syslinux-common", "1:2.0-1"));
    assert!(found.hybrid_sector.path.ends_with("usr/lib/ISOLINUX/isohdpfx.bin"));
    assert_eq!(bench.asked(), ["isolinux=1:2.0-1", "syslinux-common=1:2.0-1"]);
}

#[test]
fn a_damaged_file_is_fetched_again() {
    let bench = bench();
    bench.offer("e2fsck-static", &["usr/sbin/e2fsck.static"]);
    let path = bench.parts().e2fsck().unwrap().path;
    fs::write(&path, "garbage").unwrap();
    assert_eq!(bench.parts().e2fsck().unwrap().path, path);
    assert_eq!(fs::read_to_string(path).unwrap(), "usr/sbin/e2fsck.static");
    assert_eq!(bench.asked().len(), 2);
}

#[test]
fn what_cannot_be_had_names_the_package_to_install() {
    let unknown = bench();
    let offline = bench();
    offline.offer("systemd-boot-efi", &[STUB]);
    fs::write(offline.directory.path().join("no-network"), "").unwrap();
    let empty = bench();
    empty.offer("systemd-boot-efi", &["usr/share/doc/x"]);
    let mut no_manager = bench();
    no_manager.host.path = "/nowhere".into();
    let table = [
        (&unknown, "fetching it failed: the package manager knows no package systemd-boot-efi"),
        (&offline, "fetching it failed: `apt-get"),
        (&empty, "the package that should have it does not"),
        (&no_manager, "apt-cache, which would fetch it, is not installed either"),
    ];
    for (bench, cause) in table {
        let error = bench.parts().efi_stub().unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with("the EFI stub is not installed, and ") && text.contains(cause), "{text}");
        assert!(
            error.hint().unwrap().ends_with("apt-get install -y --no-install-recommends systemd-boot-efi")
        );
    }
}

#[test]
fn parts_of_another_architecture_are_taken_where_they_are_installed() {
    let other = match Architecture::of_host() {
        Some(Architecture::Aarch64) => Architecture::X86_64,
        _ => Architecture::Aarch64,
    };
    let bench = bench();
    // A package of that name is for this host's machines.
    bench.offer("systemd-boot-efi", &[STUB]);
    let parts = Parts { architecture: other, ..bench.parts() };
    let error = parts.efi_stub().unwrap_err();
    assert!(bench.asked().is_empty());
    assert!(error.hint().unwrap().ends_with(&format!("systemd-boot-efi:{}", other.debian_name())));
    bench.install("usr/lib/systemd/boot/efi/linuxaa64.efi.stub");
    bench.install(STUB);
    parts.efi_stub().unwrap();
    let arm = Parts { architecture: Architecture::Aarch64, ..bench.parts() };
    assert!(matches!(arm.bios_loader(), Err(Error::ArchitectureUnsupported { .. })));
}

#[test]
fn a_survey_fetches_nothing() {
    let bench = bench();
    bench.offer("systemd-boot-efi", &[STUB]);
    let survey = bench.parts().survey().unwrap();
    let names: Vec<_> = survey.iter().map(|part| part.name).collect();
    assert_eq!(names, ["EFI stub", "boot manager", "UEFI firmware", "static e2fsck", "ISOLINUX"]);
    assert!(survey.iter().all(|part| part.found.is_none()) && bench.asked().is_empty());
    assert_eq!(survey[4].packages, ["isolinux", "syslinux-common"]);
}

#[test]
fn a_watcher_is_told_what_takes_time() {
    #[derive(Default)]
    struct Recorder(RefCell<Vec<String>>);
    impl Progress for Recorder {
        fn phase(&self, text: &str) {
            self.0.borrow_mut().push(text.to_owned());
        }
    }
    let bench = bench();
    bench.offer("e2fsck-static", &["sbin/e2fsck.static"]);
    let recorder = Recorder::default();
    Parts { progress: &recorder, ..bench.parts() }.e2fsck().unwrap();
    let told = ["fetching the package e2fsck-static 1:2.0-1", "unpacking e2fsck-static"];
    assert_eq!(recorder.0.into_inner(), told);
}
