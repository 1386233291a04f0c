"""Rows that a run has paid for lie in Parquet files that others can read: pyarrow and DuckDB compare them with the table."""

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

ROWS = 60_000
INTEGERS = ("id", "rank", "wide", "leaps", "constant", "day", "at", "clock")
COLUMNS = (*INTEGERS, "score", "few", "rare", "unique", "mostly_null", "empty", "nothing")


def rows(seed=11):
    """Columns of texts that are kept in every form, as dictionaries of all widths and plain, and of all that is packed."""
    rng = np.random.default_rng(seed)
    texts = lambda kinds: pa.array([f"kind {k} of text" if k % 3 else f"{k}" for k in rng.integers(0, kinds, ROWS)])
    masked = lambda array, part: pa.array(array.to_pylist(), array.type, mask=rng.random(ROWS) < part)
    return pa.table({
        "id": pa.array(rng.permutation(ROWS), pa.int64()),
        "rank": pa.array(rng.integers(-5, 5, ROWS), mask=rng.random(ROWS) < 0.1),
        "wide": pa.array(rng.integers(-2**63, 2**63 - 1, ROWS), mask=rng.random(ROWS) < 0.2),
        "leaps": pa.array(np.where(np.arange(ROWS) % 2, 2**63 - 1, -2**63)),
        "constant": pa.array(np.full(ROWS, 7)),
        # Runs with and without values.
        "day": pa.array(rng.integers(-700_000, 2_900_000, ROWS), pa.int32(), mask=np.arange(ROWS) % 5_000 < 1_234).cast(pa.date32()),
        "at": pa.array(np.sort(rng.integers(0, 2**50, ROWS)), pa.timestamp("us"), mask=rng.random(ROWS) < 0.99),
        "clock": pa.array(rng.integers(0, 86_400_000_000, ROWS), pa.time64("us")),
        "score": pa.array(rng.standard_normal(ROWS), mask=rng.random(ROWS) < 0.1),
        "few": masked(texts(300), 0.2),
        "rare": texts(5_000),
        "unique": pa.array([f"{n:032x}" for n in rng.permutation(ROWS)]),
        "mostly_null": masked(texts(4), 0.99),
        "empty": pa.array([""] * ROWS),
        "nothing": pa.nulls(ROWS, pa.string()),
        # A word of the test rows that the training rows do not have, so that the run fails after all has been read.
        "word": pa.array(["seen" if n % 10 else "unseen" for n in range(ROWS)]),
        "part": pa.array(["train" if n % 10 else "test" for n in range(ROWS)]),
    })


def test_others_can_read_them(millpond, tmp_path):
    table = rows()
    place = tmp_path / "proj" / "shop" / "kept"
    place.mkdir(parents=True)
    pq.write_table(table, place / "rows.parquet", row_group_size=7_000)
    recipe = {
        "key": "id",
        "split": {"column": {"column": "part", "train": "train", "val": "val", "test": "test"}},
        "pass_through": [name for name in COLUMNS if name != "id"],
        "features": [{"columns": "word", "steps": [{"ordinal_encoder": {"order": "value", "handle_unknown": "error"}}], "suffix": "_code"}],
    }
    with millpond.emulator(tmp_path) as address:
        ended, out = millpond.start(recipe, "bigquery://proj.shop.kept", "--emulator", address)
    assert ended.code != 0 and "unseen" in ended.stderr, ended.stderr
    files = sorted(map(str, (out / ".millpond" / "rows").glob("*.parquet")))
    assert files, sorted(out.rglob("*"))
    expected = table.sort_by("id")
    # Plain texts, whatever the form in which they are kept.
    plain = pa.schema([expected.schema.field(name) for name in COLUMNS])
    found = pa.concat_tables([pq.read_table(file).select(COLUMNS).cast(plain) for file in files]).sort_by("id")
    names = ", ".join(f'"{name}"' for name in COLUMNS)
    judged = duckdb.sql(f"SELECT {names} FROM read_parquet({files}) ORDER BY id").fetchall()
    assert found.num_rows == len(judged) == ROWS
    for position, name in enumerate(COLUMNS):
        values = expected[name].to_pylist()
        assert found[name].to_pylist() == values, name
        assert [row[position] for row in judged] == values, name
    encodings = [
        {column.path_in_schema: column.encodings for column in map(group.column, range(group.num_columns))}
        for group in (pq.ParquetFile(file).metadata.row_group(0) for file in files)
    ]
    dictionaries = {name: ["RLE_DICTIONARY" in of[name] for of in encodings] for name in ("few", "unique")}
    packed = {name: {of[name] for of in encodings} for name in INTEGERS}
    assert all("DELTA_BINARY_PACKED" in found for of in packed.values() for found in of), packed
    # Texts that never repeat are tried again in larger row groups, and then left alone.
    assert all(dictionaries["few"]) and not all(dictionaries["unique"]), dictionaries
