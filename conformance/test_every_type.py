"""Values of every BigQuery type, from Parquet through the emulator and Millpond to Parquet again, judged by pyarrow and DuckDB."""

import math
import struct

import duckdb
import pytest

import every_type_table

TABLE = "bigquery://proj.shop.every"
BASE = {"key": "id", "split": {"column": {"column": "part", "train": 0, "val": 1, "test": 2}}, "dtype": "float64"}


@pytest.fixture(scope="module")
def served(millpond, tmp_path_factory):
    data = tmp_path_factory.mktemp("every")
    every_type_table.write(data)
    with millpond.emulator(data) as address:
        yield address


def exact(value):
    """Something whose equality is that of bits."""
    if isinstance(value, float):
        return ("nan",) if math.isnan(value) else struct.pack("<d", value)
    if isinstance(value, dict):
        return {name: exact(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [exact(inner) for inner in value]
    return value


def test_every_value_comes_out_as_it_went_in(millpond, served):
    sent = every_type_table.table()
    carried = [name for name in sent.column_names if name not in ("id", "wait")]
    recipe = BASE | {"pass_through": carried, "features": [{"columns": "id", "steps": ["standard_scaler"], "suffix": "_std"}]}
    found = millpond.run(recipe, TABLE, "--emulator", served).split("train", "id")
    assert found.num_rows == every_type_table.ROWS
    for name in ["id", *carried]:
        assert found.schema.field(name).type == sent.schema.field(name).type, name
        assert exact(found[name].to_pylist()) == exact(sent[name].to_pylist()), name


def test_decimals_become_the_nearest_float(millpond, served):
    names = ["int64", "numeric", "numeric_10_2", "bignumeric"]
    recipe = BASE | {"features": [{"columns": names, "steps": [{"clip": {"min": -1e300}}]}]}
    found = millpond.run(recipe, TABLE, "--emulator", served).split("train", "id")
    sent = every_type_table.table()
    for name in names:
        # Python rounds once, from the exact value.
        expected = [None if value is None else float(value) for value in sent[name].to_pylist()]
        assert exact(found[name].to_pylist()) == exact(expected), name


def test_expressions_mean_what_duckdb_says(millpond, served):
    expressions = {
        "length": ("array_length(numbers)", "len(numbers)"),
        "first": ("CAST(numbers[1] AS DOUBLE)", "CAST(numbers[1] AS DOUBLE)"),
        "last": ("CAST(numbers[-1] AS DOUBLE)", "CAST(numbers[-1] AS DOUBLE)"),
        "has": ("CAST(array_has(texts, 'x') AS INT)", "CAST(list_contains(texts, 'x') AS INT)"),
        "country": ("length(user.geo.country)", "length(\"user\".geo.country)"),
        "age": ("user.age + 1", "\"user\".age + 1"),
        "days": ("range_date.end - range_date.start", "range_date.\"end\" - range_date.start"),
        "open": ("CAST(range_timestamp.end IS NULL AS INT)", "CAST(range_timestamp.\"end\" IS NULL AS INT)"),
        "hour": ("date_part('hour', time)", "date_part('hour', time)"),
        "seconds": ("date_part('epoch', time)", "date_part('epoch', time)"),
        "bytes": ("byte_length(bytes)", "octet_length(bytes)"),
        "price": ("CAST(items[1]['price'] AS DOUBLE)", "CAST(items[1].price AS DOUBLE)"),
        "lon": ("CAST(regexp_match(geography, 'POINT ?[(]([^ ]+) ([^)]+)[)]')[1] AS DOUBLE)", "TRY_CAST(regexp_extract(geography, 'POINT ?[(]([^ ]+) ([^)]+)[)]', 1) AS DOUBLE)"),
    }
    recipe = BASE | {
        "derive": {f"x_{name}": ours for name, (ours, _) in expressions.items()} | {"hexed": "hex(bytes)", "picked": "json_value(json, '$.a.b[0]')"},
        "pass_through": ["hexed", "picked"],
        "features": [{"columns": "x_*", "steps": [{"sql": {"expression": "CAST(x AS DOUBLE)"}}]}],
    }
    found = millpond.run(recipe, TABLE, "--emulator", served).split("train", "id")
    sent = every_type_table.table()
    judge = duckdb.connect()
    # DuckDB has no decimals of 76 digits.
    judge.register("sent", sent.drop_columns(["bignumeric"]))
    for name, (_, theirs) in expressions.items():
        expected = [None if v is None else float(v) for (v,) in judge.sql(f"SELECT {theirs} FROM sent ORDER BY id").fetchall()]
        assert found[f"x_{name}"].to_pylist() == expected, name
    hexed = [None if v is None else v.hex() for v in sent["bytes"].to_pylist()]
    assert found["hexed"].to_pylist() == hexed
    assert found["picked"].to_pylist() == ["1", None, None, None, "7", None, None, None]


def test_fields_of_structs_are_columns(millpond, served):
    recipe = BASE | {
        "where": "user.age <> 8 OR user.age IS NULL",
        "label": "user.geo.lat",
        "split": {"hash": {"columns": "user.geo.country", "ratios": {"train": 1, "val": 0, "test": 0}}},
        "features": [
            {"columns": "user.age", "steps": [{"simple_imputer": "mean"}], "suffix": "_filled"},
            {"columns": "user.geo.country", "steps": [{"ordinal_encoder": {"missing": "category"}}], "suffix": "_code"},
        ],
    }
    found = millpond.run(recipe, TABLE, "--emulator", served).split("train", "id")
    users = [user for user in every_type_table.table()["user"].to_pylist() if user is None or user["age"] != 8]
    ages = [user["age"] for user in users if user]
    mean = sum(ages) / len(ages)
    assert found["user.age_filled"].to_pylist() == [float(user["age"]) if user else mean for user in users]
    places = [(user or {}).get("geo") or {} for user in users]
    assert found["user.geo.lat"].to_pylist() == [place.get("lat") for place in places]
    codes = found["user.geo.country_code"].to_pylist()
    by_country = {}
    for place, code in zip(places, codes):
        by_country.setdefault(place.get("country"), set()).add(code)
    assert all(len(found_codes) == 1 for found_codes in by_country.values()), by_country
    assert len({next(iter(found_codes)) for found_codes in by_country.values()}) == len(by_country)


def test_what_cannot_be_written_is_refused(millpond, served):
    recipe = BASE | {"pass_through": "wait", "features": [{"columns": "id", "steps": ["standard_scaler"], "suffix": "_std"}]}
    ended = millpond.refused(recipe, TABLE, "--emulator", served)
    assert ended.code == 9 and "INTERVAL" in ended.stderr and "date_part" in ended.stderr, ended.stderr
