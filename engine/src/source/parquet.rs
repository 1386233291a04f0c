//! Parquet files as a source. A unit is a run of row groups of one file.
//!
//! Owns how units are cut, and which string columns are read as dictionaries. Must not know how files are found.

mod strips;

use std::collections::HashSet;
use std::fs::File;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt};
use object_store::ObjectStore;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
};
use parquet::arrow::async_reader::ParquetRecordBatchStreamBuilder;
use parquet::basic::{Encoding, PageType};
use parquet::errors::ParquetError;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData, RowGroupMetaData};
use parquet::schema::types::{SchemaDescriptor, TypePtr};

use self::strips::{ReaderNeed, StripReader, decoder_bytes};
use super::files::{DataFile, FileLocation, FileSet, io_error, state_of};
use super::nested::{Places, Wanted, pruned, with_paths};
use super::object_reader::ObjectReader;
use super::{BatchStream, ReadContext, Rescan, Scan, ScanRequest, Snapshot, Source, Unit};
use crate::error::{Error, ErrorKind, Result};

/// A unit closes before it would hold more rows than this ...
const UNIT_ROWS: u64 = 1 << 20;
/// ... or more compressed bytes than this.
const UNIT_BYTES: u64 = 128 << 20;
/// Assumed width of a decoded value that has no fixed width.
const TEXT_BYTES: usize = 24;
/// Footers of remote files fetched at a time.
const FOOTERS_IN_FLIGHT: usize = 16;

/// Parquet files with one schema.
#[derive(Debug)]
pub(crate) struct ParquetSource {
    name: String,
    files: Arc<Vec<OpenFile>>,
    store: Option<Arc<dyn ObjectStore>>,
    /// With the columns inside of structs.
    schema: SchemaRef,
    /// As the reader delivers it.
    whole: SchemaRef,
}

#[derive(Debug)]
struct OpenFile {
    file: DataFile,
    metadata: ArrowReaderMetadata,
}

impl ParquetSource {
    /// Reads the footers of all files and checks that they agree on the schema.
    ///
    /// # Errors
    /// Data for a file that is not Parquet, Schema when a file differs from the first, I/O kinds otherwise.
    pub async fn connect(set: FileSet) -> Result<Self> {
        let store = set.store.clone();
        let footers: Vec<(DataFile, ArrowReaderMetadata)> = futures::stream::iter(set.files)
            .map(|file| {
                let store = store.clone();
                async move {
                    let metadata = footer(&file, store.as_ref()).await?;
                    Ok::<_, Error>((file, metadata))
                }
            })
            .buffered(FOOTERS_IN_FLIGHT)
            .try_collect()
            .await?;
        let first = footers
            .first()
            .map(|(_, m)| Arc::clone(m.schema()))
            .ok_or_else(|| {
                Error::new(
                    ErrorKind::NotFound,
                    format!("no file matches \"{}\"", set.address),
                )
            })?;
        for (file, metadata) in &footers {
            same_schema(&first, metadata.schema(), &file.name)?;
        }
        let all: Vec<&ParquetMetaData> =
            footers.iter().map(|(_, m)| m.metadata().as_ref()).collect();
        let schema = Arc::new(read_schema(&first, &all));
        let options = ArrowReaderOptions::new().with_schema(Arc::clone(&schema));
        let files = footers
            .into_iter()
            .map(|(file, metadata)| {
                let metadata =
                    ArrowReaderMetadata::try_new(Arc::clone(metadata.metadata()), options.clone())
                        .map_err(|e| data_error(&e, &file.name))?;
                Ok(OpenFile { file, metadata })
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(Self {
            name: set.address,
            files: Arc::new(files),
            store,
            schema: with_paths(&schema),
            whole: schema,
        })
    }
}

impl ParquetSource {
    /// What reading `columns`, which lie in `leaves`, takes, of the row group in which it takes most.
    fn need(&self, columns: &HashSet<&str>, leaves: &[usize]) -> ReaderNeed {
        let row_bytes = self
            .schema
            .fields()
            .iter()
            .filter(|field| columns.contains(field.name().as_str()))
            .map(|field| field.data_type().primitive_width().unwrap_or(TEXT_BYTES))
            .sum();
        let groups = self
            .files
            .iter()
            .flat_map(|open| open.metadata.metadata().row_groups());
        let need = groups
            .map(|group| group_need(group, leaves, self.store.is_some()))
            .fold(ReaderNeed::default(), ReaderNeed::max);
        ReaderNeed { row_bytes, ..need }
    }

    /// Where `columns` are, and the leaves of the files they lie in, in ascending order.
    fn places(&self, columns: &[String]) -> (Vec<Vec<usize>>, Vec<usize>) {
        let places = Places::of(self.whole.fields());
        let paths: Vec<_> = columns.iter().filter_map(|c| places.locate(c)).collect();
        let mut leaves = match self.files.first() {
            Some(open) => leaves_of(open.metadata.parquet_schema(), &paths),
            None => Vec::new(),
        };
        leaves.sort_unstable();
        leaves.dedup();
        (paths, leaves)
    }
}

/// The leaves below the fields that `paths` lead to.
fn leaves_of(schema: &SchemaDescriptor, paths: &[Vec<usize>]) -> Vec<usize> {
    let mut firsts = Vec::with_capacity(schema.root_schema().get_fields().len());
    let mut next = 0;
    for field in schema.root_schema().get_fields() {
        firsts.push(next);
        next += leaf_count(field);
    }
    let below = |path: &Vec<usize>| {
        let (root, inside) = path.split_first()?;
        let mut field = schema.root_schema().get_fields().get(*root)?;
        let mut first = *firsts.get(*root)?;
        for index in inside {
            let siblings = field.get_fields();
            first += siblings.iter().take(*index).map(leaf_count).sum::<usize>();
            field = siblings.get(*index)?;
        }
        Some(first..first + leaf_count(field))
    };
    paths.iter().filter_map(below).flatten().collect()
}

fn leaf_count(field: &TypePtr) -> usize {
    if field.is_primitive() {
        return 1;
    }
    field.get_fields().iter().map(leaf_count).sum()
}

/// What decoding `leaves`, given in ascending order, of one row group takes.
fn group_need(group: &RowGroupMetaData, leaves: &[usize], is_remote: bool) -> ReaderNeed {
    let mut need = ReaderNeed::default();
    for chunk in leaves.iter().filter_map(|leaf| group.columns().get(*leaf)) {
        let bytes = decoder_bytes(chunk);
        need.decoder_bytes = need.decoder_bytes.saturating_add(bytes);
        need.column_bytes = need.column_bytes.max(bytes);
        if is_remote {
            let fetched = usize::try_from(chunk.compressed_size()).unwrap_or(0);
            need.fetched_bytes = need.fetched_bytes.saturating_add(fetched);
        }
    }
    need
}

#[async_trait]
impl Source for ParquetSource {
    fn name(&self) -> &str {
        &self.name
    }

    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn state(&self) -> serde_json::Value {
        state_of(self.files.iter().map(|open| &open.file))
    }

    fn reader_bytes(&self, columns: &[String], limit_bytes: usize) -> usize {
        let (_, leaves) = self.places(columns);
        let columns = columns.iter().map(String::as_str).collect();
        self.need(&columns, &leaves).bytes(limit_bytes)
    }

    async fn scan(&self, request: ScanRequest) -> Result<Arc<dyn Scan>> {
        request.project(&self.schema, &self.name)?;
        let (paths, leaves) = self.places(&request.columns);
        let mut roots: Vec<usize> = paths.iter().filter_map(|p| p.first().copied()).collect();
        roots.sort_unstable();
        roots.dedup();
        // The reader delivers columns in file order, and of structs what is wanted.
        let paths: Vec<&[usize]> = paths.iter().map(Vec::as_slice).collect();
        let delivered = pruned(self.whole.fields(), &paths);
        let wanted = Wanted::find(&delivered, &request.columns).ok_or_else(|| {
            Error::new(
                ErrorKind::Schema,
                format!("source {} lacks columns", self.name),
            )
        })?;
        let mut units = Vec::new();
        let mut pieces = Vec::new();
        for (index, open) in self.files.iter().enumerate() {
            for piece in cut(index, open.metadata.metadata(), &leaves) {
                units.push(Unit {
                    name: piece.name(&open.file.name, open.metadata.metadata().num_row_groups()),
                    rows: Some(piece.rows),
                    bytes: Some(piece.bytes),
                });
                pieces.push(piece);
            }
        }
        let names = request.columns.iter().map(String::as_str).collect();
        let need = self.need(&names, &leaves);
        Ok(Arc::new(ParquetScan {
            name: self.name.clone(),
            need,
            files: Arc::clone(&self.files),
            store: self.store.clone(),
            wanted,
            roots,
            leaves,
            units,
            pieces,
        }))
    }
}

/// Chosen columns of the row groups of all files.
#[derive(Debug)]
struct ParquetScan {
    name: String,
    files: Arc<Vec<OpenFile>>,
    store: Option<Arc<dyn ObjectStore>>,
    wanted: Wanted,
    /// Top-level columns and leaves of the files that are read, in ascending order.
    roots: Vec<usize>,
    leaves: Vec<usize>,
    units: Vec<Unit>,
    pieces: Vec<Piece>,
    need: ReaderNeed,
}

/// A run of row groups of one file.
#[derive(Debug, Clone)]
struct Piece {
    file: usize,
    row_groups: Vec<usize>,
    rows: u64,
    bytes: u64,
}

impl Piece {
    fn name(&self, file: &str, groups_in_file: usize) -> String {
        match (self.row_groups.first(), self.row_groups.last()) {
            (Some(first), Some(last)) if groups_in_file != self.row_groups.len() => {
                format!("{file}[{first}..={last}]")
            }
            _ => file.to_owned(),
        }
    }
}

/// Cuts one file into units. Depends on the file alone and, for the byte bound, on all its columns, so that a later pass over
/// fewer columns has the same units.
fn cut(file: usize, metadata: &ParquetMetaData, leaves: &[usize]) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut current: Option<(Piece, u64)> = None;
    for (index, group) in metadata.row_groups().iter().enumerate() {
        let rows = u64::try_from(group.num_rows()).unwrap_or(0);
        let whole = u64::try_from(group.compressed_size()).unwrap_or(0);
        let bytes: u64 = leaves
            .iter()
            .filter_map(|leaf| group.columns().get(*leaf))
            .map(|c| u64::try_from(c.compressed_size()).unwrap_or(0))
            .sum();
        match &mut current {
            Some((piece, size))
                if piece.rows + rows <= UNIT_ROWS && *size + whole <= UNIT_BYTES =>
            {
                piece.row_groups.push(index);
                piece.rows += rows;
                piece.bytes += bytes;
                *size += whole;
            }
            _ => {
                pieces.extend(current.take().map(|(piece, _)| piece));
                current = Some((
                    Piece {
                        file,
                        row_groups: vec![index],
                        rows,
                        bytes,
                    },
                    whole,
                ));
            }
        }
    }
    pieces.extend(current.map(|(piece, _)| piece));
    pieces
}

impl Scan for ParquetScan {
    fn schema(&self) -> SchemaRef {
        Arc::clone(self.wanted.schema())
    }

    fn units(&self) -> &[Unit] {
        &self.units
    }

    fn rescan(&self) -> Rescan {
        Rescan::Free
    }

    fn snapshot(&self) -> Snapshot {
        let mut snapshot = Snapshot::new();
        snapshot.insert("kind".into(), "parquet".into());
        snapshot.insert("files".into(), self.files.len().into());
        let bytes: u64 = self.files.iter().map(|f| f.file.size_bytes).sum();
        snapshot.insert("bytes".into(), bytes.into());
        let rows: u64 = self.units.iter().filter_map(|u| u.rows).sum();
        snapshot.insert("rows".into(), rows.into());
        snapshot
    }

    fn open(&self, index: usize, context: &ReadContext) -> Result<BatchStream> {
        let missing = || {
            Error::new(
                ErrorKind::Schema,
                format!("source {} has no unit {index}", self.name),
            )
        };
        let piece = self.pieces.get(index).cloned().ok_or_else(missing)?;
        let open = self.files.get(piece.file).ok_or_else(missing)?;
        let mask =
            ProjectionMask::leaves(open.metadata.parquet_schema(), self.leaves.iter().copied());
        let name = open.file.name.clone();
        let wanted = self.wanted.clone();
        let metrics = Arc::clone(&context.metrics);
        let bytes_per_row = piece.bytes.checked_div(piece.rows).unwrap_or(0);
        let arrange = move |batch: RecordBatch| {
            let rows = batch.num_rows() as u64;
            metrics.add(rows, rows * bytes_per_row);
            arrange(&batch, &wanted)
        };
        let metadata = open.metadata.clone();
        let batch_rows = context.batch_rows;
        match (&open.file.location, &self.store) {
            (FileLocation::Local(path), _)
                if let Some(strips) = self.need.strips(context.budget.limit()) =>
            {
                let path = path.clone();
                let strips = StripReader {
                    metadata,
                    row_groups: piece.row_groups,
                    roots: self.roots.clone(),
                    leaves: self.leaves.clone(),
                    strips,
                };
                let start = move || -> Result<_> {
                    let file = File::open(&path).map_err(|e| io_error(&e, &path))?;
                    Ok(strips.read(file, batch_rows).map(move |batch| match batch {
                        Ok(batch) => arrange(batch),
                        Err(e) => Err(data_error(&e, &name)),
                    }))
                };
                Ok(futures::stream::once(async move { start() })
                    .map_ok(futures::stream::iter)
                    .try_flatten()
                    .boxed())
            }
            (FileLocation::Local(path), _) => {
                let path = path.clone();
                let start = move || -> Result<_> {
                    let file = File::open(&path).map_err(|e| io_error(&e, &path))?;
                    let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata)
                        .with_projection(mask)
                        .with_row_groups(piece.row_groups)
                        .with_batch_size(batch_rows)
                        .build()
                        .map_err(|e| data_error(&e, &name))?;
                    Ok(reader.map(move |batch| match batch {
                        Ok(batch) => arrange(batch),
                        Err(e) => Err(Error::with_source(
                            ErrorKind::Data,
                            format!("cannot read \"{name}\""),
                            e,
                        )),
                    }))
                };
                Ok(futures::stream::once(async move { start() })
                    .map_ok(futures::stream::iter)
                    .try_flatten()
                    .boxed())
            }
            (FileLocation::Object(path), Some(store)) => {
                let reader =
                    ObjectReader::new(Arc::clone(store), path.clone(), open.file.size_bytes);
                let stream = ParquetRecordBatchStreamBuilder::new_with_metadata(reader, metadata)
                    .with_projection(mask)
                    .with_row_groups(piece.row_groups)
                    .with_batch_size(batch_rows)
                    .build()
                    .map_err(|e| data_error(&e, &name))?;
                Ok(stream
                    .map(move |batch| match batch {
                        Ok(batch) => arrange(batch),
                        Err(e) => Err(data_error(&e, &name)),
                    })
                    .boxed())
            }
            (FileLocation::Object(_), None) => Err(missing()),
        }
    }
}

fn arrange(batch: &RecordBatch, wanted: &Wanted) -> Result<RecordBatch> {
    let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    let schema = Arc::clone(wanted.schema());
    wanted
        .of(batch)
        .and_then(|columns| RecordBatch::try_new_with_options(schema, columns, &options))
        .map_err(|e| Error::with_source(ErrorKind::Schema, "Parquet batch", e))
}

async fn footer(
    file: &DataFile,
    store: Option<&Arc<dyn ObjectStore>>,
) -> Result<ArrowReaderMetadata> {
    match (&file.location, store) {
        (FileLocation::Local(path), _) => {
            let open = File::open(path).map_err(|e| io_error(&e, path))?;
            ArrowReaderMetadata::load(&open, ArrowReaderOptions::new())
                .map_err(|e| data_error(&e, &file.name))
        }
        (FileLocation::Object(path), Some(store)) => {
            let mut reader = ObjectReader::new(Arc::clone(store), path.clone(), file.size_bytes);
            ArrowReaderMetadata::load_async(&mut reader, ArrowReaderOptions::new())
                .await
                .map_err(|e| data_error(&e, &file.name))
        }
        (FileLocation::Object(path), None) => {
            Err(Error::config(format!("object \"{path}\" has no store")))
        }
    }
}

fn data_error(error: &ParquetError, file: &str) -> Error {
    let kind = match error {
        // Files of this machine fail with an error of the system, all others with one of their store.
        ParquetError::External(e) if e.is::<std::io::Error>() => ErrorKind::Disk,
        ParquetError::External(_) => ErrorKind::Unavailable,
        _ => ErrorKind::Data,
    };
    Error::new(
        kind,
        format!(
            "\"{file}\" cannot be read as Parquet: {}",
            error.to_string().replace('\n', " ")
        ),
    )
}

fn same_schema(first: &Schema, other: &Schema, file: &str) -> Result<()> {
    let differs = |what: String| {
        Err(Error::new(
            ErrorKind::Schema,
            format!("file \"{file}\" differs from the first file: {what}"),
        ))
    };
    if first.fields().len() != other.fields().len() {
        return differs(format!(
            "{} columns instead of {}",
            other.fields().len(),
            first.fields().len()
        ));
    }
    for (a, b) in first.fields().iter().zip(other.fields()) {
        if a.name() != b.name() {
            return differs(format!(
                "column \"{}\" where \"{}\" was expected",
                b.name(),
                a.name()
            ));
        }
        if a.data_type() != b.data_type() {
            return differs(format!(
                "column \"{}\" is {} instead of {}",
                b.name(),
                b.data_type(),
                a.data_type()
            ));
        }
    }
    Ok(())
}

/// The schema to read with: string columns that every file stores as dictionaries arrive as dictionaries, other strings as views.
fn read_schema(schema: &Schema, files: &[&ParquetMetaData]) -> Schema {
    let fields: Vec<Arc<Field>> = schema
        .fields()
        .iter()
        .map(|field| match string_values(field.data_type()) {
            true if is_dictionary_everywhere(field.name(), files) => with_type(
                field,
                DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8)),
            ),
            true => with_type(field, DataType::Utf8View),
            false => Arc::clone(field),
        })
        .collect();
    Schema::new(fields)
}

fn with_type(field: &Field, data_type: DataType) -> Arc<Field> {
    Arc::new(Field::new(field.name(), data_type, field.is_nullable()))
}

fn string_values(data_type: &DataType) -> bool {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => true,
        DataType::Dictionary(_, values) => string_values(values),
        _ => false,
    }
}

/// Whether all data pages of a top-level column are dictionary-encoded in all files, as far as the footers tell.
fn is_dictionary_everywhere(column: &str, files: &[&ParquetMetaData]) -> bool {
    let mut any = false;
    for group in files.iter().flat_map(|f| f.row_groups()) {
        let chunk = group
            .columns()
            .iter()
            .find(|c| matches!(c.column_path().parts(), [only] if only == column));
        let Some(chunk) = chunk else { return false };
        any = true;
        if !is_dictionary_chunk(chunk) {
            return false;
        }
    }
    any
}

fn is_dictionary_chunk(chunk: &ColumnChunkMetaData) -> bool {
    let dictionary =
        |e: Encoding| matches!(e, Encoding::RLE_DICTIONARY | Encoding::PLAIN_DICTIONARY);
    if let Some(mask) = chunk.page_encoding_stats_mask() {
        return mask.encodings().all(dictionary);
    }
    if let Some(stats) = chunk.page_encoding_stats() {
        return stats
            .iter()
            .filter(|s| matches!(s.page_type, PageType::DATA_PAGE | PageType::DATA_PAGE_V2))
            .all(|s| dictionary(s.encoding));
    }
    false
}
