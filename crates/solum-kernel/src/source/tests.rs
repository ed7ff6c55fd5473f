//! The whole way from a request to a cached kernel, with a tree of three files in the place of Linux.

use std::cell::RefCell;
use std::fs;

use super::*;
use crate::download::tests::{Page, serve};
use crate::image::tests::{bzimage, vmlinux};
use crate::progress::Unit;
use crate::selection::kernel_for_pcs;
use crate::tools::tests::install_script;

/// Obeys every symbol but those it does not know, and "compiles" by copying files that lie in the tree.
const MAKEFILE: &str = "\
.PHONY: allnoconfig bzImage
allnoconfig:
\tenv > $(CURDIR)/../environment
\tgrep -v -e CONFIG_UNKNOWN $(KCONFIG_ALLCONFIG) > $(O)/.config
bzImage:
\t@echo '  CC      init/main.o'
\ttest ! -e $(CURDIR)/broken || { echo 'init/main.c:1: error: broken'; exit 1; }
\tmkdir -p $(O)/arch/x86/boot
\tcp $(CURDIR)/bzImage $(O)/arch/x86/boot/bzImage
\tcp $(CURDIR)/vmlinux.file $(O)/vmlinux
";

/// Programs that these tests must not depend on; each succeeds, `strip` copies.
const PROGRAMS: &[(&str, &str)] = &[
    ("gcc", "echo gcc 12.2.0"),
    ("ld", ""),
    ("flex", ""),
    ("bison", ""),
    ("bc", ""),
    ("zstd", ""),
    ("xz", ""),
    ("strip", "cp \"$3\" \"$2\""),
];

struct Bench {
    directory: tempfile::TempDir,
    host: Host,
    cache: Cache,
}

#[derive(Default)]
struct Recorder {
    phases: RefCell<Vec<String>>,
    steps: RefCell<u64>,
}

impl Progress for Recorder {
    fn phase(&self, text: &str) {
        self.phases.borrow_mut().push(text.to_owned());
    }

    fn progress(&self, unit: Unit, _done: u64, _total: Option<u64>) {
        if unit == Unit::Steps {
            *self.steps.borrow_mut() += 1;
        }
    }
}

impl Recorder {
    fn compiled(&self) -> bool {
        self.phases.borrow().iter().any(|phase| phase == "compiling the kernel")
    }
}

fn bench() -> Bench {
    let directory = tempfile::tempdir().unwrap();
    let programs = directory.path().join("programs");
    files::create_directory(&programs).unwrap();
    for (name, script) in PROGRAMS {
        install_script(&programs.join(name), script);
    }
    let tree = directory.path().join("tree");
    files::create_directory(&tree).unwrap();
    fs::write(tree.join("Makefile"), MAKEFILE).unwrap();
    fs::write(tree.join("Kconfig"), "").unwrap();
    fs::write(tree.join("bzImage"), bzimage("6.12.117-solum", b"kernel")).unwrap();
    fs::write(tree.join("vmlinux.file"), vmlinux("6.12.117-solum")).unwrap();
    let mut path = programs.into_os_string();
    path.push(":/usr/bin:/bin");
    let host = Host { root: directory.path().to_owned(), path, ..Host::current() };
    let cache = Cache::new(&directory.path().join("cache"));
    Bench { directory, host, cache }
}

impl Bench {
    fn request(&self) -> SourceRequest {
        SourceRequest { tree: Some(self.directory.path().join("tree")), ..SourceRequest::default() }
    }

    fn fragment(&self, text: &str) -> PathBuf {
        let path = self.directory.path().join("user.config");
        fs::write(&path, text).unwrap();
        path
    }

    fn build(&self, request: &SourceRequest) -> (Result<Kernel, Error>, Recorder) {
        let recorder = Recorder::default();
        let result = Kernel::from_source(&self.host, &self.cache, request, &recorder);
        (result, recorder)
    }

    /// Puts a release into `mirror/`, as the publisher lays it out, and gives archive and list of checksums.
    fn release(&self, version: &str) -> (Vec<u8>, Vec<u8>) {
        let archive = self.directory.path().join("archive.tar");
        let packed = std::process::Command::new("tar")
            .args(["--create", "--transform=s,^tree,linux,", "--directory"])
            .arg(self.directory.path())
            .arg("--file")
            .arg(&archive)
            .arg("tree")
            .status();
        assert!(packed.unwrap().success());
        let bytes = fs::read(&archive).unwrap();
        let list = format!("{}  linux-{version}.tar.xz\n", files::sha256(&bytes));
        (bytes, list.into_bytes())
    }
}

#[test]
fn a_kernel_is_built_once_for_the_same_inputs() {
    let bench = bench();
    let (first, recorder) = bench.build(&bench.request());
    let first = first.unwrap();
    assert!(recorder.compiled());
    assert_eq!(*recorder.steps.borrow(), 1);
    assert_eq!((first.provider, first.version.as_str()), (Provider::Source, "6.12.117-solum"));
    assert!(first.vmlinux.is_some());
    assert_eq!(first.has("CONFIG_9P_FS").unwrap(), Some(true));
    let (second, recorder) = bench.build(&bench.request());
    assert_eq!(second.unwrap(), first);
    assert!(!recorder.compiled());
    assert_eq!(Kernel::newest_built(&bench.cache, Profile::Vm).unwrap(), Some(first));
}

#[test]
fn any_other_input_gives_another_kernel() {
    let bench = bench();
    let first = bench.build(&bench.request()).0.unwrap();
    let mut request = bench.request();
    request.fragments = vec![bench.fragment("CONFIG_BTRFS_FS=y\n")];
    let by_fragment = bench.build(&request).0.unwrap();
    install_script(&bench.directory.path().join("programs/gcc"), "echo gcc 13.1.0");
    let by_compiler = bench.build(&bench.request()).0.unwrap();
    fs::write(bench.directory.path().join("tree/main.c"), "changed").unwrap();
    let by_tree = bench.build(&bench.request()).0.unwrap();
    let mut hashes = vec![first.hash, by_fragment.hash, by_compiler.hash, by_tree.hash];
    hashes.sort();
    hashes.dedup();
    assert_eq!(hashes.len(), 4);
    assert_eq!(bench.cache.list().unwrap().len(), 4);
}

#[test]
fn every_symbol_that_was_dropped_is_named_and_nothing_is_kept() {
    let bench = bench();
    let mut request = bench.request();
    request.fragments =
        vec![bench.fragment("CONFIG_UNKNOWN_A=y\nCONFIG_UNKNOWN_B=3\n# CONFIG_UNKNOWN_C is not set\n")];
    let (result, recorder) = bench.build(&request);
    let text = result.unwrap_err().to_string();
    assert!(text.contains("CONFIG_UNKNOWN_A=y") && text.contains("CONFIG_UNKNOWN_B=3"), "{text}");
    assert!(!text.contains("CONFIG_UNKNOWN_C"), "what is absent is off: {text}");
    assert!(!recorder.compiled());
    assert!(bench.cache.list().unwrap().is_empty());
}

#[test]
fn a_compiler_error_is_shown_and_nothing_is_kept() {
    let bench = bench();
    fs::write(bench.directory.path().join("tree/broken"), "").unwrap();
    let error = bench.build(&bench.request()).0.unwrap_err();
    assert!(error.to_string().contains("init/main.c:1: error: broken"), "{error}");
    assert!(bench.cache.list().unwrap().is_empty());
    let staging = bench.cache.root().join("kernels/.staging/source");
    assert_eq!(fs::read_dir(staging).unwrap().count(), 0);
}

#[test]
fn all_missing_tools_are_named_at_once_with_their_packages() {
    let mut bench = bench();
    let programs = bench.directory.path().join("programs");
    fs::remove_file(programs.join("flex")).unwrap();
    fs::remove_file(programs.join("zstd")).unwrap();
    install_script(&programs.join("make"), "");
    install_script(&programs.join("tar"), "");
    install_script(&programs.join("gcc"), "case \"$*\" in *gelf.h*) /bin/false;; esac");
    bench.host.path = programs.into_os_string();
    let error = bench.build(&bench.request()).0.unwrap_err();
    assert_eq!(error.to_string(), "building a kernel needs tools that are not installed: flex, zstd, gelf.h");
    assert!(
        error.hint().unwrap().ends_with("apt-get install -y --no-install-recommends flex libelf-dev zstd")
    );
}

#[test]
fn a_fragment_is_read_with_care() {
    let bench = bench();
    let table = [
        ("CONFIG_NET=y\nCONFIG_BTRFS_FS=m\n", "line 2: CONFIG_BTRFS_FS=m asks for a module"),
        ("\nnonsense\n", "line 2: `nonsense` assigns nothing"),
    ];
    for (text, message) in table {
        let mut request = bench.request();
        request.fragments = vec![bench.fragment(text)];
        let error = bench.build(&request).0.unwrap_err();
        assert!(error.to_string().contains(message), "{error}");
    }
    let mut request = bench.request();
    request.fragments = vec![bench.directory.path().join("gone.config")];
    assert!(matches!(bench.build(&request).0, Err(Error::Io { .. })));
}

#[test]
fn a_release_is_fetched_checked_and_built_and_found_again_without_the_mirror() {
    let bench = bench();
    let (archive, list) = bench.release("6.12.117");
    let (base, asked) = serve(&[
        ("/v6.x/sha256sums.asc", Page::Whole(list)),
        ("/v6.x/linux-6.12.117.tar.xz", Page::Whole(archive)),
    ]);
    let request = SourceRequest {
        version: Some("6.12.117".into()),
        mirror: Some(Mirror::parse(&base)),
        ..SourceRequest::default()
    };
    let kernel = bench.build(&request).0.unwrap();
    assert_eq!(asked.lock().unwrap().len(), 2);
    assert_eq!(bench.build(&request).0.unwrap(), kernel);
    assert_eq!(asked.lock().unwrap().len(), 2);
    let name = &bench.cache.list().unwrap()[0].name;
    assert!(name.starts_with("source-vm-6.12.117-"), "{name}");
}

#[test]
fn a_damaged_cached_download_is_fetched_again() {
    let bench = bench();
    let (archive, list) = bench.release("6.12.117");
    let (base, asked) = serve(&[
        ("/v6.x/sha256sums.asc", Page::Whole(list)),
        ("/v6.x/linux-6.12.117.tar.xz", Page::Whole(archive.clone())),
    ]);
    let cached = bench.cache.downloads().join("linux-6.12.117.tar.xz");
    files::create_directory(&bench.cache.downloads()).unwrap();
    fs::write(&cached, &archive[..archive.len() / 2]).unwrap();
    let request = SourceRequest {
        version: Some("6.12.117".into()),
        mirror: Some(Mirror::parse(&base)),
        ..SourceRequest::default()
    };
    let (result, recorder) = bench.build(&request);
    result.unwrap();
    assert!(recorder.phases.borrow().iter().any(|phase| phase.contains("damaged; fetching")));
    assert_eq!(asked.lock().unwrap().len(), 2);
    assert_eq!(fs::read(&cached).unwrap(), archive);
}

#[test]
fn a_mirror_that_fails_is_a_sentence_and_leaves_nothing() {
    let (archive, list) = bench().release("6.12.117");
    let sums = || ("/v6.x/sha256sums.asc", Page::Whole(list.clone()));
    let file = "/v6.x/linux-6.12.117.tar.xz";
    let mut other = archive.clone();
    other[600] ^= 1;
    let table = [
        (vec![], "sha256sums.asc: the server has no such file (404 Not Found)"),
        (vec![sums()], "linux-6.12.117.tar.xz: the server has no such file (404 Not Found)"),
        (vec![sums(), (file, Page::Half(archive.clone()))], "bytes arrived"),
        (vec![sums(), (file, Page::Whole(other))], "is damaged or forged"),
        (
            vec![("/v6.x/sha256sums.asc", Page::Whole(b"none".to_vec()))],
            "states no checksum for linux-6.12.117.tar.xz",
        ),
    ];
    for (pages, message) in table {
        let bench = bench();
        let (base, _) = serve(&pages);
        let request = SourceRequest {
            version: Some("6.12.117".into()),
            mirror: Some(Mirror::parse(&base)),
            ..SourceRequest::default()
        };
        let error = bench.build(&request).0.unwrap_err();
        assert!(error.to_string().contains(message), "`{error}` should have contained `{message}`");
        assert!(error.hint().is_some());
        assert!(bench.cache.list().unwrap().is_empty());
        assert!(!bench.cache.downloads().join("linux-6.12.117.tar.xz").exists());
    }
}

#[test]
fn the_profiles_are_well_formed_and_ask_for_no_module() {
    let virtual_machines =
        ["CONFIG_PVH", "CONFIG_VIRTIO_CONSOLE", "CONFIG_9P_FS", "CONFIG_EFI_STUB", "CONFIG_ISO9660_FS"];
    let computers = ["CONFIG_SATA_AHCI", "CONFIG_BLK_DEV_NVME", "CONFIG_USB_STORAGE", "CONFIG_E1000E"];
    for profile in [Profile::Vm, Profile::Pc] {
        let configuration = profile.configuration().unwrap();
        assert_eq!(configuration.first_module(), None);
        for symbol in virtual_machines {
            assert_eq!(configuration.get(symbol), Some("y"), "{symbol} of {}", profile.name());
        }
        for symbol in computers {
            assert_eq!(configuration.get(symbol) == Some("y"), profile == Profile::Pc, "{symbol}");
        }
    }
    assert_eq!(Profile::Vm.configuration().unwrap().get("CONFIG_SERIO"), Some("n"));
    assert_eq!(Profile::Pc.configuration().unwrap().get("CONFIG_SERIO"), Some("y"), "the later one stands");
}

#[test]
fn a_kernel_of_one_profile_is_not_taken_for_another() {
    let bench = bench();
    let request = SourceRequest { profile: Profile::Pc, ..bench.request() };
    let built = bench.build(&request).0.unwrap();
    assert!(bench.cache.list().unwrap()[0].name.starts_with("source-pc-"));
    assert_eq!(Kernel::newest_built(&bench.cache, Profile::Vm).unwrap(), None);
    assert_eq!(Kernel::newest_built(&bench.cache, Profile::Pc).unwrap(), Some(built.clone()));
    let found = kernel_for_pcs(&bench.host, &bench.cache, &Recorder::default()).unwrap();
    assert_eq!(found, built);
}

#[test]
fn names_and_values_of_inputs_do_not_run_together() {
    let inputs = |pairs: &[(&str, &str)]| {
        hash_of(&pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    };
    assert_ne!(inputs(&[("a", "b1:cd")]), inputs(&[("a", "b"), ("c", "d")]));
    assert_ne!(inputs(&[("ab", "c")]), inputs(&[("a", "bc")]));
}

#[test]
fn nothing_of_the_callers_environment_reaches_the_build() {
    let bench = bench();
    assert!(std::env::vars().any(|(name, _)| name.starts_with("CARGO")), "there is something to be kept out");
    let host = Host { environment: vec![("TMPDIR", "/tmp/here".into())], ..bench.host.clone() };
    Kernel::from_source(&host, &bench.cache, &bench.request(), &Recorder::default()).unwrap();
    let environment = fs::read_to_string(bench.directory.path().join("environment")).unwrap();
    let ours = ["PATH", "LANG", "LC_ALL", "TMPDIR", "KCFLAGS", "KCONFIG_ALLCONFIG"];
    // What `make` and the shell set themselves.
    let theirs = ["ARCH", "O", "MFLAGS", "PWD", "OLDPWD", "SHLVL", "_"];
    for line in environment.lines() {
        let name = line.split('=').next().unwrap();
        let is_known = ours.contains(&name) || theirs.contains(&name);
        assert!(is_known || name.starts_with("MAKE") || name.starts_with("KBUILD_BUILD_"), "{line}");
    }
    assert!(
        environment.contains("\nLANG=C\n") && environment.contains("\nTMPDIR=/tmp/here\n"),
        "{environment}"
    );
}

#[test]
fn without_a_package_of_sources_the_pinned_release_is_built() {
    let bench = bench();
    for program in ["apt-get", "apt-cache"] {
        install_script(&bench.directory.path().join("programs").join(program), "");
    }
    // Everything that would come from the publisher is in the cache already.
    let (archive, list) = bench.release(PINNED_RELEASE);
    let publisher = Mirror::publisher().locate("v6.x", "sha256sums.asc").to_string();
    let key = files::sha256(publisher.as_bytes());
    files::create_directory(&bench.cache.downloads()).unwrap();
    let downloads = bench.cache.downloads();
    fs::write(downloads.join(format!("sha256sums-{}.asc", &key[..12])), list).unwrap();
    fs::write(downloads.join(format!("linux-{PINNED_RELEASE}.tar.xz")), archive).unwrap();
    let (kernel, recorder) = bench.build(&SourceRequest::default());
    kernel.unwrap();
    let told = format!(
        "the distribution has no package linux-source-VERSION: taking Linux {PINNED_RELEASE} from its publisher"
    );
    assert!(recorder.phases.borrow().contains(&told), "{:?}", recorder.phases.borrow());
    assert!(bench.cache.list().unwrap()[0].name.starts_with(&format!("source-vm-{PINNED_RELEASE}-")));
}

/// A package manager that has one package of sources, which holds this archive.
fn install_package_manager(bench: &Bench, archive: &str) {
    let programs = bench.directory.path().join("programs");
    let root = bench.directory.path().display();
    let apt_cache = format!(
        "case \"$*\" in *pkgnames*) echo linux-source-6.8.0;; *show*) \
         printf 'Package: linux-source-6.8.0\\nVersion: 6.8.0-1\\nFilename: x\\nSHA256: %s\\n' \
         \"$(sha256sum < '{root}/package' | cut -d' ' -f1)\";; esac"
    );
    install_script(&programs.join("apt-cache"), &apt_cache);
    install_script(
        &programs.join("apt-get"),
        &format!("case \"$*\" in *download*) cp '{root}/package' ./sources.deb;; esac"),
    );
    let unpack = format!("mkdir -p \"$3/usr/src/linux-source-6.8.0\" && cp \"$2\" \"$3/usr/src/{archive}\"");
    install_script(&programs.join("dpkg-deb"), &unpack);
    install_script(&programs.join("dpkg-query"), "exit 1");
}

#[test]
fn a_package_of_sources_is_built_however_it_is_compressed() {
    for end in ["tar.bz2", "tar.gz", "tar.xz", "tar.zst"] {
        let bench = bench();
        let (archive, _) = bench.release("6.8");
        fs::write(bench.directory.path().join("package"), archive).unwrap();
        for program in ["gzip", "bzip2"] {
            install_script(&bench.directory.path().join("programs").join(program), "");
        }
        install_package_manager(&bench, &format!("linux-source-6.8.0/linux-source-6.8.0.{end}"));
        let (kernel, _) = bench.build(&SourceRequest::default());
        kernel.unwrap();
        assert!(bench.cache.list().unwrap()[0].name.starts_with("source-vm-6.8.0-"));
    }
}

#[test]
fn what_unpacks_the_sources_is_named_where_it_is_missing() {
    let bench = bench();
    let (archive, _) = bench.release("6.8");
    fs::write(bench.directory.path().join("package"), archive).unwrap();
    install_package_manager(&bench, "linux-source-6.8.0.tar.lz");
    if bench.host.find("lzip").is_some() {
        eprintln!("skipped: this host has lzip");
        return;
    }
    let error = bench.build(&SourceRequest::default()).0.unwrap_err();
    assert_eq!(error.to_string(), "building a kernel needs tools that are not installed: lzip");
}

#[test]
fn an_interrupted_build_leaves_nothing() {
    struct Impatient(crate::Interrupt);
    impl Progress for Impatient {
        fn progress(&self, _unit: Unit, _done: u64, _total: Option<u64>) {
            self.0.raise();
        }
    }
    let bench = bench();
    fs::write(bench.directory.path().join("tree/broken"), "").unwrap();
    let impatient = Impatient(bench.host.interrupt.clone());
    let error = Kernel::from_source(&bench.host, &bench.cache, &bench.request(), &impatient).unwrap_err();
    assert!(matches!(error, Error::Interrupted), "{error}");
    assert_eq!(fs::read_dir(bench.cache.root().join("kernels/.staging/source")).unwrap().count(), 0);
}

#[test]
fn a_kernel_of_an_older_profile_is_known_as_such() {
    let bench = bench();
    assert!(!Kernel::is_built_for_older_profile(&bench.cache).unwrap());
    bench.build(&bench.request()).0.unwrap();
    assert!(!Kernel::is_built_for_older_profile(&bench.cache).unwrap());
    let manifest = bench.cache.list().unwrap()[0].directory.join("manifest.json");
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, text.replace(&Profile::Vm.hash().unwrap(), "of another time")).unwrap();
    assert!(Kernel::is_built_for_older_profile(&bench.cache).unwrap());
}
