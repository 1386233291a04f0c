"""Rows written by Google's Python clients and read back: every type, nulls and the ends of each.

    python -m pytest -p redirect google_clients/round_trips.py        with BIGQUERY_EMULATOR_HOST=http://127.0.0.1:PORT

The judge is what went in. Knows nothing of the emulator's own code.
"""

import datetime as dt
import decimal
import json
import math

import google.auth.credentials
import google.cloud.bigquery as bigquery
import pandas as pd
import pandas_gbq
import pytest
from google.cloud.bigquery import SchemaField

PROJECT = "millpond-conformance"
UTC = dt.timezone.utc
D = decimal.Decimal

# Name, type, the largest, the smallest and an ordinary value; a null follows.
SCALARS = [
    ("an_int64", "INT64", [2**63 - 1, -(2**63), 0]),
    ("a_float64", "FLOAT64", [1.7976931348623157e308, -math.inf, 5e-324]),
    ("a_bool", "BOOL", [True, False, True]),
    ("a_string", "STRING", ["", "héllo\n\t\"'`, ", "𝄞" * 9]),
    ("some_bytes", "BYTES", [b"", bytes(range(256)), b"\xff"]),
    ("a_date", "DATE", [dt.date(9999, 12, 31), dt.date(1, 1, 1), dt.date(1970, 1, 1)]),
    (
        "a_datetime",
        "DATETIME",
        [dt.datetime(9999, 12, 31, 23, 59, 59, 999_999), dt.datetime(1, 1, 1), dt.datetime(2024, 2, 29, 1, 2, 3)],
    ),
    ("a_time", "TIME", [dt.time(23, 59, 59, 999_999), dt.time(), dt.time(1, 2, 3)]),
    (
        "a_timestamp",
        "TIMESTAMP",
        [
            dt.datetime(9999, 12, 31, 23, 59, 59, 999_999, UTC),
            dt.datetime(1, 1, 1, tzinfo=UTC),
            dt.datetime(1969, 12, 31, 23, 59, 59, 1, UTC),
        ],
    ),
    ("a_numeric", "NUMERIC", [D("9" * 29 + "." + "9" * 9), D("-" + "9" * 29 + "." + "9" * 9), D("0.000000001")]),
    (
        "a_bignumeric",
        "BIGNUMERIC",
        [D("9" * 38 + "." + "9" * 38), D("-" + "9" * 38 + "." + "9" * 38), D("0." + "0" * 37 + "1")],
    ),
]

ROWS = 4


def _column(values):
    return [*values, None]


def _frame() -> pd.DataFrame:
    columns = {name: pd.Series(_column(values), dtype=object) for name, _, values in SCALARS}
    return pd.DataFrame({"row": range(ROWS), **columns})


def _schema() -> list[SchemaField]:
    return [SchemaField("row", "INT64"), *(SchemaField(name, kind) for name, kind, _ in SCALARS)]


def _plain(value):
    """A value without what pandas, db-dtypes and numpy put around it."""
    if value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, pd.Timestamp):
        return value.to_pydatetime()
    return value.item() if hasattr(value, "item") else value


def _same(found: pd.DataFrame) -> None:
    found = found.sort_values("row").reset_index(drop=True)
    assert len(found) == ROWS
    for name, kind, values in SCALARS:
        read = [_plain(value) for value in found[name]]
        assert read == _column(values), f"{name} {kind}"


@pytest.fixture(scope="module")
def client():
    credentials = google.auth.credentials.AnonymousCredentials()
    with bigquery.Client(project=PROJECT, credentials=credentials) as client:
        client.create_dataset("round_trips")
        yield client
        client.delete_dataset("round_trips", delete_contents=True)


@pytest.mark.parametrize("storage", [True, False], ids=["storage", "rest"])
def test_a_data_frame_is_loaded_and_listed(client, storage):
    table = f"{PROJECT}.round_trips.loaded_{storage}"
    config = bigquery.LoadJobConfig(schema=_schema())
    client.load_table_from_dataframe(_frame(), table, job_config=config).result()
    assert [(f.name, f.field_type) for f in client.get_table(table).schema][:3] == [
        ("row", "INTEGER"),
        ("an_int64", "INTEGER"),
        ("a_float64", "FLOAT"),
    ]
    _same(client.list_rows(table).to_dataframe(create_bqstorage_client=storage))
    query = f"SELECT * FROM `{table}`"
    _same(client.query(query).result().to_dataframe(create_bqstorage_client=storage))
    # Once more: appended to what is there.
    client.load_table_from_dataframe(_frame(), table, job_config=config).result()
    assert client.get_table(table).num_rows == 2 * ROWS


@pytest.mark.parametrize("storage", [True, False], ids=["storage", "rest"])
def test_pandas_gbq_writes_and_reads(client, storage):
    schema = [field.to_api_repr() for field in _schema()]
    table = f"round_trips.pandas_gbq_{storage}"
    options = {"project_id": PROJECT, "credentials": client._credentials}
    pandas_gbq.to_gbq(_frame(), table, table_schema=schema, progress_bar=False, **options)
    _same(pandas_gbq.read_gbq(f"SELECT * FROM {table}", use_bqstorage_api=storage, progress_bar_type=None, **options))
    with pytest.raises(pandas_gbq.gbq.TableCreationError):
        pandas_gbq.to_gbq(_frame(), table, table_schema=schema, progress_bar=False, **options)
    pandas_gbq.to_gbq(_frame(), table, table_schema=schema, if_exists="append", progress_bar=False, **options)
    pandas_gbq.to_gbq(_frame(), table, table_schema=schema, if_exists="replace", progress_bar=False, **options)
    _same(pandas_gbq.read_gbq(f"{PROJECT}.{table}", use_bqstorage_api=storage, progress_bar_type=None, **options))


# What a data frame has no type for, as newline-delimited JSON brings it and as rows give it.
NESTED = {
    "row": 0,
    "ints": [2**63 - 1, -(2**63)],
    "texts": [],
    "record": {"name": "ü", "days": ["0001-01-01", "9999-12-31"], "inner": {"x": -0.5}},
    "records": [{"x": 1, "y": None}, {"x": None, "y": "b"}],
    "json": {"a": [1, 2.5, None, "x"], "b": {}},
    "place": "POINT(-180 90)",
    "day_range": "[0001-01-01, UNBOUNDED)",
}

NESTED_SCHEMA = [
    SchemaField("row", "INT64"),
    SchemaField("ints", "INT64", "REPEATED"),
    SchemaField("texts", "STRING", "REPEATED"),
    SchemaField(
        "record",
        "RECORD",
        fields=[
            SchemaField("name", "STRING"),
            SchemaField("days", "DATE", "REPEATED"),
            SchemaField("inner", "RECORD", fields=[SchemaField("x", "FLOAT64")]),
        ],
    ),
    SchemaField(
        "records", "RECORD", "REPEATED", fields=[SchemaField("x", "INT64"), SchemaField("y", "STRING")]
    ),
    SchemaField("json", "JSON"),
    SchemaField("place", "GEOGRAPHY"),
    SchemaField("day_range", "RANGE", range_element_type="DATE"),
]


def test_nested_rows_come_back_the_same_by_both_ways(client):
    table = f"{PROJECT}.round_trips.nested"
    config = bigquery.LoadJobConfig(schema=NESTED_SCHEMA)
    client.load_table_from_json([NESTED, {"row": 1}], table, job_config=config).result()
    days = [dt.date(1, 1, 1), dt.date(9999, 12, 31)]
    wanted = {
        **NESTED,
        "record": {**NESTED["record"], "days": days},
        "day_range": {"start": dt.date(1, 1, 1), "end": None},
    }
    first, second = sorted((dict(row) for row in client.list_rows(table)), key=lambda row: row["row"])
    assert first == wanted
    empty = {"row": 1, "ints": [], "texts": [], "records": []}
    assert second == {**dict.fromkeys(NESTED), **empty}
    by_storage = client.list_rows(table).to_arrow(create_bqstorage_client=True).sort_by("row").to_pylist()
    assert json.loads(by_storage[0].pop("json")) == wanted["json"]
    assert by_storage[0] == {k: v for k, v in wanted.items() if k != "json"}
    assert by_storage[1] == second


def test_intervals_are_listed_to_their_ends(client):
    table = f"{PROJECT}.round_trips.intervals"
    texts = ["10000-0 3660000 87840000:0:0", "-10000-0 -3660000 -87840000:0:0", "1-2 3 4:5:6.789", None]
    rows = [{"row": index, "i": text} for index, text in enumerate(texts)]
    config = bigquery.LoadJobConfig(schema=[SchemaField("row", "INT64"), SchemaField("i", "INTERVAL")])
    client.load_table_from_json(rows, table, job_config=config).result()
    found = [row["i"] for row in sorted(client.list_rows(table), key=lambda row: row["row"])]
    # The client makes days of hours.
    days = 3_660_000 + 87_840_000 // 24
    assert (found[0].years, found[0].days, found[0].hours) == (10_000, days, 0)
    assert (found[1].years, found[1].days, found[1].hours) == (-10_000, -days, 0)
    assert (found[2].months, found[2].seconds, found[2].microseconds) == (2, 6, 789_000)
    assert found[3] is None


def test_rows_beyond_their_type_are_refused_and_nothing_is_written(client):
    table = f"{PROJECT}.round_trips.refused"
    client.create_table(bigquery.Table(table, schema=[SchemaField("n", "NUMERIC"), SchemaField("d", "DATE")]))
    for row in ({"n": "1" + "0" * 29}, {"n": "x"}, {"d": "10000-01-01"}, {"other": 1}):
        with pytest.raises(Exception, match="."):
            client.load_table_from_json([{"n": "1"}, row], table).result()
        assert client.insert_rows_json(table, [row])
    assert client.get_table(table).num_rows == 0


def test_a_sum_beyond_64_bits_is_an_error(client):
    most = 2**63 - 1
    with pytest.raises(Exception, match="int64 overflow"):
        client.query(f"SELECT SUM(x) FROM UNNEST([{most}, 1]) AS x").result()
    [(total,)] = client.query(f"SELECT SUM(x) FROM UNNEST([{most}, 1, -1]) AS x").result()
    assert total == most
