//! Faults of the Write API, as they look to a client that does not hide them.

use googleapis_tonic_google_cloud_bigquery_storage_v1::google::cloud::bigquery::storage::v1 as proto;
use millpond_emulator::{Emulator, FaultAction, FaultScript, FaultTarget, LoggedCall, WriteMethod};
use proto::write_stream::Type;
use tonic::Code;

use crate::writes::*;

async fn start(faults: &str) -> Setup {
    let script = FaultScript::from_yaml(faults).unwrap();
    setup_with(Emulator::builder().faults(script)).await
}

#[tokio::test]
async fn a_connection_of_appends_ends_after_so_many_answers() {
    let mut setup = start(
        "faults: [{method: AppendRows, after_responses: 2, calls: 2, fault: {abort: {code: UNAVAILABLE, message: gone}}}]",
    )
    .await;
    let stream = make(&mut setup.writer, Type::Committed).await;
    let mut next = 0;
    for call in 0..3 {
        let requests = (next..next + 3)
            .map(|id| request(&stream, &[Some(id)], Some(id)))
            .collect();
        let answers = append(&mut setup.writer, requests).await;
        let written = if call < 2 { 2 } else { 3 };
        let expected: Vec<_> = (next..next + written).map(|id| Ok(Some(id))).collect();
        assert_eq!(outcomes(&answers[..written as usize]), expected);
        if call < 2 {
            let ended = answers[2].as_ref().unwrap_err();
            assert_eq!((ended.code(), ended.message()), (Code::Unavailable, "gone"));
        }
        next += written;
    }
    // What came with the fault was not written.
    assert_eq!(visible(&setup.emulator).await, (0..7).collect::<Vec<i64>>());
    let told = setup.emulator.requests().into_iter().filter(|call| {
        matches!(call, LoggedCall::Fault { method, subject, after_responses: 2, .. }
            if method == "AppendRows" && *subject == stream)
    });
    assert_eq!(told.count(), 2);
    setup.emulator.shutdown().await;
}

#[tokio::test]
async fn rows_whose_answer_was_lost_are_there_and_offsets_tell() {
    let mut setup =
        start("faults: [{method: AppendRows, after_responses: 1, fault: lose_answer}]").await;
    let stream = make(&mut setup.writer, Type::Committed).await;
    let requests = || {
        vec![
            request(&stream, &some(0..2), Some(0)),
            request(&stream, &some(2..4), Some(2)),
        ]
    };
    let answers = append(&mut setup.writer, requests()).await;
    // How much of the answers before arrives is the network's affair.
    assert!(answers.last().unwrap().is_err());
    assert_eq!(visible(&setup.emulator).await, [0, 1, 2, 3]);
    let again = append(&mut setup.writer, requests()).await;
    assert_eq!(outcomes(&again), [Err(EXISTS), Err(EXISTS)]);
    assert_eq!(visible(&setup.emulator).await, [0, 1, 2, 3]);
    setup.emulator.shutdown().await;
}

#[tokio::test]
async fn every_method_that_writes_can_fail() {
    let abort = || FaultAction::abort(Code::Internal, "broken");
    let methods = [
        WriteMethod::CreateWriteStream,
        WriteMethod::GetWriteStream,
        WriteMethod::FinalizeWriteStream,
        WriteMethod::FlushRows,
    ];
    let mut script = FaultScript::new().fault(
        FaultTarget::Write(WriteMethod::BatchCommitWriteStreams),
        0,
        1,
        FaultAction::LoseAnswer,
    );
    for method in methods {
        script = script.fault(FaultTarget::Write(method), 0, 1, abort());
    }
    let mut setup = setup_with(Emulator::builder().faults(script)).await;
    let writer = &mut setup.writer;
    let asked = proto::CreateWriteStreamRequest {
        parent: crate::harness::TABLE.to_owned(),
        write_stream: Some(proto::WriteStream {
            r#type: Type::Pending.into(),
            ..proto::WriteStream::default()
        }),
    };
    let refused = writer.create_write_stream(asked).await.unwrap_err();
    assert_eq!(refused.message(), "broken");
    let stream = make(writer, Type::Pending).await;
    append(writer, vec![request(&stream, &some(0..3), Some(0))]).await;
    let get = || proto::GetWriteStreamRequest {
        name: stream.clone(),
        ..proto::GetWriteStreamRequest::default()
    };
    let refused = writer.get_write_stream(get()).await.unwrap_err();
    assert_eq!(refused.message(), "broken");
    assert!(writer.get_write_stream(get()).await.is_ok());
    let flush = proto::FlushRowsRequest {
        write_stream: stream.clone(),
        offset: Some(0),
    };
    let refused = writer.flush_rows(flush).await.unwrap_err();
    assert_eq!(refused.message(), "broken");
    let finalize = || proto::FinalizeWriteStreamRequest {
        name: stream.clone(),
    };
    let refused = writer.finalize_write_stream(finalize()).await.unwrap_err();
    assert_eq!(refused.message(), "broken");
    writer.finalize_write_stream(finalize()).await.unwrap();
    let commit = || proto::BatchCommitWriteStreamsRequest {
        parent: crate::harness::TABLE.to_owned(),
        write_streams: vec![stream.clone()],
    };
    assert!(writer.batch_commit_write_streams(commit()).await.is_err());
    // Committed all the same.
    assert_eq!(visible(&setup.emulator).await, [0, 1, 2]);
    let again = writer.batch_commit_write_streams(commit()).await.unwrap();
    assert_eq!(again.into_inner().stream_errors.len(), 1);
    assert_eq!(visible(&setup.emulator).await, [0, 1, 2]);
    setup.emulator.shutdown().await;
}
