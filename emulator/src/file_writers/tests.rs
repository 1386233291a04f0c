#![allow(clippy::unwrap_used)]
use std::io::Read;

use bytes::Bytes;
use flate2::read::GzDecoder;
use serde_json::json;

use super::*;
use crate::cells::{self, JsonReading, UnknownFields, json_row};
use crate::file_formats::{self, Columns};
use crate::schema::{self, FieldSchema};

fn columns() -> Vec<FieldSchema> {
    let fields: Vec<FieldSchema> = serde_json::from_value(json!([
        {"name": "i", "type": "INT64"}, {"name": "s", "type": "STRING"}, {"name": "f", "type": "FLOAT64"},
        {"name": "by", "type": "BYTES"}, {"name": "d", "type": "DATE"}, {"name": "t", "type": "TIME"},
        {"name": "dt", "type": "DATETIME"}, {"name": "ts", "type": "TIMESTAMP"}, {"name": "n", "type": "NUMERIC"},
        {"name": "b", "type": "BOOL"},
    ]))
    .unwrap();
    schema::checked(&fields).unwrap()
}

fn batch(columns: &[FieldSchema], rows: &[Value]) -> RecordBatch {
    let schema = Arc::new(schema::to_arrow(columns));
    let reading = JsonReading::of_file(UnknownFields::Refuse);
    let rows: Vec<_> = rows
        .iter()
        .map(|row| json_row(schema.fields(), row, reading).unwrap())
        .collect();
    cells::batch(&schema, &rows).unwrap()
}

fn flat() -> RecordBatch {
    let first = json!({"i": "9223372036854775807", "s": "a \"b\",\nc", "f": 1.0, "by": "AP8=", "d": "0001-01-01",
        "t": "01:02:03.5", "dt": "2024-02-29T01:02:03", "ts": "1969-12-31 23:59:59.5 UTC", "n": "-1.50", "b": true});
    let second = json!({"s": "", "f": "-inf"});
    batch(&columns(), &[first, second])
}

fn written(batch: &RecordBatch, settings: &Value) -> Result<Vec<u8>, FileFormError> {
    let form = FileForm::of_job(settings)?;
    let schema = form.schema(&batch.schema())?;
    let mut writer = form.begin(Vec::new(), &schema)?;
    writer.write(&form.batch(batch)?)?;
    writer.finish()
}

#[test]
fn lines_are_as_load_jobs_read_them() {
    let text = String::from_utf8(written(&flat(), &json!({})).unwrap()).unwrap();
    assert_eq!(
        text,
        "i,s,f,by,d,t,dt,ts,n,b\n\
         9223372036854775807,\"a \"\"b\"\",\nc\",1.0,AP8=,0001-01-01,01:02:03.500,2024-02-29T01:02:03,1969-12-31 23:59:59.500 UTC,-1.5,true\n\
         ,\"\",-Infinity,,,,,,,\n"
    );
    let bare = json!({"printHeader": false, "fieldDelimiter": "tab"});
    let text = String::from_utf8(written(&flat().slice(1, 1), &bare).unwrap()).unwrap();
    assert_eq!(text, "\t\"\"\t-Infinity\t\t\t\t\t\t\t\n");
    let lines = json!({"destinationFormat": "NEWLINE_DELIMITED_JSON", "compression": "GZIP"});
    let mut text = String::new();
    let packed = written(&flat(), &lines).unwrap();
    GzDecoder::new(packed.as_slice())
        .read_to_string(&mut text)
        .unwrap();
    let second = text.lines().nth(1).unwrap();
    assert_eq!(second, "{\"s\":\"\",\"f\":\"-Infinity\"}");
    assert!(
        text.starts_with("{\"i\":\"9223372036854775807\",\"s\":\"a \\\"b\\\",\\nc\",\"f\":1.0,")
    );
}

#[test]
fn every_form_is_read_back_the_same() {
    for settings in [
        json!({"destinationFormat": "CSV", "skipLeadingRows": 1}),
        json!({"destinationFormat": "CSV", "compression": "GZIP", "skipLeadingRows": 1}),
        json!({"destinationFormat": "NEWLINE_DELIMITED_JSON"}),
        json!({"destinationFormat": "AVRO"}),
        json!({"destinationFormat": "AVRO", "compression": "DEFLATE", "useAvroLogicalTypes": true}),
        json!({"destinationFormat": "PARQUET"}),
        json!({"destinationFormat": "PARQUET", "compression": "ZSTD"}),
        json!({"destinationFormat": "PARQUET", "compression": "SNAPPY"}),
        json!({"destinationFormat": "PARQUET", "compression": "GZIP"}),
    ] {
        let bytes = Bytes::from(written(&flat(), &settings).unwrap());
        let format = settings["destinationFormat"].as_str().unwrap();
        let read = file_formats::decode(format, &bytes, Columns::Given(columns()), &settings);
        let read = read.unwrap().batches;
        let read = arrow::compute::concat_batches(&read[0].schema(), &read).unwrap();
        assert_eq!(read, flat(), "{settings}");
    }
}

#[test]
fn rows_in_rows_are_written_where_a_form_holds_them() {
    let fields = json!([{"name": "a", "type": "DATE", "mode": "REPEATED"}, {"name": "j", "type": "JSON"},
        {"name": "r", "type": "RECORD", "fields": [{"name": "x", "type": "INT64"}, {"name": "d", "type": "DATE"}]}]);
    let fields: Vec<FieldSchema> = serde_json::from_value(fields).unwrap();
    let columns = schema::checked(&fields).unwrap();
    let row = json!({"a": ["2020-01-01", "2020-01-02"], "j": {"k": [1]}, "r": {"x": 1, "d": "2020-01-03"}});
    let nested = batch(&columns, &[row]);
    let refused = written(&nested, &json!({})).unwrap_err().to_string();
    assert!(refused.contains("nested schema. Field: a"), "{refused}");
    let lines = written(
        &nested,
        &json!({"destinationFormat": "NEWLINE_DELIMITED_JSON"}),
    )
    .unwrap();
    assert_eq!(
        String::from_utf8(lines).unwrap(),
        "{\"a\":[\"2020-01-01\",\"2020-01-02\"],\"j\":{\"k\":[1]},\"r\":{\"x\":\"1\",\"d\":\"2020-01-03\"}}\n"
    );
    let avro = written(
        &nested.project(&[0, 2]).unwrap(),
        &json!({"destinationFormat": "AVRO"}),
    );
    let own = vec![columns[0].clone(), columns[2].clone()];
    let read = file_formats::decode(
        "AVRO",
        &avro.unwrap().into(),
        Columns::Given(own),
        &json!({}),
    );
    assert_eq!(read.unwrap().batches[0], nested.project(&[0, 2]).unwrap());
}

#[test]
fn what_is_not_written_is_refused_by_name() {
    let said = |settings: Value| FileForm::of_job(&settings).unwrap_err().to_string();
    assert!(said(json!({"destinationFormat": "ORC"})).contains("ORC"));
    assert!(said(json!({"compression": "SNAPPY"})).contains("SNAPPY"));
    let snappy = json!({"destinationFormat": "AVRO", "compression": "SNAPPY"});
    assert!(said(snappy).contains("not supported by this emulator"));
    assert!(said(json!({"fieldDelimiter": "ab"})).contains("\"ab\""));
}
