//! A display of X11 that nobody sits at: Xvfb(1), with its keyboard.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use x11rb::connection::Connection as _;
use x11rb::protocol::Event;
use x11rb::protocol::damage::{ConnectionExt as _, ReportLevel};
use x11rb::protocol::xproto::{
    AtomEnum, ChangeWindowAttributesAux, ClientMessageEvent, ConnectionExt as _, EventMask, ImageFormat,
    KEY_PRESS_EVENT, KEY_RELEASE_EVENT, MOTION_NOTIFY_EVENT, Window,
};
use x11rb::protocol::xtest::ConnectionExt as _;
use x11rb::rust_connection::RustConnection;
use x11rb::wrapper::ConnectionExt as _;

use crate::picture::Picture;

/// A display, as long as this lives.
pub struct Display {
    server: Child,
    /// What `DISPLAY` is to be.
    pub name: String,
    connection: RustConnection,
    root: Window,
}

impl Display {
    /// One of its own for each test; none where Xvfb is not installed.
    pub fn new() -> Option<Self> {
        let mut command = Command::new("Xvfb");
        command.args(["-displayfd", "1", "-screen", "0", "1024x768x24", "-nolisten", "tcp"]);
        let mut server = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().ok()?;
        // It says its number when it can be connected to.
        let mut number = String::new();
        BufReader::new(server.stdout.take().unwrap()).read_line(&mut number).unwrap();
        let name = format!(":{}", number.trim());
        let (connection, screen) = x11rb::connect(Some(&name)).unwrap();
        let root = connection.setup().roots[screen].root;
        connection.damage_query_version(1, 1).unwrap().reply().unwrap();
        Some(Self { server, name, connection, root })
    }

    /// The window with this title.
    pub fn window(&self, title: &str) -> Window {
        let windows = self.connection.query_tree(self.root).unwrap().reply().unwrap().children;
        let title_of = |window: Window| {
            let name =
                self.connection.get_property(false, window, AtomEnum::WM_NAME, AtomEnum::STRING, 0, u32::MAX);
            name.unwrap().reply().unwrap().value
        };
        windows.into_iter().find(|window| title_of(*window) == title.as_bytes()).unwrap()
    }

    /// Looks at a window until it shows what is expected; fails when it closes before.
    pub fn until(&self, window: Window, mut is_seen: impl FnMut(&Picture) -> bool) {
        let damage = self.connection.generate_id().unwrap();
        self.connection.damage_create(damage, window, ReportLevel::NON_EMPTY).unwrap();
        let closing = ChangeWindowAttributesAux::new().event_mask(EventMask::STRUCTURE_NOTIFY);
        self.connection.change_window_attributes(window, &closing).unwrap();
        while !is_seen(&self.look(window)) {
            match self.connection.wait_for_event().unwrap() {
                Event::DamageNotify(_) => {
                    self.connection.damage_subtract(damage, x11rb::NONE, x11rb::NONE).unwrap();
                }
                Event::DestroyNotify(_) => panic!("the window closed before it showed what is expected"),
                _ => {}
            }
        }
        self.connection.damage_destroy(damage).unwrap();
    }

    fn look(&self, window: Window) -> Picture {
        let size = self.connection.get_geometry(window).unwrap().reply().unwrap();
        let (width, height) = (size.width, size.height);
        let image = self.connection.get_image(ImageFormat::Z_PIXMAP, window, 0, 0, width, height, u32::MAX);
        Picture::of_pixels(width.into(), &image.unwrap().reply().unwrap().data)
    }

    /// Presses a key and lets it go, by Linux's number of it, with the mouse pointing into the upper left corner.
    pub fn press(&self, code: u8) {
        for (event, detail) in
            [(MOTION_NOTIFY_EVENT, 0), (KEY_PRESS_EVENT, code + 8), (KEY_RELEASE_EVENT, code + 8)]
        {
            self.connection.xtest_fake_input(event, detail, 0, self.root, 10, 10, 0).unwrap();
        }
        self.connection.sync().unwrap();
    }

    /// Asks a window to close, as a window manager does when somebody clicks on its cross.
    pub fn close(&self, window: Window) {
        let atom = |name: &[u8]| self.connection.intern_atom(false, name).unwrap().reply().unwrap().atom;
        let data = [atom(b"WM_DELETE_WINDOW"), 0, 0, 0, 0];
        let event = ClientMessageEvent::new(32, window, atom(b"WM_PROTOCOLS"), data);
        self.connection.send_event(false, window, EventMask::NO_EVENT, event).unwrap();
        self.connection.sync().unwrap();
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}
