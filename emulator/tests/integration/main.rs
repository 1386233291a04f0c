//! The emulator as Google's official client sees it.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod alterations;
mod batches;
mod buckets;
mod compressed_calls;
mod dry_runs;
mod envelope;
mod external;
mod faults;
mod file_statements;
mod google_rust;
mod grants;
mod harness;
mod information_schema;
mod kept;
mod merges;
mod partitions;
mod qualified;
mod read_options;
mod reads;
mod record_fields;
mod recovery;
mod refusals;
mod request_members;
mod required_filters;
mod resources;
mod rest;
mod rest_shapes;
mod routines;
mod row_access;
mod schemas;
mod scripts;
mod statements;
mod storage;
mod tables;
mod transactions;
mod uploads;
mod wildcards;
mod wire_types;
mod write_faults;
mod write_restarts;
mod write_schemas;
mod writes;
