//! Legacy SQL, as far as it means the same in standard SQL: one table in square brackets, columns, literals and counts.

use datafusion::sql::sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, GroupByExpr, Ident,
    ObjectName, SelectItem, SetExpr, Value, Visitor, VisitorMut,
};
use std::ops::ControlFlow;

use crate::query::relations::information::SUMMARY;
use crate::query::{QueryError, select as parsed, unsupported};
use crate::syntax_walk;

/// Functions that both dialects have, with one meaning.
const FUNCTIONS: &[&str] = &["count", "sum", "min", "max", "avg", "lower", "upper", "abs"];

/// A legacy query in standard SQL.
///
/// # Errors
/// [`QueryError::Unsupported`] for everything that legacy SQL reads in its own way.
pub(crate) fn to_standard(sql: &str) -> Result<String, QueryError> {
    let text = plain_groups(&backticks(sql)?);
    let mut query = match parsed(&text) {
        Err(QueryError::Unsupported { .. }) => {
            return Err(legacy("statements other than one SELECT"));
        }
        other => other?,
    };
    if query.with.is_some() {
        return Err(legacy("WITH"));
    }
    let SetExpr::Select(select) = query.body.as_ref() else {
        return Err(legacy("a set operation"));
    };
    let single = match select.from.as_slice() {
        [] => true,
        [table] => table.joins.is_empty(),
        _ => false,
    };
    let plain = |e: &Expr| matches!(e, Expr::Identifier(_));
    let groups = matches!(&select.group_by, GroupByExpr::Expressions(all, more) if more.is_empty() && all.iter().all(plain));
    if !single || !groups || select.distinct.is_some() || select.having.is_some() {
        return Err(legacy("joins, groups of expressions and DISTINCT"));
    }
    for item in &select.projection {
        if let SelectItem::UnnamedExpr(Expr::BinaryOp { .. }) = item {
            return Err(legacy("an expression without a name"));
        }
    }
    syntax_walk::visit(&query, &mut Simple)?;
    let mut moments = Moments { changed: false };
    syntax_walk::visit_mut(&mut query, &mut moments)?;
    Ok(if moments.changed {
        query.to_string()
    } else {
        text
    })
}

/// The only argument of a call, by a name in lower case.
fn called<'a>(function: &'a Function, name: &str) -> Option<&'a Expr> {
    let FunctionArguments::List(list) = &function.args else {
        return None;
    };
    match list.args.as_slice() {
        [FunctionArg::Unnamed(FunctionArgExpr::Expr(argument))]
            if function.name.to_string().eq_ignore_ascii_case(name) =>
        {
            Some(argument)
        }
        _ => None,
    }
}

/// Whether a call is `TIMESTAMP('...')`, which both dialects have.
fn is_timestamp(function: &Function) -> bool {
    let text = |value: &Value| {
        matches!(
            value,
            Value::SingleQuotedString(_) | Value::DoubleQuotedString(_)
        )
    };
    let argument = called(function, "timestamp");
    argument.is_some_and(|argument| matches!(argument, Expr::Value(value) if text(&value.value)))
}

/// How `DATE(TIMESTAMP('...'))` and `TIME(TIMESTAMP('...'))` are written, which are texts in legacy SQL.
fn moment(function: &Function) -> Option<&'static str> {
    let of_timestamp = |name: &str| match called(function, name) {
        Some(Expr::Function(inner)) => is_timestamp(inner),
        _ => false,
    };
    match () {
        () if of_timestamp("date") => Some("%F"),
        () if of_timestamp("time") => Some("%T"),
        () => None,
    }
}

/// Writes dates and times of day as the texts that they are.
struct Moments {
    changed: bool,
}

impl VisitorMut for Moments {
    type Break = QueryError;

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<QueryError> {
        if let Expr::Function(function) = expr
            && let Some(format) = moment(function)
            && let FunctionArguments::List(list) = &mut function.args
        {
            let format = Expr::Value(Value::SingleQuotedString(format.to_owned()).into());
            let format = FunctionArg::Unnamed(FunctionArgExpr::Expr(format));
            list.args.insert(0, format);
            function.name = ObjectName::from(vec![Ident::new("FORMAT_TIMESTAMP")]);
            self.changed = true;
        }
        ControlFlow::Continue(())
    }
}

/// `GROUP EACH BY` says how, not what.
fn plain_groups(sql: &str) -> String {
    let mut out = String::with_capacity(sql.len());
    let mut words = sql.split_inclusive(char::is_whitespace).peekable();
    let mut before = String::new();
    while let Some(word) = words.next() {
        let by = words
            .peek()
            .is_some_and(|w| w.trim_end().eq_ignore_ascii_case("by"));
        let each = word.trim_end().eq_ignore_ascii_case("each");
        if !(each && by && before.eq_ignore_ascii_case("group")) {
            out.push_str(word);
        }
        word.trim_end().clone_into(&mut before);
    }
    out
}

fn legacy(what: &str) -> QueryError {
    unsupported(format!("{what} in legacy SQL"))
}

/// Only expressions that mean the same in both dialects.
struct Simple;

impl Visitor for Simple {
    type Break = QueryError;

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<QueryError> {
        let fine = match expr {
            Expr::Function(function) => {
                let name = function.name.to_string().to_ascii_lowercase();
                let plain = match &function.args {
                    FunctionArguments::List(list) => list.duplicate_treatment.is_none(),
                    _ => false,
                };
                let known = FUNCTIONS.contains(&name.as_str());
                plain && (known || is_timestamp(function) || moment(function).is_some())
            }
            Expr::Cast {
                expr, data_type, ..
            } => {
                let to = data_type.to_string().to_uppercase();
                matches!(**expr, Expr::Value(_)) && matches!(to.as_str(), "BYTES" | "TIMESTAMP")
            }
            Expr::Identifier(_)
            | Expr::Value(_)
            | Expr::BinaryOp { .. }
            | Expr::UnaryOp { .. }
            | Expr::Nested(_)
            | Expr::IsNull(_)
            | Expr::IsNotNull(_) => true,
            _ => false,
        };
        if fine {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(legacy(&expr.to_string()))
        }
    }
}

/// `[project:dataset.table]` in backticks, outside of texts.
fn backticks(sql: &str) -> Result<String, QueryError> {
    let mut out = String::new();
    let mut quote = None;
    let mut characters = sql.chars();
    while let Some(c) = characters.next() {
        match (quote, c) {
            (None, '[') => {
                let name: String = characters.by_ref().take_while(|c| *c != ']').collect();
                let plain = name.strip_suffix(SUMMARY).unwrap_or(&name);
                if plain.contains(['`', '\'', '"', '[', '$', '@']) {
                    return Err(legacy(&format!("the table [{name}]")));
                }
                out.push('`');
                out.push_str(&name.replacen(':', ".", 1));
                out.push('`');
            }
            (None, '`') => {
                return Err(QueryError::Invalid {
                    message: "Invalid table name: names in backticks are standard SQL. To use it, set useLegacySql to false".to_owned(),
                });
            }
            (None, '\'' | '"') => {
                quote = Some(c);
                out.push(c);
            }
            (Some(q), c) if c == q => {
                quote = None;
                out.push(c);
            }
            (Some(_), '\\') => {
                out.push(c);
                out.extend(characters.next());
            }
            _ => out.push(c),
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_what_both_dialects_mean_alike_is_translated() {
        assert_eq!(
            to_standard("SELECT id, 'a[b]' AS x FROM [p:d.t] WHERE id > 1 LIMIT 3").unwrap(),
            "SELECT id, 'a[b]' AS x FROM `p.d.t` WHERE id > 1 LIMIT 3"
        );
        assert_eq!(
            to_standard("SELECT id FROM [p:d.t] GROUP EACH BY id ORDER BY id").unwrap(),
            "SELECT id FROM `p.d.t` GROUP BY id ORDER BY id"
        );
        assert_eq!(
            to_standard("SELECT * FROM [p:d.t$__PARTITIONS_SUMMARY__]").unwrap(),
            "SELECT * FROM `p.d.t$__PARTITIONS_SUMMARY__`"
        );
        assert_eq!(
            to_standard("SELECT TIMESTAMP('2016-03-20 15:04:05')").unwrap(),
            "SELECT TIMESTAMP('2016-03-20 15:04:05')"
        );
        assert_eq!(
            to_standard("SELECT DATE(TIMESTAMP('2016-03-20')), TIME(TIMESTAMP('2016-03-20')) AS t")
                .unwrap(),
            "SELECT FORMAT_TIMESTAMP('%F', TIMESTAMP('2016-03-20')), FORMAT_TIMESTAMP('%T', TIMESTAMP('2016-03-20')) AS t"
        );
        for refused in [
            "SELECT DATE('2016-03-20')",
            "SELECT TIMESTAMP(1458486245)",
            "SELECT TIME(a) FROM [d.t]",
            "SELECT a FROM [d.t$20200101]",
            "SELECT a FROM [d.t], [d.u]",
            "SELECT COUNT(DISTINCT a) FROM [d.t]",
            "SELECT a + 1 AS b FROM [d.t] GROUP BY a + 1",
            "SELECT INTEGER(a) FROM [d.t]",
            "SELECT a / 2 FROM [d.t]",
            "DELETE FROM [d.t]",
        ] {
            assert!(to_standard(refused).is_err(), "{refused}");
        }
    }
}
