//! The smallest program: it writes one line and ends. Its machine code stands here, so that the address of each
//! instruction is known, and no compiler's version changes what is counted.

/// Where it is loaded: far from the 0x40_0000 at which linkers put everybody else, PID 1 among them, because a
/// breakpoint knows addresses and not processes.
const BASE: u32 = 0x2000_0000;

const FILE_HEADER_BYTES: u16 = 64;
const PROGRAM_HEADER_BYTES: u16 = 56;
const HEADERS_BYTES: u16 = FILE_HEADER_BYTES + PROGRAM_HEADER_BYTES;

/// The address of the first instruction.
pub const ENTRY: u64 = BASE as u64 + HEADERS_BYTES as u64;

/// The address of the instruction after the system call that writes the line.
pub const LINE_WRITTEN: u64 = ENTRY + WRITE.len() as u64;

const LINE: &[u8] = b"first line\n";

/// `write(1, LINE, 11)`: the address of the line is added by [`executable`], at [`LINE_ADDRESS_AT`].
const WRITE: [u8; 22] = [
    0xb8, 1, 0, 0, 0, // mov eax, 1 (write)
    0xbf, 1, 0, 0, 0, // mov edi, 1
    0xbe, 0, 0, 0, 0, // mov esi, LINE
    0xba, 11, 0, 0, 0, // mov edx, 11
    0x0f, 0x05, // syscall
];

const LINE_ADDRESS_AT: usize = 11;

/// `exit(0)`
const EXIT: [u8; 9] = [
    0x31, 0xff, // xor edi, edi
    0xb8, 60, 0, 0, 0, // mov eax, 60 (exit)
    0x0f, 0x05, // syscall
];

/// The program as an ELF file for x86-64 (Tool Interface Standard, "ELF Specification", and the AMD64 supplement).
pub fn executable() -> Vec<u8> {
    let mut code = [&WRITE[..], &EXIT, LINE].concat();
    let line = ENTRY as u32 + (WRITE.len() + EXIT.len()) as u32;
    code[LINE_ADDRESS_AT..LINE_ADDRESS_AT + 4].copy_from_slice(&line.to_le_bytes());
    let length = u64::from(HEADERS_BYTES) + code.len() as u64;

    let mut file = Vec::from(*b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0"); // 64 bits, little-endian, version 1
    let half = |file: &mut Vec<u8>, value: u16| file.extend(value.to_le_bytes());
    let word = |file: &mut Vec<u8>, value: u32| file.extend(value.to_le_bytes());
    let long = |file: &mut Vec<u8>, value: u64| file.extend(value.to_le_bytes());
    half(&mut file, 2); // an executable
    half(&mut file, 62); // for x86-64
    word(&mut file, 1);
    long(&mut file, ENTRY);
    long(&mut file, u64::from(FILE_HEADER_BYTES)); // where the program headers are
    long(&mut file, 0); // no section headers
    word(&mut file, 0);
    for value in [FILE_HEADER_BYTES, PROGRAM_HEADER_BYTES, 1, 0, 0, 0] {
        half(&mut file, value);
    }
    word(&mut file, 1); // to be loaded
    word(&mut file, 5); // readable and executable
    for value in [0, u64::from(BASE), u64::from(BASE), length, length, 0x1000] {
        long(&mut file, value);
    }
    file.extend(code);
    file
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::io::ErrorKind;
    use std::os::unix::fs::PermissionsExt;
    use std::process::Command;

    #[test]
    fn it_writes_its_line_and_ends() {
        if cfg!(not(all(target_os = "linux", target_arch = "x86_64"))) {
            println!("skipped: the probe is a program for Linux on x86-64");
            return;
        }
        let path = std::env::temp_dir().join(format!("solum-probe-{}", std::process::id()));
        fs::write(&path, executable()).expect("a writable temporary directory");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("its owner may");
        let output = loop {
            match Command::new(&path).output() {
                // Another test's child may hold what this one wrote, from its fork to its exec (ETXTBSY).
                Err(error) if error.kind() == ErrorKind::ExecutableFileBusy => std::thread::yield_now(),
                outcome => break outcome,
            }
        };
        fs::remove_file(&path).expect("it was just written");
        let output = output.expect("the kernel takes it for a program");
        assert!(output.status.success(), "{}", output.status);
        assert_eq!(output.stdout, LINE);
    }
}
