//! Parts of texts and bytes: ends cut off, put on, and taken out. Texts are counted in characters, bytes in bytes.

use arrow::array::{Array, ArrayRef};
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::ScalarUDF;

use super::pieces::{
    LONGEST, Piece, Pieces, is_bytes, list_of_first, lists_of, made, mapped, of_first, paired,
    position,
};
use super::{Call, Function};

pub(super) fn functions() -> Vec<ScalarUDF> {
    vec![
        Function::made("millpond_trim", &[1, 2], of_first, |call| {
            trim(call, &[End::Left, End::Right], "TRIM")
        }),
        Function::made("millpond_ltrim", &[1, 2], of_first, |call| {
            trim(call, &[End::Left], "LTRIM")
        }),
        Function::made("millpond_rtrim", &[1, 2], of_first, |call| {
            trim(call, &[End::Right], "RTRIM")
        }),
        Function::made("millpond_substr", &[2, 3], of_first, substring),
        Function::made("millpond_split", &[1, 2], list_of_first, split),
        Function::made("millpond_left", &[2], of_first, |call| {
            ends(call, End::Left)
        }),
        Function::made("millpond_right", &[2], of_first, |call| {
            ends(call, End::Right)
        }),
        Function::made("millpond_lpad", &[2, 3], of_first, |call| {
            pad(call, End::Left)
        }),
        Function::made("millpond_rpad", &[2, 3], of_first, |call| {
            pad(call, End::Right)
        }),
    ]
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Left,
    Right,
}

fn trim(call: &Call, ends: &[End], name: &str) -> Result<ArrayRef> {
    let cut = |piece: Piece<'_>, set: Option<Piece<'_>>| match piece {
        Piece::Text(text) => {
            let within = |c: char| match set {
                Some(Piece::Text(set)) => set.contains(c),
                _ => c.is_whitespace(),
            };
            let mut text = text;
            for end in ends {
                text = match end {
                    End::Left => text.trim_start_matches(within),
                    End::Right => text.trim_end_matches(within),
                };
            }
            text.as_bytes().to_vec()
        }
        Piece::Bytes(mut bytes) => {
            let set = set.map_or(&[][..], Piece::bytes);
            for end in ends {
                let outside = |b: &u8| !set.contains(b);
                bytes = match end {
                    End::Left => {
                        let from = bytes.iter().position(outside).unwrap_or(bytes.len());
                        bytes.get(from..).unwrap_or_default()
                    }
                    End::Right => {
                        let to = bytes.iter().rposition(outside).map_or(0, |at| at + 1);
                        bytes.get(..to).unwrap_or_default()
                    }
                };
            }
            bytes.to_vec()
        }
    };
    if call.arrays.len() == 2 {
        let found = paired(call, |_, value, set| Ok(Some(cut(value, Some(set)))))?;
        return made(call, found);
    }
    if is_bytes(call.returns.data_type()) {
        return exec_err!("No matching signature for function {name} for argument types: BYTES");
    }
    mapped(call, |piece| cut(piece, None))
}

/// Units from a position that counts from 1, or from the end when it is negative.
fn substring(call: &Call) -> Result<ArrayRef> {
    let (values, starts) = (Pieces::of(call, 0)?, call.integers(1)?);
    let lengths = match call.arrays.len() {
        3 => Some(call.integers(2)?),
        _ => None,
    };
    let cut = (0..call.rows).map(|row| {
        let no_length = lengths.as_ref().is_some_and(|l| l.is_null(row));
        let (Some(value), true, false) = (values.get(row), starts.is_valid(row), no_length) else {
            return Ok(None);
        };
        let length = lengths.as_ref().map_or(i64::MAX, |l| l.value(row));
        if length < 0 {
            return exec_err!("Third argument in SUBSTR() cannot be negative");
        }
        let start = starts.value(row);
        let count = i64::try_from(value.len()).unwrap_or(i64::MAX);
        let skip = match start {
            0 => 0,
            1.. => start - 1,
            _ => count.saturating_add(start).max(0),
        };
        let skip = usize::try_from(skip).unwrap_or(usize::MAX);
        let take = usize::try_from(length).unwrap_or(usize::MAX);
        Ok(Some(value.part(skip, take).to_vec()))
    });
    made(call, cut.collect::<Result<_>>()?)
}

/// Parts between delimiters, or units where the delimiter is empty.
fn parts<'a>(value: Piece<'a>, delimiter: &[u8]) -> Vec<&'a [u8]> {
    let bytes = value.bytes();
    if delimiter.is_empty() {
        return match bytes.is_empty() {
            true => vec![bytes],
            false => (0..value.len()).map(|at| value.part(at, 1)).collect(),
        };
    }
    let mut all = Vec::new();
    let mut rest = bytes;
    while let Some(at) = position(rest, delimiter) {
        all.push(rest.get(..at).unwrap_or_default());
        rest = rest.get(at + delimiter.len()..).unwrap_or_default();
    }
    all.push(rest);
    all
}

fn split(call: &Call) -> Result<ArrayRef> {
    let values = Pieces::of(call, 0)?;
    let delimiters = match call.arrays.len() {
        2 => Some(Pieces::of(call, 1)?),
        _ => None,
    };
    if delimiters.is_none() && matches!(values, Pieces::Bytes(_)) {
        return exec_err!("SPLIT of BYTES expects a delimiter");
    }
    let rows = (0..call.rows).map(|row| {
        let delimiter = match &delimiters {
            Some(all) => all.get(row)?.bytes(),
            None => b",",
        };
        Some(parts(values.get(row)?, delimiter))
    });
    Ok(lists_of(matches!(values, Pieces::Bytes(_)), rows))
}

fn length(value: i64, name: &str) -> Result<usize> {
    usize::try_from(value).or_else(|_| exec_err!("Second argument in {name}() cannot be negative"))
}

fn ends(call: &Call, end: End) -> Result<ArrayRef> {
    let (values, lengths) = (Pieces::of(call, 0)?, call.integers(1)?);
    let cut = (0..call.rows).map(|row| {
        let (Some(value), true) = (values.get(row), lengths.is_valid(row)) else {
            return Ok(None);
        };
        let name = if end == End::Left { "LEFT" } else { "RIGHT" };
        let wanted = length(lengths.value(row), name)?;
        let from = match end {
            End::Left => 0,
            End::Right => value.len().saturating_sub(wanted),
        };
        Ok(Some(value.part(from, wanted).to_vec()))
    });
    made(call, cut.collect::<Result<_>>()?)
}

fn pad(call: &Call, end: End) -> Result<ArrayRef> {
    let (values, lengths) = (Pieces::of(call, 0)?, call.integers(1)?);
    let fills = match call.arrays.len() {
        3 => Some(Pieces::of(call, 2)?),
        _ => None,
    };
    let padded = (0..call.rows).map(|row| {
        let fill = match &fills {
            Some(fills) => fills.get(row),
            None => Some(Piece::Text(" ")),
        };
        let (Some(value), true, Some(fill)) = (values.get(row), lengths.is_valid(row), fill) else {
            return Ok(None);
        };
        let name = if end == End::Left { "LPAD" } else { "RPAD" };
        let wanted = length(lengths.value(row), name)?;
        let (own, unit) = (value.len(), fill.len());
        let missing = wanted.saturating_sub(own);
        if missing > 0 && unit == 0 {
            return exec_err!("Third argument in {name}() cannot be empty");
        }
        if missing > LONGEST / 4 {
            return exec_err!("{name}() of {wanted} characters is too long");
        }
        let whole = missing.checked_div(unit).unwrap_or(0);
        let mut filled = fill.bytes().repeat(whole);
        filled.extend(fill.part(0, missing - whole * unit));
        let kept = value.part(0, wanted);
        Ok(Some(match end {
            End::Left => [filled.as_slice(), kept].concat(),
            End::Right => [kept, filled.as_slice()].concat(),
        }))
    });
    made(call, padded.collect::<Result<_>>()?)
}
