//! Blocks of 5×5 pixels: 32 columns and 18 rows, so that a row is one number of 32 bits.

use super::shrink::{HEIGHT, WIDTH};

/// Width and height of a block in pixels.
pub(super) const SIDE: usize = 5;
/// Number of blocks in a row.
pub(super) const COLUMNS: usize = WIDTH / SIDE;
/// Number of rows of blocks.
pub(super) const ROWS: usize = HEIGHT / SIDE;
/// Number of blocks.
pub(super) const BLOCKS: usize = COLUMNS * ROWS;

/// A set of blocks. The lowest bit of each row is the leftmost block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct BlockSet {
    rows: [u32; ROWS],
}

impl BlockSet {
    /// Returns the blocks for which the condition is true. `values` has a value for each block.
    pub(super) fn filter<T>(values: &[T], mut condition: impl FnMut(&T) -> bool) -> Self {
        let mut set = Self::default();
        for (row, values) in set.rows.iter_mut().zip(values.chunks_exact(COLUMNS)) {
            for (column, value) in values.iter().enumerate() {
                *row |= u32::from(condition(value)) << column;
            }
        }
        set
    }

    /// Returns a set with the first block only, or `None` if there is no block.
    pub(super) fn first(self) -> Option<Self> {
        let index = self.rows.iter().position(|&row| row != 0)?;
        let mut first = Self::default();
        if let (Some(to), Some(row)) = (first.rows.get_mut(index), self.rows.get(index)) {
            *to = row & row.wrapping_neg();
        }
        Some(first)
    }

    /// Returns the rows, from the top.
    pub(super) fn rows(&self) -> &[u32; ROWS] {
        &self.rows
    }

    /// Returns the blocks that are in both sets.
    pub(super) fn and(self, other: Self) -> Self {
        self.zip(other, |row, other| row & other)
    }

    /// Returns the blocks that are in one of the sets.
    pub(super) fn or(self, other: Self) -> Self {
        self.zip(other, |row, other| row | other)
    }

    /// Returns the blocks that are not in the other set.
    pub(super) fn without(self, other: Self) -> Self {
        self.zip(other, |row, other| row & !other)
    }

    /// Returns the blocks and all their neighbours.
    pub(super) fn grown(self) -> Self {
        let wide = self.rows.map(|row| row | (row << 1) | (row >> 1));
        let mut grown = Self { rows: wide };
        for (row, above) in grown.rows.iter_mut().skip(1).zip(wide) {
            *row |= above;
        }
        for (row, below) in grown.rows.iter_mut().zip(wide.into_iter().skip(1)) {
            *row |= below;
        }
        grown
    }

    /// Returns all blocks of `within` that are connected to this set. Blocks are connected across a gap of one block.
    pub(super) fn connected(self, within: Self) -> Self {
        let mut set = self;
        loop {
            let next = set.or(set.grown().grown().and(within));
            if next == set {
                return set;
            }
            set = next;
        }
    }

    fn zip(self, other: Self, join: impl Fn(u32, u32) -> u32) -> Self {
        let mut set = self;
        for (row, other) in set.rows.iter_mut().zip(other.rows) {
            *row = join(*row, other);
        }
        set
    }
}

/// Adds up the values of each block's pixels. `pixels` has a value for each pixel, and `sums` for each block.
pub(super) fn sums<T: Copy + Into<i32>>(pixels: &[T], sums: &mut [i32]) {
    let strips = pixels.chunks_exact(WIDTH * SIDE);
    for (sums, strip) in sums.chunks_exact_mut(COLUMNS).zip(strips) {
        // The columns are added first, because this loop is vectorised.
        let mut columns = [0; WIDTH];
        for row in strip.chunks_exact(WIDTH) {
            for (column, &pixel) in columns.iter_mut().zip(row) {
                *column += pixel.into();
            }
        }
        let (blocks, _) = columns.as_chunks::<SIDE>();
        for (sum, columns) in sums.iter_mut().zip(blocks) {
            *sum = columns.iter().sum();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(blocks: &[(usize, usize)]) -> BlockSet {
        let values: Vec<_> = (0..BLOCKS).map(|i| (i % COLUMNS, i / COLUMNS)).collect();
        BlockSet::filter(&values, |block| blocks.contains(block))
    }

    #[test]
    fn blocks_are_connected_across_a_gap_of_one() {
        let within = set(&[(0, 0), (2, 0), (4, 2), (7, 2), (31, 17)]);
        assert_eq!(set(&[(0, 0)]).connected(within), set(&[(0, 0), (2, 0), (4, 2)]));
        assert_eq!(within.first(), Some(set(&[(0, 0)])));
        assert_eq!(within.without(set(&[(0, 0)])).first(), Some(set(&[(2, 0)])));
        assert_eq!(BlockSet::default().first(), None);
    }

    #[test]
    fn rows_do_not_wrap_around() {
        let grown = |x: usize, y: usize| {
            let rows = set(&[(x, y)]).grown().rows;
            rows.iter().map(|row| row.count_ones()).sum::<u32>()
        };
        assert_eq!(grown(31, 3), 6);
        assert_eq!(grown(0, 0), 4);
        assert_eq!(grown(5, 17), 6);
    }

    #[test]
    fn sums_are_those_of_the_pixels_in_a_block() {
        let pixels: Vec<u8> =
            (0..WIDTH * HEIGHT).map(|i| u8::from(i % WIDTH >= 155 && i / WIDTH >= 87)).collect();
        let mut out = vec![0; BLOCKS];
        sums(&pixels, &mut out);
        assert_eq!(out.iter().sum::<i32>(), 15);
        assert_eq!(out[BLOCKS - 1], 15);
    }
}
