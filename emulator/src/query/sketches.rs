//! Sketches that count different values, as HLL_COUNT keeps them.
//!
//! Few values are known by their hashes, and counted exactly; many are HyperLogLog's registers, from which their number is estimated as
//! Ertl's improved estimator does ("New cardinality estimation algorithms for HyperLogLog sketches", 2017), which has no bias to
//! be corrected. The bytes are this crate's own and no other's.

use std::collections::BTreeSet;

/// Precisions there are.
pub(super) const PRECISIONS: std::ops::RangeInclusive<u8> = 10..=24;

/// The precision where none is given.
pub(super) const USUAL_PRECISION: u8 = 15;

/// What sketches begin with.
const HEAD: [u8; 2] = [b'M', 1];

/// What kind of values were counted, which cannot be mixed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Whole,
    Decimal,
    Text,
    Bytes,
}

impl Kind {
    const ALL: [Self; 4] = [Self::Whole, Self::Decimal, Self::Text, Self::Bytes];
}

/// What is known of the values that were counted.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Known {
    Hashes(BTreeSet<u64>),
    /// The longest run of zeros that the hashes of each register began with, and one.
    Registers(Vec<u8>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sketch {
    kind: Kind,
    precision: u8,
    known: Known,
}

impl Sketch {
    pub fn new(kind: Kind, precision: u8) -> Self {
        let known = Known::Hashes(BTreeSet::new());
        Self {
            kind,
            precision,
            known,
        }
    }

    /// Counts a value by its bytes.
    pub fn add(&mut self, value: &[u8]) {
        self.add_hash(farmhash::fingerprint64(value));
    }

    fn add_hash(&mut self, hash: u64) {
        match &mut self.known {
            Known::Hashes(hashes) => {
                hashes.insert(hash);
                self.fit();
            }
            Known::Registers(registers) => {
                let at = usize::try_from(hash >> (64 - self.precision)).unwrap_or(0);
                let rest = (hash << self.precision).leading_zeros() + 1;
                let most = 65 - u32::from(self.precision);
                let rest = u8::try_from(rest.min(most)).unwrap_or(u8::MAX);
                if let Some(register) = registers.get_mut(at) {
                    *register = rest.max(*register);
                }
            }
        }
    }

    /// Takes registers where these are fewer bytes than the hashes.
    fn fit(&mut self) {
        let registers = 1 << self.precision;
        let Known::Hashes(hashes) = &mut self.known else {
            return;
        };
        if hashes.len() * size_of::<u64>() <= registers {
            return;
        }
        let hashes = std::mem::take(hashes);
        self.known = Known::Registers(vec![0; registers]);
        hashes.into_iter().for_each(|hash| self.add_hash(hash));
    }

    /// Counts what another sketch has counted; the result is as precise as the less precise of the two. `None` for values of other kinds.
    pub fn merge(&mut self, mut other: Self) -> Option<()> {
        if self.kind != other.kind {
            return None;
        }
        let precision = self.precision.min(other.precision);
        self.reduce(precision);
        other.reduce(precision);
        match (&mut self.known, other.known) {
            (_, Known::Hashes(hashes)) => hashes.into_iter().for_each(|hash| self.add_hash(hash)),
            (Known::Registers(own), Known::Registers(theirs)) => {
                for (own, theirs) in own.iter_mut().zip(theirs) {
                    *own = theirs.max(*own);
                }
            }
            (Known::Hashes(hashes), theirs @ Known::Registers(_)) => {
                let hashes = std::mem::take(hashes);
                self.known = theirs;
                hashes.into_iter().for_each(|hash| self.add_hash(hash));
            }
        }
        Some(())
    }

    /// Makes the sketch less precise.
    fn reduce(&mut self, precision: u8) {
        let lost = self.precision - precision;
        self.precision = precision;
        if let Known::Registers(registers) = &mut self.known {
            let mut fewer = vec![0; registers.len() >> lost];
            for (at, register) in registers.iter().enumerate().filter(|(_, r)| **r > 0) {
                // The bits that told registers apart are the first of the rest from now on.
                let within = at & ((1 << lost) - 1);
                let rest = match within.checked_ilog2() {
                    Some(highest) => lost - u8::try_from(highest).unwrap_or(0),
                    None => lost + register,
                };
                if let Some(kept) = fewer.get_mut(at >> lost) {
                    *kept = rest.max(*kept);
                }
            }
            *registers = fewer;
        }
        self.fit();
    }

    /// How many different values there were.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss
    )]
    pub fn estimate(&self) -> i64 {
        let registers = match &self.known {
            Known::Hashes(hashes) => return i64::try_from(hashes.len()).unwrap_or(i64::MAX),
            Known::Registers(registers) => registers,
        };
        let most = usize::from(64 - self.precision);
        let mut counts = vec![0_u32; most + 2];
        for register in registers {
            if let Some(count) = counts.get_mut(usize::from(*register)) {
                *count += 1;
            }
        }
        let share = |at: usize| f64::from(counts.get(at).copied().unwrap_or(0));
        let all = registers.len() as f64;
        let mut sum = all * tau(1.0 - share(most + 1) / all);
        for at in (1..=most).rev() {
            sum = 0.5 * (sum + share(at));
        }
        sum += all * sigma(share(0) / all);
        (all * all / (2.0 * std::f64::consts::LN_2 * sum)).round() as i64
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        let kind = Kind::ALL.iter().position(|kind| *kind == self.kind);
        let kind = kind.and_then(|kind| u8::try_from(kind).ok()).unwrap_or(0);
        let mut bytes = HEAD.to_vec();
        bytes.extend([kind, self.precision]);
        match &self.known {
            Known::Hashes(hashes) => {
                bytes.push(0);
                bytes.extend(hashes.iter().flat_map(|hash| hash.to_le_bytes()));
            }
            Known::Registers(registers) => {
                bytes.push(1);
                bytes.extend(registers);
            }
        }
        bytes
    }

    /// The sketch that bytes are; `None` for those of no sketch.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let [kind, precision, form, known @ ..] = bytes.strip_prefix(&HEAD)? else {
            return None;
        };
        let kind = *Kind::ALL.get(usize::from(*kind))?;
        let precision = Some(*precision).filter(|p| PRECISIONS.contains(p))?;
        let known = match form {
            0 if known.len().is_multiple_of(size_of::<u64>()) => {
                let hashes = known.chunks_exact(size_of::<u64>());
                let hash = |bytes: &[u8]| bytes.try_into().ok().map(u64::from_le_bytes);
                Known::Hashes(hashes.filter_map(hash).collect())
            }
            1 if known.len() == 1 << precision => Known::Registers(known.to_vec()),
            _ => return None,
        };
        Some(Self {
            kind,
            precision,
            known,
        })
    }

    /// Memory that it takes.
    pub fn size(&self) -> usize {
        size_of::<Self>()
            + match &self.known {
                Known::Hashes(hashes) => hashes.len() * 2 * size_of::<u64>(),
                Known::Registers(registers) => registers.len(),
            }
    }
}

/// The share of registers that are empty, corrected.
fn sigma(share: f64) -> f64 {
    if share >= 1.0 {
        return f64::INFINITY;
    }
    let (mut power, mut weight, mut sum) = (share, 1.0, share);
    loop {
        power *= power;
        let before = sum;
        sum += power * weight;
        weight += weight;
        if sum <= before {
            return sum;
        }
    }
}

/// The share of registers that are full, corrected.
fn tau(share: f64) -> f64 {
    if share <= 0.0 || share >= 1.0 {
        return 0.0;
    }
    let (mut root, mut weight, mut sum) = (share, 1.0, 1.0 - share);
    loop {
        root = root.sqrt();
        let before = sum;
        weight *= 0.5;
        sum -= (1.0 - root).powi(2) * weight;
        if sum >= before {
            return sum / 3.0;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn of(values: std::ops::Range<u64>, precision: u8) -> Sketch {
        let mut sketch = Sketch::new(Kind::Whole, precision);
        values.for_each(|value| sketch.add(&value.to_le_bytes()));
        sketch
    }

    #[test]
    fn few_are_counted_and_many_are_estimated() {
        for precision in [10, 15, 20] {
            // Four standard deviations.
            let error = 4.2 / f64::from(1_u32 << precision).sqrt();
            for count in [0_u32, 1, 100, 5000, 60_000, 300_000] {
                let sketch = of(0..u64::from(count), precision);
                let estimate = sketch.estimate();
                let off = i32::try_from((estimate - i64::from(count)).abs()).unwrap();
                let allowed = (error * f64::from(count)).round();
                assert!(f64::from(off) <= allowed, "{precision} {count}: {estimate}");
                let again = Sketch::from_bytes(&sketch.to_bytes()).unwrap();
                assert_eq!(again, sketch);
            }
        }
    }

    #[test]
    fn merging_is_counting_all_of_it() {
        for (one, other) in [
            (0..50, 20..90),
            (0..20_000, 10..60),
            (5..9, 0..40_000),
            (0..9000, 5000..30_000),
        ] {
            let all = of(one.start.min(other.start)..one.end.max(other.end), 12);
            let mut merged = of(one, 12);
            merged.merge(of(other.clone(), 12)).unwrap();
            assert_eq!(merged, all);
        }
        // The less precise counts.
        let mut merged = of(0..40_000, 15);
        merged.merge(of(30_000..60_000, 11)).unwrap();
        assert_eq!(merged, of(0..60_000, 11));
        assert_eq!(merged.merge(Sketch::new(Kind::Text, 11)), None);
    }

    #[test]
    fn other_bytes_are_no_sketch() {
        for bytes in [
            &b""[..],
            b"abc",
            b"M\x01\x00\x0f\x00\x01",
            b"M\x01\x00\x09\x00",
            b"M\x01\x09\x0f\x00",
        ] {
            assert_eq!(Sketch::from_bytes(bytes), None, "{bytes:?}");
        }
    }
}
