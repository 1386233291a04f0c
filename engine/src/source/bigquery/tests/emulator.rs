//! Against the emulator, over real sockets.

use std::fs::{File, create_dir_all};
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{
    ArrayRef, AsArray, BooleanArray, Date32Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use arrow::datatypes::Int64Type;
use futures::StreamExt;
use millpond_emulator::{
    Code, Emulator, FaultAction, FaultScript, FaultTarget, LoggedCall, RandomFaults,
    RunningEmulator,
};
use millpond_spill::MemoryBudget;
use parquet::arrow::ArrowWriter;
use tempfile::TempDir;

use super::super::{
    BigQueryOptions, BigQuerySettings, BigQuerySource, Predicate, ScanRequest, Source, Timing,
};
use crate::error::{Error, ErrorKind};
use crate::recipe::WireCompression;
use crate::source::{Comparison, Literal, ReadContext, ReadMetrics, Scan};

const ROWS: i64 = 20_000;
const DAY_MICROS: i64 = 86_400_000_000;

pub fn table() -> RecordBatch {
    let ids = || 0..ROWS;
    let text = |i: i64| match i % 5 {
        0 => None,
        1 => Some("it's \"quoted\"".to_owned()),
        2 => Some("back\\slash\nline".to_owned()),
        3 => Some("価格".to_owned()),
        _ => Some(format!("plain {i}")),
    };
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("text", Arc::new(StringArray::from_iter(ids().map(text)))),
        ("id", Arc::new(Int64Array::from_iter_values(ids()))),
        (
            "flag",
            Arc::new(BooleanArray::from_iter(
                ids().map(|i| (i % 3 != 0).then_some(i % 2 == 0)),
            )),
        ),
        (
            "day",
            Arc::new(Date32Array::from_iter_values(
                ids().map(|i| (i % 100) as i32),
            )),
        ),
        (
            "ts",
            Arc::new(
                TimestampMicrosecondArray::from_iter_values(ids().map(|i| i * DAY_MICROS / 1000))
                    .with_timezone("UTC"),
            ),
        ),
        (
            "dt",
            Arc::new(TimestampMicrosecondArray::from_iter_values(
                ids().map(|i| i * DAY_MICROS / 1000),
            )),
        ),
    ];
    RecordBatch::try_from_iter(columns).unwrap()
}

pub fn write(data: &Path, name: &str, batch: &RecordBatch) {
    let directory = data.join("p").join("d").join(name);
    create_dir_all(&directory).unwrap();
    let file = File::create(directory.join("0.parquet")).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), None).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
}

pub struct Setup {
    pub emulator: RunningEmulator,
    pub data: TempDir,
}

async fn start(script: FaultScript) -> Setup {
    let data = tempfile::tempdir().unwrap();
    write(data.path(), "t", &table());
    write(data.path(), "empty", &table().slice(0, 0));
    let emulator = Emulator::builder()
        .data_dir(data.path())
        .streams(NonZeroU32::new(6).unwrap())
        .message_bytes(16 << 10)
        .faults(script)
        .start()
        .await
        .unwrap();
    Setup { emulator, data }
}

impl Setup {
    async fn connect(
        &self,
        table: &str,
        options: BigQueryOptions,
    ) -> Result<BigQuerySource, Error> {
        let options = BigQueryOptions {
            endpoint: Some(self.emulator.endpoint()),
            ..options
        };
        let settings = BigQuerySettings {
            connections: NonZeroUsize::new(2).unwrap(),
            timing: Some(Timing {
                idle: Duration::from_millis(500),
                ..Timing::LOOPBACK
            }),
            credentials: None,
        };
        BigQuerySource::connect_with(table, options, settings).await
    }

    async fn scan(&self, columns: &[&str], predicates: Vec<Predicate>) -> Arc<dyn Scan> {
        let source = self
            .connect("bigquery://p.d.t", BigQueryOptions::default())
            .await
            .unwrap();
        for predicate in &predicates {
            assert!(source.applies(predicate), "{predicate:?}");
        }
        let columns = columns.iter().map(|c| (*c).to_owned()).collect();
        let request = ScanRequest {
            columns,
            predicates,
        };
        source.scan(request).await.unwrap()
    }
}

pub fn context() -> ReadContext {
    ReadContext {
        budget: MemoryBudget::new(64 << 20),
        batch_rows: 1024,
        metrics: Arc::new(ReadMetrics::default()),
    }
}

/// All units, read at the same time, their batches in unit order.
pub async fn read_all(
    scan: &Arc<dyn Scan>,
    context: &ReadContext,
) -> Result<Vec<RecordBatch>, Error> {
    let reads = (0..scan.units().len()).map(|unit| async move {
        let mut stream = scan.open(unit, context)?;
        let mut batches = vec![];
        while let Some(batch) = stream.next().await {
            batches.push(batch?);
        }
        Ok(batches)
    });
    let read: Vec<Result<Vec<RecordBatch>, Error>> = futures::future::join_all(reads).await;
    let mut all = vec![];
    for batches in read {
        all.extend(batches?);
    }
    Ok(all)
}

async fn ids(scan: &Arc<dyn Scan>, context: &ReadContext) -> Vec<i64> {
    let batches = read_all(scan, context).await.unwrap();
    let column = |b: &RecordBatch| {
        b.column_by_name("id")
            .unwrap()
            .as_primitive::<Int64Type>()
            .clone()
    };
    batches
        .iter()
        .flat_map(|b| column(b).values().to_vec())
        .collect()
}

fn everything() -> Vec<i64> {
    (0..ROWS).collect()
}

#[tokio::test]
async fn reads_all_rows_once_with_columns_in_the_order_asked_for() {
    let setup = start(FaultScript::new()).await;
    let scan = setup.scan(&["ts", "id", "text"], vec![]).await;
    assert_eq!(scan.units().len(), 6);
    assert_eq!(
        scan.units().iter().map(|u| u.rows.unwrap()).sum::<u64>(),
        ROWS as u64
    );
    let context = context();
    let batches = read_all(&scan, &context).await.unwrap();
    let names: Vec<String> = scan
        .schema()
        .fields()
        .iter()
        .map(|f| f.name().clone())
        .collect();
    assert_eq!(names, ["ts", "id", "text"]);
    let whole = arrow::compute::concat_batches(&scan.schema(), &batches).unwrap();
    let expected = table();
    for name in names {
        assert_eq!(whole.column_by_name(&name), expected.column_by_name(&name));
    }
    assert_eq!(context.metrics.rows(), ROWS as u64);
    assert!(context.metrics.bytes() > 0);
    assert_eq!(context.budget.used(), 0);

    let counted = setup.scan(&[], vec![]).await;
    let rows: usize = read_all(&counted, &context)
        .await
        .unwrap()
        .iter()
        .map(RecordBatch::num_rows)
        .sum();
    assert_eq!(rows as i64, ROWS);
    setup.emulator.shutdown().await;
}

#[tokio::test]
async fn faults_lose_and_double_nothing() {
    let unavailable = |code, text: &str| FaultAction::abort(code, text);
    let scripts = [
        FaultScript::new().fault(
            FaultTarget::AnyStream,
            2,
            3,
            unavailable(Code::Unavailable, "x"),
        ),
        FaultScript::new().fault(
            FaultTarget::Stream(1),
            1,
            1,
            unavailable(Code::Internal, "Received RST_STREAM with error code 2"),
        ),
        FaultScript::new().fault(
            FaultTarget::Stream(0),
            1,
            1,
            FaultAction::Cut { after_bytes: 5000 },
        ),
        FaultScript::new().fault(
            FaultTarget::Stream(2),
            1,
            1,
            FaultAction::Stall(Duration::from_secs(20)),
        ),
        FaultScript::new().fault(
            FaultTarget::CreateReadSession,
            0,
            2,
            unavailable(Code::Unavailable, "x"),
        ),
        FaultScript::new().random(RandomFaults {
            seed: 11,
            percent: 70,
            attempts: 4,
            within_responses: 4,
        }),
    ];
    for (number, script) in scripts.into_iter().enumerate() {
        let setup = start(script).await;
        let scan = setup.scan(&["id"], vec![]).await;
        let context = context();
        assert_eq!(ids(&scan, &context).await, everything(), "script {number}");
        assert_eq!(
            context.metrics.retries() == 0,
            number == 4,
            "script {number}"
        );
        assert_eq!(context.metrics.rows(), ROWS as u64);
        setup.emulator.shutdown().await;
    }
}

#[tokio::test]
async fn restrictions_keep_the_rows_the_predicate_means() {
    let setup = start(FaultScript::new()).await;
    let compare = |column: &str, comparison, literal| Predicate::Compare {
        column: column.to_owned(),
        comparison,
        literal,
    };
    let text = |value: &str| Literal::Text(value.to_owned());
    type Keep = fn(i64) -> bool;
    let cases: Vec<(Predicate, Keep)> = vec![
        (compare("id", Comparison::Less, Literal::Int(-5)), |_| false),
        (
            compare("id", Comparison::GreaterOrEqual, Literal::Int(19_990)),
            |i| i >= 19_990,
        ),
        (
            compare("text", Comparison::Equal, text("it's \"quoted\"")),
            |i| i % 5 == 1,
        ),
        (
            compare("text", Comparison::Equal, text("back\\slash\nline")),
            |i| i % 5 == 2,
        ),
        (compare("text", Comparison::NotEqual, text("価格")), |i| {
            i % 5 != 3 && i % 5 != 0
        }),
        (
            Predicate::In {
                column: "text".to_owned(),
                literals: vec![text("価格"), text("it's \"quoted\"")],
                negated: true,
            },
            |i| matches!(i % 5, 2 | 4),
        ),
        (
            compare("flag", Comparison::Equal, Literal::Bool(true)),
            |i| i % 3 != 0 && i % 2 == 0,
        ),
        (
            Predicate::Not(Box::new(Predicate::Or(
                Box::new(compare("flag", Comparison::Equal, Literal::Bool(true))),
                Box::new(Predicate::IsNull("text".to_owned())),
            ))),
            |i| i % 3 != 0 && i % 2 != 0 && i % 5 != 0,
        ),
        (
            compare("day", Comparison::Greater, Literal::Date(97)),
            |i| i % 100 > 97,
        ),
        (
            compare(
                "ts",
                Comparison::LessOrEqual,
                Literal::Timestamp(DAY_MICROS),
            ),
            |i| i <= 1000,
        ),
        (
            compare("dt", Comparison::Less, Literal::DateTime(DAY_MICROS)),
            |i| i < 1000,
        ),
        (Predicate::IsNotNull("flag".to_owned()), |i| i % 3 != 0),
    ];
    for (predicate, keep) in cases {
        let scan = setup.scan(&["id"], vec![predicate.clone()]).await;
        let expected: Vec<i64> = everything().into_iter().filter(|i| keep(*i)).collect();
        assert_eq!(ids(&scan, &context()).await, expected, "{predicate:?}");
    }
    setup.emulator.shutdown().await;
}

#[tokio::test]
async fn compressed_and_empty_tables_are_read() {
    let setup = start(FaultScript::new()).await;
    for compression in [WireCompression::Lz4, WireCompression::Zstd] {
        let options = BigQueryOptions {
            compression: Some(compression),
            ..BigQueryOptions::default()
        };
        let source = setup.connect("p.d.t", options).await.unwrap();
        let request = ScanRequest {
            columns: vec!["id".to_owned(), "text".to_owned()],
            predicates: vec![],
        };
        let scan = source.scan(request).await.unwrap();
        let context = context();
        assert_eq!(ids(&scan, &context).await, everything());
    }
    let source = setup
        .connect("p.d.empty", BigQueryOptions::default())
        .await
        .unwrap();
    assert_eq!(source.schema().fields().len(), 6);
    let request = ScanRequest {
        columns: vec!["id".to_owned()],
        predicates: vec![],
    };
    let scan = source.scan(request).await.unwrap();
    assert!(scan.units().is_empty());
    assert!(scan.open(0, &context()).is_err());
    setup.emulator.shutdown().await;
}

#[tokio::test]
async fn failures_name_table_and_kind() {
    let setup = start(FaultScript::new()).await;
    let error = setup
        .connect("p.d.missing", BigQueryOptions::default())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains("p.d.missing"), "{error}");
    setup.emulator.shutdown().await;

    let denied = FaultAction::abort(Code::PermissionDenied, "no");
    let script = FaultScript::new().fault(FaultTarget::CreateReadSession, 0, 1, denied);
    let setup = start(script).await;
    let error = setup
        .connect("p.d.t", BigQueryOptions::default())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Auth);
    assert!(
        error.to_string().contains("bigquery.readsessions.create"),
        "{error}"
    );
    setup.emulator.shutdown().await;
}

#[tokio::test]
async fn nothing_is_read_before_the_first_poll_nor_after_the_drop() {
    let setup = start(FaultScript::new()).await;
    let scan = setup.scan(&["id"], vec![]).await;
    let context = context();
    let mut streams: Vec<_> = (0..6)
        .map(|unit| scan.open(unit, &context).unwrap())
        .collect();
    let reads = || {
        let calls = setup.emulator.requests();
        calls
            .iter()
            .filter(|c| matches!(c, LoggedCall::ReadRows { .. }))
            .count()
    };
    assert_eq!(reads(), 0);
    streams[3].next().await.unwrap().unwrap();
    assert_eq!(reads(), 1);
    drop(streams);
    tokio::time::timeout(Duration::from_secs(5), async {
        while context.budget.used() > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await
    .unwrap();
    setup.emulator.shutdown().await;
}
