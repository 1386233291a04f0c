//! Write streams: what was appended to each, how far it can be seen, and what may still happen to it.
//!
//! Rows of the default stream and of committed streams are part of the table when they are acknowledged. Pending rows wait in
//! a file that nobody sees, buffered ones in memory. Must not know how rows are written on the wire.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::error::ArrowError;

use crate::catalog::{Catalog, CatalogError, TableWriter};
use crate::name::TableName;

/// When appended rows become part of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StreamKind {
    /// At once.
    Committed,
    /// When the stream is committed as a whole.
    Pending,
    /// When they are flushed.
    Buffered,
}

/// Why nothing was appended, flushed or committed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum WriteError {
    #[error("Requested entity was not found. Entity: {stream}")]
    UnknownStream { stream: String },
    #[error("Invalid stream name. Entity: {stream}")]
    InvalidName { stream: String },
    #[error(
        "The offset is within stream, expected offset {expected}, received {offset} Entity: {stream}"
    )]
    OffsetExists {
        stream: String,
        offset: i64,
        expected: i64,
    },
    #[error(
        "The offset is beyond stream, expected offset {expected}, received {offset} Entity: {stream}"
    )]
    OffsetBeyond {
        stream: String,
        offset: i64,
        expected: i64,
    },
    #[error("Stream has been finalized and cannot be appended Entity: {stream}")]
    Finalized { stream: String },
    #[error("Stream is not finalized Entity: {stream}")]
    NotFinalized { stream: String },
    #[error("Stream is already committed Entity: {stream}")]
    AlreadyCommitted { stream: String },
    #[error("Stream is not {wanted} Entity: {stream}")]
    WrongKind {
        stream: String,
        wanted: &'static str,
    },
    #[error("Offset {offset} is beyond the end of the stream Entity: {stream}")]
    FlushBeyond { stream: String, offset: i64 },
    #[error("Stream {stream} does not belong to table {table}")]
    OtherTable { stream: String, table: TableName },
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    #[error(transparent)]
    Arrow(#[from] ArrowError),
}

/// One stream that a client has made.
#[derive(Debug)]
pub(crate) struct WriteStream {
    pub name: String,
    pub table: TableName,
    pub kind: StreamKind,
    pub created: SystemTime,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Rows appended.
    rows: i64,
    finalized: bool,
    committed: bool,
    /// Pending rows; more than one file when the table's columns changed meanwhile.
    files: Vec<TableWriter>,
    /// Buffered rows that have not been flushed.
    buffered: Vec<RecordBatch>,
    flushed: i64,
}

impl WriteStream {
    /// Adds rows at the stream's end, or refuses them all; returns the offset of the first.
    ///
    /// # Errors
    /// [`WriteError`] when `offset` is not the stream's end, or the stream takes no rows any more.
    pub fn append(
        &self,
        catalog: &Arc<Catalog>,
        batch: &RecordBatch,
        offset: Option<i64>,
    ) -> Result<i64, WriteError> {
        let mut state = self.lock();
        let stream = || self.name.clone();
        if state.finalized {
            return Err(WriteError::Finalized { stream: stream() });
        }
        let expected = state.rows;
        if let Some(offset) = offset {
            let stream = stream();
            if offset < expected {
                return Err(WriteError::OffsetExists {
                    stream,
                    offset,
                    expected,
                });
            }
            if offset > expected {
                return Err(WriteError::OffsetBeyond {
                    stream,
                    offset,
                    expected,
                });
            }
        }
        match self.kind {
            StreamKind::Committed => write_now(catalog, &self.table, batch)?,
            StreamKind::Pending => {
                let fits = |w: &TableWriter| *w.schema() == batch.schema();
                if !state.files.last().is_some_and(fits) {
                    state.files.push(catalog.writer(&self.table, None)?);
                }
                if let Some(file) = state.files.last_mut() {
                    file.write(batch)?;
                }
            }
            StreamKind::Buffered => state.buffered.push(batch.clone()),
        }
        state.rows = expected + i64::try_from(batch.num_rows()).unwrap_or(i64::MAX);
        Ok(expected)
    }

    /// Takes no more rows from now on; returns how many there are.
    pub fn finalize(&self) -> i64 {
        let mut state = self.lock();
        state.finalized = true;
        state.rows
    }

    /// Makes all rows up to and including `offset` part of the table.
    pub fn flush(&self, catalog: &Arc<Catalog>, offset: i64) -> Result<(), WriteError> {
        if self.kind != StreamKind::Buffered {
            return Err(WriteError::WrongKind {
                stream: self.name.clone(),
                wanted: "of type BUFFERED",
            });
        }
        let mut state = self.lock();
        if offset >= state.rows {
            return Err(WriteError::FlushBeyond {
                stream: self.name.clone(),
                offset,
            });
        }
        let mut wanted = usize::try_from(offset + 1 - state.flushed).unwrap_or(0);
        let mut due = Vec::new();
        let mut rest = Vec::new();
        for batch in std::mem::take(&mut state.buffered) {
            let now = wanted.min(batch.num_rows());
            if now > 0 {
                due.push(batch.slice(0, now));
            }
            if now < batch.num_rows() {
                rest.push(batch.slice(now, batch.num_rows() - now));
            }
            wanted -= now;
        }
        state.buffered = rest;
        let Some(first) = due.first() else {
            return Ok(());
        };
        let schema = catalog.table(&self.table)?.schema.clone();
        let together = if due.iter().all(|b| b.schema() == first.schema()) {
            vec![concat_batches(&first.schema(), &due)?]
        } else {
            due
        };
        let mut writer = catalog.writer(&self.table, None)?;
        for batch in &together {
            writer.write(&fit(batch, &schema)?)?;
        }
        writer.commit()?;
        state.flushed = offset + 1;
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Rows of an older schema of the table, in its schema of now.
fn fit(
    batch: &RecordBatch,
    schema: &arrow::datatypes::SchemaRef,
) -> Result<RecordBatch, ArrowError> {
    if batch.schema() == *schema {
        return Ok(batch.clone());
    }
    let columns = schema
        .fields()
        .iter()
        .map(|field| match batch.column_by_name(field.name()) {
            Some(column) => crate::wire::to_wire(column, field),
            None => crate::wire::absent(field, batch.num_rows()),
        })
        .collect::<Result<Vec<_>, _>>()?;
    RecordBatch::try_new(Arc::clone(schema), columns)
}

fn write_now(
    catalog: &Arc<Catalog>,
    table: &TableName,
    batch: &RecordBatch,
) -> Result<(), WriteError> {
    let mut writer = catalog.writer(table, None)?;
    let schema = Arc::clone(writer.schema());
    writer.write(&fit(batch, &schema)?)?;
    writer.commit()?;
    Ok(())
}

/// What a stream's name stands for.
#[derive(Debug, Clone)]
pub(crate) enum Target {
    /// The stream every table has, by the name it was asked for.
    Default { name: String, table: TableName },
    /// One that was made.
    Made(Arc<WriteStream>),
}

impl Target {
    pub fn table(&self) -> &TableName {
        match self {
            Self::Default { table, .. } => table,
            Self::Made(stream) => &stream.table,
        }
    }

    /// Adds rows; only streams that were made have offsets.
    pub fn append(
        &self,
        catalog: &Arc<Catalog>,
        batch: &RecordBatch,
        offset: Option<i64>,
    ) -> Result<Option<i64>, WriteError> {
        match self {
            Self::Default { table, .. } => write_now(catalog, table, batch).map(|()| None),
            Self::Made(stream) => stream.append(catalog, batch, offset).map(Some),
        }
    }
}

/// All streams of a server.
#[derive(Debug)]
pub(crate) struct WriteStreams {
    seed: u64,
    made: Mutex<Made>,
}

#[derive(Debug, Default)]
struct Made {
    count: u64,
    by_name: HashMap<String, Arc<WriteStream>>,
}

impl WriteStreams {
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            made: Mutex::default(),
        }
    }

    /// Makes a stream for a table, which must exist.
    pub fn create(
        &self,
        catalog: &Catalog,
        table: &TableName,
        kind: StreamKind,
        now: SystemTime,
    ) -> Result<Arc<WriteStream>, WriteError> {
        catalog.table(table)?;
        let mut made = self.lock();
        made.count += 1;
        let id = crate::faults::mix(self.seed ^ made.count);
        let stream = Arc::new(WriteStream {
            name: format!("{}/streams/Cic{id:016x}", table.to_resource()),
            table: table.clone(),
            kind,
            created: now,
            state: Mutex::default(),
        });
        made.by_name
            .insert(stream.name.clone(), Arc::clone(&stream));
        Ok(stream)
    }

    /// Finds what a name stands for. The default stream is known under two names.
    pub fn find(&self, name: &str) -> Result<Target, WriteError> {
        let invalid = || WriteError::InvalidName {
            stream: name.to_owned(),
        };
        let default = name
            .strip_suffix("/streams/_default")
            .or_else(|| name.strip_suffix("/_default"));
        if let Some(table) = default {
            let table = TableName::from_resource(table).map_err(|_| invalid())?;
            return Ok(Target::Default {
                name: name.to_owned(),
                table,
            });
        }
        let (table, _) = name.split_once("/streams/").ok_or_else(invalid)?;
        TableName::from_resource(table).map_err(|_| invalid())?;
        let found = self.lock().by_name.get(name).cloned();
        found.map(Target::Made).ok_or_else(invalid)
    }

    /// Makes the rows of finalized pending streams part of their table, all or none.
    ///
    /// # Errors
    /// The [`WriteError`]s of every stream that stands against it; nothing has been committed then.
    pub fn commit(&self, table: &TableName, names: &[String]) -> Result<(), Vec<WriteError>> {
        let mut streams = Vec::new();
        let mut errors = Vec::new();
        for name in names {
            match self.find(name) {
                Ok(Target::Made(stream)) if stream.table != *table => {
                    errors.push(WriteError::OtherTable {
                        stream: name.clone(),
                        table: table.clone(),
                    });
                }
                Ok(Target::Made(stream)) => streams.push(stream),
                Ok(Target::Default { name, .. }) => errors.push(WriteError::WrongKind {
                    stream: name,
                    wanted: "of type PENDING",
                }),
                Err(_) => errors.push(WriteError::UnknownStream {
                    stream: name.clone(),
                }),
            }
        }
        streams.sort_by(|a, b| a.name.cmp(&b.name));
        streams.dedup_by(|a, b| a.name == b.name);
        // Held in the order of names, so that two commits cannot wait for each other.
        let mut held: Vec<MutexGuard<'_, State>> = streams.iter().map(|s| s.lock()).collect();
        for (stream, state) in streams.iter().zip(&held) {
            let name = stream.name.clone();
            if stream.kind != StreamKind::Pending {
                errors.push(WriteError::WrongKind {
                    stream: name,
                    wanted: "of type PENDING",
                });
            } else if state.committed {
                errors.push(WriteError::AlreadyCommitted { stream: name });
            } else if !state.finalized {
                errors.push(WriteError::NotFinalized { stream: name });
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        let mut files: Vec<TableWriter> = held
            .iter_mut()
            .flat_map(|state| std::mem::take(&mut state.files))
            .collect();
        // Everything that can fail for want of space has failed before the first file is seen.
        for file in &mut files {
            file.finish().map_err(|e| vec![e.into()])?;
        }
        for file in files {
            file.publish().map_err(|e| vec![e.into()])?;
        }
        held.iter_mut().for_each(|state| state.committed = true);
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Made> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
