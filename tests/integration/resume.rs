//! A run that dies goes on where it was: the same bytes come out, and nothing that was finished is read again.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use millpond_emulator::{Code, FaultAction, FaultScript, FaultTarget, LoggedCall};
use serde_json::Value;

use crate::command::{Ended, millpond, signal, text, wait};
use crate::rows::{ADDRESS, Draws, RECIPE, TABLE, orders, write_file, write_table};
use crate::served::Served;
use crate::tree::{assert_same, results, tree};

/// Rows of the table; a run takes a second or two.
const ROWS: usize = 24_000;

/// A table, a recipe, and an emulator that serves the table in eight streams.
struct Bench {
    place: tempfile::TempDir,
    served: Served,
    source: &'static [&'static str],
}

/// The recipe's own source, in ranges of the key.
const RANGES: &str = "
source:
  table: bigquery://proj.shop.orders
  bigquery: {work_units: {column: id, at: ['4000', '9000', '9500', '16000', '21000']}}
";

impl Bench {
    fn new(faults: FaultScript) -> Self {
        Self::serving(|data| Served::start_cut(data, 8, 32 << 10, faults))
    }

    /// As [`new`](Self::new), with the recipe's source in ranges, and sessions that live so long.
    fn in_ranges(life: Duration, faults: FaultScript) -> Self {
        let mut bench = Self::with_life(life, faults);
        bench.source = &[];
        fs::write(
            bench.place.path().join("recipe.yaml"),
            format!("{RANGES}{RECIPE}"),
        )
        .unwrap();
        bench
    }

    /// As [`new`](Self::new), with sessions that live so long.
    fn with_life(life: Duration, faults: FaultScript) -> Self {
        Self::serving(|data| Served::start_living(data, life, faults))
    }

    fn serving(serve: impl FnOnce(&Path) -> Served) -> Self {
        let place = tempfile::tempdir().unwrap();
        let data = place.path().join("data");
        write_table(&data.join(TABLE), &orders(ROWS, 11, 40));
        fs::create_dir(place.path().join("temp")).unwrap();
        fs::write(place.path().join("recipe.yaml"), RECIPE).unwrap();
        let served = serve(&data);
        Self {
            place,
            served,
            source: &["--source", ADDRESS],
        }
    }

    fn out(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    /// The command that runs the recipe into `out`, its checkpoints close together.
    fn command(&self, out: &str, more: &[&str]) -> std::process::Command {
        let mut command = millpond();
        command
            .arg("run")
            .arg(self.place.path().join("recipe.yaml"))
            .args(self.source)
            .args(["--emulator", &self.served.url])
            .arg("--out")
            .arg(self.out(out))
            .arg("--temp-dir")
            .arg(self.place.path().join("temp"))
            .args(["--quiet", "--checkpoint", "100KiB", "--slots", "2"])
            .args(more);
        command
    }

    fn run(&self, out: &str, more: &[&str]) -> Ended {
        wait(self.command(out, more).spawn().unwrap())
    }

    fn succeed(&self, out: &str) -> BTreeMap<String, Vec<u8>> {
        let ended = self.run(out, &[]);
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        results(&self.out(out))
    }

    fn report(&self, out: &str) -> Value {
        serde_json::from_slice(&fs::read(self.out(out).join("report.json")).unwrap()).unwrap()
    }
}

/// What the journal of an unfinished run says is finished: by stream name, rows received and whether they are all.
fn finished(out: &Path) -> BTreeMap<String, (u64, bool)> {
    let Ok(journal) = fs::read_to_string(out.join(".millpond/journal")) else {
        return BTreeMap::new();
    };
    let records: Vec<Value> = journal
        .lines()
        .filter_map(|line| serde_json::from_str(line.get(18..)?).ok())
        .collect();
    let mut streams: Vec<String> = Vec::new();
    let mut rows: BTreeMap<String, (u64, bool)> = BTreeMap::new();
    for record in records {
        let unit = record["unit"].as_u64().unwrap_or(0) as usize;
        match record["record"].as_str().unwrap() {
            "scan" => {
                streams =
                    serde_json::from_value(record["token"]["session"]["streams"].clone()).unwrap();
            }
            "rows" => {
                rows.entry(streams[unit].clone()).or_default().0 +=
                    record["delivered"].as_u64().unwrap();
            }
            "read" => rows.entry(streams[unit].clone()).or_default().1 = true,
            _ => {}
        }
    }
    rows
}

/// Fails when `calls` ask for rows that were finished before.
fn assert_not_read_again(calls: &[LoggedCall], before: &BTreeMap<String, (u64, bool)>) {
    for call in calls {
        let LoggedCall::ReadRows { stream, offset, .. } = call else {
            continue;
        };
        if let Some((rows, all)) = before.get(stream) {
            assert!(!all, "{stream} was read again from {offset}");
            assert!(
                offset >= rows,
                "{stream} was read again from {offset} when {rows} rows were finished"
            );
        }
    }
}

#[test]
fn killed_again_and_again_it_ends_with_the_same_bytes() {
    let bench = Bench::new(FaultScript::new());
    let clean = bench.succeed("clean");
    let began = Instant::now();
    bench.succeed("timed");
    let whole = began.elapsed();
    let mut draws = Draws::new(99);
    let (mut kills, mut kept) = (0, 0);
    loop {
        let before = finished(&bench.out("killed"));
        kept += usize::from(!before.is_empty());
        let seen = bench.served.requests().len();
        let child = bench.command("killed", &[]).spawn().unwrap();
        // Anywhere in a run; towards the end more often than evenly, so that the loop gets there.
        let moment = whole.mul_f64(draws.unit().sqrt() * 1.2);
        std::thread::sleep(moment);
        signal(child.id(), "KILL");
        let ended = wait(child);
        assert_not_read_again(&bench.served.requests()[seen..], &before);
        if ended.code == Some(0) {
            break;
        }
        assert_eq!(ended.code, None, "{}", ended.stderr);
        kills += 1;
        assert!(kills < 200, "the run never ended");
        if kills % 3 == 0 {
            // What a reader sees meanwhile.
            let seen: Vec<_> = tree(&bench.out("killed"))
                .into_keys()
                .filter(|name| !name.starts_with(".millpond/"))
                .collect();
            assert!(
                seen.is_empty() || seen.contains(&"_SUCCESS".to_owned()),
                "{seen:?}"
            );
        }
        if bench.out("killed/_SUCCESS").exists() {
            break;
        }
    }
    assert!(
        kills > 0 && kept > 0,
        "{kills} kills, {kept} with work kept"
    );
    assert_same(&results(&bench.out("killed")), &clean, "after kills");
}

#[test]
fn what_was_read_before_a_failure_is_not_read_again() {
    // Every stream is refused once, half-way through its rows.
    let denied = FaultAction::abort(Code::PermissionDenied, "revoked for now");
    let bench = Bench::new(FaultScript::new().fault(FaultTarget::AnyStream, 6, 1, denied));
    let mut failures = 0;
    loop {
        let before = finished(&bench.out("out"));
        let seen = bench.served.requests().len();
        let ended = bench.run("out", &[]);
        assert_not_read_again(&bench.served.requests()[seen..], &before);
        if ended.code == Some(0) {
            break;
        }
        assert_eq!(ended.code, Some(3), "{}", ended.stderr);
        assert!(
            ended.stderr.contains("what is finished is kept in"),
            "{}",
            ended.stderr
        );
        assert!(ended.stderr.contains("revoked for now"), "{}", ended.stderr);
        failures += 1;
        assert!(failures <= 8, "more failures than there are streams");
        assert!(!finished(&bench.out("out")).is_empty());
    }
    assert!(failures > 1, "{failures}");
    assert!(bench.report("out")["resumed_units_read"].as_u64() > Some(0));
    let clean = Bench::new(FaultScript::new()).succeed("clean");
    assert_same(&results(&bench.out("out")), &clean, "after failures");
    let temp = tree(&bench.place.path().join("temp"));
    assert!(temp.is_empty(), "{:?}", temp.keys());
}

/// Waits until the journal has this many records of a kind.
fn wait_for(bench: &Bench, out: &str, records: usize, kind: &str) {
    let journal = bench.out(out).join(".millpond/journal");
    let kind = format!("\"record\":\"{kind}\"");
    let began = Instant::now();
    while !fs::read_to_string(&journal).is_ok_and(|j| j.matches(&kind).count() >= records) {
        assert!(began.elapsed() < Duration::from_secs(60), "no {kind} yet");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Starts a run and kills it as soon as the journal has this many records of a kind.
fn kill_after(bench: &Bench, out: &str, records: usize, kind: &str) {
    let child = bench.command(out, &[]).spawn().unwrap();
    wait_for(bench, out, records, kind);
    signal(child.id(), "KILL");
    assert_eq!(wait(child).code, None, "the run ended before it was killed");
}

#[test]
fn ranges_go_on_after_their_sessions_have_ended() {
    let long = Duration::from_secs(6 * 3600);
    let clean = Bench::in_ranges(long, FaultScript::new()).succeed("clean");
    let life = Duration::from_secs(4);
    let bench = Bench::in_ranges(life, FaultScript::new());
    kill_after(&bench, "out", 2, "read");
    std::thread::sleep(life);
    let seen = bench.served.requests().len();
    assert_same(
        &bench.succeed("out"),
        &clean,
        "after the end of the sessions",
    );
    let again = bench.served.requests()[seen..]
        .iter()
        .filter(|call| matches!(call, LoggedCall::ReadRows { .. }))
        .count();
    let taken_over = bench.report("out")["resumed_units_read"].as_u64().unwrap();
    assert!(taken_over >= 2, "{taken_over}");
    assert!(
        again as u64 <= 6 - taken_over,
        "{again} reads of {taken_over} finished ranges"
    );
}

#[test]
fn ranges_go_on_when_a_session_ends_under_them() {
    let long = Duration::from_secs(6 * 3600);
    let clean = Bench::in_ranges(long, FaultScript::new()).succeed("clean");
    // A machine that sleeps for longer than a session lives, in the middle of a range.
    let life = Duration::from_secs(3);
    let cut = FaultAction::abort(Code::Unavailable, "the connection slept, too");
    let faults = FaultScript::new().fault(FaultTarget::AnyStream, 7, 1, cut);
    let bench = Bench::in_ranges(life, faults);
    let child = bench.command("out", &[]).spawn().unwrap();
    wait_for(&bench, "out", 1, "rows");
    signal(child.id(), "STOP");
    std::thread::sleep(life + Duration::from_secs(2));
    signal(child.id(), "CONT");
    let ended = wait(child);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let sessions = bench
        .served
        .requests()
        .iter()
        .filter(|call| matches!(call, LoggedCall::CreateReadSession { .. }))
        .count();
    // Two for the table in each attempt, one per range, and one more for a range that began anew.
    assert!(sessions > 2 + 6 + 2, "{sessions} sessions: none has ended");
    assert_same(&results(&bench.out("out")), &clean, "after a sleep");
}

#[test]
fn one_session_that_has_ended_cannot_go_on_and_says_what_to_do() {
    let life = Duration::from_secs(4);
    let bench = Bench::with_life(life, FaultScript::new());
    kill_after(&bench, "out", 2, "rows");
    std::thread::sleep(life);
    let refused = bench.run("out", &[]);
    assert_eq!(refused.code, Some(5), "{}", refused.stderr);
    for text in ["expired", "--restart", "work_units"] {
        assert!(refused.stderr.contains(text), "{}", refused.stderr);
    }
    let ended = bench.run("out", &["--restart"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
}

#[test]
fn another_recipe_is_refused_with_the_difference() {
    let bench = Bench::new(FaultScript::new());
    let clean = bench.succeed("clean");
    kill_after(&bench, "out", 1, "rows");
    let kept = finished(&bench.out("out"));
    let recipe = bench.place.path().join("recipe.yaml");
    fs::write(&recipe, RECIPE.replace("items < 60", "items < 50")).unwrap();
    let refused = bench.run("out", &[]);
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    assert!(
        refused.stderr.contains("recipe.where") && refused.stderr.contains("--restart"),
        "{}",
        refused.stderr
    );
    assert_eq!(finished(&bench.out("out")), kept);
    fs::write(&recipe, RECIPE).unwrap();
    let went_on = bench.succeed("out");
    assert_same(&went_on, &clean, "gone on");
    // Told to start over, it does.
    kill_after(&bench, "again", 1, "rows");
    let restarted = bench.run("again", &["--restart"]);
    assert_eq!(restarted.code, Some(0), "{}", restarted.stderr);
    assert_eq!(bench.report("again")["resumed_units_read"], 0);
    assert_same(&results(&bench.out("again")), &clean, "started over");
}

#[test]
fn shards_from_files_are_not_written_again() {
    let place = tempfile::tempdir().unwrap();
    let first = place.path().join("rows/part-00000.parquet");
    write_file(&first, &orders(20_000, 2, 30));
    for number in 1..12 {
        let name = format!("part-{number:05}.parquet");
        fs::hard_link(&first, first.with_file_name(name)).unwrap();
    }
    let recipe = place.path().join("recipe.yaml");
    fs::write(
        &recipe,
        "{key: id, split: {hash: {columns: id}}, features: [{columns: amount, steps: [standard_scaler]}, {columns: note}]}",
    )
    .unwrap();
    let source = format!("{}/*.parquet", place.path().join("rows").display());
    let command = |out: &Path| {
        let mut command = millpond();
        command.args([
            "run",
            text(&recipe),
            "--source",
            &source,
            "--out",
            text(out),
        ]);
        command.args(["--quiet", "--slots", "1"]);
        command
    };
    let clean = place.path().join("clean");
    assert_eq!(wait(command(&clean).spawn().unwrap()).code, Some(0));
    let out = place.path().join("out");
    let child = command(&out).spawn().unwrap();
    let journal = out.join(".millpond/journal");
    let began = Instant::now();
    while !fs::read_to_string(&journal).is_ok_and(|j| j.matches("\"written\"").count() > 2) {
        assert!(
            began.elapsed() < Duration::from_secs(60),
            "nothing written yet"
        );
        std::thread::sleep(Duration::from_millis(2));
    }
    signal(child.id(), "TERM");
    let ended = wait(child);
    assert_eq!(ended.code, Some(143), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("what is finished is kept in"),
        "{}",
        ended.stderr
    );
    assert!(!out.join("train").exists());
    let ended = wait(command(&out).spawn().unwrap());
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let report: Value =
        serde_json::from_slice(&fs::read(out.join("report.json")).unwrap()).unwrap();
    assert!(
        report["resumed_units_written"].as_u64().unwrap() > 2,
        "{report}"
    );
    assert_same(&results(&out), &results(&clean), "gone on");
}
