//! Which id each category gets.
//!
//! Owns the orders of ids and the codes of missing and unknown values. All it needs beforehand is how many categories
//! occur how often; the ids then follow from the counts of the categories in the order of their values, so that a
//! vocabulary never has to be sorted, or even held, for its numbering.

use hashbrown::HashMap;

use super::{CategoryOrder, OrdinalEncoder, OrdinalMissing, OrdinalUnknown};
use crate::category::CategoryError;
use crate::category::frequency::{CountHistogram, Cut, CutByValue};
use crate::category::vocabulary::{Ids, NextId};

/// The ids of a vocabulary.
#[derive(Debug, Clone)]
pub(super) struct Numbering {
    cut: Cut,
    missing: Missing,
    order: Order,
    /// The id of values never seen; none if they are an error.
    pub(super) unknown: Option<i32>,
}

#[derive(Debug, Clone)]
enum Order {
    Value,
    /// Where the ids of equally frequent categories begin, for every count that occurs.
    Frequency(HashMap<u64, Group>),
}

/// Equally frequent categories that still wait for their ids.
#[derive(Debug, Clone, Copy)]
struct Group {
    next: i32,
    /// How many of them are frequent; the others come after these.
    frequent: u64,
}

#[derive(Debug, Clone, Copy)]
enum Missing {
    /// A category like any other, with this count.
    Category(u64),
    /// Not numbered: its code, or none if it stays missing.
    Apart(Option<i32>),
    /// There is none.
    Absent,
}

impl Numbering {
    /// Numbers categories of which `values` says how often they occur, and a missing value that occurs `missing` times, in
    /// `rows` rows.
    ///
    /// # Errors
    /// A code given for missing or unknown values that a category has got.
    pub(super) fn try_new(
        options: &OrdinalEncoder,
        values: &CountHistogram,
        missing: u64,
        rows: u64,
    ) -> Result<Self, CategoryError> {
        let missing_rule = options.missing_rule();
        let missing = match (missing, missing_rule) {
            (0, _) => Missing::Absent,
            (count, OrdinalMissing::Category) => Missing::Category(count),
            (_, OrdinalMissing::Keep) => Missing::Apart(None),
            (_, OrdinalMissing::Encoded(code)) => Missing::Apart(Some(code)),
        };
        let mut counts = values.clone();
        if let Missing::Category(count) = missing {
            counts.add(count);
        }
        let cut = options.limits().cut(&counts, rows);
        let first = match options.order {
            CategoryOrder::Value => 0,
            CategoryOrder::Frequency => 1,
        };
        let end = first + i32::try_from(cut.frequent).unwrap_or(i32::MAX - 1);
        let free = |option, code| {
            if (first..end).contains(&code) {
                Err(CategoryError::CodeTaken {
                    option,
                    code,
                    first,
                    last: end - 1,
                })
            } else {
                Ok(code)
            }
        };
        if let OrdinalMissing::Encoded(code) = missing_rule
            && (matches!(missing, Missing::Apart(_)) || options.order == CategoryOrder::Frequency)
        {
            free("missing.encoded", code)?;
        }
        let unknown = match (options.unknown_rule(), options.order) {
            (OrdinalUnknown::Error, _) => None,
            (OrdinalUnknown::UseEncodedValue, _) => match options.unknown_value {
                Some(code) => Some(free("unknown_value", code)?),
                None => return Err(CategoryError::UnknownValueMissing),
            },
            (OrdinalUnknown::Infrequent, CategoryOrder::Value) => Some(end),
            (OrdinalUnknown::Infrequent, CategoryOrder::Frequency) => Some(0),
        };
        let order = match options.order {
            CategoryOrder::Value => Order::Value,
            CategoryOrder::Frequency => Order::Frequency(groups(&counts, &cut)),
        };
        Ok(Self {
            cut,
            missing,
            order,
            unknown,
        })
    }
}

fn groups(counts: &CountHistogram, cut: &Cut) -> HashMap<u64, Group> {
    let mut groups = HashMap::new();
    let mut next = 1_i32;
    for (count, categories) in counts.ascending().rev() {
        if count < cut.count {
            break;
        }
        let frequent = match count == cut.count {
            true => categories - cut.at_count,
            false => categories,
        };
        groups.insert(count, Group { next, frequent });
        next = next.saturating_add(i32::try_from(frequent).unwrap_or(i32::MAX));
    }
    groups
}

impl Ids for Numbering {
    fn begin(&self) -> Box<dyn NextId> {
        match &self.order {
            Order::Value => Box::new(ByValue {
                infrequent: CutByValue::new(self.cut),
                shared: i32::try_from(self.cut.frequent).unwrap_or(i32::MAX),
                next: 0,
                missing: self.missing,
            }),
            Order::Frequency(groups) => {
                let mut groups = groups.clone();
                // A missing value comes before the others among equally frequent ones, so its id is taken first.
                let missing = match self.missing {
                    Missing::Category(count) => Some(take(&mut groups, count)),
                    Missing::Apart(code) => code,
                    Missing::Absent => None,
                };
                Box::new(ByFrequency { groups, missing })
            }
        }
    }
}

/// Ids in the order of the values, infrequent categories sharing the last.
struct ByValue {
    infrequent: CutByValue,
    shared: i32,
    next: i32,
    missing: Missing,
}

impl NextId for ByValue {
    fn next(&mut self, count: u64) -> i32 {
        if self.infrequent.next_is_infrequent(count) {
            return self.shared;
        }
        let id = self.next;
        self.next += 1;
        id
    }

    fn missing(&mut self) -> Option<i32> {
        match self.missing {
            Missing::Category(count) => Some(self.next(count)),
            Missing::Apart(code) => code,
            Missing::Absent => None,
        }
    }
}

/// Ids by falling count.
struct ByFrequency {
    groups: HashMap<u64, Group>,
    missing: Option<i32>,
}

impl NextId for ByFrequency {
    fn next(&mut self, count: u64) -> i32 {
        take(&mut self.groups, count)
    }

    fn missing(&mut self) -> Option<i32> {
        self.missing
    }
}

/// The next id of a group, or that of the infrequent categories.
fn take(groups: &mut HashMap<u64, Group>, count: u64) -> i32 {
    match groups.get_mut(&count) {
        Some(group) if group.frequent > 0 => {
            let id = group.next;
            group.next += 1;
            group.frequent -= 1;
            id
        }
        _ => 0,
    }
}
