//! Who the machine and its users are: host name and the few files in `/etc` that C libraries look for.

use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;

use rustix::rand::{GetRandomFlags, getrandom};
use rustix::system::sethostname;
use solum_spec::reason;

use crate::kernel_log;
use crate::permanent::Permanent;

const VERSION: &str = env!("CARGO_PKG_VERSION");
/// What the machine is by its maker's name, if it says so.
pub const MODEL: &str = "/run/model";

/// Name of the user that programs run as.
pub const USER: &str = "app";
/// Its home.
pub const HOME: &str = "/home/app";
/// User and group of the role `net`. Beyond the users of a host, whose files a share shows under their own numbers, and
/// below `nobody` (65534; systemd, "Users, Groups, UIDs and GIDs").
pub const NET_USER_ID: u32 = 65_530;
/// User and group of the role `time`.
pub const TIME_USER_ID: u32 = 65_531;
/// User and group of the role `link`.
pub const LINK_USER_ID: u32 = 65_532;
/// The first user of units, which are numbered by their order; below are those of plain machines.
pub const FIRST_UNIT_USER: u32 = 2000;
/// Where the role `net` keeps what it writes.
pub const NET_DIRECTORY: &str = "/run/net";
/// Where the role `time` keeps what it writes.
pub const TIME_DIRECTORY: &str = "/run/time";
/// Exists once the clock was set from a time server; holds the time of setting (RFC 3339).
pub const CLOCK_SET: &str = "/run/time/clock-set";

/// Sets the host name and writes what is missing of `/etc`. Files that came with the image stay as they are.
/// `hosts` are the other machines that programs may call by name.
pub fn establish(host_name: &str, user_id: u32, hosts: &[(String, Ipv4Addr)]) -> Vec<String> {
    let mut failures = Vec::new();
    let mut note = |what: &str, result: io::Result<()>| {
        if let Err(error) = result {
            failures.push(format!("{what}: {}", reason(&error)));
        }
    };
    note("the host name could not be set", sethostname(host_name.as_bytes()).map_err(Into::into));
    for (path, content) in files(host_name, user_id, hosts) {
        note(path, write_if_absent(path, &content));
    }
    note("/etc/resolv.conf", link_if_absent("/etc/resolv.conf", "/run/net/resolv.conf"));
    note(NET_DIRECTORY, directory_of(NET_DIRECTORY, 0o755, NET_USER_ID));
    note(TIME_DIRECTORY, directory_of(TIME_DIRECTORY, 0o755, TIME_USER_ID));
    if let Some(model) = model() {
        kernel_log::info(&format!("this machine is a {model}"));
        note(MODEL, fs::write(MODEL, model + "\n"));
    }
    if user_id != 0 {
        note(HOME, directory_of(HOME, 0o700, user_id));
    }
    failures
}

fn files(host_name: &str, user_id: u32, hosts: &[(String, Ipv4Addr)]) -> [(&'static str, String); 4] {
    let others: String = hosts.iter().map(|(name, address)| format!("{address} {name}\n")).collect();
    let user = if user_id == 0 { String::new() } else { format!("{USER}:x:{user_id}:{user_id}::{HOME}:\n") };
    let group = if user_id == 0 { String::new() } else { format!("{USER}:x:{user_id}:\n") };
    [
        // RFC 6761, section 6.3: localhost is answered without asking a DNS server. The C libraries would ask.
        ("/etc/hosts", format!("127.0.0.1 localhost\n::1 localhost\n127.0.1.1 {host_name}\n{others}")),
        // os-release(5).
        (
            "/etc/os-release",
            format!(
                "NAME=Solum\nID=solum\nVERSION_ID={VERSION}\nPRETTY_NAME=\"{host_name} (Solum {VERSION})\"\n"
            ),
        ),
        (
            "/etc/passwd",
            format!(
                "root:x:0:0::/root:\nnet:x:{NET_USER_ID}:{NET_USER_ID}::/:\ntime:x:{TIME_USER_ID}:{TIME_USER_ID}::/:\nlink:x:{LINK_USER_ID}:{LINK_USER_ID}::/:\n{user}"
            ),
        ),
        (
            "/etc/group",
            format!(
                "root:x:0:\ntty:x:5:\nnet:x:{NET_USER_ID}:\ntime:x:{TIME_USER_ID}:\nlink:x:{LINK_USER_ID}:\n{group}"
            ),
        ),
    ]
}

/// What the machine is called by its maker: the device tree's word, else the firmware's (SMBIOS, type 1).
fn model() -> Option<String> {
    let dmi = |name: &str| text(&format!("/sys/class/dmi/id/{name}"));
    text("/proc/device-tree/model").or_else(|| {
        let product = dmi("product_name")?;
        Some(dmi("sys_vendor").map_or_else(|| product.clone(), |vendor| format!("{vendor} {product}")))
    })
}

/// A line that firmware wrote; those of a device tree end with a zero byte.
fn text(path: &str) -> Option<String> {
    let bytes = fs::read(path).ok()?;
    let line = String::from_utf8_lossy(&bytes);
    let line = line.trim_matches(|character: char| character == '\0' || character.is_whitespace());
    (!line.is_empty()).then(|| line.to_owned())
}

/// Writes /etc/machine-id (machine-id(5)), unless the image brings one: what was kept from the first start, else what follows
/// from the hardware, else a new one.
pub fn write_machine_id(permanent: Option<&Permanent>) -> io::Result<()> {
    let new = || hex(from_hardware().unwrap_or_else(random));
    let id = permanent.map_or_else(new, |permanent| permanent.machine_id(new));
    write_if_absent("/etc/machine-id", &format!("{id}\n"))
}

/// Marks the bits as those of a random UUID (RFC 9562, section 5.4), which machine-id(5) asks for.
fn hex(mut id: [u8; 16]) -> String {
    id[6] = id[6] & 0x0f | 0x40;
    id[8] = id[8] & 0x3f | 0x80;
    format!("{:032x}", u128::from_be_bytes(id))
}

fn random() -> [u8; 16] {
    let mut id = [0; 16];
    // It need not be secret, only not another machine's.
    let _ = getrandom(&mut id, GetRandomFlags::INSECURE);
    id
}

/// The same on each start of the same hardware, without giving its serial number away (machine-id(5) keeps that confidential).
#[cfg(feature = "system")]
fn from_hardware() -> Option<[u8; 16]> {
    use blake2::{Blake2s256, Digest};
    let serial =
        text("/sys/class/dmi/id/product_uuid").or_else(|| text("/proc/device-tree/serial-number"))?;
    // What makers write who do not write one.
    if serial.bytes().all(|byte| b"0-".contains(&byte)) || serial.bytes().all(|byte| b"fF-".contains(&byte)) {
        return None;
    }
    let hash = Blake2s256::new().chain_update(b"solum machine-id").chain_update(serial.to_ascii_lowercase());
    hash.finalize().first_chunk().copied()
}

/// Without units there is no hash function in the file.
#[cfg(not(feature = "system"))]
fn from_hardware() -> Option<[u8; 16]> {
    None
}

fn write_if_absent(path: &str, content: &str) -> io::Result<()> {
    if Path::new(path).symlink_metadata().is_ok() {
        return Ok(());
    }
    if let Some(parent) = Path::new(path).parent() {
        fs::create_dir_all(parent)?;
    }
    fs::write(path, content)
}

fn link_if_absent(path: &str, target: &str) -> io::Result<()> {
    if Path::new(path).symlink_metadata().is_ok() { Ok(()) } else { symlink(target, path) }
}

fn directory_of(path: &str, permissions: u32, user_id: u32) -> io::Result<()> {
    fs::create_dir_all(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(permissions))?;
    chown(path, Some(user_id), Some(user_id))
}

/// Kernel settings that let an unprivileged program do what is harmless when it has a machine of its own.
/// Meanings: Linux, Documentation/networking/ip-sysctl.rst. What a kernel lacks is left out.
pub fn relax() {
    for (path, value) in [
        ("/proc/sys/net/ipv4/ip_unprivileged_port_start", "0"),
        ("/proc/sys/net/ipv4/ping_group_range", "0 2147483647"),
    ] {
        let _ = fs::write(path, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_those_of_random_uuids() {
        assert_eq!(hex([0; 16]), "00000000000040008000000000000000");
        assert_eq!(hex([0xff; 16]), "ffffffffffff4fffbfffffffffffffff");
        assert_ne!(random(), random());
    }

    #[test]
    fn root_only_machines_have_no_other_user() {
        let [hosts, release, passwd, group] = files("m", 0, &[("other".into(), Ipv4Addr::new(10, 83, 0, 2))]);
        assert!(hosts.1.ends_with("127.0.1.1 m\n10.83.0.2 other\n"), "{}", hosts.1);
        assert!(!passwd.1.contains(HOME) && !group.1.contains("app"));
        assert!(release.1.contains("\nPRETTY_NAME=\"m (Solum "), "{}", release.1);
        let [_, _, passwd, group] = files("m", 1000, &[]);
        assert!(passwd.1.ends_with("app:x:1000:1000::/home/app:\n"), "{}", passwd.1);
        assert!(group.1.ends_with("app:x:1000:\n"));
    }
}
