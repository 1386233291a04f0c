//! What stands behind FROM, by the name that it goes by from then on.

use std::time::SystemTime;

use datafusion::sql::sqlparser::ast::{
    self, Expr, Ident, ObjectName, ObjectNamePart, TableAliasColumnDef, TableFactor, TableVersion,
    Value,
};

use super::{Relation, Rewriter, shorten};
use crate::name::{TableName, TablePrefix};
use crate::query::relations::information::View;
use crate::query::{
    QueryError, SESSION,
    rewrite::{build, pivots},
    unsupported,
};

impl Rewriter<'_> {
    pub(super) fn table_factor(&mut self, factor: &mut TableFactor) -> Result<(), QueryError> {
        // Columns are found by the last part of their table's name, whoever gave it.
        if let TableFactor::Table {
            alias: Some(alias), ..
        }
        | TableFactor::Derived {
            alias: Some(alias), ..
        } = factor
        {
            shorten(&mut alias.name);
        }
        match factor {
            TableFactor::Table {
                name,
                alias,
                args: None,
                version,
                sample,
                ..
            } => {
                let at = version.take().map(|version| match version {
                    TableVersion::ForSystemTimeAsOf(at) => self.times.get(&at.to_string()).copied(),
                    _ => None,
                });
                let parts = name_parts(name)?;
                if let [single] = parts.as_slice()
                    && self.is_of_with(single)
                {
                    return Ok(());
                }
                let (mut relation, mut key, last) = self.relation(&parts)?;
                if let Some(at) = at {
                    let (Some(at), Relation::Table(table) | Relation::Arrivals(table)) =
                        (at, relation)
                    else {
                        return Err(unsupported(format!("a version of {last}")));
                    };
                    let age = at
                        .duration_since(SystemTime::UNIX_EPOCH)
                        .unwrap_or_default();
                    key = format!("{key} at {}", age.as_micros());
                    relation = Relation::At(table, at);
                }
                if let Some(sample) = sample.take() {
                    let percent = percent_of(&sample)?;
                    let Relation::Table(table) = relation else {
                        return Err(unsupported(format!("a sample of {last}")));
                    };
                    key = format!("{key} {percent} percent");
                    relation = Relation::Sample(table, percent);
                }
                *name = ObjectName::from(vec![Ident::with_quote('`', key.clone())]);
                alias.get_or_insert_with(|| ast::TableAlias {
                    explicit: true,
                    name: Ident::with_quote('`', last),
                    columns: Vec::new(),
                    at: None,
                });
                self.tables.insert(key, relation);
                Ok(())
            }
            TableFactor::UNNEST { alias, .. } => {
                // The alias is the name of the element, not of a table.
                let unnamed = self.unnamed.last_mut();
                let alias = alias.get_or_insert_with(|| {
                    let at = unnamed.map_or(0, |count| {
                        *count += 1;
                        *count - 1
                    });
                    build::alias(&format!("f{at}_"))
                });
                if alias.columns.is_empty() {
                    alias.columns.push(TableAliasColumnDef {
                        name: alias.name.clone(),
                        data_type: None,
                    });
                }
                Ok(())
            }
            TableFactor::Derived {
                sample: Some(_), ..
            } => Err(QueryError::Invalid {
                message: "TABLESAMPLE SYSTEM can only be applied directly to tables".to_owned(),
            }),
            TableFactor::Derived {
                lateral: false,
                alias,
                ..
            } => {
                if alias.is_none() {
                    // Columns of the same name in two of them must be told apart.
                    *alias = Some(build::alias(&format!("millpond_derived_{}", self.derived)));
                    self.derived += 1;
                }
                Ok(())
            }
            TableFactor::Pivot { .. } | TableFactor::Unpivot { .. } => {
                pivots::expand(factor)?;
                self.table_factor(factor)
            }
            TableFactor::NestedJoin { .. } => Ok(()),
            TableFactor::Table { name, .. } => Err(unsupported(format!(
                "a sample, a version or arguments of the table {name}"
            ))),
            other => {
                let text = other.to_string();
                Err(unsupported(format!("the table expression {text}")))
            }
        }
    }

    /// What the parts of a name mean, the name it goes by from now on, and its alias where it is given none.
    pub(super) fn relation(
        &self,
        parts: &[String],
    ) -> Result<(Relation, String, String), QueryError> {
        let last = parts.last().map(String::as_str).unwrap_or_default();
        let Some(prefix) = last.strip_suffix('*') else {
            if let Some(view) = View::named(parts, self.defaults)? {
                let (key, alias) = (view.key(), last.to_owned());
                return Ok((Relation::Information(view), key, alias));
            }
            let table = self.table(parts)?;
            let (key, alias) = (table.to_resource(), table.table().to_owned());
            if self.arrivals.contains(&table) {
                return Ok((
                    Relation::Arrivals(table),
                    format!("{key} by arrival"),
                    alias,
                ));
            }
            return Ok((Relation::Table(table), key, alias));
        };
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let dataset = self.defaults.dataset.as_ref();
        let (project, dataset) = match (parts.as_slice(), dataset) {
            ([_], Some((project, dataset))) => (project.as_str(), dataset.as_str()),
            ([dataset, _], _) => (self.defaults.project.as_str(), *dataset),
            ([project, dataset, _], _) => (*project, *dataset),
            _ => {
                return Err(QueryError::NoDataset {
                    name: parts.join("."),
                });
            }
        };
        let prefix = TablePrefix::try_new(project, dataset, prefix)?;
        let key = prefix.to_resource();
        Ok((Relation::Wildcard(prefix), key, last.to_owned()))
    }

    /// The table that the parts of a name mean.
    pub(super) fn table(&self, parts: &[String]) -> Result<TableName, QueryError> {
        let mut parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        if parts.len() == 2
            && parts
                .first()
                .is_some_and(|p| p.eq_ignore_ascii_case(SESSION))
        {
            parts.remove(0);
        }
        let missing = |name: &str| QueryError::NoDataset {
            name: name.to_owned(),
        };
        if parts
            .iter()
            .any(|p| p.eq_ignore_ascii_case("INFORMATION_SCHEMA"))
        {
            return Err(unsupported(format!("the view {}", parts.join("."))));
        }
        if parts.last().is_some_and(|p| p.ends_with('*')) {
            return Err(unsupported(format!(
                "the wildcard table {}",
                parts.join(".")
            )));
        }
        Ok(match parts.as_slice() {
            [table] if self.defaults.temporary.contains_key(*table) => self
                .defaults
                .temporary
                .get(*table)
                .cloned()
                .ok_or_else(|| missing(table))?,
            [table] => {
                let (project, dataset) = self
                    .defaults
                    .dataset
                    .as_ref()
                    .ok_or_else(|| missing(table))?;
                TableName::try_new(project, dataset, table)?
            }
            [dataset, table] => TableName::try_new(&self.defaults.project, dataset, table)?,
            [project, dataset, table] => TableName::try_new(project, dataset, table)?,
            _ => return Err(missing(&parts.join("."))),
        })
    }
}

/// The parts of a name; dots inside backticks separate, too.
pub(in crate::query) fn name_parts(name: &ObjectName) -> Result<Vec<String>, QueryError> {
    let mut parts = Vec::new();
    for part in &name.0 {
        let ObjectNamePart::Identifier(ident) = part else {
            return Err(unsupported(format!("the table name {name}")));
        };
        parts.extend(ident.value.split('.').map(str::to_owned));
    }
    Ok(parts)
}

/// The size of a sample of blocks.
fn percent_of(sample: &ast::TableSampleKind) -> Result<f64, QueryError> {
    let (ast::TableSampleKind::BeforeTableAlias(sample)
    | ast::TableSampleKind::AfterTableAlias(sample)) = sample;
    let refused = || unsupported(format!("the sample {sample}"));
    let system = matches!(sample.name, Some(ast::TableSampleMethod::System));
    let Some(quantity) = sample.quantity.as_ref().filter(|_| system) else {
        return Err(refused());
    };
    let Expr::Value(value) = &quantity.value else {
        return Err(refused());
    };
    let percent = match (&value.value, &quantity.unit) {
        (Value::Number(text, _), Some(ast::TableSampleUnit::Percent)) => text.parse::<f64>().ok(),
        _ => None,
    };
    let percent = percent.ok_or_else(refused)?;
    if !(0.0..=100.0).contains(&percent) {
        return Err(QueryError::Invalid {
            message: format!(
                "TABLESAMPLE percent value must be in the range [0, 100], not {percent}"
            ),
        });
    }
    Ok(percent)
}
