#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod emulator;
mod fake;
mod queries;
mod reading;
mod sessions;
