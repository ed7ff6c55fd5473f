use super::*;
use crate::sparse::ReadAt;
use proptest::prelude::*;

const OPTIONS: Options = Options { size: Size::Smallest, label: "SOLUM", id: 0x1234_abcd, epoch_s: 0 };
const WHOLE: Options = Options { size: Size::Exactly(128 << 20), ..OPTIONS };

fn files() -> Vec<(String, Vec<u8>)> {
    let file = |path: &str, length: usize| (path.to_owned(), (0..length).map(|n| (n / 7) as u8).collect());
    vec![
        file("EFI/BOOT/BOOTX64.EFI", 100_000),
        file("loader/loader.conf", 20),
        file("EFI/Linux/solum_1.efi", 300_001),
        file("EFI/Linux/a much longer name, with ümlauts and 🦀.efi", 1),
        file("empty", 0),
    ]
}

fn read_all(image: &Sparse) -> Vec<(String, Vec<u8>)> {
    let fat = Fat::open(image).unwrap();
    let entries = fat.list().unwrap();
    let mut files: Vec<_> = entries
        .iter()
        .filter(|entry| !entry.is_directory)
        .map(|entry| (entry.path.clone(), fat.read(entry).unwrap()))
        .collect();
    files.sort();
    files
}

#[test]
fn what_is_written_is_read_back() {
    let mut expected = files();
    expected.sort();
    for options in [OPTIONS, WHOLE] {
        let image = write(files(), &options).unwrap();
        assert_eq!(read_all(&image), expected, "{options:?}");
        let mut backwards = files();
        backwards.reverse();
        assert!(write(backwards, &options).unwrap() == image, "the order of adding does not matter");
        let fat = Fat::open(&image).unwrap();
        assert_eq!(fat.id(), 0x1234_abcd);
        assert_eq!(fat.find("efi/boot/bootx64.efi").unwrap().unwrap().len(), 100_000);
        assert_eq!(fat.find("none").unwrap(), None);
    }
}

#[test]
fn a_volume_is_as_large_as_asked() {
    assert_eq!(write(files(), &WHOLE).unwrap().length(), 128 << 20);
    let small = write(vec![("a".into(), vec![1])], &OPTIONS).unwrap().length();
    assert!((2 << 20..5 << 19).contains(&small), "{small}: the least that is FAT16");
    let content = 40 << 20;
    let large = write(vec![("a".into(), vec![1; content])], &OPTIONS).unwrap().length();
    assert!((content as u64..content as u64 + (1 << 19)).contains(&large), "{large}");
    let whole: usize = write(files(), &WHOLE).unwrap().pieces().map(|(_, piece)| piece.len()).sum();
    assert!(whole < 500_000, "free space is a hole");
}

#[test]
fn what_does_not_fit_is_refused() {
    let large = vec![("a".to_owned(), vec![1; 6 << 20])];
    let tight = Options { size: Size::Exactly(4 << 20), ..OPTIONS };
    assert!(matches!(write(large, &tight), Err(FatError::Full { needed, given }) if needed > given));
    let tiny = Options { size: Size::Exactly(1 << 20), ..OPTIONS };
    assert_eq!(write(vec![], &tiny).unwrap_err(), FatError::BadSize(1 << 20));
}

#[test]
fn names_that_fat_does_not_have_are_refused() {
    for bad in ["", "/", "a:b", "dir/..", "dir/.", "end.", "end ", "a\nb", "EFI\\BOOT"] {
        let refused = write(vec![(bad.to_owned(), vec![])], &OPTIONS);
        assert_eq!(refused.unwrap_err(), FatError::BadName(bad.into()));
    }
    for (one, other) in [("a/b", "A/B"), ("a", "a/b"), ("a/b", "A")] {
        let refused = write(vec![(one.to_owned(), vec![]), (other.to_owned(), vec![])], &OPTIONS);
        assert_eq!(refused.unwrap_err(), FatError::Collision(other.into()));
    }
    let label = Options { label: "much too long", ..OPTIONS };
    assert!(matches!(write(vec![], &label), Err(FatError::BadLabel(_))));
}

#[test]
fn a_full_root_of_fat16_is_refused() {
    let many = (0..300).map(|n| (format!("file-{n}"), vec![])).collect();
    assert!(matches!(write(many, &OPTIONS), Err(FatError::Full { .. })));
}

#[test]
fn a_directory_of_many_files_has_many_clusters() {
    let many: Vec<_> = (0..300).map(|n| (format!("d/file-{n:03}"), vec![n as u8; n])).collect();
    assert_eq!(read_all(&write(many.clone(), &OPTIONS).unwrap()), many);
}

proptest! {
    #[test]
    fn any_tree_is_read_back(
        tree in prop::collection::btree_map("[a-d]{1,2}(/[a-zA-Zé~]{1,14}(\\.[a-z]{1,5})?){1,3}", 0usize..3000, 0..12),
        whole: bool,
    ) {
        let files: Vec<(String, Vec<u8>)> = tree.into_iter().map(|(path, length)| (path, vec![7; length])).collect();
        match write(files.clone(), if whole { &WHOLE } else { &OPTIONS }) {
            Ok(image) => {
                // Directories that differ in case alone have been joined.
                let read = read_all(&image);
                prop_assert_eq!(read.len(), files.len());
                for (path, content) in files {
                    let found = Fat::open(&image).unwrap().find(&path).unwrap();
                    prop_assert_eq!(found, Some(content));
                }
            }
            Err(error) => prop_assert!(matches!(error, FatError::Collision(_)), "{}", error),
        }
    }

    #[test]
    fn damage_is_no_panic(damage in prop::collection::vec((0usize..24_000, any::<u8>()), 1..20), length in 0usize..2_200_000) {
        let mut bytes = write(files(), &OPTIONS).unwrap().to_vec();
        for (at, value) in damage {
            bytes[at] = value;
        }
        bytes.truncate(length);
        if let Ok(fat) = Fat::open(&bytes)
            && let Ok(entries) = fat.list()
        {
            for entry in entries.iter().take(100) {
                let _ = fat.read(entry);
            }
        }
    }
}
