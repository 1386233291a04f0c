//! `json_value(json, path)`: a scalar out of JSON text, as BigQuery's JSON_VALUE has it.
//!
//! Owns the function and the part of JSONPath that it reads. Must not know where the text comes from.

use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, StringBuilder};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::ScalarValue;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// The path when none is given: the whole text.
const WHOLE: &str = "$";

/// The function, to be registered.
pub(super) fn json_value() -> ScalarUDF {
    ScalarUDF::new_from_impl(JsonValue {
        signature: Signature::user_defined(Volatility::Immutable),
    })
}

/// The scalar that a path leads to, as text: a string without its quotes, a number or boolean as JSON writes it. Null where
/// the path leads nowhere, to an object, an array or a JSON null, and where the text is no JSON. Of two members of one name
/// the first counts.
#[derive(Debug, PartialEq, Eq, Hash)]
struct JsonValue {
    signature: Signature,
}

impl ScalarUDFImpl for JsonValue {
    fn name(&self) -> &str {
        "json_value"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        let text = |data_type: &DataType| match data_type {
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null => true,
            DataType::Dictionary(_, values) => values.is_string(),
            _ => false,
        };
        if !matches!(given.len(), 1 | 2) {
            return Err(refused(format!(
                "takes JSON text and a path, not {} arguments",
                given.len()
            )));
        }
        if let Some(other) = given.iter().find(|data_type| !text(data_type)) {
            return Err(refused(format!(
                "takes JSON text and a path, not a value of type {other}"
            )));
        }
        // A path of NULL stays what it is: it gives NULL.
        let is_null_path = |index: usize| index == 1 && given.get(index) == Some(&DataType::Null);
        Ok((0..given.len())
            .map(|index| match is_null_path(index) {
                true => DataType::Null,
                false => DataType::Utf8,
            })
            .collect())
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn return_field_from_args(&self, arguments: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        // A path that is wrong is wrong before a row is read.
        match arguments.scalar_arguments.get(1) {
            Some(None) => return Err(unwritten()),
            Some(Some(path)) => {
                path.try_as_str().flatten().map(Path::read).transpose()?;
            }
            None => {}
        }
        Ok(Arc::new(Field::new(self.name(), DataType::Utf8, true)))
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = arguments.number_rows;
        let mut values = arguments.args.into_iter();
        let (text, path) = (values.next(), values.next());
        let path = match path {
            None => Some(WHOLE.to_owned()),
            Some(ColumnarValue::Scalar(path)) => path.try_as_str().flatten().map(str::to_owned),
            Some(ColumnarValue::Array(_)) => {
                return Err(unwritten());
            }
        };
        let path = path.map(|path| Path::read(&path)).transpose()?;
        match text {
            Some(ColumnarValue::Scalar(text)) => {
                let text = text.try_as_str().flatten();
                let found = text.zip(path).and_then(|(text, path)| path.find(text));
                Ok(ColumnarValue::Scalar(ScalarValue::Utf8(found)))
            }
            Some(ColumnarValue::Array(text)) => Ok(ColumnarValue::Array(all(&text, path)?)),
            None => Ok(ColumnarValue::Array(all_null(rows))),
        }
    }
}

fn refused(why: String) -> DataFusionError {
    DataFusionError::Plan(format!("json_value {why}"))
}

fn unwritten() -> DataFusionError {
    refused("needs a path that is written out".to_owned())
}

fn all_null(rows: usize) -> ArrayRef {
    arrow::array::new_null_array(&DataType::Utf8, rows)
}

fn all(text: &ArrayRef, path: Option<Path>) -> Result<ArrayRef> {
    let Some(path) = path else {
        return Ok(all_null(text.len()));
    };
    let text = cast(text, &DataType::Utf8)?;
    let text = arrow::array::AsArray::as_string::<i32>(text.as_ref());
    let mut found = StringBuilder::with_capacity(text.len(), text.len() * 8);
    for json in text {
        found.append_option(json.and_then(|json| path.find(json)));
    }
    Ok(Arc::new(found.finish()))
}

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Member(String),
    Element(usize),
}

/// `$`, then `.name`, `."name with any character"` and `[n]`, counted from 0.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Path(Vec<Step>);

impl Path {
    fn read(written: &str) -> Result<Self> {
        let wrong = || {
            refused(format!(
                "cannot read the path '{written}': write it like $.name[0].\"any name\""
            ))
        };
        let mut rest = written.strip_prefix('$').ok_or_else(wrong)?;
        let mut steps = Vec::new();
        while let Some(mark) = rest.chars().next() {
            let after = rest.get(1..).ok_or_else(wrong)?;
            let step = match (mark, after.strip_prefix('"')) {
                ('.', Some(quoted)) => {
                    let (name, after) = quoted_name(quoted).ok_or_else(wrong)?;
                    rest = after;
                    Step::Member(name)
                }
                ('.', None) => {
                    let end = after.find(['.', '[']).unwrap_or(after.len());
                    let (name, after) = after.split_at(end);
                    let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '$');
                    if name.is_empty() || !name.chars().all(plain) {
                        return Err(wrong());
                    }
                    rest = after;
                    Step::Member(name.to_owned())
                }
                ('[', _) => {
                    let (index, after) = after.split_once(']').ok_or_else(wrong)?;
                    rest = after;
                    Step::Element(index.trim().parse().map_err(|_| wrong())?)
                }
                _ => return Err(wrong()),
            };
            steps.push(step);
        }
        Ok(Self(steps))
    }

    fn find(&self, json: &str) -> Option<String> {
        let mut text = serde_json::Deserializer::from_str(json);
        let found = Seek(&self.0).deserialize(&mut text).ok()?;
        text.end().ok()?;
        found
    }
}

/// The name before the closing quote, and what follows it.
fn quoted_name(quoted: &str) -> Option<(String, &str)> {
    let mut name = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((name, quoted.get(at + 1..)?)),
            '\\' => name.push(chars.next()?.1),
            c => name.push(c),
        }
    }
    None
}

/// Looks for the rest of a path in the value that comes, and reads all of it.
struct Seek<'p>(&'p [Step]);

impl<'de> DeserializeSeed<'de> for Seek<'_> {
    type Value = Option<String>;

    fn deserialize<D: Deserializer<'de>>(
        self,
        value: D,
    ) -> std::result::Result<Self::Value, D::Error> {
        value.deserialize_any(self)
    }
}

impl Seek<'_> {
    /// `text` when the path ends here.
    fn here(&self, text: impl FnOnce() -> String) -> Option<String> {
        self.0.is_empty().then(text)
    }
}

impl<'de> Visitor<'de> for Seek<'_> {
    type Value = Option<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> std::result::Result<Self::Value, E> {
        Ok(self.here(|| value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> std::result::Result<Self::Value, E> {
        Ok(self.here(|| value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> std::result::Result<Self::Value, E> {
        Ok(self.here(|| value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> std::result::Result<Self::Value, E> {
        Ok(self.here(|| serde_json::Value::from(value).to_string()))
    }

    fn visit_str<E>(self, value: &str) -> std::result::Result<Self::Value, E> {
        Ok(self.here(|| value.to_owned()))
    }

    fn visit_unit<E>(self) -> std::result::Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_seq<A: SeqAccess<'de>>(
        self,
        mut items: A,
    ) -> std::result::Result<Self::Value, A::Error> {
        let mut found = None;
        if let Some((Step::Element(wanted), rest)) = self.0.split_first() {
            for _ in 0..*wanted {
                if items.next_element::<IgnoredAny>()?.is_none() {
                    return Ok(None);
                }
            }
            found = items.next_element_seed(Seek(rest))?.flatten();
        }
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(found)
    }

    fn visit_map<A: MapAccess<'de>>(
        self,
        mut members: A,
    ) -> std::result::Result<Self::Value, A::Error> {
        let mut found = None;
        let mut wanted = match self.0.split_first() {
            Some((Step::Member(name), rest)) => Some((name, rest)),
            _ => None,
        };
        while let Some(name) = members.next_key::<String>()? {
            match wanted {
                Some((member, rest)) if *member == name => {
                    wanted = None;
                    found = members.next_value_seed(Seek(rest))?;
                }
                _ => {
                    members.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests;
