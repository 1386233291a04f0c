//! What is on disk of a write stream, so that it outlives the server: how far it is, and the rows that wait to become part of its table.
//!
//! A stream is the directory `_stream-<id>` beside the files of its table: `stream.json`, and for every append that waits one file of
//! Arrow's stream format whose name says which rows it holds. Must not know when rows may be appended, flushed or committed.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use arrow::array::RecordBatch;
use arrow::error::ArrowError;
use arrow_ipc::reader::StreamReader;
use arrow_ipc::writer::StreamWriter;
use serde::{Deserialize, Serialize};

use super::data_name::DataName;
use super::metadata::{self, sync_directory};
use super::{Catalog, CatalogError, io_error};
use crate::name::TableName;

const RECORD_FILE: &str = "stream.json";

/// When appended rows become part of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum StreamKind {
    /// At once.
    Committed,
    /// When the stream is committed as a whole.
    Pending,
    /// When they are flushed.
    Buffered,
}

/// How far a stream is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct StreamRecord {
    pub kind: StreamKind,
    pub created_us: i64,
    /// Rows that are part of the table.
    pub published: i64,
    pub finalized: bool,
    /// Whether it was committed as a whole.
    pub committed: bool,
    /// What is becoming part of the table at this moment, unless the server died over it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub publishing: Option<Publishing>,
}

impl StreamRecord {
    pub fn new(kind: StreamKind, created_us: i64) -> Self {
        Self {
            kind,
            created_us,
            published: 0,
            finalized: false,
            committed: false,
            publishing: None,
        }
    }

    /// Takes note of what has become part of the table.
    pub fn publish(&mut self) {
        if let Some(publishing) = self.publishing.take() {
            self.published = publishing.published;
            self.committed = publishing.committed;
        }
    }
}

/// Files that become part of a table together, and what is true of the stream then.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Publishing {
    pub parts: Vec<Part>,
    pub published: i64,
    pub committed: bool,
}

/// A finished file that is no part of its table yet.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Part {
    /// Its name in the table's directory.
    pub file: String,
    pub partition: Option<String>,
}

/// Rows that wait.
#[derive(Debug, Clone)]
pub(crate) struct Waiting {
    /// The stream's number of the first.
    pub offset: i64,
    pub rows: i64,
    path: PathBuf,
}

/// The directory of one stream.
#[derive(Debug)]
pub(crate) struct StreamFiles {
    directory: PathBuf,
}

impl Catalog {
    /// Makes the directory of a new stream.
    ///
    /// # Errors
    /// What the file system says.
    pub fn create_stream(
        &self,
        table: &TableName,
        id: &str,
        record: &StreamRecord,
    ) -> Result<StreamFiles, CatalogError> {
        let files = StreamFiles::new(&self.directory(table), id);
        fs::create_dir(&files.directory).map_err(io_error(&files.directory))?;
        files.save(record)?;
        sync_directory(&self.directory(table))?;
        Ok(files)
    }

    /// A stream made earlier, perhaps by a server that is gone; `None` when there is none of this id.
    ///
    /// # Errors
    /// What the file system says.
    pub fn find_stream(
        &self,
        table: &TableName,
        id: &str,
    ) -> Result<Option<(StreamFiles, StreamRecord)>, CatalogError> {
        // An id is a name, never a path.
        if id.is_empty() || !id.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return Ok(None);
        }
        let files = StreamFiles::new(&self.directory(table), id);
        let Some(mut record) = metadata::read::<StreamRecord>(&files.record())? else {
            return Ok(None);
        };
        if record.publishing.is_some() {
            self.settle(table, &mut record)?;
            files.save(&record)?;
        }
        Ok(Some((files, record)))
    }

    /// Finds out whether files became part of the table when the server died over it. If one did, they all do.
    fn settle(&self, table: &TableName, record: &mut StreamRecord) -> Result<(), CatalogError> {
        let Some(publishing) = &record.publishing else {
            return Ok(());
        };
        let directory = self.directory(table);
        let left: Vec<&Part> = publishing
            .parts
            .iter()
            .filter(|part| directory.join(&part.file).exists())
            .collect();
        if left.len() == publishing.parts.len() {
            // It never happened. Another stream may have to find that out from the same files, so they stay.
            record.publishing = None;
            return Ok(());
        }
        let _changing = self.changing();
        for part in left {
            let name = DataName {
                committed_us: self.tick(),
                partition: part.partition.clone(),
            };
            let target = directory.join(name.to_file_name());
            fs::rename(directory.join(&part.file), &target).map_err(io_error(&target))?;
        }
        sync_directory(&directory)?;
        record.publish();
        Ok(())
    }
}

impl StreamFiles {
    fn new(table: &Path, id: &str) -> Self {
        Self {
            directory: table.join(format!("_stream-{id}")),
        }
    }

    fn record(&self) -> PathBuf {
        self.directory.join(RECORD_FILE)
    }

    /// Writes down how far the stream is.
    pub fn save(&self, record: &StreamRecord) -> Result<(), CatalogError> {
        metadata::write(&self.record(), record)
    }

    /// Adds rows that wait, from the stream's row `offset` on.
    pub fn add(&self, offset: i64, batch: &RecordBatch) -> Result<Waiting, CatalogError> {
        let rows = i64::try_from(batch.num_rows()).unwrap_or(i64::MAX);
        let name = format!("rows-{offset:020}-{rows}.arrow");
        let path = self.directory.join(name);
        let part = path.with_extension("part");
        let file = File::create(&part).map_err(io_error(&part))?;
        let written = write(&file, batch).map_err(|e| io_error(&part)(io::Error::other(e)));
        written?;
        file.sync_all().map_err(io_error(&part))?;
        fs::rename(&part, &path).map_err(io_error(&path))?;
        sync_directory(&self.directory)?;
        Ok(Waiting { offset, rows, path })
    }

    /// Everything that waits, in order.
    pub fn waiting(&self) -> Result<Vec<Waiting>, CatalogError> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.directory).map_err(io_error(&self.directory))? {
            let path = entry.map_err(io_error(&self.directory))?.path();
            found.extend(waiting(path));
        }
        found.sort_by_key(|waiting: &Waiting| waiting.offset);
        Ok(found)
    }

    /// Takes away what no longer waits.
    pub fn remove(&self, waiting: &Waiting) -> Result<(), CatalogError> {
        fs::remove_file(&waiting.path).map_err(io_error(&waiting.path))
    }
}

impl Waiting {
    /// The rows.
    pub fn read(&self) -> Result<RecordBatch, CatalogError> {
        let file = File::open(&self.path).map_err(io_error(&self.path))?;
        let broken = |e: ArrowError| io_error(&self.path)(io::Error::other(e));
        let mut batches = StreamReader::try_new(file, None).map_err(broken)?;
        let missing = || ArrowError::IpcError("no rows".to_owned());
        let batch = batches.next().unwrap_or_else(|| Err(missing()));
        batch.map_err(broken)
    }
}

fn write(file: &File, batch: &RecordBatch) -> Result<(), ArrowError> {
    let mut writer = StreamWriter::try_new(file, &batch.schema())?;
    writer.write(batch)?;
    writer.finish()
}

/// What a file's name says; `None` for files that are something else.
fn waiting(path: PathBuf) -> Option<Waiting> {
    let name = path.file_name()?.to_str()?;
    let (offset, rows) = name
        .strip_prefix("rows-")?
        .strip_suffix(".arrow")?
        .split_once('-')?;
    Some(Waiting {
        offset: offset.parse().ok()?,
        rows: rows.parse().ok()?,
        path,
    })
}
