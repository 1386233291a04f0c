#![allow(clippy::unwrap_used)]
use super::*;

fn put(buckets: &Buckets, bucket: &str, name: &str, bytes: &[u8]) {
    let mut object = buckets.begin(bucket, name).unwrap();
    object.write_all(bytes).unwrap();
    object.finish().unwrap();
}

fn names(objects: io::Result<Vec<Object>>) -> Vec<String> {
    objects.unwrap().into_iter().map(|o| o.name).collect()
}

#[test]
fn objects_are_listed_by_prefix_and_found_by_one_star() {
    let root = tempfile::tempdir().unwrap();
    let buckets = Buckets::new(root.path().join("buckets"));
    assert_eq!(buckets.all().unwrap(), Vec::<String>::new());
    assert!(buckets.make("b").unwrap());
    assert!(!buckets.make("b").unwrap());
    for name in ["a/2.csv", "a/1.csv", "a/b/3.csv", "ab.csv", "a/1.json"] {
        put(&buckets, "b", name, b"x");
    }
    assert_eq!(buckets.all().unwrap(), ["b"]);
    let all = ["a/1.csv", "a/1.json", "a/2.csv", "a/b/3.csv", "ab.csv"];
    assert_eq!(names(buckets.objects("b", "")), all);
    assert_eq!(names(buckets.objects("b", "a/b")), ["a/b/3.csv"]);
    assert_eq!(names(buckets.objects("b", "a/1")), ["a/1.csv", "a/1.json"]);
    let matching = |uri| names(buckets.matching(uri));
    assert_eq!(matching("gs://b/a/1.csv"), ["a/1.csv"]);
    assert_eq!(
        matching("gs://b/a/*.csv"),
        ["a/1.csv", "a/2.csv", "a/b/3.csv"]
    );
    assert_eq!(matching("gs://b/*"), all);
    for nothing in [
        "gs://b/a",
        "gs://b/",
        "gs://b",
        "gs://other/*",
        "b/a",
        "gs://b/a/1.csv/x",
    ] {
        assert_eq!(matching(nothing), Vec::<String>::new(), "{nothing}");
    }
}

#[test]
fn nothing_outside_of_a_bucket_has_a_path() {
    let buckets = Buckets::new(PathBuf::from("/buckets"));
    let path = |bucket, name| buckets.path(bucket, name);
    assert_eq!(
        path("b", "a/c.csv"),
        Some(PathBuf::from("/buckets/b/a/c.csv"))
    );
    for (bucket, name) in [
        ("b", "../c"),
        ("b", "a/../../c"),
        ("b", "/etc/passwd"),
        ("b", "a//c"),
        ("b", "a/"),
        ("b", "a\\c"),
        ("b", ".part-1-1"),
        ("..", "c"),
        (".b", "c"),
        ("b/c", "d"),
        ("", "c"),
    ] {
        assert_eq!(path(bucket, name), None, "{bucket} {name}");
    }
}

#[test]
fn an_object_is_there_as_a_whole_or_not_at_all() {
    let root = tempfile::tempdir().unwrap();
    let buckets = Buckets::new(root.path().to_owned());
    let missing = buckets.begin("b", "x").unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NotFound);
    buckets.make("b").unwrap();
    let mut half = buckets.begin("b", "x").unwrap();
    half.write_all(b"half").unwrap();
    assert_eq!(names(buckets.objects("b", "")), Vec::<String>::new());
    drop(half);
    assert_eq!(fs::read_dir(root.path().join("b")).unwrap().count(), 0);
    put(&buckets, "b", "d/x", b"first");
    put(&buckets, "b", "d/x", b"second");
    let object = buckets.object("b", "d/x").unwrap().unwrap();
    assert_eq!((object.len, object.uri().as_str()), (6, "gs://b/d/x"));
    let kept = buckets.remove_bucket("b").unwrap_err();
    assert_eq!(kept.kind(), ErrorKind::DirectoryNotEmpty);
    assert!(buckets.remove("b", "d/x").unwrap());
    assert!(!buckets.remove("b", "d/x").unwrap());
    assert!(!root.path().join("b/d").exists());
    buckets.remove_bucket("b").unwrap();
    assert!(!buckets.has("b"));
}
