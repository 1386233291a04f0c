//! The scan of a query's result: that of the table it is in, under names that stay the same.
//!
//! Owns what is different from reading any table. Must not know how the result came about.

use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::{Schema, SchemaRef};
use futures::StreamExt;
use serde_json::Value;

use super::{PSEUDO_RESULT, QueryToken, TABLE_SUFFIX};
use crate::error::{Error, ErrorKind, Result};
use crate::source::{BatchStream, Leg, QueryUsage, ReadContext, Rescan, Scan, Snapshot, Unit};

/// Where rows come from.
#[derive(Debug)]
pub(super) enum Rows {
    /// The table with the result.
    Of(Arc<dyn Scan>),
    /// Nowhere: the table has gone.
    Gone {
        /// It had this name.
        table: String,
    },
}

/// The rows of a query that has been run.
#[derive(Debug)]
pub(super) struct QueryScan {
    rows: Rows,
    /// As the query was announced.
    schema: SchemaRef,
    token: QueryToken,
    written: Option<Value>,
    name: String,
}

impl QueryScan {
    /// The scan, whose rows must have the columns of `schema`.
    ///
    /// # Errors
    /// Schema when the result has columns of other types than the query was announced with.
    pub fn try_new(rows: Rows, schema: SchemaRef, token: QueryToken, name: &str) -> Result<Self> {
        if let Rows::Of(scan) = &rows {
            same_types(&schema, &scan.schema(), name)?;
        }
        Ok(Self {
            rows,
            schema,
            written: serde_json::to_value(&token).ok(),
            token,
            name: name.to_owned(),
        })
    }

    fn scan(&self) -> Result<&Arc<dyn Scan>> {
        match &self.rows {
            Rows::Of(scan) => Ok(scan),
            Rows::Gone { table } => Err(Error::new(
                ErrorKind::Manifest,
                format!(
                    "table {table} with the result that an earlier run has read in part is gone, and rows of another run of {} are not mixed with it; add --restart to ask the query again",
                    self.name
                ),
            )),
        }
    }

    /// The batches under this scan's schema.
    fn announced(&self, batches: BatchStream) -> BatchStream {
        let schema = Arc::clone(&self.schema);
        batches
            .map(move |batch| {
                let batch = batch?;
                let rows = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
                RecordBatch::try_new_with_options(
                    Arc::clone(&schema),
                    batch.columns().to_vec(),
                    &rows,
                )
                .map_err(|e| Error::with_source(ErrorKind::Schema, "result of a query", e))
            })
            .boxed()
    }
}

impl Scan for QueryScan {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn units(&self) -> &[Unit] {
        &self.token.units
    }

    fn rescan(&self) -> Rescan {
        Rescan::Paid
    }

    fn snapshot(&self) -> Snapshot {
        self.token.snapshot.clone()
    }

    fn session(&self) -> Snapshot {
        self.token.session.clone()
    }

    fn usage(&self) -> QueryUsage {
        self.token.usage
    }

    fn token(&self) -> Option<Value> {
        self.written.clone()
    }

    fn unit_token(&self, index: usize) -> Option<Value> {
        match &self.rows {
            Rows::Of(scan) => scan.unit_token(index),
            Rows::Gone { .. } => None,
        }
    }

    fn goes_on(&self, index: usize) -> bool {
        match &self.rows {
            Rows::Of(scan) => scan.goes_on(index),
            // Whoever reads on is told why not.
            Rows::Gone { .. } => true,
        }
    }

    fn starts_over(&self) -> bool {
        matches!(&self.rows, Rows::Of(scan) if scan.starts_over())
    }

    fn open(&self, index: usize, context: &ReadContext) -> Result<BatchStream> {
        Ok(self.announced(self.scan()?.open(index, context)?))
    }

    fn open_leg(&self, index: usize, leg: Leg, context: &ReadContext) -> Result<BatchStream> {
        Ok(self.announced(self.scan()?.open_leg(index, leg, context)?))
    }
}

/// A query that is only planned.
#[derive(Debug)]
pub(super) struct PlannedScan {
    schema: SchemaRef,
    units: Vec<Unit>,
    snapshot: Snapshot,
}

impl PlannedScan {
    /// One unit that stands for all there will be.
    pub fn new(schema: SchemaRef, name: &str, bytes: Option<u64>, snapshot: Snapshot) -> Self {
        Self {
            schema,
            units: vec![Unit {
                name: name.to_owned(),
                rows: None,
                bytes,
            }],
            snapshot,
        }
    }
}

impl Scan for PlannedScan {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn units(&self) -> &[Unit] {
        &self.units
    }

    fn rescan(&self) -> Rescan {
        Rescan::Paid
    }

    fn snapshot(&self) -> Snapshot {
        self.snapshot.clone()
    }

    fn resume(&self) -> Option<String> {
        Some("after a kill: rows read and shards, as long as the result's table and the read session (6 hours) live; after any other end: shards, once all rows are read, because the table is removed".to_owned())
    }

    fn open(&self, index: usize, _: &ReadContext) -> Result<BatchStream> {
        Err(Error::config(format!(
            "unit {index} is only planned: its query has not been run"
        )))
    }
}

/// Names and types must be those announced; that a column cannot be null may be known only now.
fn same_types(announced: &Schema, found: &Schema, name: &str) -> Result<()> {
    for (index, field) in announced.fields().iter().enumerate() {
        let other = found.fields().get(index);
        let same = other.is_some_and(|other| {
            let pseudo = field.name() == TABLE_SUFFIX && other.name() == PSEUDO_RESULT;
            (other.name() == field.name() || pseudo) && other.data_type() == field.data_type()
        });
        if !same {
            return Err(Error::new(
                ErrorKind::Schema,
                format!(
                    "the result of {name} has column {:?} as {} and it was announced as {}",
                    field.name(),
                    other.map_or_else(|| "nothing".to_owned(), |o| o.data_type().to_string()),
                    field.data_type()
                ),
            ));
        }
    }
    Ok(())
}
