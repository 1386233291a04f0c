//! The Write API under its older name, v1beta2, whose messages are those of v1 with fewer fields.

use googleapis_tonic_google_cloud_bigquery_storage_v1::google::cloud::bigquery::storage::v1 as proto;
use tonic::{Request, Response, Status, Streaming};

use super::generated::big_query_write_server::BigQueryWrite as _;
use super::{WriteService, generated_beta};

/// The service itself, by another name.
#[derive(Debug)]
pub(crate) struct BetaWriteService(pub WriteService);

#[tonic::async_trait]
impl generated_beta::big_query_write_server::BigQueryWrite for BetaWriteService {
    async fn create_write_stream(
        &self,
        request: Request<proto::CreateWriteStreamRequest>,
    ) -> Result<Response<proto::WriteStream>, Status> {
        self.0.create_write_stream(request).await
    }

    type AppendRowsStream = <WriteService as super::BigQueryWrite>::AppendRowsStream;

    async fn append_rows(
        &self,
        request: Request<Streaming<super::AppendRequest>>,
    ) -> Result<Response<Self::AppendRowsStream>, Status> {
        self.0.append_rows(request).await
    }

    async fn get_write_stream(
        &self,
        request: Request<proto::GetWriteStreamRequest>,
    ) -> Result<Response<proto::WriteStream>, Status> {
        self.0.get_write_stream(request).await
    }

    async fn finalize_write_stream(
        &self,
        request: Request<proto::FinalizeWriteStreamRequest>,
    ) -> Result<Response<proto::FinalizeWriteStreamResponse>, Status> {
        self.0.finalize_write_stream(request).await
    }

    async fn batch_commit_write_streams(
        &self,
        request: Request<proto::BatchCommitWriteStreamsRequest>,
    ) -> Result<Response<proto::BatchCommitWriteStreamsResponse>, Status> {
        self.0.batch_commit_write_streams(request).await
    }

    async fn flush_rows(
        &self,
        request: Request<proto::FlushRowsRequest>,
    ) -> Result<Response<proto::FlushRowsResponse>, Status> {
        self.0.flush_rows(request).await
    }
}
