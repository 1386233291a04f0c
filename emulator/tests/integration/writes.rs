//! The Write API: every kind of stream, as its rows are seen by a reader.

use std::time::Duration;

use googleapis_tonic_google_cloud_bigquery_storage_v1::google::cloud::bigquery::storage::v1 as proto;
use prost::Message;
use prost_types::field_descriptor_proto::{Label, Type as FieldType};
use prost_types::{DescriptorProto, FieldDescriptorProto};
use proto::append_rows_request::{ProtoData, Rows};
use proto::append_rows_response::Response;
use proto::big_query_write_client::BigQueryWriteClient;
use proto::write_stream::Type;
use serde_json::json;
use tempfile::TempDir;
use tokio_stream::StreamExt;
use tonic::Code;
use tonic::transport::Channel;

use millpond_emulator::{Emulator, EmulatorBuilder, RunningEmulator};

use crate::harness::*;
use crate::rest::send_json;
use crate::tables::make_table;

pub type Writer = BigQueryWriteClient<Channel>;

pub struct Setup {
    pub root: TempDir,
    pub emulator: RunningEmulator,
    pub writer: Writer,
}

async fn setup() -> Setup {
    setup_with(Emulator::builder().append_idle(Duration::from_millis(500))).await
}

pub async fn setup_with(builder: EmulatorBuilder) -> Setup {
    let root = TempDir::new().unwrap();
    let emulator = builder.data_dir(root.path()).start().await.unwrap();
    make_table(
        &emulator,
        json!([{"name": "id", "type": "INT64", "mode": "REQUIRED"}, {"name": "name", "type": "STRING"}]),
    )
    .await;
    let channel = Channel::from_shared(emulator.endpoint()).unwrap();
    let writer = Writer::new(channel.connect().await.unwrap());
    Setup {
        root,
        emulator,
        writer,
    }
}

/// Message fields `id = 1` and `name = 2`, then more by name.
fn descriptor(more: &[&str]) -> DescriptorProto {
    let field = |(index, name): (usize, &&str)| FieldDescriptorProto {
        name: Some((*name).to_owned()),
        number: Some(index as i32 + 1),
        label: Some(Label::Optional.into()),
        r#type: Some(
            if index == 0 {
                FieldType::Int64
            } else {
                FieldType::String
            }
            .into(),
        ),
        ..FieldDescriptorProto::default()
    };
    DescriptorProto {
        name: Some("Row".to_owned()),
        field: ["id", "name"]
            .iter()
            .chain(more)
            .enumerate()
            .map(field)
            .collect(),
        ..DescriptorProto::default()
    }
}

fn row(id: Option<i64>) -> bytes::Bytes {
    let mut bytes = vec![0x12, 1, b'n'];
    if let Some(id) = id {
        bytes.push(8);
        prost::encoding::encode_varint(id as u64, &mut bytes);
    }
    bytes.into()
}

pub fn request(stream: &str, ids: &[Option<i64>], offset: Option<i64>) -> proto::AppendRowsRequest {
    request_of(stream, ids, offset, &[])
}

fn request_of(
    stream: &str,
    ids: &[Option<i64>],
    offset: Option<i64>,
    more: &[&str],
) -> proto::AppendRowsRequest {
    proto::AppendRowsRequest {
        write_stream: stream.to_owned(),
        offset,
        rows: Some(Rows::ProtoRows(ProtoData {
            writer_schema: Some(proto::ProtoSchema {
                proto_descriptor: Some(descriptor(more)),
            }),
            rows: Some(proto::ProtoRows {
                serialized_rows: ids.iter().map(|id| row(*id)).collect(),
            }),
        })),
        ..proto::AppendRowsRequest::default()
    }
}

/// The answers to requests sent over one connection.
pub async fn append(
    writer: &mut Writer,
    requests: Vec<proto::AppendRowsRequest>,
) -> Vec<Result<proto::AppendRowsResponse, tonic::Status>> {
    match writer.append_rows(tokio_stream::iter(requests)).await {
        Ok(answers) => answers.into_inner().collect().await,
        Err(status) => vec![Err(status)],
    }
}

/// The offset of an answer, or the code and the StorageError's code of its error.
fn outcome(answer: &proto::AppendRowsResponse) -> Result<Option<i64>, (i32, i32)> {
    match answer.response.as_ref().unwrap() {
        Response::AppendResult(result) => Ok(result.offset),
        Response::Error(status) => {
            let detail = status.details.first().map_or(0, |detail| {
                proto::StorageError::decode(detail.value.as_slice())
                    .unwrap()
                    .code
            });
            Err((status.code, detail))
        }
    }
}

pub fn outcomes(
    answers: &[Result<proto::AppendRowsResponse, tonic::Status>],
) -> Vec<Result<Option<i64>, (i32, i32)>> {
    answers
        .iter()
        .map(|a| outcome(a.as_ref().unwrap()))
        .collect()
}

pub async fn make(writer: &mut Writer, kind: Type) -> String {
    let made = writer
        .create_write_stream(proto::CreateWriteStreamRequest {
            parent: TABLE.to_owned(),
            write_stream: Some(proto::WriteStream {
                r#type: kind.into(),
                ..proto::WriteStream::default()
            }),
        })
        .await
        .unwrap()
        .into_inner();
    assert_eq!(made.commit_time.is_some(), kind == Type::Committed);
    assert_eq!(made.table_schema.unwrap().fields.len(), 2);
    made.name
}

pub async fn visible(emulator: &RunningEmulator) -> Vec<i64> {
    let client = client(emulator).await;
    let session = open(&client, arrow_session()).await.unwrap();
    ids(&read_all(&client, &session).await)
}

pub fn some(ids: std::ops::Range<i64>) -> Vec<Option<i64>> {
    ids.map(Some).collect()
}

pub const EXISTS: (i32, i32) = (Code::AlreadyExists as i32, 8);
const BEYOND: (i32, i32) = (Code::OutOfRange as i32, 9);

#[tokio::test]
async fn committed_rows_are_seen_at_once_exactly_once_and_after_a_restart() {
    let Setup {
        root,
        emulator,
        mut writer,
    } = setup().await;
    let stream = make(&mut writer, Type::Committed).await;
    let answers = append(
        &mut writer,
        vec![
            request(&stream, &some(0..3), Some(0)),
            request(&stream, &some(0..3), Some(0)),
            request(&stream, &some(9..10), Some(4)),
            request(&stream, &[Some(3), None], None),
            request(&stream, &some(3..5), None),
        ],
    )
    .await;
    assert_eq!(
        outcomes(&answers),
        [
            Ok(Some(0)),
            Err(EXISTS),
            Err(BEYOND),
            Err((Code::InvalidArgument as i32, 0)),
            Ok(Some(3)),
        ]
    );
    let refused = answers[3].as_ref().unwrap();
    assert_eq!(refused.row_errors.len(), 1);
    assert_eq!(refused.row_errors[0].index, 1);
    assert_eq!(refused.row_errors[0].message, "Missing required field: id.");
    assert_eq!(visible(&emulator).await, [0, 1, 2, 3, 4]);
    let finalized = writer
        .finalize_write_stream(proto::FinalizeWriteStreamRequest {
            name: stream.clone(),
        })
        .await
        .unwrap()
        .into_inner();
    assert_eq!(finalized.row_count, 5);
    let late = append(&mut writer, vec![request(&stream, &some(5..6), None)]).await;
    assert_eq!(outcomes(&late), [Err((Code::InvalidArgument as i32, 6))]);
    emulator.shutdown().await;
    let again = serve(&root).await;
    assert_eq!(visible(&again).await, [0, 1, 2, 3, 4]);
    again.shutdown().await;
}

/// Rows of streams that are committed together come in no order among themselves.
fn sorted(mut ids: Vec<i64>) -> Vec<i64> {
    ids.sort_unstable();
    ids
}

#[tokio::test]
async fn pending_rows_are_seen_when_all_their_streams_are_committed() {
    let Setup {
        root,
        emulator,
        mut writer,
    } = setup().await;
    let streams = [
        make(&mut writer, Type::Pending).await,
        make(&mut writer, Type::Pending).await,
    ];
    for (stream, ids) in streams.iter().zip([0..2, 2..4]) {
        let answers = append(&mut writer, vec![request(stream, &some(ids), Some(0))]).await;
        assert_eq!(outcomes(&answers), [Ok(Some(0))]);
    }
    let commit = |streams: &[String]| proto::BatchCommitWriteStreamsRequest {
        parent: TABLE.to_owned(),
        write_streams: streams.to_vec(),
    };
    let name = streams[0].clone();
    writer
        .finalize_write_stream(proto::FinalizeWriteStreamRequest { name })
        .await
        .unwrap();
    let early = writer.batch_commit_write_streams(commit(&streams)).await;
    let early = early.unwrap().into_inner();
    assert!(early.commit_time.is_none());
    assert_eq!(early.stream_errors.len(), 1);
    assert_eq!(early.stream_errors[0].entity, streams[1]);
    assert_eq!(visible(&emulator).await, Vec::<i64>::new());
    let name = streams[1].clone();
    writer
        .finalize_write_stream(proto::FinalizeWriteStreamRequest { name })
        .await
        .unwrap();
    let done = writer.batch_commit_write_streams(commit(&streams)).await;
    assert!(done.unwrap().into_inner().commit_time.is_some());
    assert_eq!(sorted(visible(&emulator).await), [0, 1, 2, 3]);
    let twice = writer.batch_commit_write_streams(commit(&streams)).await;
    assert_eq!(twice.unwrap().into_inner().stream_errors.len(), 2);
    assert_eq!(sorted(visible(&emulator).await), [0, 1, 2, 3]);
    emulator.shutdown().await;
    drop(root);
}

#[tokio::test]
async fn buffered_rows_are_seen_up_to_the_offset_flushed() {
    let Setup {
        root,
        emulator,
        mut writer,
    } = setup().await;
    let stream = make(&mut writer, Type::Buffered).await;
    let requests = vec![
        request(&stream, &some(0..3), Some(0)),
        request(&stream, &some(3..6), Some(3)),
    ];
    assert_eq!(
        outcomes(&append(&mut writer, requests).await),
        [Ok(Some(0)), Ok(Some(3))]
    );
    let flush = |offset| proto::FlushRowsRequest {
        write_stream: stream.clone(),
        offset: Some(offset),
    };
    for (offset, seen) in [(3, 4), (1, 4), (5, 6)] {
        let flushed = writer.flush_rows(flush(offset)).await.unwrap().into_inner();
        assert_eq!(flushed.offset, offset);
        assert_eq!(visible(&emulator).await, (0..seen).collect::<Vec<i64>>());
    }
    let beyond = writer.flush_rows(flush(6)).await.unwrap_err();
    assert_eq!(beyond.code(), Code::OutOfRange);
    assert!(
        beyond
            .message()
            .starts_with("Offset 6 is beyond the end of the stream")
    );
    let negative = writer.flush_rows(flush(-1)).await.unwrap_err();
    assert_eq!(negative.code(), Code::InvalidArgument);
    emulator.shutdown().await;
    drop(root);
}

#[tokio::test]
async fn the_default_stream_has_no_offsets_and_tells_of_new_columns() {
    let Setup {
        root,
        emulator,
        mut writer,
    } = setup().await;
    let default = format!("{TABLE}/streams/_default");
    let answers = append(
        &mut writer,
        vec![
            request(&default, &some(0..1), None),
            request_of(&default, &some(1..2), None, &["more"]),
        ],
    )
    .await;
    assert_eq!(outcomes(&answers[..1]), [Ok(None)]);
    let refused = answers[1].as_ref().unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    let with_offset = append(&mut writer, vec![request(&default, &some(1..2), Some(0))]).await;
    assert_eq!(
        with_offset[0].as_ref().unwrap_err().code(),
        Code::InvalidArgument
    );

    let (sender, receiver) = tokio::sync::mpsc::channel(1);
    let requests = tokio_stream::wrappers::ReceiverStream::new(receiver);
    sender
        .send(request(&default, &some(1..2), None))
        .await
        .unwrap();
    let mut answers = writer.append_rows(requests).await.unwrap().into_inner();
    assert!(
        answers
            .message()
            .await
            .unwrap()
            .unwrap()
            .updated_schema
            .is_none()
    );
    let more = json!({"schema": {"fields": [{"name": "id", "type": "INT64", "mode": "REQUIRED"},
        {"name": "name", "type": "STRING"}, {"name": "more", "type": "STRING"}]}});
    let (code, changed) =
        send_json(&emulator, "PATCH", "/projects/p/datasets/d/tables/t", &more).await;
    assert_eq!(code, 200, "{changed}");
    sender
        .send(request_of(&default, &some(2..3), None, &["more"]))
        .await
        .unwrap();
    let updated = answers.message().await.unwrap().unwrap().updated_schema;
    assert_eq!(updated.unwrap().fields.len(), 3);
    // Rows from before the change are read with the new column, which they do not have.
    assert_eq!(visible(&emulator).await, [0, 1, 2]);
    let idle = answers.message().await.unwrap_err();
    assert_eq!(idle.code(), Code::Aborted);
    assert!(idle.message().contains("inactive for 0 seconds"), "{idle}");
    emulator.shutdown().await;
    drop(root);
}

#[tokio::test]
async fn what_does_not_exist_is_refused_as_the_service_refuses_it() {
    let Setup {
        root,
        emulator,
        mut writer,
    } = setup().await;
    let missing = "projects/p/datasets/d/tables/none";
    let refused = append(
        &mut writer,
        vec![request(
            &format!("{missing}/streams/_default"),
            &some(0..1),
            None,
        )],
    )
    .await;
    let status = refused[0].as_ref().unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
    assert_eq!(
        status.message(),
        format!(
            "Permission 'TABLES_UPDATE_DATA' denied on resource '{missing}' (or it may not exist)."
        )
    );
    for name in ["nonsense".to_owned(), format!("{TABLE}/streams/unknown")] {
        let get = proto::GetWriteStreamRequest {
            name: name.clone(),
            view: 0,
        };
        let status = writer.get_write_stream(get).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        assert_eq!(
            status.message(),
            format!("Invalid stream name. Entity: {name}")
        );
    }
    let name = format!("{TABLE}/streams/_default");
    let finalized = writer
        .finalize_write_stream(proto::FinalizeWriteStreamRequest { name })
        .await;
    assert_eq!(finalized.unwrap_err().code(), Code::NotFound);
    emulator.shutdown().await;
    drop(root);
}

#[tokio::test]
async fn the_older_name_of_the_api_writes_too() {
    use tonic::codegen::http::uri::PathAndQuery;
    let setup = setup().await;
    let channel = Channel::from_shared(setup.emulator.endpoint()).unwrap();
    let mut calls = tonic::client::Grpc::new(channel.connect().await.unwrap());
    let path = |method: &str| {
        let service = "google.cloud.bigquery.storage.v1beta2.BigQueryWrite";
        format!("/{service}/{method}")
            .parse::<PathAndQuery>()
            .unwrap()
    };
    calls.ready().await.unwrap();
    let asked = proto::CreateWriteStreamRequest {
        parent: TABLE.to_owned(),
        write_stream: Some(proto::WriteStream {
            r#type: Type::Committed.into(),
            ..proto::WriteStream::default()
        }),
    };
    let codec = tonic_prost::ProstCodec::default();
    let asked = tonic::Request::new(asked);
    let made = calls.unary(asked, path("CreateWriteStream"), codec).await;
    let made: proto::WriteStream = made.unwrap().into_inner();
    calls.ready().await.unwrap();
    let requests = vec![request(&made.name, &some(0..3), Some(0))];
    let requests = tonic::Request::new(tokio_stream::iter(requests));
    let codec = tonic_prost::ProstCodec::default();
    let answers = calls.streaming(requests, path("AppendRows"), codec).await;
    let answers: Vec<_> = answers.unwrap().into_inner().collect().await;
    assert_eq!(outcomes(&answers), [Ok(Some(0))]);
    assert_eq!(visible(&setup.emulator).await, [0, 1, 2]);
    setup.emulator.shutdown().await;
}

#[tokio::test]
async fn views_have_no_streams_and_a_commit_names_some() {
    let Setup {
        root,
        emulator,
        mut writer,
    } = setup().await;
    let view = json!({"tableReference": {"tableId": "v"}, "view": {"query": "SELECT 1 AS id", "useLegacySql": false}});
    let path = "/projects/p/datasets/d/tables";
    assert_eq!(send_json(&emulator, "POST", path, &view).await.0, 200);
    let parent = "projects/p/datasets/d/tables/v".to_owned();
    let write_stream = Some(proto::WriteStream {
        r#type: Type::Pending.into(),
        ..proto::WriteStream::default()
    });
    let asked = proto::CreateWriteStreamRequest {
        parent,
        write_stream,
    };
    let refused = writer.create_write_stream(asked).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert!(refused.message().contains("currently a VIEW"));
    let asked = proto::BatchCommitWriteStreamsRequest {
        parent: TABLE.to_owned(),
        write_streams: Vec::new(),
    };
    let refused = writer.batch_commit_write_streams(asked).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    emulator.shutdown().await;
    drop(root);
}
