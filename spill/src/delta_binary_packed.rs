//! Integers as differences, each in as few bits as its neighbours need. Owns the encoding DELTA_BINARY_PACKED; knows no pages.
//!
//! Layout: <https://parquet.apache.org/docs/file-format/data-pages/encodings/>. The sizes of blocks are those of the Parquet
//! library, so that its decoder meets nothing new, and the bytes are the same.

use crate::bit_packer::BitPacker;
use crate::column_pages::push_varint;

/// Miniblocks of a block.
const MINIBLOCKS: usize = 4;
/// Values of the longest miniblock.
const MOST_VALUES: usize = BitPacker::MOST_NUMBERS;

/// A number as Parquet stores it.
pub(crate) trait Stored: Copy {
    /// Values of a miniblock.
    const MINIBLOCK_VALUES: usize;

    /// The number.
    fn wide(self) -> i64;

    /// The difference to the one before, without what the type cannot hold.
    fn since(self, before: Self) -> i64;
}

impl Stored for i32 {
    const MINIBLOCK_VALUES: usize = 32;

    fn wide(self) -> i64 {
        i64::from(self)
    }

    fn since(self, before: Self) -> i64 {
        i64::from(self.wrapping_sub(before))
    }
}

impl Stored for i64 {
    const MINIBLOCK_VALUES: usize = 64;

    fn wide(self) -> i64 {
        self
    }

    fn since(self, before: Self) -> i64 {
        self.wrapping_sub(before)
    }
}

/// Appends `values`, all there are in a page.
pub(crate) fn push_all<T: Stored>(values: &[T], bytes: &mut Vec<u8>) {
    let block_values = MINIBLOCKS * T::MINIBLOCK_VALUES;
    push_varint(bytes, block_values as u64);
    push_varint(bytes, MINIBLOCKS as u64);
    push_varint(bytes, values.len() as u64);
    push_signed(bytes, values.first().map_or(0, |first| first.wide()));
    let mut room = [0; MINIBLOCKS * MOST_VALUES];
    let mut packer = BitPacker::default();
    let after = values.get(1..).unwrap_or_default();
    for (after, before) in after.chunks(block_values).zip(values.chunks(block_values)) {
        for (difference, (after, before)) in room.iter_mut().zip(after.iter().zip(before)) {
            *difference = after.since(*before);
        }
        let differences = room.get(..after.len()).unwrap_or_default();
        push_block::<T>(differences, &mut packer, bytes);
    }
}

/// Appends the least of at most a block of differences, and how far the others are above it.
fn push_block<T: Stored>(differences: &[i64], packer: &mut BitPacker, bytes: &mut Vec<u8>) {
    let least = least(differences);
    push_signed(bytes, least);
    let widths = bytes.len();
    // Miniblocks that the last block does not have are said to be zero bits wide.
    bytes.extend_from_slice(&[0; MINIBLOCKS]);
    for (index, differences) in differences.chunks(T::MINIBLOCK_VALUES).enumerate() {
        let width = fill(packer, differences, least);
        if let Some(place) = bytes.get_mut(widths + index) {
            *place = width as u8;
        }
        bytes.extend_from_slice(packer.pack(T::MINIBLOCK_VALUES, width));
    }
}

/// The least number, zero of none. In four lanes, of which none waits for another.
fn least(numbers: &[i64]) -> i64 {
    let mut lanes = [i64::MAX; 4];
    let (fours, rest) = numbers.as_chunks::<4>();
    for four in fours {
        for (lane, number) in lanes.iter_mut().zip(four) {
            *lane = (*lane).min(*number);
        }
    }
    let least = lanes.iter().chain(rest).min();
    least.filter(|_| !numbers.is_empty()).copied().unwrap_or(0)
}

/// Puts into `packer` how far `differences` are above `least`, and zeros behind them. Returns the bits that the largest needs.
fn fill(packer: &mut BitPacker, differences: &[i64], least: i64) -> u32 {
    let mut used = 0;
    let (numbers, behind) = packer
        .numbers
        .split_at_mut(differences.len().min(MOST_VALUES));
    for (number, difference) in numbers.iter_mut().zip(differences) {
        *number = difference.wrapping_sub(least).cast_unsigned();
        used |= *number;
    }
    behind.fill(0);
    u64::BITS - used.leading_zeros()
}

/// A number in seven bits per byte, small ones of either sign in few bytes.
fn push_signed(bytes: &mut Vec<u8>, number: i64) {
    push_varint(bytes, (number << 1 ^ number >> 63).cast_unsigned());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_format() {
        let mut bytes = Vec::new();
        push_all(&[7_i32, 5, 3, 1, 2, 3, 4, 5], &mut bytes);
        let head = [128, 1, 4, 8, 14, 3, 2, 0, 0, 0];
        // Two bits each: 0, 0, 0, 3, 3, 3, 3.
        let packed = [0b1100_0000, 0b0011_1111, 0, 0, 0, 0, 0, 0];
        assert_eq!(bytes, [&head[..], &packed].concat());
        bytes.clear();
        push_all::<i64>(&[], &mut bytes);
        assert_eq!(bytes, [128, 2, 4, 0, 0]);
    }
}
