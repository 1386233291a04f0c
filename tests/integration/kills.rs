//! Killed at any moment, a run is only late: the same command on the same directory ends with the same files.
//!
//! `MILLPOND_KILLS=200 cargo test --release -p millpond-cli --test integration kills` kills more often than the default;
//! `tests/harness/kill.sh` does the same to a run over millions of rows.

use std::fs;
use std::time::Instant;

use crate::bench::Bench;
use crate::command::{signal, spawn, wait};
use crate::rows::{ADDRESS, Draws, TABLE, orders, write_table};
use crate::served::Served;
use crate::tree::{assert_same, results, tree};

/// Kills when nothing else is asked for.
const KILLS: u64 = 24;
/// Kills of one directory; then a run may end.
const IN_A_ROW: u64 = 6;

/// Whether a run was killed only after everything was done, its own clearing up included.
fn is_finished(bench: &Bench) -> bool {
    bench.out().join("_SUCCESS").exists() && !bench.out().join(".millpond").exists()
}

/// Kills runs at moments drawn from a seed; each moment is some share of the time that a whole run takes.
fn survives_kills(bench: &Bench, seed: u64) {
    let began = Instant::now();
    let ended = bench.run();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let whole = began.elapsed();
    let clean = results(&bench.out());
    fs::remove_dir_all(bench.out()).unwrap();
    let wanted = std::env::var("MILLPOND_KILLS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(KILLS);
    let mut draws = Draws::new(seed);
    let (mut kills, mut midway) = (0, 0);
    while kills < wanted {
        for _ in 0..IN_A_ROW {
            let mut child = spawn(&mut bench.command());
            std::thread::sleep(whole.mul_f64(draws.unit()));
            if child.try_wait().unwrap().is_none() {
                signal(child.id(), "KILL");
            }
            let ended = wait(child);
            if ended.code.is_some() {
                assert_eq!(ended.code, Some(0), "{}", ended.stderr);
                break;
            }
            kills += 1;
            midway += u64::from(bench.out().exists());
            if is_finished(bench) {
                break;
            }
        }
        if !is_finished(bench) {
            let ended = bench.run();
            assert_eq!(ended.code, Some(0), "after {kills} kills: {}", ended.stderr);
        }
        assert_same(
            &clean,
            &results(&bench.out()),
            &format!("after {kills} kills, seed {seed}"),
        );
        fs::remove_dir_all(bench.out()).unwrap();
    }
    // What a killed run left is swept by the next one that starts.
    assert_eq!(bench.run().code, Some(0));
    let left = tree(&bench.path("temp"));
    assert!(left.is_empty(), "left behind: {:?}", left.keys());
    assert!(
        midway * 4 >= kills,
        "only {midway} of {kills} kills met a run at work"
    );
}

#[test]
fn files_read_again_give_the_same() {
    survives_kills(&Bench::with_table(&orders(4_000, 71, 30)), 1);
}

#[test]
fn a_table_of_the_service_gives_the_same() {
    let mut bench = Bench::new();
    write_table(&bench.path("data").join(TABLE), &orders(4_000, 72, 30));
    let served = Served::start(&bench.path("data"));
    // The recipe names the source, with a time: later runs have to read the table as it was for the first.
    bench.recipe = format!(
        "source: {{table: \"{ADDRESS}\", bigquery: {{snapshot_time: \"2026-03-01T11:00:00Z\"}}}}\n{}",
        bench.recipe
    );
    bench.source.clear();
    survives_kills(&bench.more(&["--emulator", &served.url]), 2);
}
