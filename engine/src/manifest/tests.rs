#![allow(clippy::unwrap_used)]

use arrow::datatypes::{DataType, Field};

use super::*;

fn shard(split: Split, unit: usize, rows: u64, content: &[u8]) -> ShardEntry {
    ShardEntry {
        path: shard_path(split, unit),
        split,
        unit,
        rows,
        bytes: content.len() as u64,
        crc32c: crc32c::crc32c(content),
    }
}

fn unit(index: usize, train: u64) -> UnitEntry {
    UnitEntry {
        index,
        name: format!("unit {index}"),
        rows: SplitRows {
            train,
            ..SplitRows::default()
        },
        filtered: 1,
    }
}

fn example() -> Manifest {
    let schema = Schema::new(vec![
        Field::new("i1", DataType::Float32, true),
        Field::new("id", DataType::Int64, false),
    ]);
    let shards = vec![
        shard(Split::Test, 0, 0, b"empty"),
        shard(Split::Train, 1, 3, b"second"),
        shard(Split::Train, 0, 2, b"first"),
    ];
    Manifest::new(&schema, vec![unit(1, 3), unit(0, 2)], shards)
}

#[test]
fn json_is_fixed_ordered_and_read_back() {
    let manifest = example();
    let json = manifest.to_json().unwrap();
    assert_eq!(Manifest::from_json(&json).unwrap(), manifest);
    assert_eq!(manifest.units[0].index, 0);
    let paths: Vec<_> = manifest
        .shards
        .iter()
        .map(|shard| shard.path.as_str())
        .collect();
    assert_eq!(
        paths,
        [
            "train/part-00000.parquet",
            "train/part-00001.parquet",
            "test/part-00000.parquet"
        ]
    );
    assert!(
        json.starts_with("{\n  \"format_version\": 1,\n  \"engine_version\": "),
        "{json}"
    );
    assert!(json.contains("\"type\": \"Float32\""), "{json}");
    assert!(json.contains("\"split\": \"train\""), "{json}");
    assert!(json.ends_with("}\n"), "{json}");
    assert_eq!(
        (manifest.rows(Split::Train), manifest.rows(Split::Val)),
        (5, 0)
    );
}

#[test]
fn verify_names_the_file_that_differs() {
    let place = tempfile::tempdir().unwrap();
    let manifest = example();
    fs::create_dir(place.path().join("train")).unwrap();
    fs::create_dir(place.path().join("test")).unwrap();
    let second = place.path().join("train/part-00001.parquet");
    fs::write(place.path().join("train/part-00000.parquet"), b"first").unwrap();
    fs::write(&second, b"second").unwrap();
    fs::write(place.path().join("test/part-00000.parquet"), b"empty").unwrap();
    manifest.verify(place.path()).unwrap();

    fs::write(&second, b"Second").unwrap();
    let flipped = manifest.verify(place.path()).unwrap_err();
    fs::write(&second, b"secon").unwrap();
    let cut = manifest.verify(place.path()).unwrap_err();
    fs::remove_file(&second).unwrap();
    let missing = manifest.verify(place.path()).unwrap_err();
    fs::create_dir(&second).unwrap();
    let replaced = manifest.verify(place.path()).unwrap_err();
    for (error, text) in [
        (flipped, "checksum"),
        (cut, "5 bytes"),
        (missing, "cannot read"),
        (replaced, "not a file"),
    ] {
        assert_eq!(error.kind(), ErrorKind::Manifest);
        assert!(
            error.to_string().contains("train/part-00001.parquet"),
            "{error}"
        );
        assert!(error.to_string().contains(text), "{error}");
    }
}

#[test]
fn contradictions_are_refused() {
    let altered = |change: fn(&mut Manifest)| {
        let mut manifest = example();
        change(&mut manifest);
        let error = Manifest::from_json(&manifest.to_json().unwrap()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Manifest);
        error.to_string()
    };
    assert!(altered(|m| m.shards[0].path = "../../etc/passwd".to_owned()).contains("etc/passwd"));
    assert!(altered(|m| m.shards[0].rows = 9).contains("5 train rows in units but 12 in shards"));
    assert!(altered(|m| m.shards[1] = m.shards[0].clone()).contains("twice"));
    assert!(altered(|m| m.format_version = 2).contains("format version 2"));
}

#[test]
fn other_shapes_are_refused_without_panic() {
    for json in [
        "",
        "[]",
        "{}",
        "{\"format_version\": 1}",
        "{\"format_version\": -1}",
        "null",
        "\u{0}",
    ] {
        assert_eq!(
            Manifest::from_json(json).unwrap_err().kind(),
            ErrorKind::Manifest,
            "{json}"
        );
    }
    // A later version is named as such even if nothing else is as expected.
    let later = Manifest::from_json("{\"format_version\": 7, \"tables\": []}").unwrap_err();
    assert!(later.to_string().contains("format version 7"), "{later}");
}
