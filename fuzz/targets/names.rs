//! Feeds `millpond::fuzz_names` for as long as one likes.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(init: millpond_fuzz::quiet(), |bytes: &[u8]| millpond_fuzz::run(millpond::fuzz_names, bytes));
