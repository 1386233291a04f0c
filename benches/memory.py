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
import pathlib
import shutil
import sys

import tables
from measure import MIB, Emulator, Failed, run

CLICKS = pathlib.Path(__file__).resolve().parent.parent / "examples" / "clicks.yaml"
WIDE = """
key: id
split: {hash: {columns: id, seed: 1, ratios: {train: 0.8, val: 0.1, test: 0.1}}}
features:
  - columns: x*
    steps: [{simple_imputer: mean}, standard_scaler]
dtype: float64
"""


def budget_bytes(text):
    """Bytes of a size such as 512MiB."""
    for unit, factor in (("MiB", MIB), ("GiB", 1024 * MIB)):
        if text.endswith(unit):
            return int(text[: -len(unit)]) * factor
    raise SystemExit(f"{text} is not a number of MiB or GiB")


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
        "1 M": tables.link(ten[:1], work / "rows-1m", 1),
        "10 M": tables.link(ten, work / "rows-10m", 1),
        "50 M": tables.link(ten, work / "rows-50m", 5),
    }
    dataset = work / "tables" / "p" / "d"
    dataset.mkdir(parents=True, exist_ok=True)
    sources = [(CLICKS, f"clicks, {n} rows x 42, Parquet", f"{folder}/*.parquet", "512MiB") for n, folder in rows.items()]
    sources.append((CLICKS, "clicks, 10 M rows x 42, Parquet", f"{rows['10 M']}/*.parquet", "1GiB"))
    sources.append((CLICKS, "clicks, 1 M rows x 42, Parquet", f"{rows['1 M']}/*.parquet", "256MiB"))
    sources.append((CLICKS, "clicks, 10 M rows x 42, Parquet", f"{rows['10 M']}/*.parquet", "256MiB"))
    for n, folder in rows.items():
        table = dataset / folder.name.replace("-", "_")
        if not table.exists():
            table.symlink_to(folder)
        address = f"bigquery://p.d.{table.name}"
        sources.append((CLICKS, f"clicks, {n} rows x 42, emulator", address, "512MiB"))
        if n == "10 M":
            sources.append((CLICKS, f"clicks, {n} rows x 42, emulator", address, "1GiB"))
    if options.wide:
        recipe = work / "wide.yaml"
        recipe.write_text(WIDE)
        folder = tables.numbers(options.wide.resolve(), 2_000, 400_000_000)
        sources.append((recipe, "200 k rows x 2,000 numbers, Parquet", f"{folder}/*.parquet", "1GiB"))
        table = dataset / "wide"
        if not table.exists():
            table.symlink_to(folder)
        sources.append((recipe, "200 k rows x 2,000 numbers, emulator", "bigquery://p.d.wide", "1GiB"))

    failed = False
    print("| rows | budget | peak | of the budget | seconds |")
    print("|---|---|---|---|---|")
    for recipe, what, source, budget in sources:
        if options.only not in f"{what} {budget}":
            continue
        out, temporary = work / "out", work / "temporary"
        temporary.mkdir(exist_ok=True)
        command = [options.millpond, "run", recipe, "--source", source, "--out", out, "--memory", budget]
        command += ["--temp-dir", temporary, "--quiet"]
        try:
            if source.startswith("bigquery://"):
                with Emulator(options.millpond, work / "tables") as endpoint:
                    seconds, peak, _ = run([*command, "--emulator", endpoint])
            else:
                seconds, peak, _ = run(command)
        except Failed as failure:
            print(f"| {what} | {budget} | {failure} | | |", flush=True)
            failed = True
            continue
        finally:
            shutil.rmtree(out, ignore_errors=True)
        share = peak / budget_bytes(budget)
        print(f"| {what} | {budget} | {peak // MIB} MiB | {share:.0%} | {seconds:.1f} |", flush=True)
        failed |= share > 1
    sys.exit(failed)


if __name__ == "__main__":
    main()
