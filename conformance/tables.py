"""Seeded tables with everything that real tables get wrong. Knows nothing of the steps applied to them."""

import datetime as dt
import decimal

import numpy as np
import pyarrow as pa

FLOATS = ["f_normal", "f_skewed", "f_constant", "f_constant_holes", "f_two", "f_zero", "f_far", "f_small", "f_single", "f_rounded"]
INTEGERS = ["i_small", "i_wide", "i_byte", "i_unsigned", "i_constant"]
OTHER_NUMBERS = ["b_flag", "b_constant", "d_money"]
NUMBERS = FLOATS + INTEGERS + OTHER_NUMBERS
TEXTS = ["s_few", "s_tail", "s_holes", "s_constant", "s_odd", "s_coded"]
DATES = ["day", "at", "at_ms", "local"]


def holes(rng, values, share, kind):
    return pa.array(values, type=kind, mask=rng.random(len(values)) < share)


def mixed(rows, seed):
    """A table of `rows` rows with every kind of column; `id` counts from 0."""
    rng = np.random.default_rng(seed)
    normal = rng.standard_normal(rows)
    with_nan = np.where(rng.random(rows) < 0.07, np.nan, normal * 3 + 1)
    tail = np.array([f"t{int(v):03}" for v in 200 * rng.random(rows) ** 3], dtype=object)
    odd = np.array(["", " ", "a", "A", "ä", "z", "日本", "🙂", "null", "nan", "1", "true"], dtype=object)
    start = dt.datetime(1965, 3, 1, tzinfo=dt.timezone.utc)
    at = [start + dt.timedelta(seconds=int(s)) for s in rng.integers(0, 75 * 365 * 86_400, rows)]
    money = [decimal.Decimal(int(v)).scaleb(-2) for v in rng.integers(-90_000, 900_000, rows)]
    columns = {
        "id": pa.array(np.arange(rows), pa.int64()),
        "f_normal": holes(rng, with_nan, 0.2, pa.float64()),
        "f_skewed": pa.array(np.exp(rng.standard_normal(rows) * 2)),
        "f_constant": pa.array(np.full(rows, 3.7)),
        "f_constant_holes": holes(rng, np.full(rows, -0.1), 0.3, pa.float64()),
        "f_two": holes(rng, rng.choice([0.25, 8.0], rows), 0.05, pa.float64()),
        "f_zero": holes(rng, rng.choice([0.0, -0.0], rows), 0.1, pa.float64()),
        "f_far": holes(rng, 1e4 + rng.standard_normal(rows), 0.1, pa.float64()),
        "f_small": holes(rng, rng.standard_normal(rows) * 1e-12, 0.1, pa.float64()),
        "f_single": holes(rng, rng.standard_normal(rows).astype(np.float32), 0.1, pa.float32()),
        "f_rounded": holes(rng, np.round(rng.standard_normal(rows), 1), 0.15, pa.float64()),
        "i_small": holes(rng, rng.integers(-5, 40, rows), 0.25, pa.int64()),
        "i_wide": holes(rng, rng.integers(-(2**60), 2**60, rows), 0.1, pa.int64()),
        "i_byte": pa.array(rng.integers(-128, 128, rows).astype(np.int8)),
        "i_unsigned": holes(rng, rng.integers(0, 60_000, rows).astype(np.uint16), 0.1, pa.uint16()),
        "i_constant": holes(rng, np.full(rows, 12), 0.1, pa.int32()),
        "b_flag": holes(rng, rng.random(rows) < 0.3, 0.2, pa.bool_()),
        "b_constant": pa.array(np.full(rows, True)),
        "d_money": holes(rng, np.array(money, dtype=object), 0.1, pa.decimal128(12, 2)),
        "s_few": pa.array(rng.choice(["red", "green", "blue"], rows)),
        "s_tail": pa.array(tail, pa.string()),
        "s_holes": holes(rng, rng.choice(["yes", "no", "perhaps", "never"], rows, p=[0.6, 0.3, 0.09, 0.01]), 0.3, pa.string()),
        "s_constant": holes(rng, np.full(rows, "only", dtype=object), 0.1, pa.string()),
        "s_odd": holes(rng, rng.choice(odd, rows), 0.1, pa.string()),
        "s_coded": holes(rng, rng.choice(["north", "south", "east", "west"], rows), 0.1, pa.string()).dictionary_encode(),
        "day": holes(rng, rng.integers(-30_000, 60_000, rows).astype("datetime64[D]"), 0.1, pa.date32()),
        "at": holes(rng, np.array(at, dtype=object), 0.1, pa.timestamp("us", tz="UTC")),
        "at_ms": holes(rng, np.array(at, dtype=object), 0.1, pa.timestamp("ms", tz="Europe/Berlin")),
        "local": pa.array([t.replace(tzinfo=None) for t in at], pa.timestamp("us")),
    }
    return pa.table(columns)
