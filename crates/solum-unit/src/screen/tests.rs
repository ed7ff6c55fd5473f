use super::*;

const SIZE: (u32, u32) = (2, 1);
const FRAME: usize = 8;

/// Keeps what it is shown; a slow one says so only at its second turn.
struct Kept {
    frames: Vec<Vec<u8>>,
    is_slow: bool,
    is_due: bool,
}

impl Display for Kept {
    fn show(&mut self, _: Duration, pixels: &[u8]) -> io::Result<Shown> {
        self.frames.push(pixels.to_vec());
        self.is_due = self.is_slow;
        Ok(if self.is_slow { Shown::Later } else { Shown::Now })
    }

    fn turn(&mut self, _: Duration) -> io::Result<Shown> {
        Ok(if std::mem::take(&mut self.is_due) { Shown::Now } else { Shown::Later })
    }
}

fn screens(is_slow: bool) -> Screens<Kept> {
    let mut screens = Screens::new().unwrap();
    let display = Kept { frames: Vec::new(), is_slow, is_due: false };
    screens.add("desk.main".into(), SIZE, Duration::ZERO, display).unwrap();
    screens
}

fn open(screens: &mut Screens<Kept>) -> (File, UnixStream) {
    let (memory, shown) = screens.open(0).unwrap();
    let shown = UnixStream::from(shown);
    shown.set_nonblocking(true).unwrap();
    (memory.into(), shown)
}

fn answer(mut shown: &UnixStream) -> Option<u8> {
    let mut byte = [0];
    shown.read(&mut byte).ok().filter(|length| *length == 1).map(|_| byte[0])
}

#[test]
fn a_frame_is_shown_as_it_was_drawn_and_answered() {
    let mut screens = screens(false);
    let (memory, mut shown) = open(&mut screens);
    memory.write_all_at(&[7; FRAME], FRAME as u64).unwrap();
    shown.write_all(&[1]).unwrap();
    assert!(screens.turn().is_empty());
    assert_eq!(screens.seats[0].display.frames, [[7; FRAME]]);
    assert_eq!(answer(&shown), Some(1));
}

#[test]
fn a_unit_is_answered_when_a_slow_display_has_shown_its_frame() {
    let mut screens = screens(true);
    let (_memory, mut shown) = open(&mut screens);
    shown.write_all(&[0]).unwrap();
    assert!(screens.turn().is_empty());
    assert_eq!(answer(&shown), None);
    assert!(screens.turn().is_empty());
    assert_eq!(answer(&shown), Some(0));
}

#[test]
fn a_unit_that_says_too_much_loses_its_screen_and_the_next_one_has_it() {
    let mut screens = screens(false);
    for wrong in [&[2_u8][..], &[0, 1]] {
        let (_memory, mut shown) = open(&mut screens);
        shown.write_all(wrong).unwrap();
        let said = screens.turn();
        if wrong.len() == 1 {
            assert_eq!(said.len(), 1, "{said:?}");
            assert!(said[0].starts_with("screen desk.main (2x1) is taken away from its unit: "), "{said:?}");
        }
    }
    let (_memory, mut shown) = open(&mut screens);
    shown.write_all(&[0]).unwrap();
    screens.turn();
    assert_eq!(answer(&shown), Some(0));
}

#[test]
fn nobody_can_take_the_frames_away() {
    let mut screens = screens(false);
    let (memory, _shown) = open(&mut screens);
    assert!(memory.set_len(1).is_err());
    assert!(memory.set_len(1 << 20).is_err());
}

#[test]
fn a_frame_or_a_unit_that_leaves_wakes_and_nothing_else_does() {
    let mut screens = screens(false);
    let waker = screens.waker().unwrap();
    let is_awake = || {
        let mut polled = [rustix::event::PollFd::new(&waker, rustix::event::PollFlags::IN)];
        rustix::event::poll(&mut polled, Some(&rustix::event::Timespec::default())).unwrap() > 0
    };
    let (_memory, mut shown) = open(&mut screens);
    assert!(!is_awake());
    shown.write_all(&[0]).unwrap();
    assert!(is_awake());
    screens.turn();
    assert!(!is_awake());
    drop(shown);
    assert!(is_awake());
    screens.turn();
    assert!(!is_awake());
}
