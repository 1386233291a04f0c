//! Reads a whole BigQuery table and prints one line of JSON: rows, bytes of the messages or batches, seconds, peak memory.
//!
//! `read_path bare|decoded|engine ENDPOINT PROJECT.DATASET.TABLE STREAMS`
//!
//! `bare` is Google's Rust client alone, its messages counted and dropped; `decoded` turns them into record batches with the
//! Arrow crate; `engine` is Millpond's scan: decoding, permits, offsets, everything needed to go on after a failure.

use std::time::Instant;

use arrow_ipc::reader::StreamDecoder;
use futures::TryStreamExt;
use google_cloud_auth::credentials::anonymous;
use google_cloud_bigquery::client::Read;
use google_cloud_bigquery::model::{DataFormat, ReadSession, ReadStream};
use millpond::{BigQueryOptions, ByteSize, ScanOptions, Source, TableScan};
use tokio::task::JoinSet;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[derive(Clone, Copy)]
enum Decode {
    No,
    Yes,
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [how, endpoint, table, streams] = args.as_slice() else {
        return Err(
            "usage: read_path bare|decoded|engine ENDPOINT PROJECT.DATASET.TABLE STREAMS".into(),
        );
    };
    let streams: u32 = streams.parse()?;
    let began = Instant::now();
    let (rows, bytes) = match how.as_str() {
        "bare" => client(endpoint, table, streams, Decode::No).await?,
        "decoded" => client(endpoint, table, streams, Decode::Yes).await?,
        "engine" => engine(endpoint, table, streams).await?,
        other => return Err(format!("{other} is none of bare, decoded and engine").into()),
    };
    let seconds = began.elapsed().as_secs_f64();
    println!(r#"{{"rows": {rows}, "bytes": {bytes}, "seconds": {seconds:.3}}}"#);
    Ok(())
}

/// Google's client, as its documentation shows it: one task per stream.
async fn client(
    endpoint: &str,
    table: &str,
    streams: u32,
    decode: Decode,
) -> Result<(u64, u64), Failure> {
    let [project, dataset, name] = table.split('.').collect::<Vec<_>>()[..] else {
        return Err(format!("{table} is not PROJECT.DATASET.TABLE").into());
    };
    let client = Read::builder()
        .with_endpoint(endpoint)
        .with_credentials(anonymous::Builder::new().build())
        .build()
        .await?;
    let session = client
        .create_read_session()
        .set_parent(format!("projects/{project}"))
        .set_max_stream_count(i32::try_from(streams)?)
        .set_read_session(
            ReadSession::new()
                .set_data_format(DataFormat::Arrow)
                .set_table(format!(
                    "projects/{project}/datasets/{dataset}/tables/{name}"
                )),
        )
        .send()
        .await?;
    let schema = session
        .arrow_schema()
        .map(|schema| schema.serialized_schema.clone())
        .unwrap_or_default();
    let mut readers = JoinSet::new();
    for stream in session.streams {
        readers.spawn(read(client.clone(), stream, schema.clone(), decode));
    }
    let mut sums = (0, 0);
    while let Some(read) = readers.join_next().await {
        let (rows, bytes) = read??;
        sums = (sums.0 + rows, sums.1 + bytes);
    }
    Ok(sums)
}

async fn read(
    client: Read,
    stream: ReadStream,
    schema: bytes::Bytes,
    decode: Decode,
) -> Result<(u64, u64), Failure> {
    let mut decoder = StreamDecoder::new();
    decoder.decode(&mut schema.into())?;
    let mut reader = client
        .read_rows()
        .set_read_stream(stream.name)
        .into_reader();
    let (mut rows, mut bytes) = (0, 0);
    while let Some(response) = reader.next().await.transpose()? {
        let Some(message) = response.arrow_record_batch() else {
            continue;
        };
        bytes += message.serialized_record_batch.len() as u64;
        match decode {
            Decode::No => rows += u64::try_from(response.row_count)?,
            Decode::Yes => {
                let mut buffer = message.serialized_record_batch.clone().into();
                while let Some(batch) = decoder.decode(&mut buffer)? {
                    rows += batch.num_rows() as u64;
                }
            }
        }
    }
    Ok((rows, bytes))
}

async fn engine(endpoint: &str, table: &str, streams: u32) -> Result<(u64, u64), Failure> {
    let options = BigQueryOptions {
        max_stream_count: Some(streams),
        ..BigQueryOptions::default()
    };
    let scan = TableScan::open(
        Source::bigquery_with(table, options),
        ScanOptions::default()
            .emulator(endpoint)
            .memory(ByteSize::gib(1)),
    )
    .await?;
    let mut readers = JoinSet::new();
    for unit in 0..scan.units().len() {
        let mut batches = scan.read(unit)?;
        readers.spawn(async move {
            let (mut rows, mut bytes) = (0, 0);
            while let Some(batch) = batches.try_next().await? {
                rows += batch.num_rows() as u64;
                bytes += batch
                    .columns()
                    .iter()
                    .map(|column| column.to_data().get_slice_memory_size().unwrap_or(0) as u64)
                    .sum::<u64>();
            }
            Ok::<_, Failure>((rows, bytes))
        });
    }
    let mut sums = (0, 0);
    while let Some(read) = readers.join_next().await {
        let (rows, bytes) = read??;
        sums = (sums.0 + rows, sums.1 + bytes);
    }
    Ok(sums)
}
