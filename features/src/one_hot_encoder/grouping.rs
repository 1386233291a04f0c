//! Which column each category gets.
//!
//! Owns the columns of frequent, infrequent and dropped categories. All it needs beforehand is how many categories occur
//! how often; the rest follows from the counts of the categories in the order of their values.

use arrow::array::{ArrayRef, UInt64Array};

use super::{OneHotDrop, OneHotEncoder};
use crate::category::frequency::{CountHistogram, Cut, CutByValue};
use crate::category::lookup::NO_CODE;
use crate::category::vocabulary::category_at;
use crate::category::{Category, CategoryError, CategoryKind};

/// More columns are taken for a mistake: every row of the output would be larger than this many bytes.
const MAX_COLUMNS: u64 = 100_000;

/// One output column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Output {
    /// This category.
    Category(Category),
    /// All infrequent categories.
    Infrequent,
}

/// The columns of a vocabulary.
#[derive(Debug, Clone)]
pub(super) struct Grouping {
    cut: Cut,
    /// Columns left out at the beginning.
    dropped: u64,
    /// The code of infrequent categories.
    pub(super) rest: i32,
}

impl Grouping {
    /// Groups categories of which `counts` says how often they occur, the missing one included, in `rows` rows.
    ///
    /// # Errors
    /// Too many columns.
    pub(super) fn try_new(
        options: &OneHotEncoder,
        counts: &CountHistogram,
        rows: u64,
    ) -> Result<Self, CategoryError> {
        let cut = options.limits().cut(counts, rows);
        let all = cut.frequent + u64::from(cut.infrequent > 0);
        let dropped = match options.drop {
            None => 0,
            Some(OneHotDrop::First) => all.min(1),
            Some(OneHotDrop::IfBinary) => u64::from(all == 2),
        };
        let columns = all - dropped;
        if columns > MAX_COLUMNS {
            return Err(CategoryError::TooManyColumns {
                columns,
                limit: MAX_COLUMNS,
            });
        }
        let rest = match cut.frequent.checked_sub(dropped) {
            Some(code) if cut.infrequent > 0 => i32::try_from(code).unwrap_or(NO_CODE),
            _ => NO_CODE,
        };
        Ok(Self { cut, dropped, rest })
    }

    /// Begins with the first category.
    pub(super) fn begin(&self) -> Columns<'_> {
        Columns {
            grouping: self,
            infrequent: CutByValue::new(self.cut),
            frequent: 0,
            outputs: Vec::new(),
        }
    }
}

/// Columns of categories that come one after the other.
pub(super) struct Columns<'a> {
    grouping: &'a Grouping,
    infrequent: CutByValue,
    /// Frequent categories so far.
    frequent: u64,
    outputs: Vec<Output>,
}

impl Columns<'_> {
    /// The codes of the next categories.
    pub(super) fn next_values(
        &mut self,
        kind: CategoryKind,
        values: &ArrayRef,
        counts: &UInt64Array,
    ) -> Vec<i32> {
        let counts = counts.values().iter().enumerate();
        counts
            .map(|(index, count)| self.next(*count, || category_at(kind, values, index)))
            .collect()
    }

    /// The code of the next category, which occurs `count` times: the position of its column, or [`NO_CODE`].
    pub(super) fn next(&mut self, count: u64, category: impl FnOnce() -> Category) -> i32 {
        if self.infrequent.next_is_infrequent(count) {
            return self.grouping.rest;
        }
        self.frequent += 1;
        match (self.frequent - 1).checked_sub(self.grouping.dropped) {
            Some(code) => {
                self.outputs.push(Output::Category(category()));
                i32::try_from(code).unwrap_or(NO_CODE)
            }
            None => NO_CODE,
        }
    }

    /// The columns, after all categories.
    pub(super) fn finish(mut self) -> Vec<Output> {
        if self.grouping.rest != NO_CODE {
            self.outputs.push(Output::Infrequent);
        }
        self.outputs
    }
}
