//! `row_restriction`: a WHERE clause in BigQuery's SQL, planned and run by DataFusion.
//!
//! Owns the translation of the few spellings DataFusion does not know. Must not know about sessions or files.

use std::convert::Infallible;
use std::ops::ControlFlow;
use std::sync::{Arc, LazyLock};

use arrow::array::{AsArray, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{DataType, Fields, Schema};
use datafusion::common::config::Dialect;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, DataFusionError, plan_err};
use datafusion::execution::SessionState;
use datafusion::execution::context::SessionContext;
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use datafusion::physical_plan::PhysicalExpr;
use datafusion::prelude::SessionConfig;
use datafusion::sql::sqlparser::ast::{
    self, DataType as SqlType, ExactNumberInfo, FunctionArg, FunctionArgExpr, FunctionArguments,
    Ident, ObjectNamePart, Value, VisitorMut,
};
use datafusion::sql::sqlparser::parser::ParserError;
use datafusion::sql::sqlparser::tokenizer::Token;

use crate::jobs::USER;
use crate::name::TableName;
use crate::query::{rewrite::build, text::escapes};
use crate::syntax_walk;
use crate::{picoseconds, projection};

/// Longest accepted filter text, in bytes.
const MAX_BYTES: usize = 1 << 20;

/// Why a filter was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RowRestrictionError {
    /// The text is longer than the service accepts.
    #[error(
        "read_session.read_options.row_restriction exceeded maximum allowed length. Maximum bytes allowed: {MAX_BYTES}"
    )]
    TooLong,
    /// What a row access policy says cannot be evaluated here.
    #[error(
        "request failed: row filter '({filter})' is too complex to be processed in filtering; consider executing a query instead"
    )]
    TooComplex {
        /// The policies' filter.
        filter: String,
        /// What the planner said, when it was the planner.
        source: Option<Box<DataFusionError>>,
    },
    /// The text is no boolean expression over the table's columns.
    #[error("request failed: Row filter for table {table} is invalid. Filter is '({filter})'")]
    Invalid {
        /// The table.
        table: TableName,
        /// The filter's text.
        filter: String,
        /// What the planner said, when it was the planner.
        source: Option<Box<DataFusionError>>,
    },
}

/// What filters are planned with: a registry of functions costs too much to be made for each. It belongs to the process and not to a
/// server also because the compiler would prove anew, for every method of every service that reaches it, that plans can be sent.
static CONTEXT: LazyLock<SessionContext> = LazyLock::new(|| {
    let mut config = SessionConfig::new();
    config.options_mut().sql_parser.dialect = Dialect::BigQuery;
    // View types would only be converted back: everything sent is plain text.
    config.options_mut().sql_parser.map_string_types_to_utf8view = false;
    SessionContext::new_with_config(config)
});

/// A planned filter.
#[derive(Debug, Clone)]
pub(crate) struct RowFilter {
    /// The table's top-level columns it reads, ascending.
    pub columns: Vec<usize>,
    /// Its expression over exactly those columns, in that order.
    expression: Arc<dyn PhysicalExpr>,
}

impl RowFilter {
    /// Plans `filter` over the wire schema of `table`. Blank text is no filter.
    ///
    /// # Errors
    /// [`RowRestrictionError`] when the text is too long, does not parse, names unknown columns, is not boolean, or holds
    /// an aggregate, a window or a subquery.
    pub fn plan(
        table: &TableName,
        schema: &Schema,
        filter: &str,
    ) -> Result<Option<Self>, RowRestrictionError> {
        if filter.len() > MAX_BYTES {
            return Err(RowRestrictionError::TooLong);
        }
        if filter.trim().is_empty() {
            return Ok(None);
        }
        let invalid = |source| RowRestrictionError::Invalid {
            table: table.clone(),
            filter: filter.to_owned(),
            source,
        };
        let planned = Self::try_plan(schema, filter).map_err(|e| invalid(Some(Box::new(e))))?;
        planned.map(Some).ok_or_else(|| invalid(None))
    }

    /// Plans what row access policies let be seen, of which `asked` chooses.
    ///
    /// # Errors
    /// [`RowRestrictionError::TooComplex`] when policies hold more than a row filter can.
    pub fn visible(
        table: &TableName,
        schema: &Schema,
        policies: &str,
        asked: &str,
    ) -> Result<Self, RowRestrictionError> {
        let both = match asked.trim() {
            "" => policies.to_owned(),
            _ => format!("({policies}) AND ({asked}\n)"),
        };
        let complex = |source| RowRestrictionError::TooComplex {
            filter: policies.to_owned(),
            source,
        };
        match Self::plan(table, schema, &both) {
            Ok(Some(filter)) => Ok(filter),
            Err(RowRestrictionError::Invalid { source, .. }) => Err(complex(source)),
            Err(e) => Err(e),
            Ok(None) => Err(complex(None)),
        }
    }

    /// `None` when the expression is planned but is not a row filter.
    fn try_plan(schema: &Schema, filter: &str) -> Result<Option<Self>, DataFusionError> {
        let state = CONTEXT.state();
        let mut parser =
            escapes::parser(filter).map_err(|e| DataFusionError::Plan(e.to_string()))?;
        let broken = |e: ParserError| DataFusionError::Plan(e.to_string());
        let mut parsed = parser.parse_expr_with_alias().map_err(broken)?;
        parser.expect_token(&Token::EOF).map_err(broken)?;
        if parsed.alias.is_some() {
            return Ok(None);
        }
        translate(&mut parsed.expr, schema.fields());
        let whole = DFSchema::try_from(schema.clone())?;
        let logical = state.create_logical_expr_from_sql_expr(parsed, &whole)?;
        if !is_row_expression(&logical)? {
            return Ok(None);
        }
        let logical = simplify(&state, logical, &whole)?;
        let mut columns = logical
            .column_refs()
            .into_iter()
            .map(|c| schema.index_of(&c.name))
            .collect::<Result<Vec<usize>, _>>()?;
        columns.sort_unstable();
        let picoseconds = |index: &usize| picoseconds::is_here(schema.field(*index));
        if columns.iter().any(picoseconds) {
            // Comparing their texts with other forms of the same time would be wrong.
            return plan_err!(
                "columns of TIMESTAMP(12) in filters are not supported by this emulator"
            );
        }
        let read = DFSchema::try_from(schema.project(&columns)?)?;
        let expression = state.create_physical_expr(logical, &read)?;
        if expression.data_type(read.as_arrow())? != DataType::Boolean {
            return Ok(None);
        }
        Ok(Some(Self {
            columns,
            expression,
        }))
    }

    /// Which rows of `batch` pass; null counts as not passing. `batch` holds exactly [`RowFilter::columns`].
    ///
    /// # Errors
    /// What DataFusion reports while evaluating, such as a division by zero.
    pub fn evaluate(&self, batch: &RecordBatch) -> Result<BooleanArray, DataFusionError> {
        let value = self
            .expression
            .evaluate(batch)?
            .into_array(batch.num_rows())?;
        value.as_boolean_opt().cloned().ok_or_else(|| {
            DataFusionError::Internal("row filter did not evaluate to booleans".to_owned())
        })
    }

    /// Keeps the rows of `batch` that `mask` lets pass.
    pub fn apply(batch: &RecordBatch, mask: &BooleanArray) -> Result<RecordBatch, DataFusionError> {
        Ok(filter_record_batch(batch, mask)?)
    }
}

/// Coerces types and folds constants, so that a literal is converted once and not for every batch.
fn simplify(state: &SessionState, expr: Expr, schema: &DFSchema) -> Result<Expr, DataFusionError> {
    let context = SimplifyContext::builder()
        .with_schema(Arc::new(schema.clone()))
        .with_config_options(Arc::clone(state.config_options()))
        .with_query_execution_start_time(state.execution_props().query_execution_start_time)
        .build();
    let simplifier = ExprSimplifier::new(context);
    simplifier.simplify(simplifier.coerce(expr, schema)?)
}

/// No aggregates, windows, subqueries or placeholders anywhere.
fn is_row_expression(expr: &Expr) -> Result<bool, DataFusionError> {
    let mut fine = true;
    expr.apply(|e| {
        fine &= !matches!(
            e,
            Expr::AggregateFunction(_)
                | Expr::WindowFunction(_)
                | Expr::ScalarSubquery(_)
                | Expr::InSubquery(_)
                | Expr::Exists(_)
                | Expr::Placeholder(_)
                | Expr::OuterReferenceColumn(_, _)
        );
        Ok(if fine {
            TreeNodeRecursion::Continue
        } else {
            TreeNodeRecursion::Stop
        })
    })?;
    Ok(fine)
}

/// Turns BigQuery's spellings into DataFusion's: column names that ignore case, BigQuery's type names, and the one-argument
/// conversions DATE(x), DATETIME(x) and TIMESTAMP(x).
fn translate(expr: &mut ast::Expr, fields: &Fields) {
    struct Translating<'a>(&'a Fields);
    impl VisitorMut for Translating<'_> {
        type Break = Infallible;

        fn post_visit_expr(&mut self, expr: &mut ast::Expr) -> ControlFlow<Infallible> {
            match expr {
                ast::Expr::Identifier(ident) => resolve(std::slice::from_mut(ident), self.0),
                ast::Expr::CompoundIdentifier(path) => resolve(path, self.0),
                other => respell(other),
            }
            ControlFlow::Continue(())
        }
    }
    let Ok(()) = syntax_walk::visit_mut(expr, &mut Translating(fields));
}

/// Turns one expression's BigQuery spelling into DataFusion's; what is inside it stays as it is.
pub(crate) fn respell(e: &mut ast::Expr) {
    match e {
        ast::Expr::TypedString(typed) => {
            let value = ast::Expr::Value(typed.value.clone());
            *e = convert(value, &typed.data_type, &ast::CastKind::Cast);
        }
        ast::Expr::Cast {
            kind,
            expr,
            data_type,
            format: None,
            ..
        } => *e = convert(*expr.clone(), data_type, kind),
        ast::Expr::Function(function) => {
            if plain_name(function).as_deref() == Some("SESSION_USER") {
                *e = build::text(USER);
            } else if let Some((argument, to)) = conversion(function) {
                *e = convert(argument, &to, &ast::CastKind::Cast);
            } else if let Some((left, right)) = modulo(function) {
                *e = ast::Expr::Nested(Box::new(ast::Expr::BinaryOp {
                    left: Box::new(nested(left)),
                    op: ast::BinaryOperator::Modulo,
                    right: Box::new(nested(right)),
                }));
            }
        }
        _ => {}
    }
}

/// Replaces each name of a path by the column's own spelling, quoted so that the planner leaves it alone.
fn resolve(path: &mut [Ident], fields: &Fields) {
    let mut fields = fields.clone();
    for ident in path {
        let Some((_, field)) = projection::find(&fields, &ident.value) else {
            return;
        };
        ident.value.clone_from(field.name());
        ident.quote_style = Some('`');
        fields = match field.data_type() {
            DataType::Struct(children) => children.clone(),
            _ => Fields::empty(),
        };
    }
}

fn convert(value: ast::Expr, to: &SqlType, kind: &ast::CastKind) -> ast::Expr {
    let arrow = |name: &str| arrow_cast(value.clone(), name, kind);
    let data_type = match to {
        SqlType::Timestamp(_, _) => return arrow(r#"Timestamp(Microsecond, Some("UTC"))"#),
        SqlType::Datetime(_) => return arrow("Timestamp(Microsecond, None)"),
        SqlType::Time(_, _) => return arrow("Time64(Microsecond)"),
        SqlType::BigNumeric(_) => return arrow("Decimal256(76, 38)"),
        SqlType::Numeric(ExactNumberInfo::None) => {
            SqlType::Numeric(ExactNumberInfo::PrecisionAndScale(38, 9))
        }
        SqlType::Int64 | SqlType::Int(_) | SqlType::Integer(_) => SqlType::BigInt(None),
        SqlType::Float64 | SqlType::Float(_) => SqlType::DoublePrecision,
        SqlType::Bytes(_) => SqlType::Bytea,
        SqlType::String(_) => SqlType::Text,
        other => other.clone(),
    };
    ast::Expr::Cast {
        kind: kind.clone(),
        expr: Box::new(value),
        data_type,
        array: false,
        format: None,
    }
}

/// SQL's own TIMESTAMP is nanoseconds in DataFusion, which ends in the year 2262; Arrow's type is asked for by name instead.
fn arrow_cast(value: ast::Expr, data_type: &str, kind: &ast::CastKind) -> ast::Expr {
    let name = match kind {
        ast::CastKind::SafeCast | ast::CastKind::TryCast => "arrow_try_cast",
        _ => "arrow_cast",
    };
    let text = ast::Expr::Value(Value::SingleQuotedString(data_type.to_owned()).into());
    build::call(name, vec![value, text])
}

/// The argument and the type of a call such as `DATE(ts)`.
fn conversion(function: &ast::Function) -> Option<(ast::Expr, SqlType)> {
    let to = match plain_name(function)?.as_str() {
        "DATE" => SqlType::Date,
        "DATETIME" => SqlType::Datetime(None),
        "TIMESTAMP" => SqlType::Timestamp(None, ast::TimezoneInfo::None),
        _ => return None,
    };
    match arguments(function)?.as_slice() {
        [argument] => Some(((*argument).clone(), to)),
        _ => None,
    }
}

/// The arguments of `MOD(a, b)`, which DataFusion has as an operator only.
fn modulo(function: &ast::Function) -> Option<(ast::Expr, ast::Expr)> {
    match (
        plain_name(function)?.as_str(),
        arguments(function)?.as_slice(),
    ) {
        ("MOD", [left, right]) => Some(((*left).clone(), (*right).clone())),
        _ => None,
    }
}

fn nested(expr: ast::Expr) -> ast::Expr {
    ast::Expr::Nested(Box::new(expr))
}

/// An unqualified function name in upper case.
fn plain_name(function: &ast::Function) -> Option<String> {
    match function.name.0.as_slice() {
        [ObjectNamePart::Identifier(name)] => Some(name.value.to_ascii_uppercase()),
        _ => None,
    }
}

/// The arguments of a call that has nothing but plain ones.
pub(crate) fn arguments(function: &ast::Function) -> Option<Vec<&ast::Expr>> {
    let FunctionArguments::List(list) = &function.args else {
        return None;
    };
    list.args
        .iter()
        .map(|argument| match argument {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests;
