//! Products of two numbers of 256 bits, divided by a third, without losing a digit in between.

use arrow::datatypes::i256;

/// `a * b / c`, rounded half away from zero; `None` where it has more than 255 bits, or `c` is zero.
pub(super) fn scaled(a: i256, b: i256, c: i256) -> Option<i256> {
    if c == i256::ZERO {
        return None;
    }
    let negative = (a < i256::ZERO) ^ (b < i256::ZERO) ^ (c < i256::ZERO);
    let product = product(words(a), words(b));
    let (quotient, rest) = divided(product, words(c));
    let round = at_least(doubled(rest), &widened(words(c)));
    let quotient = if round { increased(quotient) } else { quotient };
    let [w0, w1, w2, w3, high @ ..] = quotient;
    if high != [0; 4] || w3 >> 63 == 1 {
        return None;
    }
    let low = u128::from(w0) | u128::from(w1) << 64;
    let upper = u128::from(w2) | u128::from(w3) << 64;
    let value = i256::from_parts(low, upper.cast_signed());
    Some(if negative {
        value.wrapping_neg()
    } else {
        value
    })
}

/// The size of a number, lowest word first.
fn words(value: i256) -> [u64; 4] {
    let mut words = [0; 4];
    let bytes = value.wrapping_abs().to_le_bytes();
    for (word, eight) in words.iter_mut().zip(bytes.chunks_exact(8)) {
        *word = eight
            .iter()
            .rev()
            .fold(0, |word, byte| word << 8 | u64::from(*byte));
    }
    words
}

fn widened(words: [u64; 4]) -> [u64; 8] {
    let mut wide = [0; 8];
    wide.iter_mut()
        .zip(words)
        .for_each(|(wide, word)| *wide = word);
    wide
}

fn product(a: [u64; 4], b: [u64; 4]) -> [u64; 8] {
    let mut all = [0_u64; 8];
    for (i, x) in a.iter().enumerate() {
        let mut carry = 0_u128;
        for (word, y) in all.iter_mut().skip(i).zip(b.iter().chain(&[0])) {
            let sum = u128::from(*x) * u128::from(*y) + u128::from(*word) + carry;
            *word = (sum & u128::from(u64::MAX)) as u64;
            carry = sum >> 64;
        }
    }
    all
}

/// Quotient and rest, bit by bit.
fn divided(number: [u64; 8], divisor: [u64; 4]) -> ([u64; 8], [u64; 8]) {
    let divisor = widened(divisor);
    let (mut quotient, mut rest) = ([0_u64; 8], [0_u64; 8]);
    for word in number.iter().rev() {
        let mut digits = 0_u64;
        for bit in (0..64).rev() {
            rest = doubled(rest);
            if let Some(lowest) = rest.first_mut() {
                *lowest |= word >> bit & 1;
            }
            digits <<= 1;
            if at_least(rest, &divisor) {
                rest = less(rest, &divisor);
                digits |= 1;
            }
        }
        quotient.rotate_right(1);
        if let Some(lowest) = quotient.first_mut() {
            *lowest = digits;
        }
    }
    (quotient, rest)
}

fn doubled(mut words: [u64; 8]) -> [u64; 8] {
    let mut carry = 0;
    for word in &mut words {
        let next = *word >> 63;
        *word = *word << 1 | carry;
        carry = next;
    }
    words
}

fn increased(mut words: [u64; 8]) -> [u64; 8] {
    for word in &mut words {
        let (sum, carries) = word.overflowing_add(1);
        *word = sum;
        if !carries {
            break;
        }
    }
    words
}

fn at_least(a: [u64; 8], b: &[u64; 8]) -> bool {
    a.iter().rev().cmp(b.iter().rev()).is_ge()
}

fn less(mut a: [u64; 8], b: &[u64; 8]) -> [u64; 8] {
    let mut borrow = false;
    for (x, y) in a.iter_mut().zip(b) {
        let (first, one) = x.overflowing_sub(*y);
        let (second, two) = first.overflowing_sub(u64::from(borrow));
        *x = second;
        borrow = one || two;
    }
    a
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn products_keep_all_digits_and_round_half_away_from_zero() {
        let of = |a: i128, b: i128, c: i128| {
            let [a, b, c] = [a, b, c].map(i256::from_i128);
            scaled(a, b, c).map(|v| v.to_i128().unwrap())
        };
        for (a, b, c, wanted) in [
            (7, 3, 2, Some(11)),
            (-7, 3, 2, Some(-11)),
            (7, -3, -4, Some(5)),
            (1, 1, 3, Some(0)),
            (i128::MAX, i128::MAX, i128::MAX, Some(i128::MAX)),
            (i128::MIN, 5, 5, Some(i128::MIN)),
            (0, -4, 7, Some(0)),
            (1, 1, 0, None),
        ] {
            assert_eq!(of(a, b, c), wanted, "{a} * {b} / {c}");
        }
        assert_eq!(scaled(i256::MAX, i256::MAX, i256::ONE), None);
        assert_eq!(scaled(i256::MAX, i256::MAX, i256::MAX), Some(i256::MAX));
        let ten = i256::from_i128(10_i128.pow(38));
        // 1 / 3 with 38 digits behind the point.
        let third = scaled(ten, ten, i256::from_i128(3).wrapping_mul(ten)).unwrap();
        assert_eq!(third.to_string(), "3".repeat(38));
    }
}
