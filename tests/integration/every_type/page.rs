//! The table of `docs/types.md`, made from what happens and compared with what is written there.

use super::*;

/// A type, and how its values are compared and what type arrives.
struct Kind {
    name: &'static str,
    column: &'static str,
    arrives: &'static str,
    /// A comparison of every row with a literal.
    condition: &'static str,
    /// What the advice to a numeric step holds.
    advice: &'static str,
}

const fn kind(
    name: &'static str,
    column: &'static str,
    arrives: &'static str,
    condition: &'static str,
    advice: &'static str,
) -> Kind {
    Kind {
        name,
        column,
        arrives,
        condition,
        advice,
    }
}

const KINDS: [Kind; 23] = [
    kind("INT64", "int64", "Int64", "int64 > 0", ""),
    kind("FLOAT64", "float64", "Float64", "float64 > 0", ""),
    kind("BOOL", "bool", "Boolean", "bool = TRUE", ""),
    kind("STRING", "string", "Utf8", "string > 'a'", "an encoder"),
    kind(
        "BYTES",
        "bytes",
        "Binary",
        "hex(bytes) > '00'",
        "BYTES column: derive its length, byte_length(bytes), or its text, hex(bytes)",
    ),
    kind(
        "DATE",
        "date",
        "Date32",
        "date > DATE '1970-01-01'",
        "date_parts",
    ),
    kind(
        "TIME",
        "time",
        "Time64(µs)",
        "date_part('hour', time) > 1",
        "TIME column: derive parts of it, such as date_part('hour', time)",
    ),
    kind(
        "DATETIME",
        "datetime",
        "Timestamp(µs)",
        "datetime > TIMESTAMP '1970-01-01'",
        "date_parts",
    ),
    kind(
        "TIMESTAMP",
        "timestamp",
        "Timestamp(µs, \"UTC\")",
        "timestamp > TIMESTAMP '1970-01-01T00:00:00Z'",
        "date_parts",
    ),
    kind("NUMERIC", "numeric", "Decimal128(38, 9)", "numeric > 0", ""),
    kind(
        "NUMERIC(10, 2)",
        "numeric_10_2",
        "Decimal128(10, 2)",
        "numeric_10_2 > 0",
        "",
    ),
    kind(
        "BIGNUMERIC",
        "bignumeric",
        "Decimal256(76, 38)",
        "bignumeric > 0",
        "",
    ),
    kind(
        "JSON",
        "json",
        "Utf8",
        "json_value(json, '$.n') = 'x'",
        "JSON column: derive a value of it, such as CAST(json_value(json, '$.name') AS DOUBLE)",
    ),
    kind(
        "GEOGRAPHY",
        "geography",
        "Utf8",
        "geography LIKE 'POINT%'",
        "an encoder",
    ),
    kind(
        "INTERVAL",
        "wait",
        "Interval(MonthDayNano)",
        "date_part('day', wait) > 0",
        "INTERVAL column: months have no fixed length",
    ),
    kind(
        "RANGE<DATE>",
        "range_date",
        "Struct",
        "range_date.start > DATE '1970-01-01'",
        "RANGE<DATE> column: name what is inside of it, such as range_date.start",
    ),
    kind(
        "RANGE<DATETIME>",
        "range_datetime",
        "Struct",
        "range_datetime.end > TIMESTAMP '1970-01-01'",
        "RANGE<DATETIME> column",
    ),
    kind(
        "RANGE<TIMESTAMP>",
        "range_timestamp",
        "Struct",
        "range_timestamp.start IS NULL",
        "RANGE<TIMESTAMP> column",
    ),
    kind(
        "ARRAY<INT64>",
        "numbers",
        "List",
        "array_length(numbers) > 1",
        "ARRAY<INT64> column: derive a number or an element, such as array_length(numbers) or numbers[1]",
    ),
    kind(
        "ARRAY<STRUCT>",
        "items",
        "List",
        "items[1]['sku'] = 'a'",
        "ARRAY<STRUCT<sku STRING, price NUMERIC>> column",
    ),
    kind(
        "STRUCT",
        "user",
        "Struct",
        "array_length(user.tags) > 0",
        "column: name what is inside of it, such as user.age",
    ),
    kind("INT64 in a STRUCT", "user.age", "Int64", "user.age > 5", ""),
    kind(
        "STRING in a STRUCT",
        "user.geo.country",
        "Utf8",
        "user.geo.country = 'de'",
        "an encoder",
    ),
];

/// Whether a plan is made; refusals must be those of a wrong type that name the column.
fn works(every: &Every, kind: &Kind, recipe: &str, advice: &str) -> bool {
    match every.plan(recipe) {
        Ok(_) => true,
        Err(error) => {
            let told = format!("{error}");
            assert_eq!(error.kind(), ErrorKind::Schema, "{}: {told}", kind.name);
            assert!(told.contains(kind.column), "{}: {told}", kind.name);
            assert!(
                told.contains(advice),
                "{}: no `{advice}` in: {told}",
                kind.name
            );
            false
        }
    }
}

/// The row of the documented table, from what happens.
fn row(every: &Every, kind: &Kind) -> String {
    let column = kind.column;
    let yes = |works: bool, word: &str| {
        if works {
            word.to_owned()
        } else {
            "—".to_owned()
        }
    };
    let feature = |step: &str, advice: &str| {
        let recipe =
            format!("key: id\n{SPLIT}features: [{{columns: [\"{column}\"], steps: [{step}]}}]\n");
        works(every, kind, &recipe, advice)
    };
    let mut features = Vec::new();
    if feature("standard_scaler", kind.advice) {
        features.push("numbers");
    }
    if feature("ordinal_encoder", "") {
        features.push("categories");
    }
    if feature("date_parts", "") {
        features.push("`date_parts`");
    }
    let features = if features.is_empty() {
        "—".to_owned()
    } else {
        features.join(", ")
    };
    let carried = works(every, kind, &carrying(&[column]), "INTERVAL");
    let split = |spec: &str| {
        let recipe = format!(
            "key: id\nsplit: {spec}\nfeatures: [{{columns: part, steps: [standard_scaler]}}]\n"
        );
        works(every, kind, &recipe, "")
    };
    let mut splits = Vec::new();
    if split(&format!("{{hash: {{columns: \"{column}\"}}}}")) {
        splits.push("hash");
    }
    if split(&format!(
        "{{time: {{column: \"{column}\", val_from: \"2020-01-01\", test_from: \"2021-01-01\"}}}}"
    )) {
        splits.push("time");
    }
    if split(&format!(
        "{{column: {{column: \"{column}\", train: 0, val: 1, test: 2}}}}"
    )) {
        splits.push("column");
    }
    let splits = if splits.is_empty() {
        "—".to_owned()
    } else {
        splits.join(", ")
    };
    let condition = kind.condition;
    let filtered = every.plan(&format!("where: \"{condition}\"\nkey: id\n{SPLIT}features: [{{columns: part, steps: [standard_scaler]}}]\n"));
    let place = match filtered
        .as_ref()
        .map(|p| (p.row_restriction.is_some(), p.filters_locally))
    {
        Ok((true, false)) => "BigQuery".to_owned(),
        Ok((false, true)) => "here".to_owned(),
        other => format!("{other:?}"),
    };
    format!(
        "| `{}` | `{}` | {features} | {} | {splits} | `{}`: {place} |",
        kind.name,
        kind.arrives,
        yes(carried, "yes"),
        kind.condition
    )
}

#[test]
fn the_documented_table_is_what_happens() {
    let every = Every::new();
    let sent = table::batch();
    for kind in &KINDS {
        if let Some(column) = sent.column_by_name(kind.column)
            && kind.column != "wait"
        {
            let told = column.data_type().to_string();
            assert!(told.starts_with(kind.arrives), "{}: {told}", kind.name);
        }
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/types.md");
    let page = fs::read_to_string(path).unwrap();
    let rows: Vec<String> = KINDS.iter().map(|kind| row(&every, kind)).collect();
    let missing: Vec<&String> = rows
        .iter()
        .filter(|row| !page.lines().any(|line| line == *row))
        .collect();
    assert!(
        missing.is_empty(),
        "docs/types.md lacks these rows:\n{}",
        rows.join("\n")
    );
}
