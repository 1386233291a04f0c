//! The Write API where the writer's schema is not quite the table's: columns called by an option, values left out, fields too many,
//! and changes of rows by their key.

use googleapis_tonic_google_cloud_bigquery_storage_v1::google::cloud::bigquery::storage::v1 as proto;
use googleapis_tonic_google_cloud_bigquery_storage_v1::google::rpc;
use prost::Message;
use prost_types::field_descriptor_proto::{Label, Type as FieldType};
use prost_types::{DescriptorProto, FieldDescriptorProto};
use proto::append_rows_response::Response;
use proto::big_query_write_client::BigQueryWriteClient;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_stream::StreamExt;
use tonic::Code;
use tonic::transport::Channel;

use millpond_emulator::RunningEmulator;

use crate::harness::serve;
use crate::rest::send_json;
use crate::tables::make_table;
use crate::writes::{Writer, append, outcomes};

const DEFAULT: &str = "projects/p/datasets/d/tables/t/streams/_default";

async fn setup(root: &TempDir, fields: Value) -> (RunningEmulator, Writer) {
    let emulator = serve(root).await;
    make_table(&emulator, fields).await;
    let channel = Channel::from_shared(emulator.endpoint()).unwrap();
    let writer = BigQueryWriteClient::new(channel.connect().await.unwrap());
    (emulator, writer)
}

/// A message of texts called so, numbered from 1.
fn descriptor(names: &[&str]) -> DescriptorProto {
    let field = |(index, name): (usize, &&str)| FieldDescriptorProto {
        name: Some((*name).to_owned()),
        number: Some(index as i32 + 1),
        label: Some(Label::Optional.into()),
        r#type: Some(FieldType::String.into()),
        ..FieldDescriptorProto::default()
    };
    DescriptorProto {
        name: Some("Row".to_owned()),
        field: names.iter().enumerate().map(field).collect(),
        ..DescriptorProto::default()
    }
}

/// Rows of texts; an empty one is left out.
fn request(names: &[&str], rows: &[&[&str]]) -> proto::AppendRowsRequest {
    let row = |values: &&[&str]| {
        let mut bytes = Vec::new();
        for (index, value) in values.iter().enumerate().filter(|(_, v)| !v.is_empty()) {
            put(index as u64 + 1, value.as_bytes(), &mut bytes);
        }
        bytes.into()
    };
    proto::AppendRowsRequest {
        write_stream: DEFAULT.to_owned(),
        rows: Some(proto::append_rows_request::Rows::ProtoRows(
            proto::append_rows_request::ProtoData {
                writer_schema: Some(proto::ProtoSchema {
                    proto_descriptor: Some(descriptor(names)),
                }),
                rows: Some(proto::ProtoRows {
                    serialized_rows: rows.iter().map(row).collect(),
                }),
            },
        )),
        ..proto::AppendRowsRequest::default()
    }
}

fn put(number: u64, value: &[u8], bytes: &mut Vec<u8>) {
    prost::encoding::encode_varint(number << 3 | 2, bytes);
    prost::encoding::encode_varint(value.len() as u64, bytes);
    bytes.extend(value);
}

async fn rows(emulator: &RunningEmulator, sql: &str) -> Vec<Value> {
    let body = json!({"query": sql, "useLegacySql": false});
    let (code, answer) = send_json(emulator, "POST", "/projects/p/queries", &body).await;
    assert_eq!(code, 200, "{answer}");
    let rows = answer["rows"].as_array().cloned().unwrap_or_default();
    let values = |row: &Value| {
        let cells = row["f"].as_array().unwrap();
        cells.iter().map(|cell| cell["v"].clone()).collect()
    };
    rows.iter().map(values).collect()
}

/// A request as bytes, whose one field says in an option which column it is for.
fn annotated(column: &str) -> Vec<u8> {
    let mut options = Vec::new();
    put(454_943_157, column.as_bytes(), &mut options);
    let mut field = descriptor(&["col_x"]).field[0].encode_to_vec();
    put(8, &options, &mut field);
    let mut message = Vec::new();
    put(2, &field, &mut message);
    let mut schema = Vec::new();
    put(1, &message, &mut schema);
    let mut row = Vec::new();
    put(1, b"value", &mut row);
    let mut rows = Vec::new();
    put(1, &row, &mut rows);
    let mut data = Vec::new();
    put(1, &schema, &mut data);
    put(2, &rows, &mut data);
    let mut request = Vec::new();
    put(1, DEFAULT.as_bytes(), &mut request);
    put(4, &data, &mut request);
    request
}

/// A message that is what its bytes are: the ready-made ones would forget the option.
#[derive(Clone, PartialEq, Message)]
struct Raw {
    #[prost(string, tag = "1")]
    write_stream: String,
    #[prost(bytes = "vec", optional, tag = "4")]
    proto_rows: Option<Vec<u8>>,
}

#[tokio::test]
async fn fields_are_for_the_columns_that_their_options_name() {
    let root = TempDir::new().unwrap();
    let fields = json!([{"name": "特別-コラム", "type": "STRING", "mode": "REQUIRED"}]);
    let (emulator, _) = setup(&root, fields).await;
    let channel = Channel::from_shared(emulator.endpoint()).unwrap();
    let mut client = tonic::client::Grpc::new(channel.connect().await.unwrap());
    client.ready().await.unwrap();
    let request = Raw::decode(annotated("特別-コラム").as_slice()).unwrap();
    let path = "/google.cloud.bigquery.storage.v1.BigQueryWrite/AppendRows";
    let answer = client
        .streaming(
            tonic::Request::new(tokio_stream::iter([request])),
            path.parse().unwrap(),
            tonic_prost::ProstCodec::<Raw, proto::AppendRowsResponse>::default(),
        )
        .await
        .unwrap();
    let answers: Vec<_> = answer.into_inner().collect().await;
    assert_eq!(outcomes(&answers), [Ok(None)]);
    assert_eq!(
        rows(&emulator, "SELECT * FROM d.t").await,
        [json!(["value"])]
    );
    emulator.shutdown().await;
}

#[tokio::test]
async fn missing_values_are_defaults_where_that_is_asked_for() {
    let root = TempDir::new().unwrap();
    let fields = json!([
        {"name": "a", "type": "STRING"},
        {"name": "b", "type": "STRING", "mode": "REQUIRED", "defaultValueExpression": "UPPER('usual')"},
        {"name": "c", "type": "STRING", "defaultValueExpression": "'c'"},
    ]);
    let (emulator, mut writer) = setup(&root, fields).await;
    let (null, default) = (1, 2);
    let names = ["a", "b", "c"];
    let first = proto::AppendRowsRequest {
        default_missing_value_interpretation: default,
        missing_value_interpretations: [("c".to_owned(), null)].into(),
        ..request(&names, &[&["1"], &["2", "own", "own"]])
    };
    // What is asked for a column holds for one request, what is asked for all stays.
    let second = request(&["a"], &[&["3"]]);
    let third = proto::AppendRowsRequest {
        default_missing_value_interpretation: null,
        ..request(&names, &[&["4"]])
    };
    let answers = append(&mut writer, vec![first, second, third]).await;
    assert_eq!(
        outcomes(&answers),
        [Ok(None), Ok(None), Err((Code::InvalidArgument as i32, 0))]
    );
    assert_eq!(
        rows(&emulator, "SELECT * FROM d.t ORDER BY a").await,
        [
            json!(["1", "USUAL", null]),
            json!(["2", "own", "own"]),
            json!(["3", "USUAL", "c"])
        ]
    );
    emulator.shutdown().await;
}

#[tokio::test]
async fn a_writer_with_more_fields_than_the_table_is_told_and_let_go() {
    let root = TempDir::new().unwrap();
    let (emulator, mut writer) = setup(&root, json!([{"name": "a", "type": "STRING"}])).await;
    let requests = vec![
        request(&["a"], &[]),
        request(&["a", "more"], &[&["1", "2"]]),
        request(&["a"], &[&["never"]]),
    ];
    let answers = append(&mut writer, requests).await;
    assert_eq!(answers.len(), 2);
    let Some(Response::Error(empty)) = &answers[0].as_ref().unwrap().response else {
        panic!("rows must be given")
    };
    assert!(
        empty.message.starts_with("Rows must be specified."),
        "{empty:?}"
    );
    let status = answers[1].as_ref().unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(
        status.message().contains("extra fields: 'root.more'"),
        "{status}"
    );
    let of_status = rpc::Status::decode(status.details()).unwrap();
    let detail = proto::StorageError::decode(of_status.details[0].value.as_slice()).unwrap();
    assert_eq!(
        detail.error_message,
        "Schema mismatch due to extra fields in user schema"
    );
    let name = "google.cloud.bigquery.storage.v1.storageerror-bin";
    let metadata = status.metadata().get_bin(name).unwrap().to_bytes().unwrap();
    assert_eq!(proto::StorageError::decode(metadata).unwrap(), detail);
    assert_eq!(rows(&emulator, "SELECT * FROM d.t").await.len(), 0);
    emulator.shutdown().await;
}

#[tokio::test]
async fn changes_find_their_rows_by_the_primary_key() {
    let root = TempDir::new().unwrap();
    let fields = json!([{"name": "k", "type": "STRING"}, {"name": "v", "type": "STRING"}]);
    let (emulator, mut writer) = setup(&root, fields).await;
    let names = ["k", "v", "_CHANGE_TYPE"];
    let insert = request(&names, &[&["1", "a", "INSERT"]]);
    let refused = append(&mut writer, vec![insert.clone()]).await;
    assert_eq!(outcomes(&refused), [Err((Code::InvalidArgument as i32, 0))]);
    let keys = json!({"tableConstraints": {"primaryKey": {"columns": ["k"]}}});
    let path = "/projects/p/datasets/d/tables/t";
    assert_eq!(send_json(&emulator, "PATCH", path, &keys).await.0, 200);
    let requests = vec![
        insert,
        request(&["k", "v"], &[&["2", "b"], &["3", "c"]]),
        // The last change of a key counts.
        request(
            &names,
            &[
                &["1", "wrong", "UPSERT"],
                &["2", "", "DELETE"],
                &["1", "A", "UPSERT"],
                &["4", "", "DELETE"],
                &["5", "e", "UPSERT"],
            ],
        ),
        request(&names, &[&["3", "", "REPLACE"]]),
        request(
            &["k", "_CHANGE_TYPE", "_CHANGE_SEQUENCE_NUMBER"],
            &[&["3", "DELETE", "1"]],
        ),
    ];
    let answers = append(&mut writer, requests).await;
    let invalid = Err((Code::InvalidArgument as i32, 0));
    assert_eq!(
        outcomes(&answers),
        [Ok(None), Ok(None), Ok(None), invalid, invalid]
    );
    let row_error = &answers[3].as_ref().unwrap().row_errors[0];
    assert!(row_error.message.contains("REPLACE"), "{row_error:?}");
    assert_eq!(
        rows(&emulator, "SELECT * FROM d.t ORDER BY k").await,
        [json!(["1", "A"]), json!(["3", "c"]), json!(["5", "e"])]
    );
    emulator.shutdown().await;
}
