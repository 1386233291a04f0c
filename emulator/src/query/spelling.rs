//! Expressions in DataFusion's spelling; the calls of functions among them are looked up by [`super::calls`].
//!
//! What has no counterpart is refused by name.

use datafusion::sql::sqlparser::ast::{self, CastKind, Expr, Interval};

use super::sql_types::{self, plain, unnamed};
use super::{QueryError, build, calls, gathered, unsupported};

/// What an expression is to be replaced with; its parts have been through here before.
///
/// # Errors
/// [`QueryError::Unsupported`] naming what has no counterpart.
pub(super) fn expression(expr: &mut Expr) -> Result<Option<Expr>, QueryError> {
    Ok(match expr {
        Expr::Function(function) => return calls::spell(function),
        Expr::Cast {
            kind,
            expr,
            data_type,
            format,
            ..
        } => {
            let to = sql_types::column("value", data_type)?;
            let value = match format {
                None => *expr.clone(),
                Some(ast::CastFormat::Value(format))
                    if to.kind == "BYTES"
                        && format
                            .to_string()
                            .trim_matches('\'')
                            .eq_ignore_ascii_case("hex") =>
                {
                    return Ok(Some(build::call("millpond_from_hex", vec![*expr.clone()])));
                }
                Some(_) => return Err(unsupported("CAST with FORMAT")),
            };
            Some(match kind {
                CastKind::SafeCast | CastKind::TryCast => build::safe_cast(value, &to),
                _ => build::cast(value, &to),
            })
        }
        Expr::TypedString(typed) => {
            let to = sql_types::column("value", &typed.data_type)?;
            Some(build::cast(Expr::Value(typed.value.clone()), &to))
        }
        Expr::Interval(interval) => interval_literal(interval)?,
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
                _ => build::call("millpond_extract", vec![*expr.clone(), build::text(&part)]),
            })
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
            let has = build::call("array_has", vec![*array_expr.clone(), *expr.clone()]);
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

/// `INTERVAL '1-2 3 4:5:6' YEAR TO SECOND`; intervals of one part are left to whoever adds them.
fn interval_literal(interval: &Interval) -> Result<Option<Expr>, QueryError> {
    match (&interval.leading_field, &interval.last_field) {
        (Some(ast::DateTimeField::Year), Some(ast::DateTimeField::Second)) => Ok(Some(
            build::cast(*interval.value.clone(), &plain("value", "INTERVAL")),
        )),
        (_, Some(_)) => Err(unsupported(format!("{interval}"))),
        _ => Ok(None),
    }
}
