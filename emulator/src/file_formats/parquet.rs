//! Parquet files, whole in memory.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Field, SchemaRef};
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value;
use std::sync::Arc;

use super::{BATCH_ROWS, Columns, Decoded, FormatError};
use crate::schema::{self, FieldSchema};
use crate::{geography, interval, wire};

pub(super) fn decode(
    data: &Bytes,
    columns: Columns,
    settings: &Value,
) -> Result<Decoded, FormatError> {
    let builder =
        ParquetRecordBatchReaderBuilder::try_new(data.clone()).map_err(FormatError::reading)?;
    let own = wire::wire_schema(builder.schema(), builder.parquet_schema())
        .map_err(FormatError::reading)?;
    let mut found = schema::from_arrow(&own);
    let targets = DecimalTargets::new(settings);
    for (column, stored) in found.iter_mut().zip(builder.schema().fields()) {
        targets.choose(column, stored);
    }
    let columns = columns.or_own(found);
    if let Some(json) = columns.iter().find(|c| c.kind == "JSON") {
        return Err(FormatError::new(format!(
            "Unsupported field type: JSON. Field {} cannot be loaded from Parquet",
            json.name
        )));
    }
    let schema: SchemaRef = Arc::new(schema::to_arrow(&columns));
    let reader = builder
        .with_batch_size(BATCH_ROWS)
        .build()
        .map_err(FormatError::reading)?;
    let mut batches = Vec::new();
    for batch in reader {
        let batch = batch.map_err(FormatError::reading)?;
        batches.push(fitted(&batch, &schema)?);
    }
    Ok(Decoded {
        columns,
        batches,
        bad: 0,
    })
}

/// The types that decimals may become, `decimalTargetTypes`.
struct DecimalTargets {
    bignumeric: bool,
    string: bool,
}

impl DecimalTargets {
    fn new(settings: &Value) -> Self {
        let has = |name: &str| {
            let all = settings["decimalTargetTypes"].as_array();
            all.is_some_and(|all| all.iter().any(|t| t == name))
        };
        Self {
            bignumeric: has("BIGNUMERIC"),
            string: has("STRING"),
        }
    }

    /// The first type that holds all digits, else the widest of those listed.
    fn choose(&self, column: &mut FieldSchema, stored: &Field) {
        let Some((precision, scale)) = digits(stored.data_type()) else {
            return;
        };
        let whole = i16::from(precision) - i16::from(scale);
        let kind = if scale <= 9 && whole <= 29 {
            "NUMERIC"
        } else if self.bignumeric && (scale <= 38 && whole <= 38 || !self.string) {
            "BIGNUMERIC"
        } else if self.string {
            "STRING"
        } else {
            "NUMERIC"
        };
        kind.clone_into(&mut column.kind);
    }
}

fn digits(data_type: &DataType) -> Option<(u8, i8)> {
    match data_type {
        DataType::Decimal32(p, s)
        | DataType::Decimal64(p, s)
        | DataType::Decimal128(p, s)
        | DataType::Decimal256(p, s) => Some((*p, *s)),
        _ => None,
    }
}

/// The batch in wire types; decimals must not lose digits on the way.
fn fitted(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, FormatError> {
    for (field, column) in batch.schema_ref().fields().iter().zip(batch.columns()) {
        let wanted = crate::projection::find(schema.fields(), field.name());
        if let Some((_, wanted)) = wanted
            && digits(field.data_type()).is_some_and(|(_, scale)| scale > 9)
            && matches!(wanted.data_type(), DataType::Decimal128(_, _))
            && !exact(column, wanted.data_type())
        {
            return Err(FormatError::reading(format!(
                "a value of column {} is out of valid NUMERIC range",
                field.name()
            )));
        }
    }
    let columns = batch.columns().iter().map(interval::from_arrow);
    let columns = columns
        .collect::<Result<Vec<_>, _>>()
        .map_err(FormatError::reading)?;
    let batch = RecordBatch::try_new(batch.schema(), columns).map_err(FormatError::reading)?;
    let mut arranged = wire::arranged(&batch, schema).map_err(FormatError::reading)?;
    for (index, field) in schema.fields().iter().enumerate() {
        if wire::sql_type(field) == Some("geography")
            && let Some(texts) = arranged.column(index).as_string_opt::<i32>()
        {
            let places = texts
                .iter()
                .map(|t| t.map(geography::from_text).transpose());
            let places = places.collect::<Result<StringArray, String>>();
            let mut columns = arranged.columns().to_vec();
            if let Some(column) = columns.get_mut(index) {
                *column = Arc::new(places.map_err(FormatError::reading)?);
            }
            arranged =
                RecordBatch::try_new(Arc::clone(schema), columns).map_err(FormatError::reading)?;
        }
    }
    Ok(arranged)
}

/// Whether every value is the same in another type.
fn exact(column: &ArrayRef, to: &DataType) -> bool {
    let options = CastOptions {
        safe: false,
        ..CastOptions::default()
    };
    cast_with_options(column, to, &options)
        .and_then(|there| cast_with_options(&there, column.data_type(), &options))
        .is_ok_and(|back| back.to_data() == column.to_data())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use arrow::array::Decimal128Array;
    use arrow::datatypes::Schema;
    use parquet::arrow::ArrowWriter;
    use serde_json::json;

    fn file(values: &[i128]) -> Bytes {
        let column = Decimal128Array::from_iter_values(values.iter().copied())
            .with_precision_and_scale(38, 12)
            .unwrap();
        let field = Field::new("d", column.data_type().clone(), true);
        let schema = Arc::new(Schema::new(vec![field]));
        let batch = RecordBatch::try_new(Arc::clone(&schema), vec![Arc::new(column)]).unwrap();
        let mut bytes = Vec::new();
        let mut writer = ArrowWriter::try_new(&mut bytes, schema, None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        bytes.into()
    }

    #[test]
    fn decimals_become_what_is_listed_and_lose_no_digits() {
        let kind = |targets: Value, values: &[i128]| {
            let settings = json!({"decimalTargetTypes": targets});
            decode(&file(values), Columns::Detect, &settings)
                .map(|d| d.columns.first().unwrap().kind.clone())
                .map_err(|e| e.to_string())
        };
        let (fine, rest) = (1_500_000_000_000, 1_500_000_000_001);
        assert_eq!(kind(Value::Null, &[fine]).unwrap(), "NUMERIC");
        let all = json!(["NUMERIC", "BIGNUMERIC", "STRING"]);
        assert_eq!(kind(all, &[fine, rest]).unwrap(), "BIGNUMERIC");
        let text = json!(["STRING", "NUMERIC"]);
        assert_eq!(kind(text, &[rest]).unwrap(), "STRING");
        let refused = kind(json!(["NUMERIC"]), &[fine, rest]).unwrap_err();
        assert!(refused.contains("out of valid NUMERIC range"), "{refused}");
    }
}
