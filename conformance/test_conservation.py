"""No row is lost, doubled or in the wrong split: DuckDB counts, and carries out the SQL that Millpond prints."""

import datetime as dt
import json
import re

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from millpond_process import SPLITS, Output

ROWS = 20_000


def orders(seed=41):
    rng = np.random.default_rng(seed)
    start = dt.datetime(1969, 12, 30, tzinfo=dt.timezone.utc)
    micros = rng.integers(0, 10**9, ROWS)
    at = [start + dt.timedelta(seconds=int(s), microseconds=int(m) if s % 3 else 0) for s, m in zip(rng.integers(0, 10**6, ROWS), micros % 10**6)]
    texts = np.array([f"kunde {int(v)} ü" if v % 5 else "" for v in rng.integers(0, 4_000, ROWS)], dtype=object)
    return pa.table({
        "row": pa.array(range(ROWS), pa.int64()),
        "number": pa.array(rng.integers(-(2**62), 2**62, ROWS), mask=rng.random(ROWS) < 0.02),
        "text": pa.array(texts, pa.string(), mask=rng.random(ROWS) < 0.03),
        "flag": pa.array(rng.random(ROWS) < 0.5),
        "day": pa.array(rng.integers(-800, 25_000, ROWS).astype("datetime64[D]")),
        "at": pa.array(at, pa.timestamp("us", tz="UTC")),
        "local": pa.array([t.replace(tzinfo=None) for t in at], pa.timestamp("us")),
        "part": pa.array(rng.choice(["train", "val", "validation", "test"], ROWS)),
        "price": pa.array(rng.standard_normal(ROWS), mask=rng.random(ROWS) < 0.1),
    })


@pytest.fixture(scope="module")
def table(millpond):
    """The rows as three files."""
    rows = orders()
    place = millpond.scratch / "orders"
    place.mkdir()
    for number, (start, end) in enumerate([(0, 9_000), (9_000, 9_001), (9_001, ROWS)]):
        pq.write_table(rows.slice(start, end - start), place / f"{number}.parquet", row_group_size=2_500)
    return f"{place}/*.parquet"


def connect(table, output):
    """The raw rows as `rows`, and key and split of what was written as `written`. Every result is read to its end: a
    function cannot be added while one is open.
    """
    db = duckdb.connect()
    shards = [f"SELECT row, '{split}' AS split FROM read_parquet('{output.path}/{split}/*.parquet')" for split in SPLITS]
    for statement in (
        "SET TimeZone = 'UTC'",
        f"CREATE VIEW rows AS SELECT * FROM read_parquet('{table}')",
        "CREATE VIEW written AS " + " UNION ALL ".join(shards),
    ):
        db.execute(statement)
    return db


def recipe(split, **more):
    return {"key": "row", "split": split, "features": [{"columns": ["price"], "steps": ["standard_scaler"]}], **more}


def check_counts(db, output, where="TRUE"):
    """Rows in = train + val + test + filtered, every key once, and none that `where` leaves out."""
    rows = output.report["rows"]
    assert rows["read"] == ROWS
    kept = db.execute(f"SELECT count(*) FROM rows WHERE {where}").fetchall()[0][0]
    assert rows["filtered"] == ROWS - kept
    for split in SPLITS:
        assert rows[split] == db.execute("SELECT count(*) FROM written WHERE split = ?", [split]).fetchall()[0][0]
    assert rows["train"] + rows["val"] + rows["test"] + rows["filtered"] == ROWS
    assert db.execute("SELECT count(*), count(DISTINCT row) FROM written").fetchall()[0] == (kept, kept)
    missing = db.execute(f"SELECT count(*) FROM rows WHERE ({where}) AND row NOT IN (SELECT row FROM written)").fetchall()[0][0]
    assert missing == 0


HASHES = {
    "number": {"columns": "number"},
    "text": {"columns": "text"},
    "flag_and_day": {"columns": ["flag", "day"]},
    "text_number": {"columns": ["text", "number"], "seed": 7},
    "seeded": {"columns": "number", "seed": -3, "ratios": {"train": 0.6, "val": 0.25, "test": 0.15}},
    "uneven": {"columns": "row", "ratios": {"train": 0.333, "val": 0.3335, "test": 0.3335}},
    "thirds": {"columns": "row", "ratios": {"train": 1 / 3, "val": 1 / 3, "test": 1 / 3}},
}


def standard_sql(sql):
    """BigQuery's lexical rules as DuckDB's: names in double quotes, escapes in texts resolved."""

    def text(match):
        body = re.sub(r"\\u([0-9a-f]{4})", lambda m: chr(int(m[1], 16)), match[1])
        body = body.replace("\\'", "''").replace("\\\\", "\\")
        return f"'{body}'"

    sql = re.sub(r"'((?:[^'\\]|\\.)*)'", text, sql)
    return re.sub(r"`([^`]*)`", r'"\1"', sql)


def with_fingerprint(db):
    """FARM_FINGERPRINT from the farmhash package, not from Millpond."""
    farmhash = pytest.importorskip("farmhash", reason="pyfarmhash is not installed")

    def fingerprint(text: str) -> int:
        value = farmhash.fingerprint64(text)
        return value - 2**64 if value >= 2**63 else value

    assert fingerprint("2024-01-01") == -2292598919038380741
    db.create_function("FARM_FINGERPRINT", fingerprint, ["VARCHAR"], "BIGINT")
    return db


def check_rule(db, sql):
    """Every row lies in the split that the SQL gives it, and each split has rows."""
    wrong, splits = db.execute(
        f"SELECT count(*) FILTER (WHERE w.split <> rule), count(DISTINCT rule) FROM (SELECT row, {standard_sql(sql)} AS rule FROM rows) JOIN written AS w USING (row)"
    ).fetchall()[0]
    assert wrong == 0, f"{wrong} rows lie elsewhere than by {sql}"
    assert splits == 3


@pytest.mark.parametrize("name", HASHES)
def test_hash_split_is_the_printed_sql(millpond, table, name):
    written = recipe({"hash": HASHES[name]})
    output = millpond.run(written, table)
    db = connect(table, output)
    check_counts(db, output)
    sql = output.fitted["split_sql"]
    assert "FARM_FINGERPRINT" in sql
    check_rule(with_fingerprint(db), sql)


def test_plan_prints_the_same_sql(millpond, table):
    place = millpond.scratch / "plan.yaml"
    place.write_text(json.dumps(recipe({"hash": HASHES["text_number"]})))
    ended = millpond.call("plan", place, "--source", table, "--json")
    assert ended.code == 0, ended.stderr
    plan = json.loads(ended.stdout)
    output = millpond.run(recipe({"hash": HASHES["text_number"]}), table)
    assert plan["split_sql"] == output.fitted["split_sql"]
    assert plan["rows_estimated"] == ROWS
    assert millpond.call("plan", place, "--source", table).stdout.count(plan["split_sql"]) == 1


def test_the_default_hash_is_the_idiom_people_write(millpond, table):
    """MOD(ABS(FARM_FINGERPRINT(CAST(key AS STRING))), 10) < 8, for keys that are not null."""
    output = millpond.run(recipe({"hash": {"columns": "number"}}), table)
    db = with_fingerprint(connect(table, output))
    wrong = db.execute(
        """SELECT count(*) FROM rows JOIN written AS w USING (row) WHERE number IS NOT NULL
        AND (w.split = 'train') <> (abs(FARM_FINGERPRINT(CAST(number AS VARCHAR))) % 10 < 8)"""
    ).fetchall()[0][0]
    assert wrong == 0


def test_equal_keys_share_a_split(millpond, table):
    output = millpond.run(recipe({"hash": {"columns": "text"}}), table)
    db = connect(table, output)
    torn = db.execute(
        "SELECT count(*) FROM (SELECT text FROM rows JOIN written USING (row) GROUP BY text HAVING count(DISTINCT split) > 1)"
    ).fetchall()[0][0]
    assert torn == 0
    assert db.execute("SELECT count(DISTINCT text) FROM rows").fetchall()[0][0] > 1_000


@pytest.mark.parametrize(
    "column, val_from, test_from",
    [
        ("at", "1970-01-05T00:00:00Z", "1970-01-09T12:30:00+02:00"),
        ("day", "2000-01-01", "2024-02-29"),
        ("local", "1970-01-05", "1970-01-09T10:30:00"),
    ],
)
def test_time_split_is_the_printed_sql(millpond, table, column, val_from, test_from):
    output = millpond.run(recipe({"time": {"column": column, "val_from": val_from, "test_from": test_from}}), table)
    db = connect(table, output)
    check_counts(db, output)
    check_rule(db, output.fitted["split_sql"].replace("DATETIME '", "TIMESTAMP '").replace("TIMESTAMP '", "TIMESTAMPTZ '" if column == "at" else "TIMESTAMP '"))
    ordered = db.execute(
        f"""SELECT (SELECT max("{column}") FROM rows JOIN written USING (row) WHERE split = 'train')
                 < (SELECT min("{column}") FROM rows JOIN written USING (row) WHERE split = 'val')"""
    ).fetchall()[0][0]
    assert ordered


def test_column_split_is_the_column(millpond, table):
    output = millpond.run(recipe({"column": {"column": "part"}}), table)
    db = connect(table, output)
    check_counts(db, output)
    check_rule(db, output.fitted["split_sql"])
    same = "CASE part WHEN 'validation' THEN 'val' ELSE part END"
    assert db.execute(f"SELECT count(*) FROM rows JOIN written AS w USING (row) WHERE w.split <> {same}").fetchall()[0][0] == 0


@pytest.mark.parametrize(
    "where",
    [
        "price > 0.5",
        "price IS NOT NULL AND flag",
        "text LIKE 'kunde 1%' OR number < 0",
        "day >= DATE '1990-01-01' AND day < DATE '2010-01-01'",
        "\"row\" BETWEEN 8990 AND 9050",
    ],
)
def test_filtered_rows_are_counted(millpond, table, where):
    output = millpond.run(recipe({"hash": {"columns": "row"}}, where=where), table)
    check_counts(connect(table, output), output, where)


def test_statistics_are_those_of_the_training_rows_that_were_kept(millpond, table):
    output = millpond.run(recipe({"hash": {"columns": "row"}}, where="flag"), table)
    db = connect(table, output)
    step = output.feature_entries()[0]["steps"][0]
    mean, variance, count = db.execute(
        "SELECT avg(price), var_pop(price), count(price) FROM rows JOIN written USING (row) WHERE split = 'train'"
    ).fetchall()[0]
    assert step["mean_"] == pytest.approx(mean, rel=1e-9)
    assert step["var_"] == pytest.approx(variance, rel=1e-9)
    assert step["n_samples_seen_"] == count


def test_a_limit_is_exact_and_repeatable(millpond, table):
    results = []
    for slots in (1, 3):
        output = millpond.run(recipe({"hash": {"columns": "row"}}), table, "--limit", 9_100, "--slots", slots)
        rows = output.report["rows"]
        assert rows["train"] + rows["val"] + rows["test"] == 9_100
        results.append(connect(table, output).execute("SELECT list(row ORDER BY row) FROM written").fetchall()[0][0])
    assert results[0] == results[1]


def test_a_query_source_keeps_its_rows(millpond, table):
    query = {"query": "SELECT * FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY text ORDER BY row DESC) AS version FROM orders) AS o WHERE version = 1", "tables": {"orders": table}}
    place = millpond.scratch / "query"
    place.mkdir()
    (place / "recipe.yaml").write_text(json.dumps(recipe({"hash": {"columns": "row"}}, source=query)))
    ended = millpond.call("run", place / "recipe.yaml", "--out", place / "out", "--quiet")
    assert ended.code == 0, ended.stderr
    db = connect(table, Output(place / "out"))
    expected = db.execute("SELECT list(row ORDER BY row) FROM (SELECT max(row) AS row FROM rows GROUP BY text)").fetchall()[0][0]
    assert db.execute("SELECT list(row ORDER BY row) FROM written").fetchall()[0][0] == expected
