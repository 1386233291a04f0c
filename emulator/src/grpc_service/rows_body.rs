//! ReadRows on the wire: the request out of its gRPC frame, responses into theirs, the status at the end.
//!
//! The other methods are served by tonic's generated code; this one is not, because that writes every message anew into a
//! buffer of its own.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures::stream::{BoxStream, StreamExt as _};
use http_body::{Body, Frame};
use tonic::codec::{Codec as _, CompressionEncoding, Streaming};
use tonic::codegen::{StdError, http};
use tonic::metadata::MetadataValue;
use tonic::{Request, Status};
use tonic_prost::ProstCodec;

use super::ReadService;
use super::messages::ReadRowsRequest;
use super::outgoing::Outgoing;
use crate::message_body::MessageBody;

/// Largest request taken.
const MAX_REQUEST_BYTES: usize = 4 << 20;

/// Answers one call.
pub(crate) async fn read_rows<B>(
    service: Arc<ReadService>,
    request: http::Request<B>,
) -> http::Response<RowsBody>
where
    B: Body + Send + 'static,
    B::Error: Into<StdError>,
{
    let begun = match message(request).await {
        Ok(request) => service.read(request).await,
        Err(status) => Err(status),
    };
    let (body, refused) = match begun {
        Ok(sending) => (RowsBody::new(sending.into_stream().boxed()), None),
        Err(status) => (RowsBody::ended(), Some(status)),
    };
    let mut response = http::Response::new(body);
    let grpc = http::HeaderValue::from_static("application/grpc");
    response
        .headers_mut()
        .insert(http::header::CONTENT_TYPE, grpc);
    if let Some(status) = refused {
        // A call that never began has its status where the headers are.
        response.headers_mut().extend(trailers(&status));
    }
    response
}

/// The one message of a request.
async fn message<B>(request: http::Request<B>) -> Result<Request<ReadRowsRequest>, Status>
where
    B: Body + Send + 'static,
    B::Error: Into<StdError>,
{
    let (parts, body) = request.into_parts();
    let compression = compression(&parts.headers)?;
    let decoder = ProstCodec::<(), ReadRowsRequest>::default().decoder();
    let mut messages = Streaming::new_request(decoder, body, compression, Some(MAX_REQUEST_BYTES));
    let missing = || Status::internal("the request has no message");
    let message = messages.message().await?.ok_or_else(missing)?;
    Ok(Request::from_http(http::Request::from_parts(
        parts, message,
    )))
}

/// How the messages of a request may be compressed. A message that is not says so itself.
fn compression(fields: &http::HeaderMap) -> Result<Option<CompressionEncoding>, Status> {
    let Some(encoding) = fields.get("grpc-encoding") else {
        return Ok(None);
    };
    match encoding.as_bytes() {
        b"identity" => Ok(None),
        b"gzip" => Ok(Some(CompressionEncoding::Gzip)),
        _ => {
            let mut refused = Status::unimplemented(format!(
                "requests compressed as {encoding:?} are not understood"
            ));
            let understood = MetadataValue::from_static("gzip,identity");
            refused
                .metadata_mut()
                .insert("grpc-accept-encoding", understood);
            Err(refused)
        }
    }
}

/// The responses of one call as they go to the connection: a frame each, then the status.
pub(crate) struct RowsBody {
    /// `None` when everything has been said.
    responses: Option<BoxStream<'static, Result<Outgoing, Status>>>,
}

impl RowsBody {
    fn new(responses: BoxStream<'static, Result<Outgoing, Status>>) -> Self {
        Self {
            responses: Some(responses),
        }
    }

    fn ended() -> Self {
        Self { responses: None }
    }
}

impl Body for RowsBody {
    type Data = MessageBody;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<MessageBody>, Infallible>>> {
        let Some(responses) = &mut self.responses else {
            return Poll::Ready(None);
        };
        let frame = match ready!(responses.poll_next_unpin(cx)) {
            Some(outgoing) => outgoing.and_then(Outgoing::into_frame),
            None => Err(Status::ok("")),
        };
        let frame = frame.map_or_else(
            |status| {
                self.responses = None;
                Frame::trailers(trailers(&status))
            },
            Frame::data,
        );
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.responses.is_none()
    }
}

/// A status as header fields.
fn trailers(status: &Status) -> http::HeaderMap {
    let mut fields = http::HeaderMap::new();
    if status.add_header(&mut fields).is_err() {
        // Only a status that no header can hold ends here.
        let internal = http::HeaderValue::from(i32::from(tonic::Code::Internal));
        fields.insert(Status::GRPC_STATUS, internal);
    }
    fields
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn requests_are_plain_or_of_gzip() {
        let of = |encoding: &'static str| {
            let mut fields = http::HeaderMap::new();
            fields.insert("grpc-encoding", http::HeaderValue::from_static(encoding));
            compression(&fields)
        };
        assert_eq!(compression(&http::HeaderMap::new()).unwrap(), None);
        assert_eq!(of("identity").unwrap(), None);
        assert_eq!(of("gzip").unwrap(), Some(CompressionEncoding::Gzip));
        let refused = of("snappy").unwrap_err();
        assert_eq!(refused.code(), tonic::Code::Unimplemented);
        assert_eq!(trailers(&refused)["grpc-accept-encoding"], "gzip,identity");
    }
}
