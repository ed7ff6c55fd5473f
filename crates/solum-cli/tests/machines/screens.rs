//! Screens and keyboards of a system at `--place host`.

use std::fs;
use std::path::Path;

use crate::harness::Scratch;

/// The machine of the example with the game.
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
screen.main = "320x240"
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

#[test]
fn what_is_no_key_is_told_before_anything_is_asked() {
    let scratch = Scratch::new();
    scratch.solum(&["press", "lefft"]).run().exits(2).mentions("`lefft` is no key; write one as `left`");
    scratch.solum(&["press", "page"]).run().exits(2).mentions("`page` is no key; there are pageup, pagedown");
    scratch.solum(&["press", "--text", "ü"]).run().exits(102).mentions("error: no key types 'ü'\n");
    scratch.solum(&["press", "left", "-C", "[SCRATCH]"]).run().exits(102).mentions("no system runs in ");
}
