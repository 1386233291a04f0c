//! A request of AppendRows, with the writer's descriptor as the bytes that it came in.
//!
//! The ready-made messages forget options of fields that they do not know, and those tell which columns the fields are for.

use std::collections::BTreeMap;

use bytes::Bytes;
use googleapis_tonic_google_cloud_bigquery_storage_v1::google::cloud::bigquery::storage::v1 as proto;
use proto::append_rows_request::{ArrowData, MissingValueInterpretation};

/// `AppendRowsRequest`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct AppendRequest {
    #[prost(string, tag = "1")]
    pub write_stream: String,
    #[prost(message, optional, tag = "2")]
    pub offset: Option<i64>,
    #[prost(string, tag = "6")]
    pub trace_id: String,
    /// By the names of top-level columns; for this request alone.
    #[prost(
        btree_map = "string, enumeration(MissingValueInterpretation)",
        tag = "7"
    )]
    pub missing_value_interpretations: BTreeMap<String, i32>,
    /// For all columns; unspecified means as before.
    #[prost(enumeration = "MissingValueInterpretation", tag = "8")]
    pub default_missing_value_interpretation: i32,
    #[prost(oneof = "Rows", tags = "4, 5")]
    pub rows: Option<Rows>,
}

/// Rows in one of two forms.
#[derive(Clone, PartialEq, prost::Oneof)]
pub(crate) enum Rows {
    #[prost(message, tag = "4")]
    ProtoRows(ProtoData),
    #[prost(message, tag = "5")]
    ArrowRows(ArrowData),
}

/// `AppendRowsRequest.ProtoData`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ProtoData {
    #[prost(message, optional, tag = "1")]
    pub writer_schema: Option<ProtoSchema>,
    #[prost(message, optional, tag = "2")]
    pub rows: Option<proto::ProtoRows>,
}

/// `ProtoSchema`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ProtoSchema {
    #[prost(bytes = "bytes", optional, tag = "1")]
    pub proto_descriptor: Option<Bytes>,
}
