//! Windows: the screens of a system on the display of whoever runs it.
//!
//! They speak X11, which desktops of Wayland understand as well (XWayland). One thread has the connection: the system leaves
//! frames with it, and gets keys from it. No library of the host is needed.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use solum_spec::keyboard::KeyChange;
use solum_spec::plan::{self, Plan};
use solum_vm::Handle;
use solum_vm::system::Onlooker;
use x11rb::connection::{Connection as _, RequestConnection as _};
use x11rb::errors::ReplyOrIdError;
use x11rb::properties::WmSizeHints;
use x11rb::protocol::xkb::{self, ConnectionExt as _};
use x11rb::protocol::xproto::{
    AtomEnum, ClientMessageEvent, ConnectionExt as _, CreateGCAux, CreateWindowAux, EventMask, ImageFormat,
    ImageOrder, PropMode, WindowClass,
};
use x11rb::protocol::{Event, xproto};
use x11rb::rust_connection::RustConnection;
use x11rb::wrapper::ConnectionExt as _;

use crate::arguments::ScreenKind;
use crate::terminal::say;

/// Bytes of a pixel.
const PIXEL_BYTES: usize = 4;
/// What precedes the pixels in a request to draw: `PutImage` of the X protocol, with the longer length of BIG-REQUESTS.
const REQUEST_HEAD_BYTES: usize = 28;
/// What X servers of today add to Linux's number of a key: their first 8 numbers mean no key (X protocol, "Keyboards").
const FIRST_KEY: u8 = 8;

/// Whether screens are to be windows. If not, here is why, unless that is just what was asked for.
pub fn choose(
    wanted: ScreenKind,
    keeps_frames: bool,
    x11: Option<&OsStr>,
    wayland: Option<&OsStr>,
) -> Result<(), Option<&'static str>> {
    let is_set = |variable: Option<&OsStr>| variable.is_some_and(|value| !value.is_empty());
    match wanted {
        ScreenKind::Png => Err(None),
        ScreenKind::Auto if keeps_frames => Err(None),
        _ if is_set(x11) => Ok(()),
        _ if is_set(wayland) => Err(Some("this display speaks Wayland alone, without XWayland")),
        _ => Err(Some("DISPLAY is not set")),
    }
}

/// Opens a window for each screen, and gives who shows its frames in it, in the order of the plan. Keys that are pressed in a
/// window are those of its screen's machine; to close one is to ask the system to stop.
///
/// # Errors
///
/// What the display says.
pub fn open(plan: &Plan, handle: Handle) -> Result<Vec<Onlooker>, String> {
    let (waker, woken) = UnixStream::pair().map_err(|error| error.to_string())?;
    for end in [&waker, &woken] {
        end.set_nonblocking(true).map_err(|error| error.to_string())?;
    }
    let waker = Arc::new(waker);
    let (display, frames) = Display::open(plan, handle, woken).map_err(|error| error.to_string())?;
    thread::spawn(move || display.run());
    let onlooker = |frame: Arc<Frame>| -> Onlooker {
        let waker = Arc::clone(&waker);
        Box::new(move |pixels| {
            frame.keep(pixels);
            // A full buffer is a wake-up already under way, a closed one a display that is gone.
            let _ = (&*waker).write(&[0]);
        })
    };
    Ok(frames.into_iter().map(onlooker).collect())
}

/// The last frame of a screen.
#[derive(Default)]
struct Frame(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    pixels: Vec<u8>,
    is_new: bool,
}

impl Frame {
    fn keep(&self, pixels: &[u8]) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.pixels.clear();
        kept.pixels.extend_from_slice(pixels);
        kept.is_new = true;
    }

    /// The frame, if it has not been taken yet, or in any case.
    fn take(&self, in_any_case: bool) -> Option<Vec<u8>> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = (kept.is_new || in_any_case) && !kept.pixels.is_empty();
        kept.is_new = false;
        is_due.then(|| kept.pixels.clone())
    }
}

/// The keys of a window that are held down. A display repeats those, and forgets them with the focus.
#[derive(Default)]
struct Held(BTreeSet<u16>);

impl Held {
    fn change(&mut self, number: u8, is_pressed: bool) -> Option<KeyChange> {
        let code = u16::from(number.checked_sub(FIRST_KEY)?);
        let is_news = if is_pressed { self.0.insert(code) } else { self.0.remove(&code) };
        is_news.then_some(KeyChange { code, is_pressed })
    }

    fn let_go(&mut self) -> Vec<KeyChange> {
        std::mem::take(&mut self.0).into_iter().map(|code| KeyChange { code, is_pressed: false }).collect()
    }
}

struct Window {
    id: xproto::Window,
    context: xproto::Gcontext,
    width: u16,
    depth: u8,
    machine: String,
    frame: Arc<Frame>,
    held: Held,
    /// What it showed was covered.
    is_exposed: bool,
}

/// The words by which window managers ask a window to close (ICCCM 4.2.8.1).
struct Words {
    protocols: xproto::Atom,
    delete: xproto::Atom,
}

struct Display {
    connection: RustConnection,
    words: Words,
    windows: Vec<Window>,
    handle: Handle,
    woken: UnixStream,
}

type Fallible<T = ()> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

impl Display {
    fn open(plan: &Plan, handle: Handle, woken: UnixStream) -> Fallible<(Self, Vec<Arc<Frame>>)> {
        let (connection, number) = x11rb::connect(None)?;
        let root = connection.setup().roots.get(number).ok_or("it has no screen")?.clone();
        refuse_other_pixels(&connection, &root)?;
        let atom = |name: &str| -> Result<_, ReplyOrIdError> {
            Ok(connection.intern_atom(false, name.as_bytes())?.reply()?.atom)
        };
        let words = Words { protocols: atom("WM_PROTOCOLS")?, delete: atom("WM_DELETE_WINDOW")? };
        report_held_keys_once(&connection);
        let windows = plan.screens.iter().map(|screen| Window::open(&connection, &root, &words, screen));
        let windows = windows.collect::<Fallible<Vec<_>>>()?;
        // From here on they can be seen.
        connection.sync()?;
        let frames = windows.iter().map(|window| Arc::clone(&window.frame)).collect();
        Ok((Self { connection, words, windows, handle, woken }, frames))
    }

    fn run(mut self) {
        if let Err(error) = self.show() {
            say(&format!("the windows are gone: {error}; what screens show is in their pictures"));
        }
    }

    /// Until the system is over.
    fn show(&mut self) -> Fallible {
        loop {
            let mut is_busy = false;
            while let Some(event) = self.connection.poll_for_event()? {
                is_busy = true;
                self.happen(&event);
            }
            for window in &mut self.windows {
                is_busy |= window.draw(&self.connection)?;
            }
            self.connection.flush()?;
            // While it wrote, events may have been read, and nothing more would announce them.
            if !is_busy && self.wait()? {
                return Ok(());
            }
        }
    }

    /// Waits for an event or a frame. Says whether no more frames will come.
    fn wait(&mut self) -> Fallible<bool> {
        let mut descriptors =
            [PollFd::new(self.connection.stream(), PollFlags::IN), PollFd::new(&self.woken, PollFlags::IN)];
        match poll(&mut descriptors, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let mut bytes = [0; 64];
        Ok(matches!(self.woken.read(&mut bytes), Ok(0)))
    }

    fn happen(&mut self, event: &Event) {
        match event {
            Event::Expose(event) => self.with(event.window, |window, _| window.is_exposed = true),
            Event::KeyPress(event) => self.key(event.event, event.detail, true),
            Event::KeyRelease(event) => self.key(event.event, event.detail, false),
            Event::FocusOut(event) => self.with(event.event, |window, handle| {
                window.held.let_go().into_iter().for_each(|key| handle.key_of(&window.machine, key));
            }),
            Event::ClientMessage(event) if self.is_close(event) => self.handle.stop(),
            _ => {}
        }
    }

    fn key(&mut self, window: xproto::Window, number: u8, is_pressed: bool) {
        self.with(window, |window, handle| {
            let change = window.held.change(number, is_pressed);
            change.into_iter().for_each(|key| handle.key_of(&window.machine, key));
        });
    }

    fn with(&mut self, id: xproto::Window, act: impl FnOnce(&mut Window, &Handle)) {
        if let Some(window) = self.windows.iter_mut().find(|window| window.id == id) {
            act(window, &self.handle);
        }
    }

    fn is_close(&self, event: &ClientMessageEvent) -> bool {
        event.type_ == self.words.protocols && event.data.as_data32()[0] == self.words.delete
    }
}

/// Frames are drawn as they are, so a display has to have their pixels.
fn refuse_other_pixels(connection: &RustConnection, root: &xproto::Screen) -> Fallible {
    let setup = connection.setup();
    let is_whole = |format: &xproto::Format| format.depth == root.root_depth && format.bits_per_pixel == 32;
    let visuals = root.allowed_depths.iter().flat_map(|depth| &depth.visuals);
    let is_red_above = |visual: &xproto::Visualtype| {
        visual.visual_id == root.root_visual && (visual.red_mask, visual.blue_mask) == (0x00ff_0000, 0xff)
    };
    let is_fit = setup.pixmap_formats.iter().any(is_whole) && visuals.into_iter().any(is_red_above);
    if is_fit && setup.image_byte_order == ImageOrder::LSB_FIRST {
        return Ok(());
    }
    Err("it does not have 32 bits a pixel, with 8 of each color".into())
}

/// Without this, a key that is held down is let go and pressed again all the time (XKB, "Detectable Autorepeat"). Where it cannot
/// be had, programs see just that.
fn report_held_keys_once(connection: &RustConnection) {
    let Ok(Ok(_)) = connection.xkb_use_extension(1, 0).map(|cookie| cookie.reply()) else { return };
    let repeat = xkb::PerClientFlag::DETECTABLE_AUTO_REPEAT;
    let none = xkb::BoolCtrl::default();
    let core_keyboard = xkb::ID::USE_CORE_KBD.into();
    let flags = connection.xkb_per_client_flags(core_keyboard, repeat, repeat, none, none, none);
    let _ = flags.map(|cookie| cookie.reply());
}

impl Window {
    fn open(
        connection: &RustConnection,
        root: &xproto::Screen,
        words: &Words,
        screen: &plan::Screen,
    ) -> Fallible<Self> {
        let (width, height) = (u16::try_from(screen.width)?, u16::try_from(screen.height)?);
        let (id, context) = (connection.generate_id()?, connection.generate_id()?);
        let events =
            EventMask::EXPOSURE | EventMask::KEY_PRESS | EventMask::KEY_RELEASE | EventMask::FOCUS_CHANGE;
        let options = CreateWindowAux::new().background_pixel(root.black_pixel).event_mask(events);
        let (depth, visual) = (root.root_depth, root.root_visual);
        let kind = WindowClass::INPUT_OUTPUT;
        connection
            .create_window(depth, id, root.root, 0, 0, width, height, 0, kind, visual, &options)?
            .check()?;
        connection.create_gc(context, id, &CreateGCAux::new())?.check()?;
        let title = screen.full_name();
        let text = |property: AtomEnum, text: &str| {
            connection.change_property8(PropMode::REPLACE, id, property, AtomEnum::STRING, text.as_bytes())
        };
        text(AtomEnum::WM_NAME, &title)?;
        text(AtomEnum::WM_CLASS, "solum\0Solum\0")?;
        connection.change_property32(
            PropMode::REPLACE,
            id,
            words.protocols,
            AtomEnum::ATOM,
            &[words.delete],
        )?;
        // A screen has as many pixels as its description says.
        let size = Some((i32::from(width), i32::from(height)));
        let hints = WmSizeHints { min_size: size, max_size: size, ..WmSizeHints::new() };
        hints.set_normal_hints(connection, id)?;
        connection.map_window(id)?.check()?;
        let (machine, frame) = (screen.machine.clone(), Arc::default());
        Ok(Self { id, context, width, depth, machine, frame, held: Held::default(), is_exposed: false })
    }

    /// Whether there was something to draw.
    fn draw(&mut self, connection: &RustConnection) -> Fallible<bool> {
        let Some(pixels) = self.frame.take(std::mem::take(&mut self.is_exposed)) else { return Ok(false) };
        let line_bytes = usize::from(self.width) * PIXEL_BYTES;
        let lines_max = (connection.maximum_request_bytes() - REQUEST_HEAD_BYTES) / line_bytes;
        let mut top = 0;
        for part in pixels.chunks(line_bytes * lines_max.max(1)) {
            let lines = (part.len() / line_bytes) as u16;
            connection.put_image(
                ImageFormat::Z_PIXMAP,
                self.id,
                self.context,
                self.width,
                lines,
                0,
                top as i16,
                0,
                self.depth,
                part,
            )?;
            top += lines;
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_screen_is_a_window_where_there_is_a_display_and_nobody_wants_pictures() {
        use ScreenKind::{Auto, Png, Window};
        let (none, empty, there) = (None, Some(OsStr::new("")), Some(OsStr::new(":0")));
        let unset = Err(Some("DISPLAY is not set"));
        let wayland_alone = Err(Some("this display speaks Wayland alone, without XWayland"));
        let table = [
            ((Auto, false, there, none), Ok(())),
            ((Auto, true, there, none), Err(None)),
            ((Window, true, there, there), Ok(())),
            ((Png, false, there, there), Err(None)),
            ((Auto, false, none, none), unset),
            ((Window, false, empty, none), unset),
            ((Auto, false, none, there), wayland_alone),
        ];
        for ((wanted, frames, x11, wayland), expected) in table {
            assert_eq!(choose(wanted, frames, x11, wayland), expected, "{wanted:?} {frames}");
        }
    }

    #[test]
    fn a_key_is_pressed_once_and_let_go_once() {
        let mut held = Held::default();
        let up = |is_pressed| Some(KeyChange { code: 103, is_pressed });
        assert_eq!(held.change(111, true), up(true));
        assert_eq!(held.change(111, true), None, "the display repeats it");
        assert_eq!(held.change(111, false), up(false));
        assert_eq!(held.change(111, false), None);
        assert_eq!(held.change(7, true), None, "no key has this number");
        held.change(111, true);
        assert_eq!(held.let_go(), [up(false).unwrap()]);
        assert_eq!(held.let_go(), []);
    }

    #[test]
    fn the_last_frame_is_drawn_once_and_again_when_it_was_covered() {
        let frame = Frame::default();
        assert_eq!(frame.take(true), None);
        frame.keep(&[1; 4]);
        frame.keep(&[2; 4]);
        assert_eq!(frame.take(false), Some(vec![2; 4]));
        assert_eq!(frame.take(false), None);
        assert_eq!(frame.take(true), Some(vec![2; 4]));
    }
}
