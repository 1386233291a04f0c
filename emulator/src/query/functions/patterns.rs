//! Parts of texts: by regular expressions, from either end, padded to a length; and bytes as Base64.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, ListBuilder, StringArray, StringBuilder,
};
use arrow::compute::regexp_match;
use arrow::datatypes::DataType;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::ScalarUDF;

use super::{Call, Function, external, nullable, text};

pub(super) fn functions() -> Vec<ScalarUDF> {
    vec![
        Function::made("millpond_regexp_extract", &[2], text, extract),
        Function::made(
            "millpond_regexp_extract_all",
            &[2],
            |_| nullable(DataType::new_list(DataType::Utf8, true)),
            extract_all,
        ),
        Function::made("millpond_left", &[2], text, |call| ends(call, End::Left)),
        Function::made("millpond_right", &[2], text, |call| ends(call, End::Right)),
        Function::made("millpond_lpad", &[2, 3], text, |call| pad(call, End::Left)),
        Function::made("millpond_rpad", &[2, 3], text, |call| pad(call, End::Right)),
        Function::made("millpond_to_base64", &[1], text, |call| {
            let Some(values) = call.array(0)?.as_binary_opt::<i32>() else {
                return exec_err!(
                    "TO_BASE64 expects BYTES, not {}",
                    call.array(0)?.data_type()
                );
            };
            let texts = values.iter().map(|v| v.map(|v| STANDARD.encode(v)));
            Ok(Arc::new(texts.collect::<StringArray>()))
        }),
        Function::made(
            "millpond_from_base64",
            &[1],
            |_| nullable(DataType::Binary),
            |call| {
                let decode = |text: &str| {
                    STANDARD.decode(text).map_err(|_| {
                        external(format!("Failed to decode invalid base64 string: {text}"))
                    })
                };
                let bytes = super::each(&call.texts(0)?, decode)?;
                Ok(Arc::new(BinaryArray::from_iter(bytes)))
            },
        ),
    ]
}

/// What the first match's group is, or the match where the pattern has no group.
fn matched(texts: &StringArray, patterns: &StringArray) -> Result<Vec<Option<String>>> {
    let found = regexp_match(texts, patterns, None)?;
    let lists = found.as_list::<i32>();
    (0..lists.len())
        .map(|row| {
            if lists.is_null(row) {
                return Ok(None);
            }
            let groups = lists.value(row);
            if groups.len() > 1 {
                return exec_err!(
                    "Regular expressions passed into extraction functions must not have more than 1 capturing group"
                );
            }
            let groups = groups.as_string::<i32>();
            Ok(groups.iter().next().flatten().map(str::to_owned))
        })
        .collect()
}

fn extract(call: &Call) -> Result<ArrayRef> {
    let found = matched(&call.texts(0)?, &call.texts(1)?)?;
    Ok(Arc::new(StringArray::from(found)))
}

/// All matches, each looked for behind the one before.
fn extract_all(call: &Call) -> Result<ArrayRef> {
    let (texts, patterns) = (call.texts(0)?, call.texts(1)?);
    let mut lists = ListBuilder::new(StringBuilder::new());
    for (text, pattern) in texts.iter().zip(&patterns) {
        let (Some(text), Some(pattern)) = (text, pattern) else {
            lists.append_null();
            continue;
        };
        if pattern.contains(['^', '$']) || pattern.contains("\\b") || pattern.contains("\\B") {
            return exec_err!(
                "anchors in the pattern of REGEXP_EXTRACT_ALL are not supported by this emulator"
            );
        }
        let mut rest = text;
        // The whole match behind a lazy beginning says how far to go on.
        while !rest.is_empty() {
            let one = StringArray::from(vec![rest]);
            let Some(value) = matched(&one, &StringArray::from(vec![pattern]))?
                .pop()
                .flatten()
            else {
                break;
            };
            let whole = format!("(?s)\\A.*?(?:{})", without_groups(pattern));
            let up_to = matched(&one, &StringArray::from(vec![whole]))?
                .pop()
                .flatten();
            let end = up_to.map_or(rest.len(), |whole| whole.len());
            lists.values().append_value(value);
            if end == 0 {
                break;
            }
            rest = rest.get(end..).unwrap_or_default();
        }
        lists.append(true);
    }
    Ok(Arc::new(lists.finish()))
}

/// A pattern whose groups capture nothing.
fn without_groups(pattern: &str) -> String {
    let mut out = String::new();
    let mut characters = pattern.chars().peekable();
    let mut in_class = false;
    while let Some(c) = characters.next() {
        out.push(c);
        match c {
            '\\' => out.extend(characters.next()),
            '[' => in_class = true,
            ']' => in_class = false,
            '(' if !in_class && characters.peek() != Some(&'?') => out.push_str("?:"),
            _ => {}
        }
    }
    out
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Left,
    Right,
}

fn length(value: i64, name: &str) -> Result<usize> {
    usize::try_from(value).or_else(|_| exec_err!("Second argument in {name}() cannot be negative"))
}

fn ends(call: &Call, end: End) -> Result<ArrayRef> {
    let (texts, lengths) = (call.texts(0)?, call.integers(1)?);
    let cut = texts.iter().zip(&lengths).map(|pair| {
        let (Some(text), Some(wanted)) = pair else {
            return Ok(None);
        };
        let name = if end == End::Left { "LEFT" } else { "RIGHT" };
        let wanted = length(wanted, name)?;
        let count = text.chars().count();
        Ok(Some(match end {
            End::Left => text.chars().take(wanted).collect::<String>(),
            End::Right => text.chars().skip(count.saturating_sub(wanted)).collect(),
        }))
    });
    Ok(Arc::new(cut.collect::<Result<StringArray>>()?))
}

fn pad(call: &Call, end: End) -> Result<ArrayRef> {
    let (texts, lengths) = (call.texts(0)?, call.integers(1)?);
    let fills = match call.arrays.len() {
        3 => call.texts(2)?,
        _ => std::iter::repeat_n(Some(" "), call.rows).collect(),
    };
    let padded = texts.iter().zip(&lengths).zip(&fills).map(|triple| {
        let ((Some(text), Some(wanted)), Some(fill)) = triple else {
            return Ok(None);
        };
        let name = if end == End::Left { "LPAD" } else { "RPAD" };
        let wanted = length(wanted, name)?;
        let missing = wanted.saturating_sub(text.chars().count());
        if missing > 0 && fill.is_empty() {
            return exec_err!("Third argument in {name}() cannot be empty");
        }
        if missing > 16 << 20 {
            return exec_err!("{name}() of {wanted} characters is too long");
        }
        let fill = fill.chars().cycle().take(missing);
        Ok(Some(match end {
            End::Left => fill.chain(text.chars()).take(wanted).collect::<String>(),
            End::Right => text.chars().chain(fill).take(wanted).collect(),
        }))
    });
    Ok(Arc::new(padded.collect::<Result<StringArray>>()?))
}
