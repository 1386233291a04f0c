//! MD5, SHA1, SHA256 and SHA512 of texts and bytes, for keys and fingerprints; nothing here is a secret.
//!
//! Constants follow from their definitions: sines for MD5, roots of primes for SHA-2 (RFC 1321, FIPS 180-4).

use std::sync::{Arc, OnceLock};

use arrow::array::{ArrayRef, AsArray, BinaryArray};
use arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::logical_expr::ScalarUDF;

use super::{Call, Function, nullable};

pub(super) fn functions() -> Vec<ScalarUDF> {
    vec![
        Function::made(
            "millpond_md5",
            &[1],
            |_| nullable(DataType::Binary),
            |c| hashed(c, md5),
        ),
        Function::made(
            "millpond_sha1",
            &[1],
            |_| nullable(DataType::Binary),
            |c| hashed(c, sha1),
        ),
        Function::made(
            "millpond_sha256",
            &[1],
            |_| nullable(DataType::Binary),
            |c| hashed(c, sha256),
        ),
        Function::made(
            "millpond_sha512",
            &[1],
            |_| nullable(DataType::Binary),
            |c| hashed(c, sha512),
        ),
    ]
}

fn hashed(call: &Call, hash: fn(&[u8]) -> Vec<u8>) -> Result<ArrayRef> {
    let array = call.array(0)?;
    if let Some(bytes) = array.as_binary_opt::<i32>() {
        let hashes = bytes.iter().map(|value| value.map(hash));
        return Ok(Arc::new(hashes.collect::<BinaryArray>()));
    }
    let texts = call.texts(0)?;
    let hashes = texts.iter().map(|value| value.map(|v| hash(v.as_bytes())));
    Ok(Arc::new(hashes.collect::<BinaryArray>()))
}

/// The message with a one, zeros, and its length in bits in the last bytes of a block.
fn padded(message: &[u8], block: usize, length: &[u8]) -> Vec<u8> {
    let mut whole = message.to_vec();
    whole.push(0x80);
    while !(whole.len() + length.len()).is_multiple_of(block) {
        whole.push(0);
    }
    whole.extend_from_slice(length);
    whole
}

fn bits(message: &[u8]) -> u64 {
    (message.len() as u64).wrapping_mul(8)
}

fn words<'a>(block: &'a [u8], read: fn([u8; 4]) -> u32) -> impl Iterator<Item = u32> + 'a {
    block.chunks_exact(4).map(move |four| {
        let mut bytes = [0; 4];
        bytes.copy_from_slice(four);
        read(bytes)
    })
}

fn md5(message: &[u8]) -> Vec<u8> {
    const TURNS: [[u32; 4]; 4] = [
        [7, 12, 17, 22],
        [5, 9, 14, 20],
        [4, 11, 16, 23],
        [6, 10, 15, 21],
    ];
    let sines: Vec<u32> = (1..=64)
        .map(|i| (f64::from(i).sin().abs() * 4_294_967_296.0) as u32)
        .collect();
    let mut state: [u32; 4] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];
    for block in padded(message, 64, &bits(message).to_le_bytes()).chunks_exact(64) {
        let word: Vec<u32> = words(block, u32::from_le_bytes).collect();
        let [mut a, mut b, mut c, mut d] = state;
        for (i, sine) in sines.iter().enumerate() {
            let (mixed, at) = match i / 16 {
                0 => ((b & c) | (!b & d), i),
                1 => ((d & b) | (!d & c), 5 * i + 1),
                2 => (b ^ c ^ d, 3 * i + 5),
                _ => (c ^ (b | !d), 7 * i),
            };
            let word = word.get(at % 16).copied().unwrap_or(0);
            let turn = TURNS
                .get(i / 16)
                .and_then(|t| t.get(i % 4))
                .copied()
                .unwrap_or(0);
            let sum = a.wrapping_add(mixed).wrapping_add(*sine).wrapping_add(word);
            (a, d, c, b) = (d, c, b, b.wrapping_add(sum.rotate_left(turn)));
        }
        for (sum, more) in state.iter_mut().zip([a, b, c, d]) {
            *sum = sum.wrapping_add(more);
        }
    }
    state.iter().flat_map(|word| word.to_le_bytes()).collect()
}

fn sha1(message: &[u8]) -> Vec<u8> {
    let mut state: [u32; 5] = [
        0x6745_2301,
        0xefcd_ab89,
        0x98ba_dcfe,
        0x1032_5476,
        0xc3d2_e1f0,
    ];
    for block in padded(message, 64, &bits(message).to_be_bytes()).chunks_exact(64) {
        let mut word: Vec<u32> = words(block, u32::from_be_bytes).collect();
        for i in 16..80 {
            let back = |n: usize| word.get(i - n).copied().unwrap_or(0);
            word.push((back(3) ^ back(8) ^ back(14) ^ back(16)).rotate_left(1));
        }
        let [mut a, mut b, mut c, mut d, mut e] = state;
        for (i, word) in word.iter().enumerate() {
            let (mixed, constant) = match i / 20 {
                0 => ((b & c) | (!b & d), 0x5a82_7999),
                1 => (b ^ c ^ d, 0x6ed9_eba1),
                2 => ((b & c) | (b & d) | (c & d), 0x8f1b_bcdc),
                _ => (b ^ c ^ d, 0xca62_c1d6_u32),
            };
            let sum = a.rotate_left(5).wrapping_add(mixed).wrapping_add(e);
            let sum = sum.wrapping_add(constant).wrapping_add(*word);
            (e, d, c, b, a) = (d, c, b.rotate_left(30), a, sum);
        }
        for (sum, more) in state.iter_mut().zip([a, b, c, d, e]) {
            *sum = sum.wrapping_add(more);
        }
    }
    state.iter().flat_map(|word| word.to_be_bytes()).collect()
}

/// What SHA-2 starts with and adds: bits of the square roots of the first eight primes, of the cube roots of the first eighty.
fn constants() -> &'static (Vec<u64>, Vec<u64>) {
    static CONSTANTS: OnceLock<(Vec<u64>, Vec<u64>)> = OnceLock::new();
    CONSTANTS.get_or_init(|| {
        let primes = primes(80);
        let squares = primes
            .iter()
            .take(8)
            .map(|p| fraction_of_root(*p, Root::Square));
        let cubes = primes.iter().map(|p| fraction_of_root(*p, Root::Cube));
        (squares.collect(), cubes.collect())
    })
}

/// The upper halves, which the shorter form takes.
fn halves(words: &[u64], count: usize) -> Vec<u32> {
    words
        .iter()
        .take(count)
        .map(|word| (word >> 32) as u32)
        .collect()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Root {
    Square,
    Cube,
}

/// The first `count` primes.
fn primes(count: usize) -> Vec<u128> {
    let mut found: Vec<u128> = Vec::new();
    let mut candidate = 2;
    while found.len() < count {
        if found.iter().all(|prime| candidate % prime != 0) {
            found.push(candidate);
        }
        candidate += 1;
    }
    found
}

/// The first 64 bits behind the point of a prime's square or cube root, by bisection in whole numbers.
fn fraction_of_root(prime: u128, root: Root) -> u64 {
    // A root below 32 with 64 bits behind the point: r * 2^64, whose power is compared with the prime's.
    let (mut low, mut high) = (0_u128, 32_u128 << 64);
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if power_fits(middle, root, prime) {
            low = middle;
        } else {
            high = middle;
        }
    }
    low as u64
}

/// Whether (value / 2^64) to the power is at most `prime`.
fn power_fits(value: u128, root: Root, prime: u128) -> bool {
    let square = product(&limbs(value), &limbs(value));
    let (power, shift) = if root == Root::Cube {
        (product(&square, &limbs(value)), 192)
    } else {
        (square, 128)
    };
    let mut bound = vec![0_u32; shift / 32];
    bound.extend(limbs(prime));
    let length = power.len().max(bound.len());
    let digit = |number: &[u32], at: usize| number.get(at).copied().unwrap_or(0);
    for at in (0..length).rev() {
        let (own, most) = (digit(&power, at), digit(&bound, at));
        if own != most {
            return own < most;
        }
    }
    true
}

/// A number in digits of 32 bits, the lowest first.
fn limbs(value: u128) -> Vec<u32> {
    (0..4).map(|i| (value >> (32 * i)) as u32).collect()
}

fn product(left: &[u32], right: &[u32]) -> Vec<u32> {
    let mut digits = vec![0_u32; left.len() + right.len()];
    for (i, a) in left.iter().enumerate() {
        let mut carry = 0_u64;
        for (j, b) in right.iter().chain(std::iter::repeat_n(&0, 1)).enumerate() {
            if let Some(digit) = digits.get_mut(i + j) {
                let sum = u64::from(*digit) + u64::from(*a) * u64::from(*b) + carry;
                *digit = sum as u32;
                carry = sum >> 32;
            }
        }
    }
    digits
}

fn sha256(message: &[u8]) -> Vec<u8> {
    let (squares, cubes) = constants();
    let (mut state, roots) = (halves(squares, 8), halves(cubes, 64));
    for block in padded(message, 64, &bits(message).to_be_bytes()).chunks_exact(64) {
        let mut word: Vec<u32> = words(block, u32::from_be_bytes).collect();
        for i in 16..64 {
            let back = |n: usize| word.get(i - n).copied().unwrap_or(0);
            let (x, y) = (back(15), back(2));
            let s0 = x.rotate_right(7) ^ x.rotate_right(18) ^ (x >> 3);
            let s1 = y.rotate_right(17) ^ y.rotate_right(19) ^ (y >> 10);
            word.push(
                back(16)
                    .wrapping_add(s0)
                    .wrapping_add(back(7))
                    .wrapping_add(s1),
            );
        }
        let mut now = [0_u32; 8];
        now.copy_from_slice(&state);
        for (root, word) in roots.iter().zip(&word) {
            let [a, b, c, d, e, f, g, h] = now;
            let s1 = e.rotate_right(6) ^ e.rotate_right(11) ^ e.rotate_right(25);
            let chosen = (e & f) ^ (!e & g);
            let first = h
                .wrapping_add(s1)
                .wrapping_add(chosen)
                .wrapping_add(*root)
                .wrapping_add(*word);
            let s0 = a.rotate_right(2) ^ a.rotate_right(13) ^ a.rotate_right(22);
            let most = (a & b) ^ (a & c) ^ (b & c);
            now = [
                first.wrapping_add(s0).wrapping_add(most),
                a,
                b,
                c,
                d.wrapping_add(first),
                e,
                f,
                g,
            ];
        }
        for (sum, more) in state.iter_mut().zip(now) {
            *sum = sum.wrapping_add(more);
        }
    }
    state.iter().flat_map(|word| word.to_be_bytes()).collect()
}

fn sha512(message: &[u8]) -> Vec<u8> {
    let (squares, roots) = constants();
    let mut state = squares.clone();
    let length = u128::from(bits(message)).to_be_bytes();
    for block in padded(message, 128, &length).chunks_exact(128) {
        let mut word: Vec<u64> = block
            .chunks_exact(8)
            .map(|eight| {
                let mut bytes = [0; 8];
                bytes.copy_from_slice(eight);
                u64::from_be_bytes(bytes)
            })
            .collect();
        for i in 16..80 {
            let back = |n: usize| word.get(i - n).copied().unwrap_or(0);
            let (x, y) = (back(15), back(2));
            let s0 = x.rotate_right(1) ^ x.rotate_right(8) ^ (x >> 7);
            let s1 = y.rotate_right(19) ^ y.rotate_right(61) ^ (y >> 6);
            word.push(
                back(16)
                    .wrapping_add(s0)
                    .wrapping_add(back(7))
                    .wrapping_add(s1),
            );
        }
        let mut now = [0_u64; 8];
        now.copy_from_slice(&state);
        for (root, word) in roots.iter().zip(&word) {
            let [a, b, c, d, e, f, g, h] = now;
            let s1 = e.rotate_right(14) ^ e.rotate_right(18) ^ e.rotate_right(41);
            let chosen = (e & f) ^ (!e & g);
            let first = h
                .wrapping_add(s1)
                .wrapping_add(chosen)
                .wrapping_add(*root)
                .wrapping_add(*word);
            let s0 = a.rotate_right(28) ^ a.rotate_right(34) ^ a.rotate_right(39);
            let most = (a & b) ^ (a & c) ^ (b & c);
            now = [
                first.wrapping_add(s0).wrapping_add(most),
                a,
                b,
                c,
                d.wrapping_add(first),
                e,
                f,
                g,
            ];
        }
        for (sum, more) in state.iter_mut().zip(now) {
            *sum = sum.wrapping_add(more);
        }
    }
    state.iter().flat_map(|word| word.to_be_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|b| format!("{b:02x}")).collect()
    }

    #[test]
    fn hashes_are_those_of_their_definitions() {
        // The definitions' own examples, and a message of more than a block.
        assert_eq!(hex(&md5(b"")), "d41d8cd98f00b204e9800998ecf8427e");
        assert_eq!(hex(&md5(b"abc")), "900150983cd24fb0d6963f7d28e17f72");
        assert_eq!(hex(&md5(&[b'a'; 100])), "36a92cc94a9e0fa21f625f8bfb007adf");
        assert_eq!(
            hex(&sha1(b"abc")),
            "a9993e364706816aba3e25717850c26c9cd0d89d"
        );
        assert_eq!(
            hex(&sha256(b"abc")),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert_eq!(
            hex(&sha512(b"abc")),
            "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a\
             2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"
        );
    }
}
