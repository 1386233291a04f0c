//! Casts of texts, and of numbers by models.

use super::documented::{check, check_refused};

#[tokio::test]
async fn casts_of_texts() {
    check(&[
        ("CAST('-0x1A' AS INT64)", "-26"),
        ("CAST('1.1234567895' AS NUMERIC)", "NUMERIC \"1.12345679\""),
        ("CAST('-9.9999999995' AS NUMERIC)", "NUMERIC \"-10\""),
        (
            "CAST('2020-01-01T10:11:12' AS DATETIME)",
            "DATETIME \"2020-01-01 10:11:12\"",
        ),
        (
            "CAST(INTERVAL '10:20:30.52' HOUR TO SECOND AS STRING)",
            "\"0-0 0 10:20:30.520\"",
        ),
        ("CAST('ab' AS STRING(2))", "\"ab\""),
        ("SAFE_CAST('ab' AS STRING(1))", "NULL"),
    ])
    .await;
}

#[tokio::test]
async fn numbers_by_models() {
    check(&[
        ("CAST(12 AS STRING FORMAT '999')", "\"  12\""),
        ("CAST(-12 AS STRING FORMAT '000.000')", "\"-012.000\""),
        ("CAST(123.58 AS STRING FORMAT '999D999')", "\" 123.580\""),
        (
            "CAST(-12345.678 AS STRING FORMAT '$999,999.999')",
            "\" -$12,345.678\"",
        ),
        (
            "CAST(1234567.89 AS STRING FORMAT '$999,999.999')",
            "\" $###,###.###\"",
        ),
        ("CAST(NUMERIC '2.345' AS STRING FORMAT '9.99')", "\" 2.35\""),
        ("CAST(-12 AS STRING FORMAT 'S9999')", "\"  -12\""),
        ("CAST(-12 AS STRING FORMAT '9999S')", "\"  12-\""),
        ("CAST(12 AS STRING FORMAT '9999MI')", "\"  12 \""),
        ("CAST(-12 AS STRING FORMAT '9999PR')", "\"  <12>\""),
        ("CAST(-12 AS STRING FORMAT 'c999')", "\" -usd12\""),
        ("CAST(12.5 AS STRING FORMAT '999999.000FM')", "\"12.5\""),
        ("CAST(0.12 AS STRING FORMAT '9.99')", "\"  .12\""),
        ("CAST(123.4 AS STRING FORMAT '9,9,9.99')", "\" 1,2,3.40\""),
    ])
    .await;
}

#[tokio::test]
async fn texts_of_times_need_not_have_all_their_digits() {
    check(&[
        (
            "TIMESTAMP '2016-1-8 2:5:4'",
            "TIMESTAMP \"2016-01-08 02:05:04+00\"",
        ),
        (
            "TIMESTAMP('2016-1-8 2:5:4 America/New_York')",
            "TIMESTAMP \"2016-01-08 07:05:04+00\"",
        ),
        (
            "TIMESTAMP '2024-11-03 01:30:00 America/Los_Angeles'",
            "TIMESTAMP \"2024-11-03 08:30:00+00\"",
        ),
        (
            "TIMESTAMP '2024-03-10 02:30:00 America/Los_Angeles'",
            "TIMESTAMP \"2024-03-10 10:30:00+00\"",
        ),
        ("CAST(CAST('1-2' AS INTERVAL) AS STRING)", "\"1-2 0 0:0:0\""),
        (
            "CAST(CAST('10:20:30.5' AS INTERVAL) AS STRING)",
            "\"0-0 0 10:20:30.500\"",
        ),
        (
            "CAST(CAST('-1-2 -3' AS INTERVAL) AS STRING)",
            "\"-1-2 -3 0:0:0\"",
        ),
        (
            "CAST(CAST('PT10H20M30,456S' AS INTERVAL) AS STRING)",
            "\"0-0 0 10:20:30.456\"",
        ),
        (
            "CAST(RANGE(DATE '2020-01-01', NULL) AS STRING)",
            "\"[2020-01-01, UNBOUNDED)\"",
        ),
    ])
    .await;
    check_refused(&[
        ("TIMESTAMP '2016-1-8 24:00:00'", "Invalid timestamp"),
        ("CAST('3' AS INTERVAL)", "bad format"),
    ])
    .await;
}

#[tokio::test]
async fn literals_and_lengths_are_what_they_say() {
    check(&[
        (
            "CAST(9999999999999999999999999999.999999999 AS NUMERIC)",
            "NUMERIC \"9999999999999999999999999999.999999999\"",
        ),
        (
            "CAST(-12345678901234567890.5 AS NUMERIC)",
            "NUMERIC \"-12345678901234567890.5\"",
        ),
        ("CAST(1e3 AS BIGNUMERIC)", "BIGNUMERIC \"1000\""),
        ("CAST(['ab', 'c'] AS ARRAY<STRING(2)>)", "[\"ab\", \"c\"]"),
        ("SAFE_CAST('abc' AS STRING(2))", "NULL"),
        ("SAFE_CAST(['abc'] AS ARRAY<STRING(2)>) IS NULL", "true"),
        ("CAST('abc' AS BYTES FORMAT 'ASCII')", "b\"abc\""),
        ("CAST('äbc' AS BYTES FORMAT 'UTF8')", "b\"\\xc3\\xa4bc\""),
    ])
    .await;
    check_refused(&[
        (
            "CAST(['hello'] AS ARRAY<STRING(2)>)",
            "STRING(2) has maximum length 2 but got a value with length 5",
        ),
        (
            "CAST((b'hey', 2) AS STRUCT<BYTES(2), INT64>)",
            "BYTES(2) has maximum length 2",
        ),
        (
            "CAST('äbc' AS BYTES FORMAT 'ascii')",
            "invalid ASCII string",
        ),
        (
            "CAST(b'\\xff' AS STRING FORMAT 'ASCII')",
            "invalid ASCII string",
        ),
        (
            "CAST('1234' AS TIME FORMAT 'YYYY')",
            "is not allowed for a value of",
        ),
        (
            "CAST('12' AS DATE FORMAT 'HH24')",
            "is not allowed for a value of",
        ),
        (
            "CAST('12 +01' AS DATETIME FORMAT 'HH24 TZH')",
            "is not allowed for a value of",
        ),
    ])
    .await;
}
