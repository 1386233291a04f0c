#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;
use crate::recipe::{Derivations, Names, SourceSpec};

const EXAMPLES: [(&str, &str); 4] = [
    ("clicks", include_str!("../../../../examples/clicks.yaml")),
    ("houses", include_str!("../../../../examples/houses.yaml")),
    ("churn", include_str!("../../../../examples/churn.yaml")),
    (
        "latest_orders",
        include_str!("../../../../examples/latest_orders.yaml"),
    ),
];

const SMALL: &str = "\
key: row_id
label: label
split: {hash: {columns: row_id}}
features:
  - columns: i*
    steps: [log1p]
  - columns: c1
    steps: [standard_scaler]
";

fn refusal(text: &str) -> String {
    let error = Recipe::from_yaml(text).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config, "{error}");
    let line = error.to_string();
    assert!(!line.contains('\n'), "more than one line: {line}");
    line
}

/// `SMALL` with one piece replaced; the piece must be there.
fn with(from: &str, to: &str) -> String {
    assert!(SMALL.contains(from), "{from}");
    SMALL.replacen(from, to, 1)
}

#[test]
fn examples_are_read_and_survive_writing() {
    for (name, text) in EXAMPLES {
        let recipe = Recipe::from_yaml(text).unwrap_or_else(|e| panic!("{name}: {e}"));
        let written = recipe.to_yaml().unwrap();
        let again =
            Recipe::from_yaml(&written).unwrap_or_else(|e| panic!("{name}: {e}\n{written}"));
        assert_eq!(
            serde_json::to_value(&recipe).unwrap(),
            serde_json::to_value(&again).unwrap(),
            "{name}"
        );
        assert_eq!(recipe.memory, again.memory, "{name}");
    }
}

#[test]
fn the_clicks_example_is_the_reference_job() {
    let recipe = Recipe::from_yaml(EXAMPLES[0].1).unwrap();
    assert!(recipe.source.is_none());
    assert_eq!(recipe.key, Names::from("row_id"));
    assert_eq!(recipe.label.as_deref(), Some("label"));
    assert_eq!(recipe.split.columns(), ["row_id"]);
    assert_eq!(recipe.features.len(), 2);
    assert_eq!(recipe.features[0].steps.len(), 4);
    assert_eq!(recipe.output.compression, "zstd(1)");
    assert_eq!(serde_json::to_value(recipe.dtype).unwrap(), "float32");
}

#[test]
fn derived_columns_keep_their_order() {
    let text = format!("{SMALL}derive:\n  z: a + 1\n  a2: z * 2\n  m: a2 - z\n");
    let recipe = Recipe::from_yaml(&text).unwrap();
    let names: Vec<_> = recipe.derive.iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["z", "a2", "m"]);
    let again = Recipe::from_yaml(&recipe.to_yaml().unwrap()).unwrap();
    assert_eq!(recipe.derive, again.derive);
}

#[test]
fn a_column_is_derived_once() {
    let twice = r#"{"a": "1", "b": "2", "a": "3"}"#;
    let error = serde_json::from_str::<Derivations>(twice).unwrap_err();
    assert!(
        error.to_string().contains("\"a\" is derived twice"),
        "{error}"
    );
    let line = refusal(&format!("{SMALL}derive:\n  a: b\n  a: c\n"));
    assert!(line.contains("line 11"), "{line}");
}

#[test]
fn names_that_look_like_booleans_stay_names() {
    let recipe = Recipe::from_yaml(&with("key: row_id", "key: [y, no, on]")).unwrap();
    assert_eq!(recipe.key, Names::from(["y", "no", "on"]));
    let written = recipe.to_yaml().unwrap();
    assert_eq!(
        Recipe::from_yaml(&written).unwrap().key,
        recipe.key,
        "{written}"
    );
}

#[test]
fn awkward_text_survives_writing() {
    let mut recipe = Recipe::from_yaml(SMALL).unwrap();
    recipe.filter = Some("name <> 'a: #b' AND x > 1\n  OR y = \"q\"".to_owned());
    recipe.drop = Names::from([
        "*_at", "1e3", "true", "null", "~", "- x", "ü", "a\tb", "&x", "007",
    ]);
    recipe.derive = Derivations(vec![("on".to_owned(), "'%d' || '\u{201c}'".to_owned())]);
    recipe.memory = Some(ByteSize::b(1_234_567_891));
    let written = recipe.to_yaml().unwrap();
    let again = Recipe::from_yaml(&written).unwrap_or_else(|e| panic!("{e}\n{written}"));
    assert_eq!(recipe.filter, again.filter);
    assert_eq!(recipe.drop, again.drop);
    assert_eq!(recipe.derive, again.derive);
    assert_eq!(recipe.memory, again.memory);
}

#[test]
fn syntax_errors_have_line_and_column() {
    let line = refusal("key: row_id\nlabel: [a\nsplit: {}\n");
    assert!(
        line.starts_with("YAML: ") && line.contains("line 3, column"),
        "{line}"
    );
    let line = refusal(&format!("{SMALL}label: other\n"));
    assert!(
        line.contains("label") && line.contains("line 9, column 1"),
        "{line}"
    );
}

#[test]
fn size_bombs_are_stopped() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let item = format!("*a{}", level - 1);
        text.push_str(&format!(
            "a{level}: &a{level} [{}]\n",
            [item.as_str(); 10].join(", ")
        ));
    }
    let line = refusal(&text);
    assert!(line.starts_with("YAML: "), "{line}");
    let deep = format!("key: {}x{}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(refusal(&deep).starts_with("YAML: "));
}

#[test]
fn empty_and_shapeless_texts_are_refused() {
    assert!(refusal("").contains("is empty"));
    assert!(refusal("# nothing\n").contains("is empty"));
    assert!(refusal("- a\n- b\n").contains("is a list"));
    assert!(refusal("just words").contains("is text"));
}

#[test]
fn unknown_keys_get_a_suggestion() {
    assert_eq!(
        refusal(&with("label:", "lable:")),
        "unknown key \"lable\", did you mean \"label\"?"
    );
    assert_eq!(
        refusal(&with("columns: i*", "colums: i*")),
        "features[0]: unknown key \"colums\", did you mean \"columns\"?"
    );
    assert_eq!(
        refusal(&format!("{SMALL}output: {{pth: x}}\n")),
        "output: unknown key \"pth\", did you mean \"path\"?"
    );
    let line = refusal(&format!("{SMALL}zzz: 1\n"));
    assert!(
        line.starts_with("unknown key \"zzz\", the keys known here are: source, where, derive"),
        "{line}"
    );
}

#[test]
fn unknown_steps_and_options_get_a_suggestion() {
    assert_eq!(
        refusal(&with("standard_scaler", "standardscaler")),
        "features[1].steps[0]: unknown step \"standardscaler\", did you mean \"standard_scaler\"?"
    );
    let line = refusal(&with(
        "standard_scaler",
        "{simple_imputer: {stratgy: mean}}",
    ));
    assert!(
        line.starts_with("features[1].steps[0]")
            && line.contains("stratgy")
            && line.contains("\"strategy\""),
        "{line}"
    );
}

#[test]
fn sources_are_told_apart_by_their_keys() {
    let source = |text: &str| format!("{SMALL}source: {text}\n");
    let read = |text: &str| Recipe::from_yaml(&source(text)).unwrap().source.unwrap();
    assert!(matches!(read("./a.parquet"), SourceSpec::Address(a) if a == "./a.parquet"));
    assert!(
        matches!(read("{table: a.csv, csv: {delimiter: ';'}}"), SourceSpec::Table(t) if t.csv.delimiter == ';')
    );
    assert!(matches!(
        read("{query: SELECT 1, tables: {}}"),
        SourceSpec::Query(_)
    ));
    assert_eq!(
        refusal(&source("{tabel: a.csv}")),
        "source: unknown key \"tabel\", did you mean \"table\"?"
    );
    assert_eq!(
        refusal(&source("{table: p.d.t, bigquery: {snapshot: x}}")),
        "source.bigquery: unknown key \"snapshot\", did you mean \"snapshot_time\"?"
    );
    assert_eq!(
        refusal(&source("{query: SELECT 1}")),
        "source: the key \"tables\" is missing"
    );
    assert!(refusal(&source("[a]")).starts_with("source: found a list, expected an address"));
}

#[test]
fn wrong_types_name_their_place() {
    let line = refusal(&with("columns: i*", "columns: 3"));
    assert!(
        line.starts_with("features[0].columns: found a number"),
        "{line}"
    );
    let line = refusal(&with("columns: i*", "columns: {typ: numeric}"));
    assert_eq!(
        line,
        "features[0].columns: unknown key \"typ\", did you mean \"type\"?"
    );
    let line = refusal(&with("columns: i*", "columns: {type: numbers}"));
    assert!(
        line.starts_with("features[0].columns.type: unknown value \"numbers\""),
        "{line}"
    );
    for (line, expected) in [
        (
            "limit: many",
            "limit: found string \"many\", expected a whole number, not below 0",
        ),
        (
            "source: {table: a.parquet, bigquery: eu}",
            "source.bigquery: found string \"eu\", expected a map",
        ),
    ] {
        let found = refusal(&format!("{SMALL}{line}\n"));
        assert!(found.starts_with(expected), "{found}");
    }
    let line = refusal("split: {hash: {columns: a, seed: x}}\nfeatures: []\n");
    assert!(
        line.starts_with("split.hash.seed: found string \"x\", expected a whole number"),
        "{line}"
    );
    let line = refusal(&format!("{SMALL}memory: lots\n"));
    assert!(
        line.starts_with("memory: ") && line.contains("such as 512MiB or 1GiB"),
        "{line}"
    );
}

#[test]
fn required_keys_are_named() {
    assert_eq!(refusal("features: []"), "the key \"split\" is missing");
    assert_eq!(
        refusal("split: {hash: {columns: a}}"),
        "the key \"features\" is missing"
    );
}

#[test]
fn roles_do_not_overlap() {
    assert_eq!(
        refusal(&with("key: row_id", "key: label")),
        "key: column \"label\" is already the recipe's label, a column has one role"
    );
    assert_eq!(
        refusal(&with("key: row_id", "key: [a, a]")),
        "key: column \"a\" is named twice"
    );
    assert!(refusal(&format!("{SMALL}weight: row_id\n")).starts_with("weight: column \"row_id\""));
    assert!(
        refusal(&format!("{SMALL}pass_through: [x, label]\n"))
            .starts_with("pass_through: column \"label\"")
    );
    assert!(refusal(&format!("{SMALL}drop: label\n")).starts_with("drop: column \"label\""));
}

#[test]
fn what_cannot_work_on_any_table_is_refused() {
    assert!(refusal("split: {hash: {columns: a}}\nfeatures: []\n").starts_with("features: "));
    assert!(refusal(&format!("{SMALL}where: ' '\n")).starts_with("where: "));
    assert!(refusal(&format!("{SMALL}derive: {{a: ''}}\n")).starts_with("derive.a: "));
    assert!(refusal(&format!("{SMALL}limit: 0\n")).starts_with("limit: 0 rows"));
    assert!(
        refusal(&with("columns: row_id", "columns: label")).starts_with("split: hashing the label")
    );
    let line = refusal(&with(
        "columns: row_id",
        "columns: row_id, ratios: {train: 0.8, val: 0.1, test: 0.2}",
    ));
    assert!(line.starts_with("split") && line.contains("1.1"), "{line}");
}

#[test]
fn files_are_named_in_errors() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("none.yaml");
    let error = Recipe::from_yaml_file(&missing).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains("none.yaml"), "{error}");

    let file = dir.path().join("r.yaml");
    std::fs::write(&file, with("label:", "lable:")).unwrap();
    let error = Recipe::from_yaml_file(&file).unwrap_err();
    assert!(
        error.to_string().contains("r.yaml: unknown key \"lable\""),
        "{error}"
    );

    std::fs::write(&file, [0xff, 0xfe, 0x00]).unwrap();
    assert!(
        Recipe::from_yaml_file(&file)
            .unwrap_err()
            .to_string()
            .contains("not UTF-8")
    );

    std::fs::File::create(&file)
        .unwrap()
        .set_len(MAX_FILE_BYTES + 1)
        .unwrap();
    assert!(
        Recipe::from_yaml_file(&file)
            .unwrap_err()
            .to_string()
            .contains("bytes")
    );
    assert!(
        Recipe::from_yaml_file(dir.path())
            .unwrap_err()
            .to_string()
            .contains("directory")
    );
}

#[test]
fn sizes_are_written_exactly() {
    assert_eq!(exact_size(ByteSize::gib(1)), "1GiB");
    assert_eq!(exact_size(ByteSize::mib(1536)), "1536MiB");
    assert_eq!(exact_size(ByteSize::b(1_000_000)), "1000000B");
    assert_eq!(exact_size(ByteSize::b(0)), "0B");
    for bytes in [0, 1, 1023, 1024, 1_234_567_891, 3 << 40, u64::MAX] {
        let text = exact_size(ByteSize::b(bytes));
        assert_eq!(text.parse::<ByteSize>().unwrap().as_u64(), bytes, "{text}");
    }
}

/// Every key of every example must be known to the schema, at every depth the schema describes.
#[test]
fn the_schema_knows_the_examples() {
    let schema = Recipe::json_schema();
    for (name, text) in EXAMPLES {
        let value = parse(text).unwrap();
        let problems = conforms(&schema, &schema, &value, name);
        assert!(problems.is_ok(), "{problems:?}");
    }
    let wrong = parse(&with("label:", "lable:")).unwrap();
    assert!(conforms(&schema, &schema, &wrong, "wrong").is_err());
    let wrong = parse(&with("standard_scaler", "standardscaler")).unwrap();
    assert!(conforms(&schema, &schema, &wrong, "wrong").is_err());
}

#[test]
fn the_schema_teaches() {
    let schema = Recipe::json_schema();
    let keys = schema["properties"].as_object().unwrap();
    for (key, property) in keys {
        let described = property.get("description").is_some() || property.get("$ref").is_some();
        assert!(described, "{key} has no description: {property}");
    }
    assert_eq!(schema["additionalProperties"], false);
    assert_eq!(schema["title"], "Millpond recipe");
}

/// The part of JSON schema that the recipe's schema uses, enough to tell a fitting value from another.
fn conforms(root: &Value, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
    if schema == &Value::Bool(true) {
        return Ok(());
    }
    if let Some(target) = schema.get("$ref").and_then(Value::as_str) {
        let pointer = target.strip_prefix('#').unwrap();
        let found = root
            .pointer(pointer)
            .unwrap_or_else(|| panic!("{target} is not in the schema"));
        conforms(root, found, value, at)?;
    }
    for any in ["anyOf", "oneOf"] {
        if let Some(options) = schema.get(any).and_then(Value::as_array) {
            let failures: Vec<_> = options
                .iter()
                .filter_map(|o| conforms(root, o, value, at).err())
                .collect();
            if failures.len() == options.len() {
                return Err(format!("{at}: no alternative fits: {failures:?}"));
            }
        }
    }
    if let Some(kinds) = schema.get("type") {
        let kinds: Vec<&str> = kinds.as_array().map_or_else(
            || vec![kinds.as_str().unwrap()],
            |all| all.iter().map(|k| k.as_str().unwrap()).collect(),
        );
        let fits = kinds.iter().any(|kind| match *kind {
            "string" => value.is_string(),
            "number" => value.is_number(),
            "integer" => value.is_u64() || value.is_i64(),
            "boolean" => value.is_boolean(),
            "array" => value.is_array(),
            "object" => value.is_object(),
            "null" => value.is_null(),
            other => panic!("unknown type {other}"),
        });
        if !fits {
            return Err(format!("{at}: {value} is not of type {kinds:?}"));
        }
    }
    if let Some(constant) = schema.get("const")
        && constant != value
    {
        return Err(format!("{at}: {value} is not {constant}"));
    }
    if let Some(allowed) = schema.get("enum").and_then(Value::as_array)
        && !allowed.contains(value)
    {
        return Err(format!("{at}: {value} is not among {allowed:?}"));
    }
    if let Value::Object(keys) = value {
        let known = schema.get("properties").and_then(Value::as_object);
        for (key, inner) in keys {
            let at = format!("{at}.{key}");
            match (
                known.and_then(|k| k.get(key)),
                schema.get("additionalProperties"),
            ) {
                (Some(property), _) => conforms(root, property, inner, &at)?,
                (None, Some(Value::Bool(false))) => return Err(format!("{at}: unknown key")),
                (None, Some(rest)) => conforms(root, rest, inner, &at)?,
                (None, None) => {}
            }
        }
        for key in schema
            .get("required")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            if !keys.contains_key(key.as_str().unwrap()) {
                return Err(format!("{at}: {key} is missing"));
            }
        }
    }
    if let (Value::Array(items), Some(each)) = (value, schema.get("items")) {
        for (index, item) in items.iter().enumerate() {
            conforms(root, each, item, &format!("{at}[{index}]"))?;
        }
    }
    Ok(())
}
