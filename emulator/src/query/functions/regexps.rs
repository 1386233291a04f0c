//! Regular expressions over texts and bytes, in the syntax of RE2: its classes such as `\w` are ASCII.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, Int64Array};
use arrow::datatypes::DataType;
use datafusion::common::{Result, exec_datafusion_err, exec_err};
use datafusion::logical_expr::ScalarUDF;
use regex::bytes::{Regex, RegexBuilder};

use super::pieces::{Piece, Pieces, list_of_first, lists_of, made, of_first};
use super::{Call, Function, integer, nullable};

mod syntax;

pub(super) fn functions() -> Vec<ScalarUDF> {
    vec![
        Function::made(
            "millpond_regexp_contains",
            &[2],
            |_| nullable(DataType::Boolean),
            |call| {
                let mut known = Known::default();
                let found = rows(call, |_, value, pattern| {
                    Ok(Some(known.of(pattern)?.is_match(value.bytes())))
                })?;
                Ok(Arc::new(BooleanArray::from(found)))
            },
        ),
        Function::made("millpond_regexp_extract", &[2, 3, 4], of_first, extract),
        Function::made(
            "millpond_regexp_extract_all",
            &[2],
            list_of_first,
            extract_all,
        ),
        Function::made("millpond_regexp_instr", &[2, 3, 4, 5], integer, instr),
        Function::made("millpond_regexp_replace", &[3], of_first, replace),
    ]
}

/// Expressions that have been read, by their patterns.
#[derive(Default)]
struct Known(HashMap<Vec<u8>, Regex>);

impl Known {
    fn of(&mut self, pattern: Piece<'_>) -> Result<&Regex> {
        let key = pattern.bytes();
        if !self.0.contains_key(key) {
            let (text, unicode) = match pattern {
                Piece::Text(text) => (syntax::of_re2(text), true),
                Piece::Bytes(bytes) => (syntax::of_re2(&syntax::of_bytes(bytes)), false),
            };
            let built = RegexBuilder::new(&text).unicode(unicode).build();
            let built = built.map_err(|e| {
                let text = e.to_string();
                let why = text.lines().last().unwrap_or_default();
                let why = why.trim_start_matches("error: ");
                let shown = String::from_utf8_lossy(key);
                exec_datafusion_err!("Cannot parse regular expression: {why}: {shown}")
            })?;
            self.0.insert(key.to_vec(), built);
        }
        match self.0.get(key) {
            Some(regex) => Ok(regex),
            None => exec_err!("the regular expression is gone"),
        }
    }

    /// The same for functions that take out the one group of an expression, if it has one.
    fn extracting(&mut self, pattern: Piece<'_>) -> Result<&Regex> {
        let regex = self.of(pattern)?;
        if regex.captures_len() > 2 {
            return exec_err!(
                "Regular expressions passed into extraction functions must not have more than 1 capturing group"
            );
        }
        Ok(regex)
    }
}

/// Applies `one` to the rows that have a value and a pattern.
fn rows<T>(
    call: &Call,
    mut one: impl FnMut(usize, Piece<'_>, Piece<'_>) -> Result<Option<T>>,
) -> Result<Vec<Option<T>>> {
    let (values, patterns) = (Pieces::of(call, 0)?, Pieces::of(call, 1)?);
    (0..call.rows)
        .map(|row| match (values.get(row), patterns.get(row)) {
            (Some(value), Some(pattern)) => one(row, value, pattern),
            _ => Ok(None),
        })
        .collect()
}

/// One match: all of it, and the group in it, which may have matched nothing.
struct Found {
    whole: Range<usize>,
    group: Option<Range<usize>>,
}

impl Found {
    fn of(captures: &regex::bytes::Captures<'_>) -> Option<Self> {
        let whole = captures.get(0)?.range();
        let group = match captures.len() {
            1 => Some(whole.clone()),
            _ => captures.get(1).map(|group| group.range()),
        };
        Some(Self { whole, group })
    }
}

/// Matches in order, each behind the one before; none begins within a character.
fn matches<'a>(regex: &'a Regex, value: Piece<'a>) -> impl Iterator<Item = Found> + 'a {
    let whole = move |at: usize| match value {
        Piece::Text(text) => text.is_char_boundary(at),
        Piece::Bytes(_) => true,
    };
    let all = regex.captures_iter(value.bytes());
    all.filter_map(|captures| Found::of(&captures))
        .filter(move |found| whole(found.whole.start))
}

/// A number among the arguments, one where there is none.
struct Numbers(Option<Int64Array>, i64);

impl Numbers {
    fn of(call: &Call, at: usize, otherwise: i64) -> Result<Self> {
        let given = match call.arrays.len() > at {
            true => Some(call.integers(at)?),
            false => None,
        };
        Ok(Self(given, otherwise))
    }

    fn get(&self, row: usize) -> Option<i64> {
        match &self.0 {
            Some(numbers) => numbers.is_valid(row).then(|| numbers.value(row)),
            None => Some(self.1),
        }
    }
}

/// Where a value's units begin that is searched from a position on; `None` behind its end.
fn start(value: Piece<'_>, position: i64, name: &str) -> Result<Option<usize>> {
    let Some(skipped) = position.checked_sub(1).filter(|p| *p >= 0) else {
        return exec_err!("{name}: position must be greater than 0, not {position}");
    };
    let skipped = usize::try_from(skipped).unwrap_or(usize::MAX);
    Ok((skipped <= value.len()).then(|| value.part(0, skipped).len()))
}

fn nth(occurrence: i64, name: &str) -> Result<usize> {
    match usize::try_from(occurrence - 1) {
        Ok(nth) => Ok(nth),
        Err(_) => exec_err!("{name}: occurrence must be greater than 0, not {occurrence}"),
    }
}

/// What stands behind a place.
fn rest(value: Piece<'_>, from: usize) -> Piece<'_> {
    match value {
        Piece::Text(text) => Piece::Text(text.get(from..).unwrap_or_default()),
        Piece::Bytes(bytes) => Piece::Bytes(bytes.get(from..).unwrap_or_default()),
    }
}

fn extract(call: &Call) -> Result<ArrayRef> {
    let (positions, occurrences) = (Numbers::of(call, 2, 1)?, Numbers::of(call, 3, 1)?);
    let mut known = Known::default();
    let found = rows(call, |row, value, pattern| {
        let regex = known.extracting(pattern)?;
        let (Some(position), Some(occurrence)) = (positions.get(row), occurrences.get(row)) else {
            return Ok(None);
        };
        let nth = nth(occurrence, "REGEXP_EXTRACT")?;
        let Some(from) = start(value, position, "REGEXP_EXTRACT")? else {
            return Ok(None);
        };
        let value = rest(value, from);
        let group = matches(regex, value).nth(nth).and_then(|found| found.group);
        Ok(group
            .and_then(|group| value.bytes().get(group))
            .map(<[u8]>::to_vec))
    })?;
    made(call, found)
}

fn extract_all(call: &Call) -> Result<ArrayRef> {
    let mut known = Known::default();
    let found = rows(call, |_, value, pattern| {
        let regex = known.extracting(pattern)?;
        let groups = matches(regex, value).map(|found| {
            let group = found.group.unwrap_or(0..0);
            value.bytes().get(group).unwrap_or_default().to_vec()
        });
        Ok(Some(groups.collect::<Vec<_>>()))
    })?;
    let of_bytes = matches!(Pieces::of(call, 0)?, Pieces::Bytes(_));
    Ok(lists_of(of_bytes, found))
}

fn instr(call: &Call) -> Result<ArrayRef> {
    let (positions, occurrences) = (Numbers::of(call, 2, 1)?, Numbers::of(call, 3, 1)?);
    let sides = Numbers::of(call, 4, 0)?;
    let mut known = Known::default();
    let found = rows(call, |row, value, pattern| {
        let regex = known.extracting(pattern)?;
        let (Some(position), Some(occurrence)) = (positions.get(row), occurrences.get(row)) else {
            return Ok(None);
        };
        let Some(side) = sides.get(row) else {
            return Ok(None);
        };
        if side != 0 && side != 1 {
            return exec_err!("REGEXP_INSTR: occurrence_position must be 0 or 1, not {side}");
        }
        let nth = nth(occurrence, "REGEXP_INSTR")?;
        let Some(from) = start(value, position, "REGEXP_INSTR")? else {
            return Ok(Some(0));
        };
        if pattern.bytes().is_empty() {
            return Ok(Some(0));
        }
        let within = rest(value, from);
        let group = matches(regex, within)
            .nth(nth)
            .and_then(|found| found.group);
        let Some(group) = group else {
            return Ok(Some(0));
        };
        let at = from + if side == 0 { group.start } else { group.end };
        let before = match value {
            Piece::Text(text) => text.get(..at).map_or(at, |before| before.chars().count()),
            Piece::Bytes(_) => at,
        };
        Ok(i64::try_from(before + 1).ok())
    })?;
    Ok(Arc::new(Int64Array::from(found)))
}

fn replace(call: &Call) -> Result<ArrayRef> {
    let others = Pieces::of(call, 2)?;
    let mut known = Known::default();
    let replaced = rows(call, |row, value, pattern| {
        let Some(other) = others.get(row) else {
            return Ok(None);
        };
        let regex = known.of(pattern)?;
        let template = syntax::template(other.bytes(), regex.captures_len())?;
        let mut out = Vec::new();
        let mut at = 0;
        for captures in regex.captures_iter(value.bytes()) {
            let Some(whole) = captures.get(0) else {
                continue;
            };
            if matches!(value, Piece::Text(text) if !text.is_char_boundary(whole.start())) {
                continue;
            }
            out.extend_from_slice(value.bytes().get(at..whole.start()).unwrap_or_default());
            for part in &template {
                match part {
                    syntax::Part::Text(text) => out.extend_from_slice(text),
                    syntax::Part::Group(number) => {
                        let group = captures.get(*number).map(|g| g.as_bytes());
                        out.extend_from_slice(group.unwrap_or_default());
                    }
                }
            }
            at = whole.end();
        }
        out.extend_from_slice(value.bytes().get(at..).unwrap_or_default());
        Ok(Some(out))
    })?;
    made(call, replaced)
}
