//! Starting and stopping an emulator: one port on the loopback interface for gRPC and REST.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tonic::codec::CompressionEncoding;
use tonic::service::Routes;

use crate::catalog::Catalog;
use crate::clock::{Clock, SystemClock};
use crate::connection::Connections;
use crate::decode_budget::DecodeBudget;
use crate::faults::{FaultScript, Faults};
use crate::grpc_service::generated::big_query_read_server::BigQueryReadServer;
use crate::grpc_service::generated_beta::big_query_read_server::BigQueryReadServer as BetaReadServer;
use crate::grpc_service::{BetaReadService, ReadService};
use crate::jobs::Jobs;
use crate::kept_messages::KeptMessages;
use crate::places::Places;
use crate::request_log::{LoggedCall, RequestLog};
use crate::rest_service::{self, RestState, Uploads};
use crate::session::{MessageSize, SessionSettings, Sessions};
use crate::write_service::generated::big_query_write_server::BigQueryWriteServer;
use crate::write_service::generated_beta::big_query_write_server::BigQueryWriteServer as BetaWriteServer;
use crate::write_service::{BetaWriteService, WriteService};
use crate::write_streams::WriteStreams;

mod front;
mod serving;

use front::Front;

/// Largest gRPC message taken, the service's own limit.
const MAX_GRPC_MESSAGE_BYTES: usize = 128 << 20;

/// Largest aim for the Arrow data of a message: what surrounds it has to fit, too.
const MAX_MESSAGE_BYTES: usize = 120 << 20;

/// What the messages of one session's streams may take together, unless a size is asked for.
const STREAMED_BYTES: usize = 64 << 20;

/// What readers may work on at a time, and what their decoders may keep while they wait.
const DECODING_BYTES: u64 = 48 << 20;

/// Where messages are kept below the data directory. No project has such a name.
const KEPT_MESSAGES: &str = ".kept-messages";

/// How long open calls may finish once a shutdown has been asked for.
const SHUTDOWN_GRACE: Duration = Duration::from_millis(200);

/// Why an emulator could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// No data directory was given.
    #[error("no data directory given")]
    NoDataDir,
    /// The data directory does not exist or is a file.
    #[error("data directory {} is not a directory", path.display())]
    DataDirMissing {
        /// The path given.
        path: PathBuf,
    },
    /// The port could not be opened.
    #[error("cannot listen on 127.0.0.1:{port}")]
    Listen {
        /// The port asked for; 0 means any.
        port: u16,
        /// What the system said.
        source: io::Error,
    },
}

/// BigQuery on the loopback interface, serving Parquet files.
///
/// ```no_run
/// # async fn example() -> Result<(), millpond_emulator::StartError> {
/// let emulator = millpond_emulator::Emulator::builder()
///     .data_dir("data") // data/<project>/<dataset>/<table>/*.parquet
///     .start()
///     .await?;
/// let endpoint = emulator.endpoint(); // for a client's with_endpoint
/// # let _ = endpoint;
/// emulator.shutdown().await;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Emulator;

impl Emulator {
    /// Settings with their defaults.
    #[must_use]
    pub fn builder() -> EmulatorBuilder {
        EmulatorBuilder {
            data_dir: None,
            port: 0,
            streams: None,
            message_size: MessageSize::Within(STREAMED_BYTES),
            skew_percent: None,
            session_lifetime: Duration::from_secs(6 * 3600),
            append_idle: Duration::from_secs(600),
            keep_messages: 0,
            buckets: None,
            faults: FaultScript::new(),
            clock: Arc::new(SystemClock),
        }
    }
}

/// Settings of an emulator.
#[derive(Debug, Clone)]
pub struct EmulatorBuilder {
    data_dir: Option<PathBuf>,
    port: u16,
    streams: Option<NonZeroU32>,
    message_size: MessageSize,
    skew_percent: Option<u8>,
    session_lifetime: Duration,
    append_idle: Duration,
    keep_messages: u64,
    buckets: Option<PathBuf>,
    faults: FaultScript,
    clock: Arc<dyn Clock>,
}

impl EmulatorBuilder {
    /// Where the tables are: `<project>/<dataset>/<table>/*.parquet` below this directory. Required.
    #[must_use]
    pub fn data_dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.data_dir = Some(path.into());
        self
    }

    /// TCP port on 127.0.0.1; 0, the default, takes any free one.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Gives every session this many streams whatever the size of its table, still no more than the request's maximum or the
    /// table's rows. For tests; by default the number follows the selected bytes as in the service.
    #[must_use]
    pub fn streams(mut self, streams: NonZeroU32) -> Self {
        self.streams = Some(streams);
        self
    }

    /// Gives the first stream of every session this percentage of the rows, and the other streams equal shares of the rest;
    /// above 100 is taken as 100. No stream is left empty. For tests; by default all streams are about equal.
    #[must_use]
    pub fn skew_percent(mut self, percent: u8) -> Self {
        self.skew_percent = Some(percent.min(100));
        self
    }

    /// Bytes of Arrow data one ReadRows response aims at, whatever the number of streams; at most 120 MiB. Larger messages
    /// cost fewer calls and more memory: each open stream holds up to about three of them, beside the Parquet reader's own
    /// pages and dictionaries. By default 1 MiB, and less where a session has so many streams that they would hold more than
    /// 64 MiB between them.
    #[must_use]
    pub fn message_bytes(mut self, bytes: usize) -> Self {
        self.message_size = MessageSize::Fixed(bytes.clamp(1, MAX_MESSAGE_BYTES));
        self
    }

    /// How long a session lives, default 6 hours as in the service.
    #[must_use]
    pub fn session_lifetime(mut self, lifetime: Duration) -> Self {
        self.session_lifetime = lifetime;
        self
    }

    /// How long a connection of appends may be silent before it is closed, default 10 minutes as in the service.
    #[must_use]
    pub fn append_idle(mut self, idle: Duration) -> Self {
        self.append_idle = idle;
        self
    }

    /// Keeps up to so many bytes of messages on disk, in `.kept-messages` of the data directory, once a stream has been read from
    /// its first row to its last: whoever reads the same again gets the same bytes without anything being decoded, after a
    /// restart, too. No more than a quarter of what would be free is taken, and what was not asked for longest goes first. Kept are
    /// sessions that read at most so many bytes, but no less than a 1,024th part. 0, the default, keeps nothing.
    #[must_use]
    pub fn keep_messages(mut self, bytes: u64) -> Self {
        self.keep_messages = bytes;
        self
    }

    /// Where the buckets are: `gs://bucket/a/b.csv` is the file `bucket/a/b.csv` below this directory. By default a directory
    /// of the data directory that is no project, `.buckets`. It is made when something is first written.
    #[must_use]
    pub fn buckets(mut self, path: impl Into<PathBuf>) -> Self {
        self.buckets = Some(path.into());
        self
    }

    /// Faults to be played; none by default.
    #[must_use]
    pub fn faults(mut self, script: FaultScript) -> Self {
        self.faults = script;
        self
    }

    /// The clock that expiry is measured on; the machine's own by default.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Opens the port and starts serving on the current tokio runtime.
    ///
    /// # Errors
    /// [`StartError`] when the data directory is missing or the port cannot be opened.
    pub async fn start(self) -> Result<RunningEmulator, StartError> {
        let data_dir = self.data_dir.ok_or(StartError::NoDataDir)?;
        if !data_dir.is_dir() {
            return Err(StartError::DataDirMissing { path: data_dir });
        }
        let port = self.port;
        let listen_error = |source| StartError::Listen { port, source };
        // The loopback interface and nothing else: there is no authentication.
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
            .await
            .map_err(listen_error)?;
        let local_addr = listener.local_addr().map_err(listen_error)?;

        let catalog = Arc::new(Catalog::with_places(
            Places::new(data_dir.clone(), self.buckets),
            Arc::clone(&self.clock),
        ));
        let log = Arc::new(RequestLog::default());
        let faults = Arc::new(Faults::new(self.faults));
        let seed = seed(self.clock.now(), local_addr.port());
        let jobs = Arc::new(Jobs::new(
            Arc::clone(&catalog),
            Arc::clone(&self.clock),
            seed,
        ));
        let read = ReadService {
            catalog: Arc::clone(&catalog),
            jobs: Arc::clone(&jobs),
            sessions: Arc::new(Sessions::new(SessionSettings {
                lifetime: self.session_lifetime,
                streams: self.streams,
                skew_percent: self.skew_percent,
                message_size: self.message_size,
                seed,
            })),
            faults: Arc::clone(&faults),
            log: Arc::clone(&log),
            clock: Arc::clone(&self.clock),
            decoding: Arc::new(DecodeBudget::new(DECODING_BYTES)),
            kept: Arc::new(KeptMessages::new(
                data_dir.join(KEPT_MESSAGES),
                self.keep_messages,
            )),
        };
        let write = WriteService {
            catalog: Arc::clone(&catalog),
            streams: Arc::new(WriteStreams::new(Arc::clone(&catalog), seed)),
            clock: Arc::clone(&self.clock),
            faults: Arc::clone(&faults),
            log: Arc::clone(&log),
            idle: self.append_idle,
        };
        let rest = RestState {
            jobs,
            uploads: Uploads::new(data_dir.clone()),
            catalog,
            faults,
            log: Arc::clone(&log),
            endpoint: endpoint(local_addr),
        };
        let connections = Arc::new(Connections::default());
        let (stop, stopped) = oneshot::channel::<()>();
        let mut tasks = JoinSet::new();
        tasks.spawn(serving::serve(
            listener,
            front(read, write, rest),
            Arc::clone(&connections),
            stopped,
        ));
        tracing::info!(endpoint = endpoint(local_addr), "emulator started");
        Ok(RunningEmulator {
            local_addr,
            log,
            connections,
            stop: Some(stop),
            tasks,
        })
    }
}

/// Session names of two servers differ, so that a client cannot take up a session of one with the other by accident.
fn seed(now: SystemTime, port: u16) -> u64 {
    let nanos = now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| {
        d.as_secs().wrapping_mul(1_000_000_007) ^ u64::from(d.subsec_nanos())
    });
    nanos ^ (u64::from(port) << 48) ^ u64::from(std::process::id())
}

fn front(read: ReadService, write: WriteService, rest: RestState) -> Front {
    let (read, rest) = (Arc::new(read), Arc::new(rest));
    let beta = BetaReadServer::new(BetaReadService(Arc::clone(&read)))
        .accept_compressed(CompressionEncoding::Gzip)
        .max_decoding_message_size(MAX_GRPC_MESSAGE_BYTES);
    let beta_write = BetaWriteServer::new(BetaWriteService(write.clone()))
        .accept_compressed(CompressionEncoding::Gzip)
        .max_decoding_message_size(MAX_GRPC_MESSAGE_BYTES);
    let write = BigQueryWriteServer::new(write)
        .accept_compressed(CompressionEncoding::Gzip)
        // One above the API's own limit, which is answered in the API's words.
        .max_decoding_message_size(MAX_GRPC_MESSAGE_BYTES);
    let calls = BigQueryReadServer::from_arc(Arc::clone(&read))
        .accept_compressed(CompressionEncoding::Gzip)
        .max_decoding_message_size(MAX_GRPC_MESSAGE_BYTES);
    let routes = Routes::new(calls)
        .add_service(beta)
        .add_service(write)
        .add_service(beta_write)
        .into_axum_router()
        .merge(rest_service::router(Arc::clone(&rest)))
        .fallback_service(rest_service::elsewhere(rest))
        .with_state(());
    Front::new(routes, read)
}

fn endpoint(address: SocketAddr) -> String {
    format!("http://{address}")
}

/// An emulator that is serving. Dropping it closes its port and its connections.
#[derive(Debug)]
pub struct RunningEmulator {
    local_addr: SocketAddr,
    log: Arc<RequestLog>,
    connections: Arc<Connections>,
    stop: Option<oneshot::Sender<()>>,
    tasks: JoinSet<()>,
}

impl RunningEmulator {
    /// The address it listens on, always on 127.0.0.1.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// `http://127.0.0.1:PORT`, for gRPC and REST clients alike.
    #[must_use]
    pub fn endpoint(&self) -> String {
        endpoint(self.local_addr)
    }

    /// The calls received so far, oldest first; the oldest are dropped beyond one hundred thousand.
    #[must_use]
    pub fn requests(&self) -> Vec<LoggedCall> {
        self.log.snapshot()
    }

    /// Closes all connections in the middle of whatever they are doing; the port stays open.
    pub fn cut_connections(&self) {
        self.connections.cut_all();
    }

    /// Stops accepting, gives open calls a moment to finish, then closes their connections.
    pub async fn shutdown(mut self) {
        if let Some(stop) = self.stop.take() {
            // The receiver is gone when serving has already ended.
            let _ = stop.send(());
        }
        let drained = tokio::time::timeout(SHUTDOWN_GRACE, self.tasks.join_next()).await;
        if drained.is_err() {
            self.connections.cut_all();
            while self.tasks.join_next().await.is_some() {}
        }
    }
}

impl Drop for RunningEmulator {
    fn drop(&mut self) {
        self.connections.cut_all();
    }
}
