"""Reading with Google's Python client, and the clicks job on what was read, in Polars.

    python3 benches/peers/google_client.py read ENDPOINT PROJECT.DATASET.TABLE STREAMS
    python3 benches/peers/google_client.py job  ENDPOINT PROJECT.DATASET.TABLE STREAMS OUT

`read` counts rows and keeps nothing: one thread per stream, `reader.rows().pages` to Arrow, as the client's documentation shows.
`job` gathers the table in memory, which is what its users do, and runs the job of clicks.py on it.
"""

import json
import pathlib
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import grpc
from google.cloud.bigquery_storage_v1 import BigQueryReadClient, types
from google.cloud.bigquery_storage_v1.services.big_query_read.transports import BigQueryReadGrpcTransport

ANY_SIZE = [("grpc.max_receive_message_length", -1)]


def batches(client, stream):
    """The record batches of one stream."""
    for page in client.read_rows(stream.name).rows().pages:
        yield page.to_arrow()


def main():
    what, endpoint, table, streams, *out = sys.argv[1:]
    project, dataset, name = table.split(".")
    channel = grpc.insecure_channel(endpoint.removeprefix("http://"), options=ANY_SIZE)
    client = BigQueryReadClient(transport=BigQueryReadGrpcTransport(channel=channel))
    began = time.monotonic()
    session = client.create_read_session(
        parent=f"projects/{project}",
        read_session=types.ReadSession(
            table=f"projects/{project}/datasets/{dataset}/tables/{name}", data_format=types.DataFormat.ARROW
        ),
        max_stream_count=int(streams),
    )
    with ThreadPoolExecutor(max_workers=len(session.streams) or 1) as threads:
        if what == "read":
            counts = threads.map(lambda stream: sum(batch.num_rows for batch in batches(client, stream)), session.streams)
            print(json.dumps({"rows": sum(counts), "seconds": round(time.monotonic() - began, 3)}))
            return
        parts = list(threads.map(lambda stream: list(batches(client, stream)), session.streams))
    import polars as pl
    import pyarrow as pa
    from clicks import polars_frame

    rows = pl.from_arrow(pa.Table.from_batches([batch for part in parts for batch in part]))
    del parts
    out = pathlib.Path(*out)
    out.mkdir(parents=True)
    polars_frame(rows.lazy(), out)


main()
