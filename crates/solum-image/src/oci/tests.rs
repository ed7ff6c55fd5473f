//! Images made and read back.

use std::collections::HashMap;

use super::*;
use crate::initramfs::BundledContent;

fn contents() -> Contents {
    Contents {
        name: "hello".into(),
        program: b"\x7fELF".to_vec(),
        architecture: Architecture::X86_64,
        arguments: vec!["--loud".into()],
        environment: vec![("A".into(), "b".into())],
        user_id: 1000,
        ports: vec![(8080, Protocol::Tcp), (53, Protocol::Udp)],
        labels: BTreeMap::from([("org.opencontainers.image.version".into(), "1.0".into())]),
        certificates: Some(b"certificates".to_vec()),
        time_zones: vec![],
        bundled: vec![],
        bill_of_materials: Some(br#"{"bomFormat":"CycloneDX"}"#.to_vec()),
        created_s: 951_782_400,
        reference: Reference::local("hello"),
    }
}

fn file(path: &str, bytes: &[u8]) -> Bundled {
    Bundled { path: path.into(), permissions: 0o640, content: BundledContent::File(bytes.to_vec()) }
}

fn rights(image: &Image, path: &str) -> (u32, u64) {
    let entry = image.entries().unwrap().into_iter().find(|entry| entry.path == path).unwrap();
    (entry.permissions, entry.user_id)
}

#[test]
fn an_image_holds_what_a_program_looks_for_and_no_more() {
    let image = image(contents()).unwrap();
    let paths: Vec<String> = image.entries().unwrap().into_iter().map(|entry| entry.path).collect();
    assert_eq!(
        paths,
        [
            "/bin",
            "/bin/hello",
            "/etc",
            "/etc/group",
            "/etc/passwd",
            "/etc/ssl",
            "/etc/ssl/certs",
            CERTIFICATES_PATH,
            "/home",
            "/home/app",
            "/tmp"
        ]
    );
    assert_eq!(image.file("/bin/hello").unwrap().unwrap(), b"\x7fELF");
    assert_eq!(
        image.file("/etc/passwd").unwrap().unwrap(),
        b"root:x:0:0::/root:\napp:x:1000:1000::/home/app:\n"
    );
    assert_eq!(rights(&image, "/bin/hello"), (0o755, 0));
    assert_eq!(rights(&image, "/tmp"), (0o1777, 0));
    assert_eq!(rights(&image, "/home/app"), (0o700, 1000));
}

#[test]
fn the_configuration_is_that_of_the_specification() {
    let image = image(contents()).unwrap();
    let config: serde_json::Value = serde_json::from_slice(&image.config.bytes).unwrap();
    assert_eq!((&config["architecture"], &config["os"]), (&"amd64".into(), &"linux".into()));
    assert_eq!(config["created"], "2000-02-29T00:00:00Z");
    let tar = gunzip(&image.layers[0].bytes);
    assert_eq!(
        config["rootfs"],
        serde_json::json!({"type": "layers", "diff_ids": [super::digest(&tar)]}),
        "the layer is called by what it is before it is compressed"
    );
    assert_eq!(
        config["config"],
        serde_json::json!({
            "User": "1000:1000",
            "ExposedPorts": {"53/udp": {}, "8080/tcp": {}},
            "Env": ["PATH=/bin:/sbin:/usr/bin:/usr/sbin", "HOME=/home/app", "USER=app", "TMPDIR=/tmp", "A=b"],
            "Entrypoint": ["/bin/hello"],
            "Cmd": ["--loud"],
            "WorkingDir": "/home/app",
            "Labels": {
                "org.opencontainers.image.created": "2000-02-29T00:00:00Z",
                "org.opencontainers.image.title": "hello",
                "org.opencontainers.image.version": "1.0",
            },
            "StopSignal": "SIGTERM",
        })
    );
}

fn gunzip(bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(bytes), &mut plain).unwrap();
    plain
}

#[test]
fn a_given_variable_takes_the_place_of_solums() {
    let given = Contents { environment: vec![("HOME".into(), "/data".into())], ..contents() };
    let variables = image(given).unwrap().configuration.execution.environment;
    assert_eq!(variables.iter().filter(|variable| variable.starts_with("HOME=")).count(), 1);
    assert!(variables.contains(&"HOME=/data".into()));
}

#[test]
fn root_is_no_other_user() {
    let image = image(Contents { user_id: 0, ..contents() }).unwrap();
    assert_eq!(image.file("/etc/passwd").unwrap().unwrap(), b"root:x:0:0::/root:\n");
    assert_eq!(image.configuration.execution.user, "0:0");
    assert_eq!(image.configuration.execution.directory, "/");
}

#[test]
fn the_same_contents_give_the_same_bytes_and_the_time_is_not_in_the_layer() {
    let one = image(contents()).unwrap();
    assert_eq!(one.archive().unwrap(), image(contents()).unwrap().archive().unwrap());
    let later = image(Contents { created_s: 951_782_401, ..contents() }).unwrap();
    assert_ne!(one.manifest.digest, later.manifest.digest);
    assert_eq!(one.layers, later.layers, "a registry that has the layer gets it once");
}

#[test]
fn what_is_written_is_read_back() {
    let without = Contents { bill_of_materials: None, certificates: None, ..contents() };
    for contents in [contents(), without] {
        let image = image(contents).unwrap();
        let files: HashMap<String, Vec<u8>> = image.layout().into_iter().collect();
        assert_eq!(Image::from_layout(|path| files.get(path).cloned()), Ok(image.clone()));
        assert_eq!(Image::from_archive(&image.archive().unwrap()), Ok(image));
    }
}

#[test]
fn the_bill_of_materials_names_the_image_as_its_subject() {
    let image = image(contents()).unwrap();
    assert_eq!(image.bill_of_materials().unwrap().bytes, br#"{"bomFormat":"CycloneDX"}"#);
    let manifest: serde_json::Value = serde_json::from_slice(&image.attached[0].manifest.bytes).unwrap();
    assert_eq!(manifest["subject"]["digest"], image.manifest.digest.as_str());
    assert_eq!(manifest["subject"]["size"], image.manifest.bytes.len());
    assert_eq!(manifest["artifactType"], media_type::CYCLONE_DX);
    assert_eq!(manifest["config"]["mediaType"], media_type::EMPTY);
}

#[test]
fn docker_finds_the_image_by_its_own_list() {
    let image = image(contents()).unwrap();
    let archive = image.archive().unwrap();
    let mut archive = tar::Archive::new(archive.as_slice());
    let entry = archive.entries().unwrap().map(Result::unwrap).find(|e| *e.path_bytes() == *b"manifest.json");
    let list: serde_json::Value = serde_json::from_reader(entry.unwrap()).unwrap();
    let path = |blob: &Blob| blob.digest.replace("sha256:", "blobs/sha256/");
    assert_eq!(
        list,
        serde_json::json!([{
            "Config": path(&image.config),
            "RepoTags": ["localhost/hello:latest"],
            "Layers": [path(&image.layers[0])],
        }])
    );
}

#[test]
fn the_users_files_come_first_but_not_before_the_program() {
    let bundled = vec![file("/etc/passwd", b"mine"), file("/data/x", b"x")];
    let made = image(Contents { bundled, ..contents() }).unwrap();
    assert_eq!(made.file("/etc/passwd").unwrap().unwrap(), b"mine");
    assert_eq!(rights(&made, "/data/x"), (0o640, 1000));
    let replaced = image(Contents { bundled: vec![file("/bin/hello", b"no")], ..contents() });
    assert_eq!(replaced, Err(ArchiveError::Collision("bin/hello".into())));
}

#[test]
fn long_paths_and_links_are_kept() {
    let long = format!("/data/{}/file", "directory/".repeat(20));
    let long = long.replace("//", "/");
    let link = Bundled {
        path: "/data/link".into(),
        permissions: 0o777,
        content: BundledContent::Symlink(long.clone().into_bytes()),
    };
    let made = image(Contents { bundled: vec![file(&long, b"deep"), link], ..contents() }).unwrap();
    assert_eq!(made.file(&long).unwrap().unwrap(), b"deep");
    assert!(made.entries().unwrap().iter().any(|entry| entry.path == "/data/link"));
}

#[test]
fn what_is_no_image_is_said() {
    let whole: HashMap<String, Vec<u8>> = image(contents()).unwrap().layout().into_iter().collect();
    let read = |files: &HashMap<String, Vec<u8>>| Image::from_layout(|path| files.get(path).cloned());
    let mut without_mark = whole.clone();
    without_mark.remove("oci-layout");
    assert_eq!(read(&without_mark), Err(NotAnImage::Missing("oci-layout".into())));
    let layer = image(contents()).unwrap().layers[0].digest.replace("sha256:", "blobs/sha256/");
    let mut damaged = whole.clone();
    damaged.get_mut(&layer).unwrap()[20] ^= 1;
    assert_eq!(read(&damaged), Err(NotAnImage::Damaged(layer.clone())));
    let mut without_layer = whole.clone();
    without_layer.remove(&layer);
    assert_eq!(read(&without_layer), Err(NotAnImage::Missing(layer)));
    let mut garbled = whole.clone();
    garbled.insert("index.json".into(), b"{".to_vec());
    assert!(matches!(read(&garbled), Err(NotAnImage::Unreadable(path, _)) if path == "index.json"));
    let mut empty = whole;
    empty.insert("index.json".into(), br#"{"schemaVersion":2,"manifests":[]}"#.to_vec());
    assert_eq!(read(&empty), Err(NotAnImage::Images(0)));
    assert!(matches!(Image::from_archive(b"no archive"), Err(NotAnImage::NoArchive(_))));
}

#[test]
fn a_digest_that_is_none_leads_to_no_file() {
    let index = br#"{"schemaVersion":2,"manifests":[{"mediaType":"m","digest":"sha256:../../../etc/passwd","size":1}]}"#;
    let mut asked = Vec::new();
    let read = Image::from_layout(|path| {
        asked.push(path.to_owned());
        Some(index.to_vec())
    });
    assert!(matches!(read, Err(NotAnImage::Missing(_))));
    assert_eq!(asked, ["oci-layout", "index.json"]);
}
