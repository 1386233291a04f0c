//! Every kind of fault, as it looks to a client that does not hide it.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{ArrayRef, BinaryArray, RecordBatch};
use bytes::Bytes;
use google_cloud_bigquery::client::Read;
use google_cloud_bigquery::model::{ReadRowsResponse, read_rows_response};
use millpond_emulator::{
    Code, Corruption, Emulator, EmulatorBuilder, FaultAction, FaultScript, FaultTarget, LoggedCall,
    RunningEmulator,
};
use serde_json::Value;
use tempfile::TempDir;

use crate::harness::*;
use crate::rest::call;

/// Small messages, so that a few hundred rows make many.
fn small_messages() -> EmulatorBuilder {
    Emulator::builder().message_bytes(5000)
}

/// The responses of one call as they came, and the error that ended it.
async fn raw(
    client: &Read,
    stream: &str,
    offset: i64,
) -> (Vec<ReadRowsResponse>, Option<google_cloud_bigquery::Error>) {
    let mut all = Vec::new();
    let sent = client
        .read_rows()
        .set_read_stream(stream)
        .set_offset(offset)
        .send()
        .await;
    let mut responses = match sent {
        Ok(responses) => responses,
        Err(e) => return (all, Some(e)),
    };
    while let Some(response) = responses.next().await {
        match response {
            Ok(response) => all.push(response),
            Err(e) => return (all, Some(e)),
        }
    }
    (all, None)
}

fn body(response: &ReadRowsResponse) -> Bytes {
    let Some(read_rows_response::Rows::ArrowRecordBatch(batch)) = &response.rows else {
        panic!("no rows in {response:?}");
    };
    batch.serialized_record_batch.clone()
}

/// Two calls on the only stream of a table, the first of them with `action` after one response.
async fn with_and_without(action: FaultAction) -> (Vec<ReadRowsResponse>, Vec<ReadRowsResponse>) {
    let root = numbered_table(1000);
    let script = FaultScript::new().fault(FaultTarget::Stream(0), 1, 1, action);
    let (emulator, client) = start(small_messages().faults(script), &root).await;
    let session = open(&client, arrow_session()).await.unwrap();
    let stream = &session.streams[0].name;
    let (faulty, error) = raw(&client, stream, 0).await;
    assert!(error.is_none(), "{error:?}");
    let (good, error) = raw(&client, stream, 0).await;
    assert!(error.is_none() && good.len() > 3, "{error:?}");
    emulator.shutdown().await;
    (faulty, good)
}

#[tokio::test]
async fn a_duplicate_is_the_same_response_once_more() {
    let (faulty, good) = with_and_without(FaultAction::Duplicate).await;
    assert_eq!(faulty.len(), good.len() + 1);
    assert_eq!(faulty[1], faulty[2]);
    assert_eq!(faulty[1], good[1]);
    assert_eq!(faulty[3..], good[2..]);
}

#[tokio::test]
async fn corruption_damages_one_record_batch_and_nothing_else() {
    for corruption in [
        Corruption::FlipByte { at: 2 },
        Corruption::TruncateTo { bytes: 33 },
        Corruption::DeclareLength { bytes: 0x7fff_fff0 },
    ] {
        let (faulty, good) = with_and_without(FaultAction::Corrupt(corruption)).await;
        assert_eq!(faulty.len(), good.len());
        let (bad, original) = (body(&faulty[1]), body(&good[1]));
        match corruption {
            Corruption::FlipByte { .. } => {
                assert_eq!(bad[..4], [0xff, 0xff, 0, 0xff]);
                assert_eq!(bad[4..], original[4..]);
            }
            Corruption::TruncateTo { .. } => assert_eq!(bad, original[..33]),
            _ => {
                assert_eq!(bad[4..8], [0xf0, 0xff, 0xff, 0x7f]);
                assert_eq!(bad[8..], original[8..]);
            }
        }
        assert_eq!(faulty[1].row_count, good[1].row_count);
        assert_eq!(faulty[2..], good[2..]);
    }
}

#[tokio::test]
async fn a_row_count_can_be_wrong() {
    let (faulty, good) = with_and_without(FaultAction::WrongRowCount { off_by: -3 }).await;
    assert_eq!(faulty[1].row_count, good[1].row_count - 3);
    assert_eq!(body(&faulty[1]), body(&good[1]));
    assert_eq!(faulty[2..], good[2..]);
}

#[tokio::test]
async fn a_slow_stream_waits_before_every_response() {
    let began = Instant::now();
    let (faulty, good) = with_and_without(FaultAction::Slow(Duration::from_millis(40))).await;
    assert_eq!(faulty, good);
    let waited = Duration::from_millis(40) * (good.len() as u32 - 2);
    assert!(
        began.elapsed() > waited,
        "{:?} for {waited:?}",
        began.elapsed()
    );
}

#[tokio::test]
async fn a_session_expires_for_all_its_streams_when_the_script_says_so() {
    let root = numbered_table(2000);
    let script = FaultScript::new().fault(FaultTarget::Stream(1), 2, 1, FaultAction::ExpireSession);
    let builder = small_messages()
        .streams(NonZeroU32::new(2).unwrap())
        .faults(script);
    let (emulator, client) = start(builder, &root).await;
    let session = open(&client, arrow_session()).await.unwrap();
    let [first, second] = &session.streams[..] else {
        panic!("{session:?}");
    };
    let (responses, error) = raw(&client, &second.name, 0).await;
    assert_eq!(responses.len(), 2);
    for (stream, error) in [
        (&second.name, error.unwrap()),
        (&first.name, raw(&client, &first.name, 0).await.1.unwrap()),
    ] {
        let (code, text) = status::<()>(Err(error));
        assert_eq!(code, "FAILED_PRECONDITION");
        let expected = format!("there was an error operating on '{stream}': session expired at 20");
        assert!(text.starts_with(&expected), "{text}");
    }
    // Another session on the same table is not touched.
    let fresh = open(&client, arrow_session()).await.unwrap();
    assert!(raw(&client, &fresh.streams[0].name, 0).await.1.is_none());
    emulator.shutdown().await;
}

#[tokio::test]
async fn an_offset_can_be_ignored() {
    let root = numbered_table(1000);
    let script =
        FaultScript::new().fault_later(FaultTarget::AnyStream, 0, 1, 1, FaultAction::IgnoreOffset);
    let (emulator, client) = start(small_messages().faults(script), &root).await;
    let session = open(&client, arrow_session()).await.unwrap();
    let stream = &session.streams[0].name;
    for (offset, first) in [(400, 400), (400, 0), (400, 400)] {
        let decoded = read_once(&client, stream, offset).await.unwrap();
        assert_eq!(decoded.ids(), (first..1000).collect::<Vec<i64>>());
    }
    emulator.shutdown().await;
}

#[tokio::test]
async fn faults_and_rows_sent_are_in_the_log_and_the_log_is_on_the_port() {
    let root = numbered_table(1000);
    let script = FaultScript::new()
        .fault(
            FaultTarget::AnyStream,
            2,
            1,
            FaultAction::abort(Code::Unavailable, "gone"),
        )
        .fault(
            FaultTarget::SplitReadStream,
            0,
            1,
            FaultAction::abort(Code::Internal, "no split"),
        );
    let (emulator, client) = start(small_messages().faults(script), &root).await;
    let session = open(&client, arrow_session()).await.unwrap();
    let stream = session.streams[0].name.clone();
    let split = || {
        client
            .split_read_stream()
            .set_name(&stream)
            .set_fraction(0.5)
            .send()
    };
    assert_eq!(status(split().await).1, "no split");
    split().await.unwrap();
    let (responses, error) = raw(&client, &stream, 100).await;
    assert_eq!(status::<()>(Err(error.unwrap())).1, "gone");
    let sent: i64 = responses.iter().map(|r| r.row_count).sum();
    let (rest, error) = raw(&client, &stream, 100 + sent).await;
    assert!(error.is_none());
    // What was sent are runs of rows that follow from the log alone: disjoint, and together everything from row 100 on.
    let runs: Vec<(u64, u64)> = emulator
        .requests()
        .iter()
        .filter_map(|call| match call {
            LoggedCall::ReadRows { offset, rows, .. } => Some((*offset, offset + rows)),
            _ => None,
        })
        .collect();
    let middle = 100 + sent as u64;
    assert_eq!(runs, [(100, middle), (middle, 1000)]);
    assert_eq!(rest.iter().map(|r| r.row_count).sum::<i64>(), 900 - sent);

    let (code, log) = call(&emulator, "GET", "/emulator/requests").await;
    assert_eq!(code, 200);
    let faults: Vec<&Value> = log
        .as_array()
        .unwrap()
        .iter()
        .filter(|entry| entry["call"] == "Fault")
        .collect();
    assert_eq!(faults.len(), 2, "{log}");
    assert_eq!(faults[0]["method"], "SplitReadStream");
    assert_eq!(faults[1]["subject"], stream.as_str());
    assert_eq!(faults[1]["after_responses"], 2);
    assert_eq!(
        faults[1]["fault"],
        r#"{"abort":{"code":"UNAVAILABLE","message":"gone"}}"#
    );
    let last = log.as_array().unwrap().last().unwrap();
    assert_eq!(last["call"], "ReadRows");
    assert_eq!(last["offset"], middle);
    emulator.shutdown().await;
}

#[tokio::test]
async fn rest_calls_fail_as_ordered() {
    let root = numbered_table(10);
    let table = |name: &str| format!("/bigquery/v2/projects/p/datasets/d/tables/{name}");
    let at = |path: &str| FaultTarget::Rest(path.to_owned());
    let script = FaultScript::new()
        .fault(
            at("/tables/t"),
            0,
            2,
            FaultAction::Http {
                status: 403,
                reason: "rateLimitExceeded".to_owned(),
                message: "slow down".to_owned(),
            },
        )
        .fault(
            at("/datasets"),
            0,
            1,
            FaultAction::abort(Code::Unavailable, "gone"),
        );
    let emulator = start_only(Emulator::builder().faults(script), &root).await;
    for _ in 0..2 {
        let (code, error) = call(&emulator, "GET", &table("t")).await;
        assert_eq!(code, 403);
        assert_eq!(error["error"]["errors"][0]["reason"], "rateLimitExceeded");
        assert_eq!(error["error"]["message"], "slow down");
        assert_eq!(error["error"]["status"], "PERMISSION_DENIED");
    }
    assert_eq!(call(&emulator, "GET", &table("t")).await.0, 200);
    let (code, error) = call(&emulator, "GET", "/projects/p/datasets").await;
    assert_eq!(code, 503);
    assert_eq!(error["error"]["errors"][0]["reason"], "backendError");
    assert_eq!(error["error"]["status"], "UNAVAILABLE");
    let answers: Vec<u16> = emulator
        .requests()
        .iter()
        .filter_map(|c| match c {
            LoggedCall::Rest { status, .. } => Some(*status),
            _ => None,
        })
        .collect();
    assert_eq!(answers, [403, 403, 200, 503]);
    emulator.shutdown().await;
}

async fn start_only(builder: EmulatorBuilder, root: &TempDir) -> RunningEmulator {
    builder.data_dir(root.path()).start().await.unwrap()
}

#[tokio::test]
async fn one_stream_can_hold_nearly_everything() {
    let root = numbered_table(2000);
    let builder = Emulator::builder()
        .streams(NonZeroU32::new(4).unwrap())
        .skew_percent(99);
    let (emulator, client) = start(builder, &root).await;
    let session = open(&client, arrow_session()).await.unwrap();
    let mut counts = Vec::new();
    let mut ids = Vec::new();
    for stream in &session.streams {
        let read = read_once(&client, &stream.name, 0).await.unwrap().ids();
        counts.push(read.len());
        ids.extend(read);
    }
    assert_eq!(counts, [1980, 6, 7, 7]);
    assert_eq!(ids, (0..2000).collect::<Vec<i64>>());
    emulator.shutdown().await;
}

#[tokio::test]
async fn a_message_can_have_a_hundred_megabytes() {
    let root = TempDir::new().unwrap();
    let long = |i: u8| vec![i; 1_000_000];
    let column: ArrayRef = Arc::new(BinaryArray::from_iter_values((0..210).map(long)));
    let batch = RecordBatch::try_from_iter([("blob", column)]).unwrap();
    write_file(root.path(), "t", "a.parquet", &[batch], 1000);
    let builder = Emulator::builder()
        .streams(NonZeroU32::MIN)
        .message_bytes(100_000_000);
    let (emulator, client) = start(builder, &root).await;
    let session = open(&client, arrow_session()).await.unwrap();
    let (responses, error) = raw(&client, &session.streams[0].name, 0).await;
    assert!(error.is_none(), "{error:?}");
    let sizes: Vec<usize> = responses.iter().map(|r| body(r).len()).collect();
    assert!(
        sizes.iter().any(|s| (99_000_000..128 << 20).contains(s)),
        "{sizes:?}"
    );
    assert_eq!(responses.iter().map(|r| r.row_count).sum::<i64>(), 210);
    emulator.shutdown().await;
}
