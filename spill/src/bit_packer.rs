//! Numbers in a fixed number of bits each, lowest bit first. Owns how they become bytes; knows no pages.
//!
//! Layout: <https://parquet.apache.org/docs/file-format/data-pages/encodings/>.

/// Room for the numbers that are packed together, used again and again.
pub(crate) struct BitPacker {
    /// Those to be packed.
    pub(crate) numbers: [u64; Self::MOST_NUMBERS],
    joined: [u64; Self::MOST_NUMBERS],
    packed: Packed,
}

impl Default for BitPacker {
    fn default() -> Self {
        Self {
            numbers: [0; Self::MOST_NUMBERS],
            joined: [0; Self::MOST_NUMBERS],
            packed: Packed {
                bytes: [0; Self::MOST_NUMBERS * 8 + 8],
                at: 0,
                open: 0,
                open_bits: 0,
            },
        }
    }
}

impl BitPacker {
    /// Numbers packed together, at most.
    pub(crate) const MOST_NUMBERS: usize = 64;

    /// The first `count` numbers, 32 or 64, in `width` bits each, which all of them fit into.
    ///
    /// Neighbours are joined as long as two of them have room in one number, which needs no branch and is done to several at a
    /// time; what is left then goes out eight bytes at a time, of which the whole ones stay.
    pub(crate) fn pack(&mut self, mut count: usize, width: u32) -> &[u8] {
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

/// Packed bytes, behind which there is room for what is not whole yet.
struct Packed {
    bytes: [u8; BitPacker::MOST_NUMBERS * 8 + 8],
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
            for count in [32, BitPacker::MOST_NUMBERS] {
                let mut packer = BitPacker::default();
                for (index, number) in packer.numbers.iter_mut().enumerate() {
                    let noise = (index as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
                    *number = noise.checked_shr(64 - width).unwrap_or(0);
                }
                let expected = plainly(packer.numbers.get(..count).unwrap(), width);
                assert_eq!(packer.pack(count, width), expected, "{width}");
            }
        }
    }
}
