//! Google's own Rust crate, all three of its clients: rows written by `Write` are counted by `BigQuery` and read by `Read`.

use arrow::array::RecordBatch;
use arrow_ipc::writer::StreamWriter;
use google_cloud_auth::credentials::anonymous;
use google_cloud_bigquery::client::{BigQuery, Write};
use google_cloud_bigquery::model::{ArrowRecordBatch, ArrowSchema};
use google_cloud_bigquery::write::format::Arrow;
use google_cloud_bigquery::write::{BufferedWriter, CommittedWriter, DefaultWriter, PendingWriter};
use millpond_emulator::{Emulator, RunningEmulator};
use serde_json::json;
use tempfile::TempDir;

use crate::harness::*;
use crate::tables::make_table;

/// Bytes of an IPC stream: its schema message, and how long that is.
fn schema() -> (Vec<u8>, usize) {
    let mut bytes = Vec::new();
    let writer = StreamWriter::try_new(&mut bytes, &rows(0, 0).schema()).unwrap();
    drop(writer);
    let length = bytes.len();
    (bytes, length)
}

fn arrow_schema() -> ArrowSchema {
    ArrowSchema::new().set_serialized_schema(schema().0)
}

/// Rows `from..to` as one record batch message, without the schema before it and the end of the stream behind it.
fn message(from: i64, to: i64) -> ArrowRecordBatch {
    let batch = rows(from, to);
    let mut bytes = Vec::new();
    StreamWriter::try_new(&mut bytes, &batch.schema())
        .unwrap()
        .write(&batch)
        .unwrap();
    ArrowRecordBatch::new().set_serialized_record_batch(bytes.split_off(schema().1))
}

struct Clients {
    emulator: RunningEmulator,
    write: Write,
    query: BigQuery,
    _root: TempDir,
}

impl Clients {
    async fn start() -> Self {
        let root = TempDir::new().unwrap();
        let emulator = Emulator::builder();
        let emulator = emulator.data_dir(root.path()).start().await.unwrap();
        make_table(
            &emulator,
            json!([{"name": "id", "type": "INT64", "mode": "REQUIRED"}, {"name": "name", "type": "STRING"}]),
        )
        .await;
        // The clients ask for a choice of cryptography even where there is none.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let nobody = || anonymous::Builder::new().build();
        let write = Write::builder()
            .with_endpoint(emulator.endpoint())
            .with_credentials(nobody())
            .build()
            .await
            .unwrap();
        let query = BigQuery::builder()
            .with_endpoint(emulator.endpoint())
            .with_credentials(nobody())
            .with_project_id("p")
            .build()
            .await
            .unwrap();
        Self {
            emulator,
            write,
            query,
            _root: root,
        }
    }

    /// Rows, the sum of their ids, and how many have no name, as SQL counts them.
    async fn counted(&self) -> (i64, i64, i64) {
        let sql = "SELECT COUNT(*) AS n, IFNULL(SUM(id), 0) AS ids, COUNTIF(name IS NULL) AS nameless FROM d.t";
        let done = self.query.query(sql).until_done().await.unwrap();
        let mut found = done.read();
        let row = found.next().await.unwrap().unwrap();
        assert!(found.next().await.is_none());
        (
            row.get("n").unwrap(),
            row.get("ids").unwrap(),
            row.get("nameless").unwrap(),
        )
    }

    /// All rows through the Storage Read API, by id.
    async fn read(&self) -> Vec<RecordBatch> {
        let read = client(&self.emulator).await;
        let session = open(&read, arrow_session()).await.unwrap();
        read_all(&read, &session).await
    }
}

/// What SQL should count of rows `0..to`.
fn expected(to: i64) -> (i64, i64, i64) {
    (
        to,
        (0..to).sum(),
        (0..to).filter(|i| i % 7 == 0).count() as i64,
    )
}

#[tokio::test]
async fn what_write_appends_bigquery_counts_and_read_reads() {
    let clients = Clients::start().await;
    assert_eq!(clients.counted().await, (0, 0, 0));

    let default: DefaultWriter<Arrow> = clients
        .write
        .open_default_stream(TABLE)
        .build_arrow(arrow_schema())
        .await
        .unwrap();
    default.append(message(0, 10)).send().await.unwrap();
    assert_eq!(clients.counted().await, expected(10));

    let committed: CommittedWriter<Arrow> = clients
        .write
        .create_stream(TABLE)
        .build_arrow(arrow_schema())
        .await
        .unwrap();
    // Two requests in flight, answered in their order.
    let first = committed.append(message(10, 20)).set_offset(0).send();
    let second = committed.append(message(20, 25)).set_offset(10).send();
    first.await.unwrap();
    second.await.unwrap();
    let again = committed.append(message(10, 20)).set_offset(0).send().await;
    assert!(again.is_err(), "rows of an offset that is taken came twice");
    committed.finalize().await.unwrap();
    assert_eq!(clients.counted().await, expected(25));

    let pending: PendingWriter<Arrow> = clients
        .write
        .create_stream(TABLE)
        .build_arrow(arrow_schema())
        .await
        .unwrap();
    pending
        .append(message(25, 30))
        .set_offset(0)
        .send()
        .await
        .unwrap();
    assert_eq!(pending.finalize().await.unwrap().row_count, 5);
    assert_eq!(clients.counted().await, expected(25));
    pending.commit().await.unwrap();
    assert_eq!(clients.counted().await, expected(30));

    let buffered: BufferedWriter<Arrow> = clients
        .write
        .create_stream(TABLE)
        .build_arrow(arrow_schema())
        .await
        .unwrap();
    buffered
        .append(message(30, 40))
        .set_offset(0)
        .send()
        .await
        .unwrap();
    assert_eq!(clients.counted().await, expected(30));
    assert_eq!(buffered.flush(6).await.unwrap().offset, 6);
    buffered.flush(9).await.unwrap();
    assert_eq!(clients.counted().await, expected(40));

    let mut found = ids(&clients.read().await);
    found.sort_unstable();
    assert_eq!(found, (0..40).collect::<Vec<_>>());
    clients.emulator.shutdown().await;
}

#[tokio::test]
async fn a_wrong_query_and_a_missing_table_are_told() {
    let clients = Clients::start().await;
    for (sql, words) in [
        ("SELECT nothing FROM d.t", "nothing"),
        ("SELECT 1 FROM d.absent", "absent"),
    ] {
        let error = clients.query.query(sql).until_done().await.err().unwrap();
        let chain = format!("{error:?}");
        assert!(chain.contains(words), "{chain}");
    }
    let missing = "projects/p/datasets/d/tables/absent";
    let opened = clients
        .write
        .create_stream::<google_cloud_bigquery::write::stream_type::PendingStream>(missing)
        .build_arrow(arrow_schema())
        .await;
    assert!(format!("{:?}", opened.err().unwrap()).contains("absent"));
    clients.emulator.shutdown().await;
}
