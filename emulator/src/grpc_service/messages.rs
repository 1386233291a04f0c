//! Messages that have fields the ready-made types do not know yet.

use googleapis_tonic_google_cloud_bigquery_storage_v1::google::cloud::bigquery::storage::v1 as proto;

/// `ReadRowsRequest` with the options for streams that have no session.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ReadRowsRequest {
    /// The stream's name.
    #[prost(string, tag = "1")]
    pub read_stream: String,
    /// Rows to skip.
    #[prost(int64, tag = "2")]
    pub offset: i64,
    /// How rows of a query job are compressed.
    #[prost(message, optional, tag = "5")]
    pub arrow_serialization_options: Option<proto::ArrowSerializationOptions>,
}
