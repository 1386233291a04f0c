//! What is done to a query's text before it has a meaning: the dialect it is read in, its literals, pipe syntax and legacy SQL.
//!
//! Must not know what tables or functions there are.

pub(super) mod dialect;
pub(crate) mod escapes;
mod inserted_queries;
pub(super) mod legacy;
pub(crate) mod literals;
mod marked_quotes;
pub(super) mod matched_columns;
pub(super) mod pipes;
pub(super) mod placeholders;
pub(super) mod syntax_errors;
mod table_versions;
mod unpivot_labels;
