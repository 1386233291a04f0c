//! Functions that clients have written in SQL, put in place of their calls.
//!
//! Must not know how routines are kept, or what the functions of BigQuery itself mean.

use std::convert::Infallible;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    self, Expr, FunctionArg, FunctionArgExpr, Ident, ObjectNamePart, Query, TableFactor, Visit,
    VisitMut, Visitor, VisitorMut,
};
use serde_json::{Map, Value};

use crate::catalog::{Catalog, CatalogError};
use crate::name::TableName;
use crate::query::rewrite::{name_parts, table_of};
use crate::query::sql_types::{self, plain};
use crate::query::{Defaults, QueryError, select, text::escapes, unsupported};
use crate::schema::FieldSchema;
use crate::syntax_walk;

/// Functions in functions, so many of them.
const MAX_DEPTH: usize = 16;

/// What stands before a dot in the names of BigQuery's own functions.
const FAMILIES: [&str; 8] = [
    "safe",
    "net",
    "keys",
    "aead",
    "hll_count",
    "kll_quantiles",
    "ml",
    "obj",
];

/// Puts the bodies of all routines that a query calls in the place of the calls; whether there were any.
///
/// # Errors
/// [`QueryError`] for a routine that does not exist, or whose language or arguments are not supported.
pub(in crate::query) fn expand(
    query: &mut Query,
    catalog: &Catalog,
    defaults: &Defaults,
) -> Result<bool, QueryError> {
    let mut expander = Expander {
        catalog,
        defaults,
        depth: 0,
        calls: 0,
    };
    syntax_walk::visit_mut(query, &mut expander)?;
    Ok(expander.calls > 0)
}

struct Expander<'a> {
    catalog: &'a Catalog,
    defaults: &'a Defaults,
    depth: usize,
    /// Calls that have been replaced.
    calls: usize,
}

impl VisitorMut for Expander<'_> {
    type Break = QueryError;

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<QueryError> {
        let TableFactor::Table {
            name,
            args: Some(given),
            alias,
            ..
        } = factor
        else {
            return ControlFlow::Continue(());
        };
        let expanded = self.table(name, &given.args).map(|subquery| {
            let last = name_parts(name)
                .ok()
                .and_then(|parts| parts.last().cloned());
            let alias = alias.clone().unwrap_or_else(|| ast::TableAlias {
                explicit: true,
                name: Ident::with_quote('`', last.unwrap_or_default()),
                columns: Vec::new(),
                at: None,
            });
            TableFactor::Derived {
                lateral: false,
                subquery: Box::new(subquery),
                alias: Some(alias),
                sample: None,
            }
        });
        match expanded {
            Ok(derived) => {
                self.calls += 1;
                *factor = derived;
                ControlFlow::Continue(())
            }
            Err(e) => ControlFlow::Break(e),
        }
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<QueryError> {
        let Expr::Function(function) = &*expr else {
            return ControlFlow::Continue(());
        };
        match self.call(function) {
            Ok(Some(body)) => {
                self.calls += 1;
                *expr = body;
                ControlFlow::Continue(())
            }
            Ok(None) => ControlFlow::Continue(()),
            Err(e) => ControlFlow::Break(e),
        }
    }
}

impl Expander<'_> {
    /// The body of a function in the place of its call; `None` for a function of BigQuery's.
    fn call(&self, function: &ast::Function) -> Result<Option<Expr>, QueryError> {
        let Some(routine) = self.routine(&function.name)? else {
            return Ok(None);
        };
        let given = crate::row_restriction::arguments(function);
        let given =
            given.ok_or_else(|| unsupported(format!("the arguments of {}", function.name)))?;
        let given: Vec<Expr> = given.into_iter().cloned().collect();
        let body = routine.body(&["SCALAR_FUNCTION"])?;
        let mut parser = escapes::parser(body)?;
        let mut body = parser.parse_expr()?;
        routine.bind(&mut body, given, self)?;
        let returns = match routine.resource.get("returnType") {
            None | Some(Value::Null) => None,
            Some(kind) => Some(column("value", kind)?),
        };
        Ok(Some(match returns {
            Some(to) => sql_types::cast_to(Expr::Nested(Box::new(body)), &to)?,
            None => Expr::Nested(Box::new(body)),
        }))
    }

    /// The query of a table function in the place of its call.
    fn table(&self, name: &ast::ObjectName, given: &[FunctionArg]) -> Result<Query, QueryError> {
        if super::sessions::is(name) {
            return super::sessions::query(given);
        }
        let Some(routine) = self.routine(name)? else {
            return Err(unsupported(format!("the table function {name}")));
        };
        let given = given
            .iter()
            .map(|argument| match argument {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(value)) => Ok(value.clone()),
                other => Err(unsupported(format!("the argument {other} of {name}"))),
            })
            .collect::<Result<Vec<_>, _>>()?;
        let mut body = select(routine.body(&["TABLE_VALUED_FUNCTION"])?)?;
        routine.bind(&mut body, given, self)?;
        routine.as_declared(body)
    }

    /// The routine that a name means, if it is the name of one.
    fn routine(&self, name: &ast::ObjectName) -> Result<Option<Routine>, QueryError> {
        if !name
            .0
            .iter()
            .all(|p| matches!(p, ObjectNamePart::Identifier(_)))
        {
            return Ok(None);
        }
        let parts = name_parts(name)?;
        if let [single] = parts.as_slice() {
            let known = self.defaults.functions.get(&single.to_ascii_lowercase());
            return Ok(known.map(|resource| Routine {
                shown: single.clone(),
                resource: resource.clone(),
            }));
        }
        let family = parts.first().map(|p| p.to_ascii_lowercase());
        if parts.len() == 2 && family.is_some_and(|f| FAMILIES.contains(&f.as_str())) {
            return Ok(None);
        }
        let name = routine_name(&parts, self.defaults)?;
        match self.catalog.routine(&name) {
            Ok(resource) => Ok(Some(Routine {
                shown: name.to_string(),
                resource,
            })),
            Err(CatalogError::RoutineNotFound { .. } | CatalogError::DatasetNotFound { .. }) => {
                Err(QueryError::Invalid {
                    message: format!("Function not found: {}", parts.join(".")),
                })
            }
            Err(e) => Err(e.into()),
        }
    }

    /// Columns of the tables that a body reads hide arguments, which cannot be told apart here.
    fn check_names(&self, body: &impl Visit, arguments: &[String]) -> Result<(), QueryError> {
        struct Names(Vec<ast::ObjectName>);
        impl Visitor for Names {
            type Break = Infallible;
            fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<Infallible> {
                if let TableFactor::Table { name, .. } = factor {
                    self.0.push(name.clone());
                }
                ControlFlow::Continue(())
            }
        }
        let mut names = Names(Vec::new());
        let Ok(()) = syntax_walk::visit(body, &mut names);
        for name in names.0 {
            let Ok(table) = table_of(&name, self.defaults) else {
                continue;
            };
            let Ok(table) = self.catalog.table(&table) else {
                continue;
            };
            for argument in arguments {
                if crate::projection::find(table.schema.fields(), argument).is_some() {
                    return Err(unsupported(format!(
                        "the argument {argument}, which is the name of a column of {} too",
                        table.name
                    )));
                }
            }
        }
        Ok(())
    }
}

/// A routine and what to call it.
struct Routine {
    shown: String,
    resource: Map<String, Value>,
}

impl Routine {
    /// The query of a table function with the columns that it is declared to have.
    fn as_declared(&self, body: Query) -> Result<Query, QueryError> {
        let columns = self.resource.get("returnTableType");
        let Some(columns) = columns.and_then(|t| t["columns"].as_array()) else {
            return Ok(body);
        };
        let mut outer = select("SELECT 1 FROM (SELECT 1) AS `millpond_table`")?;
        super::gathered::place(&mut outer, body, &[]);
        if let ast::SetExpr::Select(select) = outer.body.as_mut() {
            select.projection.clear();
            for declared in columns {
                let name = declared["name"].as_str().unwrap_or_default();
                let name = Ident::with_quote('`', name);
                let to = column("value", &declared["type"])?;
                select.projection.push(ast::SelectItem::ExprWithAlias {
                    expr: sql_types::cast_to(Expr::Identifier(name.clone()), &to)?,
                    alias: name,
                });
            }
        }
        Ok(outer)
    }

    fn body(&self, kinds: &[&str]) -> Result<&str, QueryError> {
        let text = |key: &str| self.resource.get(key).and_then(Value::as_str);
        let language = text("language").unwrap_or("SQL");
        if language != "SQL" {
            return Err(unsupported(format!(
                "a call of {}, which is written in {language},",
                self.shown
            )));
        }
        let kind = text("routineType").unwrap_or("SCALAR_FUNCTION");
        if !kinds.contains(&kind) {
            return Err(unsupported(format!("a call of {}, a {kind},", self.shown)));
        }
        text("definitionBody").ok_or_else(|| unsupported(format!("{} without a body", self.shown)))
    }

    /// Puts values in the place of arguments, and the bodies of other routines in the place of calls.
    fn bind(
        &self,
        body: &mut (impl Visit + VisitMut),
        given: Vec<Expr>,
        expander: &Expander<'_>,
    ) -> Result<(), QueryError> {
        if expander.depth == MAX_DEPTH {
            return Err(unsupported(format!(
                "functions nested as deep as {}",
                self.shown
            )));
        }
        let declared = self.resource.get("arguments").and_then(Value::as_array);
        let declared = declared.map(Vec::as_slice).unwrap_or_default();
        if declared.len() != given.len() {
            return Err(QueryError::Invalid {
                message: format!(
                    "No matching signature for function {}: it has {} arguments, not {}",
                    self.shown,
                    declared.len(),
                    given.len()
                ),
            });
        }
        let mut values = Vec::new();
        for (argument, value) in declared.iter().zip(given) {
            let name = argument["name"].as_str().unwrap_or_default().to_owned();
            let value = match &argument["dataType"] {
                Value::Null => Expr::Nested(Box::new(value)),
                kind => sql_types::cast_to(value, &column("value", kind)?)?,
            };
            values.push((name, value));
        }
        let names: Vec<String> = values.iter().map(|(name, _)| name.clone()).collect();
        expander.check_names(body, &names)?;
        let mut inner = Expander {
            depth: expander.depth + 1,
            ..*expander
        };
        // Calls first, so that what is given is not looked into again.
        syntax_walk::visit_mut(body, &mut inner)?;
        syntax_walk::visit_mut(body, &mut Binder(values))
    }
}

struct Binder(Vec<(String, Expr)>);

impl VisitorMut for Binder {
    type Break = QueryError;

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<QueryError> {
        let value = |name: &Ident| {
            let known = self
                .0
                .iter()
                .find(|(n, _)| n.eq_ignore_ascii_case(&name.value));
            known.map(|(_, value)| value.clone())
        };
        match expr {
            Expr::Identifier(name) => {
                if let Some(value) = value(name) {
                    *expr = value;
                }
            }
            Expr::CompoundIdentifier(path)
                if path.first().is_some_and(|name| value(name).is_some()) =>
            {
                let path = path.iter().map(|i| i.value.as_str());
                let path = path.collect::<Vec<_>>().join(".");
                return ControlFlow::Break(unsupported(format!("the field {path} of an argument")));
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

/// A query for what a function gives for missing values of these types.
///
/// # Errors
/// [`QueryError`] for a type that cannot be written.
pub(crate) fn value_of(name: &str, given: &[FieldSchema]) -> Result<Query, QueryError> {
    select(&format!("SELECT {}", called(name, given)?))
}

/// A query for the rows that a table function gives for such values.
///
/// # Errors
/// As [`value_of`].
pub(crate) fn rows_of(name: &str, given: &[FieldSchema]) -> Result<Query, QueryError> {
    select(&format!("SELECT * FROM {}", called(name, given)?))
}

fn called(name: &str, given: &[FieldSchema]) -> Result<Expr, QueryError> {
    let missing = |kind| sql_types::cast_to(super::build::null(), kind);
    let given = given.iter().map(missing).collect::<Result<Vec<_>, _>>()?;
    Ok(super::build::call(name, given))
}

/// The full name of a routine.
pub(crate) fn routine_name(parts: &[String], defaults: &Defaults) -> Result<TableName, QueryError> {
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let default = defaults.dataset.as_ref();
    Ok(match (parts.as_slice(), default) {
        ([routine], Some((project, dataset))) => TableName::try_new(project, dataset, routine)?,
        ([dataset, routine], _) => TableName::try_new(&defaults.project, dataset, routine)?,
        ([project, dataset, routine], _) => TableName::try_new(project, dataset, routine)?,
        _ => {
            let name = parts.join(".");
            return Err(QueryError::NoDataset { name });
        }
    })
}

/// A column of a type as routines describe it.
pub(crate) fn column(name: &str, described: &Value) -> Result<FieldSchema, QueryError> {
    let kind = described["typeKind"].as_str().unwrap_or_default();
    Ok(match kind {
        "ARRAY" => {
            let mut field = column(name, &described["arrayElementType"])?;
            "REPEATED".clone_into(&mut field.mode);
            field
        }
        "STRUCT" => {
            let mut field = plain(name, "RECORD");
            let fields = described["structType"]["fields"].as_array();
            for (index, member) in fields.into_iter().flatten().enumerate() {
                let name = member["name"].as_str().map(str::to_owned);
                let name = name.unwrap_or_else(|| sql_types::unnamed(index));
                field.fields.push(column(&name, &member["type"])?);
            }
            field
        }
        "RANGE" => {
            let element = described["rangeElementType"]["typeKind"].as_str();
            sql_types::range(name, element.unwrap_or("DATE"))
        }
        _ => {
            let field = plain(name, kind);
            let checked = crate::schema::checked(std::slice::from_ref(&field)).ok();
            checked
                .and_then(|checked| checked.into_iter().next())
                .ok_or_else(|| unsupported(format!("the type {kind} of a routine")))?
        }
    })
}

/// A column's type as routines describe it.
pub(crate) fn described(field: &FieldSchema) -> Value {
    if field.mode == "REPEATED" {
        let element = FieldSchema {
            mode: "NULLABLE".to_owned(),
            ..field.clone()
        };
        return serde_json::json!({"typeKind": "ARRAY", "arrayElementType": described(&element)});
    }
    match field.kind.as_str() {
        "RECORD" => {
            let fields: Vec<Value> = field
                .fields
                .iter()
                .map(|f| serde_json::json!({"name": f.name, "type": described(f)}))
                .collect();
            serde_json::json!({"typeKind": "STRUCT", "structType": {"fields": fields}})
        }
        "RANGE" => {
            let element = field.range_element_type.as_ref().map(|e| e.kind.as_str());
            serde_json::json!({"typeKind": "RANGE", "rangeElementType": {"typeKind": element}})
        }
        "INTEGER" => serde_json::json!({"typeKind": "INT64"}),
        "FLOAT" => serde_json::json!({"typeKind": "FLOAT64"}),
        "BOOLEAN" => serde_json::json!({"typeKind": "BOOL"}),
        kind => serde_json::json!({"typeKind": kind}),
    }
}
