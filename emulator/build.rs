//! Generates the gRPC server trait of the Storage Read API. The message types come from a crate that carries them
//! ready made, so neither a .proto file nor protoc is needed.

use tonic_build::manual::{Builder, Method, Service};

const MESSAGES: &str =
    "googleapis_tonic_google_cloud_bigquery_storage_v1::google::cloud::bigquery::storage::v1";
const CODEC: &str = "tonic_prost::ProstCodec";

fn unary(name: &str, route: &str, input: &str, output: &str) -> Method {
    Method::builder()
        .name(name)
        .route_name(route)
        .input_type(format!("{MESSAGES}::{input}"))
        .output_type(format!("{MESSAGES}::{output}"))
        .codec_path(CODEC)
        .build()
}

fn main() {
    let read = Service::builder()
        .name("BigQueryRead")
        .package("google.cloud.bigquery.storage.v1")
        .method(unary(
            "create_read_session",
            "CreateReadSession",
            "CreateReadSessionRequest",
            "ReadSession",
        ))
        .method(
            Method::builder()
                .name("read_rows")
                .route_name("ReadRows")
                .input_type(format!("{MESSAGES}::ReadRowsRequest"))
                .output_type(format!("{MESSAGES}::ReadRowsResponse"))
                .codec_path(CODEC)
                .server_streaming()
                .build(),
        )
        .method(unary(
            "split_read_stream",
            "SplitReadStream",
            "SplitReadStreamRequest",
            "SplitReadStreamResponse",
        ))
        .build();
    Builder::new().build_client(false).compile(&[read]);
    println!("cargo::rerun-if-changed=build.rs");
}
