//! Reading back what `solum take` wrote.

/// Names and contents of a cpio archive in the format "newc" (Linux, buffer-format.rst).
pub fn files(mut archive: &[u8]) -> Vec<(String, &[u8])> {
    const HEADER: usize = 110;
    let mut files = Vec::new();
    loop {
        assert_eq!(&archive[..6], b"070701");
        let field = |number: usize| {
            let digits = std::str::from_utf8(&archive[6 + 8 * number..][..8]).unwrap();
            usize::from_str_radix(digits, 16).unwrap()
        };
        let (size, name_size) = (field(6), field(11));
        let content = (HEADER + name_size).next_multiple_of(4);
        let name = String::from_utf8(archive[HEADER..HEADER + name_size - 1].to_vec()).unwrap();
        if name == "TRAILER!!!" {
            return files;
        }
        files.push((name, &archive[content..content + size]));
        archive = &archive[(content + size).next_multiple_of(4)..];
    }
}
