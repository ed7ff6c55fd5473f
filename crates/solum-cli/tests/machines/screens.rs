//! Screens and keyboards of a system.

use std::fs;
use std::path::Path;

use crate::TIMEOUT;
use crate::display::Display;
use crate::harness::{Running, Scratch};
use crate::picture::Picture;
use crate::viewer::Viewer;

/// How many of a thousand pixels a game may differ in from another: its apple is elsewhere, and glows.
const APPLES: usize = 40;

/// The machine of the example with the game, and a smaller screen.
fn arcade(scratch: &Scratch) {
    let package = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/screen");
    let description = format!(
        r#"
[system]
name = "arcade"
[program.game]
package = {:?}
bin = "game"
[machine.arcade]
screen.main = "640x480"
keys = true
[machine.arcade.unit.game]
program = "game"
ports.screen = "screen.main"
ports.keys = "keys"
"#,
        package.display().to_string()
    );
    scratch.file("solum.toml", description);
}

#[test]
fn a_game_is_played_with_keys_and_seen_in_pictures() {
    let scratch = Scratch::new();
    arcade(&scratch);
    let at = |words: &[&str]| scratch.solum(&[words, &["-C", "[SCRATCH]"]].concat());
    let running =
        scratch.solum(&["run", "[SCRATCH]", "--place", "host", "--frames", "[SCRATCH]/frames"]).start();
    let running = running.until_it_prints("arrows or WASD turn the snake");
    at(&["press", "up"]).run().exits(0).prints("").says("");
    // It runs into the wall, from the middle of 18 lines.
    let running = running.until_it_prints("over after ");
    at(&["press", "--machine", "arcade", "--text", " "]).run().exits(0);
    let unknown = at(&["press", "--machine", "wall", "left"]).run();
    unknown.exits(102).says("error: no keyboard is at `wall`; there are those of arcade\n");
    at(&["down"]).run().exits(0);
    running.finish().exits(0).mentions("solum: screen arcade.main is at ");
    let picture = fs::read(scratch.path(".solum/screens/arcade.main.png")).unwrap();
    assert!(picture.starts_with(b"\x89PNG\r\n\x1a\n"));
    let frames = scratch.names("frames/arcade.main");
    assert!(frames.len() > 9 && frames.iter().any(|name| name == "000009.png"), "{frames:?}");
}

/// The game at its beginning and when it is over, as it is drawn on this host. The snake runs into the wall, from the middle of
/// 18 lines.
fn drawn_on_the_host() -> (Picture, Picture) {
    let scratch = Scratch::new();
    arcade(&scratch);
    let options = ["run", "[SCRATCH]", "--place", "host", "--frames", "[SCRATCH]/frames"];
    let running = scratch.solum(&options).start().until_it_prints("arrows or WASD turn the snake");
    scratch.solum(&["press", "-C", "[SCRATCH]", "up"]).run().exits(0);
    let running = running.until_it_prints("over after ");
    down(&scratch, running);
    let begun = Picture::read(&scratch.path("frames/arcade.main/000001.png"));
    (begun, Picture::read(&scratch.path(".solum/screens/arcade.main.png")))
}

fn down(scratch: &Scratch, running: Running) {
    scratch.solum(&["down", "-C", "[SCRATCH]"]).run().exits(0);
    running.finish().exits(0);
}

#[test]
fn a_virtual_machine_shows_what_its_unit_draws_and_feels_keys() {
    let scratch = Scratch::new();
    let fetched = scratch.solum_without_init(&["kernel", "build", "--kernel", "debian-pc"]).run();
    if !fetched.status.success() {
        println!("skipped: there is no kernel that can show something: {}", fetched.stderr());
        return;
    }
    let (begun, over) = drawn_on_the_host();
    arcade(&scratch);
    let running = scratch.solum(&["run", "[SCRATCH]", "--place", "vm", "--timeout", TIMEOUT]).start();
    let running = running.until_it_prints("arrows or WASD turn the snake");
    let mut viewer = Viewer::new(&scratch.path(".solum/screens/arcade.main.vnc"));
    let expected = [&begun, &over];
    viewer.until(&expected, |distances| distances[0] < APPLES && distances[0] < distances[1]);
    scratch.solum(&["press", "-C", "[SCRATCH]", "up"]).run().exits(0).prints("").says("");
    viewer.until(&expected, |distances| distances[1] < APPLES && distances[1] < distances[0]);
    let running = running.until_it_prints("over after ");
    down(&scratch, running);
}

#[test]
fn a_window_shows_what_is_drawn_feels_keys_and_stops_the_system_when_it_is_closed() {
    let Some(display) = Display::new() else {
        println!("skipped: Xvfb is not installed");
        return;
    };
    let scratch = Scratch::new();
    arcade(&scratch);
    let options = ["run", "[SCRATCH]", "--place", "host", "--screen", "window", "--timeout", TIMEOUT];
    let running =
        scratch.solum(&options).with(&["--frames", "[SCRATCH]/frames"]).env("DISPLAY", &display.name);
    let running = running.start().until_it_says("screen arcade.main is a window\n");
    let window = display.window("arcade.main");
    let black = Picture::of_pixels(640, &vec![0; 640 * 480 * 4]);
    display.until(window, |seen| seen.differs(&black) > APPLES);
    // Until a key is pressed there is one frame. It was kept before it was shown.
    let drawn = Picture::read(&scratch.path("frames/arcade.main/000001.png"));
    display.until(window, |seen| *seen == drawn);
    display.press(103);
    let running = running.until_it_prints("over after ");
    display.until(window, |seen| seen.differs(&drawn) > 0);
    display.close(window);
    running.finish().exits(0);
}

#[test]
fn without_a_display_screens_are_pictures() {
    let scratch = Scratch::new();
    arcade(&scratch);
    let run = |options: &[&str]| {
        scratch.solum(&[&["run", "[SCRATCH]", "--place", "host", "--timeout", TIMEOUT], options].concat())
    };
    let refused = run(&["--screen", "window"]).run();
    refused
        .exits(106)
        .mentions("error: screens cannot be windows: DISPLAY is not set\nhint: leave --screen out");
    let running = run(&[]).env("DISPLAY", ":4242").start();
    let running = running.until_it_prints("arrows or WASD turn the snake");
    scratch.solum(&["down", "-C", "[SCRATCH]"]).run().exits(0);
    let finished = running.finish();
    finished.exits(0).mentions("screens are pictures, not windows: the display :4242 cannot be used: ");
    finished.mentions("screen arcade.main is at ");
}

#[test]
fn what_is_no_key_is_told_before_anything_is_asked() {
    let scratch = Scratch::new();
    scratch.solum(&["press", "lefft"]).run().exits(2).mentions("`lefft` is no key; write one as `left`");
    scratch.solum(&["press", "page"]).run().exits(2).mentions("`page` is no key; there are pageup, pagedown");
    scratch.solum(&["press", "--text", "ü"]).run().exits(102).mentions("error: no key types 'ü'\n");
    scratch.solum(&["press", "left", "-C", "[SCRATCH]"]).run().exits(102).mentions("no system runs in ");
}
