//! Requests that are refused, with the codes and texts of the service.

use google_cloud_bigquery::model::read_session::{TableModifiers, TableReadOptions};
use google_cloud_bigquery::model::{DataFormat, ReadSession};
use millpond_emulator::{Emulator, StartError};
use tempfile::TempDir;

use crate::harness::*;

fn with_options(options: TableReadOptions) -> ReadSession {
    arrow_session().set_read_options(options)
}

fn with_snapshot(seconds: i64) -> ReadSession {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::SystemTime::UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let mut session = arrow_session();
    let timestamp = serde_json::json!(format!(
        "{}",
        chrono::DateTime::from_timestamp(now as i64 + seconds, 0)
            .unwrap()
            .to_rfc3339()
    ));
    let modifiers: TableModifiers =
        serde_json::from_value(serde_json::json!({"snapshotTime": timestamp})).unwrap();
    session.table_modifiers = Some(modifiers);
    session
}

#[tokio::test]
async fn bad_sessions_are_refused_as_the_service_refuses_them() {
    let root = numbered_table(100);
    std::fs::create_dir_all(root.path().join("p/d/no_files")).unwrap();
    let (emulator, client) = start(Emulator::builder(), &root).await;
    let filter = |text: &str| with_options(TableReadOptions::new().set_row_restriction(text));
    let fields = |text: &str| with_options(TableReadOptions::new().set_selected_fields([text]));
    let table = |dataset: &str, table: &str| {
        arrow_session().set_table(format!("projects/p/datasets/{dataset}/tables/{table}"))
    };
    let cases = [
        (table("d", "nope"), "NOT_FOUND", "Not found: Table p:d.nope"),
        (
            table("d", "no_files"),
            "NOT_FOUND",
            "Not found: Table p:d.no_files",
        ),
        (table("nope", "t"), "NOT_FOUND", "Not found: Dataset p:nope"),
        (
            table("d", ".."),
            "INVALID_ARGUMENT",
            "request failed: table id \"..\" holds the character '.', which is not allowed",
        ),
        (
            table("d", "t/../../d/tables/t"),
            "INVALID_ARGUMENT",
            "request failed: resource \"projects/p/datasets/d/tables/t/../../d/tables/t\" does not have the form projects/P/datasets/D/tables/T",
        ),
        (
            fields("id.x"),
            "INVALID_ARGUMENT",
            "request failed: The following selected fields do not exist in the table schema: id.x",
        ),
        (
            filter("no_such_column = 1"),
            "INVALID_ARGUMENT",
            "request failed: Row filter for table p:d.t is invalid. Filter is '(no_such_column = 1)'",
        ),
        (
            filter(&"x".repeat((1 << 20) + 1)),
            "INVALID_ARGUMENT",
            "read_session.read_options.row_restriction exceeded maximum allowed length. Maximum bytes allowed: 1048576",
        ),
        (
            with_snapshot(-8 * 86_400),
            "INVALID_ARGUMENT",
            "time travel timestamp exceeds the maximum time travel duration of 168h",
        ),
        (
            arrow_session().set_data_format(DataFormat::Unspecified),
            "INVALID_ARGUMENT",
            "request failed: data format must be ARROW or AVRO",
        ),
    ];
    for (session, code, message) in cases {
        assert_eq!(
            status(open(&client, session).await),
            (code.to_owned(), message.to_owned())
        );
    }
    assert!(open(&client, with_snapshot(-6 * 86_400)).await.is_ok());
    let (code, _) = status(open(&client, with_snapshot(3600)).await);
    assert_eq!(code, "INVALID_ARGUMENT");
    let reversed = client
        .create_read_session()
        .set_parent("projects/p")
        .set_read_session(arrow_session())
        .set_max_stream_count(2)
        .set_preferred_min_stream_count(3)
        .send()
        .await;
    assert_eq!(status(reversed).0, "INVALID_ARGUMENT");
    emulator.shutdown().await;
}

#[tokio::test]
async fn streams_that_do_not_exist_are_not_found() {
    let root = numbered_table(100);
    let (emulator, client) = start(Emulator::builder(), &root).await;
    let session = open(&client, arrow_session()).await.unwrap();
    let stream = &session.streams[0].name;
    for unknown in [
        "x".to_owned(),
        format!("{stream}9"),
        stream.replace("sessions/", "sessions/x"),
        format!("{}/streams/x", session.name),
    ] {
        let (code, message) = status(read_once(&client, &unknown, 0).await.map(|d| d.ids()));
        assert_eq!(code, "NOT_FOUND");
        assert_eq!(
            message,
            format!("Requested entity was not found. Entity: {unknown}")
        );
    }
    let (code, _) = status(read_once(&client, stream, -1).await.map(|d| d.ids()));
    assert_eq!(code, "INVALID_ARGUMENT");
    emulator.shutdown().await;
}

#[tokio::test]
async fn a_file_that_is_no_parquet_is_an_internal_error_and_not_a_crash() {
    let root = TempDir::new().unwrap();
    let directory = root.path().join("p/d/t");
    std::fs::create_dir_all(&directory).unwrap();
    std::fs::write(
        directory.join("a.parquet"),
        b"PAR1 this is not Parquet PAR1",
    )
    .unwrap();
    let (emulator, client) = start(Emulator::builder(), &root).await;
    let (code, message) = status(open(&client, arrow_session()).await);
    assert_eq!(code, "INTERNAL");
    assert!(message.contains("a.parquet"), "{message}");
    emulator.shutdown().await;
}

#[tokio::test]
async fn it_listens_on_loopback_only_and_refuses_a_missing_directory() {
    let root = numbered_table(10);
    let emulator = serve(&root).await;
    assert!(emulator.local_addr().ip().is_loopback());
    let taken = Emulator::builder()
        .data_dir(root.path())
        .port(emulator.local_addr().port())
        .start()
        .await;
    assert!(matches!(taken, Err(StartError::Listen { .. })));
    let missing = Emulator::builder()
        .data_dir(root.path().join("nope"))
        .start()
        .await;
    assert!(matches!(missing, Err(StartError::DataDirMissing { .. })));
    emulator.shutdown().await;
}
