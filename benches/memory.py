"""Peak memory of the whole process, at full size: prints a Markdown table of what was run, its budget, the peak and the time.

    cargo build --release --locked
    python3 benches/memory.py --millpond target/release/millpond --clicks DIR [--wide DIR] [--only TEXT] --work DIR

--clicks  A folder of ten or more Parquet files of 1 M rows each with the columns of examples/clicks.yaml.
          1 M rows are its first file, 10 M its first ten, 50 M these ten under five names each (hard links).
--wide    A folder for the table of 2,000 numbers; made when absent, which needs numpy and pyarrow.
--only    Runs only lines that contain this text, such as "emulator" or "512MiB".
--work    A folder on the same file system as the clicks, for links, the emulator's tables and outputs; outputs are removed.

The peak is the kernel's own count for the process (ru_maxrss, what /usr/bin/time -v prints), code and libraries included.
The emulator is a process of its own and not counted. Exit code 1 when a run fails or exceeds its budget.
"""

import argparse
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
CLICKS = HERE.parent / "examples" / "clicks.yaml"
WIDE = """
key: id
split: {hash: {columns: id, seed: 1, ratios: {train: 0.8, val: 0.1, test: 0.1}}}
features:
  - columns: x*
    steps: [{simple_imputer: mean}, standard_scaler]
dtype: float64
"""
MIB = 1 << 20


def budget_bytes(text):
    """Bytes of a size such as 512MiB."""
    for unit, factor in (("MiB", MIB), ("GiB", 1024 * MIB)):
        if text.endswith(unit):
            return int(text[: -len(unit)]) * factor
    raise SystemExit(f"{text} is not a number of MiB or GiB")


def link(files, folder, copies):
    """A folder with `copies` hard links to each of the files."""
    if not folder.exists():
        folder.mkdir(parents=True)
        for copy in range(copies):
            for file in files:
                os.link(file, folder / f"{copy}-{file.name}")
    return folder


def make_wide(folder, rows=200_000, columns=2_000, rows_per_file=50_000):
    """Numbers with a tenth missing; every file one row group, as pyarrow writes it when not asked for anything else."""
    if folder.exists():
        return folder
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    making = folder.with_name(folder.name + ".making")
    making.mkdir(parents=True)
    draws = np.random.default_rng(5)
    for number, start in enumerate(range(0, rows, rows_per_file)):
        table = {"id": pa.array(np.arange(start, start + rows_per_file))}
        for column in range(columns):
            missing = draws.random(rows_per_file) < 0.1
            values = draws.standard_normal(rows_per_file) * column
            table[f"x{column}"] = pa.array(values, mask=missing)
        pq.write_table(pa.table(table), making / f"part-{number:03}.parquet")
    making.rename(folder)
    return folder


def peak_and_seconds(arguments, log):
    """Runs a command to its end: exit code, most resident bytes, seconds."""
    started = time.monotonic()
    with open(log, "wb") as errors:
        child = subprocess.Popen(arguments, stderr=errors)
        _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    return child.returncode, usage.ru_maxrss * 1024, time.monotonic() - started


class Emulator:
    """`millpond emulator` over a folder of tables, while the block runs."""

    def __init__(self, millpond, data):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.command = [millpond, "emulator", "--data", data, "--port", str(self.port)]

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(100):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return f"http://127.0.0.1:{self.port}"
            time.sleep(0.1)
        raise SystemExit("the emulator does not answer")

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--millpond", required=True)
    options.add_argument("--clicks", type=pathlib.Path, required=True)
    options.add_argument("--wide", type=pathlib.Path)
    options.add_argument("--work", type=pathlib.Path, required=True)
    options.add_argument("--only", default="")
    options = options.parse_args()
    work = options.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    ten = sorted(options.clicks.resolve().glob("*.parquet"))[:10]
    rows = {
        "1 M": link(ten[:1], work / "rows-1m", 1),
        "10 M": link(ten, work / "rows-10m", 1),
        "50 M": link(ten, work / "rows-50m", 5),
    }
    tables = work / "tables" / "p" / "d"
    tables.mkdir(parents=True, exist_ok=True)
    sources = [(CLICKS, f"clicks, {n} rows x 42, Parquet", f"{folder}/*.parquet", "512MiB") for n, folder in rows.items()]
    sources.append((CLICKS, "clicks, 10 M rows x 42, Parquet", f"{rows['10 M']}/*.parquet", "1GiB"))
    sources.append((CLICKS, "clicks, 1 M rows x 42, Parquet", f"{rows['1 M']}/*.parquet", "256MiB"))
    sources.append((CLICKS, "clicks, 10 M rows x 42, Parquet", f"{rows['10 M']}/*.parquet", "256MiB"))
    for n, folder in rows.items():
        table = tables / folder.name.replace("-", "_")
        if not table.exists():
            table.symlink_to(folder)
        address = f"bigquery://p.d.{table.name}"
        sources.append((CLICKS, f"clicks, {n} rows x 42, emulator", address, "512MiB"))
        if n == "10 M":
            sources.append((CLICKS, f"clicks, {n} rows x 42, emulator", address, "1GiB"))
    if options.wide:
        recipe = work / "wide.yaml"
        recipe.write_text(WIDE)
        folder = make_wide(options.wide.resolve())
        sources.append((recipe, "200 k rows x 2,000 numbers, Parquet", f"{folder}/*.parquet", "1GiB"))
        table = tables / "wide"
        if not table.exists():
            table.symlink_to(folder)
        sources.append((recipe, "200 k rows x 2,000 numbers, emulator", "bigquery://p.d.wide", "1GiB"))

    failed = False
    print("| rows | budget | peak | of the budget | seconds |")
    print("|---|---|---|---|---|")
    for recipe, what, source, budget in sources:
        if options.only not in f"{what} {budget}":
            continue
        out, temporary, log = work / "out", work / "temporary", work / "log"
        temporary.mkdir(exist_ok=True)
        run = [options.millpond, "run", recipe, "--source", source, "--out", out, "--memory", budget]
        run += ["--temp-dir", temporary, "--quiet"]
        if source.startswith("bigquery://"):
            with Emulator(options.millpond, work / "tables") as endpoint:
                code, peak, seconds = peak_and_seconds([*run, "--emulator", endpoint], log)
        else:
            code, peak, seconds = peak_and_seconds(run, log)
        shutil.rmtree(out, ignore_errors=True)
        share = peak / budget_bytes(budget)
        result = f"{peak // MIB} MiB | {share:.0%}" if code == 0 else f"exit {code}: {log.read_text().strip()} |"
        print(f"| {what} | {budget} | {result} | {seconds:.1f} |", flush=True)
        failed |= code != 0 or share > 1
    sys.exit(failed)


main()
