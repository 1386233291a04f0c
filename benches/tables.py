"""Tables to measure on, as folders of Parquet files: deterministic, made once and kept.

Every table is made in a process of its own: a child starts with the peak memory of its parent, and what is measured later is a child.
"""

import multiprocessing
import os
import pathlib
import sys
from concurrent.futures import ProcessPoolExecutor

ROWS_PER_FILE = 1 << 20


def clicks(folder, rows):
    """The table of examples/clicks.yaml, 1,048,576 rows per file and row group."""
    return _made(folder, _clicks, rows, row_group_size=ROWS_PER_FILE, compression="zstd", compression_level=1)


def numbers(folder, columns, cells=100_000_000):
    """So many numbers in so many columns `x0`, `x1`, ... and an `id`; a tenth missing."""
    return _made(folder, _numbers, columns, cells)


def words(folder, distinct, rows=10_000_000):
    """So many words, so many of them different, in the column `word`, and an `id`."""
    return _made(folder, _words, distinct, rows)


def link(files, folder, copies=1):
    """A folder with `copies` hard links to each of the files."""
    if not folder.exists():
        making = folder.with_name(folder.name + ".making")
        making.mkdir(parents=True)
        for copy in range(copies):
            for file in files:
                os.link(file, making / f"{copy:03}-{file.name}")
        making.rename(folder)
    return folder


def _made(folder, parts, *arguments, **writing):
    if not folder.exists():
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as apart:
            apart.submit(_write, folder, parts, arguments, writing).result()
    return folder


def _write(folder, parts, arguments, writing):
    """The folder appears when it is whole."""
    import pyarrow.parquet as pq

    making = folder.with_name(folder.name + ".making")
    making.mkdir(parents=True, exist_ok=True)
    for number, part in enumerate(parts(*arguments)):
        pq.write_table(part, making / f"part-{number:03}.parquet", **writing)
    making.rename(folder)


def _clicks(rows):
    import pyarrow as pa

    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "conformance"))
    from clicks_table import BLOCK_ROWS, block

    for start in range(0, rows, ROWS_PER_FILE):
        begins = range(start, min(start + ROWS_PER_FILE, rows), BLOCK_ROWS)
        yield pa.concat_tables([block(b // BLOCK_ROWS, min(BLOCK_ROWS, rows - b), 20) for b in begins])


def _numbers(columns, cells):
    import numpy as np
    import pyarrow as pa

    draws = np.random.default_rng(3)
    rows = cells // columns // 5
    for part in range(5):
        named = {"id": pa.array(np.arange(part * rows, (part + 1) * rows))}
        for column in range(columns):
            named[f"x{column}"] = pa.array(draws.standard_normal(rows), mask=draws.random(rows) < 0.1)
        yield pa.table(named)


def _words(distinct, rows):
    import numpy as np
    import pyarrow as pa

    draws = np.random.default_rng(4)
    for part in range(10):
        ids = np.arange(part * rows // 10, (part + 1) * rows // 10)
        word = draws.permutation(ids) if distinct == rows else draws.integers(0, distinct, len(ids))
        yield pa.table({"id": pa.array(ids), "word": pa.array([f"w{n:08}" for n in word])})
