//! UNNEST as BigQuery means it: arrays of structs become columns under `*`, arrays of a row are joined to it.

use std::convert::Infallible;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{Expr, Query, SelectItem, SetExpr, TableFactor, Visitor};

use super::{QueryError, unsupported};
use crate::syntax_walk;

/// The name of an element while its fields are taken out.
const ELEMENT: &str = "millpond_element";

/// Turns arrays of structs among the tables into tables of the structs' fields, unless somebody wants a whole struct, and
/// refuses a wildcard over arrays whose elements are not known.
pub(super) fn expand(query: &mut Query) -> Result<(), QueryError> {
    let mut names = Names::default();
    let Ok(()) = syntax_walk::visit(query, &mut names);
    let SetExpr::Select(select) = query.body.as_mut() else {
        return Ok(());
    };
    let everything = select.projection.iter().any(|item| {
        matches!(
            item,
            SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(_, _)
        )
    });
    let relations = select.from.iter_mut().flat_map(|t| {
        std::iter::once(&mut t.relation).chain(t.joins.iter_mut().map(|j| &mut j.relation))
    });
    for relation in relations {
        let TableFactor::UNNEST {
            alias,
            array_exprs,
            with_offset: false,
            ..
        } = relation
        else {
            continue;
        };
        let [array] = array_exprs.as_slice() else {
            continue;
        };
        let name = alias.as_ref().map(|a| a.name.value.clone());
        if name.as_deref() == Some(ELEMENT) {
            continue;
        }
        let fields = match fields_of(array) {
            Ok(Some(fields)) => fields,
            Ok(None) => continue,
            Err(e) if everything => return Err(e),
            Err(_) => continue,
        };
        if name.as_ref().is_some_and(|name| names.0.contains(name)) {
            if everything {
                return Err(unsupported("a wildcard beside a whole element of UNNEST"));
            }
            continue;
        }
        let columns: Vec<String> = fields
            .iter()
            .enumerate()
            .map(|(index, field)| {
                let shown = if field.starts_with("_field_") {
                    format!("f{index}_")
                } else {
                    field.clone()
                };
                format!("`{ELEMENT}`.`{field}` AS `{shown}`")
            })
            .collect();
        let name = name.unwrap_or_else(|| "f0_".to_owned());
        let text = format!(
            "SELECT * FROM (SELECT {} FROM UNNEST({array}) AS `{ELEMENT}`) AS `{name}`",
            columns.join(", ")
        );
        let outer = super::select(&text)?;
        if let SetExpr::Select(outer) = *outer.body
            && let Some(table) = outer.from.into_iter().next()
        {
            *relation = table.relation;
        }
    }
    Ok(())
}

/// Names that stand alone in an expression.
#[derive(Default)]
struct Names(Vec<String>);

impl Visitor for Names {
    type Break = Infallible;

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<Infallible> {
        if let Expr::Identifier(name) = expr {
            self.0.push(name.value.clone());
        }
        ControlFlow::Continue(())
    }
}

/// The names of an element's fields; `None` when it is no struct.
fn fields_of(array: &Expr) -> Result<Option<Vec<String>>, QueryError> {
    let first = match array {
        Expr::Array(array) => array.elem.first(),
        // Functions give arrays of values without fields.
        Expr::Function(_) | Expr::Cast { .. } => None,
        Expr::Value(_) => None,
        other => {
            return Err(unsupported(format!("a wildcard over UNNEST({other})")));
        }
    };
    let name = |index: usize, value: &Expr| match value {
        Expr::Named { name, .. } => name.value.clone(),
        Expr::Identifier(name) => name.value.clone(),
        _ => super::sql_types::unnamed(index),
    };
    Ok(match first {
        Some(Expr::Tuple(values)) => {
            Some((0..values.len()).map(super::sql_types::unnamed).collect())
        }
        Some(Expr::Struct { values, fields }) => Some(
            values
                .iter()
                .enumerate()
                .map(|(index, value)| {
                    let declared = fields.get(index).and_then(|f| f.field_name.as_ref());
                    declared.map_or_else(|| name(index, value), |n| n.value.clone())
                })
                .collect(),
        ),
        _ => None,
    })
}
