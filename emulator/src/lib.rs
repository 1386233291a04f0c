//! BigQuery on the loopback interface: the Storage Read API and the REST calls that describe tables, served from Parquet files.
//!
//! A table is a directory `<project>/<dataset>/<table>` with Parquet files below the data directory; its rows are those of its
//! files in the order of their names. Rows are streamed from the files to the client: memory does not grow with the table.
//! An empty table is a file without rows.
//!
//! The crate owns everything a client can tell from the real service, faults included. It must not know the engine that reads
//! from it.

#![forbid(unsafe_code)]

mod arrow_message;
mod avro;
mod buckets;
mod catalog;
mod cells;
mod clock;
mod connection;
mod decode_budget;
mod default_cells;
mod external;
mod faults;
mod file_formats;
mod file_rows;
mod file_writers;
mod geography;
mod grpc_service;
mod gzip;
mod hive;
mod interval;
mod jobs;
mod json_text;
mod kept_messages;
mod layout;
mod lengths;
mod message_body;
mod name;
mod partition_ids;
mod partition_removal;
mod picoseconds;
mod places;
mod plain_column;
mod projection;
mod query;
mod read_plan;
mod request_log;
mod response_compression;
mod rest_service;
mod row_access;
mod row_restriction;
mod schema;
mod server;
mod session;
mod source_files;
mod stream_reader;
mod syntax_walk;
mod table_rows;
mod value_text;
mod wire;
mod write_service;
mod write_streams;
mod zones;

pub use clock::{Clock, ManualClock, SystemClock};
pub use faults::{
    Corruption, FaultAction, FaultScript, FaultScriptError, FaultTarget, RandomFaults, WriteMethod,
};
pub use request_log::LoggedCall;
pub use server::{Emulator, EmulatorBuilder, RunningEmulator, StartError};
pub use tonic::Code;
