//! JSON is read, made and shown as the service does it.

use super::documented::{check, check_refused};

#[tokio::test]
async fn floats_in_documents() {
    check(&[
        ("TO_JSON_STRING(1e15)", "\"1e+15\""),
        (
            "PARSE_JSON('922337203685477580701', wide_number_mode => 'round')",
            "JSON \"9.223372036854776e+20\"",
        ),
        (
            "TO_JSON_STRING(922337203685477580701.0)",
            "\"9.2233720368547758e+20\"",
        ),
        ("TO_JSON_STRING(1e14)", "\"100000000000000\""),
        ("TO_JSON_STRING([1e-5, -2.5e300])", "\"[1e-05,-2.5e+300]\""),
        ("TO_JSON_STRING(TO_JSON(1e15))", "\"1e+15\""),
        ("TO_JSON_STRING(JSON '1e15')", "\"1e+15\""),
        ("JSON '1e15'", "JSON \"1e+15\""),
        ("JSON_OBJECT('a', 1e300)", "JSON '{\"a\":1e+300}'"),
        ("TO_JSON_STRING(JSON '1.0')", "\"1.0\""),
        // SQL writes whole floats without a point, JSON with one.
        ("TO_JSON(1.0)", "JSON \"1.0\""),
        ("TO_JSON(STRUCT([2.0] AS a))", "JSON '{\"a\":[2.0]}'"),
        ("JSON_ARRAY(3.0, 3)", "JSON \"[3.0,3]\""),
        ("JSON_SET(JSON '{}', '$.a', 4.0)", "JSON '{\"a\":4.0}'"),
        ("TO_JSON_STRING([5.0, -0.0])", "\"[5,0]\""),
        ("JSON_VALUE(JSON '{\"a\": 1e20}', '$.a')", "\"1e+20\""),
        (
            "TO_JSON_STRING(JSON_QUERY(JSON '{\"a\": [1e20]}', '$.a'))",
            "\"[1e+20]\"",
        ),
    ])
    .await;
}

#[tokio::test]
async fn documents() {
    check(&[
        (
            "JSON_SET(JSON '{\"a\": 1}', '$.b.c', 'x')",
            "JSON '{\"a\":1,\"b\":{\"c\":\"x\"}}'",
        ),
        (
            "JSON_SET(JSON '{\"a\": 1}', '$.b', 2, create_if_missing => false)",
            "JSON '{\"a\":1}'",
        ),
        (
            "JSON_SET(JSON '{\"a\": [\"x\"]}', '$.a[2]', 'z')",
            "JSON '{\"a\":[\"x\",null,\"z\"]}'",
        ),
        (
            "JSON_REMOVE(JSON '[\"a\", [\"b\", \"c\"], \"d\"]', '$[1]')",
            "JSON '[\"a\",\"d\"]'",
        ),
        (
            "JSON_STRIP_NULLS(JSON '[1, null, {\"a\": null}]')",
            "JSON \"[1,{}]\"",
        ),
        (
            "JSON_STRIP_NULLS(JSON '[1, null]', include_arrays => FALSE)",
            "JSON \"[1,null]\"",
        ),
        (
            "JSON_ARRAY_APPEND(JSON '[\"a\"]', '$', [1, 2])",
            "JSON '[\"a\",1,2]'",
        ),
        (
            "JSON_ARRAY_INSERT(JSON '[\"a\", \"d\"]', '$[1]', 1)",
            "JSON '[\"a\",1,\"d\"]'",
        ),
        (
            "JSON_OBJECT(['b', 'a'], [10, 20])",
            "JSON '{\"a\":20,\"b\":10}'",
        ),
        ("JSON_KEYS(JSON '{\"a\": {\"b\": 1}}', 1)", "[\"a\"]"),
        (
            "TO_JSON(STRUCT(9007199254740993 AS id), stringify_wide_numbers => TRUE)",
            "JSON '{\"id\":\"9007199254740993\"}'",
        ),
        (
            "TO_JSON_STRING(STRUCT(2 AS b, b'abc' AS a))",
            "'{\"b\":2,\"a\":\"YWJj\"}'",
        ),
        ("TO_JSON_STRING(9007199254740993)", "'\"9007199254740993\"'"),
        ("TO_JSON_STRING([1], TRUE)", "\"[\\n  1\\n]\""),
        ("STRING(JSON '\"purple\"')", "\"purple\""),
        ("INT64_ARRAY(JSON '[1, 2]')", "[1, 2]"),
        ("LAX_STRING_ARRAY(JSON '[\"a\", 1]')", "[\"a\", \"1\"]"),
        ("JSON_QUERY(JSON '{\"a\": null}', '$.a')", "JSON \"null\""),
        ("JSON_QUERY('{\"a\": null}', '$.a')", "NULL"),
        ("(SELECT SUM(INT64(e.a)) FROM UNNEST(JSON_QUERY_ARRAY(JSON '[{\"a\": 1}, {\"a\": 2}]')) AS e)", "3"),
        ("(SELECT SUM(INT64(e.a)) FROM (SELECT JSON_QUERY_ARRAY(JSON '[{\"a\": 1}, {\"a\": 2}]') AS l), UNNEST(l) AS e)", "3"),
        ("JSON '''{\"a\": \"it's\"}'''.a", "JSON \"\\\"it's\\\"\""),
    ])
    .await;
    check_refused(&[
        ("STRING(JSON '1')", "not STRING"),
        ("JSON_REMOVE(JSON '{}', '$')", "cannot be '$'"),
        ("INT64_ARRAY(JSON '[\"x\"]')", "not INT64"),
        ("JSON_SET(JSON '{}', '$.a', 1, wrong => TRUE)", "wrong"),
    ])
    .await;
}

#[tokio::test]
async fn documents_are_read_once() {
    check(&[
        ("PARSE_JSON('{\"a\": 1, \"a\": 2}')", "JSON '{\"a\":1}'"),
        (
            "JSON_OBJECT(['a'], [STRUCT(1 AS z, 2 AS b)])",
            "JSON '{\"a\":{\"b\":2,\"z\":1}}'",
        ),
        (
            "JSON_STRIP_NULLS(JSON '{\"d\": [null], \"e\": []}', include_arrays => FALSE, remove_empty => TRUE)",
            "JSON '{\"d\":[null],\"e\":[]}'",
        ),
        ("JSON_VALUE_ARRAY('[\"a\", null]')", "[\"a\", NULL]"),
        ("CONTAINS_SUBSTR(JSON '{\"lunch\": \"soup\"}', 'LUNCH')", "false"),
        ("CONTAINS_SUBSTR(JSON '{\"lunch\": \"soup\"}', 'SOUP')", "true"),
        ("TO_JSON_STRING(TIMESTAMP '2020-01-01 00:00:00.5')", "'\"2020-01-01T00:00:00.500Z\"'"),
        ("TO_JSON_STRING(NUMERIC '1.5')", "'\"1.5\"'"),
        ("TO_JSON_STRING(INTERVAL '1-2 3 4:5:6.5' YEAR TO SECOND)", "'\"P1Y2M3DT4H5M6.5S\"'"),
    ])
    .await;
}

#[tokio::test]
async fn texts_of_json_are_looked_into_as_they_stand() {
    check(&[
        (
            "JSON_QUERY('{\"b\": {\"x\": 1, \"x\": 2.50}, \"a\": 1}', '$')",
            "'{\"b\":{\"x\":1,\"x\":2.50},\"a\":1}'",
        ),
        (
            "JSON_EXTRACT('[ 1 , {\"a\":1,\"a\":2} ]', '$[1]')",
            "'{\"a\":1,\"a\":2}'",
        ),
        ("JSON_VALUE('{\"a\": 1.50, \"a\": 2}', '$.a')", "\"1.50\""),
        (
            "JSON_VALUE('{\"hello\": \"world\"', '$.hello')",
            "\"world\"",
        ),
        (
            "JSON_VALUE('{\"b\": x, \"hello\": \"world\"}', '$.hello')",
            "NULL",
        ),
        (
            "JSON_QUERY_ARRAY('[1.0, {\"b\": 1, \"a\": 2}]')",
            "[\"1.0\", '{\"b\":1,\"a\":2}']",
        ),
        (
            "JSON_QUERY(JSON '{\"a\": {\"z\": 1, \"b\": 2}}', '$.a')",
            "JSON '{\"b\":2,\"z\":1}'",
        ),
        ("JSON_ARRAY_INSERT(JSON '[1, 2]', '$', 3)", "JSON \"[1,2]\""),
        (
            "JSON_ARRAY_INSERT(JSON '{\"a\": [1]}', '$.a', 3)",
            "JSON '{\"a\":[1]}'",
        ),
        ("JSON_ARRAY_INSERT(JSON '1', '$[0]', 3)", "JSON \"1\""),
        ("JSON_ARRAY_APPEND(JSON 'null', '$', 3)", "JSON \"[3]\""),
        (
            "JSON_ARRAY_APPEND(JSON '[1]', '$', 3, append_each_element => NULL)",
            "JSON \"[1]\"",
        ),
    ])
    .await;
}
