//! Generates the gRPC server traits of the Storage Read and Write APIs. The message types come from a crate that carries
//! them ready made, so neither a .proto file nor protoc is needed.

use tonic_build::manual::{Builder, Method, Service};

const MESSAGES: &str =
    "googleapis_tonic_google_cloud_bigquery_storage_v1::google::cloud::bigquery::storage::v1";
const CODEC: &str = "tonic_prost::ProstCodec";

fn method(
    name: &str,
    route: &str,
    input: &str,
    output: &str,
) -> tonic_build::manual::MethodBuilder {
    Method::builder()
        .name(name)
        .route_name(route)
        .input_type(input)
        .output_type(format!("{MESSAGES}::{output}"))
        .codec_path(CODEC)
}

fn unary(name: &str, route: &str, input: &str, output: &str) -> Method {
    method(name, route, &format!("{MESSAGES}::{input}"), output).build()
}

/// The Read API, under one of its names; ReadRows is written by hand.
fn read(package: &str) -> Service {
    Service::builder()
        .name("BigQueryRead")
        .package(package)
        .method(unary(
            "create_read_session",
            "CreateReadSession",
            "CreateReadSessionRequest",
            "ReadSession",
        ))
        .method(unary(
            "split_read_stream",
            "SplitReadStream",
            "SplitReadStreamRequest",
            "SplitReadStreamResponse",
        ))
        .build()
}

/// The Write API, under one of its names.
fn write(package: &str) -> Service {
    // Its message is our own, which keeps the descriptor's bytes.
    let append = method(
        "append_rows",
        "AppendRows",
        "crate::write_service::AppendRequest",
        "AppendRowsResponse",
    );
    Service::builder()
        .name("BigQueryWrite")
        .package(package)
        .method(unary(
            "create_write_stream",
            "CreateWriteStream",
            "CreateWriteStreamRequest",
            "WriteStream",
        ))
        .method(append.client_streaming().server_streaming().build())
        .method(unary(
            "get_write_stream",
            "GetWriteStream",
            "GetWriteStreamRequest",
            "WriteStream",
        ))
        .method(unary(
            "finalize_write_stream",
            "FinalizeWriteStream",
            "FinalizeWriteStreamRequest",
            "FinalizeWriteStreamResponse",
        ))
        .method(unary(
            "batch_commit_write_streams",
            "BatchCommitWriteStreams",
            "BatchCommitWriteStreamsRequest",
            "BatchCommitWriteStreamsResponse",
        ))
        .method(unary(
            "flush_rows",
            "FlushRows",
            "FlushRowsRequest",
            "FlushRowsResponse",
        ))
        .build()
}

fn main() {
    Builder::new().build_client(false).compile(&[
        read("google.cloud.bigquery.storage.v1"),
        read("google.cloud.bigquery.storage.v1beta2"),
        write("google.cloud.bigquery.storage.v1"),
        write("google.cloud.bigquery.storage.v1beta2"),
    ]);
    println!("cargo::rerun-if-changed=build.rs");
}
