"""A click log as advertisers have it: label, 13 skewed counts with holes, 26 categories with long tails, a key, a time.

Deterministic in (rows, seed); rows come in blocks, and a block depends on the seed and its number alone.

usage: clicks_table.py DIRECTORY ROWS [SEED]
"""

import pathlib
import sys

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

BLOCK_ROWS = 65_536
# Distinct values of c1 to c26, and the share of rows in which i1 to i13 and c1 to c26 are missing.
DISTINCT = [
    1_400, 550, 300_000, 120_000, 300, 20, 11_000, 600, 3, 60_000, 5_000, 250_000, 3_100,
    26, 11_000, 220_000, 10, 4_500, 2_000, 4, 230_000, 16, 15, 60_000, 80, 40_000,
]  # fmt: skip
COUNT_HOLES = [0.45, 0.0, 0.21, 0.21, 0.02, 0.22, 0.04, 0.0, 0.04, 0.45, 0.04, 0.76, 0.21]
CATEGORY_HOLES = [0.0, 0.0, 0.03, 0.03, 0.0, 0.12, 0.0, 0.0, 0.0, 0.0, 0.0, 0.03, 0.0, 0.0, 0.0, 0.03, 0.0, 0.0, 0.44, 0.44, 0.03, 0.76, 0.0, 0.03, 0.44, 0.44]
FIRST_CLICK = np.datetime64("2024-02-28T22:00:00", "us")
COUNTS = [f"i{n + 1}" for n in range(len(COUNT_HOLES))]
CATEGORIES = [f"c{n + 1}" for n in range(len(DISTINCT))]


def category_texts(column, ranks):
    """Eight hexadecimal digits per rank; multiplying by an odd number keeps different ranks apart."""
    codes = (ranks.astype(np.uint64) * np.uint64(0x9E37_79B1) + np.uint64(column)) & np.uint64(0xFFFF_FFFF)
    distinct, places = np.unique(codes, return_inverse=True)
    texts = pa.array([f"{int(code):08x}" for code in distinct])
    return texts.take(pa.array(places))


def block(number, rows, seed):
    """`rows` rows of block `number`."""
    rng = np.random.default_rng([seed, number])
    row = np.arange(rows, dtype=np.int64) + number * BLOCK_ROWS
    interest = rng.standard_normal(rows)
    columns = {"row_id": pa.array(row), "ts": pa.array(FIRST_CLICK + row * 137_000, pa.timestamp("us", tz="UTC"))}
    for place, holes in enumerate(COUNT_HOLES):
        size = np.exp(1 + 0.3 * interest + (1 + 0.1 * place) * rng.standard_normal(rows))
        values = size.astype(np.int64)
        if place == 1:
            values -= 2
        columns[COUNTS[place]] = pa.array(values, mask=rng.random(rows) < holes)
    for place, (distinct, holes) in enumerate(zip(DISTINCT, CATEGORY_HOLES)):
        ranks = np.minimum(distinct * rng.random(rows) ** 3, distinct - 1).astype(np.int64)
        texts = category_texts(place, ranks)
        columns[CATEGORIES[place]] = pc.if_else(pa.array(rng.random(rows) < holes), None, texts)
    columns["label"] = pa.array((interest + rng.standard_normal(rows) > 1.2).astype(np.int64))
    return pa.table(columns)


def write(directory, rows, seed=20):
    """Writes the table as one file per two blocks."""
    directory = pathlib.Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    blocks = -(-rows // BLOCK_ROWS)
    for first in range(0, blocks, 2):
        tables = [block(n, min(BLOCK_ROWS, rows - n * BLOCK_ROWS), seed) for n in range(first, min(first + 2, blocks))]
        path = directory / f"part-{first // 2:04}.parquet"
        pq.write_table(pa.concat_tables(tables), path, compression="zstd", compression_level=1)


if __name__ == "__main__":
    write(sys.argv[1], int(sys.argv[2]), *map(int, sys.argv[3:4]))
