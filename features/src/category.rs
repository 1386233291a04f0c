//! Distinct values of one column: what they are, how often they occur, and which number each one gets.
//!
//! Owns category values, their order and names, exact counting, rarity limits and look-up. Must not know what an encoder
//! does with the numbers.

pub(crate) mod counts;
pub(crate) mod frequency;
pub(crate) mod lookup;
pub(crate) mod name;
pub(crate) mod runs;
pub(crate) mod store;
#[cfg(test)]
pub(crate) mod test_store;
pub(crate) mod vocabulary;

use std::cmp::Ordering;

use arrow::datatypes::DataType;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::counts::CategoryCounts;
pub use self::frequency::MinFrequency;
use self::store::StoreError;

/// One distinct value of a column.
///
/// The order is by kind (booleans, integers, floats, texts), within a kind by value (texts by code point, floats by their
/// total order), and missing values last. In JSON a category is null, a boolean, a number or a string.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Category {
    /// Null, or a float that is not a number.
    Missing,
    /// A boolean.
    Bool(bool),
    /// An integer of any width.
    Int(i64),
    /// A finite float; -0.0 is kept as 0.0.
    Float(f64),
    /// A text.
    Text(String),
}

impl Category {
    fn rank(&self) -> u8 {
        match self {
            Category::Bool(_) => 0,
            Category::Int(_) => 1,
            Category::Float(_) => 2,
            Category::Text(_) => 3,
            Category::Missing => 4,
        }
    }
}

impl Ord for Category {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Category::Bool(left), Category::Bool(right)) => left.cmp(right),
            (Category::Int(left), Category::Int(right)) => left.cmp(right),
            (Category::Float(left), Category::Float(right)) => left.total_cmp(right),
            (Category::Text(left), Category::Text(right)) => left.cmp(right),
            (left, right) => left.rank().cmp(&right.rank()),
        }
    }
}

impl PartialOrd for Category {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Category {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Category {}

/// The kinds of values categories are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum CategoryKind {
    Bool,
    Int,
    /// Floats of 32 bits are named by their own shortest text, so the width is remembered.
    Float32,
    Float64,
    Text,
}

impl CategoryKind {
    /// The kind of values of a column, or why it has none.
    pub(crate) fn of(data_type: &DataType) -> Result<Self, CategoryError> {
        let refused = |reason| CategoryError::UnsupportedType {
            data_type: data_type.clone(),
            reason,
        };
        let stored = match data_type {
            DataType::Dictionary(_, values) => values.as_ref(),
            plain => plain,
        };
        match stored {
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Ok(CategoryKind::Text),
            DataType::Boolean => Ok(CategoryKind::Bool),
            DataType::Float32 => Ok(CategoryKind::Float32),
            DataType::Float64 => Ok(CategoryKind::Float64),
            stored if stored.is_integer() => Ok(CategoryKind::Int),
            stored if stored.is_temporal() => Err(refused(
                "a time has too many values to be a category; take parts of it with date_parts, or cast it to a string",
            )),
            DataType::Decimal32(..)
            | DataType::Decimal64(..)
            | DataType::Decimal128(..)
            | DataType::Decimal256(..) => Err(refused(
                "cast the decimal to an integer or a string under `derive`",
            )),
            _ => Err(refused(
                "categories are texts, integers, floats or booleans; cast it to a string",
            )),
        }
    }

    /// Whether values of `data_type` can be looked up among categories of this kind.
    pub(crate) fn accepts(self, data_type: &DataType) -> bool {
        match (self, CategoryKind::of(data_type)) {
            (
                CategoryKind::Float32 | CategoryKind::Float64,
                Ok(CategoryKind::Float32 | CategoryKind::Float64),
            ) => true,
            (own, Ok(other)) => own == other,
            (_, Err(_)) => false,
        }
    }
}

/// What can be wrong with categories and the encoders made of them.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CategoryError {
    /// A column type that has no categories.
    #[error("values of type {data_type} cannot be categories: {reason}")]
    UnsupportedType {
        /// The type.
        data_type: DataType,
        /// Why, and what to do instead.
        reason: &'static str,
    },
    /// A batch with another type than the one categories were learned from.
    #[error("categories were learned from {expected} but the batch has {found}")]
    TypeChanged {
        /// What was learned from.
        expected: String,
        /// Type in the batch.
        found: DataType,
    },
    /// A mask that does not belong to the values.
    #[error("{values} values were given with a mask of {mask} rows")]
    MaskLength {
        /// Number of values.
        values: usize,
        /// Length of the mask.
        mask: usize,
    },
    /// An array that is not what its type says.
    #[error("values of type {data_type} could not be read as such")]
    UnreadableValues {
        /// The type.
        data_type: DataType,
    },
    /// Infinite floats, which have no place among categories.
    #[error("{count} values are infinite and cannot be categories")]
    Infinite {
        /// How many.
        count: u64,
    },
    /// An unsigned integer beyond the largest signed one.
    #[error(
        "the integer {value} is above 9223372036854775807 and cannot be a category; cast the column to a string"
    )]
    IntegerTooLarge {
        /// The integer.
        value: u64,
    },
    /// Counts of columns of different kinds cannot be merged.
    #[error("counts of columns of different kinds cannot be merged")]
    MixedKinds,
    /// More categories than can be numbered.
    #[error("{categories} distinct values are more than the {limit} that can be numbered")]
    TooManyCategories {
        /// Number of distinct values.
        categories: usize,
        /// The limit.
        limit: usize,
    },
    /// Nothing to learn from.
    #[error("there are no rows to learn categories from")]
    NoRows,
    /// `min_frequency: 0`.
    #[error("min_frequency must be at least 1, not 0")]
    MinFrequencyZero,
    /// A share that is not between 0 and 1.
    #[error("min_frequency as a share must lie between 0 and 1, not {share}")]
    MinFrequencyShare {
        /// The share.
        share: f64,
    },
    /// `max_categories: 0`.
    #[error("max_categories must be at least 1, not 0")]
    MaxCategoriesZero,
    /// `handle_unknown: use_encoded_value` without a value.
    #[error("handle_unknown `use_encoded_value` needs an unknown_value")]
    UnknownValueMissing,
    /// A value for unknown categories that nothing would use.
    #[error("unknown_value {value} is used only with handle_unknown `use_encoded_value`")]
    UnknownValueUnused {
        /// The value.
        value: i32,
    },
    /// A code given to two different things.
    #[error("{option} {code} is already the code of a category; codes run from {first} to {last}")]
    CodeTaken {
        /// `unknown_value` or `missing.encoded`.
        option: &'static str,
        /// The code.
        code: i32,
        /// First code in use.
        first: i32,
        /// Last code in use.
        last: i32,
    },
    /// A code too close to the smallest i32.
    #[error("{option} {code} is too small; codes start at {least}")]
    CodeTooSmall {
        /// `unknown_value` or `missing.encoded`.
        option: &'static str,
        /// The code.
        code: i32,
        /// Smallest possible code.
        least: i32,
    },
    /// Values never seen in training, under `handle_unknown: error`.
    #[error(
        "{rows} of {of} rows hold values never seen in training, the first is {value}; remove them, or set handle_unknown"
    )]
    UnknownCategory {
        /// The first such value, quoted if it is a text.
        value: String,
        /// Rows with such values.
        rows: u64,
        /// Rows of the batch.
        of: usize,
    },
    /// The place for categories that do not fit in memory failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A run of categories came back in another form than it was written in.
    #[error("{rows} spilled categories came back in another form")]
    RunChanged {
        /// Rows of the batch that differs.
        rows: usize,
    },
    /// Counts that are partly in a store were to be read without it.
    #[error("the counts are in {runs} spilled runs and can only be read back from there")]
    Spilled {
        /// Number of runs.
        runs: usize,
    },
    /// No memory for looking up categories.
    #[error(
        "{categories} distinct values need {bytes} bytes to be looked up, which the system refused"
    )]
    IndexMemory {
        /// Number of distinct values.
        categories: usize,
        /// Bytes needed.
        bytes: usize,
    },
    /// Two texts had the same fingerprint under every key.
    #[error("distinct texts could not be told apart by their fingerprints under {keys} keys")]
    SameFingerprint {
        /// Keys tried.
        keys: u64,
    },
    /// A one-hot encoder that would make more columns than a table can have in practice.
    #[error(
        "{columns} categories would become columns, and at most {limit} may; set min_frequency or max_categories, or use ordinal_encoder"
    )]
    TooManyColumns {
        /// Columns needed.
        columns: u64,
        /// The limit.
        limit: u64,
    },
    /// A saved encoder that is not one.
    #[error("saved {encoder} is not valid: {reason}")]
    InvalidParts {
        /// Which encoder.
        encoder: &'static str,
        /// What is wrong with it.
        reason: InvalidParts,
    },
}

/// What is wrong with a saved encoder.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidParts {
    /// The JSON has the wrong shape.
    #[error("{message}")]
    Json {
        /// What the reader said.
        message: String,
    },
    /// The vocabulary is in a side table that was not given, or was given and is not wanted.
    #[error("its categories are neither inside nor in a side table, or in both")]
    Table,
    /// A column of the side table is missing or of the wrong type.
    #[error("the side table has no column `{column}` of the right type")]
    TableColumn {
        /// The column.
        column: &'static str,
    },
    /// Lists that must be equally long are not.
    #[error("it has {categories} categories, {counts} counts and {codes} codes")]
    Lengths {
        /// Number of categories.
        categories: usize,
        /// Number of counts.
        counts: usize,
        /// Number of codes.
        codes: usize,
    },
    /// Fewer or more categories or rows than the outline says.
    #[error(
        "it lists {listed} categories where {expected} were announced, or their counts do not add up to {rows}"
    )]
    Totals {
        /// Categories listed.
        listed: usize,
        /// Categories announced.
        expected: usize,
        /// Rows announced.
        rows: u64,
    },
    /// Categories of mixed kinds, out of order, or listed twice.
    #[error("category {index} is of the wrong kind, out of order or listed twice")]
    Category {
        /// Its position.
        index: usize,
    },
    /// A code outside its range.
    #[error("code {code} of category {index} is out of range")]
    Code {
        /// Its position.
        index: usize,
        /// The code.
        code: i64,
    },
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn missing_sorts_last_and_texts_by_code_point() {
        let mut categories = [
            Category::Missing,
            Category::Text("é".into()),
            Category::Text("b".into()),
            Category::Text("B".into()),
            Category::Text("".into()),
            Category::Int(-1),
        ];
        categories.sort();
        let texts = ["", "B", "b", "é"].map(|text| Category::Text(text.into()));
        assert_eq!(categories[0], Category::Int(-1));
        assert_eq!(categories[1..5], texts);
        assert_eq!(categories[5], Category::Missing);
    }

    #[test]
    fn json_is_null_string_number_or_boolean() {
        let json = r#"[null,true,-3,2.0,0.1,"x"]"#;
        let categories: Vec<Category> = serde_json::from_str(json).unwrap();
        assert_eq!(
            categories,
            [
                Category::Missing,
                Category::Bool(true),
                Category::Int(-3),
                Category::Float(2.0),
                Category::Float(0.1),
                Category::Text("x".into())
            ]
        );
        assert_eq!(serde_json::to_string(&categories).unwrap(), json);
    }

    #[test]
    fn refuses_times_and_decimals_with_advice() {
        for (data_type, word) in [
            (DataType::Date32, "date_parts"),
            (DataType::Decimal128(38, 9), "derive"),
            (DataType::Binary, "cast it to a string"),
        ] {
            let error = CategoryKind::of(&data_type).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
        assert_eq!(
            CategoryKind::of(&DataType::Dictionary(
                DataType::UInt8.into(),
                DataType::Utf8.into()
            )),
            Ok(CategoryKind::Text)
        );
    }
}
