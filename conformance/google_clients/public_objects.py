"""The objects of public buckets that Google's tests read, with invented rows of the same columns."""

from pathlib import Path

import fastavro
import pyarrow as pa
import pyarrow.parquet as pq

# Each file of the folder has one column more than the one before it.
FOLDER = "cloud-samples-data/bigquery/federated-formats-reference-file-schema"
COLUMNS = {"username": "string", "tweet": "string", "timestamp": "string", "likes": "long"}
FILES = {"a": 4, "b": 3, "c": 2}


def _rows(count: int) -> list[dict]:
    names = list(COLUMNS)[:count]
    row = {"username": "somebody", "tweet": "something", "timestamp": "2020-01-01", "likes": 7}
    return [{name: row[name] for name in names}]


def write_public_objects(data: Path) -> None:
    """Writes every object below the buckets of the emulator's data directory."""
    folder = data / ".buckets" / FOLDER
    folder.mkdir(parents=True)
    for name, count in FILES.items():
        pq.write_table(pa.Table.from_pylist(_rows(count)), folder / f"{name}-twitter.parquet")
        fields = [{"name": column, "type": ["null", kind]} for column, kind in list(COLUMNS.items())[:count]]
        schema = fastavro.parse_schema({"type": "record", "name": "twitter", "fields": fields})
        with (folder / f"{name}-twitter.avro").open("wb") as out:
            fastavro.writer(out, schema, _rows(count))
