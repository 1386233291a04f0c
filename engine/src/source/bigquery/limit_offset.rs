//! A table read as people page through one: a query per chunk, `LIMIT n OFFSET k`, its rows as pages of JSON.
//!
//! Owns that loop, for comparison with the other ways of reading: it is billed once per chunk, nobody promises that two chunks
//! see the same table, and without an order neither that they see each row once. Must not be chosen for anything else.

use std::sync::{Arc, Mutex, PoisonError};

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use futures::{StreamExt, stream};
use google_cloud_bigquery_v2::model::JobReference;
use millpond_spill::Permit;
use serde_json::json;

use super::chance::Chance;
use super::json_rows::{self, JsonRow};
use super::query_job::{DryRun, Query};
use super::rest::Rest;
use super::settings::{QuerySettings, check_bytes};
use super::table::{TableName, quote_column};
use super::{field_schema, known, narrowest, restriction};
use crate::error::{Error, ErrorKind, Result};
use crate::job::Cancellation;
use crate::recipe::Names;
use crate::source::connect::Connecting;
use crate::source::{
    Appraisal, BatchStream, Billing, Leg, Predicate, QueryUsage, ReadContext, Rescan, Scan,
    ScanRequest, Snapshot, Source, Unit,
};

/// Rows of a chunk unless the recipe says otherwise.
const CHUNK_ROWS: u64 = 100_000;
/// Rows of a page.
const PAGE_ROWS: u32 = 10_000;
/// Bytes that a page may take at the service's own limit, several times over as JSON values.
const PAGE_BYTES: u64 = 32 << 20;

/// A table read in chunks.
#[derive(Debug)]
pub(super) struct LimitOffsetSource {
    name: String,
    table: TableName,
    rest: Rest,
    settings: QuerySettings,
    chunk_rows: u64,
    order_by: Names,
    schema: SchemaRef,
    dry_run: DryRun,
    cancellation: Cancellation,
}

impl LimitOffsetSource {
    /// Learns the columns by a dry run.
    ///
    /// # Errors
    /// Config for a chunk without rows or an order by columns there are not, and as [`Query::dry_run`].
    pub async fn connect(
        table: TableName,
        (chunk_rows, order_by): (Option<u64>, Names),
        (settings, rest): (QuerySettings, Rest),
        connecting: Connecting,
    ) -> Result<Self> {
        let chunk_rows = chunk_rows.unwrap_or(CHUNK_ROWS);
        if chunk_rows == 0 {
            return Err(Error::config("chunk_rows must be at least 1, not 0"));
        }
        let query = Query {
            sql: format!("SELECT * FROM {}", table.quoted()),
            location: settings.location.clone(),
            ..Query::default()
        };
        let dry_run = query.dry_run(&rest).await?;
        let mut schema = field_schema::to_arrow(&dry_run.columns)?;
        // A query does not tell which columns are required; who may not ask takes none for that.
        if let Ok(known) = rest.table(&table).await {
            schema = field_schema::with_required(&schema, &known.schema.unwrap_or_default().fields);
        }
        for column in order_by.iter() {
            if schema.field_with_name(column).is_err() {
                return Err(Error::config(format!(
                    "order_by: table {table} has no column {column:?}"
                )));
            }
        }
        Ok(Self {
            name: format!("bigquery://{table}"),
            table,
            rest,
            settings,
            chunk_rows,
            order_by,
            schema,
            dry_run,
            cancellation: connecting.cancellation,
        })
    }

    /// The query of all chunks, up to its LIMIT.
    fn sql(&self, columns: &[String], restriction: &str) -> Result<String> {
        let columns = if columns.is_empty() {
            narrowest(&self.schema).into_iter().collect()
        } else {
            columns.to_vec()
        };
        let quoted = |columns: &[String]| -> Result<String> {
            let columns = columns.iter().map(|column| quote_column(column));
            Ok(columns.collect::<Result<Vec<_>>>()?.join(", "))
        };
        let mut sql = format!("SELECT {} FROM {}", quoted(&columns)?, self.table.quoted());
        if !restriction.is_empty() {
            sql.push_str(&format!(" WHERE {restriction}"));
        }
        if !self.order_by.is_empty() {
            sql.push_str(&format!(" ORDER BY {}", quoted(&self.order_by.0)?));
        }
        Ok(sql)
    }

    /// Rows of the table, when the service tells.
    async fn table_rows(&self) -> Option<u64> {
        self.rest.table(&self.table).await.ok()?.num_rows
    }
}

#[async_trait]
impl Source for LimitOffsetSource {
    fn name(&self) -> &str {
        &self.name
    }

    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn applies(&self, predicate: &Predicate) -> bool {
        restriction::applies(&self.schema, predicate)
    }

    fn billing(&self) -> Billing {
        Billing::Query
    }

    fn notes(&self) -> Vec<String> {
        let order = if self.order_by.is_empty() {
            "; without order_by rows come in no order, so that some may be read twice and others never"
        } else {
            ""
        };
        vec![format!(
            "read: limit_offset is for comparison only: every chunk of {} rows is a query that is billed for the whole table, no two chunks are promised the same state of it{order}",
            self.chunk_rows
        )]
    }

    async fn appraise(&self, columns: &[String], restriction: &str) -> Appraisal {
        let mut notes = Vec::new();
        let sql = self.sql(columns, restriction);
        let query = |sql| Query {
            sql,
            location: self.settings.location.clone(),
            ..Query::default()
        };
        let of_chunk = match sql {
            Ok(sql) => query(sql).dry_run(&self.rest).await,
            Err(error) => Err(error),
        };
        let of_chunk = of_chunk.map_or_else(
            |error| {
                notes.push(format!("no dry run: {error}"));
                None
            },
            |dry_run| dry_run.bytes_processed,
        );
        let chunks = self
            .table_rows()
            .await
            .map(|rows| rows / self.chunk_rows + 1);
        if let (Some(bytes), Some(chunks)) = (of_chunk, chunks) {
            notes.push(format!("up to {chunks} queries of {bytes} bytes each"));
        }
        Appraisal {
            dry_run_bytes: of_chunk
                .or(self.dry_run.bytes_processed)
                .map(|bytes| bytes.saturating_mul(chunks.unwrap_or(1))),
            table: known([("kind", json!("chunks by LIMIT and OFFSET"))]),
            notes,
        }
    }

    async fn scan(&self, request: ScanRequest) -> Result<Arc<dyn Scan>> {
        let (_, schema) = request.project(&self.schema, &self.name)?;
        if let Some(nested) = schema
            .fields()
            .iter()
            .find(|field| !json_rows::reads(field))
        {
            return Err(Error::new(
                ErrorKind::Schema,
                format!(
                    "column {:?} of {} is nested ({}), which read: limit_offset does not read: drop it, or leave read out",
                    nested.name(),
                    self.name,
                    nested.data_type()
                ),
            ));
        }
        let restriction = restriction::row_restriction(&request.predicates)?;
        let sql = self.sql(&request.columns, &restriction)?;
        let query = Query {
            sql: sql.clone(),
            location: self.settings.location.clone(),
            ..Query::default()
        };
        let of_chunk = query.dry_run(&self.rest).await?.bytes_processed;
        let rows = self.table_rows().await;
        let chunks = rows.map_or(1, |rows| rows / self.chunk_rows + 1);
        let bytes = of_chunk.map(|bytes| bytes.saturating_mul(chunks));
        check_bytes(&self.name, bytes, self.settings.max_bytes)?;
        let snapshot = known([
            ("table", json!(self.table.to_string())),
            ("sql", json!(sql)),
            ("chunk_rows", json!(self.chunk_rows)),
            (
                "row_restriction",
                json!(Some(restriction).filter(|text| !text.is_empty())),
            ),
        ]);
        Ok(Arc::new(LimitOffsetScan {
            units: vec![Unit {
                name: format!("{} in chunks", self.table),
                rows: rows.filter(|_| request.predicates.is_empty()),
                bytes,
            }],
            schema,
            snapshot,
            chunks: Chunks {
                rest: self.rest.clone(),
                sql,
                location: self.settings.location.clone(),
                max_bytes: self.settings.max_bytes,
                rows: self.chunk_rows,
                cancellation: self.cancellation.clone(),
                usage: Arc::default(),
                end: Arc::default(),
            },
        }))
    }
}

/// What asks for chunks.
#[derive(Debug, Clone)]
struct Chunks {
    rest: Rest,
    sql: String,
    location: Option<String>,
    max_bytes: Option<u64>,
    rows: u64,
    cancellation: Cancellation,
    usage: Arc<Mutex<QueryUsage>>,
    /// How many rows there are, once a chunk was not full.
    end: Arc<Mutex<Option<u64>>>,
}

impl Chunks {
    fn end(&self) -> Option<u64> {
        *self.end.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs the query of the chunk from row `offset` on.
    async fn ask(&self, offset: u64) -> Result<JobReference> {
        let query = Query {
            sql: format!("{} LIMIT {} OFFSET {offset}", self.sql, self.rows),
            parameters: Vec::new(),
            location: self.location.clone(),
            maximum_bytes_billed: self.max_bytes,
        };
        let ended = query
            .run(&self.rest, None, Chance::SYSTEM, &self.cancellation)
            .await?;
        let mut usage = self.usage.lock().unwrap_or_else(PoisonError::into_inner);
        *usage = usage.and(ended.usage);
        Ok(ended.reference)
    }
}

/// One unit of chunks that follow one another.
#[derive(Debug)]
struct LimitOffsetScan {
    schema: SchemaRef,
    units: Vec<Unit>,
    snapshot: Snapshot,
    chunks: Chunks,
}

/// Where a read stands.
struct Position {
    chunks: Chunks,
    schema: SchemaRef,
    context: ReadContext,
    /// Rows before the chunk that is read.
    offset: u64,
    /// The chunk that is read, with the next page's token and the rows it has delivered.
    chunk: Option<(JobReference, String, u64)>,
    bytes: u64,
    most_bytes: u64,
    /// Of the batch that was handed out last.
    permit: Option<Permit>,
    over: bool,
}

impl Position {
    /// The next page as a batch; nothing at the end.
    async fn next(mut self) -> Result<Option<(arrow::array::RecordBatch, Self)>> {
        self.permit = None;
        while !self.over {
            let (job, token, before) = match self.chunk.take() {
                Some(chunk) => chunk,
                None => (self.chunks.ask(self.offset).await?, String::new(), 0),
            };
            let most = PAGE_BYTES
                .min(self.context.budget.limit() as u64 / 8)
                .max(1);
            let permit = self
                .context
                .budget
                .permit("pages of JSON", usize::try_from(most).unwrap_or(usize::MAX))
                .await?;
            let page = self.chunks.rest.rows(&job, &token, PAGE_ROWS).await?;
            let rows: Vec<JsonRow> = page.rows;
            let read = before + rows.len() as u64;
            if page.page_token.is_empty() {
                // A chunk that is not full was the last; a leg ends between two chunks, so that none is asked for twice.
                self.offset += read;
                if read < self.chunks.rows {
                    self.over = true;
                    *self
                        .chunks
                        .end
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner) = Some(self.offset);
                }
            } else {
                self.chunk = Some((job, page.page_token, read));
            }
            if rows.is_empty() {
                continue;
            }
            let batch = json_rows::batch(&rows, &self.schema)?;
            let bytes = batch.get_array_memory_size() as u64;
            self.context.metrics.add(rows.len() as u64, bytes);
            self.bytes += bytes;
            if self.chunk.is_none() && self.bytes >= self.most_bytes {
                self.over = true;
            }
            self.permit = Some(permit);
            return Ok(Some((batch, self)));
        }
        Ok(None)
    }
}

impl Scan for LimitOffsetScan {
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

    fn usage(&self) -> QueryUsage {
        *self
            .chunks
            .usage
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Chunks of another day are chunks of another table.
    fn goes_on(&self, _: usize) -> bool {
        false
    }

    fn starts_over(&self) -> bool {
        true
    }

    fn resume(&self) -> Option<String> {
        Some("shards, once all rows are read; before that none".to_owned())
    }

    fn open(&self, index: usize, context: &ReadContext) -> Result<BatchStream> {
        self.open_leg(index, Leg::WHOLE, context)
    }

    fn open_leg(&self, index: usize, leg: Leg, context: &ReadContext) -> Result<BatchStream> {
        if index >= self.units.len() {
            return Err(Error::config(format!(
                "there is no unit {index}: chunks are one"
            )));
        }
        let position = Position {
            chunks: self.chunks.clone(),
            schema: Arc::clone(&self.schema),
            context: context.clone(),
            offset: leg.from_row,
            chunk: None,
            bytes: 0,
            most_bytes: leg.most_bytes,
            permit: None,
            // The leg after the last one has nothing to ask for.
            over: self.chunks.end().is_some_and(|end| leg.from_row >= end),
        };
        Ok(stream::try_unfold(position, Position::next).boxed())
    }
}
