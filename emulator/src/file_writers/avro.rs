//! Avro files: a header with the schema, then a block for each batch of rows, plain or deflated.

use std::io::{self, Write};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef};
use arrow::error::ArrowError;
use flate2::Compression;
use flate2::write::DeflateEncoder;
use md5::{Digest, Md5};
use serde_json::{Value, json};

use crate::avro;
use crate::{value_text, wire};

/// Rows of a block.
const BLOCK_ROWS: usize = 8192;

/// A file under way.
pub(super) struct AvroWriter<W> {
    file: W,
    sync: [u8; 16],
    deflated: bool,
}

impl<W: Write> AvroWriter<W> {
    pub fn begin(mut file: W, schema: &Schema, deflated: bool) -> io::Result<Self> {
        let mut described: Value = serde_json::from_str(&avro::schema_json(schema))?;
        described["name"] = json!("Root");
        let described = described.to_string();
        let codec = if deflated { "deflate" } else { "null" };
        let mut header = b"Obj\x01".to_vec();
        avro::long(2, &mut header);
        for (key, value) in [("avro.codec", codec), ("avro.schema", described.as_str())] {
            text(key, &mut header);
            text(value, &mut header);
        }
        avro::long(0, &mut header);
        // Any sixteen bytes that rows hardly hold.
        let sync: [u8; 16] = Md5::digest(&header).into();
        header.extend_from_slice(&sync);
        file.write_all(&header)?;
        Ok(Self {
            file,
            sync,
            deflated,
        })
    }

    pub fn write(&mut self, batch: &RecordBatch) -> Result<(), ArrowError> {
        let rows = batch.num_rows();
        for from in (0..rows).step_by(BLOCK_ROWS) {
            let slice = batch.slice(from, BLOCK_ROWS.min(rows - from));
            let mut bytes = avro::encode(&slice)?.to_vec();
            if self.deflated {
                let mut packed = DeflateEncoder::new(Vec::new(), Compression::default());
                packed.write_all(&bytes)?;
                bytes = packed.finish()?;
            }
            let mut block = Vec::with_capacity(bytes.len() + 32);
            avro::long(count(slice.num_rows()), &mut block);
            avro::long(count(bytes.len()), &mut block);
            block.append(&mut bytes);
            block.extend_from_slice(&self.sync);
            self.file.write_all(&block)?;
        }
        Ok(())
    }

    pub fn finish(self) -> W {
        self.file
    }
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn text(text: &str, out: &mut Vec<u8>) {
    avro::long(count(text.len()), out);
    out.extend_from_slice(text.as_bytes());
}

/// The columns with texts in place of dates and times, which are then said to be those.
pub(super) fn plain_schema(schema: &SchemaRef) -> SchemaRef {
    let fields = schema.fields().iter().map(|field| plain_field(field));
    Arc::new(Schema::new(fields.collect::<Fields>()))
}

fn plain_field(field: &Field) -> Field {
    match field.data_type() {
        DataType::List(item) => {
            let element = plain_field(item);
            let metadata = match element.metadata().is_empty() {
                true => field.metadata().clone(),
                false => element.metadata().clone(),
            };
            let list = DataType::List(Arc::new(element));
            field.clone().with_data_type(list).with_metadata(metadata)
        }
        DataType::Struct(fields) => {
            let fields = fields.iter().map(|field| plain_field(field)).collect();
            field.clone().with_data_type(DataType::Struct(fields))
        }
        DataType::Date32 | DataType::Time64(_) => {
            let is_date = *field.data_type() == DataType::Date32;
            let sql_type = if is_date { "date" } else { "time" };
            field
                .clone()
                .with_data_type(DataType::Utf8)
                .with_metadata(wire::extension_metadata(sql_type))
        }
        _ => field.clone(),
    }
}

/// The rows as [`plain_schema`] has them.
pub(super) fn plain_batch(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let columns = batch
        .columns()
        .iter()
        .map(plain)
        .collect::<Result<_, _>>()?;
    RecordBatch::try_new(plain_schema(batch.schema_ref()), columns)
}

fn plain(array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    Ok(match array.data_type() {
        DataType::List(item) => {
            let list = array.as_list::<i32>();
            let values = plain(list.values())?;
            let (offsets, nulls) = (list.offsets().clone(), list.nulls().cloned());
            let item = Arc::new(plain_field(item));
            Arc::new(arrow::array::ListArray::try_new(
                item, offsets, values, nulls,
            )?)
        }
        DataType::Struct(fields) => {
            let record = array.as_struct();
            let columns = record.columns().iter().map(plain);
            let columns = columns.collect::<Result<Vec<_>, _>>()?;
            let fields = fields.iter().map(|field| plain_field(field)).collect();
            let nulls = record.nulls().cloned();
            Arc::new(arrow::array::StructArray::try_new(fields, columns, nulls)?)
        }
        DataType::Date32 | DataType::Time64(_) => {
            let text = |row| (!array.is_null(row)).then(|| value_text::scalar(array, row));
            let texts: StringArray = (0..array.len()).map(text).collect();
            Arc::new(texts)
        }
        _ => Arc::clone(array),
    })
}
