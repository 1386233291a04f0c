//! Tables of texts that are searched for many at a time.
//!
//! Rows are kept and categories are counted and looked up by their texts, millions a second. What all three need is here: a
//! [`TextKey`] of twelve bytes stands for a text, a [`TextTable`] has a place with a number for each, and a [`Block`] gathers the searches
//! that are made together. This crate knows Arrow's arrays of texts and nothing of rows, categories or files.

mod block;
mod text_key;
mod text_table;

pub use block::Block;
pub use text_key::TextKey;
pub use text_table::{Search, TextTable, place};
