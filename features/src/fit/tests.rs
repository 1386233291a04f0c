//! The contract every step keeps, and scikit-learn's own numbers.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod contract;
mod kit;
mod outcomes;

mod scikit_learn;
mod spilling;
