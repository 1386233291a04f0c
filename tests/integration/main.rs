//! The integration tests: one binary, one behaviour per file.
//!
//! They use the built command and the public crates, on tables made here from a seed. What the results should be is judged
//! by scikit-learn and DuckDB in `conformance/`; here it is that results do not change, and that nothing is left behind.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod apply;
mod bigquery_sql;
mod credentials;
mod demo;
mod determinism;
mod emulator_run;
mod every_file_operation;
mod every_type;
mod examples;
mod extremes;
mod fault_table;
mod full_disk;
mod house_rules;
mod kills;
mod leak;
mod memory;
mod odd_names;
mod private_files;
mod resume;
mod rust_api;
mod secrets;
mod service_limits;
mod signals;
mod storms;
mod supply_chain;
mod table_scan;
mod tls;
mod vocabularies;
mod wildcards;
mod wrong_input;

mod bench;
mod command;
mod rows;
mod served;
mod tree;
