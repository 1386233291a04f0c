//! gRPC calls whose messages the client compresses.

use googleapis_tonic_google_cloud_bigquery_storage_v1::google::cloud::bigquery::storage::v1 as proto;
use millpond_emulator::Emulator;
use proto::big_query_read_client::BigQueryReadClient;
use proto::big_query_write_client::BigQueryWriteClient;
use proto::write_stream::Type;
use serde_json::json;
use tonic::codec::CompressionEncoding;
use tonic::transport::Channel;

use crate::harness::*;
use crate::tables::make_table;
use crate::writes::{append, make, outcomes, request, some, visible};

async fn channel(endpoint: String) -> Channel {
    let channel = Channel::from_shared(endpoint).unwrap();
    channel.connect().await.unwrap()
}

#[tokio::test]
async fn rows_are_read_by_compressed_requests() {
    let root = numbered_table(1000);
    let (emulator, _client) = start(Emulator::builder(), &root).await;
    let mut client = BigQueryReadClient::new(channel(emulator.endpoint()).await)
        .send_compressed(CompressionEncoding::Gzip)
        .accept_compressed(CompressionEncoding::Gzip);
    let session = client
        .create_read_session(proto::CreateReadSessionRequest {
            parent: "projects/p".to_owned(),
            read_session: Some(proto::ReadSession {
                table: TABLE.to_owned(),
                data_format: proto::DataFormat::Arrow.into(),
                ..proto::ReadSession::default()
            }),
            max_stream_count: 1,
            ..proto::CreateReadSessionRequest::default()
        })
        .await
        .unwrap()
        .into_inner();
    let answered = client
        .read_rows(proto::ReadRowsRequest {
            read_stream: session.streams[0].name.clone(),
            offset: 400,
        })
        .await
        .unwrap();
    assert!(answered.metadata().get("grpc-encoding").is_none());
    let mut responses = answered.into_inner();
    let mut rows = 0;
    while let Some(response) = responses.message().await.unwrap() {
        rows += response.row_count;
    }
    assert_eq!(rows, 600);
    emulator.shutdown().await;
}

#[tokio::test]
async fn rows_are_appended_by_compressed_requests() {
    let root = tempfile::TempDir::new().unwrap();
    let emulator = serve(&root).await;
    make_table(
        &emulator,
        json!([{"name": "id", "type": "INT64", "mode": "REQUIRED"}, {"name": "name", "type": "STRING"}]),
    )
    .await;
    let mut writer = BigQueryWriteClient::new(channel(emulator.endpoint()).await)
        .send_compressed(CompressionEncoding::Gzip);
    let stream = make(&mut writer, Type::Committed).await;
    let answers = append(&mut writer, vec![request(&stream, &some(0..3), Some(0))]).await;
    assert_eq!(outcomes(&answers), [Ok(Some(0))]);
    assert_eq!(visible(&emulator).await, [0, 1, 2]);
    emulator.shutdown().await;
}
