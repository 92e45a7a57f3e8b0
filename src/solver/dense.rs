//! One dynamic program for all small shapes of an eligibility set: the best value for every amount of two dimensions.
//!
//! `T[a][b]` is the largest `sum_c pi_c a_c` with `sum r_c0 a_c <= a`, `sum r_c1 a_c <= b` and `a_c <= u_c`; the other dimensions are
//! left out, so it is an upper bound for every shape with room `(a, b)`, exact where those do not bind. Values are `f32`; the
//! caller widens bounds by [`WIDEN`].

/// Relative error of a sum of `f32` values that the bound must allow for.
pub(super) const WIDEN: f64 = 3e-6;

/// An item of the table.
pub(super) struct Item {
    /// Amounts in the two dimensions, not both 0.
    pub(super) size: (usize, usize),
    pub(super) value: f64,
    pub(super) most: u32,
}

struct Piece {
    item: usize,
    units: u32,
    size: (usize, usize),
    /// Whether the piece may be taken any number of times.
    unbounded: bool,
}

/// The filled table.
pub(super) struct Table {
    width: usize,
    value: Vec<f32>,
    pieces: Vec<Piece>,
    /// One bit per piece and cell: the piece improved the cell.
    taken: Vec<u64>,
    words: usize,
}

impl Table {
    /// Fills the table for amounts up to `room`.
    pub(super) fn fill(items: &[Item], room: (usize, usize)) -> Self {
        let (height, width) = (room.0 + 1, room.1 + 1);
        let mut pieces = Vec::new();
        for (i, item) in items.iter().enumerate() {
            if item.size.0 > room.0 || item.size.1 > room.1 {
                continue;
            }
            let by = |size: usize, room: usize| if size == 0 { usize::MAX } else { room / size };
            let fits = by(item.size.0, room.0).min(by(item.size.1, room.1));
            if item.most as usize >= fits {
                pieces.push(Piece { item: i, units: 1, size: item.size, unbounded: true });
                continue;
            }
            // Binary splitting: 1, 2, 4, ... and the rest add up to every count from 0 to `most`.
            let (mut left, mut units) = (item.most, 1);
            while left > 0 {
                let now = units.min(left);
                let size = (item.size.0 * now as usize, item.size.1 * now as usize);
                if size.0 <= room.0 && size.1 <= room.1 {
                    pieces.push(Piece { item: i, units: now, size, unbounded: false });
                }
                left -= now;
                units *= 2;
            }
        }
        let cells = height * width;
        let words = cells.div_ceil(64);
        let mut table = Self { width, value: vec![0.0; cells], taken: vec![0; words * pieces.len()], pieces, words };
        for p in 0..table.pieces.len() {
            let piece = &table.pieces[p];
            let value = (items[piece.item].value * f64::from(piece.units)) as f32;
            let taken = &mut table.taken[p * words..(p + 1) * words];
            apply(&mut table.value, taken, (height, width), piece.size, value, piece.unbounded);
        }
        table
    }

    /// The best value within `room`.
    pub(super) fn best(&self, room: (usize, usize)) -> f64 {
        f64::from(self.value[room.0 * self.width + room.1])
    }

    /// Counts by item of a best pattern within `room`.
    pub(super) fn pattern(&self, room: (usize, usize)) -> Vec<(usize, u32)> {
        let mut counts: Vec<(usize, u32)> = Vec::new();
        let mut cell = room.0 * self.width + room.1;
        for (p, piece) in self.pieces.iter().enumerate().rev() {
            let mut units = 0;
            while self.taken[p * self.words + cell / 64] >> (cell % 64) & 1 == 1 {
                units += piece.units;
                cell -= piece.size.0 * self.width + piece.size.1;
                if !piece.unbounded {
                    break;
                }
            }
            if units > 0 {
                match counts.last_mut() {
                    Some(last) if last.0 == piece.item => last.1 += units,
                    _ => counts.push((piece.item, units)),
                }
            }
        }
        counts
    }
}

/// Offers one piece to every cell: downwards for a piece that may be taken once, upwards for one without limit.
fn apply(cells: &mut [f32], taken: &mut [u64], box_size: (usize, usize), size: (usize, usize), value: f32, unbounded: bool) {
    let (height, width) = box_size;
    let mut row = |a: usize| {
        let here = a * width;
        let from = (a - size.0) * width;
        let mut offer = |b: usize| {
            let offered = cells[from + b - size.1] + value;
            let cell = here + b;
            if offered > cells[cell] {
                cells[cell] = offered;
                taken[cell / 64] |= 1 << (cell % 64);
            }
        };
        // Only when both cells lie in one row does the order inside the row matter.
        if unbounded {
            (size.1..width).for_each(&mut offer);
        } else {
            (size.1..width).rev().for_each(&mut offer);
        }
    };
    if unbounded {
        (size.0..height).for_each(&mut row);
    } else {
        (size.0..height).rev().for_each(&mut row);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn brute(items: &[Item], left: (usize, usize)) -> f64 {
        let Some((first, rest)) = items.split_first() else { return 0.0 };
        let mut best = 0.0_f64;
        for count in 0..=first.most as usize {
            let used = (first.size.0 * count, first.size.1 * count);
            if used.0 > left.0 || used.1 > left.1 {
                break;
            }
            best = best.max(first.value * count as f64 + brute(rest, (left.0 - used.0, left.1 - used.1)));
        }
        best
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn the_table_is_exact_and_gives_patterns(
            rows in prop::collection::vec((0_usize..5, 1_usize..5, 1_u32..50, 1_u32..9), 1..6),
            room in (0_usize..14, 0_usize..14),
        ) {
            let items: Vec<Item> =
                rows.iter().map(|r| Item { size: (r.0, r.1), value: f64::from(r.2), most: r.3 }).collect();
            let table = Table::fill(&items, (15, 15));
            prop_assert!((table.best(room) - brute(&items, room)).abs() < 1e-3);
            let pattern = table.pattern(room);
            let value: f64 = pattern.iter().map(|&(i, n)| items[i].value * f64::from(n)).sum();
            prop_assert!((value - table.best(room)).abs() < 1e-3);
            let mut used = (0, 0);
            for &(i, n) in &pattern {
                prop_assert!(n <= items[i].most);
                used.0 += items[i].size.0 * n as usize;
                used.1 += items[i].size.1 * n as usize;
            }
            prop_assert!(used.0 <= room.0 && used.1 <= room.1);
        }
    }
}
