//! The list of a SELECT: which columns its items are, and what stars stand for.

use datafusion::sql::sqlparser::ast::{
    self, Expr, Ident, ObjectName, ObjectNamePart, SelectItem, SelectItemQualifiedWildcardKind,
};

use super::scope::First;
use super::{Columns, Names, QueryError, again, at, same, unsupported};

impl Names<'_> {
    pub(super) fn projection(&mut self, items: &mut [SelectItem]) -> Result<Columns, QueryError> {
        let mut names: Columns = Some(Vec::new());
        let mut explicit: Vec<String> = Vec::new();
        for (index, item) in items.iter_mut().enumerate() {
            let own: Columns = match item {
                SelectItem::UnnamedExpr(expr) => {
                    let shown = match &*expr {
                        Expr::Identifier(name) => Some(name.value.clone()),
                        Expr::CompoundIdentifier(path) => path.last().map(|n| n.value.clone()),
                        _ => None,
                    };
                    let before = expr.clone();
                    self.expressions(expr, First::Columns)?;
                    let plain = match &before {
                        Expr::CompoundIdentifier(path) => self.is_column(path),
                        _ => true,
                    };
                    if let Some(shown) = &shown
                        && (*expr != before || !plain)
                    {
                        *item = SelectItem::ExprWithAlias {
                            expr: expr.clone(),
                            alias: Ident::with_quote('`', shown.clone()),
                        };
                    }
                    shown.map(|shown| vec![shown])
                }
                SelectItem::ExprWithAlias { expr, alias } => {
                    self.expressions(expr, First::Columns)?;
                    Some(vec![alias.value.clone()])
                }
                SelectItem::Wildcard(options) => {
                    let columns = self.all_columns();
                    self.star(options, columns)?
                }
                SelectItem::QualifiedWildcard(kind, options) => {
                    let SelectItemQualifiedWildcardKind::ObjectName(name) = kind else {
                        return Err(unsupported(format!("the item {kind}.*")));
                    };
                    let columns = self.qualified(name);
                    self.star(options, columns)?
                }
                _ => None,
            };
            if let Some([name]) = own.as_deref() {
                let star = !matches!(
                    item,
                    SelectItem::UnnamedExpr(_) | SelectItem::ExprWithAlias { .. }
                );
                if !star && explicit.iter().any(|known| same(known, name)) {
                    again(item, index);
                }
                explicit.push(name.clone());
            }
            names = match (names, own) {
                (Some(mut all), Some(own)) => {
                    all.extend(own);
                    Some(all)
                }
                _ => None,
            };
        }
        Ok(names)
    }

    /// The columns of a relation that a star is put behind, whose name is spelled here.
    pub(super) fn qualified(&self, name: &mut ObjectName) -> Columns {
        let [ObjectNamePart::Identifier(ident)] = name.0.as_mut_slice() else {
            return None;
        };
        let (spelled, relation) = self.relation(&ident.value)?;
        let columns = relation.columns.clone();
        ident.value.clone_from(spelled);
        columns
    }

    /// What a star stands for.
    pub(super) fn all_columns(&self) -> Columns {
        let scope = self.scopes.last()?;
        let mut all: Vec<String> = Vec::new();
        for relation in &scope.relations {
            for column in relation.columns.as_ref()? {
                let merged = scope.merged.iter().any(|(m, _)| same(m, column));
                if merged && all.iter().any(|c| same(c, column)) {
                    continue;
                }
                all.push(column.clone());
            }
        }
        Some(all)
    }

    /// Spells what a star leaves out and replaces.
    pub(super) fn star(
        &mut self,
        options: &mut ast::WildcardAdditionalOptions,
        mut columns: Columns,
    ) -> Result<Columns, QueryError> {
        if let Some(except) = &mut options.opt_except {
            let names =
                std::iter::once(&mut except.first_element).chain(&mut except.additional_elements);
            for name in names {
                let Some(columns) = &mut columns else {
                    continue;
                };
                let Some(spelled) = columns.iter().find(|c| same(c, &name.value)).cloned() else {
                    return Err(QueryError::Invalid {
                        message: format!(
                            "Column {} in SELECT * EXCEPT list does not exist{}",
                            name.value,
                            at(name)
                        ),
                    });
                };
                name.value.clone_from(&spelled);
                columns.retain(|c| *c != spelled);
            }
        }
        if let Some(replace) = &mut options.opt_replace {
            for item in &mut replace.items {
                self.expressions(&mut item.expr, First::Columns)?;
                let spelled = columns
                    .iter()
                    .flatten()
                    .find(|c| same(c, &item.column_name.value));
                if let Some(spelled) = spelled {
                    item.column_name.value.clone_from(spelled);
                }
            }
        }
        Ok(columns)
    }
}
