//! Queries as sources, against the emulator.

mod chunks;
mod entities;
mod wildcards;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use futures::StreamExt;
use google_cloud_bigquery_v2::model::{Table, TableReference};
use millpond_emulator::{Code, Emulator, FaultAction, FaultScript, FaultTarget, LoggedCall};
use serde_json::json;

use super::super::rest::Rest;
use super::super::table::TableName;
use super::super::{Predicate, ScanRequest, Source};
use super::emulator::{Setup, context, read_all, table, write};
use crate::error::{Error, ErrorKind};
use crate::job::Cancellation;
use crate::recipe::{BigQueryOptions, BigQuerySqlSpec, TableSpec};
use crate::source::connect::{Connecting, EarlierScan, Intent, connect_sql, connect_table};
use crate::source::{Billing, Comparison, Literal, Scan};

async fn start(script: FaultScript) -> Setup {
    let data = tempfile::tempdir().unwrap();
    write(data.path(), "t", &table());
    start_in(data, |emulator| emulator.faults(script)).await
}

async fn start_in(
    data: tempfile::TempDir,
    change: impl FnOnce(millpond_emulator::EmulatorBuilder) -> millpond_emulator::EmulatorBuilder,
) -> Setup {
    let builder = Emulator::builder()
        .data_dir(data.path())
        .streams(std::num::NonZeroU32::new(3).unwrap())
        .message_bytes(16 << 10);
    let emulator = change(builder).start().await.unwrap();
    Setup { emulator, data }
}

fn sql(setup: &Setup, text: &str) -> BigQuerySqlSpec {
    BigQuerySqlSpec {
        project: Some("p".to_owned()),
        temporary_dataset: Some("d".to_owned()),
        endpoint: Some(setup.emulator.endpoint()),
        ..BigQuerySqlSpec::new(text)
    }
}

async fn connect(spec: &BigQuerySqlSpec) -> Result<Arc<dyn Source>, Error> {
    Box::pin(connect_sql(spec, Connecting::default())).await
}

async fn connect_at(setup: &Setup, address: &str) -> Result<Arc<dyn Source>, Error> {
    let spec = TableSpec {
        table: format!("bigquery://{address}"),
        bigquery: BigQueryOptions {
            endpoint: Some(setup.emulator.endpoint()),
            temporary_dataset: Some("d".to_owned()),
            ..BigQueryOptions::default()
        },
        csv: Default::default(),
    };
    connect_table(&spec, Connecting::default()).await
}

fn request(columns: &[&str], predicates: Vec<Predicate>) -> ScanRequest {
    ScanRequest {
        columns: columns.iter().map(|c| (*c).to_owned()).collect(),
        predicates,
    }
}

fn below(column: &str, value: i64) -> Predicate {
    Predicate::Compare {
        column: column.to_owned(),
        comparison: Comparison::Less,
        literal: Literal::Int(value),
    }
}

async fn ids(scan: &Arc<dyn Scan>) -> Vec<i64> {
    let batches = read_all(scan, &context()).await.unwrap();
    let mut ids: Vec<i64> = batches
        .iter()
        .flat_map(|b| {
            b.column_by_name("id")
                .unwrap()
                .as_primitive::<Int64Type>()
                .values()
                .to_vec()
        })
        .collect();
    ids.sort_unstable();
    ids
}

/// Tables that runs have left.
fn left_behind(setup: &Setup) -> Vec<String> {
    let entries = std::fs::read_dir(setup.data.path().join("p/d")).unwrap();
    entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("millpond_"))
        .collect()
}

fn calls(setup: &Setup, method: &str, part: &str) -> usize {
    setup
        .emulator
        .requests()
        .iter()
        .filter(|call| matches!(call, LoggedCall::Rest { method: m, path, .. } if m == method && path.contains(part)))
        .count()
}

async fn rest(setup: &Setup) -> Rest {
    let endpoint = super::super::endpoint::Endpoint::resolve(Some(&setup.emulator.endpoint()));
    Rest::connect(
        endpoint.unwrap(),
        "p".to_owned(),
        super::super::Timing::LOOPBACK,
        None,
    )
    .await
    .unwrap()
}

async fn make(setup: &Setup, name: &str, change: impl FnOnce(Table) -> Table) {
    let name = TableName::parse(&format!("p.d.{name}")).unwrap();
    let reference = TableReference::new()
        .set_project_id("p")
        .set_dataset_id("d")
        .set_table_id(name.table());
    let table = change(Table::new().set_table_reference(reference));
    rest(setup).await.create_table(&name, table).await.unwrap();
}

const QUERY: &str = "SELECT id, text, ts FROM `p.d.t` WHERE id >= 10000";

#[tokio::test(flavor = "multi_thread")]
async fn a_query_is_run_into_a_table_that_expires_read_and_removed() {
    let setup = start(FaultScript::new()).await;
    let source = connect(&sql(&setup, QUERY)).await.unwrap();
    assert_eq!(source.name(), "bigquery_sql");
    assert_eq!(source.billing(), Billing::Query);
    assert_eq!(
        calls(&setup, "POST", "/tables"),
        0,
        "nothing is made by connecting"
    );

    let predicate = below("id", 10_100);
    assert!(source.applies(&predicate));
    let scan = source
        .scan(request(&["text", "id"], vec![predicate]))
        .await
        .unwrap();
    let made = left_behind(&setup);
    assert_eq!(made.len(), 1);
    let name = TableName::parse(&format!("p.d.{}", made[0])).unwrap();
    let described = rest(&setup).await.table(&name).await.unwrap();
    let millis = std::time::SystemTime::UNIX_EPOCH
        .elapsed()
        .unwrap()
        .as_millis() as i64;
    let life = described.expiration_time.unwrap() - millis;
    assert!((86_300_000..=86_400_000).contains(&life), "{life}");

    assert_eq!(ids(&scan).await, (10_000..10_100).collect::<Vec<_>>());
    let names: Vec<_> = scan
        .schema()
        .fields()
        .iter()
        .map(|f| f.name().clone())
        .collect();
    assert_eq!(names, ["text", "id"]);
    let usage = scan.usage();
    assert_eq!(usage.jobs, 1);
    assert!(usage.bytes_processed.unwrap() > 0 && usage.bytes_billed.unwrap() >= 10 << 20);
    assert!(usage.slot_ms.is_some());
    // Nothing that differs from run to run goes into what is compared.
    let told = format!("{:?}{:?}", scan.snapshot(), scan.units());
    assert!(!told.contains("millpond_"), "{told}");
    assert!(
        scan.session()["query_job"]
            .as_str()
            .unwrap()
            .starts_with("millpond_")
    );

    assert!(source.ends_when_closed());
    assert!(source.close().await.is_empty());
    assert!(left_behind(&setup).is_empty());
    drop((scan, source));
    assert_eq!(
        calls(&setup, "DELETE", "/tables/millpond_"),
        1,
        "removed once"
    );
    setup.emulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_dataset_the_service_keeps_the_result() {
    let setup = start(FaultScript::new()).await;
    let spec = BigQuerySqlSpec {
        temporary_dataset: None,
        ..sql(&setup, QUERY)
    };
    let source = connect(&spec).await.unwrap();
    let scan = source.scan(request(&["id"], vec![])).await.unwrap();
    assert_eq!(ids(&scan).await, (10_000..20_000).collect::<Vec<_>>());
    assert!(!source.ends_when_closed());
    assert!(source.close().await.is_empty());
    assert_eq!(calls(&setup, "DELETE", "/tables/"), 0);
    setup.emulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn parameters_are_values_and_never_text() {
    let setup = start(FaultScript::new()).await;
    let spec = BigQuerySqlSpec {
        parameters: BTreeMap::from([
            ("least".to_owned(), json!(19_000)),
            ("text".to_owned(), json!("plain 19994' OR TRUE --")),
            (
                "day".to_owned(),
                json!({"type": "DATE", "value": "1970-01-05"}),
            ),
        ]),
        ..sql(
            &setup,
            "SELECT id FROM `p.d.t` WHERE id >= @least AND day = @day AND (text IS NULL OR text <> @text)",
        )
    };
    let source = connect(&spec).await.unwrap();
    let scan = source.scan(request(&["id"], vec![])).await.unwrap();
    let expected: Vec<i64> = (19_000..20_000).filter(|i| i % 100 == 4).collect();
    assert_eq!(ids(&scan).await, expected);
    source.close().await;
    setup.emulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_runs_nothing_and_leaves_nothing() {
    let setup = start(FaultScript::new()).await;
    let connecting = Connecting {
        intent: Intent::Plan,
        ..Connecting::default()
    };
    let source = connect_sql(&sql(&setup, QUERY), connecting).await.unwrap();
    let scan = source.scan(request(&["id"], vec![])).await.unwrap();
    assert!(scan.units()[0].bytes.unwrap() > 0);
    assert!(scan.open(0, &context()).is_err());
    let appraisal = source.appraise(&["id".to_owned()], "").await;
    assert_eq!(appraisal.dry_run_bytes, scan.units()[0].bytes);
    assert!(left_behind(&setup).is_empty());
    let jobs = jobs_run(&setup).await;
    assert_eq!(jobs, 0, "only dry runs");
    setup.emulator.shutdown().await;
}

/// Jobs that the emulator remembers: dry runs are not among them.
async fn jobs_run(setup: &Setup) -> usize {
    let client = google_cloud_bigquery_v2::client::JobService::builder()
        .with_endpoint(setup.emulator.endpoint())
        .with_credentials(google_cloud_auth::credentials::anonymous::Builder::new().build())
        .build()
        .await
        .unwrap();
    // On a stack of its own: what the client takes to understand a list is too much on top of a test's.
    let mut asking = tokio::task::JoinSet::new();
    asking.spawn(client.list_jobs().set_project_id("p").send());
    let list = asking.join_next().await.unwrap().unwrap().unwrap();
    list.jobs.len()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_query_is_said_before_it_runs() {
    let setup = start(FaultScript::new()).await;
    for (text, kind, says) in [
        ("SELECT nothing FROM `p.d.t`", ErrorKind::Config, "nothing"),
        ("SELEC 1", ErrorKind::Config, "BigQuery refused the query"),
        (
            "SELECT id FROM `p.d.missing`",
            ErrorKind::NotFound,
            "missing",
        ),
        (
            "DELETE FROM `p.d.t` WHERE TRUE",
            ErrorKind::Config,
            "DELETE",
        ),
        ("  ", ErrorKind::Config, "bigquery_sql is empty"),
    ] {
        let error = connect(&sql(&setup, text)).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{text}: {error}");
        assert!(error.to_string().contains(says), "{text}: {error}");
    }
    let spec = BigQuerySqlSpec {
        project: None,
        ..sql(&setup, QUERY)
    };
    let error = connect(&spec).await.unwrap_err();
    assert!(error.to_string().contains("names no project"), "{error}");
    for spec in [
        BigQuerySqlSpec {
            expiration: Some("1s".to_owned()),
            ..sql(&setup, QUERY)
        },
        BigQuerySqlSpec {
            temporary_dataset: Some("a/b".to_owned()),
            ..sql(&setup, QUERY)
        },
        BigQuerySqlSpec {
            parameters: BTreeMap::from([("x".to_owned(), json!(null))]),
            ..sql(&setup, QUERY)
        },
    ] {
        assert_eq!(connect(&spec).await.unwrap_err().kind(), ErrorKind::Config);
    }
    assert!(left_behind(&setup).is_empty());
    setup.emulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_bytes_than_allowed_are_refused_with_both_numbers() {
    let setup = start(FaultScript::new()).await;
    let spec = BigQuerySqlSpec {
        maximum_bytes_billed: Some(bytesize::ByteSize::b(1000)),
        ..sql(&setup, QUERY)
    };
    for intent in [Intent::Read, Intent::Plan] {
        let connecting = Connecting {
            intent,
            ..Connecting::default()
        };
        let source = connect_sql(&spec, connecting).await.unwrap();
        let error = source.scan(request(&["id"], vec![])).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        let text = error.to_string();
        let bytes = source.appraise(&[], "").await.dry_run_bytes.unwrap();
        assert!(
            text.contains("1000") && text.contains(&bytes.to_string()),
            "{text}"
        );
    }
    // Billed are 10 MiB at least, which the service itself minds.
    let spec = BigQuerySqlSpec {
        maximum_bytes_billed: Some(bytesize::ByteSize::mib(9)),
        ..sql(&setup, QUERY)
    };
    let source = connect(&spec).await.unwrap();
    let error = source.scan(request(&["id"], vec![])).await.unwrap_err();
    assert!(error.to_string().contains("10485760"), "{error}");
    source.close().await;
    assert!(left_behind(&setup).is_empty());
    setup.emulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_that_pass_are_survived_and_no_query_runs_twice() {
    let http = |status, reason: &str| FaultAction::Http {
        status,
        reason: reason.to_owned(),
        message: "try again".to_owned(),
    };
    let script = FaultScript::new()
        .fault(
            FaultTarget::Rest("/jobs".to_owned()),
            0,
            1,
            http(403, "rateLimitExceeded"),
        )
        .fault_later(
            FaultTarget::Rest("/jobs".to_owned()),
            0,
            1,
            1,
            http(503, "backendError"),
        )
        .fault(
            FaultTarget::Rest("/tables".to_owned()),
            0,
            1,
            http(500, "internalError"),
        );
    let setup = start(script).await;
    let source = connect(&sql(&setup, QUERY)).await.unwrap();
    let scan = source.scan(request(&["id"], vec![])).await.unwrap();
    assert_eq!(ids(&scan).await.len(), 10_000);
    assert!(source.close().await.is_empty());
    assert!(left_behind(&setup).is_empty());
    setup.emulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_gets_lost_does_not_run_the_query_again() {
    // The dry runs of connecting and scanning come first; the third answer is that of the job.
    let script = FaultScript::new().fault_later(
        FaultTarget::Rest("/jobs".to_owned()),
        0,
        2,
        1,
        FaultAction::Cut { after_bytes: 20 },
    );
    let setup = start(script).await;
    let source = connect(&sql(&setup, QUERY)).await.unwrap();
    let scan = source.scan(request(&["id"], vec![])).await.unwrap();
    assert_eq!(ids(&scan).await.len(), 10_000);
    assert_eq!(jobs_run(&setup).await, 1);
    source.close().await;
    assert!(left_behind(&setup).is_empty());
    setup.emulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_dropped_takes_its_table_along() {
    let setup = start(FaultScript::new()).await;
    let source = connect(&sql(&setup, QUERY)).await.unwrap();
    let scan = source.scan(request(&["id"], vec![])).await.unwrap();
    let mut stream = scan.open(0, &context()).unwrap();
    stream.next().await.unwrap().unwrap();
    assert_eq!(left_behind(&setup).len(), 1);
    drop(stream);
    drop(scan);
    drop(source);
    assert!(left_behind(&setup).is_empty());
    setup.emulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_nobody_waits_for_is_cancelled_and_its_table_goes() {
    // The dry runs of connecting and scanning come first.
    let script = FaultScript::new().fault_later(
        FaultTarget::Rest("/jobs".to_owned()),
        0,
        2,
        1,
        FaultAction::Stall(Duration::from_secs(5)),
    );
    let setup = start(script).await;
    let cancellation = Cancellation::new();
    let connecting = Connecting {
        cancellation: cancellation.clone(),
        ..Connecting::default()
    };
    let source = connect_sql(&sql(&setup, QUERY), connecting).await.unwrap();
    let begun = std::time::Instant::now();
    let scanning = source.scan(request(&["id"], vec![]));
    let ending = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        cancellation.cancel(ErrorKind::Terminated);
    };
    let (scanned, ()) = tokio::join!(scanning, ending);
    let error = scanned.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Terminated);
    assert!(
        begun.elapsed() < Duration::from_secs(4),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!(calls(&setup, "POST", "/cancel"), 1);
    source.close().await;
    assert!(left_behind(&setup).is_empty());
    setup.emulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_that_fail_for_passing_reasons_and_missing_permissions() {
    for (reason, kind, says) in [
        ("accessDenied", ErrorKind::Auth, "bigquery.tables.create"),
        ("quotaExceeded", ErrorKind::Unavailable, "quota"),
    ] {
        let script = FaultScript::new().fault(
            FaultTarget::Rest("/datasets/d/tables".to_owned()),
            0,
            1,
            FaultAction::Http {
                status: 403,
                reason: reason.to_owned(),
                message: "no".to_owned(),
            },
        );
        let setup = start(script).await;
        let source = connect(&sql(&setup, QUERY)).await.unwrap();
        let error = source.scan(request(&["id"], vec![])).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(says), "{error}");
        setup.emulator.shutdown().await;
    }
}

/// What a later process is told of this scan.
fn earlier(scan: &Arc<dyn Scan>) -> EarlierScan {
    EarlierScan {
        token: scan.token().unwrap(),
        units: BTreeMap::new(),
    }
}

async fn go_on(setup: &Setup, text: &str, earlier: EarlierScan) -> Arc<dyn Source> {
    let connecting = Connecting {
        earlier: Some(earlier),
        ..Connecting::default()
    };
    Box::pin(connect_sql(&sql(setup, text), connecting))
        .await
        .unwrap()
}

#[test]
fn a_later_process_goes_on_with_the_same_result() {
    // What the client takes to understand descriptions of jobs, unoptimised, is much on top of all that this test holds.
    let test = std::thread::Builder::new().stack_size(16 << 20).spawn(|| {
        tokio::runtime::Runtime::new()
            .unwrap()
            .block_on(going_on_with_the_same_result());
    });
    test.unwrap().join().unwrap();
}

async fn going_on_with_the_same_result() {
    let setup = start(FaultScript::new()).await;
    let first = connect(&sql(&setup, QUERY)).await.unwrap();
    let before = first.scan(request(&["id"], vec![])).await.unwrap();
    // As a process that is killed leaves it: nothing is removed.
    std::mem::forget(Arc::clone(&first));
    let second = go_on(&setup, QUERY, earlier(&before)).await;
    let after = second.scan(request(&["id"], vec![])).await.unwrap();
    assert_eq!(after.units(), before.units());
    assert_eq!(after.snapshot(), before.snapshot());
    assert_eq!(after.usage(), before.usage());
    assert_eq!(ids(&after).await, ids(&before).await);
    assert_eq!(jobs_run(&setup).await, 1, "asked once");

    let other = go_on(
        &setup,
        "SELECT id FROM `p.d.t` WHERE id < 7",
        earlier(&before),
    )
    .await;
    let error = other.scan(request(&["id"], vec![])).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Manifest, "{error}");

    assert!(second.close().await.is_empty());
    assert!(
        left_behind(&setup).is_empty(),
        "the table of the first is removed by the second"
    );
    let third = go_on(&setup, QUERY, earlier(&before)).await;
    let gone = third.scan(request(&["id"], vec![])).await.unwrap();
    assert_eq!(gone.units(), before.units());
    let Err(error) = gone.open(0, &context()) else {
        panic!("rows of a table that is gone");
    };
    assert_eq!(error.kind(), ErrorKind::Manifest);
    assert!(error.to_string().contains("--restart"), "{error}");
    assert_eq!(jobs_run(&setup).await, 1, "never asked again");
    setup.emulator.shutdown().await;
}
