//! Names from users and from data: of tables, columns, files and machines.

/// Any text is refused as a name, or harmless wherever names of its kind are put.
///
/// # Panics
/// When it does not hold.
pub fn names(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    crate::source::fuzz_names(text);
    crate::output_dir::fuzz_names(text);
    let stem = crate::fitted::file_stem(text);
    assert!(
        stem.bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-')),
        "{stem:?} is no harmless part of a file name"
    );
}
