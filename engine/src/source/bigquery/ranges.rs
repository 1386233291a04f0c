//! A table read range by range: every work unit is a range of one column, with a session of its own at one snapshot.
//!
//! Owns how ranges are written and when their sessions are made, which is when each is read. A session lives six hours and cannot be
//! made again as it was; a range can. Must not know how streams are read.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow::datatypes::{DataType, Field, SchemaRef, TimeUnit};
use chrono::{DateTime, NaiveDate, NaiveDateTime};
use futures::{StreamExt, TryStreamExt, stream};
use google_cloud_bigquery::client::Read;
use serde_json::Value;

use super::clock::Clock;
use super::decode::{Decoder, schema_difference};
use super::failure::Place;
use super::restriction::row_restriction;
use super::retry::Timing;
use super::session::{Session, SessionRequest};
use super::stream::{Parked, StreamSpec};
use crate::error::{Error, ErrorKind, Result};
use crate::recipe::WorkUnits;
use crate::source::{
    BatchStream, Comparison, Leg, Literal, Predicate, ReadContext, Rescan, Scan, Snapshot, Unit,
};

/// The conditions that cut a table of `schema` at the bounds of `wanted`, in order: every row meets exactly one. Rows
/// without a value are in the first range.
///
/// # Errors
/// Schema when there is no such column; Config when its type has no bounds, or the bounds are not of its type, not
/// ascending, or none.
pub(super) fn conditions(
    schema: &arrow::datatypes::Schema,
    wanted: &WorkUnits,
) -> Result<Vec<Predicate>> {
    let column = &wanted.column;
    let field = schema.field_with_name(column).map_err(|_| {
        Error::new(
            ErrorKind::Schema,
            format!("work_units: there is no column {column:?}"),
        )
    })?;
    let bounds = wanted
        .at
        .iter()
        .map(|text| literal(field, text))
        .collect::<Result<Vec<_>>>()?;
    for (index, pair) in bounds.windows(2).enumerate() {
        let ascending = matches!(pair, [a, b] if order(a) < order(b));
        if !ascending {
            return Err(Error::config(format!(
                "work_units: bound {} of column {column:?} is not above the one before it",
                index + 1
            )));
        }
    }
    let compare = |comparison, literal: &Literal| Predicate::Compare {
        column: column.clone(),
        comparison,
        literal: literal.clone(),
    };
    let (Some(first), Some(last)) = (bounds.first(), bounds.last()) else {
        return Err(Error::config("work_units: at has no bounds"));
    };
    let mut conditions = vec![Predicate::Or(
        Box::new(Predicate::IsNull(column.clone())),
        Box::new(compare(Comparison::Less, first)),
    )];
    for pair in bounds.windows(2) {
        if let [from, to] = pair {
            conditions.push(Predicate::And(
                Box::new(compare(Comparison::GreaterOrEqual, from)),
                Box::new(compare(Comparison::Less, to)),
            ));
        }
    }
    conditions.push(compare(Comparison::GreaterOrEqual, last));
    Ok(conditions)
}

/// The bound as a value of the column's type.
fn literal(field: &Field, text: &str) -> Result<Literal> {
    let wrong = |what: &str| {
        Error::config(format!(
            "work_units: bound {text:?} of column {:?} is not {what}",
            field.name()
        ))
    };
    match field.data_type() {
        DataType::Int64 => text
            .parse()
            .map(Literal::Int)
            .map_err(|_| wrong("an integer")),
        DataType::Utf8 => Ok(Literal::Text(text.to_owned())),
        DataType::Date32 => text
            .parse::<NaiveDate>()
            .ok()
            .and_then(|date| {
                let days = date.signed_duration_since(NaiveDate::default()).num_days();
                i32::try_from(days).ok()
            })
            .map(Literal::Date)
            .ok_or_else(|| wrong("a date like 2026-01-31")),
        DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => DateTime::parse_from_rfc3339(text)
            .map(|time| Literal::Timestamp(time.timestamp_micros()))
            .or_else(|_| {
                let midnight = text
                    .parse::<NaiveDate>()
                    .map(|d| d.and_time(Default::default()));
                midnight.map(|time| Literal::Timestamp(time.and_utc().timestamp_micros()))
            })
            .map_err(|_| wrong("a time like 2026-01-31T12:00:00Z, or a date")),
        DataType::Timestamp(TimeUnit::Microsecond, None) => text
            .parse::<NaiveDateTime>()
            .or_else(|_| {
                text.parse::<NaiveDate>()
                    .map(|d| d.and_time(Default::default()))
            })
            .map(|time| Literal::DateTime(time.and_utc().timestamp_micros()))
            .map_err(|_| wrong("a time like 2026-01-31T12:00:00, or a date")),
        other => Err(Error::config(format!(
            "work_units: column {:?} is {other}; only integers, texts, dates and times have bounds",
            field.name()
        ))),
    }
}

/// What orders two bounds of one column.
fn order(literal: &Literal) -> (i64, &str) {
    match literal {
        Literal::Bool(value) => (i64::from(*value), ""),
        Literal::Int(value) | Literal::Timestamp(value) | Literal::DateTime(value) => (*value, ""),
        Literal::Date(value) => (i64::from(*value), ""),
        Literal::Text(text) => (0, text),
    }
}

/// What every range needs to be read.
#[derive(Clone)]
pub(super) struct Reading {
    pub client: Read,
    pub place: Arc<Place>,
    pub timing: Timing,
    pub decoder: Arc<Decoder>,
    pub clock: Clock,
}

/// One range.
#[derive(Clone)]
struct Range {
    request: SessionRequest,
    /// Made when the range is read, or taken over from an earlier process.
    session: Arc<Mutex<Option<Session>>>,
    parked: Parked,
}

impl Range {
    fn session(&self) -> Option<Session> {
        self.place().clone()
    }

    fn place(&self) -> MutexGuard<'_, Option<Session>> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A table cut into ranges.
pub(super) struct RangedScan {
    units: Vec<Unit>,
    ranges: Vec<Range>,
    reading: Reading,
    snapshot: Snapshot,
    token: Option<Value>,
}

impl std::fmt::Debug for RangedScan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RangedScan")
            .field("units", &self.units)
            .finish_non_exhaustive()
    }
}

impl RangedScan {
    /// A scan of the ranges under `conditions`, each read as `wanted` otherwise says. `totals` are rows and bytes of all of them
    /// together, when known; `sessions` are those that an earlier process read from, by range.
    ///
    /// # Errors
    /// Config when a condition cannot be written.
    pub fn try_new(
        reading: Reading,
        wanted: &SessionRequest,
        conditions: Vec<Predicate>,
        totals: (Option<u64>, Option<u64>),
        sessions: impl Fn(usize) -> Option<Session>,
        about: (Snapshot, Option<Value>),
    ) -> Result<Self> {
        let count = conditions.len() as u64;
        let mut units = Vec::with_capacity(conditions.len());
        let mut ranges = Vec::with_capacity(conditions.len());
        for (index, condition) in conditions.into_iter().enumerate() {
            let range = row_restriction(&[condition])?;
            units.push(Unit {
                name: format!("{} where {range}", reading.place.table),
                rows: totals.0.map(|rows| rows / count),
                bytes: totals.1.map(|bytes| bytes / count),
            });
            let both = match wanted.row_restriction.as_str() {
                "" => range,
                filter => format!("{filter} AND {range}"),
            };
            ranges.push(Range {
                request: SessionRequest {
                    row_restriction: both,
                    max_streams: 1,
                    min_streams: 0,
                    ..wanted.clone()
                },
                session: Arc::new(Mutex::new(sessions(index))),
                parked: Parked::default(),
            });
        }
        let (snapshot, token) = about;
        Ok(Self {
            units,
            ranges,
            reading,
            snapshot,
            token,
        })
    }

    fn range(&self, index: usize) -> Result<&Range> {
        self.ranges.get(index).ok_or_else(|| {
            Error::config(format!(
                "there is no unit {index}: the table is cut into {} ranges",
                self.ranges.len()
            ))
        })
    }
}

impl Scan for RangedScan {
    fn schema(&self) -> SchemaRef {
        Arc::clone(self.reading.decoder.schema())
    }

    fn units(&self) -> &[Unit] {
        &self.units
    }

    fn rescan(&self) -> Rescan {
        Rescan::Paid
    }

    fn snapshot(&self) -> Snapshot {
        self.snapshot.clone()
    }

    fn token(&self) -> Option<Value> {
        self.token.clone()
    }

    fn unit_token(&self, index: usize) -> Option<Value> {
        let session = self.ranges.get(index)?.session()?;
        serde_json::to_value(session).ok()
    }

    fn starts_over(&self) -> bool {
        true
    }

    fn goes_on(&self, index: usize) -> bool {
        self.ranges
            .get(index)
            .and_then(Range::session)
            .is_some_and(|session| self.reading.clock.is_alive(&session))
    }

    fn open(&self, index: usize, context: &ReadContext) -> Result<BatchStream> {
        self.open_leg(index, Leg::WHOLE, context)
    }

    fn open_leg(&self, index: usize, leg: Leg, context: &ReadContext) -> Result<BatchStream> {
        let range = self.range(index)?.clone();
        let reading = self.reading.clone();
        let context = context.clone();
        let opening = async move {
            let session = reading.session(&range, leg).await?;
            let Some(name) = session.streams.first().cloned() else {
                return Ok(stream::empty().boxed());
            };
            let spec = StreamSpec {
                client: reading.client,
                name,
                label: format!("range {index}"),
                index,
                place: reading.place,
                timing: reading.timing,
                decoder: reading.decoder,
            };
            Ok::<BatchStream, Error>(spec.leg(context, leg, range.parked))
        };
        Ok(stream::once(opening).try_flatten().boxed())
    }
}

impl Reading {
    /// The session of a range: the one it was begun with, or a new one when it begins now.
    async fn session(&self, range: &Range, leg: Leg) -> Result<Session> {
        if let Some(session) = range.session()
            && (leg.from_row > 0 || self.clock.is_alive(&session))
        {
            return Ok(session);
        }
        let session =
            Session::create(&self.client, &self.place, &range.request, &self.timing).await?;
        if let Some(difference) = schema_difference(self.decoder.wire_schema(), &session.schema) {
            return Err(Error::new(
                ErrorKind::Schema,
                format!(
                    "table {} changed while it was read: {difference}",
                    self.place.table
                ),
            ));
        }
        tracing::debug!(session = %session.name, restriction = %range.request.row_restriction, "read session of a range created");
        *range.place() = Some(session.clone());
        Ok(session)
    }
}

#[cfg(test)]
mod tests;
