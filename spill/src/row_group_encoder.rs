//! Encodes row groups one column after the other. Owns that order; sizes, encodings and the file are the caller's.

use std::io::{self, Write};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, FieldRef, Schema};
use parquet::arrow::ArrowSchemaConverter;
use parquet::arrow::arrow_writer::{ArrowRowGroupWriterFactory, compute_leaves};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterPropertiesPtr;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::SchemaDescriptor;

use crate::dictionary_column::DictionaryColumn;
use crate::error::UnwritableColumn;
use crate::integer_column::IntegerColumn;

/// Encodes row groups of one schema.
///
/// Encoding batch by batch as they come would need an encoder, a page and a compressor per column for as long as a row group is
/// open: for common schemas that is more than the values themselves, and for wide ones many times more. A group that is
/// there as a whole needs one of each.
#[derive(Debug)]
pub struct RowGroupEncoder {
    columns: Vec<Column>,
}

#[derive(Debug)]
struct Column {
    field: FieldRef,
    encoder: ColumnEncoder,
}

#[derive(Debug)]
enum ColumnEncoder {
    Integers(IntegerColumn),
    Library(ArrowRowGroupWriterFactory),
}

impl RowGroupEncoder {
    /// An encoder for rows of `schema` in files with `properties`.
    ///
    /// # Errors
    /// The first column that Parquet cannot hold.
    pub fn try_new(
        schema: &Schema,
        properties: &WriterPropertiesPtr,
    ) -> Result<Self, UnwritableColumn> {
        let columns = schema.fields().iter().map(|field| {
            let encoder = encoder(field, properties).map_err(|source| UnwritableColumn {
                column: field.name().clone(),
                source,
            })?;
            Ok(Column {
                field: Arc::clone(field),
                encoder,
            })
        });
        Ok(Self {
            columns: columns.collect::<Result<_, _>>()?,
        })
    }

    /// Number of columns, nested ones counting once.
    pub fn columns(&self) -> usize {
        self.columns.len()
    }

    /// Names of the columns whose integers are packed here and not by the Parquet library, which takes several times as long: those
    /// that [pack well](packs_well) in encoding `DELTA_BINARY_PACKED`, uncompressed or by zstd, with no more than statistics of chunks.
    pub fn packed_columns(&self) -> impl Iterator<Item = &str> {
        let packed = |column: &&Column| matches!(column.encoder, ColumnEncoder::Integers(_));
        let columns = self.columns.iter().filter(packed);
        columns.map(|column| column.field.name().as_str())
    }

    /// Encodes `batches` as one row group of `writer`. They have the columns of the schema; a text column may also come as a
    /// dictionary that all batches share, which is then written as it is.
    ///
    /// # Errors
    /// What the file refuses.
    pub fn write<W: Write + Send>(
        &self,
        writer: &mut SerializedFileWriter<W>,
        batches: &[RecordBatch],
    ) -> Result<(), ParquetError> {
        let leaves = writer.schema_descr().columns().to_vec();
        let mut leaves = leaves.iter();
        let mut group = writer.next_row_group()?;
        for (index, Column { field, encoder }) in self.columns.iter().enumerate() {
            let parts = || {
                batches
                    .iter()
                    .filter_map(|batch| batch.columns().get(index))
            };
            let own = match (encoder, DictionaryColumn::of(parts())) {
                (_, Some(texts)) => leaves.next().map(|leaf| texts.encode(leaf)),
                (ColumnEncoder::Integers(integers), None) => {
                    leaves.next().map(|leaf| integers.encode(parts(), leaf))
                }
                (ColumnEncoder::Library(factory), None) => {
                    // Nested types have an encoder per leaf.
                    let mut encoders = factory.create_column_writers(0)?;
                    for part in parts() {
                        for (encoder, leaf) in
                            encoders.iter_mut().zip(&compute_leaves(field, part)?)
                        {
                            encoder.write(leaf)?;
                        }
                    }
                    for encoder in encoders {
                        encoder.close()?.append_to_row_group(&mut group)?;
                        leaves.next();
                    }
                    None
                }
            };
            if let Some(chunk) = own {
                let (bytes, closed) = chunk?;
                group.append_column(&bytes, closed)?;
            }
        }
        group.close()?;
        Ok(())
    }

    /// As [`try_new`](Self::try_new), with the library's encoders for all columns.
    #[cfg(test)]
    pub(crate) fn of_library(
        schema: &Schema,
        properties: &WriterPropertiesPtr,
    ) -> Result<Self, ParquetError> {
        let columns = schema.fields().iter().map(|field| {
            Ok(Column {
                field: Arc::clone(field),
                encoder: ColumnEncoder::Library(factory(field, properties)?.1),
            })
        });
        Ok(Self {
            columns: columns.collect::<Result<_, ParquetError>>()?,
        })
    }
}

/// Whether values of this type are best written as differences in as few bits as they need.
///
/// Counts, keys and times are far smaller than their type allows. Packing them takes a fraction of the time that looking up each
/// value in a dictionary takes, and what is left to compress afterwards is a fraction as well.
pub fn packs_well(data_type: &DataType) -> bool {
    // Decimals may have another physical type, which cannot be packed.
    data_type.is_integer()
        || matches!(
            data_type,
            DataType::Date32
                | DataType::Date64
                | DataType::Time32(_)
                | DataType::Time64(_)
                | DataType::Timestamp(_, _)
                | DataType::Duration(_)
        )
}

/// What encodes one column.
fn encoder(
    field: &FieldRef,
    properties: &WriterPropertiesPtr,
) -> Result<ColumnEncoder, ParquetError> {
    let (leaves, factory) = factory(field, properties)?;
    let integers = leaves
        .columns()
        .first()
        .and_then(|leaf| IntegerColumn::of(field.data_type(), leaf, properties));
    Ok(integers.map_or(ColumnEncoder::Library(factory), ColumnEncoder::Integers))
}

/// The leaves of one column and what makes the library's encoders of them. The library makes those of a whole row group at
/// once, each with a compressor and pages of its own; a group of one column is how to have one at a time.
fn factory(
    field: &FieldRef,
    properties: &WriterPropertiesPtr,
) -> Result<(SchemaDescriptor, ArrowRowGroupWriterFactory), ParquetError> {
    let schema = Arc::new(Schema::new(vec![Arc::clone(field)]));
    let leaves = ArrowSchemaConverter::new()
        .with_coerce_types(properties.coerce_types())
        .convert(&schema)?;
    let root = leaves.root_schema_ptr();
    let nowhere = SerializedFileWriter::new(io::sink(), root, Arc::clone(properties))?;
    Ok((leaves, ArrowRowGroupWriterFactory::new(&nowhere, schema)))
}
