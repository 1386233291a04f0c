//! Measures how fast the official client can read a table through the emulator, and what the process needs for it.
//!
//! `cargo run --release -p millpond-emulator --example throughput -- DATA PROJECT DATASET TABLE STREAMS`
//!
//! Server and client share the process; bytes are those of the Arrow messages; nothing is decoded.

use std::num::NonZeroU32;
use std::path::Path;
use std::time::Instant;

use google_cloud_auth::credentials::anonymous;
use google_cloud_bigquery::client::Read;
use google_cloud_bigquery::model::{DataFormat, ReadSession};
use millpond_emulator::Emulator;
use tokio::task::JoinSet;

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [data, project, dataset, table, streams] = args.as_slice() else {
        return Err("usage: throughput DATA PROJECT DATASET TABLE STREAMS".into());
    };
    let streams: NonZeroU32 = streams.parse()?;
    let emulator = Emulator::builder()
        .data_dir(Path::new(data))
        .streams(streams)
        .start()
        .await?;
    let client = Read::builder()
        .with_endpoint(emulator.endpoint())
        .with_credentials(anonymous::Builder::new().build())
        .build()
        .await?;
    let began = Instant::now();
    let session = client
        .create_read_session()
        .set_parent(format!("projects/{project}"))
        .set_read_session(
            ReadSession::new()
                .set_data_format(DataFormat::Arrow)
                .set_table(format!(
                    "projects/{project}/datasets/{dataset}/tables/{table}"
                )),
        )
        .send()
        .await?;
    let opened = began.elapsed();
    let mut readers = JoinSet::new();
    for stream in session.streams {
        let client = client.clone();
        readers.spawn(async move {
            let mut reader = client
                .read_rows()
                .set_read_stream(stream.name)
                .into_reader();
            let (mut rows, mut bytes, mut responses) = (0, 0, 0);
            while let Some(response) = reader.next().await.transpose()? {
                rows += response.row_count;
                bytes += response
                    .arrow_record_batch()
                    .map_or(0, |b| b.serialized_record_batch.len());
                responses += 1;
            }
            Ok::<_, google_cloud_bigquery::Error>((rows, bytes, responses))
        });
    }
    let (mut rows, mut bytes, mut responses) = (0, 0, 0);
    while let Some(read) = readers.join_next().await {
        let (r, b, n) = read??;
        rows += r;
        bytes += b;
        responses += n;
    }
    let seconds = began.elapsed().as_secs_f64();
    println!("session    {opened:?}");
    println!("rows       {rows}");
    println!(
        "bytes      {bytes} in {responses} responses of {} on average",
        bytes / responses.max(1)
    );
    println!("seconds    {seconds:.2}");
    println!("GB/s       {:.2}", bytes as f64 / seconds / 1e9);
    if let Some(peak) = peak_rss() {
        println!("peak RSS   {peak}");
    }
    emulator.shutdown().await;
    Ok(())
}

/// The kernel's own account of the largest resident set so far.
fn peak_rss() -> Option<String> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|l| l.starts_with("VmHWM:"))?;
    Some(line.trim_start_matches("VmHWM:").trim().to_owned())
}
