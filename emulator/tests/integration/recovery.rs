//! Faults on demand, as a reconnecting client lives through them.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use google_cloud_bigquery::client::Read;
use google_cloud_bigquery::model::ReadSession;
use millpond_emulator::{
    Code, Emulator, FaultAction, FaultScript, FaultTarget, LoggedCall, ManualClock, RandomFaults,
    RunningEmulator,
};

use crate::harness::*;

/// Reads all streams with the client's own reconnecting reader.
async fn read_through(client: &Read, session: &ReadSession) -> Vec<i64> {
    let mut ids = Vec::new();
    for stream in &session.streams {
        let mut reader = client
            .read_rows()
            .set_read_stream(&stream.name)
            .into_reader();
        let mut decoded = Decoded::default();
        while let Some(response) = reader.next().await.transpose().unwrap() {
            decoded.push(&response);
        }
        ids.extend(decoded.ids());
    }
    ids
}

/// (offset, rows) of every ReadRows call.
fn reads(emulator: &RunningEmulator) -> Vec<(u64, u64)> {
    emulator
        .requests()
        .into_iter()
        .filter_map(|call| match call {
            LoggedCall::ReadRows { offset, rows, .. } => Some((offset, rows)),
            _ => None,
        })
        .collect()
}

#[tokio::test]
async fn an_aborted_stream_is_resumed_and_nothing_is_served_twice() {
    let root = numbered_table(4000);
    let script = FaultScript::new().fault(
        FaultTarget::AnyStream,
        2,
        3,
        FaultAction::abort(Code::Unavailable, "going away"),
    );
    let builder = Emulator::builder()
        .streams(NonZeroU32::new(2).unwrap())
        .message_bytes(5000)
        .faults(script);
    let (emulator, client) = start(builder, &root).await;
    let session = open(&client, arrow_session()).await.unwrap();
    assert_eq!(
        read_through(&client, &session).await,
        (0..4000).collect::<Vec<i64>>()
    );
    let reads = reads(&emulator);
    assert_eq!(reads.len(), 8, "{reads:?}");
    assert_eq!(reads.iter().map(|(_, rows)| rows).sum::<u64>(), 4000);
    emulator.shutdown().await;
}

#[tokio::test]
async fn an_abort_carries_its_status_and_retry_info() {
    let root = numbered_table(500);
    let script = FaultScript::new()
        .fault(
            FaultTarget::CreateReadSession,
            0,
            1,
            FaultAction::abort(Code::PermissionDenied, "no"),
        )
        .fault(
            FaultTarget::Stream(0),
            0,
            1,
            FaultAction::Abort {
                code: Code::ResourceExhausted,
                message: "quota".to_owned(),
                retry_delay: Some(Duration::from_millis(1500)),
            },
        );
    let (emulator, client) = start(Emulator::builder().faults(script), &root).await;
    assert_eq!(
        status(open(&client, arrow_session()).await),
        ("PERMISSION_DENIED".to_owned(), "no".to_owned())
    );
    let session = open(&client, arrow_session()).await.unwrap();
    let error = read_once(&client, &session.streams[0].name, 0)
        .await
        .map(|d| d.ids())
        .unwrap_err();
    let status = error.status().unwrap();
    assert_eq!(status.code.name(), "RESOURCE_EXHAUSTED");
    let details = format!("{:?}", status.details);
    assert!(
        details.contains("RetryInfo") && details.contains("500000000"),
        "{details}"
    );
    emulator.shutdown().await;
}

#[tokio::test]
async fn a_connection_cut_inside_a_message_is_survived() {
    let root = numbered_table(4000);
    let script = FaultScript::new().fault(
        FaultTarget::AnyStream,
        2,
        1,
        FaultAction::Cut { after_bytes: 1000 },
    );
    let builder = Emulator::builder().message_bytes(20_000).faults(script);
    let (emulator, client) = start(builder, &root).await;
    let session = open(&client, arrow_session()).await.unwrap();
    assert_eq!(
        read_through(&client, &session).await,
        (0..4000).collect::<Vec<i64>>()
    );
    assert_eq!(reads(&emulator).len(), 2);
    emulator.shutdown().await;
}

#[tokio::test]
async fn any_seed_of_random_faults_gives_the_same_rows() {
    let root = numbered_table(2000);
    for seed in 0..20 {
        let script = FaultScript::new().random(RandomFaults {
            seed,
            percent: 60,
            attempts: 3,
            within_responses: 4,
        });
        let builder = Emulator::builder()
            .streams(NonZeroU32::new(3).unwrap())
            .message_bytes(4000)
            .faults(script);
        let (emulator, client) = start(builder, &root).await;
        let session = open(&client, arrow_session()).await.unwrap();
        assert_eq!(
            read_through(&client, &session).await,
            (0..2000).collect::<Vec<i64>>(),
            "seed {seed}"
        );
        emulator.shutdown().await;
    }
}

#[tokio::test]
async fn a_stalled_stream_sends_nothing_and_does_not_hold_up_a_shutdown() {
    let root = numbered_table(500);
    let script = FaultScript::new().fault(
        FaultTarget::AnyStream,
        0,
        1,
        FaultAction::Stall(Duration::from_secs(3600)),
    );
    let (emulator, client) = start(Emulator::builder().faults(script), &root).await;
    let session = open(&client, arrow_session()).await.unwrap();
    let mut responses = client
        .read_rows()
        .set_read_stream(&session.streams[0].name)
        .send()
        .await
        .unwrap();
    let silent = tokio::time::timeout(Duration::from_millis(300), responses.next()).await;
    assert!(silent.is_err());
    let stopped = tokio::time::timeout(Duration::from_secs(5), emulator.shutdown()).await;
    assert!(stopped.is_ok());
    assert!(responses.next().await.is_some_and(|r| r.is_err()));
}

#[tokio::test]
async fn an_expired_session_says_so_before_and_during_a_read() {
    let root = numbered_table(4000);
    let clock = Arc::new(ManualClock::new(
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000),
    ));
    let builder = Emulator::builder()
        .session_lifetime(Duration::from_secs(60))
        .message_bytes(2000)
        .clock(clock.clone());
    let (emulator, client) = start(builder, &root).await;
    let session = open(&client, arrow_session()).await.unwrap();
    let stream = &session.streams[0].name;
    let mut responses = client
        .read_rows()
        .set_read_stream(stream)
        .send()
        .await
        .unwrap();
    responses.next().await.unwrap().unwrap();
    clock.advance(Duration::from_secs(60));
    let expected = (
        "FAILED_PRECONDITION".to_owned(),
        format!(
            "there was an error operating on '{stream}': session expired at 2027-01-15T08:01:00+00:00"
        ),
    );
    assert_eq!(
        status(read_once(&client, stream, 0).await.map(|d| d.ids())),
        expected
    );
    let ended = loop {
        match responses.next().await {
            Some(Ok(_)) => {}
            Some(Err(e)) => break status::<()>(Err(e)),
            None => panic!("the stream ended cleanly after its session had expired"),
        }
    };
    assert_eq!(ended, expected);
    emulator.shutdown().await;
}
