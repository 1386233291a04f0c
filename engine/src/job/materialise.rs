//! A query as a source: its rows are written to temporary Parquet files once, and those are read in units.

use std::fs::{DirBuilder, File};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;

use super::resources::Resources;
use crate::error::{Error, ErrorKind, Result};
use crate::layout::{plain_type, to_type};
use crate::recipe::{QuerySpec, TableSpec};
use crate::source::Source;
use crate::source::connect::{Connecting, connect_table};
use crate::source::files::{DataFile, FileFormat, FileLocation, FileSet};
use crate::source::parquet::ParquetSource;

/// Rows of one file, and so of one unit.
const FILE_ROWS: u64 = 1 << 20;
/// Rows of a row group: small, because the writer holds one in memory.
const GROUP_ROWS: usize = 1 << 17;

/// What others may do with rows on disk: nothing.
const PRIVATE_DIR: u32 = 0o700;
const PRIVATE_FILE: u32 = 0o600;

/// Runs `spec` under the job's budget, in the order of `key` where the result has those columns, into files in `dir`, which
/// is made. Returns them in order.
///
/// # Errors
/// When a table cannot be read, the SQL is wrong, or the disk is full.
pub(super) async fn materialise(
    spec: &QuerySpec,
    key: &[String],
    resources: &Resources,
    connecting: &Connecting,
    dir: &Path,
) -> Result<Vec<PathBuf>> {
    let mut tables = Vec::new();
    for (name, address) in &spec.tables {
        let table = TableSpec {
            table: address.clone(),
            bigquery: Default::default(),
            csv: Default::default(),
        };
        let connecting = Connecting {
            earlier: None,
            ..connecting.clone()
        };
        let source = connect_table(&table, connecting).await?;
        tables.push((name.clone(), source, resources.read_context(64)));
    }
    let mut files = Files::new(dir.to_owned())?;
    let read: Vec<_> = tables
        .iter()
        .map(|(_, source, _)| Arc::clone(source))
        .collect();
    let schema = resources
        .session
        .run_query(&spec.query, tables, key, resources.slots, |batch| {
            files.write(batch)
        })
        .await;
    for source in read {
        for left in source.close().await {
            tracing::warn!("{left}");
        }
    }
    files.finish(&schema?)
}

/// The files of a materialised query.
struct Files {
    dir: PathBuf,
    done: Vec<PathBuf>,
    open: Option<(ArrowWriter<File>, PathBuf, u64)>,
}

impl Files {
    fn new(dir: PathBuf) -> Result<Self> {
        DirBuilder::new()
            .mode(PRIVATE_DIR)
            .create(&dir)
            .map_err(|e| disk(&e.to_string(), &dir))?;
        Ok(Self {
            dir,
            done: Vec::new(),
            open: None,
        })
    }

    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let batch = plain(batch)?;
        let mut at = 0;
        while at < batch.num_rows() {
            let (mut writer, path, rows) = match self.open.take() {
                Some(open) => open,
                None => self.start(&batch.schema())?,
            };
            let room = usize::try_from(FILE_ROWS - rows).unwrap_or(usize::MAX);
            let n = room.min(batch.num_rows() - at);
            writer
                .write(&batch.slice(at, n))
                .map_err(|e| parquet(&e, &path))?;
            at += n;
            let rows = rows + n as u64;
            if rows == FILE_ROWS {
                writer.close().map_err(|e| parquet(&e, &path))?;
                self.done.push(path);
            } else {
                self.open = Some((writer, path, rows));
            }
        }
        Ok(())
    }

    fn start(&self, schema: &SchemaRef) -> Result<(ArrowWriter<File>, PathBuf, u64)> {
        let path = self
            .dir
            .join(format!("part-{:05}.parquet", self.done.len()));
        let file = File::options()
            .write(true)
            .create_new(true)
            .mode(PRIVATE_FILE)
            .open(&path)
            .map_err(|e| disk(&e.to_string(), &path))?;
        let level = ZstdLevel::try_new(1).map_err(|e| parquet(&e, &path))?;
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(level))
            .set_max_row_group_row_count(Some(GROUP_ROWS))
            .build();
        let writer = ArrowWriter::try_new(file, Arc::clone(schema), Some(properties))
            .map_err(|e| parquet(&e, &path))?;
        Ok((writer, path, 0))
    }

    fn finish(mut self, schema: &SchemaRef) -> Result<Vec<PathBuf>> {
        if self.open.is_none() && self.done.is_empty() {
            let empty = plain(&RecordBatch::new_empty(Arc::clone(schema)))?;
            self.open = Some(self.start(&empty.schema())?);
        }
        if let Some((writer, path, _)) = self.open.take() {
            writer.close().map_err(|e| parquet(&e, &path))?;
            self.done.push(path);
        }
        Ok(self.done)
    }
}

/// The rows that [`materialise`] wrote to `paths`, as a source.
///
/// # Errors
/// When a file cannot be read.
pub(super) async fn source_of(paths: Vec<PathBuf>) -> Result<Arc<dyn Source>> {
    let files = paths
        .into_iter()
        .enumerate()
        .map(|(index, path)| {
            let size_bytes = std::fs::metadata(&path)
                .map_err(|e| disk(&e.to_string(), &path))?
                .len();
            Ok(DataFile {
                // Named by position, so that nothing written down depends on the directory.
                name: format!("query[{index}]"),
                location: FileLocation::Local(path),
                size_bytes,
            })
        })
        .collect::<Result<Vec<_>>>()?;
    let set = FileSet {
        address: "query".into(),
        store: None,
        files,
        format: FileFormat::Parquet,
    };
    Ok(Arc::new(ParquetSource::connect(set).await?))
}

/// The batch with plain text columns, as files hold them.
fn plain(batch: &RecordBatch) -> Result<RecordBatch> {
    let fields: Vec<_> = batch
        .schema()
        .fields()
        .iter()
        .map(|f| Arc::new(f.as_ref().clone().with_data_type(plain_type(f.data_type()))))
        .collect();
    let columns = batch
        .columns()
        .iter()
        .zip(&fields)
        .map(|(c, f)| to_type(c, f.data_type(), f.name()))
        .collect::<Result<Vec<_>>>()?;
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
        .map_err(|e| Error::with_source(ErrorKind::Data, "query result", e))
}

fn disk(why: &str, path: &Path) -> Error {
    Error::new(
        ErrorKind::Disk,
        format!("cannot write \"{}\": {why}", path.display()),
    )
}

fn parquet(error: &ParquetError, path: &Path) -> Error {
    disk(&error.to_string(), path)
}
