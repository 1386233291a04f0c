//! Names of page compressions. Owns the list of choices.

use parquet::basic::{Compression, ZstdLevel};

use crate::error::{Error, Result};

/// Parses the `compression` of a recipe's output.
pub(super) fn parse(text: &str) -> Result<Compression> {
    let refused = || {
        Error::config(format!(
            "unknown compression {text:?}: choose uncompressed, snappy, lz4 or zstd(LEVEL) with a level from 1 to 22"
        ))
    };
    match text {
        "uncompressed" => Ok(Compression::UNCOMPRESSED),
        "snappy" => Ok(Compression::SNAPPY),
        // Parquet's older LZ4 framing is deprecated; readers know this one.
        "lz4" => Ok(Compression::LZ4_RAW),
        _ => text
            .strip_prefix("zstd(")
            .and_then(|rest| rest.strip_suffix(')'))
            .and_then(|level| level.parse::<i32>().ok())
            .and_then(|level| ZstdLevel::try_new(level).ok())
            .map(Compression::ZSTD)
            .ok_or_else(refused),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn knows_the_choices_and_lists_them() {
        assert_eq!(parse("uncompressed").unwrap(), Compression::UNCOMPRESSED);
        assert_eq!(parse("snappy").unwrap(), Compression::SNAPPY);
        assert_eq!(parse("lz4").unwrap(), Compression::LZ4_RAW);
        assert_eq!(
            parse("zstd(22)").unwrap(),
            Compression::ZSTD(ZstdLevel::try_new(22).unwrap())
        );
        for bad in [
            "", "gzip", "zstd", "zstd()", "zstd(0)", "zstd(23)", "zstd(-1)", "zstd(1", "ZSTD(1)x",
        ] {
            let error = parse(bad).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config, "{bad}");
            assert!(error.to_string().contains("zstd(LEVEL)"), "{error}");
        }
    }
}
