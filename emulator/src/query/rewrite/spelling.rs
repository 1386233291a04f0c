//! Expressions in DataFusion's spelling; the calls of functions among them are looked up by [`crate::query::rewrite::calls`].
//!
//! What has no counterpart is refused by name.

use datafusion::sql::sqlparser::ast::{self, CastKind, Expr, Interval};

use crate::lengths;
use crate::query::sql_types::{self, plain, unnamed};
use crate::query::{
    QueryError,
    rewrite::{build, calls, gathered, literal_times},
    text::literals,
    unsupported,
};
use crate::schema::FieldSchema;

/// What an expression is to be replaced with; its parts have been through here before.
///
/// # Errors
/// [`QueryError::Unsupported`] naming what has no counterpart.
pub(in crate::query) fn expression(expr: &mut Expr) -> Result<Option<Expr>, QueryError> {
    Ok(match expr {
        Expr::Function(function) => return calls::spell(function),
        Expr::Collate { .. } => return Err(unsupported("COLLATE")),
        Expr::Cast {
            kind,
            expr,
            data_type,
            format,
            ..
        } => {
            let to = sql_types::column("value", data_type)?;
            if let Some(format) = format {
                let safe = matches!(kind, CastKind::SafeCast | CastKind::TryCast);
                let call = with_format(expr, &to.kind, format)?;
                return match safe {
                    true => calls::safely(call, "SAFE_CAST with FORMAT").map(Some),
                    false => Ok(Some(call)),
                };
            }
            let value = match to.kind.as_str() {
                // What is a text is read by PARSE_JSON alone.
                "JSON" if to.mode != "REPEATED" => {
                    build::call("millpond_no_text", vec![*expr.clone()])
                }
                // All digits of a literal count, of which a float would hold some.
                "NUMERIC" | "BIGNUMERIC" => literal_float(expr).unwrap_or_else(|| *expr.clone()),
                _ => *expr.clone(),
            };
            let safe = matches!(kind, CastKind::SafeCast | CastKind::TryCast);
            let cast = match safe {
                true => build::safe_cast(value, &to),
                false => build::cast(value, &to),
            };
            if !lengths::is_bounded(&to) {
                return Ok(Some(cast));
            }
            let bounds = build::text(&sql_types::with_lengths(&to));
            let call = build::call("millpond_bounded", vec![cast, bounds]);
            Some(match safe {
                true => calls::safely(call, "SAFE_CAST to a type with a length")?,
                false => call,
            })
        }
        Expr::TypedString(typed) => {
            let to = sql_types::column("value", &typed.data_type)?;
            let mut text = typed.value.clone();
            if let Some(plain) = literals::plain(&text.value) {
                text.value = plain;
            }
            check_digits(&to, &text.value)?;
            let document = text.value.clone().into_string().unwrap_or_default();
            if to.kind == "JSON" && crate::json_text::wide_number(&document).is_some() {
                return Err(QueryError::Invalid {
                    message: format!("Invalid JSON literal: {document:?}"),
                });
            }
            Some(build::cast(Expr::Value(text), &to))
        }
        Expr::Interval(interval) => Some(interval_literal(interval)?),
        Expr::UnaryOp {
            op: ast::UnaryOperator::Minus,
            expr,
        } if !matches!(**expr, Expr::Value(_)) => {
            Some(build::call("millpond_negate", vec![*expr.clone()]))
        }
        Expr::Between {
            expr,
            negated,
            low,
            high,
        } => Some(between(expr, *negated, low, high)?),
        Expr::Struct { values, fields } => Some(record(values, fields)?),
        Expr::Tuple(values) => Some(record(values, &[])?),
        Expr::Extract { field, expr, .. } => {
            let part = field.to_string().to_ascii_uppercase();
            Some(match part.as_str() {
                "DATE" | "TIME" | "DATETIME" => build::cast(*expr.clone(), &plain("value", &part)),
                _ => build::call(
                    "millpond_extract",
                    vec![literal_times::as_kind(expr, "DATE"), build::text(&part)],
                ),
            })
        }
        Expr::Trim {
            expr,
            trim_where: None,
            trim_what: None,
            trim_characters,
        } => {
            let mut arguments = vec![*expr.clone()];
            arguments.extend(trim_characters.iter().flatten().cloned());
            Some(build::call("millpond_trim", arguments))
        }
        Expr::Substring {
            expr,
            substring_from,
            substring_for,
            ..
        } => {
            let mut arguments = vec![*expr.clone()];
            arguments.push(
                substring_from
                    .as_ref()
                    .map_or(build::number(1), |f| *f.clone()),
            );
            arguments.extend(substring_for.as_ref().map(|f| *f.clone()));
            Some(build::call("millpond_substr", arguments))
        }
        Expr::InUnnest {
            expr,
            array_expr,
            negated,
        } => {
            let has = build::call(
                "millpond_is_among",
                vec![*expr.clone(), *array_expr.clone()],
            );
            Some(if *negated {
                Expr::UnaryOp {
                    op: ast::UnaryOperator::Not,
                    expr: Box::new(has),
                }
            } else {
                has
            })
        }
        Expr::Subquery(query) => {
            gathered::one_value(query)?;
            None
        }
        Expr::AtTimeZone {
            timestamp,
            time_zone,
        } => {
            let arguments = vec![*timestamp.clone(), *time_zone.clone()];
            Some(build::call("millpond_in_zone", arguments))
        }
        Expr::UnaryOp {
            op: ast::UnaryOperator::BitwiseNot,
            expr,
        } => Some(build::call("millpond_bit_not", vec![*expr.clone()])),
        Expr::BinaryOp {
            left,
            op: ast::BinaryOperator::BitwiseXor,
            right,
        } => {
            let arguments = vec![*left.clone(), *right.clone()];
            Some(build::call("millpond_bit_xor", arguments))
        }
        _ => None,
    })
}

/// The text of a number that is written with a point or an exponent.
fn literal_float(value: &Expr) -> Option<Expr> {
    let (sign, value) = match value {
        Expr::UnaryOp {
            op: ast::UnaryOperator::Minus,
            expr,
        } => ("-", expr.as_ref()),
        value => ("", value),
    };
    let Expr::Value(value) = value else {
        return None;
    };
    let ast::Value::Number(digits, _) = &value.value else {
        return None;
    };
    let float = digits.contains(['.', 'e', 'E']);
    float.then(|| build::text(&format!("{sign}{digits}")))
}

/// Refuses literals of decimals with more digits behind the point than the type has, which CAST would round.
fn check_digits(to: &FieldSchema, value: &ast::Value) -> Result<(), QueryError> {
    let most = match to.kind.as_str() {
        "NUMERIC" => 9,
        "BIGNUMERIC" => 38,
        _ => return Ok(()),
    };
    let text = value.clone().into_string().unwrap_or_default();
    let fraction = text
        .split_once('.')
        .map_or("", |(_, fraction)| fraction.trim_end());
    let plain = fraction.bytes().all(|b| b.is_ascii_digit());
    if plain && fraction.trim_end_matches('0').len() > most {
        return Err(QueryError::Invalid {
            message: format!("Invalid {} literal: {text:?}", to.kind),
        });
    }
    Ok(())
}

/// `CAST(value AS kind FORMAT 'model')`.
fn with_format(value: &Expr, kind: &str, format: &ast::CastFormat) -> Result<Expr, QueryError> {
    let (model, zone) = match format {
        ast::CastFormat::Value(model) => (model, None),
        ast::CastFormat::ValueAtTimeZone(model, zone) => (model, Some(zone)),
    };
    let name = model.value.clone().into_string().unwrap_or_default();
    let of_bytes = match name.to_ascii_uppercase().as_str() {
        "HEX" => Some("hex"),
        "BASE64" | "BASE64M" => Some("base64"),
        "BASE32" => Some("base32"),
        "ASCII" | "UTF8" | "UTF-8" => Some(""),
        _ => None,
    };
    let value = value.clone();
    let ascii = name.eq_ignore_ascii_case("ASCII");
    Ok(match (kind, of_bytes) {
        ("BYTES" | "STRING", Some("")) => {
            let value = match ascii {
                true => build::call("millpond_only_ascii", vec![value]),
                false => value,
            };
            build::cast(value, &plain("value", kind))
        }
        ("BYTES", Some(coding)) => build::call(&format!("millpond_from_{coding}"), vec![value]),
        ("STRING", Some(coding)) => build::call(&format!("millpond_to_{coding}"), vec![value]),
        ("STRING" | "DATE" | "TIME" | "DATETIME" | "TIMESTAMP", None) => {
            let to = match kind {
                "STRING" => "written".to_owned(),
                kind => kind.to_lowercase(),
            };
            let mut arguments = vec![value, build::text(&name)];
            let zone = zone.and_then(|zone| zone.value.clone().into_string());
            arguments.extend(zone.map(|zone| build::text(&zone)));
            build::call(&format!("millpond_model_{to}"), arguments)
        }
        _ => return Err(unsupported(format!("CAST to {kind} with FORMAT"))),
    })
}

/// Two comparisons, which are planned by their types.
fn between(expr: &Expr, negated: bool, low: &Expr, high: &Expr) -> Result<Expr, QueryError> {
    let text = expr.to_string().to_ascii_lowercase();
    if ["random(", "uuid("].iter().any(|call| text.contains(call)) {
        return Err(unsupported("BETWEEN of a value that is another every time"));
    }
    let least = build::binary(
        build::nested(expr),
        ast::BinaryOperator::GtEq,
        build::nested(low),
    );
    let most = build::binary(
        build::nested(expr),
        ast::BinaryOperator::LtEq,
        build::nested(high),
    );
    let both = build::binary(least, ast::BinaryOperator::And, most);
    let both = Expr::Nested(Box::new(both));
    Ok(if negated {
        Expr::UnaryOp {
            op: ast::UnaryOperator::Not,
            expr: Box::new(both),
        }
    } else {
        both
    })
}

/// A struct of values, by the names they have or are given.
fn record(values: &[Expr], fields: &[ast::StructField]) -> Result<Expr, QueryError> {
    if !fields.is_empty() && fields.len() != values.len() {
        return Err(unsupported(
            "a struct whose type has another number of fields",
        ));
    }
    let mut arguments = Vec::with_capacity(2 * values.len());
    for (index, value) in values.iter().enumerate() {
        let field = fields.get(index);
        let (name, value) = match value {
            Expr::Named { expr, name } => (Some(name.value.clone()), *expr.clone()),
            Expr::Identifier(name) => (Some(name.value.clone()), value.clone()),
            Expr::CompoundIdentifier(path) => (path.last().map(|n| n.value.clone()), value.clone()),
            other => (None, other.clone()),
        };
        let value = match field {
            Some(field) => build::cast(value, &sql_types::column("value", &field.field_type)?),
            None => value,
        };
        let declared = field
            .and_then(|f| f.field_name.as_ref())
            .map(|n| n.value.clone());
        let name = declared.or(name).unwrap_or_else(|| unnamed(index));
        arguments.extend([build::text(&name), value]);
    }
    Ok(build::call("named_struct", arguments))
}

/// `INTERVAL 5 DAY`, `INTERVAL '1-2 3 4:5:6' YEAR TO SECOND`.
fn interval_literal(interval: &Interval) -> Result<Expr, QueryError> {
    let value = *interval.value.clone();
    Ok(match (&interval.leading_field, &interval.last_field) {
        (Some(first), Some(last)) => {
            let parts = build::text(&format!("{first} TO {last}"));
            build::call("millpond_interval_read", vec![value, parts])
        }
        (Some(part), None) => {
            let count = build::cast(value, &plain("value", "INTEGER"));
            let part = build::text(&part.to_string());
            build::call("millpond_interval_of", vec![count, part])
        }
        _ => return Err(unsupported(format!("{interval}"))),
    })
}
