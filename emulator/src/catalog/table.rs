//! One table: its files in storage order, its wire schema, its sizes.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::errors::ParquetError;
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData, RowGroupMetaData};

use super::{CatalogError, Fingerprint, io_error};
use crate::name::TableName;
use crate::wire;

/// Dictionaries and pages are about a mebibyte each where writers keep their defaults; a page is held as stored and as decoded.
const MOST_COLUMN_BYTES: u64 = 3 << 20;

/// A Parquet file of a table, with its footer and page offsets but none of its data.
#[derive(Debug)]
pub(crate) struct DataFile {
    /// Where it lies.
    pub path: PathBuf,
    /// Length in bytes when the table was opened.
    pub len: u64,
    /// Modification time when the table was opened.
    pub modified: SystemTime,
    /// Footer and offset index; its Arrow schema is what batches are decoded to.
    pub metadata: ArrowReaderMetadata,
    /// The table's row number of the file's first row.
    pub first_row: u64,
    /// For every row group the file's row number just after it, ascending.
    pub group_ends: Vec<u64>,
}

impl DataFile {
    /// Rows in the file.
    pub fn rows(&self) -> u64 {
        self.group_ends.last().copied().unwrap_or(0)
    }

    /// The table's row number just after the file's last row.
    pub fn end_row(&self) -> u64 {
        self.first_row + self.rows()
    }
}

/// A table as it was when its files were listed. Rows are numbered from 0 in storage order: files by name, then rows.
#[derive(Debug)]
pub(crate) struct Table {
    /// Its name.
    pub name: TableName,
    /// Files in storage order; at least one.
    pub files: Vec<DataFile>,
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
    pub(super) fn open(name: TableName, listing: &Fingerprint) -> Result<Self, CatalogError> {
        let mut files = Vec::with_capacity(listing.len());
        let mut schema: Option<Schema> = None;
        let mut leaf_bytes: Vec<u64> = Vec::new();
        let mut rows = 0;
        let mut latest = SystemTime::UNIX_EPOCH;
        for (path, len, modified) in listing {
            let file = File::open(path).map_err(io_error(path))?;
            let parquet_error = |source: ParquetError| CatalogError::Parquet {
                path: path.clone(),
                source,
            };
            let metadata = load(&file).map_err(parquet_error)?;
            let file_schema = wire::wire_schema(metadata.schema(), metadata.parquet_schema())
                .map_err(|source| CatalogError::UnsupportedColumn {
                    table: name.clone(),
                    source: Box::new(source),
                })?;
            let mut leaves = Vec::new();
            file_schema
                .fields()
                .iter()
                .for_each(|f| wire::leaves(f, &mut leaves));
            leaf_bytes.resize(leaves.len(), 0);
            add_leaf_bytes(metadata.metadata(), &leaves, &mut leaf_bytes);
            schema = Some(match schema {
                None => file_schema,
                Some(first) => {
                    merge(first, &file_schema).ok_or_else(|| CatalogError::FilesDisagree {
                        table: name.clone(),
                        path: path.clone(),
                    })?
                }
            });
            let group_ends = group_ends(metadata.metadata());
            let data_file = DataFile {
                path: path.clone(),
                len: *len,
                modified: *modified,
                metadata: for_decoding(metadata),
                first_row: rows,
                group_ends,
            };
            rows = data_file.end_row();
            latest = latest.max(*modified);
            files.push(data_file);
        }
        Ok(Self {
            name,
            files,
            schema: Arc::new(schema.unwrap_or_else(Schema::empty)),
            rows,
            leaf_bytes,
            modified: latest,
        })
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
        let ends = |f: &DataFile| {
            let first = f.first_row;
            f.group_ends
                .iter()
                .map(move |end| first + end)
                .collect::<Vec<_>>()
        };
        self.files.iter().flat_map(ends).collect()
    }
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

fn add_leaf_bytes(metadata: &ParquetMetaData, leaves: &[DataType], bytes: &mut [u64]) {
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
