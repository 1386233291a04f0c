//! CAST and SAFE_CAST with BigQuery's rules: what rounds, what is written how, and what is an error.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, Int64Array, ListArray, NullArray, RecordBatch,
    StringArray, StructArray, TimestampMicrosecondArray, new_null_array,
};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{
    DataType, Field, FieldRef, Float64Type, Schema, SchemaRef, TimestampMicrosecondType,
};
use datafusion::common::{Result, exec_datafusion_err, exec_err, plan_err};
use datafusion::logical_expr::{ReturnFieldArgs, ScalarUDF};

use super::{Call, Function, argument, constant, decimals, external, text};
use crate::cells::{self, Cell};
use crate::schema::FieldSchema;
use crate::{lengths, picoseconds, value_text, wire};

/// What the names of functions begin with that no query can call by itself.
pub(crate) const PREFIX: &str = "millpond_";

pub(super) fn functions() -> Vec<ScalarUDF> {
    vec![
        Function::made("millpond_cast", &[2], target, strict),
        Function::made("millpond_safe_cast", &[2], target, safe),
        Function::made("millpond_to_string", &[1], text, |call| {
            written(call.array(0)?, call.field(0)?)
        }),
        Function::made("millpond_no_text", &[1], no_text, |call| {
            Ok(Arc::clone(call.array(0)?))
        }),
        Function::made("millpond_bounded", &[2], as_given, bounded),
    ]
}

fn as_given(args: &ReturnFieldArgs<'_>) -> Result<FieldRef> {
    Ok(Arc::clone(argument(args, 0)?))
}

/// A value that is to be JSON without being read as such.
fn no_text(args: &ReturnFieldArgs<'_>) -> Result<FieldRef> {
    let field = argument(args, 0)?;
    if *field.data_type() == DataType::Utf8 && wire::sql_type(field).is_none() {
        return plan_err!("Invalid cast from STRING to JSON");
    }
    Ok(Arc::clone(field))
}

/// Texts of so many characters, or so many bytes, and no more, wherever in the value they are.
fn bounded(call: &Call) -> Result<ArrayRef> {
    let array = call.array(0)?;
    let described = call.texts(1)?;
    let described = described.iter().next().flatten().unwrap_or_default();
    let to: FieldSchema =
        serde_json::from_str(described).map_err(|e| exec_datafusion_err!("unknown type: {e}"))?;
    lengths::check_column(&to, array).map_err(|e| exec_datafusion_err!("{e}"))?;
    Ok(Arc::clone(array))
}

/// The wire field of a type that the rewriter wrote down as JSON.
fn target(args: &ReturnFieldArgs<'_>) -> Result<FieldRef> {
    argument(args, 0)?;
    field_of(&constant(args, 1)?)
}

fn field_of(described: &str) -> Result<FieldRef> {
    let schema: FieldSchema =
        serde_json::from_str(described).map_err(|e| exec_datafusion_err!("unknown type: {e}"))?;
    let field = schema.to_arrow();
    Ok(Arc::new(field.with_nullable(true)))
}

fn strict(call: &Call) -> Result<ArrayRef> {
    convert(call.array(0)?, call.field(0)?, &call.returns, Mode::Strict)
}

fn safe(call: &Call) -> Result<ArrayRef> {
    convert(call.array(0)?, call.field(0)?, &call.returns, Mode::Safe)
}

/// What becomes of a value that cannot be converted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Strict,
    Safe,
}

/// Converts an array to the wire type of `to`.
fn convert(array: &ArrayRef, from: &Field, to: &Field, mode: Mode) -> Result<ArrayRef> {
    let plain_type = !matches!(array.data_type(), DataType::Utf8 | DataType::Struct(_));
    let same_kind = plain_type || wire::sql_type(from) == wire::sql_type(to);
    match (array.data_type(), to.data_type()) {
        (DataType::Null, kind) => Ok(new_null_array(kind, array.len())),
        (own, kind) if own == kind && same_kind => Ok(Arc::clone(array)),
        (DataType::List(own), DataType::List(item)) => {
            let list = array.as_list::<i32>();
            let element = Field::clone(item).with_metadata(to.metadata().clone());
            let own = Field::clone(own).with_metadata(from.metadata().clone());
            let values = convert(list.values(), &own, &element, mode)?;
            Ok(Arc::new(ListArray::try_new(
                Arc::clone(item),
                list.offsets().clone(),
                values,
                list.nulls().cloned(),
            )?))
        }
        (DataType::Struct(own), DataType::Struct(children)) if own.len() == children.len() => {
            let records = array.as_struct();
            let columns = records
                .columns()
                .iter()
                .zip(own.iter().zip(children))
                .map(|(column, (own, child))| convert(column, own, child, mode))
                .collect::<Result<Vec<_>>>()?;
            Ok(Arc::new(StructArray::try_new_with_length(
                children.clone(),
                columns,
                records.nulls().cloned(),
                records.len(),
            )?))
        }
        (DataType::Utf8, kind @ DataType::Timestamp(_, Some(_))) if picoseconds::is_here(from) => {
            let texts = array.as_string::<i32>().iter();
            let times = texts.map(|text| text.and_then(picoseconds::micros));
            let times: TimestampMicrosecondArray = times.collect();
            plain(
                &(Arc::new(times.with_timezone("UTC")) as ArrayRef),
                kind,
                mode,
            )
        }
        (own, _) if picoseconds::is_here(from) => {
            exec_err!("Invalid cast from TIMESTAMP(12) ({own}): not supported by this emulator")
        }
        (DataType::Timestamp(_, Some(_)), DataType::Utf8) if picoseconds::is_here(to) => {
            Ok(wire::to_wire(array, to)?)
        }
        (DataType::Utf8, DataType::Utf8)
            if wire::sql_type(from) == Some("json") && wire::sql_type(to).is_none() =>
        {
            exec_err!("Invalid cast from JSON to STRING")
        }
        (_, DataType::Utf8) if wire::sql_type(to).is_none() => match array.data_type() {
            DataType::Binary => utf8(array, mode),
            _ => written(array, from),
        },
        (DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View, _) => {
            let texts = plain(array, &DataType::Utf8, Mode::Strict)?;
            read(texts.as_string::<i32>(), to, mode)
        }
        (DataType::Float64, DataType::Int64) => rounded(array, mode),
        (DataType::Float64, kind @ (DataType::Decimal128(_, _) | DataType::Decimal256(_, _))) => {
            let wide = decimals::of_floats(
                array.as_primitive::<Float64Type>(),
                kind,
                mode == Mode::Safe,
            )?;
            plain(&wide, kind, mode)
        }
        (own, kind) if supported(own, kind) => plain(array, kind, mode),
        (own, kind) => {
            let shown = |field: &Field, kind: &DataType| {
                let mut schema =
                    FieldSchema::from_arrow(&field.clone().with_data_type(kind.clone()));
                schema.kind.make_ascii_uppercase();
                crate::query::sql_types::shown(&schema)
            };
            exec_err!(
                "Invalid cast from {} to {}",
                shown(from, own),
                shown(to, kind)
            )
        }
    }
}

/// Conversions that Arrow makes as BigQuery does.
fn supported(from: &DataType, to: &DataType) -> bool {
    let decimal =
        |t: &DataType| matches!(t, DataType::Decimal128(_, _) | DataType::Decimal256(_, _));
    let timed = |t: &DataType| matches!(t, DataType::Timestamp(_, _) | DataType::Date32);
    match (from, to) {
        (DataType::Boolean, DataType::Int64) | (DataType::Int64, DataType::Boolean) => true,
        (from, DataType::Int64 | DataType::Float64) if from.is_numeric() => true,
        (DataType::Int64, to) if decimal(to) => true,
        (from, to) if decimal(from) && decimal(to) => true,
        (DataType::Timestamp(_, _), DataType::Time64(_)) => true,
        (from, to) if timed(from) && timed(to) => true,
        _ => false,
    }
}

fn plain(array: &ArrayRef, to: &DataType, mode: Mode) -> Result<ArrayRef> {
    let options = CastOptions {
        safe: mode == Mode::Safe,
        ..CastOptions::default()
    };
    let decimal = matches!(
        array.data_type(),
        DataType::Decimal128(_, _) | DataType::Decimal256(_, _)
    );
    if decimal && *to == DataType::Int64 {
        // Half away from zero, where a cast alone would cut off.
        let whole = match array.data_type() {
            DataType::Decimal128(_, _) => DataType::Decimal128(38, 0),
            _ => DataType::Decimal256(76, 0),
        };
        let whole = cast_with_options(array, &whole, &options)?;
        return Ok(cast_with_options(&whole, to, &options)?);
    }
    Ok(cast_with_options(array, to, &options)?)
}

// The range is checked before the cast.
#[allow(clippy::cast_possible_truncation)]
fn rounded(array: &ArrayRef, mode: Mode) -> Result<ArrayRef> {
    let values = array
        .as_primitive::<Float64Type>()
        .iter()
        .map(|value| match value {
            None => Ok(None),
            Some(value) => {
                let whole = value.round();
                if (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&whole) {
                    Ok(Some(whole as i64))
                } else if mode == Mode::Safe {
                    Ok(None)
                } else {
                    exec_err!("Illegal conversion of non-finite or too large floating point number to an integer: {value}")
                }
            }
        })
        .collect::<Result<Int64Array>>()?;
    Ok(Arc::new(values))
}

fn utf8(array: &ArrayRef, mode: Mode) -> Result<ArrayRef> {
    let values = array
        .as_binary::<i32>()
        .iter()
        .map(|bytes| match bytes.map(|b| String::from_utf8(b.to_vec())) {
            None => Ok(None),
            Some(Ok(text)) => Ok(Some(text)),
            Some(Err(_)) if mode == Mode::Safe => Ok(None),
            Some(Err(_)) => exec_err!("Invalid cast of bytes to UTF8 string"),
        })
        .collect::<Result<StringArray>>()?;
    Ok(Arc::new(values))
}

/// Reads texts as values of the type of `to`.
fn read(texts: &StringArray, to: &Field, mode: Mode) -> Result<ArrayRef> {
    if *to.data_type() == DataType::Binary {
        let bytes: BinaryArray = texts.iter().map(|t| t.map(str::as_bytes)).collect();
        return Ok(Arc::new(bytes));
    }
    let mut cells: Vec<Cell> = texts
        .iter()
        .map(|text| match text {
            None => Cell::Null,
            Some(text) => Cell::Text(literal(text, to.data_type())),
        })
        .map(|cell| Cell::Record(vec![cell]))
        .collect();
    let column = Field::clone(to).with_name("value").with_nullable(true);
    let schema: SchemaRef = Arc::new(Schema::new(vec![column]));
    let mut batch = cells::batch(&schema, &cells);
    if let (Err(errors), Mode::Safe) = (&batch, mode) {
        for error in errors {
            if let Some(cell) = cells.get_mut(error.row) {
                *cell = Cell::Record(vec![Cell::Null]);
            }
        }
        batch = cells::batch(&schema, &cells);
    }
    let batch: RecordBatch = batch.map_err(|errors| {
        let first = errors.into_iter().next();
        let text = first
            .as_ref()
            .and_then(|e| texts.iter().nth(e.row).flatten());
        match (text.and_then(|text| bad(text, to)), first) {
            (Some(said), _) => external(said),
            (None, first) => external(first.map(|e| e.message).unwrap_or_default()),
        }
    })?;
    let none = || Arc::new(NullArray::new(0)) as ArrayRef;
    Ok(batch.columns().first().cloned().unwrap_or_else(none))
}

/// What the service says of a text that cannot be converted.
fn bad(text: &str, to: &Field) -> Option<String> {
    Some(match to.data_type() {
        DataType::Int64 => format!("Bad int64 value: {text}"),
        DataType::Float64 => format!("Bad double value: {text}"),
        DataType::Boolean => format!("Bad bool value: {text}"),
        DataType::Date32 => format!("Invalid date: '{text}'"),
        DataType::Time64(_) => format!("Invalid time string \"{text}\""),
        DataType::Timestamp(_, None) => format!("Invalid datetime string \"{text}\""),
        DataType::Timestamp(_, Some(_)) => format!("Invalid timestamp: '{text}'"),
        DataType::Decimal128(_, _) => format!("Invalid NUMERIC value: {text}"),
        DataType::Decimal256(_, _) => format!("Invalid BIGNUMERIC value: {text}"),
        _ => return None,
    })
}

/// The text as loads spell it: SQL also writes integers in hexadecimal, and knows only two words for a boolean.
fn literal(text: &str, to: &DataType) -> String {
    let trimmed = text.trim();
    match to {
        DataType::Int64 => hexadecimal(trimmed).unwrap_or_else(|| text.to_owned()),
        DataType::Timestamp(_, _) if !has_seconds(trimmed) => format!("?{text}"),
        DataType::Boolean
            if !trimmed.eq_ignore_ascii_case("true") && !trimmed.eq_ignore_ascii_case("false") =>
        {
            format!("?{text}")
        }
        DataType::Decimal128(_, _) | DataType::Decimal256(_, _) => {
            rounded_text(trimmed, to).unwrap_or_else(|| text.to_owned())
        }
        // Seconds as a number are what loads take for a point in time, and SQL does not.
        DataType::Timestamp(_, Some(_)) if trimmed.parse::<f64>().is_ok() => format!("?{text}"),
        _ => text.to_owned(),
    }
}

/// An integer that is written in hexadecimal, in decimal.
fn hexadecimal(text: &str) -> Option<String> {
    let (sign, digits) = match text.strip_prefix(['-', '+']) {
        Some(digits) if text.starts_with('-') => ("-", digits),
        Some(digits) => ("", digits),
        None => ("", text),
    };
    let digits = digits
        .strip_prefix("0x")
        .or_else(|| digits.strip_prefix("0X"))?;
    let number = u64::from_str_radix(digits, 16).ok()?;
    Some(format!("{sign}{number}"))
}

/// Whether a clock, where a text has one, shows seconds, and no more of them than microseconds.
fn has_seconds(text: &str) -> bool {
    let Some((_, clock)) = text.split_once(['T', 't', ' ']) else {
        return true;
    };
    let clock = clock.trim_start();
    let end = clock.find(|c: char| !c.is_ascii_digit() && c != ':' && c != '.');
    let clock = clock.get(..end.unwrap_or(clock.len())).unwrap_or(clock);
    if !clock.contains(':') {
        return true;
    }
    let (whole, fraction) = clock.split_once('.').unwrap_or((clock, ""));
    whole.split(':').count() == 3 && fraction.len() <= 6
}

/// A decimal as a text with no more digits behind its point than a type has, where the text has more.
fn rounded_text(text: &str, to: &DataType) -> Option<String> {
    let (DataType::Decimal128(_, scale) | DataType::Decimal256(_, scale)) = to else {
        return None;
    };
    let scale = usize::try_from(*scale).ok()?;
    let (whole, fraction) = text.split_once('.')?;
    let (fraction, exponent) = match fraction.find(['e', 'E']) {
        Some(at) => fraction.split_at(at),
        None => (fraction, ""),
    };
    let digits = fraction.bytes().all(|b| b.is_ascii_digit());
    if !digits || !exponent.is_empty() || fraction.len() <= scale {
        return None;
    }
    let (kept, rest) = fraction.split_at(scale);
    let (sign, whole) = match whole.strip_prefix('-') {
        Some(whole) => ("-", whole),
        None => ("", whole.strip_prefix('+').unwrap_or(whole)),
    };
    if !whole.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let mut number: Vec<u8> = format!("0{whole}{kept}").into_bytes();
    if rest.as_bytes().first().is_some_and(|d| *d >= b'5') {
        // Half away from zero.
        for digit in number.iter_mut().rev() {
            if *digit != b'9' {
                *digit += 1;
                break;
            }
            *digit = b'0';
        }
    }
    let number = String::from_utf8(number).ok()?;
    let (whole, kept) = number.split_at(number.len() - scale);
    Some(format!("{sign}{whole}.{kept}"))
}

/// Values as CAST writes them.
pub(super) fn written(array: &ArrayRef, field: &Field) -> Result<ArrayRef> {
    let texts: StringArray = (0..array.len())
        .map(|row| {
            if array.is_null(row) {
                return Ok(None);
            }
            one(array, field, row).map(Some)
        })
        .collect::<Result<_>>()?;
    Ok(Arc::new(texts))
}

fn one(array: &ArrayRef, field: &Field, row: usize) -> Result<String> {
    Ok(match array.data_type() {
        DataType::Float64 => value_text::float(array.as_primitive::<Float64Type>().value(row)),
        DataType::Timestamp(_, Some(_)) => {
            let micros = array.as_primitive::<TimestampMicrosecondType>().value(row);
            format!("{}+00", value_text::short_datetime(micros))
        }
        DataType::Timestamp(_, None) => {
            let micros = array.as_primitive::<TimestampMicrosecondType>().value(row);
            value_text::short_datetime(micros)
        }
        DataType::Struct(fields) if wire::sql_type(field) == Some("range") => {
            let columns = array.as_struct().columns().iter().zip(fields);
            let ends = columns.map(|(column, field)| match column.is_null(row) {
                true => Ok("UNBOUNDED".to_owned()),
                false => one(column, field, row),
            });
            format!("[{})", ends.collect::<Result<Vec<_>>>()?.join(", "))
        }
        DataType::Binary | DataType::List(_) | DataType::Struct(_) => {
            return exec_err!(
                "a conversion from {} to STRING is not supported by this emulator",
                array.data_type()
            );
        }
        _ if wire::sql_type(field) == Some("geography") => {
            return exec_err!("Invalid cast from GEOGRAPHY to STRING");
        }
        _ => value_text::scalar(array, row),
    })
}

/// Values of a query as a column of a table takes them: only where nothing is lost or guessed.
///
/// # Errors
/// A conversion that must be asked for, or a value that does not fit.
pub(crate) fn assign(array: &ArrayRef, from: &Field, to: &Field) -> Result<ArrayRef> {
    let decimal =
        |t: &DataType| matches!(t, DataType::Decimal128(_, _) | DataType::Decimal256(_, _));
    let text = matches!(array.data_type(), DataType::Utf8) && wire::sql_type(from).is_none();
    let fits = match (array.data_type(), to.data_type()) {
        (own, kind) if own == kind => {
            wire::sql_type(from) == wire::sql_type(to)
                || !matches!(own, DataType::Utf8 | DataType::Struct(_))
                // Rows of VALUES have no word on what their texts are; well-known text is checked by nobody.
                || wire::sql_type(to) == Some("geography") && text
        }
        (DataType::Null, _) | (DataType::Int64, DataType::Float64) => true,
        (DataType::List(_), DataType::List(_)) | (DataType::Struct(_), DataType::Struct(_)) => true,
        (DataType::Int64, kind) if decimal(kind) => true,
        (own, kind) if decimal(own) => decimal(kind) || *kind == DataType::Float64,
        (DataType::Float64, kind) if decimal(kind) => {
            // The shortest text of a literal is the literal.
            let texts: StringArray = array
                .as_primitive::<Float64Type>()
                .iter()
                .map(|v| v.map(|v| v.to_string()))
                .collect();
            return read(&texts, to, Mode::Strict);
        }
        (DataType::Utf8, kind) if text => matches!(
            kind,
            DataType::Date32 | DataType::Time64(_) | DataType::Timestamp(_, _)
        ),
        _ => false,
    };
    if !fits {
        let kind = |f: &Field| {
            let mut schema = FieldSchema::from_arrow(f);
            schema.kind.make_ascii_uppercase();
            schema.kind
        };
        return exec_err!(
            "Query column has type {} which cannot be inserted into column {}, which has type {}",
            kind(from),
            to.name(),
            kind(to)
        );
    }
    convert(array, from, to, Mode::Strict)
}
