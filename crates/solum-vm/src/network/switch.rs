//! What a switch decides: which way a frame goes.

use std::collections::BTreeMap;

/// Addresses that are remembered: more than a system has machines, and a bound on what one of them can make us hold.
const ADDRESSES: usize = 4096;

/// Where a frame goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Outlets {
    /// Nowhere: it is no frame, or is where it belongs.
    None,
    /// To one port.
    One(usize),
    /// To all but the one it came from.
    AllOthers,
}

/// Learns which address is where (IEEE 802.1Q, section 8.7).
#[derive(Debug, Default)]
pub(super) struct Switch {
    known: BTreeMap<[u8; 6], usize>,
}

impl Switch {
    pub(super) fn frame(&mut self, from: usize, frame: &[u8]) -> Outlets {
        let Some(([to, source], _)) =
            frame.split_first_chunk::<12>().map(|(header, rest)| (halves(header), rest))
        else {
            return Outlets::None;
        };
        if !is_group(source) && (self.known.contains_key(&source) || self.known.len() < ADDRESSES) {
            self.known.insert(source, from);
        }
        match self.known.get(&to) {
            Some(port) if *port == from => Outlets::None,
            Some(port) => Outlets::One(*port),
            None => Outlets::AllOthers,
        }
    }

    /// Nobody is there any more.
    pub(super) fn pulled(&mut self, port: usize) {
        self.known.retain(|_, known| *known != port);
    }
}

fn halves(header: &[u8; 12]) -> [[u8; 6]; 2] {
    let [a, b, c, d, e, f, g, h, i, j, k, l] = *header;
    [[a, b, c, d, e, f], [g, h, i, j, k, l]]
}

fn is_group(address: [u8; 6]) -> bool {
    address[0] & 1 != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(to: [u8; 6], from: [u8; 6]) -> Vec<u8> {
        [&to[..], &from, &[8, 0]].concat()
    }

    #[test]
    fn addresses_are_learnt_moved_and_forgotten() {
        let mut switch = Switch::default();
        let [one, other] = [[2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]];
        assert_eq!(switch.frame(0, &frame(other, one)), Outlets::AllOthers);
        assert_eq!(switch.frame(1, &frame(one, other)), Outlets::One(0));
        assert_eq!(switch.frame(0, &frame(other, one)), Outlets::One(1));
        assert_eq!(switch.frame(0, &frame([0xFF; 6], one)), Outlets::AllOthers);
        assert_eq!(switch.frame(1, &frame(other, other)), Outlets::None);
        switch.frame(2, &frame(one, other));
        assert_eq!(switch.frame(0, &frame(other, one)), Outlets::One(2));
        switch.pulled(2);
        assert_eq!(switch.frame(0, &frame(other, one)), Outlets::AllOthers);
        assert_eq!(switch.frame(0, &[0; 11]), Outlets::None);
    }

    #[test]
    fn a_group_is_nobodys_address_and_a_flood_of_addresses_is_not_remembered() {
        let mut switch = Switch::default();
        switch.frame(0, &frame([2; 6], [1, 0, 0, 0, 0, 1]));
        assert_eq!(switch.frame(1, &frame([1, 0, 0, 0, 0, 1], [2; 6])), Outlets::AllOthers);
        for number in 0..10_000_u32 {
            let [.., a, b, c] = number.to_be_bytes();
            switch.frame(0, &frame([9; 6], [2, 0, 7, a, b, c]));
        }
        assert_eq!(switch.known.len(), ADDRESSES);
        assert_eq!(switch.frame(2, &frame([2; 6], [4; 6])), Outlets::One(1));
    }
}
