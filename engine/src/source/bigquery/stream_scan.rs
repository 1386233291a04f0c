//! A scan of one session: a work unit for each of its streams.
//!
//! Owns the units and the streams behind them. Must not know how sessions are made.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use google_cloud_bigquery::client::Read;
use serde_json::Value;

use super::decode::Decoder;
use super::session::{Session, SessionRequest};
use super::stream::{Parked, StreamSpec};
use super::{BigQuerySource, ScanToken, about, snapshot_of};
use crate::error::{Error, Result};
use crate::source::{BatchStream, Leg, ReadContext, Rescan, Scan, Snapshot, Unit};

/// One session over a table.
#[derive(Debug)]
pub(super) struct BigQueryScan {
    schema: SchemaRef,
    units: Vec<Unit>,
    streams: Vec<(StreamSpec, Parked)>,
    snapshot: Snapshot,
    session: Snapshot,
    token: Option<Value>,
}

impl BigQueryScan {
    /// The units of `session`, spread over `clients`.
    pub fn new(
        source: &BigQuerySource,
        session: Session,
        decoder: Arc<Decoder>,
        clients: &[Read],
        wanted: &SessionRequest,
    ) -> Self {
        let count = session.streams.len();
        let snapshot = snapshot_of(source, &session, wanted);
        let about_session = about(&session);
        let token = ScanToken {
            session: session.clone(),
            columns: wanted.columns.clone(),
            row_restriction: wanted.row_restriction.clone(),
        };
        let share = |total: Option<u64>, index: usize| {
            let (count, index) = (count as u64, index as u64);
            total.map(|total| total / count + u64::from(index < total % count))
        };
        let units = (0..count)
            .map(|index| Unit {
                name: format!("{} {}", source.place.table, label(index)),
                rows: share(session.estimated_rows, index),
                bytes: share(session.estimated_bytes, index),
            })
            .collect();
        let streams = session
            .streams
            .into_iter()
            .zip(clients.iter().cycle())
            .enumerate()
            .map(|(index, (name, client))| {
                let spec = StreamSpec {
                    client: client.clone(),
                    name,
                    label: label(index),
                    index,
                    place: Arc::clone(&source.place),
                    timing: source.timing,
                    decoder: Arc::clone(&decoder),
                };
                (spec, Parked::default())
            })
            .collect();
        Self {
            schema: Arc::clone(decoder.schema()),
            units,
            streams,
            snapshot,
            session: about_session,
            token: serde_json::to_value(token).ok(),
        }
    }

    fn stream(&self, index: usize) -> Result<&(StreamSpec, Parked)> {
        self.streams.get(index).ok_or_else(|| {
            Error::config(format!(
                "there is no unit {index}: the session has {} streams",
                self.streams.len()
            ))
        })
    }
}

impl Scan for BigQueryScan {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn units(&self) -> &[Unit] {
        &self.units
    }

    fn rescan(&self) -> Rescan {
        Rescan::Paid
    }

    fn snapshot(&self) -> Snapshot {
        self.snapshot.clone()
    }

    fn session(&self) -> Snapshot {
        self.session.clone()
    }

    fn token(&self) -> Option<Value> {
        self.token.clone()
    }

    fn open(&self, index: usize, context: &ReadContext) -> Result<BatchStream> {
        let (stream, _) = self.stream(index)?;
        Ok(stream.clone().batches(context.clone()))
    }

    fn open_leg(&self, index: usize, leg: Leg, context: &ReadContext) -> Result<BatchStream> {
        let (stream, parked) = self.stream(index)?;
        Ok(stream.clone().leg(context.clone(), leg, parked.clone()))
    }
}

fn label(index: usize) -> String {
    format!("stream {index}")
}
