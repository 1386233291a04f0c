//! What row groups have shown of the texts of each column: whether they repeat, and how many there are.
//!
//! Owns the judgement; what is done with texts that repeat, or do not, is for others.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Rows after which a column of nearly as many texts as rows is given up at once, at the first try. Four times as many
/// at each further one: texts that hardly repeat among a few rows may well do so among many.
const FEW_ROWS: usize = 4096;

/// What is known of the texts of columns. Clones share it, so that what one file has found out the next one knows.
#[derive(Debug, Clone, Default)]
pub struct SeenTexts(Arc<Mutex<Seen>>);

#[derive(Debug, Default)]
struct Seen {
    columns: BTreeMap<usize, Column>,
    /// Rows of the largest row group so far.
    largest: usize,
}

#[derive(Debug, Clone, Copy, Default)]
struct Column {
    /// Distinct texts of the last row group.
    distinct: usize,
    /// Rows among which texts were rare; 0 if they never were.
    rare_among: usize,
    /// How often they were.
    tries: u32,
}

impl SeenTexts {
    /// Whether it is not worth it to intern the texts of a column. They are tried again when row groups have become twice as large
    /// as the one they were rare in.
    pub(crate) fn are_rare(&self, column: usize) -> bool {
        let seen = self.lock();
        let rare_among = seen.columns.get(&column).map_or(0, |seen| seen.rare_among);
        rare_among > 0 && rare_among.saturating_mul(2) > seen.largest
    }

    /// Takes note that the texts of a column hardly repeat among so many rows.
    pub(crate) fn rare(&self, column: usize, rows: usize) {
        let mut seen = self.lock();
        let seen = seen.columns.entry(column).or_default();
        seen.rare_among = seen.rare_among.max(rows).max(1);
        seen.tries += 1;
    }

    /// Rows after which the texts of a column may be given up before their row group is complete.
    pub(crate) fn patience(&self, column: usize) -> usize {
        let tries = self
            .lock()
            .columns
            .get(&column)
            .map_or(0, |seen| seen.tries);
        FEW_ROWS.saturating_mul(4_usize.saturating_pow(tries))
    }

    /// Takes note of a row group of so many rows, and says whether it tells anything: it is not small, and others are not so much
    /// larger.
    pub(crate) fn is_telling(&self, rows: usize) -> bool {
        if rows < FEW_ROWS {
            return false;
        }
        let mut seen = self.lock();
        seen.largest = seen.largest.max(rows);
        rows.saturating_mul(2) > seen.largest
    }

    /// Takes note of the number of distinct texts of a column in a row group.
    pub(crate) fn expect(&self, column: usize, distinct: usize) {
        self.lock().columns.entry(column).or_default().distinct = distinct;
    }

    /// Distinct texts of a column for which room should be made at once: those of the last row group, and some more.
    pub(crate) fn expected(&self, column: usize) -> usize {
        let seen = self.lock();
        let distinct = seen.columns.get(&column).map_or(0, |seen| seen.distinct);
        distinct + distinct / 8
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        // What a panic left behind is at worst a judgement less.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_is_rare_until_row_groups_are_twice_as_large() {
        let seen = SeenTexts::default();
        assert!(!seen.are_rare(3));
        assert!(seen.is_telling(10_000));
        seen.rare(3, 10_000);
        assert!(seen.are_rare(3) && !seen.are_rare(2));
        assert_eq!((seen.patience(3), seen.patience(2)), (16_384, 4096));
        assert!(!seen.is_telling(4000) && !seen.is_telling(5000));
        assert!(seen.is_telling(20_000));
        assert!(!seen.are_rare(3));
    }

    #[test]
    fn room_is_made_for_the_texts_of_the_last_row_group() {
        let seen = SeenTexts::default();
        assert_eq!(seen.expected(0), 0);
        seen.expect(0, 8000);
        assert_eq!((seen.expected(0), seen.expected(1)), (9000, 0));
        seen.expect(0, 80);
        assert_eq!(seen.clone().expected(0), 90);
        assert!(!seen.are_rare(0));
    }
}
