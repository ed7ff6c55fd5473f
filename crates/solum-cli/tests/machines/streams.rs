//! Standard input, output and error.

use crate::harness::Scratch;
use crate::probe;

/// What the probe floods with: bytes in which a lost, doubled or swapped part shows.
fn pattern(length: usize, step: u32) -> Vec<u8> {
    (0..length as u32).map(|index| (index.wrapping_mul(step) ^ (index >> 8)) as u8).collect()
}

#[test]
fn input_arrives_whole_and_comes_back_byte_for_byte() {
    let scratch = Scratch::new();
    let input = pattern((1 << 20) + 17, 5);
    let finished = probe(&scratch, &[], &["echo"]).input(input.clone()).run();
    finished.exits(0).says(&format!("{} bytes", input.len()));
    finished.check(finished.stdout == input, "the output should be the input");
}

#[test]
fn an_empty_input_has_an_end() {
    let scratch = Scratch::new();
    probe(&scratch, &[], &["echo"]).run().exits(0).prints("").says("0 bytes");
}

#[test]
fn output_and_errors_arrive_whole_and_apart() {
    const LENGTH: usize = (3 << 20) + 11;
    let scratch = Scratch::new();
    let finished = probe(&scratch, &[], &["flood", &LENGTH.to_string()]).run();
    finished.exits(0);
    finished.check(finished.stdout == pattern(LENGTH, 7), "every byte of the output should arrive, in order");
    finished.check(finished.stderr == pattern(LENGTH, 3), "every byte of the errors should arrive, in order");
}
