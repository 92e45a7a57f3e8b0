//! One dynamic program for all small shapes of an eligibility set: the best value for every amount of two dimensions.
//!
//! `T[a][b]` is the largest `sum_c pi_c a_c` with `sum r_c0 a_c <= a`, `sum r_c1 a_c <= b` and `a_c <= u_c`; the other dimensions are
//! left out, so it is an upper bound for every shape with room `(a, b)`, exact where those do not bind. Values are integers, scaled
//! so that no sum overflows and rounded up, so the bound stays a bound.

/// An item of the table.
pub(super) struct Item {
    /// Amounts in the two dimensions, not both 0.
    pub(super) size: (usize, usize),
    pub(super) value: f64,
    pub(super) most: u32,
}

#[derive(Clone, Copy)]
struct Piece {
    item: usize,
    units: u32,
    size: (usize, usize),
    /// Whether the piece may be taken any number of times.
    unbounded: bool,
    /// The pieces of a clique, of which a pattern has one at most, have its number.
    clique: Option<usize>,
}

/// A bound on the value of all that fits into `room`: each item takes a share of the two dimensions, two in all.
pub(super) fn largest<'a>(items: impl Iterator<Item = &'a Item>, room: (usize, usize)) -> f64 {
    // Rows are padded to whole words, and the padding is filled like the rest.
    let room = (room.0, (room.1 + 1).next_multiple_of(WORD) - 1);
    let share = |size: usize, room: usize| size as f64 / room.max(1) as f64;
    let dearest = items
        .filter(|item| item.most > 0 && item.size.0 <= room.0 && item.size.1 <= room.1)
        .map(|item| item.value / (share(item.size.0, room.0) + share(item.size.1, room.1)))
        .fold(0.0, f64::max);
    2.0 * dearest
}

/// Cells that share a word of `taken`.
const WORD: usize = 32;

/// The filled table.
#[derive(Clone)]
pub(super) struct Table {
    room: (usize, usize),
    /// Cells of a row, padded to whole words.
    stride: usize,
    value: Vec<i32>,
    /// Integer value of one unit of an item's value.
    scale: f64,
    pieces: Vec<Piece>,
    /// One bit per piece and cell: the piece improved the cell.
    taken: Vec<u32>,
    /// How many cliques were offered.
    cliques: usize,
}

impl Table {
    /// The table of no items for amounts up to `room`; no sum of values within it may exceed `largest`.
    pub(super) fn empty(room: (usize, usize), largest: f64) -> Self {
        let stride = (room.1 + 1).next_multiple_of(WORD);
        Self {
            room,
            stride,
            value: vec![0; stride * (room.0 + 1)],
            scale: f64::from(1 << 30) / largest.max(1e-9),
            pieces: Vec::new(),
            taken: Vec::new(),
            cliques: 0,
        }
    }

    /// Offers one more item, known to the caller as `name`.
    pub(super) fn offer(&mut self, name: usize, item: &Item) {
        let room = self.room;
        if item.most == 0 || item.size.0 > room.0 || item.size.1 > room.1 {
            return;
        }
        let value = (item.value * self.scale).ceil() as i32;
        let by = |size: usize, room: usize| room.checked_div(size).unwrap_or(usize::MAX);
        let fits = by(item.size.0, room.0).min(by(item.size.1, room.1));
        if item.most as usize >= fits {
            self.apply(Piece { item: name, units: 1, size: item.size, unbounded: true, clique: None }, value);
            return;
        }
        // Binary splitting: 1, 2, 4, ... and the rest add up to every count from 0 to `most`.
        let (mut left, mut units) = (item.most, 1);
        while left > 0 {
            let now = units.min(left);
            let size = (item.size.0 * now as usize, item.size.1 * now as usize);
            if size.0 <= room.0 && size.1 <= room.1 {
                let piece = Piece { item: name, units: now, size, unbounded: false, clique: None };
                self.apply(piece, value.saturating_mul(now as i32));
            }
            left -= now;
            units *= 2;
        }
    }

    /// Offers items of which a pattern has one unit at most, all in all.
    pub(super) fn offer_one_of<'a>(&mut self, items: impl Iterator<Item = (usize, &'a Item)>) {
        let before = self.value.clone();
        self.cliques += 1;
        for (name, item) in items {
            if item.most == 0 || item.size.0 > self.room.0 || item.size.1 > self.room.1 {
                continue;
            }
            let (start, words) = (self.taken.len(), self.stride / WORD);
            self.taken.resize(start + words * (self.room.0 + 1), 0);
            let value = (item.value * self.scale).ceil() as i32;
            for a in item.size.0..=self.room.0 {
                let from = &before[(a - item.size.0) * self.stride..(a - item.size.0 + 1) * self.stride];
                let cells = &mut self.value[a * self.stride..(a + 1) * self.stride];
                let bits = &mut self.taken[start + a * words..start + (a + 1) * words];
                between_rows(cells, from, bits, item.size.1, value);
            }
            let clique = Some(self.cliques);
            self.pieces.push(Piece { item: name, units: 1, size: item.size, unbounded: false, clique });
        }
    }

    /// Offers one piece to every cell: downwards for a piece that may be taken once, upwards for one without limit.
    fn apply(&mut self, piece: Piece, value: i32) {
        let (height, stride) = (self.room.0 + 1, self.stride);
        let words = stride / WORD * height;
        let start = self.taken.len();
        self.taken.resize(start + words, 0);
        let taken = &mut self.taken[start..];
        let (down, across) = piece.size;
        let mut row = |a: usize| {
            let bits = &mut taken[a * stride / WORD..(a + 1) * stride / WORD];
            if down == 0 {
                within_row(&mut self.value[a * stride..(a + 1) * stride], bits, across, value, piece.unbounded);
            } else {
                let (above, below) = self.value.split_at_mut(a * stride);
                let from = &above[(a - down) * stride..(a - down + 1) * stride];
                between_rows(&mut below[..stride], from, bits, across, value);
            }
        };
        if piece.unbounded {
            (down..height).for_each(&mut row);
        } else {
            (down..height).rev().for_each(&mut row);
        }
        self.pieces.push(piece);
    }

    /// The best value within `room`.
    pub(super) fn best(&self, room: (usize, usize)) -> f64 {
        f64::from(self.value[room.0 * self.stride + room.1]) / self.scale
    }

    /// Counts by item of a best pattern within `room`.
    pub(super) fn pattern(&self, room: (usize, usize)) -> Vec<(usize, u32)> {
        let mut counts: Vec<(usize, u32)> = Vec::new();
        let mut cell = room.0 * self.stride + room.1;
        let words = self.value.len() / WORD;
        // What the pieces of a clique improved, they improved over the cells before all of them.
        let mut done = None;
        for (p, piece) in self.pieces.iter().enumerate().rev() {
            if piece.clique.is_some() && piece.clique == done {
                continue;
            }
            let mut units = 0;
            while self.taken[p * words + cell / WORD] >> (cell % WORD) & 1 == 1 {
                units += piece.units;
                cell -= piece.size.0 * self.stride + piece.size.1;
                if !piece.unbounded {
                    break;
                }
            }
            if units > 0 {
                done = piece.clique;
                match counts.last_mut() {
                    Some(last) if last.0 == piece.item => last.1 += units,
                    _ => counts.push((piece.item, units)),
                }
            }
        }
        counts
    }
}

/// `cells[b] = max(cells[b], from[b - across] + value)` for every b from `across` on, with the bits of the improved cells.
///
/// Words of 32 cells with eight independent accumulators, so that the compiler turns the loop into vector instructions.
fn between_rows(cells: &mut [i32], from: &[i32], bits: &mut [u32], across: usize, value: i32) {
    let aligned = across.next_multiple_of(WORD).min(cells.len());
    for b in across..aligned {
        let offered = from[b - across] + value;
        if offered > cells[b] {
            cells[b] = offered;
            bits[b / WORD] |= 1 << (b % WORD);
        }
    }
    let sources = from[aligned - across..].chunks_exact(WORD);
    for ((cells, from), bits) in cells[aligned..].chunks_exact_mut(WORD).zip(sources).zip(&mut bits[aligned / WORD..]) {
        let mut improved = [0_u32; 8];
        for step in 0..WORD / 8 {
            for (lane, mask) in improved.iter_mut().enumerate() {
                let k = step * 8 + lane;
                let offered = from[k] + value;
                let better = offered > cells[k];
                *mask |= u32::from(better) << k;
                cells[k] = if better { offered } else { cells[k] };
            }
        }
        *bits |= improved.iter().fold(0, |all, mask| all | mask);
    }
}

/// The same where source and target are one row: the order decides whether the piece can be taken again.
fn within_row(cells: &mut [i32], bits: &mut [u32], across: usize, value: i32, unbounded: bool) {
    let end = cells.len();
    let mut offer = |b: usize| {
        let offered = cells[b - across] + value;
        if offered > cells[b] {
            cells[b] = offered;
            bits[b / WORD] |= 1 << (b % WORD);
        }
    };
    if unbounded {
        (across..end).for_each(&mut offer);
    } else {
        (across..end).rev().for_each(&mut offer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The items from `clique` on are those of which there is one at most.
    fn brute(items: &[Item], clique: usize, left: (usize, usize)) -> f64 {
        let Some((first, rest)) = items.split_first() else { return 0.0 };
        if clique == 0 {
            let fits = items.iter().filter(|item| item.most > 0 && item.size.0 <= left.0 && item.size.1 <= left.1);
            return fits.map(|item| item.value).fold(0.0, f64::max);
        }
        let mut best = 0.0_f64;
        for count in 0..=first.most as usize {
            let used = (first.size.0 * count, first.size.1 * count);
            if used.0 > left.0 || used.1 > left.1 {
                break;
            }
            best = best.max(first.value * count as f64 + brute(rest, clique - 1, (left.0 - used.0, left.1 - used.1)));
        }
        best
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn the_table_is_exact_and_gives_patterns(
            rows in prop::collection::vec((0_usize..5, 0_usize..20, 1_u32..50, 1_u32..9), 1..6),
            room in (0_usize..16, 0_usize..46),
            clique in 1_usize..6,
        ) {
            let items: Vec<Item> =
                rows.iter().map(|r| Item { size: (r.0, r.1.max(usize::from(r.0 == 0))), value: f64::from(r.2), most: r.3 }).collect();
            let mut table = Table::empty((15, 45), largest(items.iter(), (15, 45)));
            let clique = clique.min(items.len());
            let numbered = || items.iter().enumerate();
            let (own, others): (Vec<_>, Vec<_>) = numbered().partition(|(i, _)| *i >= clique);
            // Before the clique or after it, that is one.
            others.iter().take(1).for_each(|&(i, item)| table.offer(i, item));
            table.offer_one_of(own.into_iter());
            others.iter().skip(1).for_each(|&(i, item)| table.offer(i, item));
            prop_assert!((table.best(room) - brute(&items, clique, room)).abs() < 1e-3);
            let pattern = table.pattern(room);
            let value: f64 = pattern.iter().map(|&(i, n)| items[i].value * f64::from(n)).sum();
            prop_assert!((value - table.best(room)).abs() < 1e-3);
            let mut used = (0, 0);
            for &(i, n) in &pattern {
                prop_assert!(n <= items[i].most);
                prop_assert!(i < clique || pattern.iter().filter(|entry| entry.0 >= clique).map(|entry| entry.1).sum::<u32>() == 1);
                used.0 += items[i].size.0 * n as usize;
                used.1 += items[i].size.1 * n as usize;
            }
            prop_assert!(used.0 <= room.0 && used.1 <= room.1);
        }
    }
}
