//! Searches that are made together.
//!
//! Owns how many; must not know what is searched for. In a table larger than the caches a search waits for memory a hundred
//! times as long as it calculates, but the memory can answer many at once: whoever searches reads the places of a whole
//! block before looking for the first.

use std::hint::black_box;

/// Searches made together. Processors wait for ten to twenty lines of memory at once; more only fill the nearest cache.
const BLOCK: usize = 64;

/// Some searches, each with the index of the value that is searched for.
pub struct Block<S> {
    searches: [S; BLOCK],
    indices: [usize; BLOCK],
    len: usize,
}

impl<S: Copy> Block<S> {
    /// An empty block; `nothing` stands where there is no search.
    pub fn new(nothing: S) -> Self {
        Self {
            searches: [nothing; BLOCK],
            indices: [0; BLOCK],
            len: 0,
        }
    }

    /// Makes the next block, of the searches for some of `indices`; false if there are none left.
    #[inline]
    pub fn fill(
        &mut self,
        indices: &mut impl Iterator<Item = usize>,
        search: impl Fn(usize) -> S,
    ) -> bool {
        self.len = 0;
        let places = self.searches.iter_mut().zip(&mut self.indices);
        // The index comes last, so that none is taken for which there is no place.
        for ((place, at), index) in places.zip(indices) {
            *place = search(index);
            *at = index;
            self.len += 1;
        }
        self.len > 0
    }

    /// Makes the memory that `read` reads for each search come, all of it at once.
    #[inline]
    pub fn touch(&self, read: impl Fn(&S) -> u64) {
        black_box(
            self.searches()
                .iter()
                .fold(0, |seen, search| seen | read(search)),
        );
    }

    /// The searches alone.
    #[inline]
    pub fn searches(&self) -> &[S] {
        self.searches.get(..self.len).unwrap_or_default()
    }

    /// The searches with their indices.
    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = (usize, S)> {
        let searches = self.searches().iter().copied();
        self.indices.iter().copied().zip(searches)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_index_is_in_one_block_and_in_order() {
        for len in [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK, 1000] {
            let mut block = Block::new(0);
            let mut indices = (0..len).map(|index| index * 3);
            let mut seen = Vec::new();
            while block.fill(&mut indices, |index| index + 1) {
                assert_eq!(block.searches().len(), block.iter().count());
                seen.extend(block.iter());
            }
            let expected: Vec<_> = (0..len).map(|i| (i * 3, i * 3 + 1)).collect();
            assert_eq!(seen, expected);
        }
    }
}
