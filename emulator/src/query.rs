//! SQL over the catalog, planned and run by DataFusion.
//!
//! What BigQuery and DataFusion spell alike and mean alike is run; a function, statement or conversion that is not known to
//! mean the same is refused by name, so that an answer is never merely close. Must not know about jobs or requests.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::DataFusionError;
use datafusion::common::config::Dialect;
use datafusion::execution::context::SessionContext;
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::SendableRecordBatchStream;
use datafusion::prelude::SessionConfig;
use datafusion::sql::sqlparser::ast::{ObjectName, Query, Statement as Parsed};
use datafusion::sql::sqlparser::parser::ParserError;
use futures::StreamExt;
use parquet::schema::types::{SchemaDescriptor, Type};

use crate::catalog::{Catalog, CatalogError};
use crate::name::{NameError, TableName, TablePrefix};
use crate::wire::{self, UnsupportedColumn};

mod aggregates;
mod functions;
mod planning;
mod relations;
pub(crate) mod rewrite;
pub(crate) mod script;
mod sketches;
pub(crate) mod sql_types;
pub(crate) mod statements;
pub(crate) mod text;

use planning::{
    byte_patterns, choices, fields, filters, float_lists, groupings, guards, in_order, lateral,
    meaning, operators, subqueries,
};

/// The statements that jobs take apart, in the parser's own words.
pub(crate) use datafusion::sql::sqlparser::ast;
pub(crate) use functions::assign;
pub(crate) use planning::stages::Stage;
use relations::Planner;
pub(crate) use relations::information::JobsBefore;
pub(crate) use rewrite::parameters::Parameter;
use script::variables::Variable;
pub(crate) use statements::{Statement, statements};
pub(crate) use text::legacy::to_standard;

/// Why a query was refused or failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum QueryError {
    #[error("Syntax error: {}", text::syntax_errors::said(.0))]
    Syntax(#[from] ParserError),
    #[error("{construct} is not supported by this emulator")]
    Unsupported { construct: String },
    #[error("{}", said(.0))]
    Plan(#[from] DataFusionError),
    #[error("{message}")]
    Invalid { message: String },
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    #[error("{0}")]
    Name(#[from] NameError),
    #[error("Table \"{name}\" must be qualified with a dataset (e.g. dataset.table).")]
    NoDataset { name: String },
    #[error("Duplicate column names in the result are not supported{present}. Found duplicate(s): {}", names.join(", "))]
    DuplicateColumns {
        names: Vec<String>,
        /// What is said about a destination.
        present: &'static str,
    },
    #[error("Query parameter '{}' not found", name.trim_start_matches('@'))]
    NoParameter { name: String },
    #[error("{prefix} does not match any table.")]
    NoMatch { prefix: TablePrefix },

    #[error("views are nested deeper than {most} levels at {view}")]
    ViewsTooDeep { view: TableName, most: usize },
    #[error(transparent)]
    Column(#[from] UnsupportedColumn),
}

/// What a planner's error says, without the planner's own words around it.
fn said(error: &DataFusionError) -> String {
    let text = error.strip_backtrace();
    let text = text.replace(
        "Scalar subquery returned more than one row",
        "Scalar subquery produced more than one element",
    );
    if let Some(refused) = limits(&text) {
        return refused;
    }
    if let Some((_, refused)) = text.split_once("user-defined coercion failed with: ") {
        let refused = refused.trim_start_matches("Error during planning: ");
        let (refused, _) = refused
            .split_once(" No function matches the given name")
            .unwrap_or((refused, ""));
        return refused.to_owned();
    }
    if let Some(name) = ungrouped(&text) {
        return format!(
            "SELECT list expression references column {name} which is neither grouped nor aggregated"
        );
    }
    [
        "Execution error: ",
        "Error during planning: ",
        "Arrow error: ",
        "External error: ",
    ]
    .iter()
    .fold(text, |text, words| match text.strip_prefix(words) {
        Some(rest) => rest.to_owned(),
        None => text,
    })
}

/// What is wrong with a LIMIT or an OFFSET, if that is what a message says.
fn limits(text: &str) -> Option<String> {
    ["LIMIT", "OFFSET"].iter().find_map(|clause| {
        let negative = format!("{clause} must be >= 0");
        let other = format!("Expected {clause} to be an integer");
        if text.contains(&negative) {
            Some(format!(
                "{clause} expects a non-negative integer literal or parameter"
            ))
        } else if text.contains(&other) {
            Some(format!("{clause} expects an integer literal or parameter"))
        } else {
            None
        }
    })
}

/// The column of a SELECT that is neither grouped nor aggregated, if that is what a message says.
fn ungrouped(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("must be in GROUP BY or an aggregate function")?;
    let (_, rest) = rest.split_once("column \"")?;
    let (path, _) = rest.split_once('"')?;
    path.rsplit(['.', '`']).find(|part| !part.is_empty())
}

fn unsupported(construct: impl Into<String>) -> QueryError {
    QueryError::Unsupported {
        construct: construct.into(),
    }
}

/// What names without project or dataset mean.
#[derive(Debug, Clone, Default)]
pub(crate) struct Defaults {
    pub project: String,
    /// Project and dataset.
    pub dataset: Option<(String, String)>,
    /// Temporary tables, by the one name they are called by.
    pub temporary: BTreeMap<String, TableName>,
    /// Temporary functions, by their name in lower case, in the REST form.
    pub functions: BTreeMap<String, serde_json::Map<String, serde_json::Value>>,
    /// The variables of a script, inner ones behind outer ones.
    pub variables: Vec<Variable>,
    /// What knows the jobs there have been.
    pub jobs: Option<Arc<dyn JobsBefore>>,
}

/// The dataset that temporary tables may be said to be in.
const SESSION: &str = "_SESSION";

/// The one name by which a temporary table is called.
pub(crate) fn temporary_name(name: &ObjectName) -> String {
    let name = name.to_string().replace('`', "");
    let own = name
        .split_once('.')
        .filter(|(dataset, _)| dataset.eq_ignore_ascii_case(SESSION));
    own.map_or_else(|| name.clone(), |(_, own)| own.to_owned())
}

impl Defaults {
    /// Makes a temporary table known by its name.
    pub fn remember(&mut self, name: &ObjectName, table: TableName) {
        self.temporary.insert(temporary_name(name), table);
    }
}

/// Puts the parameters into a statement.
///
/// # Errors
/// [`QueryError::NoParameter`] for one that was not given.
pub(crate) fn bind(
    statement: &mut Parsed,
    defaults: &Defaults,
    parameters: &[Parameter],
) -> Result<(), QueryError> {
    rewrite::bind(statement, defaults, parameters)
}

/// The table that a name in a statement means.
///
/// # Errors
/// [`QueryError`] when it is no name of a table.
pub(crate) fn table_of(name: &ObjectName, defaults: &Defaults) -> Result<TableName, QueryError> {
    rewrite::table_of(name, defaults)
}

/// The parts of a name; dots inside backticks separate, too.
///
/// # Errors
/// [`QueryError::Unsupported`] for a name that is computed.
pub(crate) fn name_parts(name: &ObjectName) -> Result<Vec<String>, QueryError> {
    rewrite::name_parts(name)
}

/// A query that has been planned.
pub(crate) struct Planned {
    context: SessionContext,
    plan: LogicalPlan,
    /// Columns of the result in wire types.
    pub schema: SchemaRef,
    /// What it reads.
    pub read: Read,
    /// Names that more than one column of the result was given.
    pub duplicates: Vec<String>,
}

/// What a query reads.
#[derive(Debug, Default)]
pub(crate) struct Read {
    /// Logical bytes of the columns.
    pub bytes: u64,
    /// Tables, views included; of a wildcard those that its conditions leave.
    pub tables: Vec<TableName>,
    /// Whether the same query may give something else although no table of it has changed: wildcards, external data, routines.
    pub changing: bool,
    /// A table that must not be read without a condition on one of these columns, and is.
    pub unfiltered: Option<(TableName, Vec<String>)>,
    /// Whether policies leave out rows.
    pub row_access: bool,
    /// Whether files outside of the catalog are read, whose bytes nobody knows before.
    pub external: bool,
    /// The steps of it.
    pub stages: Vec<Stage>,
}

/// Plans one SELECT. Blocks on the file system.
///
/// # Errors
/// [`QueryError`] naming what is wrong or not supported.
pub(crate) async fn plan(
    catalog: &Catalog,
    query: Query,
    defaults: &Defaults,
    parameters: &[Parameter],
) -> Result<Planned, QueryError> {
    let mut config = SessionConfig::new()
        .with_information_schema(false)
        .with_target_partitions(1);
    let options = config.options_mut();
    options.sql_parser.dialect = Dialect::BigQuery;
    options.sql_parser.map_string_types_to_utf8view = false;
    // Names keep their case; a name in another case is not found rather than taken for something else.
    options.sql_parser.enable_ident_normalization = false;
    // Nulls are the smallest values.
    options.sql_parser.default_null_ordering = "nulls_min".to_owned();
    // What is numbered or gathered in order comes in the order of the query within.
    options.sql_parser.enable_subquery_sort_elimination = false;
    // What is one value in a part of a union is not one in all of it, which is forgotten where parts are sorted by themselves:
    // parts drop each other's first rows, and what is merged passes for sorted by less than it is.
    options.optimizer.repartition_sorts = false;
    options.execution.time_zone = Some("UTC".to_owned());
    let state = SessionContext::new_with_config(config).state();
    let mut planners = vec![fields::planner(), operators::planner()];
    planners.extend(state.expr_planners().iter().cloned());
    let rules = filters::rules(&state);
    let mut state = SessionStateBuilder::new_from_existing(state)
        .with_expr_planners(planners)
        .with_optimizer_rules(rules)
        .with_physical_optimizer_rule(Arc::new(in_order::InOrder))
        .build();
    state.register_relation_planner(Arc::new(lateral::Laterals))?;
    let context = SessionContext::new_with_state(state);
    for variable in script::variables::functions(&defaults.variables) {
        context.register_udf(variable);
    }
    for array in rewrite::parameters::functions(parameters) {
        context.register_udf(array);
    }
    let functions = functions::all().into_iter();
    let functions = functions.chain(functions::all_safely());
    for function in functions.chain(functions::marks::functions()) {
        context.register_udf(function);
    }
    for aggregate in aggregates::all() {
        context.register_udaf(aggregate);
    }
    let mut planner = Planner::new(catalog, context, defaults.jobs.clone());
    let (plan, duplicates) = planner.plan(query, defaults, parameters).await?;
    meaning::check_unions(&plan)?;
    let plan = choices::made(plan)?;
    let plan = meaning::sort(meaning::keep_types(plan)?)?;
    let plan = float_lists::compared(plan)?;
    let plan = byte_patterns::compared(plan)?;
    let plan = guards::kept(plan)?;
    let plan = groupings::apart(plan)?;
    let state = planner.context().state();
    let plan = subqueries::memberships(plan, &state)?;
    let (plan, analyzed) = subqueries::analyzed(plan, &state)?;
    meaning::check(&analyzed)?;
    let (plan, optimized) = subqueries::optimized(plan, &state)?;
    let read = planner.read(&optimized)?;
    let schema = result_schema(&told(
        plan.schema().as_arrow(),
        analyzed.schema().as_arrow(),
    ))?;
    Ok(Planned {
        context: planner.context().clone(),
        plan,
        schema,
        read,
        duplicates,
    })
}

/// The one query that a text must be.
///
/// # Errors
/// [`QueryError::Unsupported`] naming any other statement.
pub(crate) fn select(sql: &str) -> Result<Query, QueryError> {
    let mut statements = statements(sql)?;
    match (statements.pop(), statements.pop()) {
        (Some(Statement::Plain(statement)), None) => match *statement {
            Parsed::Query(query) => Ok(*query),
            other => Err(unsupported_statement(&other)),
        },
        (Some(alter), None) => Err(unsupported_statement(&alter)),
        _ => Err(unsupported("a script of several statements")),
    }
}

/// The first words of a statement.
pub(crate) fn kind(statement: &impl fmt::Display) -> String {
    let text = statement.to_string();
    let words: Vec<&str> = text.split_whitespace().take(2).collect();
    words.join(" ")
}

/// The refusal of a statement.
pub(crate) fn unsupported_statement(statement: &impl fmt::Display) -> QueryError {
    unsupported(format!("the statement {}", kind(statement)))
}

/// The columns of a plan with the types that they have once all types are known, such as those of a union.
fn told(planned: &Schema, analyzed: &Schema) -> Schema {
    let fields = planned.fields().iter().zip(analyzed.fields());
    let fields: Vec<Field> = fields
        .map(|(planned, analyzed)| {
            let field = Field::clone(planned);
            let same = planned.data_type() == analyzed.data_type();
            let nested = planned.data_type().is_nested() && !planned.data_type().is_null();
            match same || nested && analyzed.data_type().is_nested() {
                true => field,
                false => field.with_data_type(analyzed.data_type().clone()),
            }
        })
        .collect();
    Schema::new(fields)
}

/// The wire types of a result. What has no type of its own is an integer, and what has no proper name is numbered.
fn result_schema(schema: &Schema) -> Result<SchemaRef, QueryError> {
    let typed: Vec<Field> = schema
        .fields()
        .iter()
        .enumerate()
        .map(|(index, field)| {
            let data_type = match field.data_type() {
                DataType::Null => DataType::Int64,
                DataType::List(item) if item.data_type().is_null() => {
                    DataType::new_list(DataType::Int64, true)
                }
                other => other.clone(),
            };
            let field = Field::clone(field).with_data_type(data_type);
            if crate::schema::is_name(field.name()) {
                field
            } else {
                field.with_name(format!("f{index}_"))
            }
        })
        .collect();
    let schema = &Schema::new(typed);
    let none = Type::group_type_builder("schema")
        .build()
        .map_err(|e| unsupported(format!("this result ({e})")))?;
    let schema = wire::wire_schema(schema, &SchemaDescriptor::new(Arc::new(none)))?;
    let fields: Vec<_> = schema
        .fields()
        .iter()
        .map(|f| {
            let repeated = matches!(f.data_type(), DataType::List(_));
            Arc::new(Field::clone(f).with_nullable(!repeated))
        })
        .collect();
    Ok(Arc::new(Schema::new(fields)))
}

impl Planned {
    /// Refuses to read all of a table that requires a condition on what it is partitioned by.
    ///
    /// # Errors
    /// [`QueryError::Invalid`] naming the table and the columns.
    pub fn check_filters(&self) -> Result<(), QueryError> {
        let Some((table, columns)) = &self.read.unfiltered else {
            return Ok(());
        };
        let columns: Vec<String> = columns.iter().map(|c| format!("'{c}'")).collect();
        let (project, dataset, table) = (table.project(), table.dataset(), table.table());
        Err(QueryError::Invalid {
            message: format!(
                "Cannot query over table '{project}.{dataset}.{table}' without a filter over column(s) {} that can be used for partition elimination",
                columns.join(", ")
            ),
        })
    }

    /// The query with columns of nothing but NULL left without a type, so that they fit every column.
    pub fn untyped(mut self) -> Self {
        let planned = self.plan.schema().fields().iter();
        let fields = planned.zip(self.schema.fields()).map(|(planned, field)| {
            if planned.data_type().is_null() {
                Arc::new(Field::clone(field).with_data_type(DataType::Null))
            } else {
                Arc::clone(field)
            }
        });
        self.schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        self
    }

    /// Runs the query. Rows come in wire types.
    pub async fn run(
        self,
    ) -> Result<impl futures::Stream<Item = Result<RecordBatch, QueryError>>, QueryError> {
        let frame = self.context.execute_logical_plan(self.plan).await?;
        let rows: SendableRecordBatchStream = frame.execute_stream().await?;
        let schema = self.schema;
        Ok(rows.map(move |batch| {
            let batch = batch?;
            let columns = batch
                .columns()
                .iter()
                .zip(schema.fields())
                .map(|(column, field)| wire::to_wire(column, field))
                .collect::<Result<Vec<_>, _>>()
                .map_err(DataFusionError::from)?;
            meaning::check_elements(&schema, &columns)?;
            let options =
                arrow::array::RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
            RecordBatch::try_new_with_options(Arc::clone(&schema), columns, &options)
                .map_err(|e| DataFusionError::from(e).into())
        }))
    }
}

#[cfg(test)]
mod tests;
