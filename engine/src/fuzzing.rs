//! What must hold for any bytes at all: one function per kind of untrusted input.
//!
//! Each takes arbitrary bytes and returns unless a promise is broken, and then panics saying which. The fuzz targets in
//! `fuzz/` call them for as long as one likes, and the tests here call them for the saved corpus and for random bytes, so
//! that what a fuzzer once found stays found. Compiled for tests and with the feature `fuzzing`; must hold no logic of the
//! product.

mod artefact;
mod edits;
mod name;
mod recipe;
#[cfg(test)]
mod tests;

pub use self::artefact::{fitted, manifest};
pub use self::name::names;
pub use self::recipe::recipe;
pub use crate::source::fuzz_ipc as ipc;

/// Text that begins like JSON or YAML is taken as it is; other bytes are edits of a good document.
fn document(bytes: &[u8], good: &str) -> Option<String> {
    match bytes.split_first() {
        Some((0, script)) => {
            let document = serde_json::from_str(good).expect("the good document is JSON");
            Some(edits::apply(document, script).to_string())
        }
        _ => std::str::from_utf8(bytes).ok().map(str::to_owned),
    }
}
