//! What clients asked for, so that tests can assert that nothing was read twice.
//!
//! Must not know about gRPC types.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;

/// The oldest entries are dropped beyond this many.
const MAX_ENTRIES: usize = 100_000;

/// One logged call, as it stood when the log was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "call")]
#[non_exhaustive]
pub enum LoggedCall {
    /// A session was made.
    CreateReadSession {
        /// `projects/P/datasets/D/tables/T`.
        table: String,
        /// The session's name.
        session: String,
        /// The names of its streams.
        streams: Vec<String>,
    },
    /// A stream was read, once from start or again from an offset.
    ReadRows {
        /// The stream's name.
        stream: String,
        /// Rows the client asked to skip.
        offset: u64,
        /// Responses handed to the transport so far; one that a fault sends twice counts once.
        responses: u64,
        /// Rows in those responses: what was sent are the rows `offset..offset + rows` of the stream, in order.
        rows: u64,
    },
    /// A stream was split.
    SplitReadStream {
        /// The stream's name.
        stream: String,
    },
    /// A REST call was answered.
    Rest {
        /// The HTTP method.
        method: String,
        /// The path as asked for, without the query.
        path: String,
        /// The HTTP status of the answer.
        status: u16,
    },
    /// A fault of the script was carried out.
    Fault {
        /// The method: a gRPC method's name, or `Rest`.
        method: String,
        /// The stream's name or the path; empty for CreateReadSession.
        subject: String,
        /// Responses the call had sent before.
        after_responses: u64,
        /// The fault in the script's own words.
        fault: String,
    },
}

#[derive(Debug)]
enum Entry {
    Done(LoggedCall),
    Read {
        stream: String,
        offset: u64,
        served: Arc<Served>,
    },
}

/// Counts what one ReadRows call has served; shared by the call and the log.
#[derive(Debug, Default)]
pub(crate) struct Served {
    responses: AtomicU64,
    rows: AtomicU64,
}

impl Served {
    pub fn add(&self, rows: u64) {
        self.responses.fetch_add(1, Ordering::Relaxed);
        self.rows.fetch_add(rows, Ordering::Relaxed);
    }
}

/// The log of one server, oldest first.
#[derive(Debug, Default)]
pub(crate) struct RequestLog {
    entries: Mutex<VecDeque<Entry>>,
}

impl RequestLog {
    pub fn record(&self, call: LoggedCall) {
        self.push(Entry::Done(call));
    }

    pub fn record_read(&self, stream: &str, offset: u64) -> Arc<Served> {
        let served = Arc::new(Served::default());
        self.push(Entry::Read {
            stream: stream.to_owned(),
            offset,
            served: Arc::clone(&served),
        });
        served
    }

    pub fn snapshot(&self) -> Vec<LoggedCall> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries
            .iter()
            .map(|entry| match entry {
                Entry::Done(call) => call.clone(),
                Entry::Read {
                    stream,
                    offset,
                    served,
                } => LoggedCall::ReadRows {
                    stream: stream.clone(),
                    offset: *offset,
                    responses: served.responses.load(Ordering::Relaxed),
                    rows: served.rows.load(Ordering::Relaxed),
                },
            })
            .collect()
    }

    fn push(&self, entry: Entry) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.len() == MAX_ENTRIES {
            entries.pop_front();
        }
        entries.push_back(entry);
    }
}
