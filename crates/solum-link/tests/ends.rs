//! Two ends of one link in one process: frames, space, wake-ups, lives.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use solum_link::{
    Armed, Broken, End, Frame, Kind, Layout, LinkHost, OpenError, Range, Received, SendError, Session, Side,
    WaitOutcome,
};
use std::os::fd::AsFd;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

const LAYOUT: Layout = Layout { ring_bytes: 4096, pool_bytes: 8192 };

fn open(host: &LinkHost, side: Side) -> Result<End, OpenError> {
    let descriptors = host.descriptors(side);
    let [memory, own, peer] = [descriptors.memory, descriptors.own_bell, descriptors.peer_bell]
        .map(|descriptor| descriptor.try_clone_to_owned().unwrap());
    End::open(memory, own, peer, side)
}

fn link() -> (LinkHost, End, End) {
    let host = LinkHost::create("test", LAYOUT).unwrap();
    host.attach(Side::Client, 1);
    host.attach(Side::Server, 1);
    let (mut client, server) = (open(&host, Side::Client).unwrap(), open(&host, Side::Server).unwrap());
    assert_eq!(client.wait(soon()), WaitOutcome::Ready, "the server came");
    (host, client, server)
}

fn request(call: u32, payload: &[u8]) -> Frame<'_> {
    Frame { kind: Kind::Request, call, payload, ..Frame::default() }
}

fn soon() -> Option<Instant> {
    Some(Instant::now() + Duration::from_secs(20))
}

#[test]
fn a_frame_arrives_as_it_was_sent() {
    let (_host, mut client, mut server) = link();
    let frame = Frame {
        kind: Kind::Request,
        method: 3,
        call: 4,
        session: Session { client: 5, server: 6 },
        range: Some(Range { offset: 64, length: 8128 }),
        payload: b"some words",
    };
    client.send(&frame).unwrap();
    assert_eq!(server.receive().unwrap().unwrap().as_frame(), frame);
    assert_eq!(server.receive(), Ok(None));
}

#[test]
fn frames_of_all_lengths_keep_their_order_around_the_ring() {
    let (_host, mut client, mut server) = link();
    let mut received = Received::default();
    for call in 0..5000_u32 {
        let payload = vec![call as u8; call as usize * 7 % (client.longest_payload() + 1)];
        client.send(&request(call, &payload)).unwrap();
        assert!(server.receive_into(&mut received).unwrap());
        assert_eq!((received.call, &received.payload), (call, &payload));
    }
}

#[test]
fn what_is_too_long_is_refused_and_a_full_ring_says_so() {
    let (_host, mut client, mut server) = link();
    let max = client.longest_payload();
    assert_eq!(max, 4096 / 4 - 32);
    assert_eq!(client.send(&request(0, &vec![0; max + 1])), Err(SendError::TooLong { max }));
    let payload = vec![0; max];
    for call in 0..4 {
        client.send(&request(call, &payload)).unwrap();
    }
    assert_eq!(client.send(&request(4, &[])), Err(SendError::Full));
    assert_eq!(client.wait(Some(Instant::now())), WaitOutcome::Deadline);
    for call in 0..4 {
        assert_eq!(server.receive().unwrap().unwrap().call, call);
    }
    client.send(&request(4, &[])).unwrap();
}

#[test]
fn who_waits_for_space_is_woken_by_who_reads() {
    let (_host, mut client, mut server) = link();
    client.spin_at_most(Duration::ZERO);
    let writer = thread::spawn(move || {
        let payload = [1; 500];
        for call in 0..2000 {
            client.send_waiting(&request(call, &payload), soon()).unwrap();
        }
        client
    });
    for call in 0..2000 {
        let frame = loop {
            if let Some(frame) = server.receive().unwrap() {
                break frame;
            }
            assert_eq!(server.wait(soon()), WaitOutcome::Ready);
        };
        assert_eq!(frame.call, call);
    }
    let mut client = writer.join().unwrap();
    let full = vec![0; client.longest_payload()];
    while client.send(&request(0, &full)).is_ok() {}
    assert_eq!(client.send_waiting(&request(0, &full), Some(Instant::now())), Err(SendError::Full));
}

#[test]
fn a_sleeper_wakes_for_each_frame_however_it_sleeps() {
    for (spin, poll) in [(Duration::ZERO, false), (Duration::from_micros(50), false), (Duration::ZERO, true)]
    {
        let (_host, mut client, mut server) = link();
        client.spin_at_most(spin);
        server.spin_at_most(spin);
        let echo = thread::spawn(move || {
            for call in 0..3000 {
                let frame = next(&mut server, poll);
                assert_eq!(frame.call, call);
                server.send(&frame.as_frame()).unwrap();
            }
        });
        for call in 0..3000 {
            client.send(&request(call, b"ping")).unwrap();
            assert_eq!(next(&mut client, poll).call, call);
        }
        echo.join().unwrap();
    }
}

fn next(end: &mut End, poll: bool) -> Received {
    loop {
        if let Some(frame) = end.receive().unwrap() {
            return frame;
        }
        if !poll {
            assert_eq!(end.wait(soon()), WaitOutcome::Ready);
            continue;
        }
        if end.arm_for_poll() == Armed::Sleep {
            let bell = end.bell();
            let mut polled = [rustix::event::PollFd::new(&bell, rustix::event::PollFlags::IN)];
            let timeout = rustix::event::Timespec { tv_sec: 20, tv_nsec: 0 };
            assert_eq!(rustix::event::poll(&mut polled, Some(&timeout)).unwrap(), 1, "nobody rang");
        }
        end.disarm();
    }
}

fn is_rung(end: &End) -> bool {
    let bell = end.bell();
    let mut polled = [rustix::event::PollFd::new(&bell, rustix::event::PollFlags::IN)];
    rustix::event::poll(&mut polled, Some(&rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 })).unwrap() == 1
}

#[test]
fn a_bell_rings_for_who_is_armed_only_and_is_silent_afterwards() {
    let (_host, mut client, mut server) = link();
    client.send(&request(1, &[])).unwrap();
    assert!(!is_rung(&server));
    assert_eq!(server.arm_for_poll(), Armed::Ready);
    server.receive().unwrap();
    assert_eq!(server.arm_for_poll(), Armed::Sleep);
    client.send(&request(2, &[])).unwrap();
    assert!(is_rung(&server));
    server.disarm();
    assert!(!is_rung(&server));
}

#[test]
fn who_waits_for_a_peer_is_woken_when_it_comes_and_when_it_ends() {
    let host = LinkHost::create("test", LAYOUT).unwrap();
    host.attach(Side::Client, 1);
    let mut client = open(&host, Side::Client).unwrap();
    client.spin_at_most(Duration::ZERO);
    assert!(!client.peer_alive());
    let (say, hear) = mpsc::channel();
    let waiter = thread::spawn(move || {
        for _ in 0..2 {
            assert_eq!(client.wait(soon()), WaitOutcome::Ready);
            say.send(client.peer_epoch()).unwrap();
        }
    });
    host.attach(Side::Server, 9);
    let server = open(&host, Side::Server).unwrap();
    assert_eq!(hear.recv().unwrap(), Some(9));
    drop(server);
    host.detach(Side::Server);
    assert_eq!(hear.recv().unwrap(), None);
    waiter.join().unwrap();
}

#[test]
fn a_process_that_comes_after_another_reads_nothing_meant_for_that() {
    let (host, mut client, mut server) = link();
    client.send(&request(1, b"for the first")).unwrap();
    server.send(&request(2, b"for the client")).unwrap();
    drop(server);
    host.detach(Side::Server);
    host.attach(Side::Server, 2);
    let mut server = open(&host, Side::Server).unwrap();
    assert_eq!((server.epoch(), client.peer_epoch()), (2, Some(2)));
    assert_eq!(server.receive(), Ok(None));
    client.send(&request(3, b"for the second")).unwrap();
    assert_eq!(server.receive().unwrap().unwrap().call, 3);
    assert_eq!(client.receive().unwrap().unwrap().call, 2);
}

#[test]
fn a_range_beyond_the_pool_breaks_the_link_until_the_peer_is_replaced() {
    let (host, mut client, mut server) = link();
    let range = Some(Range { offset: 8000, length: 200 });
    client.send(&Frame { range, ..request(1, &[]) }).unwrap();
    client.send(&request(2, &[])).unwrap();
    assert_eq!(server.receive(), Err(Broken));
    assert_eq!(server.receive(), Err(Broken));
    assert_eq!(server.send(&request(1, &[])), Err(SendError::Broken));
    assert_eq!(server.wait(Some(Instant::now())), WaitOutcome::Deadline);
    drop(client);
    host.detach(Side::Client);
    assert_eq!(server.wait(soon()), WaitOutcome::Ready);
    host.attach(Side::Client, 2);
    let mut client = open(&host, Side::Client).unwrap();
    server.send(&request(7, &[])).unwrap();
    client.send(&request(8, &[])).unwrap();
    assert_eq!(client.receive().unwrap().unwrap().call, 7);
    assert_eq!(server.receive().unwrap().unwrap().call, 8);
}

#[test]
fn only_what_the_host_made_and_attached_is_opened() {
    use rustix::fs::{MemfdFlags, memfd_create};
    let host = LinkHost::create("test", LAYOUT).unwrap();
    assert!(matches!(open(&host, Side::Client), Err(OpenError::NotAttached)));
    let bells = host.descriptors(Side::Client);
    let [own, peer] = [bells.own_bell, bells.peer_bell].map(|bell| bell.try_clone_to_owned().unwrap());
    let file = memfd_create("test", MemfdFlags::ALLOW_SEALING).unwrap();
    assert!(matches!(End::open(file, own, peer, Side::Client), Err(OpenError::NotSealed)));
    assert!(rustix::fs::ftruncate(bells.memory, 4096).is_err());
    for (ring_bytes, pool_bytes) in [(5000, 0), (4096, 5), (0, 0)] {
        assert!(LinkHost::create("test", Layout { ring_bytes, pool_bytes }).is_err());
    }
}

#[test]
fn the_pool_is_the_same_memory_on_both_sides() {
    let (_host, client, server) = link();
    let range = client.pool().allocate(5000).unwrap();
    client.pool().copy_in(range, b"bulk").unwrap();
    let mut back = [0; 4];
    server.pool().copy_out(range, &mut back).unwrap();
    assert_eq!(&back, b"bulk");
    assert!(client.bell().as_fd().try_clone_to_owned().is_ok());
}

#[test]
fn what_a_client_spoiled_is_whole_for_the_next_server() {
    let host = LinkHost::create("test", LAYOUT).unwrap();
    host.attach(Side::Client, 1);
    let memory = host.descriptors(Side::Client).memory;
    // The magic, the sizes, and the server's life; a mapping of the client would do the same.
    assert_eq!(rustix::io::pwrite(memory, &[0xFF; 4096], 0).unwrap(), 4096);
    assert!(matches!(open(&host, Side::Server), Err(OpenError::NotALink)));
    host.attach(Side::Server, 1);
    assert!(open(&host, Side::Server).is_ok());
}
