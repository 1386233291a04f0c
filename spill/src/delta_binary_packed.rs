//! Integers as differences, each in as few bits as its neighbours need. Owns the encoding DELTA_BINARY_PACKED; knows no pages.
//!
//! Layout: <https://parquet.apache.org/docs/file-format/data-pages/encodings/>. The sizes of blocks are those of the Parquet
//! library, so that its decoder meets nothing new, and the bytes are the same.

use crate::column_pages::push_varint;

/// Miniblocks of a block.
const MINIBLOCKS: usize = 4;
/// Values of the longest miniblock.
const MOST_VALUES: usize = 64;

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
    let mut miniblock = Miniblock::default();
    let after = values.get(1..).unwrap_or_default();
    for (after, before) in after.chunks(block_values).zip(values.chunks(block_values)) {
        for (difference, (after, before)) in room.iter_mut().zip(after.iter().zip(before)) {
            *difference = after.since(*before);
        }
        let differences = room.get(..after.len()).unwrap_or_default();
        push_block::<T>(differences, &mut miniblock, bytes);
    }
}

/// Appends the least of at most a block of differences, and how far the others are above it.
fn push_block<T: Stored>(differences: &[i64], miniblock: &mut Miniblock, bytes: &mut Vec<u8>) {
    let least = least(differences);
    push_signed(bytes, least);
    let widths = bytes.len();
    // Miniblocks that the last block does not have are said to be zero bits wide.
    bytes.extend_from_slice(&[0; MINIBLOCKS]);
    for (index, differences) in differences.chunks(T::MINIBLOCK_VALUES).enumerate() {
        let width = miniblock.fill(differences, least);
        if let Some(place) = bytes.get_mut(widths + index) {
            *place = width as u8;
        }
        bytes.extend_from_slice(miniblock.pack(T::MINIBLOCK_VALUES, width));
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

/// Room for the numbers of one miniblock, which is used for all of a page.
struct Miniblock {
    numbers: [u64; MOST_VALUES],
    joined: [u64; MOST_VALUES],
    packed: Packed,
}

impl Default for Miniblock {
    fn default() -> Self {
        Self {
            numbers: [0; MOST_VALUES],
            joined: [0; MOST_VALUES],
            packed: Packed {
                bytes: [0; MOST_VALUES * 8 + 8],
                at: 0,
                open: 0,
                open_bits: 0,
            },
        }
    }
}

impl Miniblock {
    /// Takes in how far `differences` are above `least`, and zeros behind them. Returns the bits that the largest needs.
    fn fill(&mut self, differences: &[i64], least: i64) -> u32 {
        let mut used = 0;
        let (numbers, behind) = self
            .numbers
            .split_at_mut(differences.len().min(MOST_VALUES));
        for (number, difference) in numbers.iter_mut().zip(differences) {
            *number = difference.wrapping_sub(least).cast_unsigned();
            used |= *number;
        }
        behind.fill(0);
        u64::BITS - used.leading_zeros()
    }

    /// The first `count` numbers in `width` bits each, lowest bit first.
    ///
    /// Neighbours are joined as long as two of them have room in one number, which needs no branch and is done to several at a
    /// time; what is left then goes out eight bytes at a time, of which the whole ones stay.
    fn pack(&mut self, mut count: usize, width: u32) -> &[u8] {
        if width == 0 {
            return &[];
        }
        let size = count * width as usize / 8;
        let (mut numbers, mut joined) = (&mut self.numbers, &mut self.joined);
        let mut bits = width;
        while 2 * bits <= Packed::MOST_BITS {
            let (pairs, _) = numbers.as_chunks::<2>();
            for (joined, [low, high]) in joined.iter_mut().zip(pairs).take(count / 2) {
                *joined = low | high << bits;
            }
            (numbers, joined) = (joined, numbers);
            count /= 2;
            bits *= 2;
        }
        let numbers = numbers.get(..count).unwrap_or_default();
        self.packed.begin();
        if bits <= Packed::MOST_BITS {
            for number in numbers {
                self.packed.push(*number, bits);
            }
        } else {
            for number in numbers {
                self.packed.push(number & u64::from(u32::MAX), 32);
                self.packed.push(number >> 32, bits - 32);
            }
        }
        self.packed.bytes.get(..size).unwrap_or_default()
    }
}

/// The bytes of a miniblock, behind which there is room for what is not whole yet.
struct Packed {
    bytes: [u8; MOST_VALUES * 8 + 8],
    at: usize,
    open: u64,
    open_bits: u32,
}

impl Packed {
    /// Of one number: with up to seven open bits they fill a word but for one bit.
    const MOST_BITS: u32 = 56;

    fn begin(&mut self) {
        (self.at, self.open, self.open_bits) = (0, 0, 0);
    }

    #[inline]
    fn push(&mut self, number: u64, bits: u32) {
        self.open |= number << self.open_bits;
        self.open_bits += bits;
        if let Some(place) = self.bytes.get_mut(self.at..self.at + 8) {
            place.copy_from_slice(&self.open.to_le_bytes());
        }
        self.at += (self.open_bits / 8) as usize;
        self.open >>= self.open_bits & !7;
        self.open_bits &= 7;
    }
}

/// A number in seven bits per byte, small ones of either sign in few bytes.
fn push_signed(bytes: &mut Vec<u8>, number: i64) {
    push_varint(bytes, (number << 1 ^ number >> 63).cast_unsigned());
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// Bit by bit.
    fn plainly(numbers: &[u64], width: u32) -> Vec<u8> {
        let mut bytes = vec![0; (numbers.len() * width as usize).div_ceil(8)];
        for (index, number) in numbers.iter().enumerate() {
            for bit in 0..width as usize {
                let place = index * width as usize + bit;
                *bytes.get_mut(place / 8).unwrap() |= ((number >> bit & 1) as u8) << (place % 8);
            }
        }
        bytes
    }

    #[test]
    fn every_width_is_packed_bit_by_bit() {
        for width in 0..=64 {
            for count in [32, MOST_VALUES] {
                let mut miniblock = Miniblock::default();
                for (index, number) in miniblock.numbers.iter_mut().enumerate() {
                    let noise = (index as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
                    *number = noise.checked_shr(64 - width).unwrap_or(0);
                }
                let expected = plainly(miniblock.numbers.get(..count).unwrap(), width);
                assert_eq!(miniblock.pack(count, width), expected, "{width}");
            }
        }
    }

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
