//! The Read API under its older name, v1beta2: the same messages, the same answers. ReadRows is answered in `rows_body`.

use std::sync::Arc;

use googleapis_tonic_google_cloud_bigquery_storage_v1::google::cloud::bigquery::storage::v1 as proto;
use tonic::{Request, Response, Status};

use super::generated::big_query_read_server::BigQueryRead as _;
use super::{ReadService, generated_beta};

/// The service itself, by another name.
#[derive(Debug)]
pub(crate) struct BetaReadService(pub Arc<ReadService>);

#[tonic::async_trait]
impl generated_beta::big_query_read_server::BigQueryRead for BetaReadService {
    async fn create_read_session(
        &self,
        request: Request<proto::CreateReadSessionRequest>,
    ) -> Result<Response<proto::ReadSession>, Status> {
        self.0.create_read_session(request).await
    }

    async fn split_read_stream(
        &self,
        request: Request<proto::SplitReadStreamRequest>,
    ) -> Result<Response<proto::SplitReadStreamResponse>, Status> {
        self.0.split_read_stream(request).await
    }
}
