//! Long conditions, `a OR b OR c OR ...`, as trees that are wide instead of deep: whatever walks over them does so once for every level.
//!
//! AND and OR give the same however their operands are grouped.

use datafusion::sql::sqlparser::ast::{BinaryOperator, Expr, Value};

/// As many operands in a row are regrouped.
const MANY: usize = 16;

/// Regroups the operands of an AND or OR that has many of them.
pub(in crate::query) fn balance(expr: &mut Expr) {
    let Expr::BinaryOp { op, .. } = &*expr else {
        return;
    };
    if !matches!(op, BinaryOperator::And | BinaryOperator::Or) || operands(expr, op) < MANY {
        return;
    }
    let op = op.clone();
    let mut left = std::mem::replace(expr, Expr::Value(Value::Null.into()));
    let mut all = Vec::new();
    loop {
        match left {
            Expr::BinaryOp {
                left: next,
                op: own,
                right,
            } if own == op => {
                all.push(*right);
                left = *next;
            }
            first => {
                all.push(first);
                break;
            }
        }
    }
    all.reverse();
    *expr = grouped(all, &op);
}

fn operands(expr: &Expr, op: &BinaryOperator) -> usize {
    let (mut count, mut expr) = (1, expr);
    while let Expr::BinaryOp { left, op: own, .. } = expr {
        if own != op {
            break;
        }
        count += 1;
        expr = left;
    }
    count
}

/// One level after the other: pairs of neighbours become one operand.
fn grouped(mut all: Vec<Expr>, op: &BinaryOperator) -> Expr {
    while all.len() > 1 {
        let mut pairs = Vec::with_capacity(all.len().div_ceil(2));
        let mut rest = all.into_iter();
        while let Some(left) = rest.next() {
            pairs.push(match rest.next() {
                Some(right) => Expr::BinaryOp {
                    left: Box::new(left),
                    op: op.clone(),
                    right: Box::new(match right {
                        pair @ Expr::BinaryOp { .. } => Expr::Nested(Box::new(pair)),
                        other => other,
                    }),
                },
                None => left,
            });
        }
        all = pairs;
    }
    all.pop().unwrap_or(Expr::Value(Value::Null.into()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::query::text::escapes;

    fn balanced(sql: &str) -> Expr {
        let mut expr = escapes::parser(sql).unwrap().parse_expr().unwrap();
        balance(&mut expr);
        expr
    }

    fn depth(expr: &Expr) -> usize {
        match expr {
            Expr::BinaryOp { left, right, .. } => 1 + depth(left).max(depth(right)),
            Expr::Nested(inner) => depth(inner),
            _ => 0,
        }
    }

    #[test]
    fn many_operands_are_a_tree_in_the_same_order() {
        let all: Vec<String> = (0..1000).map(|i| format!("x{i}")).collect();
        let balanced = balanced(&all.join(" OR "));
        assert_eq!(depth(&balanced), 10);
        let text = balanced.to_string().replace(['(', ')'], "");
        assert_eq!(text, all.join(" OR "));
    }

    #[test]
    fn few_operands_and_other_operators_stay() {
        for sql in ["a AND b AND c", "a + b", "a", &["a AND b"; 8].join(" OR ")] {
            assert_eq!(balanced(sql).to_string(), sql);
        }
    }
}
