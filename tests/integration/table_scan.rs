//! A program reads a table without a job: from files and from BigQuery, every row once, through faults, within its bytes.

use std::path::Path;

use arrow::array::RecordBatch;
use futures::TryStreamExt;
use millpond::{ByteSize, ErrorKind, ScanOptions, Source, TableScan};
use millpond_emulator::{Code, FaultAction, FaultScript, FaultTarget};
use tokio::runtime::Runtime;

use crate::rows::{ids, orders, write_table};
use crate::served::Served;

/// All rows, the units side by side.
fn read(source: Source, options: ScanOptions) -> Result<(Vec<RecordBatch>, u64), millpond::Error> {
    Runtime::new().unwrap().block_on(async {
        let scan = TableScan::open(source, options).await?;
        let mut units = tokio::task::JoinSet::new();
        for unit in 0..scan.units().len() {
            units.spawn(scan.read(unit)?.try_collect::<Vec<_>>());
        }
        let mut batches = Vec::new();
        while let Some(unit) = units.join_next().await {
            batches.extend(unit.unwrap()?);
        }
        for batch in &batches {
            assert_eq!(batch.schema(), scan.schema());
        }
        Ok((batches, scan.retries()))
    })
}

fn sorted_ids(batches: &[RecordBatch]) -> Vec<i64> {
    let mut ids: Vec<i64> = batches.iter().flat_map(ids).collect();
    ids.sort_unstable();
    ids
}

fn served_orders(place: &Path, faults: FaultScript) -> Served {
    write_table(&place.join("p/d/orders"), &orders(3_000, 33, 10));
    Served::start_with(place, faults)
}

#[test]
fn files_are_read_once_and_only_the_columns_asked_for() {
    let place = tempfile::tempdir().unwrap();
    let source = write_table(&place.path().join("rows"), &orders(3_000, 33, 10));
    let options = ScanOptions::default().columns(["country", "id"]);
    let (batches, _) = read(Source::files(&source), options).unwrap();
    assert_eq!(sorted_ids(&batches), (0..3_000).collect::<Vec<_>>());
    let schema = batches.first().unwrap().schema();
    let names: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
    assert_eq!(names, ["country", "id"]);
}

#[test]
fn bigquery_is_read_once_through_an_interruption() {
    let place = tempfile::tempdir().unwrap();
    let faults = FaultScript::new().fault(
        FaultTarget::Stream(1),
        1,
        1,
        FaultAction::abort(Code::Unavailable, "the server is going away"),
    );
    let served = served_orders(place.path(), faults);
    let options = ScanOptions::default()
        .emulator(&served.url)
        .memory(ByteSize::mib(1));
    let (batches, retries) = read(Source::bigquery("p.d.orders"), options).unwrap();
    assert_eq!(sorted_ids(&batches), (0..3_000).collect::<Vec<_>>());
    assert_eq!(retries, 1);
}

#[test]
fn what_cannot_be_scanned_is_refused() {
    let place = tempfile::tempdir().unwrap();
    let source = write_table(&place.path().join("rows"), &orders(300, 33, 10));
    let refused = |source: Source, options: ScanOptions| read(source, options).unwrap_err();

    let query = Source::query("SELECT 1", [("t", source.as_str())]);
    let error = refused(query, ScanOptions::default());
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("run it in a job"), "{error}");

    let missing = ScanOptions::default().columns(["colour"]);
    let error = refused(Source::files(&source), missing);
    assert_eq!(error.kind(), ErrorKind::Schema);

    let nothing = ScanOptions::default().memory(ByteSize::b(0));
    let error = refused(Source::files(&source), nothing);
    assert_eq!(error.kind(), ErrorKind::Config);

    let error = Runtime::new().unwrap().block_on(async {
        let scan = TableScan::open(Source::files(&source), ScanOptions::default())
            .await
            .unwrap();
        scan.read(scan.units().len()).err().unwrap()
    });
    assert!(error.to_string().contains("unit"), "{error}");
}
