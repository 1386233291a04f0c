//! Read sessions: what a CreateReadSession request asks for, checked, and the sessions made from it.
//!
//! Owns stream names, the division of rows among streams, and expiry. Must not know about gRPC or about bytes on the wire.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use chrono::{DateTime, SecondsFormat, Utc};

use crate::arrow_message::BufferCompression;
use crate::catalog::{Catalog, CatalogError, Table};
use crate::external;
use crate::layout::{self, StreamCountRequest};
use crate::name::{NameError, TableName};
use crate::picoseconds::Precision;
use crate::projection::{Projection, UnknownField};
use crate::read_plan::{Format, ReadPlan};
use crate::response_compression::ResponseCompression;
use crate::row_restriction::{RowFilter, RowRestrictionError};

/// How far back a table may be read.
const TIME_TRAVEL: Duration = Duration::from_secs(168 * 3600);

/// A snapshot this little in the future is taken for a difference of clocks.
const CLOCK_SKEW: Duration = Duration::from_secs(10);

/// Expired sessions are remembered this long, so that a late reader is told why.
const REMEMBER_EXPIRED: Duration = Duration::from_secs(24 * 3600);

/// What a client asks for.
#[derive(Debug, Clone, Default)]
pub(crate) struct SessionRequest {
    pub parent: String,
    pub table: String,
    pub selected_fields: Vec<String>,
    pub row_restriction: String,
    pub format: Format,
    pub precision: Precision,
    pub response_compression: ResponseCompression,
    pub snapshot_time: Option<SystemTime>,
    /// Percent of the table's blocks that are read.
    pub sample_percentage: Option<f64>,
    pub max_stream_count: i32,
    pub preferred_min_stream_count: i32,
}

/// Why no session was made or found.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum SessionError {
    #[error("parent {parent:?} does not have the form projects/P")]
    MalformedParent { parent: String },
    #[error("request failed: {0}")]
    Name(#[from] NameError),
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    #[error(transparent)]
    UnknownField(#[from] UnknownField),
    #[error(transparent)]
    RowRestriction(#[from] RowRestrictionError),
    #[error("request failed: non-table entities cannot be read with the storage API")]
    NotATable,
    #[error(
        "request failed: Only external tables with connections can be read with the Storage API."
    )]
    External,
    #[error(
        "request failed: external data of the format {format} cannot be read with the Storage API by this emulator"
    )]
    ExternalFormat { format: String },
    #[error("request failed: wildcard tables are not supported")]
    Wildcard,
    #[error(
        "request failed: Query error: Cannot query over table '{table}' without a filter over column(s) {columns} that can be used for partition elimination"
    )]
    PartitionFilter { table: String, columns: String },
    #[error("request failed: sample_percentage {percentage} is not between 0 and 100")]
    SamplePercentage { percentage: f64 },
    #[error("request failed: buffer_compression and response_compression_codec cannot both be set")]
    TwoCompressions,
    #[error("request failed: {setting} is {value}, it must not be negative")]
    NegativeCount { setting: &'static str, value: i32 },
    #[error(
        "request failed: preferred_min_stream_count {preferred_min} is greater than max_stream_count {max}"
    )]
    MinAboveMax { preferred_min: i32, max: i32 },
    #[error("time travel timestamp exceeds the maximum time travel duration of 168h")]
    SnapshotTooOld,
    #[error("request failed: snapshot time {} is in the future", rfc3339(*.snapshot))]
    SnapshotInFuture { snapshot: SystemTime },
    #[error("request failed: the schema cannot be encoded: {0}")]
    Schema(#[from] arrow::error::ArrowError),
    #[error("Requested entity was not found. Entity: {stream}")]
    UnknownStream { stream: String },
    #[error("there was an error operating on '{stream}': session expired at {}", rfc3339(*.at))]
    Expired { stream: String, at: SystemTime },
    #[error("fraction {fraction} is not between 0 and 1")]
    Fraction { fraction: f64 },
}

/// External tables are read like others where a connection stands for the right to their files.
fn check_external(table: &Table) -> Result<(), SessionError> {
    let settings = table.metadata.as_ref().map(|m| &m.resource);
    let configuration = settings.and_then(|s| s.get(external::CONFIGURATION));
    let text = |key: &str| configuration.and_then(|c| c[key].as_str());
    match (text("connectionId"), text("sourceFormat")) {
        (None | Some(""), _) => Err(SessionError::External),
        (_, Some("PARQUET")) => Ok(()),
        (_, format) => Err(SessionError::ExternalFormat {
            format: format.unwrap_or("CSV").to_owned(),
        }),
    }
}

fn rfc3339(at: SystemTime) -> String {
    DateTime::<Utc>::from(at).to_rfc3339_opts(SecondsFormat::Secs, false)
}

/// Settings that hold for every session of a server.
#[derive(Debug, Clone)]
pub(crate) struct SessionSettings {
    pub lifetime: Duration,
    pub streams: Option<NonZeroU32>,
    /// Percent of the rows that the first stream of a session gets, instead of an equal share.
    pub skew_percent: Option<u8>,
    pub message_size: MessageSize,
    /// Makes session names of different servers differ.
    pub seed: u64,
}

/// How large messages are.
#[derive(Debug, Clone, Copy)]
pub(crate) enum MessageSize {
    /// Exactly this many bytes are aimed at, whatever memory it takes.
    Fixed(usize),
    /// The usual size, smaller where many streams would otherwise hold more than this many bytes between them.
    Within(usize),
}

/// Bytes of Arrow data a message aims at when nothing else is said.
const USUAL_MESSAGE_BYTES: usize = 1 << 20;

/// Below this the cost of a message outweighs what it carries.
const LEAST_MESSAGE_BYTES: usize = 64 << 10;

/// Messages an open stream holds: one being made, one waiting, one being sent.
const MESSAGES_PER_STREAM: usize = 3;

impl MessageSize {
    fn for_streams(self, streams: u64) -> usize {
        match self {
            Self::Fixed(bytes) => bytes,
            Self::Within(total) => {
                let streams = usize::try_from(streams.max(1)).unwrap_or(usize::MAX);
                (total / streams / MESSAGES_PER_STREAM)
                    .clamp(LEAST_MESSAGE_BYTES, USUAL_MESSAGE_BYTES)
            }
        }
    }
}

/// A session that has been made.
#[derive(Debug)]
pub(crate) struct Session {
    /// `projects/P/locations/us/sessions/ID`.
    pub name: String,
    pub plan: Arc<ReadPlan>,
    /// Bytes of Arrow data a message of this session aims at.
    pub message_bytes: usize,
    expires_at: Mutex<SystemTime>,
    streams: Mutex<Vec<Range<u64>>>,
    boundaries: Vec<u64>,
}

/// One stream of a session, found by its name.
#[derive(Debug, Clone)]
pub(crate) struct FoundStream {
    pub session: Arc<Session>,
    /// Position among the session's streams; streams made by splitting come last.
    pub index: usize,
    /// The table's row numbers it holds.
    pub rows: Range<u64>,
}

impl Session {
    /// Names of all streams, in order of their rows; those made by splitting come last.
    pub fn stream_names(&self) -> Vec<String> {
        let count = self.lock().len();
        (0..count).map(|i| self.stream_name(i)).collect()
    }

    /// Whether the session has ended, and the error that says so.
    pub fn check_alive(&self, stream: &str, now: SystemTime) -> Result<(), SessionError> {
        let at = self.expires_at();
        if now < at {
            return Ok(());
        }
        Err(SessionError::Expired {
            stream: stream.to_owned(),
            at,
        })
    }

    /// When the session ends.
    pub fn expires_at(&self) -> SystemTime {
        *self
            .expires_at
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the session now, or leaves it ended.
    pub fn expire(&self, now: SystemTime) {
        let mut at = self
            .expires_at
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *at = now.min(*at);
    }

    fn stream_name(&self, index: usize) -> String {
        format!("{}/streams/GgJ1cyoCdXM{index}", self.name)
    }

    fn find(&self, stream: &str) -> Option<(usize, Range<u64>)> {
        let streams = self.lock();
        let index = stream.strip_prefix(&format!("{}/streams/GgJ1cyoCdXM", self.name))?;
        let parsed: usize = index.parse().ok()?;
        // Only the canonical spelling of the number names the stream.
        if parsed.to_string() != index {
            return None;
        }
        streams.get(parsed).map(|rows| (parsed, rows.clone()))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Range<u64>>> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All sessions of a server.
#[derive(Debug)]
pub(crate) struct Sessions {
    settings: SessionSettings,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    made: u64,
    by_name: HashMap<String, Arc<Session>>,
}

impl Sessions {
    pub fn new(settings: SessionSettings) -> Self {
        Self {
            settings,
            state: Mutex::default(),
        }
    }

    /// Checks a request and makes its session. Blocks on the file system.
    ///
    /// # Errors
    /// [`SessionError`] with the text the service would send.
    pub fn create(
        &self,
        catalog: &Catalog,
        request: &SessionRequest,
        now: SystemTime,
    ) -> Result<Arc<Session>, SessionError> {
        let project = parent_project(&request.parent)?;
        if request.table.ends_with('*') {
            return Err(SessionError::Wildcard);
        }
        let table_name = TableName::from_resource(&request.table)?;
        let count = self.checked_count(request)?;
        check_snapshot(request.snapshot_time, now)?;
        check_sample(request.sample_percentage)?;
        check_compression(request)?;
        let serial = self.next_serial();
        let table = match request.snapshot_time {
            // Commits are as fine as microseconds; a snapshot of the very last moment is simply the table.
            Some(at) if at < now => catalog.table_at(&table_name, at)?,
            _ => catalog.table(&table_name)?,
        };
        match table.kind() {
            "TABLE" | "SNAPSHOT" => {}
            "EXTERNAL" => check_external(&table)?,
            _ => return Err(SessionError::NotATable),
        }
        let selected = Projection::resolve(&table.schema, &request.selected_fields)?;
        let filter = RowFilter::plan(
            &table_name,
            &table.filter_schema(),
            &request.row_restriction,
        )?;
        check_partition_filter(&table, filter.as_ref())?;
        let table = match request.sample_percentage {
            // Which blocks is up to the session, and then stays as it is.
            Some(percentage) => {
                let seed = crate::faults::mix(self.settings.seed ^ serial);
                Arc::new(table.sampled(percentage, seed))
            }
            None => table,
        };
        let plan = ReadPlan::try_new(table, &selected, filter, request.format, request.precision)?
            .compressing_responses(request.response_compression);

        let streams = layout::stream_count(plan.selected_bytes, plan.table.rows, count);
        let boundaries = plan.table.group_boundaries();
        let runs = match self.settings.skew_percent {
            Some(percent) => layout::cut_skewed(plan.table.rows, streams, percent),
            None => layout::cut(plan.table.rows, &boundaries, streams),
        };
        let message_bytes = self.settings.message_size.for_streams(streams);
        let mut state = self.lock();
        state
            .by_name
            .retain(|_, s| now < s.expires_at() + REMEMBER_EXPIRED);
        let session = Arc::new(Session {
            name: format!(
                "projects/{project}/locations/us/sessions/{}",
                session_id(self.settings.seed, serial)
            ),
            expires_at: Mutex::new(now + self.settings.lifetime),
            plan: Arc::new(plan),
            message_bytes,
            streams: Mutex::new(runs),
            boundaries,
        });
        state
            .by_name
            .insert(session.name.clone(), Arc::clone(&session));
        Ok(session)
    }

    /// Finds a stream by its full name; expired sessions are refused.
    pub fn stream(&self, name: &str, now: SystemTime) -> Result<FoundStream, SessionError> {
        let unknown = || SessionError::UnknownStream {
            stream: name.to_owned(),
        };
        let (session_name, _) = name.split_once("/streams/").ok_or_else(unknown)?;
        let session = self
            .lock()
            .by_name
            .get(session_name)
            .cloned()
            .ok_or_else(unknown)?;
        let (index, rows) = session.find(name).ok_or_else(unknown)?;
        session.check_alive(name, now)?;
        Ok(FoundStream {
            session,
            index,
            rows,
        })
    }

    /// Splits a stream in two new ones that together hold its rows in order; the original stays readable.
    ///
    /// Returns the names of both, or `None` when the stream is too short. The fraction counts stored rows, before any filter.
    pub fn split(
        &self,
        name: &str,
        fraction: f64,
        now: SystemTime,
    ) -> Result<Option<(String, String)>, SessionError> {
        if !(fraction > 0.0 && fraction < 1.0) {
            return Err(SessionError::Fraction { fraction });
        }
        let FoundStream { session, rows, .. } = self.stream(name, now)?;
        let Some(point) = layout::split_point(&rows, &session.boundaries, fraction) else {
            return Ok(None);
        };
        let mut streams = session.lock();
        let primary = streams.len();
        streams.push(rows.start..point);
        streams.push(point..rows.end);
        Ok(Some((
            session.stream_name(primary),
            session.stream_name(primary + 1),
        )))
    }

    fn checked_count(&self, request: &SessionRequest) -> Result<StreamCountRequest, SessionError> {
        let (max, preferred_min) = (request.max_stream_count, request.preferred_min_stream_count);
        let count = |setting, value: i32| {
            u32::try_from(value).map_err(|_| SessionError::NegativeCount { setting, value })
        };
        let checked = StreamCountRequest {
            max: count("max_stream_count", max)?,
            preferred_min: count("preferred_min_stream_count", preferred_min)?,
            forced: self.settings.streams,
        };
        if max > 0 && preferred_min > max {
            return Err(SessionError::MinAboveMax { preferred_min, max });
        }
        Ok(checked)
    }

    /// A number that no other session of this server has.
    fn next_serial(&self) -> u64 {
        let mut state = self.lock();
        state.made += 1;
        state.made
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn check_sample(percentage: Option<f64>) -> Result<(), SessionError> {
    match percentage {
        Some(percentage) if !(0.0..=100.0).contains(&percentage) => {
            Err(SessionError::SamplePercentage { percentage })
        }
        _ => Ok(()),
    }
}

fn check_compression(request: &SessionRequest) -> Result<(), SessionError> {
    let buffers = match request.format {
        Format::Arrow(compression) => compression != BufferCompression::None,
        Format::Avro => false,
    };
    if buffers && request.response_compression != ResponseCompression::None {
        return Err(SessionError::TwoCompressions);
    }
    Ok(())
}

fn parent_project(parent: &str) -> Result<&str, SessionError> {
    let malformed = || SessionError::MalformedParent {
        parent: parent.to_owned(),
    };
    let project = parent.strip_prefix("projects/").ok_or_else(malformed)?;
    crate::name::check(crate::name::NamePart::Project, project).map_err(|_| malformed())?;
    Ok(project)
}

/// A table may ask that every read says which partitions it wants.
fn check_partition_filter(table: &Table, filter: Option<&RowFilter>) -> Result<(), SessionError> {
    let Some(wanted) = table.required_filter() else {
        return Ok(());
    };
    let schema = table.filter_schema();
    let filtered = filter.is_some_and(|f| {
        f.columns
            .iter()
            .filter_map(|index| schema.fields().get(*index))
            .any(|field| wanted.iter().any(|w| w.eq_ignore_ascii_case(field.name())))
    });
    if filtered {
        return Ok(());
    }
    let columns: Vec<String> = wanted.iter().map(|column| format!("'{column}'")).collect();
    let name = &table.name;
    Err(SessionError::PartitionFilter {
        table: format!("{}.{}.{}", name.project(), name.dataset(), name.table()),
        columns: columns.join(", "),
    })
}

fn check_snapshot(snapshot: Option<SystemTime>, now: SystemTime) -> Result<(), SessionError> {
    let Some(snapshot) = snapshot else {
        return Ok(());
    };
    match now.duration_since(snapshot) {
        Ok(age) if age > TIME_TRAVEL => Err(SessionError::SnapshotTooOld),
        Err(ahead) if ahead.duration() > CLOCK_SKEW => {
            Err(SessionError::SnapshotInFuture { snapshot })
        }
        _ => Ok(()),
    }
}

/// An opaque id: the same seed gives the same ids in the same order.
fn session_id(seed: u64, serial: u64) -> String {
    let high = crate::faults::mix(seed ^ 0x5e55_1054);
    let low = crate::faults::mix(high ^ serial);
    format!("CAIS{high:016x}{low:016x}")
}
