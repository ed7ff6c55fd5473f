//! The provider against a package manager of three shell scripts.

use std::cell::RefCell;

use super::*;
use crate::image::tests::{bzimage, vmlinux};
use crate::lock::Lock;
use crate::progress::Silent;
use crate::tools::tests::install_script;

/// Knows packages once its lists were refreshed: the file `lists`.
const APT_CACHE: &str = r#"
test -e "$BENCH/lists" || exit 0
case "$*" in
*pkgnames*) printf '%s\n' linux-image-cloud-amd64 linux-image-6.12-cloud-amd64 linux-image-6.1.0-50-cloud-amd64 \
    linux-image-6.12.9+deb12-cloud-amd64 linux-image-6.12.117+deb12-cloud-amd64 linux-image-6.99.1-cloud-amd64 ;;
*show*6.99.1*) echo 'N: no such version' >&2; exit 100 ;;
*show*6.12.117*) printf 'Package: linux-image-6.12.117+deb12-cloud-amd64\nVersion: 6.12.117-1\nFilename: pool/x\nSHA256: %s\n' \
    "$(sha256sum < "$BENCH/package" | cut -d' ' -f1)" ;;
*) exit 100 ;;
esac"#;

/// Downloads the file `package`; fails once where there is a file `failure`.
const APT_GET: &str = r#"
echo "$*" >> "$BENCH/asked"
case "$*" in
*update*) touch "$BENCH/lists" ;;
*download*) test ! -e "$BENCH/failure" || { rm "$BENCH/failure"; echo 'E: 404 Not Found' >&2; exit 100; }
    cp "$BENCH/package" ./image.deb ;;
esac"#;

const DPKG_DEB: &str = r#"mkdir "$3" && tar --extract --file "$2" --directory "$3""#;

struct Bench {
    directory: tempfile::TempDir,
    host: Host,
    cache: Cache,
}

fn bench() -> Bench {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    let programs = root.join("programs");
    files::create_directory(&programs).unwrap();
    for (name, script) in [("apt-cache", APT_CACHE), ("apt-get", APT_GET), ("dpkg-deb", DPKG_DEB)] {
        install_script(&programs.join(name), &format!("BENCH='{}'\n{}", root.display(), script.trim()));
    }
    let release = "6.12.117+deb12-cloud-amd64";
    let content = root.join("content");
    let modules = content.join("lib/modules").join(release);
    files::create_directory(&content.join("boot")).unwrap();
    files::create_directory(&modules.join("kernel")).unwrap();
    let inner = vmlinux(release);
    fs::write(content.join("boot").join(format!("vmlinuz-{release}")), bzimage(release, &inner)).unwrap();
    fs::write(content.join("boot").join(format!("config-{release}")), "CONFIG_VIRTIO_PCI=y\n").unwrap();
    fs::write(modules.join("modules.builtin"), "kernel/drivers/virtio/virtio_pci.ko\n").unwrap();
    let packed = std::process::Command::new("tar")
        .args(["--create", "--directory"])
        .arg(&content)
        .arg("--file")
        .arg(root.join("package"))
        .arg(".")
        .status();
    assert!(packed.unwrap().success());
    let mut path = programs.into_os_string();
    path.push(":/usr/bin:/bin");
    let host = Host { path, ..Host::current() };
    let cache = Cache::new(&root.join("cache"));
    Bench { directory, host, cache }
}

impl Bench {
    fn fetch(&self, refresh: bool) -> Result<Kernel, Error> {
        Kernel::from_debian(&self.host, &self.cache, Architecture::X86_64, Flavour::Cloud, refresh, &Silent)
    }

    /// The verbs that `apt-get` was asked for so far.
    fn asked(&self) -> Vec<&'static str> {
        let log = fs::read_to_string(self.directory.path().join("asked")).unwrap_or_default();
        log.lines().map(|line| if line.contains("update") { "update" } else { "download" }).collect()
    }

    fn touch(&self, name: &str) {
        fs::write(self.directory.path().join(name), "").unwrap();
    }
}

#[test]
fn the_newest_kernel_is_fetched_once() {
    let bench = bench();
    bench.touch("lists");
    let kernel = bench.fetch(false).unwrap();
    assert_eq!((kernel.provider, kernel.version.as_str()), (Provider::Debian, "6.12.117+deb12-cloud-amd64"));
    let package = kernel.package.as_ref().map(|package| (package.name.as_str(), package.version.as_str()));
    assert_eq!(package, Some(("linux-image-6.12.117+deb12-cloud-amd64", "6.12.117-1")));
    assert!(kernel.vmlinux.is_some(), "the kernel within the image was unpacked");
    assert_eq!(kernel.has("CONFIG_VIRTIO_PCI").unwrap(), Some(true));
    assert!(kernel.modules(&["virtio_pci"]).unwrap().is_empty());
    assert_eq!(bench.fetch(false).unwrap(), kernel);
    assert_eq!(bench.fetch(true).unwrap(), kernel, "there is nothing newer");
    assert_eq!(bench.asked(), ["download"]);
}

#[test]
fn a_kernel_for_pcs_is_not_taken_for_one_for_virtual_machines() {
    let bench = bench();
    bench.touch("lists");
    bench.fetch(false).unwrap();
    let fetched =
        Kernel::from_debian(&bench.host, &bench.cache, Architecture::X86_64, Flavour::Pc, false, &Silent);
    let error = fetched.unwrap_err();
    assert_eq!(error.to_string(), "the package manager knows no package linux-image-VERSION-amd64");
}

#[test]
fn missing_or_outdated_lists_are_refreshed() {
    let without_lists = bench();
    without_lists.fetch(false).unwrap();
    assert_eq!(without_lists.asked(), ["update", "download"]);
    let outdated = bench();
    outdated.touch("lists");
    outdated.touch("failure");
    outdated.fetch(false).unwrap();
    assert_eq!(outdated.asked(), ["download", "update", "download"]);
}

#[test]
fn a_damaged_entry_is_fetched_again() {
    let bench = bench();
    bench.touch("lists");
    let kernel = bench.fetch(false).unwrap();
    fs::write(&kernel.image, "garbage").unwrap();
    assert_eq!(bench.fetch(false).unwrap(), kernel);
    assert_eq!(bench.asked(), ["download", "download"]);
    assert_eq!(bench.cache.list().unwrap().len(), 1);
}

#[test]
fn what_goes_wrong_is_a_sentence_and_leaves_nothing() {
    let no_manager = bench();
    let host = Host { path: "/nowhere".into(), ..no_manager.host.clone() };
    let error =
        Kernel::from_debian(&host, &no_manager.cache, Architecture::X86_64, Flavour::Cloud, false, &Silent)
            .unwrap_err();
    assert!(error.to_string().contains("apt-cache is needed to fetch Debian's kernel package"), "{error}");
    assert!(error.hint().is_some());

    let no_package = bench();
    no_package.touch("lists");
    let result = Kernel::from_debian(
        &no_package.host,
        &no_package.cache,
        Architecture::Aarch64,
        Flavour::Cloud,
        false,
        &Silent,
    );
    let error = result.unwrap_err();
    assert_eq!(error.to_string(), "the package manager knows no package linux-image-VERSION-cloud-arm64");
    let hint = error.hint().unwrap();
    assert!(!hint.contains("apt-get update") && hint.contains("solum kernel build"), "{hint}");

    let forged = bench();
    forged.touch("lists");
    forged.touch("other");
    let script = forged.directory.path().join("programs/apt-get");
    install_script(
        &script,
        &fs::read_to_string(&script).unwrap().replace("BENCH/package\" ./", "BENCH/other\" ./"),
    );
    let error = forged.fetch(false).unwrap_err();
    assert!(matches!(error, Error::Checksum { .. }), "{error}");

    for bench in [no_manager, no_package, forged] {
        assert!(bench.cache.list().unwrap().is_empty());
    }
}

#[test]
fn lists_are_refreshed_by_one_at_a_time() {
    /// Gives the lock back when it is told that somebody waits for it.
    struct Other(RefCell<Option<Lock>>);
    impl Progress for Other {
        fn phase(&self, text: &str) {
            if text == "waiting for another solum, which is refreshing the package lists" {
                assert!(self.0.take().is_some());
            }
        }
    }
    let bench = bench();
    let lock = Lock::try_take(&bench.cache.root().join(".lock-apt")).unwrap();
    let other = Other(RefCell::new(lock));
    Kernel::from_debian(&bench.host, &bench.cache, Architecture::X86_64, Flavour::Cloud, false, &other)
        .unwrap();
    assert!(other.0.take().is_none(), "it waited");
    assert_eq!(bench.asked(), ["update", "download"]);
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
    let recorder = Recorder::default();
    Kernel::from_debian(&bench.host, &bench.cache, Architecture::X86_64, Flavour::Cloud, false, &recorder)
        .unwrap();
    let package = "linux-image-6.12.117+deb12-cloud-amd64";
    assert_eq!(
        recorder.0.into_inner(),
        [
            "refreshing the package lists".to_owned(),
            format!("fetching the package {package} 6.12.117-1"),
            format!("unpacking {package}"),
        ]
    );
}

#[test]
fn image_packages_are_told_from_their_relatives() {
    let table = [
        ("linux-image-6.12.117+deb12-cloud-amd64", Some("6.12.117+deb12")),
        ("linux-image-6.1.0-50-cloud-amd64", Some("6.1.0-50")),
        ("linux-image-6.12-cloud-amd64", None),
        ("linux-image-cloud-amd64", None),
        ("linux-image-6.1.0-50-cloud-amd64-unsigned", None),
        ("linux-image-6.1.0-50-cloud-amd64-dbg", None),
        ("linux-image-6.1.0-50-amd64", None),
        ("linux-image-6.1.0-50-cloud-arm64", None),
    ];
    for (name, release) in table {
        assert_eq!(release_in(name, "-cloud-amd64"), release, "{name}");
    }
    let table = [
        ("linux-image-6.12.117+deb12-amd64", Some("6.12.117+deb12")),
        ("linux-image-6.1.0-50-amd64", Some("6.1.0-50")),
        ("linux-image-6.12-amd64", None),
        ("linux-image-6.12.117+deb12-cloud-amd64", None),
        ("linux-image-6.1.0-50-rt-amd64", None),
        ("linux-image-6.1.0-50-amd64-unsigned", None),
    ];
    for (name, release) in table {
        assert_eq!(release_in(name, "-amd64"), release, "{name}");
    }
}
