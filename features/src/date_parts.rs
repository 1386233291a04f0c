//! Parts of dates and times: year, month, hour and so on, as numbers or as points on a circle.
//!
//! Owns the options, the calendar arithmetic and time zones. Nothing is learned. Must not know where the column comes from
//! or what follows.

pub(crate) mod civil;
mod clock;
mod cycle;
mod part;

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Float64Array, Int32Array};
use arrow::datatypes::{DataType, Field};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::clock::{Clock, Instants};
use self::cycle::Cycles;
pub use self::part::DatePart;

/// How parts are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DateEncoding {
    /// Each part as one integer (Int32), `{column}_{part}`.
    #[default]
    Ordinal,
    /// Each part as a point on the unit circle (two Float64), `{column}_{part}_sin` and `{column}_{part}_cos`, so that the
    /// last value stands next to the first. Parts that do not come round again (`year`, `is_weekend`) stay integers.
    Cyclic,
}

/// Takes parts of a column of dates or timestamps. Missing values stay missing in every part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DateParts {
    /// The parts, in the order of the output columns. If not given: year, month, day, day_of_week, and hour for
    /// timestamps.
    #[serde(default)]
    pub parts: Vec<DatePart>,
    /// IANA name of the time zone in which instants are read off the clock; `UTC` if not given. Dates, and timestamps
    /// without a time zone, are taken as they stand, so no other zone may be given for them.
    #[serde(default = "utc")]
    pub timezone: String,
    /// Integers or points on a circle; integers if not given.
    #[serde(default)]
    pub encoding: DateEncoding,
}

fn utc() -> String {
    "UTC".to_owned()
}

impl Default for DateParts {
    fn default() -> Self {
        Self {
            parts: Vec::new(),
            timezone: utc(),
            encoding: DateEncoding::Ordinal,
        }
    }
}

impl DateParts {
    /// The given parts as integers, in UTC.
    #[must_use]
    pub fn new(parts: impl IntoIterator<Item = DatePart>) -> Self {
        Self {
            parts: parts.into_iter().collect(),
            ..Self::default()
        }
    }

    /// Sets [`timezone`](Self::timezone).
    #[must_use]
    pub fn timezone(mut self, name: impl Into<String>) -> Self {
        self.timezone = name.into();
        self
    }

    /// Writes the parts as points on a circle.
    #[must_use]
    pub fn cyclic(mut self) -> Self {
        self.encoding = DateEncoding::Cyclic;
        self
    }

    /// Checks the options against the column they are for.
    ///
    /// # Errors
    /// A column that holds no dates, parts a date does not have, parts given twice, a time zone that does not exist or
    /// would have no effect.
    pub(crate) fn bind(&self, input: &Field) -> Result<BoundDateParts, DatePartsError> {
        let column = input.name();
        let clock = Clock::try_new(column, input.data_type(), &self.timezone)?;
        let parts = if self.parts.is_empty() {
            clock.default_parts()
        } else {
            self.parts.clone()
        };
        let mut outputs = Vec::new();
        let mut fields = Vec::new();
        for (index, &part) in parts.iter().enumerate() {
            if parts.iter().take(index).any(|earlier| *earlier == part) {
                return Err(DatePartsError::RepeatedPart { part });
            }
            if part.is_of_day() && !clock.has_time_of_day() {
                return Err(DatePartsError::NoTimeOfDay {
                    column: column.clone(),
                    part,
                });
            }
            let cycles = match self.encoding {
                DateEncoding::Ordinal => None,
                DateEncoding::Cyclic => Cycles::of(part),
            };
            let name = format!("{column}_{}", part.as_str());
            match cycles {
                Some(_) => {
                    for function in ["sin", "cos"] {
                        fields.push(Field::new(
                            format!("{name}_{function}"),
                            DataType::Float64,
                            input.is_nullable(),
                        ));
                    }
                }
                None => fields.push(Field::new(name, DataType::Int32, input.is_nullable())),
            }
            outputs.push((part, cycles));
        }
        let step = Self {
            parts,
            ..self.clone()
        };
        Ok(BoundDateParts {
            step,
            clock,
            outputs,
            fields,
        })
    }
}

/// [`DateParts`] bound to a column, ready to transform. Stateless: threads may share it.
#[derive(Debug, Clone)]
pub(crate) struct BoundDateParts {
    step: DateParts,
    clock: Clock,
    outputs: Vec<(DatePart, Option<Cycles>)>,
    fields: Vec<Field>,
}

impl BoundDateParts {
    /// The options, with the parts written out.
    pub(crate) fn step(&self) -> &DateParts {
        &self.step
    }

    /// One field per output column: Int32, or Float64 for points on a circle.
    pub(crate) fn output_fields(&self) -> &[Field] {
        &self.fields
    }

    /// One array per output field, null where the input is null.
    ///
    /// # Errors
    /// A column of another type than bound to; times beyond the calendar.
    pub(crate) fn transform(&self, values: &ArrayRef) -> Result<Vec<ArrayRef>, DatePartsError> {
        let instants = self.clock.read(values)?;
        let nulls = values.nulls().cloned();
        let mut arrays: Vec<ArrayRef> = Vec::with_capacity(self.fields.len());
        for (part, cycles) in &self.outputs {
            match cycles {
                None => {
                    let numbers = ordinal(*part, &instants);
                    arrays.push(Arc::new(Int32Array::new(numbers.into(), nulls.clone())));
                }
                Some(cycles) => {
                    let (sines, cosines) = cycles.points(*part, &instants);
                    arrays.push(Arc::new(Float64Array::new(sines.into(), nulls.clone())));
                    arrays.push(Arc::new(Float64Array::new(cosines.into(), nulls.clone())));
                }
            }
        }
        Ok(arrays)
    }
}

fn ordinal(part: DatePart, instants: &Instants) -> Vec<i32> {
    instants.rows().map(|moment| part.of(moment)).collect()
}

/// What can be wrong with date parts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DatePartsError {
    /// A column that holds neither dates nor timestamps.
    #[error(
        "column `{column}` of type {data_type} has no date parts; it must be a date or a timestamp, so cast it first"
    )]
    NotADate {
        /// The column.
        column: String,
        /// Its type.
        data_type: DataType,
    },
    /// A part of the day asked of a date.
    #[error("column `{column}` holds dates, which have no {part}")]
    NoTimeOfDay {
        /// The column.
        column: String,
        /// The part.
        part: DatePart,
    },
    /// A part given twice.
    #[error("date part {part} is given twice")]
    RepeatedPart {
        /// The part.
        part: DatePart,
    },
    /// A time zone nobody knows.
    #[error("`{timezone}` is not the IANA name of a time zone{hint}")]
    UnknownZone {
        /// What was given.
        timezone: String,
        /// A suggestion, or nothing.
        hint: String,
    },
    /// A time zone for values that are not instants.
    #[error(
        "column `{column}` of type {data_type} has no time zone, so its values are taken as they stand and cannot be moved to `{timezone}`; leave out timezone, or cast the column to a timestamp with a time zone first"
    )]
    ZoneWithoutInstant {
        /// The column.
        column: String,
        /// Its type.
        data_type: DataType,
        /// The time zone given.
        timezone: String,
    },
    /// A batch with another type than bound to.
    #[error("column `{column}` was bound as {expected} but the batch has {found}")]
    TypeChanged {
        /// The column.
        column: String,
        /// Type at binding.
        expected: DataType,
        /// Type in the batch.
        found: DataType,
    },
    /// Times that the calendar does not reach.
    #[error(
        "column `{column}` holds {rows} times outside the years -200000 to 200000, the first is {value}"
    )]
    OutOfRange {
        /// The column.
        column: String,
        /// The first such value, in the unit of the column.
        value: i64,
        /// Rows with such values.
        rows: usize,
    },
}

#[cfg(test)]
mod tests;
