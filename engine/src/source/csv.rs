//! CSV files as a source. A unit is one file, because only reading a file from its start tells where a row begins.
//!
//! Owns type inference and decoding. Must not know how files are found.

use std::fs::File;
use std::io::{BufReader, Read};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::csv::ReaderBuilder;
use arrow::csv::reader::Format;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt};
use object_store::{ObjectStore, ObjectStoreExt};

use super::files::{DataFile, FileLocation, FileSet, io_error, state_of, store_error};
use super::{BatchStream, ReadContext, Rescan, Scan, ScanRequest, Snapshot, Source, Unit};
use crate::error::{Error, ErrorKind, Result};
use crate::recipe::{CsvHeader, CsvOptions};

/// Bytes of a remote file read to infer column types.
const INFER_BYTES: u64 = 1 << 20;

/// CSV files with the columns of the first one.
#[derive(Debug)]
pub(crate) struct CsvSource {
    name: String,
    files: Arc<Vec<DataFile>>,
    store: Option<Arc<dyn ObjectStore>>,
    schema: SchemaRef,
    options: CsvOptions,
}

impl CsvSource {
    /// Infers column names and types from the first rows of the first file.
    ///
    /// # Errors
    /// Config for a delimiter that is not one byte, Data for a file that is not CSV, I/O kinds otherwise.
    pub async fn connect(set: FileSet, options: CsvOptions) -> Result<Self> {
        let format = format(&options)?;
        let first = set.files.first().ok_or_else(|| {
            Error::new(
                ErrorKind::NotFound,
                format!("no file matches \"{}\"", set.address),
            )
        })?;
        let wrong = |e: arrow::error::ArrowError| data_error(&e, &first.name);
        let rows = Some(options.infer_rows);
        let inferred = match (&first.location, &set.store) {
            (FileLocation::Local(path), _) => {
                let file = File::open(path).map_err(|e| io_error(&e, path))?;
                format
                    .infer_schema(BufReader::new(file), rows)
                    .map_err(wrong)?
                    .0
            }
            (FileLocation::Object(path), Some(store)) => {
                let end = first.size_bytes.min(INFER_BYTES);
                let head = store
                    .get_range(path, 0..end)
                    .await
                    .map_err(|e| store_error(e, &first.name))?;
                // The last line may be cut off; what follows the last line end is left out.
                let whole = match head.iter().rposition(|&b| b == b'\n') {
                    Some(at) if end < first.size_bytes => head.slice(..=at),
                    _ => head,
                };
                format.infer_schema(whole.as_ref(), rows).map_err(wrong)?.0
            }
            (FileLocation::Object(_), None) => Schema::empty(),
        };
        Ok(Self {
            name: set.address,
            schema: Arc::new(readable(&inferred)),
            files: Arc::new(set.files),
            store: set.store,
            options,
        })
    }
}

fn format(options: &CsvOptions) -> Result<Format> {
    Ok(Format::default()
        .with_header(options.header == CsvHeader::Present)
        .with_delimiter(delimiter(options)?))
}

fn delimiter(options: &CsvOptions) -> Result<u8> {
    u8::try_from(options.delimiter)
        .ok()
        .filter(u8::is_ascii)
        .ok_or_else(|| {
            Error::config(format!(
                "csv.delimiter \"{}\" is not an ASCII character",
                options.delimiter
            ))
        })
}

/// A column without any value in the inferred rows is read as text.
fn readable(schema: &Schema) -> Schema {
    let fields: Vec<Field> = schema
        .fields()
        .iter()
        .map(|f| {
            let data_type = match f.data_type() {
                DataType::Null => DataType::Utf8,
                other => other.clone(),
            };
            Field::new(f.name(), data_type, true)
        })
        .collect();
    Schema::new(fields)
}

#[async_trait]
impl Source for CsvSource {
    fn name(&self) -> &str {
        &self.name
    }

    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn state(&self) -> serde_json::Value {
        state_of(self.files.iter())
    }

    async fn scan(&self, request: ScanRequest) -> Result<Arc<dyn Scan>> {
        let (projection, schema) = request.project(&self.schema, &self.name)?;
        let units = self
            .files
            .iter()
            .map(|f| Unit {
                name: f.name.clone(),
                rows: None,
                bytes: Some(f.size_bytes),
            })
            .collect();
        Ok(Arc::new(CsvScan {
            name: self.name.clone(),
            files: Arc::clone(&self.files),
            store: self.store.clone(),
            file_schema: Arc::clone(&self.schema),
            schema,
            projection,
            units,
            options: self.options.clone(),
        }))
    }
}

/// Chosen columns of all files.
#[derive(Debug)]
struct CsvScan {
    name: String,
    files: Arc<Vec<DataFile>>,
    store: Option<Arc<dyn ObjectStore>>,
    file_schema: SchemaRef,
    schema: SchemaRef,
    projection: Vec<usize>,
    units: Vec<Unit>,
    options: CsvOptions,
}

impl Scan for CsvScan {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn units(&self) -> &[Unit] {
        &self.units
    }

    fn rescan(&self) -> Rescan {
        Rescan::Free
    }

    fn snapshot(&self) -> Snapshot {
        let mut snapshot = Snapshot::new();
        snapshot.insert("kind".into(), "csv".into());
        snapshot.insert("files".into(), self.files.len().into());
        let bytes: u64 = self.files.iter().map(|f| f.size_bytes).sum();
        snapshot.insert("bytes".into(), bytes.into());
        snapshot
    }

    fn open(&self, index: usize, context: &ReadContext) -> Result<BatchStream> {
        let file = self.files.get(index).cloned().ok_or_else(|| {
            Error::new(
                ErrorKind::Schema,
                format!("source {} has no unit {index}", self.name),
            )
        })?;
        let builder = ReaderBuilder::new(Arc::clone(&self.file_schema))
            .with_format(format(&self.options)?)
            .with_batch_size(context.batch_rows)
            .with_projection(self.projection.clone());
        let metrics = Arc::clone(&context.metrics);
        let schema = Arc::clone(&self.schema);
        let finish = move |batch: RecordBatch| {
            metrics.add(batch.num_rows() as u64, 0);
            // The reader keeps schema order; columns asked for in another order are put there by name.
            reorder(&batch, &schema)
        };
        let metrics = Arc::clone(&context.metrics);
        match (file.location, &self.store) {
            (FileLocation::Local(path), _) => {
                let name = file.name;
                let start = move || -> Result<_> {
                    let open = File::open(&path).map_err(|e| io_error(&e, &path))?;
                    let counted = CountedRead {
                        inner: open,
                        metrics,
                    };
                    let reader = builder.build(counted).map_err(|e| data_error(&e, &name))?;
                    Ok(reader.map(move |batch| finish(batch.map_err(|e| data_error(&e, &name))?)))
                };
                Ok(futures::stream::once(async move { start() })
                    .map_ok(futures::stream::iter)
                    .try_flatten()
                    .boxed())
            }
            (FileLocation::Object(path), Some(store)) => {
                let store = Arc::clone(store);
                let name = file.name;
                let stream = futures::stream::once(async move {
                    let body = store
                        .get(&path)
                        .await
                        .map_err(|e| store_error(e, &name))?
                        .into_stream();
                    Ok::<_, Error>(decode(body, builder.build_decoder(), name, metrics))
                })
                .try_flatten()
                .map(move |batch| finish(batch?));
                Ok(stream.boxed())
            }
            (FileLocation::Object(path), None) => {
                Err(Error::config(format!("object \"{path}\" has no store")))
            }
        }
    }
}

fn reorder(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    let columns = schema
        .fields()
        .iter()
        .filter_map(|f| batch.column_by_name(f.name()).cloned())
        .collect();
    let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)
        .map_err(|e| Error::with_source(ErrorKind::Schema, "CSV batch", e))
}

/// Feeds the chunks of a remote file to an incremental decoder.
fn decode(
    body: futures::stream::BoxStream<'static, object_store::Result<bytes::Bytes>>,
    decoder: arrow::csv::reader::Decoder,
    name: String,
    metrics: Arc<super::ReadMetrics>,
) -> impl futures::Stream<Item = Result<RecordBatch>> + Send {
    struct State {
        body: futures::stream::BoxStream<'static, object_store::Result<bytes::Bytes>>,
        decoder: arrow::csv::reader::Decoder,
        pending: bytes::Bytes,
        ended: bool,
        name: String,
        metrics: Arc<super::ReadMetrics>,
    }
    let state = State {
        body,
        decoder,
        pending: bytes::Bytes::new(),
        ended: false,
        name,
        metrics,
    };
    futures::stream::try_unfold(state, |mut s| async move {
        loop {
            if s.pending.is_empty() && !s.ended {
                match s.body.next().await {
                    Some(chunk) => {
                        s.pending = chunk.map_err(|e| store_error(e, &s.name))?;
                        s.metrics.add(0, s.pending.len() as u64);
                    }
                    None => s.ended = true,
                }
            }
            let used = s
                .decoder
                .decode(&s.pending)
                .map_err(|e| data_error(&e, &s.name))?;
            s.pending = s.pending.slice(used..);
            if used == 0 || (s.ended && s.pending.is_empty()) {
                let batch = s.decoder.flush().map_err(|e| data_error(&e, &s.name))?;
                match batch {
                    Some(batch) => return Ok(Some((batch, s))),
                    None if s.ended && s.pending.is_empty() => return Ok(None),
                    None => {}
                }
            }
        }
    })
}

/// Counts the bytes read from a local file.
struct CountedRead {
    inner: File,
    metrics: Arc<super::ReadMetrics>,
}

impl Read for CountedRead {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.metrics.add(0, n as u64);
        Ok(n)
    }
}

fn data_error(error: &arrow::error::ArrowError, file: &str) -> Error {
    Error::new(
        ErrorKind::Data,
        format!(
            "\"{file}\" cannot be read as CSV: {}",
            error.to_string().replace('\n', " ")
        ),
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use arrow::array::AsArray;
    use arrow::datatypes::Int64Type;
    use millpond_spill::MemoryBudget;

    async fn read(
        path: &std::path::Path,
        columns: &[&str],
        batch_rows: usize,
    ) -> Result<Vec<RecordBatch>> {
        let set = FileSet::resolve(path.to_str().unwrap()).await?;
        let source = CsvSource::connect(set, CsvOptions::default()).await?;
        let scan = source
            .scan(ScanRequest {
                columns: columns.iter().map(|c| (*c).to_owned()).collect(),
                predicates: vec![],
            })
            .await?;
        let context = ReadContext {
            budget: MemoryBudget::new(1 << 30),
            batch_rows,
            metrics: Arc::default(),
        };
        scan.open(0, &context)?.try_collect().await
    }

    #[tokio::test]
    async fn types_are_inferred_and_columns_come_in_the_order_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.csv");
        std::fs::write(&path, "a,b,c\n1,x,2.5\n2,,3.5\n3,\"y,z\",\n").unwrap();
        let batches = read(&path, &["c", "a"], 2).await.unwrap();
        assert_eq!(batches.len(), 2);
        let first = batches.first().unwrap();
        assert_eq!(first.schema().field(0).name(), "c");
        assert_eq!(first.column(1).as_primitive::<Int64Type>().value(1), 2);
    }

    #[tokio::test]
    async fn a_row_of_the_wrong_length_is_a_data_error_naming_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.csv");
        std::fs::write(&path, "a,b\n1,2\n3\n").unwrap();
        let e = read(&path, &["a"], 10).await.unwrap_err();
        assert_eq!(e.kind(), ErrorKind::Data);
        assert!(e.to_string().contains("t.csv"), "{e}");
    }
}
