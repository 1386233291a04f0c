//! What is said to the planner about a query's types and operators, and what is done to its plans so that they give BigQuery's answers.
//!
//! Must not know how queries are written.

pub(super) mod byte_patterns;
pub(super) mod choices;
pub(super) mod fields;
pub(super) mod filters;
pub(super) mod float_lists;
pub(super) mod groupings;
pub(super) mod guards;
pub(super) mod in_order;
pub(super) mod lateral;
pub(super) mod meaning;
pub(super) mod node_expressions;
pub(super) mod operators;
pub(super) mod stages;
pub(super) mod subqueries;
