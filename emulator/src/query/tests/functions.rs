//! Functions one by one, by the examples of the reference and the borders of their arguments.
#![allow(clippy::unwrap_used)]

use tempfile::TempDir;

use super::documented::{check, check_refused};
use super::{answer, catalog, lines};

#[tokio::test]
async fn functions_give_what_the_reference_says() {
    let root = TempDir::new().unwrap();
    let catalog = catalog(&root);
    for (expression, wanted) in [
        ("NUMERIC '1' / 3", "0.333333333"),
        (
            "BIGNUMERIC '2' / 3",
            "0.66666666666666666666666666666666666667",
        ),
        (
            "BIGNUMERIC '1.5' * BIGNUMERIC '-2.25'",
            "-3.37500000000000000000000000000000000000",
        ),
        ("SAFE_DIVIDE(NUMERIC '1', 3)", "0.333333333"),
        ("SAFE_DIVIDE(NUMERIC '1', 0)", ""),
        ("IEEE_DIVIDE(NUMERIC '1', 4)", "0.25"),
        ("DIV(NUMERIC '-7.5', 2)", "-3.000000000"),
        ("MOD(NUMERIC '-7.5', 2)", "-1.500000000"),
        ("ROUND(NUMERIC '2.5')", "3.000000000"),
        ("ROUND(5)", "5.0"),
        ("SAFE_ADD(9223372036854775807, 1)", ""),
        ("SAFE_SUBTRACT(5, 3)", "2"),
        ("SAFE_NEGATE(-9223372036854775807 - 1)", ""),
        ("SIGN(-2.5)", "-1.0"),
        ("LOG(8, 2)", "3.0"),
        ("BIT_COUNT(7)", "3"),
        ("6 & 3 | 8", "10"),
        ("~5", "-6"),
        ("RANGE_BUCKET(20, [0, 10, 20, 30])", "3"),
        ("INITCAP('hello wORLD-x')", "HelloWorld-X"),
        ("TRANSLATE('abcd', 'abz', 'xy')", "xycd"),
        ("CONCAT(CHR(65), ASCII('a'), UNICODE('é'))", "A97233"),
        ("CODE_POINTS_TO_STRING(TO_CODE_POINTS('aé'))", "aé"),
        ("CONTAINS_SUBSTR('The Blue', 'bLUE')", "true"),
        ("INSTR('banana', 'an', -1)", "4"),
        ("INSTR('banana', 'an', 1, 2)", "4"),
        ("TO_HEX(b'\\x00\\xffa')", "00ff61"),
        ("ARRAY_TO_STRING(['a', NULL, 'b'], '-', 'N')", "a-N-b"),
        ("ARRAY_FIRST([4, 5]) + ARRAY_LAST([4, 5])", "9"),
        ("NULLIFZERO(0)", ""),
        ("ZEROIFNULL(NULL)", "0"),
        ("PARSE_DATE('%d.%m.%Y', '02.01.2020')", "2020-01-02"),
        (
            "PARSE_TIMESTAMP('%Y-%m-%d %H:%M:%S%z', '2020-01-01 01:00:00+0200')",
            "2019-12-31T23:00:00Z",
        ),
        ("LAST_DAY(DATE '2020-02-03')", "2020-02-29"),
        ("LAST_DAY(DATE '2020-02-03', WEEK(MONDAY))", "2020-02-09"),
        ("DATE_TRUNC(DATE '2020-05-17', WEEK(MONDAY))", "2020-05-11"),
        (
            "DATE_DIFF(DATE '2020-05-18', DATE '2020-05-17', WEEK(MONDAY))",
            "1",
        ),
        ("UNIX_DATE(DATE_FROM_UNIX_DATE(14238))", "14238"),
        (
            "ARRAY_LENGTH(GENERATE_DATE_ARRAY('2020-01-31', '2020-04-30', INTERVAL 1 MONTH))",
            "4",
        ),
        (
            "ARRAY_LENGTH(GENERATE_TIMESTAMP_ARRAY('2020-01-01', '2020-01-02', INTERVAL 12 HOUR))",
            "3",
        ),
        (
            "DATE(TIMESTAMP '2020-05-17 23:00:00', 'Asia/Tokyo')",
            "2020-05-18",
        ),
        (
            "TIMESTAMP(DATETIME '2020-05-17 12:00:00', 'Asia/Tokyo')",
            "2020-05-17T03:00:00Z",
        ),
        (
            "STRING(TIMESTAMP '2020-01-17 23:00:00', 'America/New_York')",
            "2020-01-1718:00:00-05",
        ),
        (
            "EXTRACT(HOUR FROM TIMESTAMP '2020-01-17 12:00:00' AT TIME ZONE 'America/New_York')",
            "7",
        ),
        ("DATETIME(2020, 1, 2, 3, 4, 5)", "2020-01-02T03:04:05"),
        ("TIME(3, 4, 5)", "03:04:05"),
        (
            "FORMAT_TIMESTAMP('%E3S|%E*S|%Q', TIMESTAMP '2020-05-01 00:00:01.250')",
            "01.250|01.25|2",
        ),
        ("JSON_OBJECT('b', 1, 'a', [TRUE])", "{\"a\":[true],\"b\":1}"),
        ("JSON_ARRAY(1, 'x', NULL)", "[1,\"x\",null]"),
        ("JSON_TYPE(JSON '[1]')", "array"),
        ("INT64(JSON '5') + LAX_INT64(JSON '\"5\"')", "10"),
        (
            "ARRAY_TO_STRING(JSON_KEYS(JSON '{\"b\":{\"c\":1},\"a\":2}'), ',')",
            "a,b,b.c",
        ),
        (
            "ARRAY_LENGTH(JSON_QUERY_ARRAY('{\"a\":[1,{}]}', '$.a'))",
            "2",
        ),
        ("ARRAY<STRUCT<a INT64>>[STRUCT(1)][OFFSET(0)].a", "1"),
        ("SAFE.PARSE_DATE('%Y', 'x')", ""),
        ("SAFE.CHR(66)", "B"),
        ("SAFE.SQRT(-1)", ""),
        ("SAFE.UPPER('a')", "A"),
        ("SAFE.DATE(2020, 13, 1)", ""),
        ("TO_JSON_STRING(STRUCT(NULL AS a))", "{\"a\":null}"),
    ] {
        let text = answer(&catalog, &format!("SELECT {expression} AS v"), &[]).await;
        let text = text.unwrap_or_else(|e| format!("{expression}: {e}"));
        let found = text.lines().nth(3).map(|l| {
            let found: String = l.trim_matches(['|', ' ']).to_owned();
            found.replace(' ', "")
        });
        assert_eq!(found.as_deref(), Some(wanted), "{expression}: {text}");
    }
}

#[tokio::test]
async fn aggregates_gather_in_order_and_up_to_a_limit() {
    let root = TempDir::new().unwrap();
    let catalog = catalog(&root);
    let rows =
        "UNNEST([STRUCT(3 AS x, 'c' AS y), STRUCT(1, 'a'), STRUCT(1, NULL), STRUCT(2, 'b')])";
    for (expression, wanted) in [
        ("ARRAY_AGG(y IGNORE NULLS ORDER BY x DESC LIMIT 2)", "[c,b]"),
        ("STRING_AGG(y, '+' ORDER BY y LIMIT 2)", "a+b"),
        ("ANY_VALUE(y HAVING MAX x)", "c"),
        ("MAX_BY(y, x)", "c"),
        ("MIN_BY(x, y)", "1"),
        ("APPROX_QUANTILES(x, 2)", "[1,1,3]"),
        ("APPROX_TOP_COUNT(x, 1)", "[{value:1,count:2}]"),
    ] {
        let sql = format!("SELECT {expression} AS v FROM {rows}");
        assert_eq!(lines(&catalog, &sql).await, ["v", wanted], "{sql}");
    }
    let sql = format!(
        "SELECT PERCENTILE_CONT(x, 0.5) OVER () AS c, PERCENTILE_DISC(x, 0.5) OVER () AS d FROM {rows} LIMIT 1"
    );
    assert_eq!(lines(&catalog, &sql).await, ["c|d", "1.5|1"]);
}

#[tokio::test]
async fn a_union_has_the_wider_type() {
    let root = TempDir::new().unwrap();
    let catalog = catalog(&root);
    let sql = "SELECT 1 AS v UNION ALL SELECT 2.5 ORDER BY v";
    assert_eq!(lines(&catalog, sql).await, ["v", "1.0", "2.5"]);
}

#[tokio::test]
async fn what_has_no_value_is_an_error() {
    let root = TempDir::new().unwrap();
    let catalog = catalog(&root);
    for (sql, wanted) in [
        ("SELECT NUMERIC '1' / 0", "division by zero"),
        (
            "SELECT NUMERIC '99999999999999999999999999999' * 10",
            "numeric overflow",
        ),
        ("SELECT MOD(NUMERIC '1', 0)", "division by zero"),
        ("SELECT BIGNUMERIC '1e37' * BIGNUMERIC '1e37'", "overflow"),
        (
            "SELECT PARSE_DATE('%Y', 'x')",
            "Failed to parse input string",
        ),
        ("SELECT CHR(-1)", "Invalid codepoint"),
        ("SELECT b'\\u0041'", "Illegal escape sequence"),
        ("SELECT INT64(JSON '\"x\"')", "not INT64"),
        (
            "SELECT DATETIME(TIMESTAMP '2020-01-01', 'Nowhere')",
            "Invalid time zone",
        ),
        ("SELECT KEYS.NEW_KEYSET('a')", "KEYS.NEW_KEYSET"),
        ("SELECT SAFE.SUM(x) FROM UNNEST([1]) AS x", "SAFE.SUM"),
        (
            "SELECT ARRAY(SELECT DISTINCT x FROM UNNEST([1]) AS x ORDER BY -x)",
            "ORDER BY in ARRAY of DISTINCT",
        ),
    ] {
        let refused = answer(&catalog, sql, &[]).await.unwrap_err();
        assert!(refused.contains(wanted), "{sql}: {refused}");
    }
}

#[tokio::test]
async fn intervals_are_divided_and_texts_grouped_and_folded_as_the_reference_has_it() {
    let span = |text: &str| format!("INTERVAL \"{text}\" YEAR TO SECOND");
    check(&[
        ("INTERVAL 10 YEAR / 3", &span("3-4 0 0:0:0")),
        ("INTERVAL 1 MONTH / 12", &span("0-0 2 12:0:0")),
        ("INTERVAL -1 MONTH / 2", &span("0-0 -15 0:0:0")),
        ("FORMAT(\"%'x\", 12345678)", "\"bc:614e\""),
        ("FORMAT(\"%'o\", 55555)", "\"15,4403\""),
        ("FORMAT(\"%'d\", 1234567)", "\"1,234,567\""),
        ("CONTAINS_SUBSTR('\\u2168', 'IX')", "true"),
        ("CONTAINS_SUBSTR('Straße', 'STRASSE')", "true"),
        ("LAX_STRING(JSON '10.0')", "\"10\""),
        ("LAX_STRING_ARRAY(JSON '[10.0, 1.5]')", "[\"10\", \"1.5\"]"),
        (
            "ARRAY(SELECT AS STRUCT 1, 2 UNION ALL SELECT AS STRUCT 3, 4)",
            "[(1, 2), (3, 4)]",
        ),
    ])
    .await;
    check_refused(&[("INTERVAL 1 DAY / 0", "division by zero")]).await;
}

#[tokio::test]
async fn ranges_are_cut_into_parts() {
    check(&[
        (
            "GENERATE_RANGE_ARRAY(RANGE(DATE '2020-01-01', DATE '2020-01-06'), INTERVAL 2 DAY)",
            "[RANGE<DATE> \"[2020-01-01, 2020-01-03)\", RANGE<DATE> \"[2020-01-03, 2020-01-05)\", RANGE<DATE> \"[2020-01-05, 2020-01-06)\"]",
        ),
        (
            "GENERATE_RANGE_ARRAY(RANGE(DATE '2020-01-01', DATE '2020-01-06'), INTERVAL 2 DAY, FALSE)",
            "[RANGE<DATE> \"[2020-01-01, 2020-01-03)\", RANGE<DATE> \"[2020-01-03, 2020-01-05)\"]",
        ),
        // Months are counted from where the range begins.
        (
            "GENERATE_RANGE_ARRAY(RANGE(DATE '2020-01-31', DATE '2020-04-01'), INTERVAL 1 MONTH)",
            "[RANGE<DATE> \"[2020-01-31, 2020-02-29)\", RANGE<DATE> \"[2020-02-29, 2020-03-31)\", RANGE<DATE> \"[2020-03-31, 2020-04-01)\"]",
        ),
        (
            "ARRAY_LENGTH(GENERATE_RANGE_ARRAY(RANGE(TIMESTAMP '2020-01-01', TIMESTAMP '2020-01-02'), INTERVAL 7 HOUR))",
            "4",
        ),
        ("GENERATE_RANGE_ARRAY(RANGE(DATE '2020-01-01', DATE '2020-01-06'), NULL) IS NULL", "true"),
    ])
    .await;
    check_refused(&[
        (
            "GENERATE_RANGE_ARRAY(RANGE(DATE '2020-01-01', NULL), INTERVAL 1 DAY)",
            "UNBOUNDED",
        ),
        (
            "GENERATE_RANGE_ARRAY(RANGE(DATE '2020-01-01', DATE '2020-01-06'), INTERVAL 1 HOUR)",
            "needs a step of one part",
        ),
        (
            "GENERATE_RANGE_ARRAY(RANGE(TIMESTAMP '2020-01-01', TIMESTAMP '2020-01-06'), INTERVAL 1 MONTH)",
            "needs a step of one part",
        ),
        (
            "GENERATE_RANGE_ARRAY(RANGE(DATE '2020-01-01', DATE '2020-01-06'), INTERVAL 0 DAY)",
            "needs a step of one part",
        ),
    ])
    .await;
}

#[tokio::test]
async fn texts_are_compared_with_arrays_of_patterns() {
    check(&[
        ("'abc' LIKE ANY UNNEST(['x%', 'a%'])", "true"),
        ("'abc' LIKE SOME UNNEST(['x%', NULL])", "NULL"),
        ("'abc' LIKE ALL UNNEST(['a%', '%c'])", "true"),
        ("'abc' LIKE ALL UNNEST(['a%', 'x', NULL])", "false"),
        ("'abc' LIKE ANY UNNEST(ARRAY<STRING>[])", "false"),
        ("'abc' LIKE ALL UNNEST(ARRAY<STRING>[])", "true"),
        (
            "'abc' LIKE ANY (SELECT p FROM UNNEST(['x', '_b_']) AS p)",
            "true",
        ),
        (
            "'abc' LIKE ALL (SELECT p FROM UNNEST(['x', '_b_']) AS p)",
            "false",
        ),
        ("'abc' NOT LIKE ANY UNNEST(['a%', 'x'])", "true"),
        ("'abc' NOT LIKE ALL UNNEST(['a%', 'x'])", "false"),
        ("'abc' NOT LIKE ANY ('a%', 'x')", "true"),
        ("'abc' NOT LIKE ALL ('a%', 'x')", "false"),
        ("CAST(NULL AS STRING) LIKE ANY UNNEST(['a'])", "NULL"),
    ])
    .await;
    check_refused(&[("'a' LIKE ANY UNNEST([1])", "LIKE for an array of Int64")]).await;
}

#[tokio::test]
async fn sketches_count_different_values() {
    const FROM: &str = "FROM UNNEST(['a', 'b', 'a', NULL]) AS x";
    let over = |call: &str| format!("(SELECT {call} {FROM})");
    let of_none = "(SELECT HLL_COUNT.MERGE(s) FROM (SELECT HLL_COUNT.INIT(x) AS s FROM UNNEST(ARRAY<INT64>[]) AS x))";
    let halves =
        "(SELECT HLL_COUNT.MERGE(s) FROM (SELECT MOD(x, 2) AS k, HLL_COUNT.INIT(MOD(x, 7), 12) AS s
        FROM UNNEST(GENERATE_ARRAY(1, 100)) AS x GROUP BY k))";
    check(&[
        (&over("HLL_COUNT.EXTRACT(HLL_COUNT.INIT(x))"), "2"),
        (&over("HLL_COUNT.INIT(IF(x = 'z', x, NULL))"), "NULL"),
        (
            "(SELECT HLL_COUNT.EXTRACT(HLL_COUNT.MERGE_PARTIAL(s)) FROM (SELECT HLL_COUNT.INIT(x) AS s FROM UNNEST([1, 2, 3]) AS x UNION ALL SELECT HLL_COUNT.INIT(x) FROM UNNEST([3, 4]) AS x))",
            "4",
        ),
        (of_none, "0"),
        (halves, "7"),
        ("HLL_COUNT.EXTRACT(NULL)", "0"),
    ])
    .await;
    check_refused(&[
        ("HLL_COUNT.INIT(1.5)", "HLL_COUNT.INIT"),
        ("HLL_COUNT.INIT(x, 9) FROM UNNEST([1]) AS x", "between 10 and 24"),
        ("HLL_COUNT.EXTRACT(b'abc')", "Invalid sketch"),
        (
            "HLL_COUNT.MERGE(s) FROM (SELECT HLL_COUNT.INIT(1) AS s UNION ALL SELECT HLL_COUNT.INIT('a'))",
            "incompatible sketch",
        ),
    ])
    .await;
}

#[tokio::test]
async fn empty_expressions_and_values_without_type() {
    check(&[
        ("REGEXP_INSTR('abc', '')", "0"),
        ("REGEXP_INSTR('-2020-jack-class1', '', 2)", "0"),
        ("CONCAT(DATETIME '2020-01-02 03:04:05', '|', TIME '01:02:03')", "\"2020-01-02 03:04:05|01:02:03\""),
        ("ARRAY_IS_DISTINCT(NULL)", "NULL"),
        ("JSON_EXTRACT('{\"a\": [1, 2]}', '$[a][1]')", "\"2\""),
        ("ARRAY_LENGTH(ARRAY(SELECT 1 FROM UNNEST([1, 2]), UNNEST(['a', 'b', 'c']), UNNEST([TRUE])))", "6"),
    ])
    .await;
    check_refused(&[
        ("JSON_EXTRACT('{}', '$[a b]')", "Invalid JSONPath"),
        (
            "SUM(x) FROM UNNEST(['a']) AS x",
            "No matching signature for aggregate function SUM",
        ),
    ])
    .await;
}
