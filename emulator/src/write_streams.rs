//! Write streams: what was appended to each, how far it can be seen, and what may still happen to it.
//!
//! Rows of the default stream and of committed streams are part of the table when they are acknowledged; pending and buffered ones wait
//! on disk, so that streams outlive the server. Must not know how rows are written on the wire.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use arrow::array::RecordBatch;
use arrow::error::ArrowError;

use crate::catalog::{Catalog, CatalogError, StreamKind};
use crate::name::TableName;
use crate::table_rows::RowsError;

mod changes;
mod stream;

pub(crate) use changes::Changes;
pub(crate) use stream::WriteStream;
use stream::{State, write_now};

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
    #[error("Changes of rows need a table with a primary key, which {table} has not")]
    NoPrimaryKey { table: TableName },
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    #[error(transparent)]
    Rows(#[from] RowsError),
    #[error(transparent)]
    Arrow(#[from] ArrowError),
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

/// What every stream's id begins with.
const ID_PREFIX: &str = "Cic";

/// All streams of a server, those of the ones before it included.
#[derive(Debug)]
pub(crate) struct WriteStreams {
    catalog: Arc<Catalog>,
    seed: u64,
    made: Mutex<Made>,
    /// Held while rows of a table are changed.
    changing: Mutex<()>,
}

#[derive(Debug, Default)]
struct Made {
    count: u64,
    by_name: HashMap<String, Arc<WriteStream>>,
}

impl WriteStreams {
    pub fn new(catalog: Arc<Catalog>, seed: u64) -> Self {
        Self {
            catalog,
            seed,
            made: Mutex::default(),
            changing: Mutex::default(),
        }
    }

    /// Makes a stream for a table, which must exist.
    pub fn create(
        &self,
        table: &TableName,
        kind: StreamKind,
        now: SystemTime,
    ) -> Result<Arc<WriteStream>, WriteError> {
        let kept = self.catalog.table(table)?;
        if kept.kind() != "TABLE" {
            return Err(WriteError::Catalog(CatalogError::NotWritable {
                table: table.clone(),
                kind: kept.kind(),
            }));
        }
        let mut made = self.lock();
        made.count += 1;
        let id = crate::faults::mix(self.seed ^ made.count);
        let id = format!("{ID_PREFIX}{id:016x}");
        let stream = WriteStream::create(&self.catalog, table, &id, kind, now)?;
        let stream = Arc::new(stream);
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
        let (table, id) = name.split_once("/streams/").ok_or_else(invalid)?;
        let table = TableName::from_resource(table).map_err(|_| invalid())?;
        // Held while a stream is looked for on disk, so that it is taken up once.
        let mut made = self.lock();
        if let Some(stream) = made.by_name.get(name) {
            return Ok(Target::Made(Arc::clone(stream)));
        }
        let found = WriteStream::find(&self.catalog, &table, id)?;
        let stream = Arc::new(found.ok_or_else(invalid)?);
        made.by_name.insert(name.to_owned(), Arc::clone(&stream));
        Ok(Target::Made(stream))
    }

    /// Puts rows in the place of those with their keys, or takes those away. Only the default stream does.
    pub fn change(&self, target: &Target, changes: &Changes) -> Result<(), WriteError> {
        match target {
            Target::Default { table, .. } => {
                let _changing = self.changing.lock();
                changes.apply(&self.catalog, table)
            }
            Target::Made(stream) => Err(WriteError::WrongKind {
                stream: stream.name.clone(),
                wanted: "the default stream, which alone takes changes",
            }),
        }
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
                Err(WriteError::InvalidName { stream }) => {
                    errors.push(WriteError::UnknownStream { stream });
                }
                Err(error) => errors.push(error),
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
            } else if state.record.committed {
                errors.push(WriteError::AlreadyCommitted { stream: name });
            } else if !state.record.finalized {
                errors.push(WriteError::NotFinalized { stream: name });
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        stream::publish_all(&self.catalog, table, &streams, &mut held).map_err(|e| vec![e])
    }

    fn lock(&self) -> MutexGuard<'_, Made> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
