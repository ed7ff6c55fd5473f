//! Keys, by Linux's numbers for them (`KEY_…` in linux/input-event-codes.h), and the words for them.

use serde::{Deserialize, Serialize};

/// A key is pressed or let go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct KeyChange {
    /// Linux's number of the key.
    pub code: u16,
    /// Whether it is pressed, else let go.
    pub is_pressed: bool,
}

macro_rules! keys {
    ($($constant:ident $word:literal $code:literal,)*) => {
        /// Linux's numbers of keys. A letter's key is where it is on a keyboard of the United States.
        pub mod code {
            $(
                #[doc = concat!("The key `", $word, "`.")]
                pub const $constant: u16 = $code;
            )*
        }

        /// All keys that have a word here.
        const WORDS: &[(&str, u16)] = &[$(($word, $code),)*];
    };
}

keys! {
    ESCAPE "escape" 1,
    DIGIT_1 "1" 2, DIGIT_2 "2" 3, DIGIT_3 "3" 4, DIGIT_4 "4" 5, DIGIT_5 "5" 6,
    DIGIT_6 "6" 7, DIGIT_7 "7" 8, DIGIT_8 "8" 9, DIGIT_9 "9" 10, DIGIT_0 "0" 11,
    MINUS "minus" 12, EQUAL "equal" 13, BACKSPACE "backspace" 14, TAB "tab" 15,
    Q "q" 16, W "w" 17, E "e" 18, R "r" 19, T "t" 20, Y "y" 21, U "u" 22, I "i" 23, O "o" 24, P "p" 25,
    LEFT_BRACE "leftbrace" 26, RIGHT_BRACE "rightbrace" 27, ENTER "enter" 28, LEFT_CONTROL "ctrl" 29,
    A "a" 30, S "s" 31, D "d" 32, F "f" 33, G "g" 34, H "h" 35, J "j" 36, K "k" 37, L "l" 38,
    SEMICOLON "semicolon" 39, APOSTROPHE "apostrophe" 40, GRAVE "grave" 41, LEFT_SHIFT "shift" 42,
    BACKSLASH "backslash" 43,
    Z "z" 44, X "x" 45, C "c" 46, V "v" 47, B "b" 48, N "n" 49, M "m" 50,
    COMMA "comma" 51, DOT "dot" 52, SLASH "slash" 53, RIGHT_SHIFT "rightshift" 54, LEFT_ALT "alt" 56,
    SPACE "space" 57, CAPS_LOCK "capslock" 58,
    F1 "f1" 59, F2 "f2" 60, F3 "f3" 61, F4 "f4" 62, F5 "f5" 63, F6 "f6" 64, F7 "f7" 65, F8 "f8" 66,
    F9 "f9" 67, F10 "f10" 68, F11 "f11" 87, F12 "f12" 88,
    RIGHT_CONTROL "rightctrl" 97, RIGHT_ALT "rightalt" 100,
    HOME "home" 102, UP "up" 103, PAGE_UP "pageup" 104, LEFT "left" 105, RIGHT "right" 106,
    END "end" 107, DOWN "down" 108, PAGE_DOWN "pagedown" 109, INSERT "insert" 110, DELETE "delete" 111,
    LEFT_META "meta" 125,
}

/// The number of a key: of its word, in any case and with or without Linux's `KEY_`, or the number itself.
pub fn code_of(word: &str) -> Option<u16> {
    let word = word.to_ascii_lowercase();
    // A number is one only where it is no word: `1` is a key.
    let word = word.strip_prefix("key_").unwrap_or(&word);
    let known = WORDS.iter().find(|(known, _)| *known == word).map(|(_, code)| *code);
    // The last number that there is (`KEY_MAX`).
    known.or_else(|| word.strip_prefix('#')?.parse().ok().filter(|code| (1..=0x2ff).contains(code)))
}

/// Every word that [`code_of`] knows.
pub fn words() -> impl Iterator<Item = &'static str> {
    WORDS.iter().map(|(word, _)| *word)
}

/// What happens at a keyboard when this is pressed and let go: `left`, or several keys together, as `ctrl+c`.
///
/// # Errors
///
/// The part that is no key.
pub fn chord(words: &str) -> Result<Vec<KeyChange>, String> {
    let codes = words
        .split('+')
        .map(|word| code_of(word).ok_or_else(|| word.to_owned()))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(together(&codes))
}

/// What happens at a keyboard of the United States when this character is typed.
pub fn typed(character: char) -> Option<Vec<KeyChange>> {
    let (plain, is_shifted) = unshifted(character);
    let code = match plain {
        '\n' | '\r' => code::ENTER,
        '\t' => code::TAB,
        ' ' => code::SPACE,
        '-' => code::MINUS,
        '=' => code::EQUAL,
        '[' => code::LEFT_BRACE,
        ']' => code::RIGHT_BRACE,
        ';' => code::SEMICOLON,
        '\'' => code::APOSTROPHE,
        '`' => code::GRAVE,
        '\\' => code::BACKSLASH,
        ',' => code::COMMA,
        '.' => code::DOT,
        '/' => code::SLASH,
        plain if plain.is_ascii_alphanumeric() => code_of(plain.encode_utf8(&mut [0; 4]))?,
        _ => return None,
    };
    Some(if is_shifted { together(&[code::LEFT_SHIFT, code]) } else { together(&[code]) })
}

fn unshifted(character: char) -> (char, bool) {
    const SHIFTED: &str = "!@#$%^&*()_+{}:\"~|<>?";
    const PLAIN: &str = "1234567890-=[];'`\\,./";
    if character.is_ascii_uppercase() {
        return (character.to_ascii_lowercase(), true);
    }
    let plain = SHIFTED.find(character).and_then(|place| PLAIN.chars().nth(place));
    plain.map_or((character, false), |plain| (plain, true))
}

fn together(codes: &[u16]) -> Vec<KeyChange> {
    let pressed = codes.iter().map(|code| KeyChange { code: *code, is_pressed: true });
    pressed.chain(codes.iter().rev().map(|code| KeyChange { code: *code, is_pressed: false })).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(code: u16, is_pressed: bool) -> KeyChange {
        KeyChange { code, is_pressed }
    }

    #[test]
    fn a_key_is_known_by_its_word_by_linuxs_name_and_by_its_number() {
        assert_eq!(code_of("left"), Some(105));
        assert_eq!(code_of("KEY_LEFT"), Some(105));
        assert_eq!(code_of("1"), Some(2));
        assert_eq!(code_of("#183"), Some(183));
        for unknown in ["", "#0", "#768", "#", "lefft", "ü"] {
            assert_eq!(code_of(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn keys_pressed_together_are_let_go_in_the_other_order() {
        let expected = [change(29, true), change(46, true), change(46, false), change(29, false)];
        assert_eq!(chord("ctrl+c").unwrap(), expected);
        assert_eq!(chord("ctrl+sea"), Err("sea".to_owned()));
    }

    #[test]
    fn every_character_of_ascii_that_can_be_typed_is() {
        for character in (' '..='~').chain(['\n', '\t']) {
            assert!(typed(character).is_some(), "{character:?}");
        }
        assert_eq!(typed('a').unwrap(), [change(30, true), change(30, false)]);
        let shifted = [change(42, true), change(2, true), change(2, false), change(42, false)];
        assert_eq!(typed('!').unwrap(), shifted);
        assert_eq!(typed('ß'), None);
    }

    #[test]
    fn no_key_has_two_words_and_no_word_two_keys() {
        for (index, (word, code)) in WORDS.iter().enumerate() {
            let others = &WORDS[index + 1..];
            assert!(!others.iter().any(|other| other.0 == *word || other.1 == *code), "{word}");
        }
    }
}
