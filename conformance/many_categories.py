"""Learns, numbers and looks up very many distinct texts in little memory, and checks every single code.

    ~/.cache/millpond/venv/bin/python conformance/many_categories.py target/release/millpond
    ... --distinct 20000000 --memory 1GiB --order frequency --keep /var/tmp/many

Makes a Parquet file with that many distinct ids of 36 characters among its training rows (a tenth of them twice) and a
million rows beside the training set, half of them never seen in it. Runs a recipe with one ordinal_encoder, and `apply` on
the rows beside the training set, both under /usr/bin/time. DuckDB then numbers the ids by itself and counts the rows whose
code differs. Prints wall time and peak resident memory of both processes; fails when a code differs or when a process was
larger than it was allowed to be. Needs about 8 GiB of disk and, for DuckDB alone, as much memory for 20 million ids.
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import duckdb

RECIPE = """
key: row
split:
  column: {{column: part}}
features:
  - columns: id
    steps: [{{ordinal_encoder: {encoder}}}]
"""
ENCODERS = {
    "value": "{handle_unknown: use_encoded_value, unknown_value: -1}",
    "frequency": "{order: frequency}",
}
# What DuckDB orders the distinct training ids by, and the code of the first and of unseen ones.
NUMBERING = {"value": ("id", 0, -1), "frequency": ("n DESC, id", 1, 0)}
BESIDE = 1_000_000
UNITS = {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}


def size_bytes(text):
    number, unit = re.fullmatch(r"([0-9.]+)([KMG]iB)", text).groups()
    return int(float(number) * UNITS[unit])


def make_table(path, distinct):
    """Rows in an order that has nothing to do with that of their ids."""
    repeated = distinct // 10
    ids = "regexp_replace(md5(n::VARCHAR), '(.{8})(.{4})(.{4})(.{4})(.{12})', '\\1-\\2-\\3-\\4-\\5')"
    duckdb.sql(f"""
        COPY (
            SELECT row_number() OVER () AS row, {ids} AS id, part FROM (
                SELECT n, 'train' AS part FROM range({distinct}) t(n)
                UNION ALL SELECT n * 10, 'train' FROM range({repeated}) t(n)
                UNION ALL SELECT {distinct - BESIDE // 2} + n, 'val' FROM range({BESIDE}) t(n)
            )
        ) TO '{path}' (FORMAT parquet, ROW_GROUP_SIZE 500000)
    """)


def measured(command):
    """Runs a command; gives its wall seconds and peak resident bytes."""
    ended = subprocess.run(["/usr/bin/time", "-v", *command], capture_output=True, text=True)
    if ended.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}\n{ended.stderr}")
    peak = int(re.search(r"Maximum resident set size \(kbytes\): (\d+)", ended.stderr)[1]) << 10
    clock = re.search(r"Elapsed .*: (?:(\d+):)?(\d+):([\d.]+)", ended.stderr).groups()
    seconds = int(clock[0] or 0) * 3600 + int(clock[1]) * 60 + float(clock[2])
    return seconds, peak


def differing(table, features, order):
    """Rows of `features` whose code is not the one DuckDB gives to the id of their row, and rows compared."""
    by, first, unseen = NUMBERING[order]
    return duckdb.sql(f"""
        WITH words AS (
            SELECT id, row_number() OVER (ORDER BY {by}) - 1 + {first} AS code FROM (
                SELECT id, count(*) AS n FROM '{table}' WHERE part = 'train' GROUP BY id
            )
        )
        SELECT count(*) FILTER (found.id IS DISTINCT FROM coalesce(words.code, {unseen})), count(*)
        FROM read_parquet({features!r}) found
        JOIN '{table}' given USING (row) LEFT JOIN words ON words.id = given.id
    """).fetchall()[0]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary", type=Path)
    parser.add_argument("--distinct", type=int, default=20_000_000)
    parser.add_argument("--memory", default="1GiB")
    parser.add_argument("--order", choices=ENCODERS, default="value")
    parser.add_argument("--keep", type=Path, help="directory for everything made; a temporary one if not given")
    options = parser.parse_args()
    place = options.keep or Path(tempfile.mkdtemp(prefix="many-categories-"))
    place.mkdir(parents=True, exist_ok=True)
    try:
        table, beside = place / f"ids-{options.distinct}.parquet", place / "beside.parquet"
        if not table.exists():
            make_table(table, options.distinct)
        duckdb.sql(f"COPY (SELECT row, id FROM '{table}' WHERE part = 'val') TO '{beside}' (FORMAT parquet)")
        recipe, out, applied = place / "recipe.yaml", place / "out", place / "applied"
        for directory in (out, applied):
            shutil.rmtree(directory, ignore_errors=True)
        recipe.write_text(RECIPE.format(encoder=ENCODERS[options.order]))
        run = [options.binary, "run", recipe, "--source", table, "--out", out]
        apply = [options.binary, "apply", "--fitted", out / "fitted.json", "--input", beside, "--out", applied]
        runs = [("run", run, [str(out / "train/*.parquet"), str(out / "val/*.parquet")]),
                ("apply", apply, [str(applied / "*.parquet")])]
        failed = False
        for name, command, features in runs:
            seconds, peak = measured([*command, "--memory", options.memory, "--quiet"])
            wrong, rows = differing(table, features, options.order)
            too_large = peak > size_bytes(options.memory)
            failed |= wrong > 0 or rows == 0 or too_large
            print(f"{name}: {seconds:.1f} s, peak {peak / (1 << 20):.0f} MiB of {options.memory}"
                  f"{' (too large)' if too_large else ''}, {wrong} of {rows} codes differ", flush=True)
        report = json.loads((out / "report.json").read_text())
        print(f"spilled {report['spilled_bytes'] / (1 << 20):.0f} MiB; seconds {report['seconds']}")
        sys.exit(1 if failed else 0)
    finally:
        if options.keep is None:
            shutil.rmtree(place)


if __name__ == "__main__":
    main()
