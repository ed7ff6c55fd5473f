//! A socket for DHCP on an interface that may have no address yet.
//!
//! It is a packet socket (packet(7)) and not a UDP one, since a server may send its answer to the very address that it
//! offers, which the kernel would drop (RFC 2131 §4.1).

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::addr::{SocketAddrArg, SocketAddrLen, SocketAddrOpaque};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

/// What fits into an Ethernet packet; longer ones are fragments, and not taken.
const PACKET_MAX: usize = 1500;

/// Sends and receives IPv4 packets of one interface; receives only UDP to port 68.
#[derive(Debug)]
pub(super) struct PacketSocket {
    socket: OwnedFd,
    interface: u32,
}

impl PacketSocket {
    /// Opens a socket on the interface with this index. Needs `CAP_NET_RAW`.
    pub fn open(interface: u32) -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        // Without a protocol it receives nothing, until it is bound: so no packet comes in past the filter.
        let socket = rustix::net::socket_with(AddressFamily::PACKET, SocketType::DGRAM, flags, None)?;
        attach_filter(&socket)?;
        rustix::net::bind(&socket, &LinkAddress::everyone(interface))?;
        Ok(Self { socket, interface })
    }

    /// Sends an IPv4 packet to everyone on the link.
    pub fn broadcast(&self, packet: &[u8]) -> Result<(), Errno> {
        let everyone = LinkAddress::everyone(self.interface);
        rustix::net::sendto(&self.socket, packet, SendFlags::empty(), &everyone).map(|_| ())
    }

    /// The next IPv4 packet; `None` if there is none now.
    pub fn receive(&self) -> Result<Option<Vec<u8>>, Errno> {
        let mut packet = vec![0; PACKET_MAX];
        match rustix::net::recv(&self.socket, &mut packet, RecvFlags::empty()) {
            Ok((length, _)) => {
                packet.truncate(length);
                Ok(Some(packet))
            }
            Err(Errno::AGAIN | Errno::INTR) => Ok(None),
            Err(errno) => Err(errno),
        }
    }
}

impl AsFd for PacketSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Lets the kernel drop whatever is not UDP to port 68, so that a busy network does not wake this process.
fn attach_filter(socket: &OwnedFd) -> io::Result<()> {
    const LOAD_BYTE: u16 = (libc::BPF_LD | libc::BPF_B | libc::BPF_ABS) as u16;
    const LOAD_HALF: u16 = (libc::BPF_LD | libc::BPF_H | libc::BPF_ABS) as u16;
    const LOAD_HALF_AFTER_HEADER: u16 = (libc::BPF_LD | libc::BPF_H | libc::BPF_IND) as u16;
    const HEADER_LENGTH: u16 = (libc::BPF_LDX | libc::BPF_B | libc::BPF_MSH) as u16;
    const JUMP_EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    const JUMP_ANY_BIT: u16 = (libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K) as u16;
    const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
    let code = |code, k, jt, jf| libc::sock_filter { code, jt, jf, k };
    // Offsets are from the beginning of the IPv4 header (RFC 791 §3.1).
    let mut filter = [
        code(LOAD_BYTE, 9, 0, 0),
        code(JUMP_EQUAL, libc::IPPROTO_UDP as u32, 0, 6),
        code(LOAD_HALF, 6, 0, 0),
        code(JUMP_ANY_BIT, 0x1fff, 4, 0), // a later fragment has no UDP header
        code(HEADER_LENGTH, 0, 0, 0),
        code(LOAD_HALF_AFTER_HEADER, 2, 0, 0),
        code(JUMP_EQUAL, 68, 0, 1),
        code(RETURN, u32::MAX, 0, 0),
        code(RETURN, 0, 0, 0),
    ];
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    set_option(socket, libc::SO_ATTACH_FILTER, &program)
}

/// Binds a socket to an interface, whatever the routes say (socket(7)).
pub(super) fn bind_to_interface(socket: &impl AsFd, interface: u32) -> io::Result<()> {
    set_option(socket, libc::SO_BINDTOIFINDEX, &interface)
}

fn set_option<T>(socket: &impl AsFd, option: libc::c_int, value: &T) -> io::Result<()> {
    // SAFETY: the descriptor is open for the length of the call; `value` points to `size_of::<T>()` readable bytes, and the
    // callers pass the type that setsockopt(2) documents for the option.
    let result = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            option,
            std::ptr::from_ref(value).cast(),
            size_of::<T>() as libc::socklen_t,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The address of Ethernet stations on one interface.
struct LinkAddress(libc::sockaddr_ll);

impl LinkAddress {
    fn everyone(interface: u32) -> Self {
        Self(libc::sockaddr_ll {
            sll_family: libc::AF_PACKET as u16,
            sll_protocol: (libc::ETH_P_IP as u16).to_be(),
            sll_ifindex: interface as i32,
            sll_hatype: 0,
            sll_pkttype: 0,
            sll_halen: 6,
            sll_addr: [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0],
        })
    }
}

// SAFETY: `f` gets a pointer to a whole `sockaddr_ll`, which lives as long as the call, and its length.
unsafe impl SocketAddrArg for LinkAddress {
    unsafe fn with_sockaddr<R>(&self, f: impl FnOnce(*const SocketAddrOpaque, SocketAddrLen) -> R) -> R {
        f(std::ptr::from_ref(&self.0).cast(), size_of::<libc::sockaddr_ll>() as SocketAddrLen)
    }
}
