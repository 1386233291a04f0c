//! Makes the release binary smaller where the linker is the one that comes with Rust: one copy of functions whose machine code is the
//! same, a tenth of the binary, and, where the C library can read them, relocations in the packed form.

use std::env;
use std::process::Command;

/// The first GNU C library that reads packed relocations.
const PACKED_SINCE: (u32, u32) = (2, 36);

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let is = |name: &str, value: &str| env::var(name).as_deref() == Ok(value);
    let flags = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    let own_linker = flags.contains("linker") || env::var_os("RUSTC_LINKER").is_some();
    if is("TARGET", "x86_64-unknown-linux-gnu") && is("PROFILE", "release") && !own_linker {
        println!("cargo:rustc-link-arg-bins=-Wl,--icf=all");
        if c_library().is_some_and(|version| version >= PACKED_SINCE) {
            println!("cargo:rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
        }
    }
}

/// Version of the C library of this machine, for which the binary is built then: it does not start with an older one.
fn c_library() -> Option<(u32, u32)> {
    if env::var("HOST") != env::var("TARGET") {
        return None;
    }
    let told = Command::new("getconf").arg("GNU_LIBC_VERSION").output();
    let told = String::from_utf8(told.ok()?.stdout).ok()?;
    let (major, minor) = told.trim().strip_prefix("glibc ")?.split_once('.')?;
    let minor = minor.split('.').next()?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}
