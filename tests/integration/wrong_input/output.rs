//! Output directories that cannot be written to.

use super::*;

#[test]
fn output_directory_that_holds_something() {
    let bench = Bench::new();
    fs::create_dir(bench.out()).unwrap();
    fs::write(bench.out().join("mine.txt"), "mine").unwrap();
    bench.refuses(2, &["/out", "not empty"]);
}

#[test]
fn output_of_an_earlier_run() {
    let bench = Bench::new();
    assert_eq!(bench.run().code, Some(0));
    bench.refuses(2, &["out"]);
}

#[test]
fn output_that_is_a_file() {
    let bench = Bench::new();
    fs::write(bench.out(), "a file").unwrap();
    bench.refuses(2, &["out"]);
}

#[test]
fn output_below_a_file() {
    let bench = Bench::new();
    fs::write(bench.path("file"), "a file").unwrap();
    let below = bench.path("file/out");
    let mut bench = bench;
    bench.more = vec!["--out".to_owned(), text(&below).to_owned()];
    fs::write(bench.path("recipe.yaml"), &bench.recipe).unwrap();
    let mut command = millpond();
    command.args([
        "run",
        text(&bench.path("recipe.yaml")),
        "--source",
        &bench.source,
        "--out",
        text(&below),
    ]);
    let ended = wait(command.spawn().unwrap());
    assert!(
        matches!(ended.code, Some(2 | 11)),
        "{:?} {}",
        ended.code,
        ended.stderr
    );
    assert!(
        ended.stderr.starts_with("error: ") && ended.stderr.contains("file/out"),
        "{}",
        ended.stderr
    );
    assert_eq!(ended.stderr.lines().count(), 1);
    assert_eq!(fs::read(bench.path("file")).unwrap(), b"a file");
}

#[test]
fn an_empty_output_directory_stays_when_the_run_fails() {
    let bench = Bench::with_table(&orders(0, 1, 5));
    fs::create_dir(bench.out()).unwrap();
    bench.refuses(8, &["nothing can be learned"]);
    assert!(bench.out().is_dir());
}

#[test]
fn no_output_directory() {
    let bench = Bench::new();
    fs::write(bench.path("recipe.yaml"), &bench.recipe).unwrap();
    let mut command = millpond();
    command.args([
        "run",
        text(&bench.path("recipe.yaml")),
        "--source",
        &bench.source,
    ]);
    let ended = wait(command.spawn().unwrap());
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    assert!(
        ended.stderr.starts_with("error: ") && ended.stderr.contains("--out"),
        "{}",
        ended.stderr
    );
}
