//! One connection of appends: requests in, answers out, strictly in order.

use std::time::Duration;

use futures::Stream;
use googleapis_tonic_google_cloud_bigquery_storage_v1::google::cloud::bigquery::storage::v1 as proto;
use googleapis_tonic_google_cloud_bigquery_storage_v1::google::rpc;
use prost::Message as _;
use proto::append_rows_response::{AppendResult, Response};
use proto::row_error::RowErrorCode;
use proto::storage_error::StorageErrorCode;
use tonic::{Code, Status, Streaming};

use super::append_request::AppendRequest;
use super::faulty::Answering;
use super::missing_values::MissingValues;
use super::rows::{Arrived, Destination, RowsError, WriterSchema};
use super::{
    WriteService, blocking, code, columns, denied, detailed, packed, status, storage_error,
};
use crate::catalog::CatalogError;
use crate::cells::CellError;
use crate::connection::ConnectionHandle;
use crate::faults::{FaultAction, PlannedFault, WriteMethod};
use crate::write_streams::{Target, WriteError};

/// Largest request, in bytes.
const MAX_REQUEST_BYTES: usize = 20 << 20;

/// Rows named in an answer, at most.
const MAX_ROW_ERRORS: usize = 100;

/// The region whose connections break, for clients that want to be tested, and after how many requests.
const FLAKY_REGION: &str = "us-east7";
const FLAKY_REQUESTS: u64 = 10;

/// A connection and what it remembers from one request to the next.
pub(super) struct Appending {
    service: WriteService,
    requests: Streaming<AppendRequest>,
    stream: String,
    writer: WriterSchema,
    missing: MissingValues,
    /// The table's schema when the connection last told it.
    told: Option<proto::TableSchema>,
    served: u64,
    /// Known once the stream is.
    fault: Fault,
    /// What waits before every further answer.
    pause: Duration,
    transport: Option<ConnectionHandle>,
    ended: bool,
}

/// The fault of one connection.
enum Fault {
    Unknown,
    Known(Option<PlannedFault>),
}

impl Appending {
    pub fn new(
        service: WriteService,
        requests: Streaming<AppendRequest>,
        transport: Option<ConnectionHandle>,
    ) -> Self {
        Self {
            service,
            requests,
            stream: String::new(),
            writer: WriterSchema::default(),
            missing: MissingValues::default(),
            told: None,
            served: 0,
            fault: Fault::Unknown,
            pause: Duration::ZERO,
            transport,
            ended: false,
        }
    }

    /// The answers, ending with the first error that ends the connection.
    pub fn into_stream(
        self,
    ) -> impl Stream<Item = Result<proto::AppendRowsResponse, Status>> + Send + 'static {
        futures::stream::unfold(self, |mut appending| async move {
            let answer = appending.next().await?;
            appending.ended = answer.is_err();
            Some((answer, appending))
        })
    }

    async fn next(&mut self) -> Option<Result<proto::AppendRowsResponse, Status>> {
        if self.ended {
            return None;
        }
        let idle = self.service.idle;
        let request = match tokio::time::timeout(idle, self.requests.message()).await {
            Ok(Ok(request)) => request?,
            Ok(Err(status)) => return Some(Err(status)),
            Err(_) => {
                return Some(Err(Status::aborted(format!(
                    "Closing the stream because it has been inactive for {} seconds. Entity: {}",
                    idle.as_secs(),
                    self.stream
                ))));
            }
        };
        Some(self.answer(request).await)
    }

    async fn answer(
        &mut self,
        request: AppendRequest,
    ) -> Result<proto::AppendRowsResponse, Status> {
        let bytes = request.encoded_len();
        if bytes > MAX_REQUEST_BYTES {
            return Err(Status::invalid_argument(format!(
                "AppendRows request too large: {bytes} limit {MAX_REQUEST_BYTES}"
            )));
        }
        if !request.write_stream.is_empty() {
            self.stream.clone_from(&request.write_stream);
        }
        let target = self
            .service
            .streams
            .find(&self.stream)
            .map_err(|e| status(&e))?;
        let answering = self.play().await?;
        if request.offset.is_some() && matches!(target, Target::Default { .. }) {
            return Err(Status::invalid_argument(format!(
                "Offset is not allowed on the default stream. Entity: {}",
                self.stream
            )));
        }
        self.missing
            .ask(
                request.default_missing_value_interpretation,
                request.missing_value_interpretations,
            )
            .map_err(Status::invalid_argument)?;
        let service = self.service.clone();
        let missing = self.missing.clone();
        let mut writer = self.writer.clone();
        let served = self.served;
        let worked = blocking(move || {
            let flaky = is_flaky(&service, &target)?;
            if flaky && served >= FLAKY_REQUESTS {
                return Err(Status::aborted(format!(
                    "Closing the stream on request intervals: {FLAKY_REQUESTS}"
                )));
            }
            let table = service
                .catalog
                .table(target.table())
                .map_err(|e| denied(&e.into(), "TABLES_UPDATE_DATA", target.table()))?;
            let described = columns::table_schema(&service.catalog, target.table())?;
            let destination = Destination {
                catalog: &service.catalog,
                table: &table,
                missing: &missing,
            };
            let outcome = match writer.read(request.rows, &destination) {
                Ok(Arrived::Rows(batch)) => target
                    .append(&service.catalog, &batch, request.offset)
                    .map_err(Refusal::Write),
                Ok(Arrived::Changes(changes)) => service
                    .streams
                    .change(&target, &changes)
                    .map(|()| None)
                    .map_err(Refusal::Write),
                Err(e) => Err(Refusal::Rows(e)),
            };
            Ok((writer, described, outcome))
        })
        .await?;
        let (writer, described, outcome) = worked;
        self.writer = writer;
        self.served += 1;
        let mut answer = proto::AppendRowsResponse {
            write_stream: self.stream.clone(),
            ..proto::AppendRowsResponse::default()
        };
        match outcome {
            Ok(offset) => answer.response = Some(Response::AppendResult(AppendResult { offset })),
            Err(refusal) => refusal.fill(&mut answer, &self.stream)?,
        }
        let changed = self.told.as_ref().is_some_and(|told| *told != described);
        if changed {
            answer.updated_schema = Some(described.clone());
        }
        self.told = Some(described);
        answering.tell(answer)
    }

    /// Plays the connection's fault when its moment has come, as far as it comes before the rows are written.
    async fn play(&mut self) -> Result<Answering, Status> {
        if matches!(self.fault, Fault::Unknown) {
            let fault = self
                .service
                .faults
                .on_write(WriteMethod::AppendRows, &self.stream);
            self.fault = Fault::Known(fault);
        }
        let due = match &mut self.fault {
            Fault::Known(fault) => fault.take_if(|fault| fault.after_responses == self.served),
            Fault::Unknown => None,
        };
        let mut answering = Answering::Told;
        if let Some(action) = due.map(|fault| fault.action) {
            answering = self.strike(&action).await?;
            if let FaultAction::Slow(time) = action {
                // This answer has waited already.
                self.pause = time;
                return Ok(answering);
            }
        }
        if !self.pause.is_zero() {
            tokio::time::sleep(self.pause).await;
        }
        Ok(answering)
    }

    async fn strike(&self, action: &FaultAction) -> Result<Answering, Status> {
        let transport = self.transport.as_ref();
        self.service
            .strike(
                WriteMethod::AppendRows,
                &self.stream,
                self.served,
                action,
                transport,
            )
            .await
    }
}

/// Whether the table's dataset is in the region whose connections break.
fn is_flaky(service: &WriteService, target: &Target) -> Result<bool, Status> {
    let table = target.table();
    match service.catalog.dataset(table.project(), table.dataset()) {
        Ok(dataset) => Ok(dataset.location().eq_ignore_ascii_case(FLAKY_REGION)),
        Err(CatalogError::DatasetNotFound { .. }) => Ok(false),
        Err(e) => Err(status(&e.into())),
    }
}

/// Why the rows of one request were not written.
enum Refusal {
    Rows(RowsError),
    Write(WriteError),
}

impl Refusal {
    /// Puts the error into the answer, so that the connection goes on; errors of the server itself end it, and a writer's schema
    /// with fields that the table does not have.
    fn fill(self, answer: &mut proto::AppendRowsResponse, stream: &str) -> Result<(), Status> {
        let (code, message, detail) = match self {
            Self::Write(WriteError::Catalog(e)) => return Err(status(&WriteError::Catalog(e))),
            Self::Write(e) => (code(&e), e.to_string(), Some(storage_error(&e))),
            Self::Rows(e) if e.is_extra_field() => return Err(extra_fields(&e, stream)),
            Self::Rows(e) => {
                let message = format!("{e} Entity: {stream}");
                if let RowsError::Rows(rows) = e {
                    answer.row_errors = row_errors(rows);
                }
                (Code::InvalidArgument, message, None)
            }
        };
        let details = detail.iter().map(packed).collect();
        answer.response = Some(Response::Error(rpc::Status {
            code: code.into(),
            message,
            details,
        }));
        Ok(())
    }
}

/// The status that ends a connection whose writer has more columns than the table.
fn extra_fields(error: &RowsError, stream: &str) -> Status {
    let message = format!("{error} Entity: {stream}");
    let detail = proto::StorageError {
        code: StorageErrorCode::SchemaMismatchExtraFields.into(),
        entity: stream.to_owned(),
        error_message: "Schema mismatch due to extra fields in user schema".to_owned(),
    };
    detailed(Code::InvalidArgument, message, &detail)
}

fn row_errors(rows: Vec<CellError>) -> Vec<proto::RowError> {
    rows.into_iter()
        .take(MAX_ROW_ERRORS)
        .map(|e| proto::RowError {
            index: i64::try_from(e.row).unwrap_or(i64::MAX),
            code: RowErrorCode::FieldsError.into(),
            message: e.message,
        })
        .collect()
}
