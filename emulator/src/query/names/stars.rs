//! `value.*` of a struct: its fields as columns. Which fields it has is asked of the planner, as types are not known here.

use datafusion::sql::sqlparser::ast::{
    self, Expr, Ident, ObjectNamePart, Select, SelectItem, SelectItemQualifiedWildcardKind,
    SetExpr, WildcardAdditionalOptions,
};

use super::scope::First;
use super::{Names, QueryError, build, same, unsupported};
use crate::query;

impl Names<'_> {
    /// Spells out the stars behind values of a SELECT.
    pub(super) fn stars_of_structs(&mut self, select: &mut Select) -> Result<(), QueryError> {
        let mut items = Vec::with_capacity(select.projection.len());
        for item in std::mem::take(&mut select.projection) {
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
            items.extend(self.star_of(value, &options, select)?);
        }
        select.projection = items;
        Ok(())
    }

    fn star_of(
        &mut self,
        mut value: Expr,
        options: &WildcardAdditionalOptions,
        select: &Select,
    ) -> Result<Vec<SelectItem>, QueryError> {
        let Some(fields) = self.fields.next() else {
            self.expressions(&mut value, First::Columns)?;
            self.asked = Some(self.asking(value, select)?);
            return Err(unsupported(
                "a star behind a value whose fields are not known",
            ));
        };
        let mut fields = fields.clone();
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
        let replaced = options.opt_replace.iter().flat_map(|r| &r.items);
        let replaced: Vec<_> = replaced.collect();
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

    /// A query of nothing but this value.
    fn asking(&self, value: Expr, select: &Select) -> Result<ast::Query, QueryError> {
        let mut asked = query::select("SELECT 1")?;
        if let SetExpr::Select(own) = asked.body.as_mut() {
            own.projection = vec![SelectItem::UnnamedExpr(value)];
            own.from = select.from.clone();
        }
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
