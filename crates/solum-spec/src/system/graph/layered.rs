//! A layered drawing: whoever asks stands left of whom it asks, in columns; wires run in the channels between columns
//! and, where they are longer, through gaps that are kept free for them. So no wire crosses a box or a label.

use std::collections::VecDeque;

/// The width of a channel in which wires may bend.
const BEND: f64 = 64.0;
/// The width of a channel without wires.
const GAP: f64 = 28.0;
/// Between boxes of a column.
const BETWEEN: f64 = 22.0;
/// What a wire needs that passes a column.
const LANE: f64 = 20.0;
/// How often columns are put in order; more changes nothing in drawings that can be read.
const SWEEPS: usize = 8;

/// A box.
#[derive(Clone, Debug)]
pub struct Item {
    pub width: f64,
    pub height: f64,
    /// Where wires arrive, from the top of the box.
    pub left: Vec<f64>,
    /// Where wires leave.
    pub right: Vec<f64>,
    pub place: Place,
    /// The column it stands in at least, counted from the first of the free ones.
    pub least: usize,
}

/// Where a box may stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In any column.
    Free,
    /// Before all free ones: where wires come from outside.
    First,
    /// Behind all free ones: where wires leave.
    Last,
}

/// A wire from a box's right to another's left: each a box and a number of a pin.
#[derive(Clone, Debug)]
pub struct Wire {
    pub from: (usize, usize),
    pub to: (usize, usize),
    /// Kept free before the end of the wire.
    pub label_width: f64,
}

/// Where everything is.
#[derive(Clone, Debug)]
pub struct Layout {
    pub width: f64,
    pub height: f64,
    /// The upper left corner of each box.
    pub items: Vec<(f64, f64)>,
    /// The points of each wire; a wire that leads back has none.
    pub wires: Vec<Vec<(f64, f64)>>,
    /// Which wires lead back.
    pub backward: Vec<bool>,
}

/// A box, or the gap in a column through which a wire passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slot {
    Item(usize),
    Lane(usize),
}

/// A piece of a wire between neighbouring columns.
struct Piece {
    from: (usize, f64),
    to: (usize, f64),
}

struct Drawing<'a> {
    items: &'a [Item],
    slots: Vec<Slot>,
    /// The column of each slot.
    layer: Vec<usize>,
    /// The slots of each column, from the top.
    columns: Vec<Vec<usize>>,
    pieces: Vec<Piece>,
    /// The upper edge of each slot.
    top: Vec<f64>,
}

/// Draws boxes and wires.
pub fn draw(items: &[Item], wires: &[Wire]) -> Layout {
    let backward = backward(items.len(), wires);
    let forward: Vec<&Wire> =
        wires.iter().zip(&backward).filter(|(_, back)| !**back).map(|(wire, _)| wire).collect();
    let layers = layers(items, &forward);
    let mut drawing = Drawing::new(items, wires, &backward, layers);
    drawing.order();
    drawing.heights();
    drawing.layout(wires, backward)
}

/// The wires that close a circle, found by walking along the wires from the first box on.
fn backward(count: usize, wires: &[Wire]) -> Vec<bool> {
    let mut back = vec![false; wires.len()];
    // 0: not seen, 1: on the way, 2: done.
    let mut state = vec![0u8; count];
    for root in 0..count {
        let mut way = vec![(root, 0)];
        while let Some((item, next)) = way.pop() {
            if next == 0 {
                if state[item] != 0 {
                    continue;
                }
                state[item] = 1;
            }
            match (next..wires.len()).find(|index| wires[*index].from.0 == item) {
                None => state[item] = 2,
                Some(index) => {
                    way.push((item, index + 1));
                    match state[wires[index].to.0] {
                        0 => way.push((wires[index].to.0, 0)),
                        1 => back[index] = true,
                        _ => {}
                    }
                }
            }
        }
    }
    back
}

/// The column of each box: one behind the last of those that ask it; and not farther left than it must be.
fn layers(items: &[Item], wires: &[&Wire]) -> Vec<usize> {
    let count = items.len();
    let first_free = usize::from(items.iter().any(|item| item.place == Place::First));
    let mut layer: Vec<usize> = items
        .iter()
        .map(|item| if item.place == Place::First { 0 } else { first_free + item.least })
        .collect();
    let mut waiting = vec![0usize; count];
    wires.iter().for_each(|wire| waiting[wire.to.0] += 1);
    let mut ready: VecDeque<usize> = (0..count).filter(|item| waiting[*item] == 0).collect();
    let mut order = Vec::new();
    while let Some(item) = ready.pop_front() {
        order.push(item);
        for wire in wires.iter().filter(|wire| wire.from.0 == item) {
            let to = wire.to.0;
            layer[to] = layer[to].max(layer[item] + 1);
            waiting[to] -= 1;
            if waiting[to] == 0 {
                ready.push_back(to);
            }
        }
    }
    let free =
        items.iter().zip(&layer).filter(|(item, _)| item.place != Place::Last).map(|(_, layer)| *layer);
    let last = free.max().map_or(0, |layer| layer + 1);
    for (item, layer) in items.iter().zip(&mut layer) {
        if item.place == Place::Last {
            *layer = last;
        }
    }
    for item in order.into_iter().rev() {
        let is_asked = wires.iter().any(|wire| wire.to.0 == item);
        let nearest = wires.iter().filter(|wire| wire.from.0 == item).map(|wire| layer[wire.to.0]).min();
        if let (Place::Free, false, Some(nearest)) = (items[item].place, is_asked, nearest) {
            layer[item] = nearest - 1;
        }
    }
    layer
}

impl<'a> Drawing<'a> {
    fn new(items: &'a [Item], wires: &[Wire], backward: &[bool], item_layers: Vec<usize>) -> Self {
        let mut drawing = Self {
            items,
            slots: (0..items.len()).map(Slot::Item).collect(),
            columns: vec![Vec::new(); item_layers.iter().max().map_or(0, |last| last + 1)],
            layer: item_layers,
            pieces: Vec::new(),
            top: Vec::new(),
        };
        for (slot, layer) in drawing.layer.iter().enumerate() {
            drawing.columns[*layer].push(slot);
        }
        for (index, wire) in wires.iter().enumerate().filter(|(index, _)| !backward[*index]) {
            let mut at = (wire.from.0, items[wire.from.0].right[wire.from.1]);
            for layer in drawing.layer[wire.from.0] + 1..drawing.layer[wire.to.0] {
                let slot = drawing.slots.len();
                drawing.slots.push(Slot::Lane(index));
                drawing.layer.push(layer);
                drawing.columns[layer].push(slot);
                drawing.pieces.push(Piece { from: at, to: (slot, LANE / 2.0) });
                at = (slot, LANE / 2.0);
            }
            drawing.pieces.push(Piece { from: at, to: (wire.to.0, items[wire.to.0].left[wire.to.1]) });
        }
        drawing.top = vec![0.0; drawing.slots.len()];
        drawing
    }

    fn height(&self, slot: usize) -> f64 {
        match self.slots[slot] {
            Slot::Item(item) => self.items[item].height,
            Slot::Lane(_) => LANE,
        }
    }

    /// Puts the slots of each column so that few wires cross: each where its neighbours are, on average.
    fn order(&mut self) {
        let mut best = (self.crossings(), self.columns.clone());
        for sweep in 0..SWEEPS {
            let is_forward = sweep % 2 == 0;
            let all = 0..self.columns.len();
            let columns: Vec<usize> = if is_forward { all.collect() } else { all.rev().collect() };
            for column in columns {
                let place = self.places();
                let mut keyed: Vec<(f64, usize)> = self.columns[column]
                    .iter()
                    .map(|slot| (self.middle(*slot, is_forward, &place).unwrap_or(place[*slot]), *slot))
                    .collect();
                keyed.sort_by(|a, b| a.0.total_cmp(&b.0));
                self.columns[column] = keyed.into_iter().map(|(_, slot)| slot).collect();
            }
            let crossings = self.crossings();
            if crossings < best.0 {
                best = (crossings, self.columns.clone());
            }
        }
        self.columns = best.1;
    }

    /// Each slot's place in its column.
    fn places(&self) -> Vec<f64> {
        let mut places = vec![0.0; self.slots.len()];
        for column in &self.columns {
            for (index, slot) in column.iter().enumerate() {
                places[*slot] = index as f64;
            }
        }
        places
    }

    /// The average place of a slot's neighbours on one side; a lower pin counts as a little lower.
    fn middle(&self, slot: usize, is_forward: bool, places: &[f64]) -> Option<f64> {
        let fraction = |(slot, y): (usize, f64)| places[slot] + y / (self.height(slot) + 1.0);
        let ends = self.pieces.iter().filter_map(|piece| match is_forward {
            true => (piece.to.0 == slot).then(|| fraction(piece.from)),
            false => (piece.from.0 == slot).then(|| fraction(piece.to)),
        });
        average(ends)
    }

    fn crossings(&self) -> usize {
        let places = self.places();
        let key = |(slot, y): (usize, f64)| places[slot] + y / (self.height(slot) + 1.0);
        let keys: Vec<(usize, f64, f64)> = self
            .pieces
            .iter()
            .map(|piece| (self.layer[piece.from.0], key(piece.from), key(piece.to)))
            .collect();
        let crosses =
            |a: &(usize, f64, f64), b: &(usize, f64, f64)| a.0 == b.0 && (a.1 - b.1) * (a.2 - b.2) < 0.0;
        keys.iter().enumerate().map(|(index, a)| keys[..index].iter().filter(|b| crosses(a, b)).count()).sum()
    }

    /// Gives every slot its height in the drawing: so that wires are straight where there is room.
    fn heights(&mut self) {
        for column in &self.columns {
            let mut y = 0.0;
            for slot in column {
                self.top[*slot] = y;
                y += self.height(*slot) + BETWEEN;
            }
        }
        for sweep in 0..SWEEPS {
            let is_forward = sweep % 2 == 1;
            let all = 0..self.columns.len();
            let columns: Vec<usize> = if is_forward { all.collect() } else { all.rev().collect() };
            for column in columns {
                let slots = self.columns[column].clone();
                let wanted: Vec<f64> = slots.iter().map(|slot| self.wanted(*slot, is_forward)).collect();
                let heights: Vec<f64> = slots.iter().map(|slot| self.height(*slot) + BETWEEN).collect();
                for (slot, top) in slots.iter().zip(separated(&wanted, &heights)) {
                    self.top[*slot] = top;
                }
            }
        }
        // Boxes without a wire follow the one above.
        for column in &self.columns {
            for pair in column.windows(2) {
                let is_alone =
                    |slot| self.pieces.iter().all(|piece| piece.from.0 != slot && piece.to.0 != slot);
                if is_alone(pair[1]) {
                    self.top[pair[1]] = self.top[pair[0]] + self.height(pair[0]) + BETWEEN;
                }
            }
        }
        let highest = self.top.iter().copied().fold(f64::INFINITY, f64::min);
        self.top.iter_mut().for_each(|top| *top = (*top - highest).round());
    }

    /// Where a slot would stand if it were alone.
    fn wanted(&self, slot: usize, is_forward: bool) -> f64 {
        let tops = self.pieces.iter().filter_map(|piece| {
            let (own, other) = if is_forward { (piece.to, piece.from) } else { (piece.from, piece.to) };
            (own.0 == slot).then(|| self.top[other.0] + other.1 - own.1)
        });
        average(tops).unwrap_or(self.top[slot])
    }

    fn layout(&self, wires: &[Wire], backward: Vec<bool>) -> Layout {
        let count = self.columns.len();
        let mut left = vec![0.0; count];
        let mut right = vec![0.0; count];
        let mut x = 0.0;
        for (index, column) in self.columns.iter().enumerate() {
            let ends =
                wires.iter().zip(&backward).filter(|(wire, back)| !**back && self.layer[wire.to.0] == index);
            let label = ends.map(|(wire, _)| wire.label_width).fold(0.0, f64::max);
            let has_wires = self.pieces.iter().any(|piece| self.layer[piece.to.0] == index);
            if index > 0 {
                x += if has_wires { BEND } else { GAP };
            }
            left[index] = x + label;
            let widths = column.iter().map(|slot| match self.slots[*slot] {
                Slot::Item(item) => self.items[item].width,
                Slot::Lane(_) => 0.0,
            });
            x = left[index] + widths.fold(0.0, f64::max);
            right[index] = x;
        }
        let items = (0..self.items.len()).map(|item| (left[self.layer[item]], self.top[item])).collect();
        let bottoms = (0..self.slots.len()).map(|slot| self.top[slot] + self.height(slot));
        let height = bottoms.fold(0.0, f64::max);
        let wires = wires.iter().enumerate().zip(&backward).map(|((index, wire), back)| {
            if *back { Vec::new() } else { self.points(index, wire, &left, &right) }
        });
        Layout { width: x, height, items, wires: wires.collect(), backward }
    }

    /// The points of a wire. Between two points of one height it is straight; else it bends.
    fn points(&self, index: usize, wire: &Wire, left: &[f64], right: &[f64]) -> Vec<(f64, f64)> {
        let (from, to) = (wire.from.0, wire.to.0);
        let start = self.top[from] + self.items[from].right[wire.from.1];
        let end = self.top[to] + self.items[to].left[wire.to.1];
        let column = self.layer[from];
        let mut points = vec![(left[column] + self.items[from].width, start), (right[column], start)];
        let lanes = (0..self.slots.len()).filter(|slot| self.slots[*slot] == Slot::Lane(index));
        for lane in lanes {
            let y = self.top[lane] + LANE / 2.0;
            points.extend([(left[self.layer[lane]], y), (right[self.layer[lane]], y)]);
        }
        let edge = left[self.layer[to]];
        points.extend([(edge - wire.label_width, end), (edge, end)]);
        points.dedup();
        points
    }
}

fn average(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0u32), |(sum, count), value| (sum + value, count + 1));
    (count > 0).then(|| sum / f64::from(count))
}

/// The tops nearest to those that are wanted, such that nothing overlaps: neighbours that would are moved as a block,
/// to the average of what its members want (the algorithm of pool adjacent violators).
fn separated(wanted: &[f64], heights: &[f64]) -> Vec<f64> {
    // A block: where its first member wants it, how many members there are, and how far they are from the first.
    let mut blocks: Vec<(f64, usize)> = Vec::new();
    let mut offsets = Vec::new();
    let mut offset = 0.0;
    for (wanted, height) in wanted.iter().zip(heights) {
        offsets.push(offset);
        blocks.push((wanted - offset, 1));
        offset += height;
        while let [.., (before, before_count), (last, count)] = blocks[..]
            && before > last
        {
            let sum = before * before_count as f64 + last * count as f64;
            blocks.truncate(blocks.len() - 2);
            blocks.push((sum / (before_count + count) as f64, before_count + count));
        }
    }
    let starts = blocks.iter().flat_map(|(start, count)| std::iter::repeat_n(*start, *count));
    starts.zip(offsets).map(|(start, offset)| start + offset).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item() -> Item {
        Item { width: 100.0, height: 40.0, left: vec![20.0], right: vec![20.0], place: Place::Free, least: 0 }
    }

    fn wire(from: usize, to: usize) -> Wire {
        Wire { from: (from, 0), to: (to, 0), label_width: 10.0 }
    }

    #[test]
    fn who_asks_stands_left_of_who_answers() {
        let layout = draw(&vec![item(); 4], &[wire(0, 1), wire(1, 2), wire(0, 2), wire(3, 2)]);
        let x: Vec<f64> = layout.items.iter().map(|(x, _)| *x).collect();
        assert!(x[0] < x[1] && x[1] < x[2] && x[3] == x[1], "{x:?}");
        assert!(layout.wires.iter().all(|points| points.windows(2).all(|pair| pair[0].0 <= pair[1].0)));
    }

    #[test]
    fn boxes_of_a_column_do_not_overlap() {
        let wires: Vec<Wire> = (1..6).map(|to| wire(0, to)).collect();
        let layout = draw(&vec![item(); 6], &wires);
        let mut tops: Vec<f64> = layout.items[1..].iter().map(|(_, y)| *y).collect();
        tops.sort_by(f64::total_cmp);
        assert!(tops.windows(2).all(|pair| pair[1] - pair[0] >= 40.0 + BETWEEN - 1.0), "{tops:?}");
        assert!((layout.items[0].1 - tops[2]).abs() < 2.0, "the one who asks stands in the middle");
    }

    #[test]
    fn a_circle_is_drawn_with_one_wire_back() {
        let layout = draw(&vec![item(); 3], &[wire(0, 1), wire(1, 2), wire(2, 0)]);
        assert_eq!(layout.backward, [false, false, true]);
        assert!(layout.wires[2].is_empty());
    }

    /// Numbers that look random and are the same each time (Knuth's MMIX constants).
    struct Numbers(u64);

    impl Numbers {
        fn below(&mut self, limit: u64) -> u64 {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 33) % limit
        }
    }

    fn random(seed: u64) -> (Vec<Item>, Vec<Wire>) {
        let mut numbers = Numbers(seed);
        let count = 2 + numbers.below(12) as usize;
        let mut items: Vec<Item> = Vec::new();
        for _ in 0..count {
            let pins = 1 + numbers.below(4);
            let heights: Vec<f64> = (0..pins).map(|pin| 20.0 + 22.0 * pin as f64).collect();
            items.push(Item {
                width: 40.0 + numbers.below(120) as f64,
                height: 20.0 + 22.0 * pins as f64,
                left: heights.clone(),
                right: heights,
                place: Place::Free,
                least: 0,
            });
        }
        let mut wires = Vec::new();
        for _ in 0..numbers.below(3 * count as u64) {
            let (from, to) = (numbers.below(count as u64) as usize, numbers.below(count as u64) as usize);
            if from != to {
                let pin = |item: usize, numbers: &mut Numbers| {
                    (item, numbers.below(items[item].left.len() as u64) as usize)
                };
                let (from, to) = (pin(from, &mut numbers), pin(to, &mut numbers));
                wires.push(Wire { from, to, label_width: numbers.below(60) as f64 });
            }
        }
        (items, wires)
    }

    /// The points at which a wire is drawn between two of its corners.
    fn between(from: (f64, f64), to: (f64, f64)) -> impl Iterator<Item = (f64, f64)> {
        (1..20).map(move |step| {
            let t = f64::from(step) / 20.0;
            let middle = (from.0 + to.0) / 2.0;
            let bezier = |a: f64, b: f64, c: f64, d: f64| {
                let u = 1.0 - t;
                a * u * u * u + 3.0 * b * u * u * t + 3.0 * c * u * t * t + d * t * t * t
            };
            (bezier(from.0, middle, middle, to.0), bezier(from.1, from.1, to.1, to.1))
        })
    }

    #[test]
    fn no_box_overlaps_another_and_no_wire_runs_through_a_box() {
        for seed in 0..2000 {
            let (items, wires) = random(seed);
            let layout = draw(&items, &wires);
            let boxes: Vec<_> = items
                .iter()
                .zip(&layout.items)
                .map(|(item, (x, y))| (*x, *y, item.width, item.height))
                .collect();
            for (index, a) in boxes.iter().enumerate() {
                let overlaps = |b: &&(f64, f64, f64, f64)| {
                    a.0 < b.0 + b.2 && b.0 < a.0 + a.2 && a.1 < b.1 + b.3 && b.1 < a.1 + a.3
                };
                assert_eq!(boxes[..index].iter().find(overlaps), None, "seed {seed}: {a:?}");
            }
            for (points, wire) in layout.wires.iter().zip(&wires) {
                let drawn = points.windows(2).flat_map(|pair| between(pair[0], pair[1]));
                for (x, y) in drawn {
                    let hit = boxes.iter().position(|(left, top, width, height)| {
                        *left < x && x < left + width && *top < y && y < top + height
                    });
                    assert_eq!(hit, None, "seed {seed}: {wire:?} at {x}, {y}");
                }
            }
            let again = draw(&items, &wires);
            assert!(again.items == layout.items && again.wires == layout.wires, "seed {seed}");
        }
    }

    #[test]
    fn neighbours_are_moved_as_little_as_can_be() {
        assert_eq!(separated(&[0.0, 100.0], &[10.0, 10.0]), [0.0, 100.0]);
        assert_eq!(separated(&[50.0, 50.0], &[10.0, 10.0]), [45.0, 55.0]);
        assert_eq!(separated(&[], &[]), [0.0; 0]);
    }
}
