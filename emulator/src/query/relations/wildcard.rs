//! Tables whose names begin alike, read as one: `SELECT ... FROM d.prefix_* WHERE _TABLE_SUFFIX BETWEEN 'a' AND 'b'`.
//!
//! The columns are those of the newest table, and `_TABLE_SUFFIX` beside them. Conditions on that alone choose tables before
//! anything is read. Must not know how queries are written.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::Session;
use datafusion::common::{DataFusionError, Result};
use datafusion::logical_expr::Expr;

use crate::catalog::{Catalog, CatalogError, Table};
use crate::name::TablePrefix;
use crate::query::QueryError;
use crate::query::relations::pruned::{Batches, Parts, left_by, rows_of};
use crate::row_access::{RowAccessError, Visible};
use crate::schema::FieldSchema;
use crate::wire;

/// The pseudo column that holds what the star stands for.
pub(in crate::query) const TABLE_SUFFIX: &str = "_TABLE_SUFFIX";

/// One of the tables.
#[derive(Debug, Clone)]
struct Member {
    suffix: String,
    table: Arc<Table>,
}

/// All tables of a prefix.
#[derive(Debug)]
pub(in crate::query) struct Wildcard {
    /// By name.
    members: Vec<Member>,
    /// The columns and `_TABLE_SUFFIX`.
    schema: SchemaRef,
}

impl Wildcard {
    /// Opens all tables of a prefix.
    ///
    /// # Errors
    /// [`QueryError`] when there is none, or one that is no table of rows.
    pub fn open(catalog: &Catalog, prefix: &TablePrefix) -> std::result::Result<Self, QueryError> {
        let members: Vec<Member> = catalog
            .tables_of(prefix)?
            .into_iter()
            .map(|(suffix, table)| Member { suffix, table })
            .collect();
        let other = members.iter().find(|m| m.table.kind() != "TABLE");
        if let Some(Member { table, .. }) = other {
            let what = match table.kind() {
                "EXTERNAL" => "External tables",
                _ => "Views",
            };
            let name = &table.name;
            return Err(QueryError::Invalid {
                message: format!("{what} cannot be queried through prefix. First one is {name}."),
            });
        }
        let seen = members
            .iter()
            .find(|m| Visible::of(&m.table) != Visible::All);
        if let Some(Member { table, .. }) = seen {
            let table = table.name.clone();
            return Err(CatalogError::from(RowAccessError::Wildcard { table }).into());
        }
        let newest = members.iter().max_by_key(|m| m.table.created_us());
        let Some(newest) = newest else {
            return Err(QueryError::NoMatch {
                prefix: prefix.clone(),
            });
        };
        let suffix = Arc::new(Field::new(TABLE_SUFFIX, DataType::Utf8, false));
        // What one table lacks is null, so no column of all is required.
        let fields = newest.table.schema.fields().iter().map(|f| {
            let repeated = matches!(f.data_type(), DataType::List(_));
            Arc::new(Field::clone(f).with_nullable(!repeated))
        });
        Ok(Self {
            schema: Arc::new(Schema::new(fields.chain([suffix]).collect::<Vec<_>>())),
            members,
        })
    }

    /// The tables that conditions on `_TABLE_SUFFIX` leave; conditions on anything else leave all.
    ///
    /// # Errors
    /// When a column of one of them has another type than that of the newest table.
    pub fn chosen(&self, state: &dyn Session, conditions: &[Expr]) -> Result<Vec<Arc<Table>>> {
        Ok(self
            .members_of(state, conditions)?
            .into_iter()
            .map(|m| m.table)
            .collect())
    }

    fn members_of(&self, state: &dyn Session, conditions: &[Expr]) -> Result<Vec<Member>> {
        let suffixes: StringArray = self.members.iter().map(|m| Some(&m.suffix)).collect();
        let column = Field::new(TABLE_SUFFIX, DataType::Utf8, false);
        let schema = Arc::new(Schema::new(vec![column]));
        let batch = RecordBatch::try_new(schema, vec![Arc::new(suffixes)])?;
        let left = left_by::<Self>(state, conditions, &batch)?;
        let members = self.members.iter().zip(left);
        let members: Vec<Member> = members
            .filter(|(_, left)| *left)
            .map(|(member, _)| member.clone())
            .collect();
        members.iter().try_for_each(|m| self.check(&m.table))?;
        Ok(members)
    }

    /// Columns of one name must have one type.
    fn check(&self, table: &Table) -> Result<()> {
        for field in self.schema.fields() {
            let own = crate::projection::find(table.schema.fields(), field.name());
            if let Some((_, own)) = own
                && !alike(own, field)
            {
                let message = format!(
                    "Cannot read field of type {} as {} Field: {} (table {})",
                    FieldSchema::from_arrow(own).kind,
                    FieldSchema::from_arrow(field).kind,
                    field.name(),
                    table.name
                );
                return Err(DataFusionError::Plan(message));
            }
        }
        Ok(())
    }
}

/// Whether values of one column can be read as those of the other: fields of records may be missing.
fn alike(own: &Field, wanted: &Field) -> bool {
    if wire::sql_type(own) != wire::sql_type(wanted) {
        return false;
    }
    match (own.data_type(), wanted.data_type()) {
        (DataType::Struct(own), DataType::Struct(wanted)) => wanted.iter().all(|w| {
            let own = own.iter().find(|o| o.name() == w.name());
            own.map_or(w.is_nullable(), |own| alike(own, w))
        }),
        (DataType::List(own), DataType::List(wanted)) => alike(own, wanted),
        (own, wanted) => own == wanted,
    }
}

impl Parts for Wildcard {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn chooses(condition: &Expr) -> bool {
        let columns = condition.column_refs();
        !columns.is_empty() && columns.iter().all(|c| c.name == TABLE_SUFFIX)
    }

    fn rows(&self, state: &dyn Session, conditions: &[Expr]) -> Result<Batches> {
        let members = self.members_of(state, conditions)?;
        let schema = Arc::clone(&self.schema);
        Ok(Box::new(move || {
            let schema = Arc::clone(&schema);
            Box::new(members.clone().into_iter().flat_map(move |member| {
                let schema = Arc::clone(&schema);
                rows_of(member.table, 0, u64::MAX)
                    .map(move |batch| placed(&batch?, &schema, &member.suffix))
            }))
        }))
    }
}

/// Rows of one table with the columns of all.
fn placed(batch: &RecordBatch, schema: &SchemaRef, suffix: &str) -> Result<RecordBatch> {
    let rows = batch.num_rows();
    let own = batch.schema_ref().fields();
    let columns = schema
        .fields()
        .iter()
        .map(|field| {
            if field.name() == TABLE_SUFFIX {
                let same = std::iter::repeat_n(Some(suffix), rows);
                return Ok(Arc::new(same.collect::<StringArray>()) as ArrayRef);
            }
            match crate::projection::find(own, field.name()) {
                Some((index, _)) => wire::to_wire(batch.column(index), field),
                None => wire::absent(field, rows),
            }
        })
        .collect::<std::result::Result<Vec<_>, _>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(RecordBatch::try_new_with_options(
        Arc::clone(schema),
        columns,
        &options,
    )?)
}
