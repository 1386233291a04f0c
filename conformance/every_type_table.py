"""A table with a column of every BigQuery type, and the ends of each. Knows nothing of Millpond."""

import datetime as dt
import decimal
import json
import struct

import pyarrow as pa
import pyarrow.parquet as pq

UTC = dt.timezone.utc
D = decimal.Decimal
FIRST, LAST = dt.date(1, 1, 1), dt.date(9999, 12, 31)
FIRST_TIME, LAST_TIME = dt.datetime(1, 1, 1), dt.datetime(9999, 12, 31, 23, 59, 59, 999999)
ROWS = 8


def in_utc(time):
    return None if time is None else time.replace(tzinfo=UTC)


def interval(months, days, nanoseconds):
    """As the emulator keeps one: Parquet has no such type."""
    return struct.pack("<iiq", months, days, nanoseconds)


def span(kind):
    return pa.struct([pa.field("start", kind), pa.field("end", kind)])


def bounds(first, last):
    """Unbounded on either side, on both, no range at all, bounded."""
    shapes = [(first, None), (None, last), None, (None, None), (first, last), (first, first), (last, last), (first, last)]
    return [None if shape is None else dict(zip(("start", "end"), shape)) for shape in shapes]


GEO = pa.struct([("country", pa.string()), ("lat", pa.float64())])
USER = pa.struct([pa.field("age", pa.int64(), nullable=False), pa.field("geo", GEO), pa.field("tags", pa.list_(pa.field("item", pa.string())), nullable=False)])
ITEM = pa.struct([("sku", pa.string()), ("price", pa.decimal128(38, 9))])
USER_FIELDS = [
    {"name": "age", "type": "INTEGER", "mode": "REQUIRED"},
    {"name": "geo", "type": "RECORD", "fields": [{"name": "country", "type": "STRING"}, {"name": "lat", "type": "FLOAT"}]},
    {"name": "tags", "type": "STRING", "mode": "REPEATED"},
]
ITEM_FIELDS = [{"name": "sku", "type": "STRING"}, {"name": "price", "type": "NUMERIC"}]
BIG = D("9" * 38 + "." + "9" * 38)
LARGE = D("9" * 29 + "." + "9" * 9)
TIMES = [FIRST_TIME, LAST_TIME, None, dt.datetime(1970, 1, 1), dt.datetime(1969, 12, 31, 23, 59, 59, 999999), *(dt.datetime(2024, 2, 29, h) for h in (0, 12, 23))]

# Name, type in Parquet, values, type in BigQuery, what else BigQuery says of the column.
COLUMNS = [
    ("id", pa.int64(), list(range(ROWS)), "INTEGER", {"mode": "REQUIRED"}),
    ("part", pa.int64(), [0] * ROWS, "INTEGER", {}),
    ("int64", pa.int64(), [-(2**63), 2**63 - 1, None, 0, -1, 2**53 + 1, 7, -7], "INTEGER", {}),
    ("float64", pa.float64(), [1.7976931348623157e308, -1.7976931348623157e308, None, float("nan"), -0.0, 0.0, 5e-324, float("inf")], "FLOAT", {}),
    ("bool", pa.bool_(), [True, False, None, True, False, True, False, True], "BOOLEAN", {}),
    ("string", pa.string(), ["", "\x00\n\"'\\", None, "é😀", "x" * 10_000, "a", "a", " "], "STRING", {}),
    ("bytes", pa.binary(), [b"", bytes(range(256)), None, b"\xff", b"a", b"a", b"\x00", b"zz"], "BYTES", {}),
    ("date", pa.date32(), [FIRST, LAST, None, dt.date(1970, 1, 1), dt.date(1969, 12, 31), dt.date(2024, 2, 29), dt.date(1582, 10, 15), dt.date(1900, 2, 28)], "DATE", {}),
    ("time", pa.time64("us"), [dt.time(0), dt.time(23, 59, 59, 999999), None, dt.time(0, 0, 0, 1), *(dt.time(h) for h in (1, 2, 12, 23))], "TIME", {}),
    ("datetime", pa.timestamp("us"), TIMES, "DATETIME", {}),
    ("timestamp", pa.timestamp("us", "UTC"), [in_utc(t) for t in TIMES], "TIMESTAMP", {}),
    ("numeric", pa.decimal128(38, 9), [LARGE, LARGE.copy_negate(), None, D("0.000000001"), D(0), D("-1.5"), D(1), D(2)], "NUMERIC", {}),
    ("numeric_10_2", pa.decimal128(10, 2), [D("99999999.99"), D("-99999999.99"), None, D("0.01"), D(0), D("-1.5"), D(1), D(2)], "NUMERIC", {"precision": "10", "scale": "2"}),
    ("bignumeric", pa.decimal256(76, 38), [BIG, BIG.copy_negate(), None, D("1E-38"), D(0), D("-1.5"), D(1), D(2)], "BIGNUMERIC", {}),
    ("json", pa.string(), ['{"a":{"b":[1,2.5]},"n":"x"}', "[]", None, '"s"', '{"a":{"b":[7]}}', "null", "1e3", '{"a.b":{"c":"world"}}'], "JSON", {}),
    ("geography", pa.string(), ["POINT(-180 90)", "POINT EMPTY", None, "LINESTRING(0 0, 1 1)", "POINT(1.5 2)", "POINT(0 0)", "POLYGON((0 0, 1 0, 1 1, 0 0))", "POINT(3 4)"], "GEOGRAPHY", {}),
    ("wait", pa.binary(16), [interval(120_000, 3_660_000, 316_224_000_000_000_000), interval(-120_000, -3_660_000, -316_224_000_000_000_000), None, interval(0, 0, 0), interval(14, 3, 4_000_000_000), interval(-1, 2, -3_000), interval(0, 1, 0), interval(0, 0, 3_600_000_000_000)], "INTERVAL", {}),
    ("range_date", span(pa.date32()), bounds(FIRST, LAST), "RANGE", {"rangeElementType": {"type": "DATE"}}),
    ("range_datetime", span(pa.timestamp("us")), bounds(FIRST_TIME, LAST_TIME), "RANGE", {"rangeElementType": {"type": "DATETIME"}}),
    ("range_timestamp", span(pa.timestamp("us", "UTC")), bounds(in_utc(FIRST_TIME), in_utc(LAST_TIME)), "RANGE", {"rangeElementType": {"type": "TIMESTAMP"}}),
    ("numbers", pa.list_(pa.field("item", pa.int64())), [[1, 2], [], [2**63 - 1], [-(2**63), 0], [], [7], [5, 4, 3], [0]], "INTEGER", {"mode": "REPEATED"}),
    ("texts", pa.list_(pa.field("item", pa.string())), [["a", ""], [], ["é"], ["x"] * 100, [], ["b"], ["c"], ["d"]], "STRING", {"mode": "REPEATED"}),
    ("user", USER, [
        {"age": 5, "geo": {"country": "de", "lat": 1.5}, "tags": ["x"]},
        {"age": 6, "geo": {"country": None, "lat": -90.0}, "tags": []},
        None,
        {"age": 8, "geo": None, "tags": ["y", "z"]},
        {"age": 9, "geo": {"country": "", "lat": None}, "tags": [""]},
        *({"age": n, "geo": {"country": "fr", "lat": float(n)}, "tags": []} for n in (10, 11, 12)),
    ], "RECORD", {"fields": USER_FIELDS}),
    ("items", pa.list_(pa.field("item", ITEM)), [
        [{"sku": "a", "price": LARGE}, {"sku": "b", "price": None}], [], [{"sku": None, "price": D("1E-9")}], [], [],
        [{"sku": "", "price": D(2)}] * 3, [], [{"sku": "c", "price": D(0)}],
    ], "RECORD", {"mode": "REPEATED", "fields": ITEM_FIELDS}),
]


def table():
    """The table as it is written to Parquet."""
    fields = [pa.field(name, kind, nullable=more.get("mode") not in ("REQUIRED", "REPEATED")) for name, kind, _, _, more in COLUMNS]
    arrays = [pa.array(values, field.type) for (_, _, values, _, _), field in zip(COLUMNS, fields)]
    return pa.table(arrays, schema=pa.schema(fields))


def write(data):
    """Writes the table below `data`, where the emulator finds `proj.shop.every`."""
    place = data / "proj/shop/every"
    place.mkdir(parents=True)
    pq.write_table(table(), place / "part-0.parquet", row_group_size=3)
    schema = [{"name": name, "type": kind, **more} for name, _, _, kind, more in COLUMNS]
    (place / "table.json").write_text(json.dumps({"schema": schema, "createdUs": 0, "modifiedUs": 0}))
