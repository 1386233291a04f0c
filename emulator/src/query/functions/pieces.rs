//! Texts and bytes, and functions that take both alike. Texts are counted in characters, bytes in bytes.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BinaryBuilder, BooleanArray, Int64Array, ListBuilder,
    StringArray, StringBuilder,
};
use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{Result, exec_err, plan_err};
use datafusion::logical_expr::{ReturnFieldArgs, ScalarUDF};

use super::{Call, Function, argument, integer, nullable};

/// As many values as anybody puts together.
const MANY: &[usize] = &[
    1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26,
    27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50,
    51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 63, 64,
];

/// No text is made longer than this.
pub(super) const LONGEST: usize = 100 << 20;

pub(super) fn functions() -> Vec<ScalarUDF> {
    vec![
        Function::made("millpond_length", &[1], integer, |call| {
            counted(call, |piece| piece.len())
        }),
        Function::made("millpond_byte_length", &[1], integer, |call| {
            counted(call, |piece| piece.bytes().len())
        }),
        Function::made("millpond_reverse", &[1], of_first, |call| {
            mapped(call, |piece| match piece {
                Piece::Text(text) => text.chars().rev().collect::<String>().into_bytes(),
                Piece::Bytes(bytes) => bytes.iter().rev().copied().collect(),
            })
        }),
        Function::made("millpond_upper", &[1], of_first, |call| {
            mapped(call, |piece| match piece {
                Piece::Text(text) => text.to_uppercase().into_bytes(),
                Piece::Bytes(bytes) => bytes.to_ascii_uppercase(),
            })
        }),
        Function::made("millpond_lower", &[1], of_first, |call| {
            mapped(call, |piece| match piece {
                Piece::Text(text) => text.to_lowercase().into_bytes(),
                Piece::Bytes(bytes) => bytes.to_ascii_lowercase(),
            })
        }),
        Function::made("millpond_concat", MANY, of_any, concat),
        Function::made("millpond_repeat", &[2], of_first, repeat),
        Function::made("millpond_replace", &[3], of_first, replace),
        Function::made("millpond_starts_with", &[2], truth, |call| {
            related(call, |value, part| value.starts_with(part))
        }),
        Function::made("millpond_ends_with", &[2], truth, |call| {
            related(call, |value, part| value.ends_with(part))
        }),
        Function::made("millpond_strpos", &[2], integer, strpos),
    ]
}

/// A text or bytes.
#[derive(Debug, Clone, Copy)]
pub(super) enum Piece<'a> {
    Text(&'a str),
    Bytes(&'a [u8]),
}

impl<'a> Piece<'a> {
    pub fn bytes(self) -> &'a [u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Bytes(bytes) => bytes,
        }
    }

    pub fn len(self) -> usize {
        match self {
            Self::Text(text) => text.chars().count(),
            Self::Bytes(bytes) => bytes.len(),
        }
    }

    /// The units from `from` on, so many of them.
    pub fn part(self, from: usize, count: usize) -> &'a [u8] {
        match self {
            Self::Text(text) => {
                let at = |n: usize| text.char_indices().nth(n).map_or(text.len(), |(at, _)| at);
                let (start, end) = (at(from), at(from.saturating_add(count)));
                text.get(start..end).unwrap_or_default().as_bytes()
            }
            Self::Bytes(bytes) => {
                let end = from.saturating_add(count).min(bytes.len());
                bytes.get(from.min(end)..end).unwrap_or_default()
            }
        }
    }
}

/// A column of texts or bytes.
pub(super) enum Pieces {
    Texts(StringArray),
    Bytes(BinaryArray),
}

impl Pieces {
    pub fn of(call: &Call, at: usize) -> Result<Self> {
        let array = call.array(at)?;
        match array.as_binary_opt::<i32>() {
            Some(bytes) => Ok(Self::Bytes(bytes.clone())),
            None => Ok(Self::Texts(call.texts(at)?)),
        }
    }

    pub fn get(&self, row: usize) -> Option<Piece<'_>> {
        match self {
            Self::Texts(texts) => texts.is_valid(row).then(|| Piece::Text(texts.value(row))),
            Self::Bytes(all) => all.is_valid(row).then(|| Piece::Bytes(all.value(row))),
        }
    }
}

pub(super) fn is_bytes(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Binary)
}

/// STRING or BYTES, as the first argument is.
pub(super) fn of_first(args: &ReturnFieldArgs<'_>) -> Result<FieldRef> {
    nullable(kind_of(args)?)
}

pub(super) fn list_of_first(args: &ReturnFieldArgs<'_>) -> Result<FieldRef> {
    nullable(DataType::new_list(kind_of(args)?, true))
}

fn kind_of(args: &ReturnFieldArgs<'_>) -> Result<DataType> {
    match argument(args, 0)?.data_type() {
        DataType::Binary => Ok(DataType::Binary),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null => {
            Ok(DataType::Utf8)
        }
        other => plan_err!("STRING or BYTES are expected, not {other}"),
    }
}

/// BYTES if one of the values is of them, else STRING.
fn of_any(args: &ReturnFieldArgs<'_>) -> Result<FieldRef> {
    if let Some(kind) = args
        .arg_fields
        .iter()
        .find_map(|f| crate::wire::sql_type(f).filter(|kind| *kind != "datetime"))
    {
        return plan_err!("No matching signature for function CONCAT for an argument of {kind}");
    }
    let mut types = args.arg_fields.iter().map(|f| f.data_type());
    match types.any(is_bytes) {
        true => nullable(DataType::Binary),
        false => nullable(DataType::Utf8),
    }
}

/// Values one behind the other; those that are no texts as CAST writes them.
fn concat(call: &Call) -> Result<ArrayRef> {
    let of_bytes = is_bytes(call.returns.data_type());
    let columns = call.arrays.iter().zip(&call.fields).map(|(array, field)| {
        let text = matches!(array.data_type(), DataType::Utf8 | DataType::Null);
        match array.as_binary_opt::<i32>() {
            Some(bytes) => Ok(Pieces::Bytes(bytes.clone())),
            None if of_bytes && !array.data_type().is_null() => {
                exec_err!("arguments of CONCAT must be all STRING or all BYTES")
            }
            None => {
                let texts = match text {
                    true => arrow::compute::cast(array, &DataType::Utf8)?,
                    false => super::casts::written(array, field)?,
                };
                Ok(Pieces::Texts(texts.as_string::<i32>().clone()))
            }
        }
    });
    let columns = columns.collect::<Result<Vec<_>>>()?;
    let all = (0..call.rows).map(|row| {
        let parts = columns.iter().map(|column| Some(column.get(row)?.bytes()));
        Some(parts.collect::<Option<Vec<_>>>()?.concat())
    });
    made(call, all.collect())
}

fn truth(_: &ReturnFieldArgs<'_>) -> Result<FieldRef> {
    nullable(DataType::Boolean)
}

/// An array of the call's type.
pub(super) fn made(call: &Call, values: Vec<Option<Vec<u8>>>) -> Result<ArrayRef> {
    if is_bytes(call.returns.data_type()) {
        return Ok(Arc::new(BinaryArray::from_iter(values)));
    }
    let texts = values.into_iter().map(text_of);
    Ok(Arc::new(texts.collect::<Result<StringArray>>()?))
}

/// A list of texts or of bytes for each row, from their bytes.
pub(super) fn lists_of<P: AsRef<[u8]>>(
    bytes: bool,
    rows: impl IntoIterator<Item = Option<Vec<P>>>,
) -> ArrayRef {
    if bytes {
        let mut lists = ListBuilder::new(BinaryBuilder::new());
        for row in rows {
            let there = row.is_some();
            for part in row.iter().flatten() {
                lists.values().append_value(part);
            }
            lists.append(there);
        }
        return Arc::new(lists.finish());
    }
    let mut lists = ListBuilder::new(StringBuilder::new());
    for row in rows {
        let there = row.is_some();
        for part in row.iter().flatten() {
            let text = String::from_utf8_lossy(part.as_ref());
            lists.values().append_value(text);
        }
        lists.append(there);
    }
    Arc::new(lists.finish())
}

fn text_of(bytes: Option<Vec<u8>>) -> Result<Option<String>> {
    match bytes.map(String::from_utf8) {
        None => Ok(None),
        Some(Ok(text)) => Ok(Some(text)),
        Some(Err(_)) => exec_err!("a text is no UTF-8"),
    }
}

fn counted(call: &Call, count: impl Fn(Piece<'_>) -> usize) -> Result<ArrayRef> {
    let pieces = Pieces::of(call, 0)?;
    let lengths: Int64Array = (0..call.rows)
        .map(|row| pieces.get(row).and_then(|p| i64::try_from(count(p)).ok()))
        .collect();
    Ok(Arc::new(lengths))
}

pub(super) fn mapped(call: &Call, one: impl Fn(Piece<'_>) -> Vec<u8>) -> Result<ArrayRef> {
    let pieces = Pieces::of(call, 0)?;
    made(
        call,
        (0..call.rows)
            .map(|row| pieces.get(row).map(&one))
            .collect(),
    )
}

/// Applies `one` to the rows of two columns, both of texts or both of bytes.
pub(super) fn paired<T>(
    call: &Call,
    one: impl Fn(usize, Piece<'_>, Piece<'_>) -> Result<Option<T>>,
) -> Result<Vec<Option<T>>> {
    let (values, others) = (Pieces::of(call, 0)?, Pieces::of(call, 1)?);
    let null = |at: usize| call.array(at).is_ok_and(|a| a.data_type().is_null());
    let mixed = matches!(values, Pieces::Bytes(_)) != matches!(others, Pieces::Bytes(_));
    if mixed && !null(0) && !null(1) {
        return exec_err!("arguments must be all STRING or all BYTES");
    }
    (0..call.rows)
        .map(|row| match (values.get(row), others.get(row)) {
            (Some(value), Some(other)) => one(row, value, other),
            _ => Ok(None),
        })
        .collect()
}

fn related(call: &Call, one: impl Fn(&[u8], &[u8]) -> bool) -> Result<ArrayRef> {
    let found = paired(call, |_, value, part| {
        Ok(Some(one(value.bytes(), part.bytes())))
    })?;
    Ok(Arc::new(BooleanArray::from(found)))
}

fn repeat(call: &Call) -> Result<ArrayRef> {
    let (values, counts) = (Pieces::of(call, 0)?, call.integers(1)?);
    let all = (0..call.rows).map(|row| {
        let (Some(value), true) = (values.get(row), counts.is_valid(row)) else {
            return Ok(None);
        };
        let Ok(count) = usize::try_from(counts.value(row)) else {
            return exec_err!("REPEAT: the number of repetitions cannot be negative");
        };
        let bytes = value.bytes();
        if bytes.len().saturating_mul(count) > LONGEST {
            return exec_err!("REPEAT: the result is too long");
        }
        Ok(Some(bytes.repeat(count)))
    });
    made(call, all.collect::<Result<_>>()?)
}

fn replace(call: &Call) -> Result<ArrayRef> {
    let others = Pieces::of(call, 2)?;
    let all = paired(call, |row, value, from| {
        let Some(to) = others.get(row) else {
            return Ok(None);
        };
        let (value, from, to) = (value.bytes(), from.bytes(), to.bytes());
        if from.is_empty() {
            return Ok(Some(value.to_vec()));
        }
        let mut out = Vec::with_capacity(value.len());
        let mut at = 0;
        while let Some(rest) = value.get(at..).filter(|rest| !rest.is_empty()) {
            if rest.starts_with(from) {
                out.extend_from_slice(to);
                at += from.len();
            } else {
                out.extend(rest.first());
                at += 1;
            }
        }
        Ok(Some(out))
    })?;
    made(call, all)
}

/// Where a part begins, in bytes.
pub(super) fn position(value: &[u8], part: &[u8]) -> Option<usize> {
    if part.is_empty() {
        return Some(0);
    }
    value.windows(part.len()).position(|window| window == part)
}

fn strpos(call: &Call) -> Result<ArrayRef> {
    let found = paired(call, |_, value, part| {
        let at = position(value.bytes(), part.bytes());
        let at = match value {
            Piece::Bytes(_) => at.map(|at| at + 1),
            Piece::Text(text) => at
                .and_then(|at| text.get(..at))
                .map(|before| before.chars().count() + 1),
        };
        Ok(i64::try_from(at.unwrap_or(0)).ok())
    })?;
    Ok(Arc::new(Int64Array::from(found)))
}
