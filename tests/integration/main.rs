//! The integration tests: one binary, one behaviour per file.
//!
//! They use the built command and the public crates, on tables made here from a seed. What the results should be is judged
//! by scikit-learn and DuckDB in `conformance/`; here it is that results do not change, and that nothing is left behind.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod apply;
mod demo;
mod determinism;
mod emulator_run;
mod examples;
mod house_rules;
mod leak;
mod resume;
mod rust_api;
mod signals;
mod wrong_input;

mod command;
mod rows;
mod served;
mod tree;
