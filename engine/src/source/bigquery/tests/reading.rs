use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Int64Type, Schema};
use bytes::Bytes;
use futures::StreamExt;
use google_cloud_gax::error::rpc::Code;
use millpond_spill::MemoryBudget;
use tokio::time::Instant;

use super::super::decode::Decoder;
use super::super::endpoint::Endpoint;
use super::super::failure::Place;
use super::super::retry::Timing;
use super::super::stream::{AHEAD, StreamSpec};
use super::super::table::TableName;
use super::fake::{End, Fake, FakeStream, SOON, batch_message, schema_message};
use crate::error::{Error, ErrorKind};
use crate::source::{BatchStream, ReadContext, ReadMetrics};

const NAME: &str = "projects/p/locations/us/sessions/s/streams/0";

fn rows(ids: std::ops::Range<i64>) -> RecordBatch {
    let names: Vec<String> = ids.clone().map(|i| format!("row {i}")).collect();
    let schema = Schema::new(vec![
        Field::new("name", DataType::Utf8, true),
        Field::new("id", DataType::Int64, false),
    ]);
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from(names)),
        Arc::new(Int64Array::from_iter_values(ids)),
    ];
    RecordBatch::try_new(Arc::new(schema), columns).unwrap()
}

/// Four messages of three rows.
fn four_messages() -> FakeStream {
    stream_of((0..4).map(|i| rows(i * 3..i * 3 + 3)).collect())
}

fn stream_of(batches: Vec<RecordBatch>) -> FakeStream {
    FakeStream {
        schema: schema_message(&rows(0..0).schema()),
        messages: batches
            .iter()
            .map(|b| (batch_message(b, None), b.num_rows() as i64))
            .collect(),
        ..FakeStream::default()
    }
}

fn spec(fake: &Fake, timing: Timing) -> StreamSpec {
    let columns = ["id".to_owned(), "name".to_owned()];
    StreamSpec {
        client: fake.client(),
        name: NAME.to_owned(),
        label: "stream 0".to_owned(),
        index: 0,
        place: Arc::new(Place {
            table: TableName::parse("p.d.t").unwrap(),
            billing_project: "p".to_owned(),
            endpoint: Endpoint::Google,
            credentials: None,
        }),
        timing,
        decoder: Arc::new(Decoder::new(rows(0..0).schema(), &columns).unwrap()),
    }
}

fn context(limit: usize) -> ReadContext {
    ReadContext {
        budget: MemoryBudget::new(limit),
        batch_rows: 1024,
        metrics: Arc::new(ReadMetrics::default()),
    }
}

async fn ids_of(mut batches: BatchStream) -> Result<Vec<i64>, Error> {
    let mut ids = vec![];
    while let Some(batch) = batches.next().await {
        let batch = batch?;
        assert_eq!(batch.schema().field(0).name(), "id");
        let column = batch.column(0).as_primitive::<Int64Type>();
        let names = batch.column(1).as_string::<i32>();
        for (id, name) in column.values().iter().zip(names) {
            assert_eq!(name, Some(format!("row {id}").as_str()));
            ids.push(*id);
        }
    }
    Ok(ids)
}

struct Outcome {
    ids: Result<Vec<i64>, Error>,
    offsets: Vec<i64>,
    retries: u64,
    took: Duration,
}

/// Reads a stream whose calls end as given.
async fn read(mut stream: FakeStream, ends: impl IntoIterator<Item = End>) -> Outcome {
    let fake = Fake::default();
    stream.ends = ends.into_iter().collect();
    fake.stream(NAME, stream);
    let context = context(64 << 20);
    let start = Instant::now();
    let ids = ids_of(spec(&fake, Timing::REMOTE).batches(context.clone())).await;
    assert_eq!(context.budget.used(), 0, "every permit is given back");
    if let Ok(ids) = &ids {
        assert_eq!(context.metrics.rows(), ids.len() as u64);
    }
    Outcome {
        ids,
        offsets: fake.offsets(NAME),
        retries: context.metrics.retries(),
        took: start.elapsed(),
    }
}

fn all() -> Vec<i64> {
    (0..12).collect()
}

#[tokio::test(start_paused = true)]
async fn reads_a_stream_in_the_order_asked_for() {
    let outcome = read(four_messages(), []).await;
    assert_eq!(outcome.ids.unwrap(), all());
    assert_eq!(outcome.offsets, [0]);
    assert_eq!(outcome.retries, 0);
    assert!(outcome.took < SOON);
    assert!(read(stream_of(vec![]), []).await.ids.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn goes_on_at_the_row_reached() {
    for end in [
        End::Status(2, Code::Unavailable, "going away"),
        End::Status(2, Code::Aborted, ""),
        End::Status(2, Code::Internal, "Received RST_STREAM with error code 2"),
        End::Status(
            2,
            Code::Internal,
            "Received unexpected EOS on DATA frame from server",
        ),
        End::Status(2, Code::Unknown, ""),
        End::Broken(2),
    ] {
        let outcome = read(four_messages(), [end.clone()]).await;
        assert_eq!(outcome.ids.unwrap(), all(), "{end:?}");
        assert_eq!(outcome.offsets, [0, 6], "{end:?}");
        assert_eq!(outcome.retries, 1, "{end:?}");
    }
    // At the very end there is nothing left to read.
    let outcome = read(four_messages(), [End::Broken(4)]).await;
    assert_eq!(outcome.ids.unwrap(), all());
    assert_eq!(outcome.offsets, [0, 12]);
}

#[tokio::test(start_paused = true)]
async fn other_failures_end_the_read_at_once() {
    for (code, message, kind) in [
        (Code::Internal, "request failed", ErrorKind::Unavailable),
        (
            Code::ResourceExhausted,
            "read quota",
            ErrorKind::Unavailable,
        ),
        (Code::PermissionDenied, "no", ErrorKind::Auth),
        (Code::DataLoss, "lost", ErrorKind::Data),
        (
            Code::FailedPrecondition,
            "there was an error operating on 's': session expired at 2026-01-01T00:00:00+00:00",
            ErrorKind::Unavailable,
        ),
    ] {
        let outcome = read(four_messages(), [End::Status(1, code, message)]).await;
        let error = outcome.ids.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(
            error.to_string().contains("table p.d.t, stream 0 at row 3"),
            "{error}"
        );
        assert!(error.to_string().contains(message), "{error}");
        assert_eq!(outcome.offsets, [0]);
        assert!(outcome.took < SOON);
    }
}

#[tokio::test(start_paused = true)]
async fn waits_for_quota_as_told() {
    let outcome = read(four_messages(), [End::Quota(1, 2), End::Quota(1, 5)]).await;
    assert_eq!(outcome.ids.unwrap(), all());
    assert_eq!(outcome.offsets, [0, 3, 6]);
    assert!(outcome.took >= Duration::from_secs(7), "{:?}", outcome.took);
    assert!(outcome.took < Duration::from_secs(8), "{:?}", outcome.took);
}

#[tokio::test(start_paused = true)]
async fn a_silent_server_is_left() {
    let outcome = read(four_messages(), [End::Silent(3), End::Silent(0)]).await;
    assert_eq!(outcome.ids.unwrap(), all());
    assert_eq!(outcome.offsets, [0, 9, 9]);
    assert!(
        outcome.took >= Duration::from_secs(120),
        "{:?}",
        outcome.took
    );
    assert!(
        outcome.took < Duration::from_secs(122),
        "{:?}",
        outcome.took
    );
}

#[tokio::test(start_paused = true)]
async fn patience_lasts_as_long_as_rows_arrive() {
    let many = || stream_of((0..100).map(|i| rows(i..i + 1)).collect());
    let one_each = vec![End::Status(1, Code::Unavailable, "again"); 100];
    let outcome = read(many(), one_each).await;
    assert_eq!(outcome.ids.unwrap(), (0..100).collect::<Vec<_>>());
    assert_eq!(outcome.retries, 100);

    let none_ever = vec![End::Status(0, Code::Unavailable, "again"); 10_000];
    let outcome = read(many(), none_ever).await;
    let error = outcome.ids.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("attempts: again"), "{error}");
    assert!(outcome.took <= Timing::REMOTE.stalled);
    assert!(outcome.took >= Timing::REMOTE.stalled - Timing::REMOTE.longest_wait);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_ignores_offsets_is_caught() {
    let outcome = read(four_messages(), [End::Broken(2), End::IgnoresOffset]).await;
    let error = outcome.ids.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Data);
    assert!(
        error.to_string().contains("ignores the row offset"),
        "{error}"
    );
    assert!(error.to_string().contains("stream 0 at row 6"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn equal_messages_of_an_honest_server_are_no_fault() {
    let same = stream_of(vec![rows(0..3); 4]);
    let outcome = read(same, [End::Broken(2)]).await;
    assert_eq!(outcome.ids.unwrap(), [0, 1, 2].repeat(4));
    assert_eq!(
        outcome.offsets.len(),
        4,
        "opened, opened again, asked beyond the end, and asked once more"
    );
}

#[tokio::test(start_paused = true)]
async fn bad_messages_name_stream_and_offset() {
    let broken = |change: &dyn Fn(&mut (Bytes, i64))| {
        let mut stream = four_messages();
        change(&mut stream.messages[2]);
        stream
    };
    let cases: Vec<(FakeStream, &str)> = vec![
        (broken(&|m| m.1 = 4), "says 4 rows and holds 3"),
        (broken(&|m| m.1 = -1), "says -1 rows"),
        (broken(&|m| m.0.truncate(20)), "cut short"),
        (broken(&|m| m.0 = Bytes::new()), "cut short"),
        (
            broken(&|m| m.0 = schema_message(&rows(0..0).schema())),
            "holds Schema where a record batch was expected",
        ),
    ];
    for (stream, says) in cases {
        let error = read(stream, []).await.ids.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Data, "{error}");
        assert!(error.to_string().contains(says), "{error}");
        assert!(error.to_string().contains("stream 0 at row 6"), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn another_schema_is_refused_with_the_difference() {
    let mut stream = four_messages();
    let other = Schema::new(vec![
        Field::new("id", DataType::Utf8, false),
        Field::new("extra", DataType::Int64, true),
    ]);
    stream.schema = schema_message(&Arc::new(other));
    let error = read(stream, []).await.ids.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Schema);
    let text = error.to_string();
    for part in [
        "- name Utf8",
        "~ id Int64 not null became Utf8 not null",
        "+ extra Int64",
    ] {
        assert!(text.contains(part), "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn bytes_are_permitted_until_the_next_poll() {
    let fake = Fake::default();
    let stream = stream_of((0..20).map(|i| rows(i..i + 1)).collect());
    let message = stream.messages[0].0.len();
    fake.stream(NAME, stream);
    let context = context(64 << 20);
    let mut batches = spec(&fake, Timing::REMOTE).batches(context.clone());
    tokio::time::sleep(SOON).await;
    assert!(
        fake.offsets(NAME).is_empty(),
        "nothing is read before the first poll"
    );
    let first = batches.next().await.unwrap().unwrap();
    tokio::time::sleep(SOON).await;
    let held = context.budget.used();
    let kept = 1 + AHEAD;
    assert!(
        held >= kept * message && held < (kept + 1) * message + 64,
        "one delivered, {AHEAD} ahead: {held}"
    );
    drop(first);
    drop(batches);
    tokio::time::sleep(SOON).await;
    assert_eq!(
        context.budget.used(),
        0,
        "dropping the stream ends the read"
    );
}

#[tokio::test(start_paused = true)]
async fn a_budget_of_one_message_is_enough_and_less_is_not() {
    let stream = || stream_of((0..20).map(|i| rows(i..i + 1)).collect());
    let message = stream().messages[0].0.len();
    let fake = Fake::default();
    fake.stream(NAME, stream());
    // Three eighths of the limit may be in flight.
    let tight = context(message * 3);
    let read = ids_of(spec(&fake, Timing::REMOTE).batches(tight.clone()));
    let ids = tokio::time::timeout(Duration::from_secs(3600), read)
        .await
        .expect("no deadlock");
    assert_eq!(ids.unwrap(), (0..20).collect::<Vec<_>>());
    assert!(
        tight.budget.peak() <= message * 3 / 2,
        "{}",
        tight.budget.peak()
    );
    let ids = ids_of(spec(&fake, Timing::REMOTE).batches(context(message * 2))).await;
    let error = ids.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::MemoryBudget);
    assert!(error.to_string().contains("stream 0 at row 0"), "{error}");
}
