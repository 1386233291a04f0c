//! Running statistics of a string column.
//!
//! Owns the count of distinct strings and how they are spread. Must not know Arrow, and must not give out the strings themselves.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

/// Distinct strings counted one by one; a column with more has no single value worth reporting.
const MAX_COUNTED: usize = 1_000;

/// Statistics of the strings seen.
#[derive(Debug, Default)]
pub(super) struct Outline {
    /// Strings seen.
    pub count: u64,
    /// Shortest and longest length in bytes.
    pub lengths: Option<(usize, usize)>,
    distinct: HashSet<u128>,
    counts: HashMap<u128, u64>,
}

impl Outline {
    pub fn push(&mut self, text: &str) {
        self.count += 1;
        let (short, long) = self.lengths.unwrap_or((text.len(), text.len()));
        self.lengths = Some((short.min(text.len()), long.max(text.len())));
        let print = fingerprint(text);
        self.distinct.insert(print);
        if let Some(count) = self.counts.get_mut(&print) {
            *count += 1;
        } else if self.counts.len() < MAX_COUNTED {
            self.counts.insert(print, 1);
        }
    }

    /// Distinct strings; told apart by 128 bits of hash, so that long texts cost no memory.
    pub fn distinct(&self) -> usize {
        self.distinct.len()
    }

    /// Share of the most frequent string, when there are few enough to count each.
    pub fn largest_share(&self) -> Option<f64> {
        if self.distinct.len() > MAX_COUNTED {
            return None;
        }
        self.counts
            .values()
            .max()
            .map(|most| *most as f64 / self.count as f64)
    }
}

fn fingerprint(text: &str) -> u128 {
    let half = |salt: u8| {
        let mut hasher = DefaultHasher::new();
        salt.hash(&mut hasher);
        text.hash(&mut hasher);
        u128::from(hasher.finish())
    };
    half(0) << 64 | half(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_what_is_distinct() {
        let mut outline = Outline::default();
        for i in 0..5_000 {
            outline.push(&format!("v{}", i % 700));
        }
        outline.push("");
        assert_eq!((outline.count, outline.distinct()), (5_001, 701));
        assert_eq!(outline.lengths, Some((0, 4)));
        assert_eq!(outline.largest_share(), Some(8.0 / 5_001.0));
    }

    #[test]
    fn too_many_to_count_have_no_largest() {
        let mut outline = Outline::default();
        for i in 0..=MAX_COUNTED {
            outline.push(&i.to_string());
        }
        assert_eq!(outline.distinct(), MAX_COUNTED + 1);
        assert_eq!(outline.largest_share(), None);
    }
}
