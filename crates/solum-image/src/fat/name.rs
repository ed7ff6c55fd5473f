//! Names, short and long, labels, and times, as directories have them (chapters 6 and 7 of the document).

use std::collections::BTreeSet;

use solum_spec::calendar::Calendar;

use super::ENTRY_LENGTH;
use crate::sparse::number::put;

const LONGEST: usize = 255;
/// UTF-16 code units of a long name that fit into one entry.
const UNITS: usize = 13;
/// Where they lie in it.
const PLACES: [usize; UNITS] = [1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30];
const ATTRIBUTE_LONG: u8 = 0x0f;
const LAST: u8 = 0x40;

/// Whether a file can have this name.
pub fn is_valid(name: &str) -> bool {
    let bad = |c: char| c < ' ' || c == '\x7f' || "\"*/:<>?\\|".contains(c);
    let dots_only = name.chars().all(|c| c == '.');
    !dots_only
        && !name.ends_with(['.', ' '])
        && !name.starts_with(' ')
        && !name.contains(bad)
        && name.encode_utf16().count() <= LONGEST
}

/// What two spellings of one name have in common.
pub fn fold(name: &str) -> String {
    name.to_uppercase()
}

fn is_short(byte: u8) -> bool {
    byte.is_ascii_uppercase() || byte.is_ascii_digit() || b"$%'-_@~`!(){}^#&".contains(&byte)
}

/// A name of this form needs no long one.
fn exact(name: &str) -> Option<[u8; 11]> {
    let (base, extension) = name.split_once('.').unwrap_or((name, ""));
    let fits = (1..=8).contains(&base.len())
        && extension.len() <= 3
        && (!name.contains('.') || !extension.is_empty());
    (fits && base.bytes().chain(extension.bytes()).all(is_short))
        .then(|| join(base.as_bytes(), extension.as_bytes()))
}

fn join(base: &[u8], extension: &[u8]) -> [u8; 11] {
    let mut short = [b' '; 11];
    put(&mut short, 0, base);
    put(&mut short, 8, extension);
    short
}

/// A label, which may have spaces.
pub fn label(text: &str) -> Option<[u8; 11]> {
    let fits = (1..=11).contains(&text.len()) && text.bytes().all(|byte| is_short(byte) || byte == b' ');
    fits.then(|| {
        let mut label = [b' '; 11];
        put(&mut label, 0, text.as_bytes());
        label
    })
}

/// Gives the names of one directory short ones of their own.
pub struct Shorts(BTreeSet<[u8; 11]>);

impl Shorts {
    /// Names that are short already keep them.
    pub fn new<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        Self(names.filter_map(exact).collect())
    }

    /// The short name of a file.
    pub fn of(&mut self, name: &str) -> [u8; 11] {
        if let Some(short) = exact(name) {
            return short;
        }
        let upper = name.to_uppercase();
        let stem = upper.trim_start_matches('.');
        let (base, extension) = stem.rsplit_once('.').unwrap_or((stem, ""));
        let clean = |text: &str| -> Vec<u8> {
            let kept = text.chars().filter(|c| !matches!(c, '.' | ' '));
            kept.map(|c| u8::try_from(c).ok().filter(|byte| is_short(*byte)).unwrap_or(b'_')).collect()
        };
        let (base, mut extension) = (clean(base), clean(extension));
        extension.truncate(3);
        for number in 1u32.. {
            let tail = format!("~{number}");
            let kept = base.len().min(8 - tail.len().min(7));
            let short = join(&[&base[..kept], tail.as_bytes()].concat(), &extension);
            if self.0.insert(short) {
                return short;
            }
        }
        // Not reached: a directory has fewer files than there are numbers.
        [b'_'; 11]
    }
}

/// How many entries the long name of a file takes.
pub fn long_entries(name: &str) -> usize {
    if exact(name).is_some() { 0 } else { name.encode_utf16().count().div_ceil(UNITS) }
}

/// The sum by which a long name knows its short one.
pub fn checksum(short: &[u8]) -> u8 {
    short.iter().fold(0u8, |sum, byte| sum.rotate_right(1).wrapping_add(*byte))
}

/// The entries of a long name, which stand in front of the short one, the end of the name first.
pub fn long(name: &str, short: [u8; 11]) -> Vec<u8> {
    let count = long_entries(name);
    let units: Vec<u16> = name.encode_utf16().collect();
    let mut entries = Vec::with_capacity(count * ENTRY_LENGTH);
    for index in (0..count).rev() {
        let mut entry = [0; ENTRY_LENGTH];
        entry[0] = (index as u8 + 1) | if index + 1 == count { LAST } else { 0 };
        entry[11] = ATTRIBUTE_LONG;
        entry[13] = checksum(&short);
        for (place, at) in PLACES.into_iter().zip(index * UNITS..) {
            // The name ends with a 0 if there is room, and the rest is filled with ones.
            let unit = units.get(at).copied().unwrap_or(if at == units.len() { 0 } else { 0xffff });
            put(&mut entry, place, &unit.to_le_bytes());
        }
        entries.extend(entry);
    }
    entries
}

/// Reads long names: takes the entries of a directory one after the other.
#[derive(Default)]
pub struct LongName {
    units: Vec<u16>,
    next: u8,
    checksum: u8,
}

impl LongName {
    /// Whether the entry belongs to a long name, which is then noted.
    pub fn takes(&mut self, entry: &[u8]) -> bool {
        if entry[11] & 0x3f != ATTRIBUTE_LONG {
            return false;
        }
        let number = entry[0] & 0x1f;
        if entry[0] & LAST != 0 {
            *self = Self { units: vec![0; usize::from(number) * UNITS], next: number, checksum: entry[13] };
        }
        if number == 0 || number != self.next || entry[13] != self.checksum {
            *self = Self::default();
            return true;
        }
        for (place, at) in PLACES.into_iter().zip((usize::from(number) - 1) * UNITS..) {
            self.units[at] = u16::from_le_bytes([entry[place], entry[place + 1]]);
        }
        self.next -= 1;
        true
    }

    /// The name of the short entry that comes now.
    pub fn finish(&mut self, entry: &[u8]) -> String {
        let long = std::mem::take(self);
        if long.next == 0 && !long.units.is_empty() && long.checksum == checksum(&entry[..11]) {
            let units = long.units.into_iter().take_while(|unit| *unit != 0);
            return char::decode_utf16(units).map(|c| c.unwrap_or('\u{fffd}')).collect();
        }
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
        let (base, extension) = (text(&entry[..8]), text(&entry[8..11]));
        if extension.is_empty() { base } else { format!("{base}.{extension}") }
    }
}

/// Time and date of seconds since 1970, in UTC, at even seconds from 1980 to 2107.
pub fn stamp(epoch_s: u64) -> [u8; 4] {
    const FIRST_S: u64 = 315_532_800;
    const LAST_S: u64 = 4_354_819_198;
    let at = Calendar::from_unix(epoch_s.clamp(FIRST_S, LAST_S));
    let date = (at.year - 1980) << 9 | u16::from(at.month) << 5 | u16::from(at.day);
    let time = u16::from(at.hour) << 11 | u16::from(at.minute) << 5 | u16::from(at.second / 2);
    let [time_low, time_high] = time.to_le_bytes();
    let [date_low, date_high] = date.to_le_bytes();
    [time_low, time_high, date_low, date_high]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn short(name: &str) -> String {
        String::from_utf8(Shorts::new(std::iter::once(name)).of(name).to_vec()).unwrap()
    }

    #[test]
    fn short_names_are_those_of_the_document() {
        assert_eq!(short("BOOTX64.EFI"), "BOOTX64 EFI");
        assert_eq!(short("loader.conf"), "LOADER~1CON");
        assert_eq!(short("solum_1.efi"), "SOLUM_~1EFI");
        assert_eq!(short(".profile"), "PROFIL~1   ");
        assert_eq!(short("a b.tar.gz"), "ABTAR~1 GZ ");
        assert_eq!(short("größe"), "GR__SS~1   ".replace("__SS", "_SSE"));
    }

    #[test]
    fn each_file_has_a_short_name_of_its_own() {
        let names = ["LONGNA~1", "longname-a", "longname-b"];
        let mut shorts = Shorts::new(names.into_iter());
        let given: Vec<_> = names.iter().map(|name| shorts.of(name)).collect();
        assert_eq!(given, [*b"LONGNA~1   ", *b"LONGNA~2   ", *b"LONGNA~3   "]);
    }

    #[test]
    fn times_are_those_of_the_calendar() {
        let read = |epoch_s| {
            let [a, b, c, d] = stamp(epoch_s);
            let (time, date) = (u16::from_le_bytes([a, b]), u16::from_le_bytes([c, d]));
            (1980 + (date >> 9), date >> 5 & 15, date & 31, time >> 11, time >> 5 & 63, (time & 31) * 2)
        };
        assert_eq!(read(0), (1980, 1, 1, 0, 0, 0));
        assert_eq!(read(951_782_399), (2000, 2, 28, 23, 59, 58));
        assert_eq!(read(951_782_400), (2000, 2, 29, 0, 0, 0));
        assert_eq!(read(1_763_763_013), (2025, 11, 21, 22, 10, 12));
        assert_eq!(read(u64::MAX), (2107, 12, 31, 23, 59, 58));
    }
}
