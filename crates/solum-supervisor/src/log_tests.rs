use super::*;
use proptest::prelude::*;

const A: Source = Source { unit: 0, stream: Stream::Output };
const B: Source = Source { unit: 0, stream: Stream::Error };
const ROOMY: usize = 1 << 30;

/// The text and end of each line from `position` on, and what was lost as such.
fn read_all(ring: &LogRing, position: &mut Position) -> Vec<(String, LineEnd)> {
    std::iter::from_fn(|| match ring.read(position)? {
        Entry::Line(line) => Some((String::from_utf8_lossy(&line.bytes).into_owned(), line.end)),
        Entry::Lost { lines, bytes } => panic!("{lines} lines, {bytes} bytes lost"),
    })
    .collect()
}

fn texts(ring: &LogRing) -> Vec<(String, LineEnd)> {
    read_all(ring, &mut ring.oldest())
}

fn whole(text: &str) -> (String, LineEnd) {
    (text.to_owned(), LineEnd::Newline)
}

#[test]
fn lines_come_whole_however_they_were_written() {
    let text = b"one\n\nthree\n";
    for split in 0..text.len() {
        let mut ring = LogRing::default();
        ring.write(1, A, &text[..split]);
        ring.write(2, A, &text[split..]);
        assert_eq!(texts(&ring), [whole("one"), whole(""), whole("three")], "split at {split}");
    }
}

#[test]
fn streams_do_not_run_into_each_other() {
    let mut ring = LogRing::default();
    ring.write(1, A, b"out");
    ring.write(2, B, b"error\n");
    ring.write(3, A, b"put\n");
    assert_eq!(texts(&ring), [whole("error"), whole("output")]);
    let sources: Vec<Source> = ring.lines.iter().map(|line| line.source).collect();
    assert_eq!(sources, [B, A]);
}

#[test]
fn a_line_has_the_time_of_its_first_byte_and_the_next_number() {
    let mut ring = LogRing::default();
    ring.write(5, A, b"a");
    ring.write(7, A, b"b\nc");
    ring.write(9, A, b"\n");
    let numbers: Vec<(u64, u64)> = ring.lines.iter().map(|line| (line.sequence, line.at_ms)).collect();
    assert_eq!(numbers, [(0, 5), (1, 7)]);
}

#[test]
fn what_a_stream_printed_last_is_a_line_without_a_newline_too() {
    let mut ring = LogRing::default();
    ring.write(1, A, b"done\nBye");
    ring.close(B);
    assert_eq!(texts(&ring), [whole("done")]);
    ring.close(A);
    ring.close(A);
    assert_eq!(texts(&ring), [whole("done"), ("Bye".into(), LineEnd::Closed)]);
    ring.write(2, A, b"again\n");
    assert_eq!(texts(&ring)[2], whole("again"));
}

#[test]
fn a_long_line_is_kept_in_pieces_and_one_that_just_fits_is_whole() {
    for (length, pieces) in [(LINE_MAX, vec![LINE_MAX]), (2 * LINE_MAX + 1, vec![LINE_MAX, LINE_MAX, 1])] {
        let mut ring = LogRing::default();
        ring.write(1, A, &vec![b'x'; length]);
        ring.write(1, A, b"\nnext\n");
        let lines = texts(&ring);
        assert_eq!(lines.iter().map(|(text, _)| text.len()).collect::<Vec<_>>(), [pieces, vec![4]].concat());
        let (last, continued) = lines[..lines.len() - 1].split_last().unwrap();
        assert_eq!(last.1, LineEnd::Newline);
        assert!(continued.iter().all(|(_, end)| *end == LineEnd::Continues));
    }
}

#[test]
fn a_reader_that_falls_behind_is_told_what_it_missed() {
    let line = LINE_OVERHEAD + 3;
    let mut ring = LogRing::new(2 * line);
    let mut position = ring.oldest();
    ring.write(0, A, b"aaa\nbbb\n");
    assert!(matches!(ring.read(&mut position), Some(Entry::Line(line)) if &*line.bytes == b"aaa"));
    ring.write(0, A, b"ccc\n");
    assert!(matches!(ring.read(&mut position), Some(Entry::Line(line)) if &*line.bytes == b"bbb"));
    ring.write(0, A, b"d\neee\nfff\nggg\n");
    assert_eq!(ring.read(&mut position), Some(Entry::Lost { lines: 3, bytes: 7 }));
    assert_eq!(read_all(&ring, &mut position), [whole("fff"), whole("ggg")]);
    assert_eq!(ring.read(&mut position), None);
}

#[test]
fn a_reader_may_begin_with_the_last_lines_or_with_what_is_to_come() {
    let mut ring = LogRing::default();
    ring.write(0, A, b"a\nb\nc\n");
    assert_eq!(read_all(&ring, &mut ring.last(2)), [whole("b"), whole("c")]);
    assert_eq!(read_all(&ring, &mut ring.last(9)), [whole("a"), whole("b"), whole("c")]);
    let mut position = ring.newest();
    assert_eq!(ring.last(0), position);
    assert_eq!(ring.read(&mut position), None);
    ring.write(0, A, b"d\n");
    assert_eq!(read_all(&ring, &mut position), [whole("d")]);
}

#[test]
fn a_line_that_does_not_fit_at_all_is_lost_and_said_to_be() {
    let mut ring = LogRing::new(LINE_OVERHEAD + 3);
    ring.write(0, A, b"four\n");
    assert_eq!(ring.read(&mut Position::default()), Some(Entry::Lost { lines: 1, bytes: 4 }));
    assert_eq!(ring.used(), 0);
}

#[test]
fn a_position_of_another_ring_does_no_harm() {
    let mut other = LogRing::default();
    other.write(0, A, b"a\nb\nc\n");
    let mut position = other.newest();
    let mut ring = LogRing::default();
    ring.write(0, A, b"a\n");
    assert_eq!(ring.read(&mut position), None);
}

#[derive(Clone, Debug)]
enum Deed {
    Write(Source, Vec<u8>),
    Close(Source),
    Read(usize),
}

fn deed() -> impl Strategy<Value = Deed> {
    let source = prop_oneof![Just(A), Just(B), Just(Source { unit: 1, stream: Stream::Output })];
    let byte = prop_oneof![4 => Just(b'x'), 1 => Just(b'\n')];
    let text = prop_oneof![
        8 => prop::collection::vec(byte, 0..40),
        1 => (1..3 * LINE_MAX).prop_map(|length| vec![b'y'; length]),
    ];
    prop_oneof![
        6 => (source.clone(), text).prop_map(|(source, text)| Deed::Write(source, text)),
        1 => source.prop_map(Deed::Close),
        3 => (0_usize..20).prop_map(Deed::Read),
    ]
}

/// What a reader was told in all.
#[derive(Debug, Default, PartialEq, Eq)]
struct Account {
    lines: u64,
    bytes: u64,
}

proptest! {
    /// What was read and what was said to be lost is together what was written, line by line and byte by byte, and the
    /// ring never takes more than it may.
    #[test]
    fn nothing_is_lost_in_silence(
        capacity in prop_oneof![0..20 * LINE_OVERHEAD, Just(2 * LINE_MAX)],
        deeds in prop::collection::vec(deed(), 0..60),
    ) {
        let (mut ring, mut everything) = (LogRing::new(capacity), LogRing::new(ROOMY));
        let mut position = Position::default();
        let mut account = Account::default();
        let mut read = |ring: &LogRing, limit: usize, everything: &LogRing| {
            for _ in 0..limit {
                match ring.read(&mut position) {
                    Some(Entry::Line(line)) => {
                        assert_eq!(Some(line), everything.lines.get(account.lines as usize));
                        account.lines += 1;
                        account.bytes += line.bytes.len() as u64;
                    }
                    Some(Entry::Lost { lines, bytes }) => {
                        assert!(lines > 0);
                        account.lines += lines;
                        account.bytes += bytes;
                    }
                    None => break,
                }
            }
            (account.lines, account.bytes)
        };
        for (now_ms, deed) in deeds.into_iter().enumerate() {
            match deed {
                Deed::Write(source, text) => {
                    ring.write(now_ms as u64, source, &text);
                    everything.write(now_ms as u64, source, &text);
                }
                Deed::Close(source) => {
                    ring.close(source);
                    everything.close(source);
                }
                Deed::Read(limit) => {
                    read(&ring, limit, &everything);
                }
            }
            prop_assert!(ring.used() <= capacity);
            let sum: usize = ring.lines.iter().map(|line| LINE_OVERHEAD + line.bytes.len()).sum();
            prop_assert_eq!(ring.used(), sum);
        }
        let told = read(&ring, usize::MAX, &everything);
        let bytes: usize = everything.lines.iter().map(|line| line.bytes.len()).sum();
        prop_assert_eq!(told, (everything.lines.len() as u64, bytes as u64));
    }

    /// Lines, put together again, are what each source wrote.
    #[test]
    fn lines_put_together_are_what_was_written(deeds in prop::collection::vec(deed(), 0..40)) {
        let mut ring = LogRing::new(ROOMY);
        let mut written = std::collections::HashMap::<Source, Vec<u8>>::new();
        for deed in deeds {
            if let Deed::Write(source, text) = deed {
                ring.write(0, source, &text);
                written.entry(source).or_default().extend(text);
            }
        }
        for (source, text) in written {
            ring.close(source);
            let mut together = Vec::new();
            for line in ring.lines.iter().filter(|line| line.source == source) {
                prop_assert!(line.bytes.len() <= LINE_MAX);
                together.extend_from_slice(&line.bytes);
                together.extend(matches!(line.end, LineEnd::Newline).then_some(b'\n'));
            }
            prop_assert!(together == text);
        }
    }
}
