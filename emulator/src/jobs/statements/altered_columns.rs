//! Columns of a table under ALTER TABLE: added, dropped, renamed, relaxed, widened.
//!
//! Must not know how rows are written again.

use serde_json::{Map, Value, json};

use super::definitions::declared;
use super::options::{self, Of};
use super::{invalid, unsupported};
use crate::catalog::Table;
use crate::jobs::JobError;
use crate::jobs::query::Running;
use crate::query::ast::{ColumnOption, Ident};
use crate::query::sql_types;
use crate::query::statements::alter::{Action, ColumnChange};
use crate::schema::{self, FieldSchema};

/// A column as it will be, and the name its values have now.
#[derive(Debug, Clone)]
pub(super) struct AlteredColumn {
    pub field: FieldSchema,
    pub from: Option<String>,
}

/// All columns of a table, in order.
#[derive(Debug)]
pub(super) struct Columns {
    columns: Vec<AlteredColumn>,
    /// Columns that partitions or clusters are made by.
    layout: Vec<String>,
    rewrites_rows: bool,
    table: String,
}

impl Columns {
    pub fn of(table: &Table) -> Self {
        let fields = match &table.metadata {
            Some(metadata) if !metadata.schema.is_empty() => metadata.schema.clone(),
            _ => schema::from_arrow(&table.schema),
        };
        let settings = table.metadata.as_ref().map(|m| &m.resource);
        Self {
            columns: fields
                .into_iter()
                .map(|field| AlteredColumn {
                    from: Some(field.name.clone()),
                    field,
                })
                .collect(),
            layout: settings.map(layout).unwrap_or_default(),
            rewrites_rows: false,
            table: table.name.to_string(),
        }
    }

    /// Whether values have to be written again under another name or type, or must not come back.
    pub fn rewrites_rows(&self) -> bool {
        self.rewrites_rows
    }

    pub fn into_columns(self) -> Vec<AlteredColumn> {
        self.columns
    }

    fn position(&self, name: &str) -> Option<usize> {
        let mut columns = self.columns.iter();
        columns.position(|c| c.field.name.eq_ignore_ascii_case(name))
    }

    /// Refuses the name of a column that there is not.
    pub fn require(&self, name: &str) -> Result<usize, JobError> {
        self.position(name)
            .ok_or_else(|| invalid(format!("Column not found: {name}")))
    }

    /// Does what one action says about columns.
    pub fn apply(&mut self, running: &Running<'_, '_>, action: &Action) -> Result<(), JobError> {
        match action {
            Action::AddColumn {
                if_not_exists,
                column,
            } => {
                let key = |option: &ColumnOption| {
                    matches!(
                        option,
                        ColumnOption::PrimaryKey(_) | ColumnOption::ForeignKey(_)
                    )
                };
                if let Some(key) = column.options.iter().find(|o| key(&o.option)) {
                    return Err(unsupported(format!("the column option {key}")));
                }
                let field = declared(running, column)?;
                if self.position(&field.name).is_some() {
                    return if *if_not_exists {
                        Ok(())
                    } else {
                        Err(invalid(format!("Column already exists: {}", field.name)))
                    };
                }
                if field.mode == "REQUIRED" {
                    return Err(invalid(format!(
                        "Cannot add required fields to an existing schema. (field: {})",
                        field.name
                    )));
                }
                if field.other.contains_key("defaultValueExpression") {
                    return Err(invalid(format!(
                        "ALTER TABLE ADD COLUMN with a default value is not allowed: add column {} first, then set its default",
                        field.name
                    )));
                }
                self.columns.push(AlteredColumn { field, from: None });
                self.check()
            }
            Action::DropColumn { if_exists, name } => {
                let Some(at) = self.position(&name.value) else {
                    return self.missing(*if_exists, name);
                };
                self.not_of_layout(&name.value, "drop")?;
                if self.columns.len() == 1 {
                    return Err(invalid(format!(
                        "Cannot drop column {name}: it is the only one of table {}",
                        self.table
                    )));
                }
                self.columns.remove(at);
                self.rewrites_rows = true;
                Ok(())
            }
            Action::RenameColumn {
                if_exists,
                from,
                to,
            } => {
                let Some(at) = self.position(&from.value) else {
                    return self.missing(*if_exists, from);
                };
                if self.position(&to.value).is_some_and(|other| other != at) {
                    return Err(invalid(format!("Column already exists: {}", to.value)));
                }
                self.not_of_layout(&from.value, "rename")?;
                if let Some(column) = self.columns.get_mut(at) {
                    column.field.name.clone_from(&to.value);
                }
                self.rewrites_rows = true;
                self.check()
            }
            Action::Column {
                if_exists,
                name,
                change,
            } => match self.position(&name.value) {
                None => self.missing(*if_exists, name),
                Some(at) => self.change(running, at, change),
            },
            other => Err(unsupported(format!("{other:?}"))),
        }
    }

    /// Names and types are still such that a table may have them.
    fn check(&mut self) -> Result<(), JobError> {
        let fields: Vec<FieldSchema> = self.columns.iter().map(|c| c.field.clone()).collect();
        let checked = schema::checked(&fields).map_err(|e| invalid(e.to_string()))?;
        for (column, field) in self.columns.iter_mut().zip(checked) {
            column.field = field;
        }
        Ok(())
    }

    fn missing(&self, may_be: bool, name: &Ident) -> Result<(), JobError> {
        if may_be {
            Ok(())
        } else {
            Err(invalid(format!("Column not found: {}", name.value)))
        }
    }

    fn not_of_layout(&self, name: &str, what: &str) -> Result<(), JobError> {
        if self.layout.iter().any(|c| c.eq_ignore_ascii_case(name)) {
            return Err(invalid(format!(
                "Cannot {what} column {name}: table {} is partitioned or clustered by it",
                self.table
            )));
        }
        Ok(())
    }

    fn change(
        &mut self,
        running: &Running<'_, '_>,
        at: usize,
        change: &ColumnChange,
    ) -> Result<(), JobError> {
        let Some(column) = self.columns.get_mut(at) else {
            return Ok(());
        };
        let field = &mut column.field;
        match change {
            ColumnChange::SetOptions(options) => {
                for setting in options::settings(running, Of::Column, options)? {
                    setting.apply(&mut field.other);
                }
            }
            ColumnChange::SetDefault(value) => {
                let text = json!(value.to_string());
                field
                    .other
                    .insert("defaultValueExpression".to_owned(), text);
            }
            ColumnChange::DropDefault => {
                field.other.remove("defaultValueExpression");
            }
            ColumnChange::DropNotNull if field.mode == "REQUIRED" => {
                "NULLABLE".clone_into(&mut field.mode);
            }
            ColumnChange::DropNotNull => {
                return Err(invalid(format!(
                    "ALTER COLUMN DROP NOT NULL requires a column with NOT NULL: {}",
                    field.name
                )));
            }
            ColumnChange::SetDataType(data_type) => {
                let wanted = sql_types::column(&field.name, data_type)?;
                let wanted = schema::checked(&[wanted]).map_err(|e| invalid(e.to_string()))?;
                for wanted in wanted {
                    self.rewrites_rows |= widen(field, wanted)?;
                }
            }
        }
        Ok(())
    }
}

/// Columns that a table is partitioned or clustered by.
fn layout(settings: &Map<String, Value>) -> Vec<String> {
    let field = |key: &str| settings.get(key)?.get("field")?.as_str();
    let clustered = settings.get("clustering").and_then(|c| c.get("fields"));
    let clustered = clustered.and_then(Value::as_array).into_iter().flatten();
    field("timePartitioning")
        .into_iter()
        .chain(field("rangePartitioning"))
        .chain(clustered.filter_map(Value::as_str))
        .map(str::to_owned)
        .collect()
}

/// Gives a column a type that holds all values of the one it has; returns whether they are kept in another form then.
///
/// # Errors
/// When the type holds less, or other values.
fn widen(field: &mut FieldSchema, wanted: FieldSchema) -> Result<bool, JobError> {
    let refuse = |own: &FieldSchema| {
        invalid(format!(
            "ALTER TABLE ALTER COLUMN SET DATA TYPE requires that the existing column type ({}) is assignable to the new type ({})",
            sql_types::shown(own),
            sql_types::shown(&wanted)
        ))
    };
    let repeated = |f: &FieldSchema| f.mode == "REPEATED";
    let wider = match (field.kind.as_str(), wanted.kind.as_str()) {
        ("INTEGER", "NUMERIC" | "BIGNUMERIC") => {
            // 19 digits before the point.
            whole_digits(&wanted) >= 19
        }
        ("INTEGER" | "NUMERIC" | "BIGNUMERIC", "FLOAT") => true,
        ("NUMERIC", "BIGNUMERIC") | ("NUMERIC", "NUMERIC") | ("BIGNUMERIC", "BIGNUMERIC") => {
            whole_digits(&wanted) >= whole_digits(field) && scale(&wanted) >= scale(field)
        }
        ("STRING" | "BYTES", kind) if kind == field.kind => {
            match (number(field, "maxLength"), number(&wanted, "maxLength")) {
                (_, None) => true,
                (None, Some(_)) => false,
                (Some(own), Some(new)) => new >= own,
            }
        }
        ("RECORD", "RECORD") => more_fields(&field.fields, &wanted.fields),
        (own, new) => own == new && field.range_element_type == wanted.range_element_type,
    };
    if !wider || repeated(field) != repeated(&wanted) {
        return Err(refuse(field));
    }
    let arrow = |f: &FieldSchema| f.to_arrow().data_type().clone();
    let other_form = arrow(field) != arrow(&wanted) && field.kind != "RECORD";
    field.kind = wanted.kind;
    field.fields = wanted.fields;
    for key in ["maxLength", "precision", "scale"] {
        match wanted.other.get(key) {
            Some(value) => field.other.insert(key.to_owned(), value.clone()),
            None => field.other.remove(key),
        };
    }
    Ok(other_form)
}

/// Whether a record's fields are those it had and nullable ones after them.
fn more_fields(own: &[FieldSchema], wanted: &[FieldSchema]) -> bool {
    let same = own.iter().zip(wanted).all(|(own, new)| {
        own.name.eq_ignore_ascii_case(&new.name)
            && own.kind == new.kind
            && (own.mode == "REPEATED") == (new.mode == "REPEATED")
            && own.to_arrow().data_type() == new.to_arrow().data_type()
    });
    same && wanted.len() >= own.len()
}

fn number(field: &FieldSchema, key: &str) -> Option<i64> {
    match field.other.get(key)? {
        Value::String(text) => text.parse().ok(),
        other => other.as_i64(),
    }
}

fn scale(field: &FieldSchema) -> i64 {
    match (number(field, "precision"), number(field, "scale")) {
        (_, Some(scale)) => scale,
        (Some(_), None) => 0,
        (None, None) if field.kind == "BIGNUMERIC" => 38,
        (None, None) => 9,
    }
}

fn whole_digits(field: &FieldSchema) -> i64 {
    match number(field, "precision") {
        Some(precision) => precision - scale(field),
        None if field.kind == "BIGNUMERIC" => 38,
        None => 29,
    }
}
