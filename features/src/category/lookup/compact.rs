//! Codes of very many categories in sixteen bytes each, whatever their length.
//!
//! Owns the table and the fingerprints that stand for categories; must not know where the categories themselves are.
//!
//! A number is its own fingerprint. A text is replaced by 96 bits of its SipHash-1-3: two categories of one table never
//! share a fingerprint, because the table is made again with another key should that happen. A text that is not in the
//! table is taken for one that is with a probability of n / 2^96 for n categories, that is below 10^-20 for a hundred
//! million of them; this is less than the chance that memory fails while the question is asked.

use std::hash::Hasher;

use arrow::array::{ArrayRef, AsArray, StringArrayType};
use arrow::datatypes::{Float64Type, Int64Type};
use millpond_texts::{Block, place};
use siphasher::sip128::{Hasher128, SipHasher13};

use super::UNKNOWN;
use crate::category::CategoryError;

/// What stands for a category: equal for equal values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fingerprint {
    /// Decides the place in the table, so it must be spread evenly.
    high: u64,
    low: u32,
}

#[derive(Debug, Clone, Copy)]
struct Slot {
    high: u64,
    low: u32,
    /// [`UNKNOWN`] in an empty slot.
    code: i32,
}

const EMPTY: Slot = Slot {
    high: 0,
    low: 0,
    code: UNKNOWN,
};

/// Keys tried before giving up. Even a second one is needed once in 10^13 tables of a hundred million texts.
const KEYS: u64 = 4;
/// Slots after the place of the largest fingerprint, for those that are pushed off their place near the end.
const TAIL: usize = 256;

/// Codes by fingerprint: open addressing over slots in the order of their fingerprints, so that a search ends at the first
/// larger one.
#[derive(Debug, Clone)]
pub(crate) struct CompactIndex {
    slots: Vec<Slot>,
    /// Slots fingerprints are spread over; some more follow.
    places: usize,
    key: u64,
}

/// An index being filled.
#[derive(Debug)]
pub(crate) struct Filling {
    index: CompactIndex,
    collided: bool,
}

impl CompactIndex {
    /// Bytes an index of `categories` categories takes.
    pub(crate) fn bytes(categories: usize) -> usize {
        slots(categories).saturating_mul(size_of::<Slot>())
    }

    /// An index of `categories` distinct categories, which `fill` gives to it. It is asked again, in the same way, should
    /// two texts share a fingerprint.
    ///
    /// # Errors
    /// What `fill` fails with; [`CategoryError::IndexMemory`] when the system has no memory for it.
    pub(crate) fn build(
        categories: usize,
        mut fill: impl FnMut(&mut Filling) -> Result<(), CategoryError>,
    ) -> Result<Self, CategoryError> {
        let refused = || CategoryError::IndexMemory {
            categories,
            bytes: Self::bytes(categories),
        };
        let mut slots_of = Vec::new();
        slots_of
            .try_reserve_exact(slots(categories))
            .map_err(|_| refused())?;
        let mut filling = Filling {
            index: Self {
                slots: slots_of,
                places: slots(categories) - TAIL,
                key: 0,
            },
            collided: false,
        };
        for key in 0..KEYS {
            filling.index.key = key;
            filling.index.slots.clear();
            filling.index.slots.resize(slots(categories), EMPTY);
            filling.collided = false;
            fill(&mut filling)?;
            if !filling.collided {
                return Ok(filling.index);
            }
        }
        Err(CategoryError::SameFingerprint { keys: KEYS })
    }

    /// The fingerprint of a text.
    #[inline]
    pub(crate) fn of_text(&self, text: &str) -> Fingerprint {
        let mut hasher = SipHasher13::new_with_keys(self.key, 0);
        hasher.write(text.as_bytes());
        let hash = hasher.finish128();
        Fingerprint {
            high: hash.h1,
            low: hash.h2 as u32,
        }
    }

    /// The fingerprint of a number, given by its 64 bits.
    #[inline]
    pub(crate) fn of_bits(bits: u64) -> Fingerprint {
        // Each step can be undone, so different numbers keep different fingerprints.
        let mixed = (bits ^ (bits >> 32)).wrapping_mul(0xD6E8_FEB8_6659_FD93);
        let mixed = (mixed ^ (mixed >> 32)).wrapping_mul(0xD6E8_FEB8_6659_FD93);
        Fingerprint {
            high: mixed ^ (mixed >> 32),
            low: 0,
        }
    }

    /// The code of a category, [`UNKNOWN`] if there is none.
    #[inline]
    pub(crate) fn code(&self, wanted: Fingerprint) -> i32 {
        let start = place(wanted.high, self.places);
        let candidates = self.slots.get(start..).unwrap_or_default();
        for slot in candidates {
            if slot.code == UNKNOWN || slot.high > wanted.high {
                break;
            }
            if slot.high == wanted.high && slot.low == wanted.low {
                return slot.code;
            }
        }
        UNKNOWN
    }

    /// Gives `found` each of `indices` with the code of the text there, which must not be null.
    #[inline]
    pub(super) fn text_codes<'a>(
        &self,
        texts: impl StringArrayType<'a>,
        mut indices: impl Iterator<Item = usize>,
        mut found: impl FnMut(usize, i32),
    ) {
        let mut block = Block::new(Fingerprint { high: 0, low: 0 });
        while block.fill(&mut indices, |index| self.of_text(texts.value(index))) {
            block.touch(|wanted| {
                let slot = self.slots.get(place(wanted.high, self.places));
                slot.map_or(0, |slot| slot.high)
            });
            for (index, wanted) in block.iter() {
                found(index, self.code(wanted));
            }
        }
    }

    /// Bytes held.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.slots.capacity() * size_of::<Slot>()
    }

    /// Puts a code in its place and moves the larger ones on. False if the fingerprint is there already.
    fn insert(&mut self, new: Fingerprint, code: i32) -> bool {
        let mut carried = Slot {
            high: new.high,
            low: new.low,
            code,
        };
        let start = place(new.high, self.places);
        let mut settled = false;
        for slot in self.slots.get_mut(start..).unwrap_or_default() {
            if slot.code == UNKNOWN {
                *slot = carried;
                return true;
            }
            if !settled && slot.high == new.high && slot.low == new.low {
                return false;
            }
            if slot.high > carried.high {
                std::mem::swap(slot, &mut carried);
                settled = true;
            }
        }
        // So many neighbours do not happen with spread fingerprints; the end then grows.
        self.slots.push(carried);
        true
    }
}

impl Filling {
    /// Adds the values of an array of texts, 64-bit integers or 64-bit floats, with one code each. Nulls are passed over.
    ///
    /// # Errors
    /// An array of another type.
    pub(crate) fn add_values(
        &mut self,
        values: &ArrayRef,
        codes: impl Iterator<Item = i32>,
    ) -> Result<(), CategoryError> {
        if let Some(texts) = values.as_string_opt::<i64>() {
            for (text, code) in texts.iter().zip(codes) {
                text.into_iter().for_each(|text| self.add_text(text, code));
            }
        } else if let Some(ints) = values.as_primitive_opt::<Int64Type>() {
            for (value, code) in ints.iter().zip(codes) {
                value
                    .into_iter()
                    .for_each(|value| self.add_bits(value.cast_unsigned(), code));
            }
        } else if let Some(floats) = values.as_primitive_opt::<Float64Type>() {
            for (value, code) in floats.iter().zip(codes) {
                value
                    .into_iter()
                    .for_each(|value| self.add_bits(value.to_bits(), code));
            }
        } else {
            return Err(CategoryError::UnreadableValues {
                data_type: values.data_type().clone(),
            });
        }
        Ok(())
    }

    /// Adds a text that has not been added yet.
    pub(crate) fn add_text(&mut self, text: &str, code: i32) {
        self.add(self.index.of_text(text), code);
    }

    /// Adds a number that has not been added yet.
    pub(crate) fn add_bits(&mut self, bits: u64, code: i32) {
        self.add(CompactIndex::of_bits(bits), code);
    }

    fn add(&mut self, fingerprint: Fingerprint, code: i32) {
        self.collided |= !self.index.insert(fingerprint, code);
    }
}

/// Seven of eight slots are used.
fn slots(categories: usize) -> usize {
    categories
        .saturating_add(categories.div_ceil(7))
        .saturating_add(1 + TAIL)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn finds_what_was_added_and_nothing_else() {
        for categories in [0_usize, 1, 2, 7, 1000, 50_000] {
            let index = CompactIndex::build(categories, |filling| {
                for code in 0..categories {
                    filling.add_text(&format!("text {code}"), code as i32);
                }
                Ok(())
            })
            .unwrap();
            assert_eq!(index.memory_bytes(), CompactIndex::bytes(categories));
            for code in 0..categories * 2 + 10 {
                let expected = if code < categories {
                    code as i32
                } else {
                    UNKNOWN
                };
                let found = index.code(index.of_text(&format!("text {code}")));
                assert_eq!(found, expected, "{code} of {categories}");
            }
        }
    }

    #[test]
    fn a_shared_fingerprint_starts_again_with_another_key() {
        let mut keys = Vec::new();
        let index = CompactIndex::build(2, |filling| {
            keys.push(filling.index.key);
            filling.add_text("a", 1);
            filling.add_text(if keys.len() == 1 { "a" } else { "b" }, 2);
            Ok(())
        })
        .unwrap();
        assert_eq!(keys, [0, 1]);
        assert_eq!(index.code(index.of_text("a")), 1);
        assert_eq!(index.code(index.of_text("b")), 2);
        let hopeless = CompactIndex::build(2, |filling| {
            filling.add_text("a", 1);
            filling.add_text("a", 2);
            Ok(())
        });
        assert_eq!(
            hopeless.unwrap_err(),
            CategoryError::SameFingerprint { keys: KEYS }
        );
    }

    #[test]
    fn too_many_categories_for_the_system_are_an_error() {
        let refused = CompactIndex::build(usize::MAX / 2, |_| Ok(()));
        assert!(matches!(refused, Err(CategoryError::IndexMemory { .. })));
    }

    proptest! {
        #[test]
        fn crowded_and_extreme_fingerprints_are_found(
            mut high in proptest::collection::vec(
                prop_oneof![Just(0), Just(u64::MAX), 0_u64..4, any::<u64>()], 0..400),
        ) {
            high.sort_unstable();
            high.reverse();
            let mut expected = HashMap::new();
            let index = CompactIndex::build(high.len(), |filling| {
                for (code, high) in high.iter().enumerate() {
                    let fingerprint = Fingerprint { high: *high, low: code as u32 / 2 };
                    if expected.insert((*high, code as u32 / 2), code as i32).is_none() {
                        filling.add(fingerprint, code as i32);
                    } else {
                        expected.insert((*high, code as u32 / 2), code as i32 - 1);
                    }
                }
                Ok(())
            }).unwrap();
            for ((high, low), code) in expected {
                prop_assert_eq!(index.code(Fingerprint { high, low }), code);
                prop_assert_eq!(index.code(Fingerprint { high, low: low + 1000 }), UNKNOWN);
            }
        }

        #[test]
        fn numbers_keep_apart(bits in proptest::collection::btree_set(any::<u64>(), 0..300)) {
            let index = CompactIndex::build(bits.len(), |filling| {
                for (code, bits) in bits.iter().enumerate() {
                    filling.add_bits(*bits, code as i32);
                }
                Ok(())
            }).unwrap();
            for (code, bits) in bits.iter().enumerate() {
                prop_assert_eq!(index.code(CompactIndex::of_bits(*bits)), code as i32);
            }
        }
    }
}
