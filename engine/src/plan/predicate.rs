//! Planned SQL conditions as the neutral predicates offered to sources.

use datafusion::arrow::datatypes::{DataType, Schema, TimeUnit};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator};

use crate::source::{Comparison, Literal, Predicate};

/// `expr` as a predicate, or `None` when some part has no exact counterpart.
pub(super) fn to_predicate(expr: &Expr, schema: &Schema) -> Option<Predicate> {
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => match op {
            Operator::And => Some(Predicate::And(
                Box::new(to_predicate(left, schema)?),
                Box::new(to_predicate(right, schema)?),
            )),
            Operator::Or => Some(Predicate::Or(
                Box::new(to_predicate(left, schema)?),
                Box::new(to_predicate(right, schema)?),
            )),
            _ => compare(left, *op, right, schema),
        },
        Expr::Not(inner) => Some(Predicate::Not(Box::new(to_predicate(inner, schema)?))),
        Expr::IsNull(inner) => Some(Predicate::IsNull(column(inner, schema)?.0)),
        Expr::IsNotNull(inner) => Some(Predicate::IsNotNull(column(inner, schema)?.0)),
        Expr::InList(list) => {
            let (name, data_type) = column(&list.expr, schema)?;
            let literals = list
                .list
                .iter()
                .map(|item| literal(item, &data_type))
                .collect::<Option<Vec<_>>>()?;
            (!literals.is_empty()).then_some(Predicate::In {
                column: name,
                literals,
                negated: list.negated,
            })
        }
        Expr::Between(between) => {
            let (name, data_type) = column(&between.expr, schema)?;
            let bound = |e: &Expr, comparison| {
                Some(Box::new(Predicate::Compare {
                    column: name.clone(),
                    comparison,
                    literal: literal(e, &data_type)?,
                }))
            };
            let inside = Predicate::And(
                bound(&between.low, Comparison::GreaterOrEqual)?,
                bound(&between.high, Comparison::LessOrEqual)?,
            );
            Some(if between.negated {
                Predicate::Not(Box::new(inside))
            } else {
                inside
            })
        }
        Expr::Column(_) => {
            // A bare boolean column.
            let (name, data_type) = column(expr, schema)?;
            (data_type == DataType::Boolean).then_some(Predicate::Compare {
                column: name,
                comparison: Comparison::Equal,
                literal: Literal::Bool(true),
            })
        }
        _ => None,
    }
}

fn compare(left: &Expr, op: Operator, right: &Expr, schema: &Schema) -> Option<Predicate> {
    let comparison = match op {
        Operator::Eq => Comparison::Equal,
        Operator::NotEq => Comparison::NotEqual,
        Operator::Lt => Comparison::Less,
        Operator::LtEq => Comparison::LessOrEqual,
        Operator::Gt => Comparison::Greater,
        Operator::GtEq => Comparison::GreaterOrEqual,
        _ => return None,
    };
    if let Some((name, data_type)) = column(left, schema) {
        return Some(Predicate::Compare {
            column: name,
            comparison,
            literal: literal(right, &data_type)?,
        });
    }
    let (name, data_type) = column(right, schema)?;
    let mirrored = match comparison {
        Comparison::Less => Comparison::Greater,
        Comparison::LessOrEqual => Comparison::GreaterOrEqual,
        Comparison::Greater => Comparison::Less,
        Comparison::GreaterOrEqual => Comparison::LessOrEqual,
        same => same,
    };
    Some(Predicate::Compare {
        column: name,
        comparison: mirrored,
        literal: literal(left, &data_type)?,
    })
}

fn column(expr: &Expr, schema: &Schema) -> Option<(String, DataType)> {
    let Expr::Column(column) = expr else {
        return None;
    };
    let field = schema.field_with_name(&column.name).ok()?;
    Some((column.name.clone(), field.data_type().clone()))
}

/// The literal when its type is exactly the column's: a cast on either side could change the meaning.
fn literal(expr: &Expr, column_type: &DataType) -> Option<Literal> {
    let Expr::Literal(value, _) = expr else {
        return None;
    };
    match (value, column_type) {
        (ScalarValue::Boolean(Some(v)), DataType::Boolean) => Some(Literal::Bool(*v)),
        (ScalarValue::Int64(Some(v)), DataType::Int64) => Some(Literal::Int(*v)),
        (
            ScalarValue::Utf8(Some(v))
            | ScalarValue::LargeUtf8(Some(v))
            | ScalarValue::Utf8View(Some(v)),
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View,
        ) => Some(Literal::Text(v.clone())),
        (ScalarValue::Date32(Some(v)), DataType::Date32) => Some(Literal::Date(*v)),
        (
            ScalarValue::TimestampMicrosecond(Some(v), literal_zone),
            DataType::Timestamp(TimeUnit::Microsecond, column_zone),
        ) => timestamp(*v, literal_zone.is_some(), column_zone.is_some()),
        (
            ScalarValue::TimestampNanosecond(Some(v), literal_zone),
            DataType::Timestamp(TimeUnit::Microsecond, column_zone),
        ) if v % 1000 == 0 => timestamp(v / 1000, literal_zone.is_some(), column_zone.is_some()),
        _ => None,
    }
}

fn timestamp(micros: i64, literal_has_zone: bool, column_has_zone: bool) -> Option<Literal> {
    match (literal_has_zone, column_has_zone) {
        (true, true) => Some(Literal::Timestamp(micros)),
        (false, false) => Some(Literal::DateTime(micros)),
        _ => None,
    }
}
