//! `value.*` of a struct: its fields as columns. Which fields it has is asked of the planner, as types are not known here.

use datafusion::sql::sqlparser::ast::{
    self, Expr, Ident, ObjectNamePart, Select, SelectItem, SelectItemQualifiedWildcardKind,
    SetExpr, TableWithJoins, WildcardAdditionalOptions,
};

use super::scope::First;
use super::{Asked, Names, Of, QueryError, build, same, unsupported};
use crate::query;
use crate::query::rewrite::value_tables::VALUES;

impl Names<'_> {
    /// Spells out the stars behind values of a SELECT.
    pub(super) fn stars_of_structs(&mut self, select: &mut Select) -> Result<(), QueryError> {
        let mut items = Vec::with_capacity(select.projection.len());
        for item in std::mem::take(&mut select.projection) {
            if let SelectItem::Wildcard(options) = &item
                && let Some(renamed) = &options.opt_rename
            {
                items.extend(self.renamed(renamed)?);
                continue;
            }
            let SelectItem::QualifiedWildcard(kind, options) = item else {
                items.push(item);
                continue;
            };
            let value = match &kind {
                SelectItemQualifiedWildcardKind::Expr(value) => value.clone(),
                SelectItemQualifiedWildcardKind::ObjectName(name) => {
                    let parts = name.0.iter().map(ObjectNamePart::as_ident);
                    let path: Option<Vec<Ident>> = parts.map(|p| p.cloned()).collect();
                    match path.as_deref() {
                        Some([one]) if self.relation(&one.value).is_none() => {
                            Expr::Identifier(one.clone())
                        }
                        Some(path @ [_, _, ..]) => Expr::CompoundIdentifier(path.to_vec()),
                        _ => {
                            items.push(SelectItem::QualifiedWildcard(kind, options));
                            continue;
                        }
                    }
                }
            };
            let fields = self.fields_of_value(value.clone())?;
            match (&value, fields) {
                (_, Some(fields)) => items.extend(star_of(&value, fields, &options)?),
                // A value without fields is what a row of values is.
                (Expr::CompoundIdentifier(path), None)
                    if path.first().is_some_and(|t| t.value == VALUES) =>
                {
                    items.push(SelectItem::UnnamedExpr(value));
                }
                _ => {
                    return Err(QueryError::Invalid {
                        message: "Dot-star is not supported for a value that is no STRUCT"
                            .to_owned(),
                    });
                }
            }
        }
        select.projection = items;
        Ok(())
    }

    /// All columns, some of them under another name.
    fn renamed(&self, renamed: &ast::RenameSelectItem) -> Result<Vec<SelectItem>, QueryError> {
        let mappings = match renamed {
            ast::RenameSelectItem::Single(one) => std::slice::from_ref(one),
            ast::RenameSelectItem::Multiple(all) => all.as_slice(),
        };
        let Some(columns) = self.all_columns() else {
            return Err(unsupported("RENAME of columns that are not known"));
        };
        for mapping in mappings {
            if !columns.iter().any(|c| same(c, &mapping.ident.value)) {
                return Err(QueryError::Invalid {
                    message: format!("Column {} in RENAME does not exist", mapping.ident.value),
                });
            }
        }
        let item = |column: &String| {
            let expr = Expr::Identifier(Ident::with_quote('`', column));
            let mapping = mappings.iter().find(|m| same(&m.ident.value, column));
            match mapping {
                Some(mapping) => SelectItem::ExprWithAlias {
                    expr,
                    alias: mapping.alias.clone(),
                },
                None => SelectItem::UnnamedExpr(expr),
            }
        };
        Ok(columns.iter().map(item).collect())
    }

    /// The fields of a value, if it has any; the first time they are asked for.
    fn fields_of_value(&mut self, mut value: Expr) -> Result<Option<Vec<String>>, QueryError> {
        if let Some(fields) = self.fields.next() {
            return Ok(fields.clone());
        }
        self.expressions(&mut value, First::Columns)?;
        let query = self.asking(value, self.seen_with(&[]))?;
        self.asked = Some(Asked {
            query,
            of: Of::Value,
        });
        Err(unsupported(
            "a star behind a value whose fields are not known",
        ))
    }

    /// The fields of an array's elements, none if they are no structs; the first time they are asked for. `None` if that cannot be told.
    pub(super) fn fields_of_elements(
        &mut self,
        array: &Expr,
        tables: Vec<Vec<TableWithJoins>>,
    ) -> Result<Option<Vec<String>>, QueryError> {
        if let Some(fields) = self.fields.next() {
            return Ok(fields.clone());
        }
        let query = self.asking(array.clone(), tables)?;
        self.asked = Some(Asked {
            query,
            of: Of::Elements,
        });
        Err(unsupported("elements whose fields are not known"))
    }

    /// A query of nothing but this value, in queries of the tables around.
    fn asking(
        &self,
        value: Expr,
        tables: Vec<Vec<TableWithJoins>>,
    ) -> Result<ast::Query, QueryError> {
        let of = |value: Expr, from: Vec<TableWithJoins>| {
            let mut asked = query::select("SELECT 1")?;
            if let SetExpr::Select(own) = asked.body.as_mut() {
                own.projection = vec![SelectItem::UnnamedExpr(value)];
                own.from = from;
            }
            Ok::<_, QueryError>(asked)
        };
        let mut tables = tables.into_iter();
        let outermost = tables.next().unwrap_or_default();
        let mut value = value;
        for within in tables.rev() {
            value = Expr::Subquery(Box::new(of(value, within)?));
        }
        let mut asked = of(value, outermost)?;
        let mut tables: Vec<ast::Cte> = Vec::new();
        for table in self.queries.iter().rev() {
            let name = &table.alias.name.value;
            if !tables.iter().any(|t| t.alias.name.value == *name) {
                tables.insert(0, table.clone());
            }
        }
        if !tables.is_empty() {
            let mut with = query::select("WITH x AS (SELECT 1) SELECT 1")?.with;
            if let Some(with) = &mut with {
                with.cte_tables = tables;
            }
            asked.with = with;
        }
        Ok(asked)
    }
}

/// The fields of a value as columns.
fn star_of(
    value: &Expr,
    mut fields: Vec<String>,
    options: &WildcardAdditionalOptions,
) -> Result<Vec<SelectItem>, QueryError> {
    if let Some(except) = &options.opt_except {
        let names = std::iter::once(&except.first_element).chain(&except.additional_elements);
        for name in names {
            if !fields.iter().any(|field| same(field, &name.value)) {
                return Err(QueryError::Invalid {
                    message: format!(
                        "Column {} in SELECT * EXCEPT list does not exist",
                        name.value
                    ),
                });
            }
            fields.retain(|field| !same(field, &name.value));
        }
    }
    let replaced: Vec<_> = options.opt_replace.iter().flat_map(|r| &r.items).collect();
    let item = |field: &String| {
        let other = replaced.iter().find(|r| same(&r.column_name.value, field));
        SelectItem::ExprWithAlias {
            expr: match other {
                Some(other) => other.expr.clone(),
                None => build::call("millpond_field", vec![value.clone(), build::text(field)]),
            },
            alias: Ident::with_quote('`', field),
        }
    };
    Ok(fields.iter().map(item).collect())
}
