//! The text of key values, exactly as BigQuery's `CAST(key AS STRING)` writes it.
//!
//! Owns the text forms; must not know what the texts are used for.

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, LargeStringArray, StringArray, StringViewArray,
};
use arrow::datatypes::{
    DataType, Date32Type, Date64Type, Decimal128Type, Int8Type, Int16Type, Int32Type, Int64Type,
    TimeUnit, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};

use super::SplitError;
use crate::date_parts::civil::Civil;

const DAY_SECONDS: i64 = 86_400;

/// What a key column holds, apart from how it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyKind {
    Text,
    Integer,
    Boolean,
    Date,
    /// A timestamp without a time zone: BigQuery's DATETIME.
    DateTime,
    /// A timestamp with a time zone: BigQuery's TIMESTAMP.
    Timestamp,
    Decimal,
}

impl KeyKind {
    /// The kind of a column type, or why it cannot be a key.
    pub(super) fn of(column: &str, data_type: &DataType) -> Result<Self, SplitError> {
        let refused = |reason| SplitError::UnsupportedKey {
            column: column.to_owned(),
            data_type: data_type.clone(),
            reason,
        };
        let stored = match data_type {
            DataType::Dictionary(_, values) => values.as_ref(),
            plain => plain,
        };
        match stored {
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Ok(KeyKind::Text),
            DataType::Boolean => Ok(KeyKind::Boolean),
            DataType::Date32 | DataType::Date64 => Ok(KeyKind::Date),
            DataType::Timestamp(_, None) => Ok(KeyKind::DateTime),
            DataType::Timestamp(_, Some(_)) => Ok(KeyKind::Timestamp),
            DataType::Decimal128(_, scale) if *scale >= 0 => Ok(KeyKind::Decimal),
            stored if stored.is_integer() => Ok(KeyKind::Integer),
            stored if stored.is_floating() => Err(refused(
                "different systems write the same float as different texts; round it to an integer or cast it to a string under `derive`",
            )),
            DataType::Binary
            | DataType::LargeBinary
            | DataType::BinaryView
            | DataType::FixedSizeBinary(_) => Err(refused(
                "bytes have no text form; encode them as a string, such as hexadecimal, under `derive`",
            )),
            _ => Err(refused(
                "keys are strings, integers, booleans, dates, timestamps or decimals; cast it to a string under `derive`",
            )),
        }
    }
}

/// Texts of the values of one column of one batch.
pub(super) enum KeyTexts<'a> {
    Utf8(&'a StringArray),
    LargeUtf8(&'a LargeStringArray),
    Utf8View(&'a StringViewArray),
    Boolean(&'a BooleanArray),
    /// Integers below 2^63, days or ticks, with their form.
    Numbers {
        array: &'a dyn Array,
        values: Numbers<'a>,
        form: Form,
    },
    Unsigned {
        array: &'a dyn Array,
        values: &'a [u64],
    },
    Decimal {
        array: &'a dyn Array,
        values: &'a [i128],
        scale: usize,
    },
    Dictionary {
        keys: &'a dyn Array,
        positions: Vec<usize>,
        values: Box<KeyTexts<'a>>,
        length: usize,
    },
}

/// Integers of any width.
#[derive(Clone, Copy)]
pub(super) enum Numbers<'a> {
    I8(&'a [i8]),
    I16(&'a [i16]),
    I32(&'a [i32]),
    I64(&'a [i64]),
    U8(&'a [u8]),
    U16(&'a [u16]),
    U32(&'a [u32]),
}

/// How a number is written.
#[derive(Clone, Copy)]
pub(super) enum Form {
    Integer,
    /// A date, of so many units a day.
    Date {
        per_day: i64,
    },
    /// Date and time, of so many units a second, with `+00` at the end if it is an instant.
    Time {
        per_second: i64,
        suffix: &'static [u8],
    },
}

impl Numbers<'_> {
    fn get(&self, row: usize) -> Option<i64> {
        match self {
            Numbers::I8(values) => values.get(row).map(|&value| value.into()),
            Numbers::I16(values) => values.get(row).map(|&value| value.into()),
            Numbers::I32(values) => values.get(row).map(|&value| value.into()),
            Numbers::I64(values) => values.get(row).copied(),
            Numbers::U8(values) => values.get(row).map(|&value| value.into()),
            Numbers::U16(values) => values.get(row).map(|&value| value.into()),
            Numbers::U32(values) => values.get(row).map(|&value| value.into()),
        }
    }
}

impl<'a> KeyTexts<'a> {
    /// The texts of `array`, a column called `column`.
    pub(super) fn try_new(column: &str, array: &'a ArrayRef) -> Result<Self, SplitError> {
        KeyKind::of(column, array.data_type())?;
        Self::of(array).ok_or_else(|| SplitError::UnreadableColumn {
            column: column.to_owned(),
            data_type: array.data_type().clone(),
        })
    }

    fn of(array: &'a ArrayRef) -> Option<Self> {
        let numbers = |values, form| {
            Some(KeyTexts::Numbers {
                array: array.as_ref(),
                values,
                form,
            })
        };
        match array.data_type() {
            DataType::Utf8 => array.as_string_opt().map(KeyTexts::Utf8),
            DataType::LargeUtf8 => array.as_string_opt().map(KeyTexts::LargeUtf8),
            DataType::Utf8View => array.as_string_view_opt().map(KeyTexts::Utf8View),
            DataType::Boolean => array.as_boolean_opt().map(KeyTexts::Boolean),
            DataType::Int8 => numbers(
                Numbers::I8(array.as_primitive_opt::<Int8Type>()?.values()),
                Form::Integer,
            ),
            DataType::Int16 => numbers(
                Numbers::I16(array.as_primitive_opt::<Int16Type>()?.values()),
                Form::Integer,
            ),
            DataType::Int32 => numbers(
                Numbers::I32(array.as_primitive_opt::<Int32Type>()?.values()),
                Form::Integer,
            ),
            DataType::Int64 => numbers(
                Numbers::I64(array.as_primitive_opt::<Int64Type>()?.values()),
                Form::Integer,
            ),
            DataType::UInt8 => numbers(
                Numbers::U8(array.as_primitive_opt::<UInt8Type>()?.values()),
                Form::Integer,
            ),
            DataType::UInt16 => numbers(
                Numbers::U16(array.as_primitive_opt::<UInt16Type>()?.values()),
                Form::Integer,
            ),
            DataType::UInt32 => numbers(
                Numbers::U32(array.as_primitive_opt::<UInt32Type>()?.values()),
                Form::Integer,
            ),
            DataType::UInt64 => {
                let values = array.as_primitive_opt::<UInt64Type>()?.values();
                Some(KeyTexts::Unsigned {
                    array: array.as_ref(),
                    values,
                })
            }
            DataType::Date32 => numbers(
                Numbers::I32(array.as_primitive_opt::<Date32Type>()?.values()),
                Form::Date { per_day: 1 },
            ),
            DataType::Date64 => {
                let per_day = DAY_SECONDS * 1_000;
                numbers(
                    Numbers::I64(array.as_primitive_opt::<Date64Type>()?.values()),
                    Form::Date { per_day },
                )
            }
            DataType::Timestamp(unit, zone) => {
                let suffix: &'static [u8] = if zone.is_some() { b"+00" } else { b"" };
                let (values, per_second) = match unit {
                    TimeUnit::Second => {
                        (array.as_primitive_opt::<TimestampSecondType>()?.values(), 1)
                    }
                    TimeUnit::Millisecond => (
                        array
                            .as_primitive_opt::<TimestampMillisecondType>()?
                            .values(),
                        1_000,
                    ),
                    TimeUnit::Microsecond => (
                        array
                            .as_primitive_opt::<TimestampMicrosecondType>()?
                            .values(),
                        1_000_000,
                    ),
                    TimeUnit::Nanosecond => (
                        array
                            .as_primitive_opt::<TimestampNanosecondType>()?
                            .values(),
                        1_000_000_000,
                    ),
                };
                numbers(Numbers::I64(values), Form::Time { per_second, suffix })
            }
            DataType::Decimal128(_, scale) => Some(KeyTexts::Decimal {
                array: array.as_ref(),
                values: array.as_primitive_opt::<Decimal128Type>()?.values(),
                scale: usize::try_from(*scale).ok()?,
            }),
            DataType::Dictionary(..) => {
                let dictionary = array.as_any_dictionary_opt()?;
                // Normalising the keys of an empty dictionary is not possible, and all of them are null.
                let empty = dictionary.values().is_empty();
                Some(KeyTexts::Dictionary {
                    keys: dictionary.keys(),
                    positions: if empty {
                        Vec::new()
                    } else {
                        dictionary.normalized_keys()
                    },
                    values: Box::new(KeyTexts::of(dictionary.values())?),
                    length: dictionary.values().len(),
                })
            }
            _ => None,
        }
    }

    /// For a dictionary: the position of each row's value (`None` for null) and the texts of the values, of which there
    /// are so many.
    pub(super) fn as_dictionary(
        &self,
    ) -> Option<(impl Fn(usize) -> Option<usize> + '_, &KeyTexts<'a>, usize)> {
        match self {
            KeyTexts::Dictionary {
                keys,
                positions,
                values,
                length,
            } => {
                let position =
                    |row: usize| positions.get(row).copied().filter(|_| keys.is_valid(row));
                Some((position, values.as_ref(), *length))
            }
            _ => None,
        }
    }

    /// The text of a row if it is stored as such; `None` for other types and for null.
    pub(super) fn stored(&self, row: usize) -> Option<&[u8]> {
        match self {
            KeyTexts::Utf8(array) => array.is_valid(row).then(|| array.value(row).as_bytes()),
            KeyTexts::LargeUtf8(array) => array.is_valid(row).then(|| array.value(row).as_bytes()),
            KeyTexts::Utf8View(array) => array.is_valid(row).then(|| array.value(row).as_bytes()),
            KeyTexts::Dictionary {
                keys,
                positions,
                values,
                ..
            } => match positions.get(row) {
                Some(&position) if keys.is_valid(row) => values.stored(position),
                _ => None,
            },
            _ => None,
        }
    }

    /// Appends the text of a row, or returns false if it is null.
    pub(super) fn append(&self, row: usize, out: &mut Vec<u8>) -> bool {
        match self {
            KeyTexts::Utf8(_) | KeyTexts::LargeUtf8(_) | KeyTexts::Utf8View(_) => {
                match self.stored(row) {
                    Some(text) => {
                        out.extend_from_slice(text);
                        true
                    }
                    None => false,
                }
            }
            KeyTexts::Boolean(array) => {
                if array.is_null(row) {
                    return false;
                }
                out.extend_from_slice(if array.value(row) { b"true" } else { b"false" });
                true
            }
            KeyTexts::Numbers {
                array,
                values,
                form,
            } => match values.get(row) {
                Some(value) if array.is_valid(row) => {
                    form.append(value, out);
                    true
                }
                _ => false,
            },
            KeyTexts::Unsigned { array, values } => match values.get(row) {
                Some(&value) if array.is_valid(row) => {
                    append_integer(value, out);
                    true
                }
                _ => false,
            },
            KeyTexts::Decimal {
                array,
                values,
                scale,
            } => match values.get(row) {
                Some(&value) if array.is_valid(row) => {
                    append_decimal(value, *scale, out);
                    true
                }
                _ => false,
            },
            KeyTexts::Dictionary {
                keys,
                positions,
                values,
                ..
            } => match positions.get(row) {
                Some(&position) if keys.is_valid(row) => values.append(position, out),
                _ => false,
            },
        }
    }
}

impl Form {
    fn append(self, value: i64, out: &mut Vec<u8>) {
        match self {
            Form::Integer => append_integer(value, out),
            Form::Date { per_day } => append_date(value.div_euclid(per_day), out),
            Form::Time { per_second, suffix } => {
                let seconds = value.div_euclid(per_second);
                append_date(seconds.div_euclid(DAY_SECONDS), out);
                out.push(b' ');
                let second_of_day = seconds.rem_euclid(DAY_SECONDS).unsigned_abs();
                append_digits(second_of_day / 3_600, 2, out);
                out.push(b':');
                append_digits(second_of_day / 60 % 60, 2, out);
                out.push(b':');
                append_digits(second_of_day % 60, 2, out);
                append_fraction(
                    value.rem_euclid(per_second).unsigned_abs(),
                    per_second.unsigned_abs(),
                    out,
                );
                out.extend_from_slice(suffix);
            }
        }
    }
}

/// A fraction of a second with none, three, six or nine digits, whichever is the shortest that is exact.
fn append_fraction(mut fraction: u64, mut per_second: u64, out: &mut Vec<u8>) {
    if fraction == 0 {
        return;
    }
    let mut digits = per_second.ilog10() as usize;
    while per_second > 1_000 && fraction.is_multiple_of(1_000) {
        fraction /= 1_000;
        per_second /= 1_000;
        digits -= 3;
    }
    out.push(b'.');
    append_digits(fraction, digits, out);
}

fn append_date(days: i64, out: &mut Vec<u8>) {
    let date = Civil::from_days(days);
    if date.year < 0 {
        out.push(b'-');
    }
    append_digits(date.year.unsigned_abs(), 4, out);
    out.push(b'-');
    append_digits(date.month.into(), 2, out);
    out.push(b'-');
    append_digits(date.day.into(), 2, out);
}

fn append_integer(value: impl itoa::Integer, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Decimal digits, with leading zeros up to `width`.
fn append_digits(value: u64, width: usize, out: &mut Vec<u8>) {
    let start = out.len();
    let mut rest = value;
    while rest > 0 || out.len() < start + width {
        // A remainder of ten is a digit.
        out.push(b'0' + (rest % 10) as u8);
        rest /= 10;
    }
    if let Some(digits) = out.get_mut(start..) {
        digits.reverse();
    }
}

/// A NUMERIC: no zeros at the end of the fraction, and no point without a fraction.
fn append_decimal(value: i128, scale: usize, out: &mut Vec<u8>) {
    let digits = format!("{:0width$}", value.unsigned_abs(), width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    let fraction = fraction.trim_end_matches('0');
    if value < 0 {
        out.push(b'-');
    }
    out.extend_from_slice(whole.as_bytes());
    if !fraction.is_empty() {
        out.push(b'.');
        out.extend_from_slice(fraction.as_bytes());
    }
}

#[cfg(test)]
mod tests;
