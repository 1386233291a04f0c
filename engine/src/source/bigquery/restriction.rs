//! Row restrictions: predicates as the SQL text BigQuery filters with before it sends rows.
//!
//! Owns which predicates mean exactly the same on both sides, and the quoting of literals and columns. Must not know
//! sessions. A column that was given a case-insensitive collation looks like any other string column from here.

use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use chrono::{DateTime, Datelike, NaiveDate};

use super::table::{is_column, quote_column};
use crate::error::{Error, Result};
use crate::source::{Comparison, Literal, Predicate};

/// Longest restriction the service accepts, in bytes.
pub(super) const LONGEST_BYTES: usize = 1 << 20;
/// A single predicate longer than this stays local, so that several together stay below the service's limit.
const LONGEST_PREDICATE_BYTES: usize = 1 << 18;
/// Days from 0001-01-01 to 1970-01-01, plus one: the number chrono gives to the epoch.
const EPOCH_DAY: i32 = 719_163;

/// Whether BigQuery filters a table of `schema` by `predicate` with exactly DataFusion's result.
pub(super) fn applies(schema: &Schema, predicate: &Predicate) -> bool {
    is_exact(schema, predicate)
        && render(predicate).is_ok_and(|text| text.len() <= LONGEST_PREDICATE_BYTES)
}

/// All `predicates` as one restriction; empty when there are none.
///
/// # Errors
/// Config when a column's name or a literal cannot be written, or when the text is longer than the service accepts.
pub(super) fn row_restriction(predicates: &[Predicate]) -> Result<String> {
    let parts: Vec<String> = predicates.iter().map(render).collect::<Result<_>>()?;
    let text = parts.join(" AND ");
    if text.len() > LONGEST_BYTES {
        return Err(Error::config(format!(
            "the condition of where takes {} bytes as a row restriction and BigQuery accepts {LONGEST_BYTES}: shorten it",
            text.len()
        )));
    }
    Ok(text)
}

fn is_exact(schema: &Schema, predicate: &Predicate) -> bool {
    let column = |name: &str| {
        is_column(name)
            .then(|| schema.field_with_name(name).ok())
            .flatten()
    };
    match predicate {
        Predicate::Compare {
            column: name,
            literal,
            ..
        } => column(name).is_some_and(|field| is_of_type(field, literal)),
        Predicate::In {
            column: name,
            literals,
            ..
        } => column(name).is_some_and(|field| {
            !literals.is_empty() && literals.iter().all(|literal| is_of_type(field, literal))
        }),
        Predicate::IsNull(name) | Predicate::IsNotNull(name) => {
            column(name).is_some_and(|field| !field.data_type().is_nested())
        }
        Predicate::And(left, right) | Predicate::Or(left, right) => {
            is_exact(schema, left) && is_exact(schema, right)
        }
        Predicate::Not(inner) => is_exact(schema, inner),
    }
}

/// Whether `literal` is of the very type of the column, and inside what BigQuery can write of that type.
fn is_of_type(field: &Field, literal: &Literal) -> bool {
    let sql_type = field
        .metadata()
        .get("ARROW:extension:name")
        .and_then(|name| name.strip_prefix("google:sqlType:"));
    let same = match (field.data_type(), literal) {
        (DataType::Boolean, Literal::Bool(_))
        | (DataType::Int64, Literal::Int(_))
        | (DataType::Date32, Literal::Date(_)) => sql_type.is_none(),
        // JSON and GEOGRAPHY arrive as text but do not compare as text.
        (DataType::Utf8, Literal::Text(_)) => sql_type.is_none(),
        (DataType::Timestamp(TimeUnit::Microsecond, Some(zone)), Literal::Timestamp(_)) => {
            &**zone == "UTC" && sql_type.is_none()
        }
        (DataType::Timestamp(TimeUnit::Microsecond, None), Literal::DateTime(_)) => {
            sql_type.is_none_or(|name| name == "datetime")
        }
        _ => false,
    };
    same && render_literal(literal).is_ok()
}

fn render(predicate: &Predicate) -> Result<String> {
    Ok(match predicate {
        Predicate::Compare {
            column,
            comparison,
            literal,
        } => format!(
            "({} {} {})",
            quote_column(column)?,
            operator(*comparison),
            render_literal(literal)?
        ),
        Predicate::In {
            column,
            literals,
            negated,
        } => {
            if literals.is_empty() {
                return Err(Error::config(format!(
                    "IN over column {column:?} has no values"
                )));
            }
            let values: Vec<String> = literals.iter().map(render_literal).collect::<Result<_>>()?;
            let not = if *negated { " NOT" } else { "" };
            format!(
                "({}{not} IN ({}))",
                quote_column(column)?,
                values.join(", ")
            )
        }
        Predicate::IsNull(column) => format!("({} IS NULL)", quote_column(column)?),
        Predicate::IsNotNull(column) => format!("({} IS NOT NULL)", quote_column(column)?),
        Predicate::And(left, right) => format!("({} AND {})", render(left)?, render(right)?),
        Predicate::Or(left, right) => format!("({} OR {})", render(left)?, render(right)?),
        Predicate::Not(inner) => format!("(NOT {})", render(inner)?),
    })
}

fn operator(comparison: Comparison) -> &'static str {
    match comparison {
        Comparison::Equal => "=",
        Comparison::NotEqual => "<>",
        Comparison::Less => "<",
        Comparison::LessOrEqual => "<=",
        Comparison::Greater => ">",
        Comparison::GreaterOrEqual => ">=",
    }
}

fn render_literal(literal: &Literal) -> Result<String> {
    let unwritable = || Error::config(format!("{literal:?} cannot be written in BigQuery SQL"));
    Ok(match literal {
        Literal::Bool(true) => "TRUE".to_owned(),
        Literal::Bool(false) => "FALSE".to_owned(),
        // SQL reads a minus before a number as an operator, and the smallest integer has no positive twin.
        Literal::Int(i64::MIN) => return Err(unwritable()),
        Literal::Int(value) => value.to_string(),
        Literal::Text(text) => quote_text(text).ok_or_else(unwritable)?,
        Literal::Date(days) => {
            let date = days
                .checked_add(EPOCH_DAY)
                .and_then(NaiveDate::from_num_days_from_ce_opt)
                .filter(|date| (1..=9999).contains(&date.year()))
                .ok_or_else(unwritable)?;
            format!("DATE '{}'", date.format("%Y-%m-%d"))
        }
        Literal::Timestamp(micros) => format!(
            "TIMESTAMP '{}+00:00'",
            render_micros(*micros).ok_or_else(unwritable)?
        ),
        Literal::DateTime(micros) => format!(
            "DATETIME '{}'",
            render_micros(*micros).ok_or_else(unwritable)?
        ),
    })
}

fn render_micros(micros: i64) -> Option<String> {
    DateTime::from_timestamp_micros(micros)
        .filter(|time| (1..=9999).contains(&time.year()))
        .map(|time| time.format("%Y-%m-%d %H:%M:%S%.6f").to_string())
}

/// The text as a quoted SQL string, or nothing when it holds a control character without an escape everybody reads alike.
pub(super) fn quote_text(text: &str) -> Option<String> {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('\'');
    for c in text.chars() {
        match c {
            '\'' => quoted.push_str("\\'"),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            c if c.is_control() => return None,
            c => quoted.push(c),
        }
    }
    quoted.push('\'');
    Some(quoted)
}

#[cfg(test)]
mod tests;
