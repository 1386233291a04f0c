//! SQL over units: `where`, `derive` and column choice, planned by DataFusion with one partition per work unit.
//!
//! The only module that knows DataFusion plans. Everything else receives streams of batches from a [`RowPlan`].
//! Nothing in these plans repartitions or coalesces: partition `i` is unit `i`, and the caller decides which run at a time.

mod bytes;
mod expression;
mod json_value;
mod paths;
mod predicate;
mod row_plan;
mod session;
mod unit_scan_exec;
mod unit_table;

pub(crate) use expression::{DerivedColumns, SqlExpressions, columns_named};
pub(crate) use row_plan::{RowPlan, RowQuery, full_schema, unknown_column};
pub(crate) use session::Session;
