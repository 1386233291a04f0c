"""Reading with Google's Python client, and the clicks job on what was read, in Polars.

    python3 benches/peers/google_client.py read   ENDPOINT PROJECT.DATASET.TABLE STREAMS
    python3 benches/peers/google_client.py job    ENDPOINT PROJECT.DATASET.TABLE STREAMS OUT
    python3 benches/peers/google_client.py offset ENDPOINT PROJECT.DATASET.TABLE CHUNK_ROWS OUT

`read` counts rows and keeps nothing: one thread per stream, `reader.rows().pages` to Arrow, as the client's documentation shows.
`job` gathers the table in memory, which is what its users do, and runs the job of clicks.py on it. `offset` does the same with one query
per chunk, LIMIT and OFFSET in the order of row_id, rows as JSON by pages: what people do who have not met the Storage API.
"""

import json
import pathlib
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import grpc
import pyarrow as pa
from google.cloud.bigquery_storage_v1 import BigQueryReadClient, types
from google.cloud.bigquery_storage_v1.services.big_query_read.transports import BigQueryReadGrpcTransport

ANY_SIZE = [("grpc.max_receive_message_length", -1)]


def batches(client, stream):
    """The record batches of one stream."""
    for page in client.read_rows(stream.name).rows().pages:
        yield page.to_arrow()


def chunks(endpoint, table, rows):
    """The table chunk by chunk, until one is empty."""
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import bigquery

    project, _, _ = table.split(".")
    client = bigquery.Client(project=project, credentials=AnonymousCredentials(), client_options={"api_endpoint": endpoint})
    offset = 0
    while True:
        query = client.query(f"SELECT * FROM `{table}` ORDER BY row_id LIMIT {rows} OFFSET {offset}")
        chunk = query.to_arrow(create_bqstorage_client=False)
        if chunk.num_rows == 0:
            return
        yield chunk
        offset += rows


def run_job(rows, out):
    """The job of clicks.py on an Arrow table."""
    import polars as pl
    from clicks import polars_frame

    out.mkdir(parents=True)
    polars_frame(pl.from_arrow(rows).lazy(), out)


def main():
    what, endpoint, table, number, *out = sys.argv[1:]
    if what == "offset":
        run_job(pa.concat_tables(list(chunks(endpoint, table, int(number)))), pathlib.Path(*out))
        return
    project, dataset, name = table.split(".")
    channel = grpc.insecure_channel(endpoint.removeprefix("http://"), options=ANY_SIZE)
    client = BigQueryReadClient(transport=BigQueryReadGrpcTransport(channel=channel))
    began = time.monotonic()
    session = client.create_read_session(
        parent=f"projects/{project}",
        read_session=types.ReadSession(
            table=f"projects/{project}/datasets/{dataset}/tables/{name}", data_format=types.DataFormat.ARROW
        ),
        max_stream_count=int(number),
    )
    with ThreadPoolExecutor(max_workers=len(session.streams) or 1) as threads:
        if what == "read":
            counts = threads.map(lambda stream: sum(batch.num_rows for batch in batches(client, stream)), session.streams)
            print(json.dumps({"rows": sum(counts), "seconds": round(time.monotonic() - began, 3)}))
            return
        parts = list(threads.map(lambda stream: list(batches(client, stream)), session.streams))
    rows = pa.Table.from_batches([batch for part in parts for batch in part])
    del parts
    run_job(rows, pathlib.Path(*out))


main()
