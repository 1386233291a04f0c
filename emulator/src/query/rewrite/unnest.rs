//! UNNEST as BigQuery means it: arrays of structs become columns under `*`, arrays of a row are joined to it.

use std::convert::Infallible;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, Ident, Query, SetExpr, TableFactor, TableWithJoins, Visitor,
};

use crate::query::planning::lateral;
use crate::query::rewrite::name_parts;
use crate::query::rewrite::names::same;
use crate::query::{QueryError, rewrite::build};
use crate::syntax_walk;

/// The name of an element while its fields are taken out.
const ELEMENT: &str = "millpond_element";

/// Turns arrays of structs among the tables into tables of the structs' fields, unless somebody wants a whole struct.
pub(in crate::query) fn expand(query: &mut Query) -> Result<(), QueryError> {
    let mut names = Names::default();
    let Ok(()) = syntax_walk::visit(query, &mut names);
    let SetExpr::Select(select) = query.body.as_mut() else {
        return Ok(());
    };
    paths(&mut select.from, Vec::new());
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
        // What is of the rows before cannot be put into a query of its own.
        let of_rows = !lateral::first_names(array).is_empty();
        if of_rows || name.as_deref() == Some(ELEMENT) {
            continue;
        }
        let fields = match fields_of(array) {
            Some(fields) => fields,
            None => continue,
        };
        if name.as_ref().is_some_and(|name| names.0.contains(name)) {
            // Their fields are found by their types.
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
        let outer = crate::query::select(&text)?;
        if let SetExpr::Select(outer) = *outer.body
            && let Some(table) = outer.from.into_iter().next()
        {
            *relation = table.relation;
        }
    }
    Ok(())
}

/// In a query in an expression, `FROM t.array` means `FROM UNNEST(t.array)` if `t` is one of the tables around.
pub(in crate::query) fn of_row(query: &mut Query, around: &[Vec<String>]) {
    fn within(body: &mut SetExpr, around: &[Vec<String>]) {
        match body {
            SetExpr::Select(select) => paths(&mut select.from, around.concat()),
            SetExpr::Query(query) => within(&mut query.body, around),
            SetExpr::SetOperation { left, right, .. } => {
                within(left, around);
                within(right, around);
            }
            _ => {}
        }
    }
    within(&mut query.body, around);
}

/// What the tables of a query are called.
pub(in crate::query) fn tables(query: &Query) -> Vec<String> {
    let SetExpr::Select(select) = query.body.as_ref() else {
        return Vec::new();
    };
    let all = select.from.iter();
    let all = all.flat_map(|t| {
        std::iter::once(&t.relation).chain(t.joins.iter().map(|join| &join.relation))
    });
    all.filter_map(called).collect()
}

/// `FROM t, t.array` means `FROM t, UNNEST(t.array)`.
fn paths(from: &mut [TableWithJoins], mut before: Vec<String>) {
    let relations = from.iter_mut().flat_map(|t| {
        std::iter::once(&mut t.relation).chain(t.joins.iter_mut().map(|j| &mut j.relation))
    });
    for relation in relations {
        if let TableFactor::Table {
            name,
            alias,
            args: None,
            ..
        } = &*relation
        {
            let path: Option<Vec<Ident>> = name.0.iter().map(|p| p.as_ident().cloned()).collect();
            let path = path.unwrap_or_default();
            let [first, .., last] = path.as_slice() else {
                before.extend(called(relation));
                continue;
            };
            if before.iter().any(|known| same(known, &first.value)) {
                *relation = TableFactor::UNNEST {
                    alias: alias.clone().or_else(|| Some(build::alias(&last.value))),
                    array_exprs: vec![Expr::CompoundIdentifier(path)],
                    with_offset: false,
                    with_offset_alias: None,
                    with_ordinality: false,
                };
            }
        }
        before.extend(called(relation));
    }
}

/// What a table is called in its query.
fn called(factor: &TableFactor) -> Option<String> {
    match factor {
        TableFactor::Table { name, alias, .. } => match alias {
            Some(alias) => Some(alias.name.value.clone()),
            None => name_parts(name).ok()?.pop(),
        },
        TableFactor::Derived { alias, .. } | TableFactor::UNNEST { alias, .. } => {
            alias.as_ref().map(|a| a.name.value.clone())
        }
        _ => None,
    }
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

/// Gives the fields of all structs in an array the names that the first one's have, those of structs within them, too.
pub(in crate::query) fn name_fields(elements: &mut [Expr]) {
    if let Some((first, rest)) = elements.split_first_mut() {
        rest.iter_mut()
            .for_each(|element| named_like(first, element));
    }
}

fn named_like(first: &Expr, element: &mut Expr) {
    match (first, &mut *element) {
        (Expr::Array(first), Expr::Array(array)) => {
            if let Some(first) = first.elem.first() {
                let elements = array.elem.iter_mut();
                elements.for_each(|element| named_like(first, element));
            }
            return;
        }
        (Expr::Struct { fields, .. }, _) if fields.is_empty() => {}
        _ => return,
    }
    let Expr::Struct { values, .. } = first else {
        return;
    };
    let own = match element {
        Expr::Struct { values, fields } if fields.is_empty() => std::mem::take(values),
        Expr::Tuple(values) => std::mem::take(values),
        _ => return,
    };
    let own = own.into_iter().enumerate().map(|(index, value)| {
        let mut value = match value {
            Expr::Named { expr, .. } => *expr,
            other => other,
        };
        let model = match values.get(index) {
            Some(Expr::Named { expr, .. }) => Some(expr.as_ref()),
            other => other,
        };
        if let Some(model) = model {
            named_like(model, &mut value);
        }
        let name = match values.get(index) {
            Some(Expr::Named { name, .. } | Expr::Identifier(name)) => Some(name),
            Some(Expr::CompoundIdentifier(path)) => path.last(),
            _ => None,
        };
        match name.cloned() {
            Some(name) => Expr::Named {
                expr: Box::new(value),
                name,
            },
            None => value,
        }
    });
    *element = Expr::Struct {
        values: own.collect(),
        fields: Vec::new(),
    };
}

/// The names of an element's fields; `None` when it is no struct.
fn fields_of(array: &Expr) -> Option<Vec<String>> {
    let first = match array {
        Expr::Array(array) => array.elem.first(),
        // Their fields are found by their types.
        _ => None,
    };
    let name = |index: usize, value: &Expr| match value {
        Expr::Named { name, .. } => name.value.clone(),
        Expr::Identifier(name) => name.value.clone(),
        _ => crate::query::sql_types::unnamed(index),
    };
    match first {
        Some(Expr::Tuple(values)) => Some(
            (0..values.len())
                .map(crate::query::sql_types::unnamed)
                .collect(),
        ),
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
    }
}
