//! One table: its files in storage order, its wire schema, its sizes.

use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef, TimeUnit};
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::errors::ParquetError;
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData, RowGroupMetaData};

use super::data_name::DataName;
use super::{CatalogError, Listing, TableMetadata, io_error};
use crate::name::TableName;
use crate::schema;
use crate::wire;

/// The pseudo column that tells when rows arrived, of tables partitioned by that.
pub(crate) const PARTITION_TIME: &str = "_PARTITIONTIME";

/// The same as a date.
pub(crate) const PARTITION_DATE: &str = "_PARTITIONDATE";

/// Dictionaries and pages are about a mebibyte each where writers keep their defaults; a page is held as stored and as decoded.
const MOST_COLUMN_BYTES: u64 = 3 << 20;

/// A Parquet file of a table, with its footer and page offsets but none of its data.
#[derive(Debug, Clone)]
pub(crate) struct DataFile {
    /// Where it lies.
    pub path: PathBuf,
    /// Length in bytes when the table was opened.
    pub len: u64,
    /// Modification time when the table was opened.
    pub modified: SystemTime,
    /// Footer and offset index; its Arrow schema is what batches are decoded to.
    pub metadata: ArrowReaderMetadata,
    /// The table's row number of the first row that belongs to it.
    pub first_row: u64,
    /// For every row group the file's row number just after it, ascending.
    pub group_ends: Vec<u64>,
    /// The file's own row numbers that belong to the table: all of them, but for samples.
    part: Range<u64>,
    /// `_PARTITIONTIME` of its rows, microseconds since 1970.
    pub partition_time: Option<i64>,
    /// For every leaf of the table's schema the file's own leaf; `None` when both have the same.
    leaf_map: Option<Vec<Option<usize>>>,
}

impl DataFile {
    /// What tells its rows from all others.
    pub fn identity(&self) -> (&Path, u64, SystemTime, &Range<u64>, Option<i64>) {
        let Self {
            path,
            len,
            modified,
            part,
            ..
        } = self;
        (path, *len, *modified, part, self.partition_time)
    }

    /// Only these of the file's own rows, the first of which is the table's row `first_row`.
    pub(super) fn part_at(&self, part: Range<u64>, first_row: u64) -> Self {
        Self {
            part,
            first_row,
            ..self.clone()
        }
    }

    /// The same rows, the first of which is the table's row `first_row`.
    pub(super) fn starting_at(&self, first_row: u64) -> Self {
        Self {
            first_row,
            ..self.clone()
        }
    }

    /// The file's own number of one of the table's rows that it holds.
    pub fn own_row(&self, row: u64) -> u64 {
        row - self.first_row + self.part.start
    }

    /// The file's own leaves for leaves of the table; those it does not have are left out.
    pub fn own_leaves(&self, leaves: &[usize]) -> Vec<usize> {
        let own = |leaf: usize| match &self.leaf_map {
            None => Some(leaf),
            Some(map) => map.get(leaf).copied().flatten(),
        };
        let mut found: Vec<usize> = leaves.iter().filter_map(|leaf| own(*leaf)).collect();
        found.sort_unstable();
        found
    }

    /// The table's row number just after the last row that belongs to it.
    pub fn end_row(&self) -> u64 {
        self.first_row + (self.part.end - self.part.start)
    }

    /// The table's row numbers at which row groups end, or what belongs to it of one.
    fn boundaries(&self) -> impl Iterator<Item = u64> + '_ {
        let ends = self.group_ends.iter().map(|end| *end.min(&self.part.end));
        ends.filter(|end| *end > self.part.start)
            .map(|end| self.first_row + end - self.part.start)
    }
}

/// A table as it was when its files were listed. Rows are numbered from 0 in storage order: files by name, then rows.
#[derive(Debug)]
pub(crate) struct Table {
    /// Its name.
    pub name: TableName,
    /// Files in storage order.
    pub files: Vec<DataFile>,
    /// What is known about the table beside its files.
    pub metadata: Option<TableMetadata>,
    /// What the service would send.
    pub schema: SchemaRef,
    /// Rows in all files.
    pub rows: u64,
    /// Logical bytes of each Parquet leaf over all rows, by the service's table of type sizes.
    pub leaf_bytes: Vec<u64>,
    /// The latest modification time of its files.
    pub modified: SystemTime,
}

impl Table {
    pub(super) fn open(name: TableName, listing: &Listing) -> Result<Self, CatalogError> {
        let declared = listing
            .metadata
            .as_ref()
            .filter(|m| !m.schema.is_empty())
            .map(|m| schema::to_arrow(&m.schema));
        let mut opening = Opening::new(declared);
        for (path, len, modified) in &listing.files {
            opening.add(&name, path, *len, *modified)?;
        }
        let modified = listing
            .metadata
            .as_ref()
            .map(|m| SystemTime::UNIX_EPOCH + Duration::from_micros(m.modified_us.unsigned_abs()));
        Ok(Self {
            name,
            schema: Arc::new(opening.schema.unwrap_or_else(Schema::empty)),
            rows: opening.rows,
            leaf_bytes: opening.leaf_bytes,
            modified: opening.latest.max(modified.unwrap_or(opening.latest)),
            files: opening.files,
            metadata: listing.metadata.clone(),
        })
    }

    /// TABLE, VIEW and so on.
    pub fn kind(&self) -> &'static str {
        self.metadata.as_ref().map_or("TABLE", TableMetadata::kind)
    }

    /// When it was made, in microseconds since 1970; a table of foreign files is as old as the latest of them.
    pub fn created_us(&self) -> i64 {
        let files = super::micros(self.modified);
        self.metadata.as_ref().map_or(files, |m| m.created_us)
    }

    /// Whether `_PARTITIONTIME` exists.
    pub fn has_partition_time(&self) -> bool {
        self.metadata
            .as_ref()
            .is_some_and(TableMetadata::has_partition_time)
    }

    /// The columns a filter may name: those of the table, then the pseudo columns.
    pub fn filter_schema(&self) -> Schema {
        let mut fields: Vec<FieldRef> = self.schema.fields().iter().cloned().collect();
        if self.has_partition_time() {
            let utc = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
            fields.push(Arc::new(Field::new(PARTITION_TIME, utc, true)));
            fields.push(Arc::new(Field::new(PARTITION_DATE, DataType::Date32, true)));
        }
        Schema::new(fields)
    }

    /// The columns of which every query has to name one in a condition, if the table asks for that.
    pub fn required_filter(&self) -> Option<Vec<String>> {
        let resource = &self.metadata.as_ref()?.resource;
        let partitioning = resource
            .get("timePartitioning")
            .or_else(|| resource.get("rangePartitioning"));
        let required = |within: Option<&serde_json::Value>| {
            let required = within.map(|w| w == &serde_json::Value::Bool(true));
            required.unwrap_or(false)
        };
        if !required(resource.get("requirePartitionFilter"))
            && !required(partitioning.and_then(|p| p.get("requirePartitionFilter")))
        {
            return None;
        }
        let column = partitioning.and_then(|p| p["field"].as_str());
        Some(column.map_or_else(
            || vec![PARTITION_DATE.to_owned(), PARTITION_TIME.to_owned()],
            |column| vec![column.to_owned()],
        ))
    }

    /// Logical bytes of the whole table.
    pub fn logical_bytes(&self) -> u64 {
        self.leaf_bytes.iter().sum()
    }

    /// What an open decoder of `leaves` keeps at most: per column a dictionary and a page, of the row group where that is most.
    pub fn decoder_bytes(&self, leaves: &[usize]) -> u64 {
        let column = |group: &RowGroupMetaData, leaf: usize| {
            let size = group
                .columns()
                .get(leaf)
                .map_or(0, |c| u64::try_from(c.uncompressed_size()).unwrap_or(0));
            size.min(MOST_COLUMN_BYTES)
        };
        self.files
            .iter()
            .flat_map(|f| f.metadata.metadata().row_groups())
            .map(|group| leaves.iter().map(|leaf| column(group, *leaf)).sum())
            .max()
            .unwrap_or(0)
    }

    /// The table's row numbers at which row groups end, ascending.
    pub fn group_boundaries(&self) -> Vec<u64> {
        let mut boundaries: Vec<u64> = self.files.iter().flat_map(DataFile::boundaries).collect();
        boundaries.dedup();
        boundaries
    }
}

/// A table whose files are being opened one after the other.
struct Opening {
    /// Whether the schema was declared; otherwise it is that of the files.
    declared: bool,
    schema: Option<Schema>,
    paths: Vec<String>,
    files: Vec<DataFile>,
    rows: u64,
    leaf_bytes: Vec<u64>,
    latest: SystemTime,
}

impl Opening {
    fn new(declared: Option<Schema>) -> Self {
        let paths = declared.as_ref().map(leaf_paths).unwrap_or_default();
        Self {
            declared: declared.is_some(),
            leaf_bytes: vec![0; paths.len()],
            schema: declared,
            paths,
            files: Vec::new(),
            rows: 0,
            latest: SystemTime::UNIX_EPOCH,
        }
    }

    fn add(
        &mut self,
        name: &TableName,
        path: &Path,
        len: u64,
        modified: SystemTime,
    ) -> Result<(), CatalogError> {
        let file = File::open(path).map_err(io_error(path))?;
        let parquet_error = |source: ParquetError| CatalogError::Parquet {
            path: path.to_owned(),
            source,
        };
        let metadata = load(&file).map_err(parquet_error)?;
        let own =
            wire::wire_schema(metadata.schema(), metadata.parquet_schema()).map_err(|source| {
                CatalogError::UnsupportedColumn {
                    table: name.clone(),
                    source: Box::new(source),
                }
            })?;
        let mut leaves = Vec::new();
        own.fields()
            .iter()
            .for_each(|f| wire::leaves(f, &mut leaves));
        let sizes = leaf_bytes(metadata.metadata(), &leaves);
        let leaf_map = if self.declared {
            let own_paths = leaf_paths(&own);
            let find = |path: &String| own_paths.iter().position(|own| own == path);
            Some(self.paths.iter().map(find).collect::<Vec<_>>())
        } else {
            self.schema = Some(match self.schema.take() {
                None => own,
                Some(first) => merge(first, &own).ok_or_else(|| CatalogError::FilesDisagree {
                    table: name.clone(),
                    path: path.to_owned(),
                })?,
            });
            self.leaf_bytes.resize(sizes.len(), 0);
            None
        };
        for (leaf, total) in self.leaf_bytes.iter_mut().enumerate() {
            let own = leaf_map
                .as_ref()
                .map_or(Some(leaf), |map| map.get(leaf).copied().flatten());
            *total += own.and_then(|own| sizes.get(own)).copied().unwrap_or(0);
        }
        let file_name = path
            .file_name()
            .and_then(|n| n.to_str())
            .unwrap_or_default();
        let group_ends = group_ends(metadata.metadata());
        let data_file = DataFile {
            path: path.to_owned(),
            len,
            modified,
            part: 0..group_ends.last().copied().unwrap_or(0),
            group_ends,
            metadata: for_decoding(metadata),
            first_row: self.rows,
            partition_time: DataName::parse(file_name).partition_time(),
            leaf_map,
        };
        self.rows = data_file.end_row();
        self.latest = self.latest.max(modified);
        self.files.push(data_file);
        Ok(())
    }
}

/// Dotted paths of a schema's leaves, in Parquet's order.
fn leaf_paths(schema: &Schema) -> Vec<String> {
    fn walk(data_type: &DataType, path: &str, out: &mut Vec<String>) {
        match data_type {
            DataType::Struct(children) => children
                .iter()
                .for_each(|c| walk(c.data_type(), &format!("{path}.{}", c.name()), out)),
            DataType::List(item) => walk(item.data_type(), path, out),
            _ => out.push(path.to_owned()),
        }
    }
    let mut paths = Vec::new();
    for field in schema.fields() {
        walk(field.data_type(), field.name(), &mut paths);
    }
    paths
}

fn load(file: &File) -> Result<ArrowReaderMetadata, ParquetError> {
    // Page offsets let a read start in the middle of a row group without touching the pages before it.
    let options = ArrowReaderOptions::new().with_offset_index_policy(PageIndexPolicy::Optional);
    ArrowReaderMetadata::load(file, options)
}

/// Asks the reader for plain arrays where it can give them; where it cannot, batches are converted after decoding.
fn for_decoding(metadata: ArrowReaderMetadata) -> ArrowReaderMetadata {
    let wanted = Arc::new(wire::decode_schema(metadata.schema()));
    let options = ArrowReaderOptions::new().with_schema(wanted);
    ArrowReaderMetadata::try_new(Arc::clone(metadata.metadata()), options).unwrap_or(metadata)
}

fn group_ends(metadata: &ParquetMetaData) -> Vec<u64> {
    metadata
        .row_groups()
        .iter()
        .scan(0, |end, group| {
            *end += u64::try_from(group.num_rows()).unwrap_or(0);
            Some(*end)
        })
        .collect()
}

fn leaf_bytes(metadata: &ParquetMetaData, leaves: &[DataType]) -> Vec<u64> {
    let mut bytes = vec![0; leaves.len()];
    for group in metadata.row_groups() {
        for ((column, leaf), total) in group.columns().iter().zip(leaves).zip(bytes.iter_mut()) {
            let nulls = column
                .statistics()
                .and_then(|s| s.null_count_opt())
                .unwrap_or(0);
            let values = u64::try_from(column.num_values())
                .unwrap_or(0)
                .saturating_sub(nulls);
            *total += match wire::logical_width(leaf) {
                Some(width) => values * width,
                None => {
                    let text = column
                        .unencoded_byte_array_data_bytes()
                        .unwrap_or_else(|| column.uncompressed_size());
                    2 * values + u64::try_from(text).unwrap_or(0)
                }
            };
        }
    }
    bytes
}

/// The schema of two files with the same columns: a column is required only when it is in both.
fn merge(first: Schema, second: &Schema) -> Option<Schema> {
    if first.fields().len() != second.fields().len() {
        return None;
    }
    let fields = first
        .fields()
        .iter()
        .zip(second.fields())
        .map(|(a, b)| merge_field(a, b))
        .collect::<Option<Vec<Field>>>()?;
    Some(Schema::new(fields))
}

fn merge_field(a: &Field, b: &Field) -> Option<Field> {
    if a.name() != b.name() || a.metadata() != b.metadata() {
        return None;
    }
    let data_type = match (a.data_type(), b.data_type()) {
        (DataType::Struct(left), DataType::Struct(right)) if left.len() == right.len() => {
            DataType::Struct(
                left.iter()
                    .zip(right)
                    .map(|(l, r)| merge_field(l, r))
                    .collect::<Option<Vec<Field>>>()?
                    .into(),
            )
        }
        (DataType::List(left), DataType::List(right)) => {
            DataType::List(Arc::new(merge_field(left, right)?))
        }
        (left, right) if left == right => left.clone(),
        _ => return None,
    };
    Some(
        a.clone()
            .with_data_type(data_type)
            .with_nullable(a.is_nullable() || b.is_nullable()),
    )
}
