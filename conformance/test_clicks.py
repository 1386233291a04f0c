"""The job "clicks" on 200,000 rows: DuckDB computes the same statistics and ids over the same training rows."""

import pathlib

import duckdb
import numpy as np
import pytest

import clicks_table
from agreement import assert_numbers, number
from clicks_table import CATEGORIES, COUNTS
from millpond_process import SPLITS, Output

ROWS = 200_000
RECIPE = pathlib.Path(__file__).parent.parent / "examples" / "clicks.yaml"
LEAST = 10


@pytest.fixture(scope="module")
def job(millpond):
    """The finished run, and a connection that sees the raw rows of each split as train, val and test."""
    place = millpond.scratch / "clicks"
    clicks_table.write(place / "rows", ROWS)
    source = f"{place}/rows/*.parquet"
    ended = millpond.call("run", RECIPE, "--source", source, "--out", place / "out", "--quiet", "--memory", "1GiB")
    assert ended.code == 0, ended.stderr
    output = Output(place / "out")
    db = duckdb.connect()
    db.execute(f"CREATE VIEW clicks AS SELECT * FROM read_parquet('{source}')")
    for split in SPLITS:
        db.execute(f"CREATE VIEW out_{split} AS SELECT * FROM read_parquet('{place}/out/{split}/*.parquet')")
        db.execute(f"CREATE VIEW {split} AS SELECT * FROM clicks WHERE row_id IN (SELECT row_id FROM out_{split})")
    return output, db


def logarithm(column):
    # DuckDB's greatest() passes over nulls: it would make 0 of what is missing.
    return f"CASE WHEN {column} IS NOT NULL THEN ln(1 + greatest({column}, 0)::DOUBLE) END"


def steps_of(output, column):
    entry = next(e for e in output.feature_entries() if e["column"] == column)
    return {step["step"]: step for step in entry["steps"]}


def test_every_row_is_in_one_split(job):
    output, db = job
    counts = {split: db.execute(f"SELECT count(*) FROM out_{split}").fetchone()[0] for split in SPLITS}
    assert sum(counts.values()) == ROWS
    assert {split: output.report["rows"][split] for split in SPLITS} == counts
    # Within six standard deviations of 80, 10 and 10 per cent.
    for split, share in (("train", 0.8), ("val", 0.1), ("test", 0.1)):
        assert abs(counts[split] - share * ROWS) < 6 * (ROWS * share * (1 - share)) ** 0.5
    distinct = " UNION ALL ".join(f"SELECT row_id FROM out_{split}" for split in SPLITS)
    assert db.execute(f"SELECT count(DISTINCT row_id) FROM ({distinct})").fetchone()[0] == ROWS


def test_means_and_deviations_of_counts(job):
    output, db = job
    for column in COUNTS:
        value = logarithm(column)
        mean, spread, filled, rows = db.execute(
            f"SELECT avg({value}), var_pop({value}), count({column}), count(*) FROM train"
        ).fetchone()
        steps = steps_of(output, column)
        # Missing values become the mean: they move it nowhere and draw the variance in.
        variance = spread * filled / rows
        assert_numbers(number(steps["simple_imputer"]["statistics_"]), mean, 0.0, f"{column} mean")
        assert_numbers(number(steps["standard_scaler"]["mean_"]), mean, 0.0, f"{column} mean of the filled")
        assert_numbers(number(steps["standard_scaler"]["var_"]), variance, 0.0, f"{column} variance")
        assert_numbers(number(steps["standard_scaler"]["scale_"]), variance**0.5, 0.0, f"{column} scale")


@pytest.mark.parametrize("split", SPLITS)
def test_values_of_counts(job, split):
    """Float32 as the recipe asks: within one unit of the last place of what DuckDB computes in 64 bits."""
    output, db = job
    found = db.execute(f"SELECT {', '.join(COUNTS)} FROM out_{split} ORDER BY row_id").fetchnumpy()
    for column in COUNTS:
        value = logarithm(column)
        mean, spread, filled, rows = db.execute(
            f"SELECT avg({value}), var_pop({value}), count({column}), count(*) FROM train"
        ).fetchone()
        scale = (spread * filled / rows) ** 0.5
        expected = db.execute(
            f"SELECT (coalesce({value}, ?) - ?) / ? AS y FROM {split} ORDER BY row_id", [mean, mean, scale]
        ).fetchnumpy()["y"]
        assert found[column].dtype == np.float32
        assert not np.ma.isMaskedArray(found[column]) or not found[column].mask.any(), f"{column}: missing values"
        close = np.abs(found[column].astype(np.float64) - expected) <= np.spacing(np.abs(expected).astype(np.float32)) + 1e-12
        assert close.all(), f"{column} {split}: {(~close).sum()} of {close.size} differ"


def ids(db, column):
    """The ids as the job defines them, as the table `ids`."""
    db.execute(
        f"""CREATE OR REPLACE TEMP TABLE ids AS
        SELECT k, n, CASE WHEN n >= {LEAST} THEN row_number() OVER (ORDER BY n DESC, k IS NULL DESC, k) ELSE 0 END::INT AS id
        FROM (SELECT {column} AS k, count(*) AS n FROM train GROUP BY ALL)"""
    )


@pytest.mark.parametrize("column", CATEGORIES)
def test_ids_of_categories(job, column):
    """Exactly the same ids for every row of every split, and exactly the same vocabulary and counts in the artefact."""
    output, db = job
    ids(db, column)
    for split in SPLITS:
        wrong = db.execute(
            f"""SELECT count(*) FROM out_{split} AS o JOIN clicks AS c USING (row_id)
            LEFT JOIN ids ON ids.k IS NOT DISTINCT FROM c.{column}
            WHERE o.{column} IS DISTINCT FROM coalesce(ids.id, 0)"""
        ).fetchone()[0]
        assert wrong == 0, f"{column}: {wrong} rows of {split} have another id"
    step = steps_of(output, column)["ordinal_encoder"]
    vocabulary = step["fitted"]["vocabulary"]
    if "table" in step:
        table = output.side_table(step["table"])
        saved = list(zip(table["category"].to_pylist(), table["count"].to_pylist(), table["id"].to_pylist()))
    else:
        saved = list(zip(vocabulary["categories_"], vocabulary["counts_"], step["fitted"]["ids_"]))
    expected = db.execute("SELECT k, n, id FROM ids").fetchall()
    assert vocabulary["n_categories_"] == len(expected)
    assert vocabulary["n_samples_seen_"] == output.report["rows"]["train"]
    order = lambda entry: (entry[0] is None, entry[0] or "")
    assert sorted(saved, key=order) == sorted(expected, key=order)


def test_label_and_key_pass_through(job):
    _, db = job
    for split in SPLITS:
        same = db.execute(
            f"SELECT count(*) FROM out_{split} AS o JOIN clicks AS c USING (row_id) WHERE o.label = c.label"
        ).fetchone()[0]
        assert same == db.execute(f"SELECT count(*) FROM out_{split}").fetchone()[0]


def test_unknown_categories_are_counted(job):
    """The report counts the values that training had never seen."""
    output, db = job
    found = output.report["unknown_categories"]
    for column in CATEGORIES:
        ids(db, column)
        expected = db.execute(
            f"""SELECT count(*) FROM (SELECT {column} AS k FROM val UNION ALL SELECT {column} FROM test) AS t
            WHERE NOT EXISTS (SELECT 1 FROM ids WHERE ids.k IS NOT DISTINCT FROM t.k)"""
        ).fetchone()[0]
        assert found.get(column, 0) == expected, column
