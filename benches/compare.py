"""Millpond beside its peers on the same work: prints Markdown tables of medians, ratios, rows per second and peak memory.

    python3 benches/compare.py --work DIR [--only peers emulator read offset scaling steps] [--runs 5] [--rows 2 10]

Builds the release binary, installs the peers into DIR/venv, makes the tables in DIR (about 3 GB for everything), then runs each
command in turn with the others (A B C A B C ...), so that a slow minute of the machine is everybody's. Needs Rust and Python 3.11.

peers     the job of examples/clicks.yaml from Parquet: Millpond within --memory, DuckDB, Polars, scikit-learn (smallest table only)
emulator  the same from a BigQuery emulator on this machine, which reads the table anew or has kept what it sent: Millpond, and
          Google's Python client with Polars
read      reading alone, from an emulator that has kept its messages: Google's Rust client with and without decoding, Millpond's scan,
          Google's Python client
offset    a table through Storage streams and through LIMIT/OFFSET in chunks of 100,000 rows, the latter with Google's Python client as
          well, each read for the first time; the law by which LIMIT/OFFSET grows
scaling   one slot and two; 1 to 50 million rows; 10 to 2,000 columns; 10 to 10 million categories
steps     single steps beside copying memory, on one core (cargo bench)

--millpond and --read-path take binaries that are there already, instead of building.
"""

import argparse
import json
import math
import os
import pathlib
import shutil
import subprocess
import sys
import venv

import tables
from measure import MIB, Emulator, in_turn, run

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
CLICKS = ROOT / "examples" / "clicks.yaml"
PEERS = HERE / "peers"
MILLION = 1 << 20
SECTIONS = ["peers", "emulator", "read", "offset", "scaling", "steps"]
STREAMS = 2
CHUNK_ROWS = 100_000
LIMIT_OFFSET = f"LIMIT/OFFSET, chunks of {CHUNK_ROWS:,}"


class Bench:
    """What all sections need."""

    def __init__(self, options):
        self.work = options.work.resolve()
        self.runs = options.runs
        self.memory = options.memory
        self.sizes = options.rows
        self.millpond = options.millpond
        self.read_path = options.read_path
        self.dataset_root = self.work / "tables"
        (self.dataset_root / "p" / "d").mkdir(parents=True, exist_ok=True)

    def clicks(self, millions):
        """The clicks table with so many million rows: the first files of the largest one, several times over beyond ten."""
        ten = sorted(tables.clicks(self.work / "clicks-10m", 10 * MILLION).glob("*.parquet"))
        if millions <= 10:
            return tables.link(ten[:millions], self.work / f"rows-{millions}m")
        return tables.link(ten, self.work / f"rows-{millions}m", millions // 10)

    def table(self, folder):
        """The folder as a table of the emulator; its full name."""
        name = folder.name.replace("-", "_")
        if not (self.dataset_root / "p" / "d" / name).exists():
            (self.dataset_root / "p" / "d" / name).symlink_to(folder)
        return f"p.d.{name}"

    def job(self, source, *more, recipe=CLICKS):
        """One run of a recipe, from another source than its own unless that is None."""

        def once():
            out = self.work / "out"
            shutil.rmtree(out, ignore_errors=True)
            source_of_its_own = [] if source is None else ["--source", source]
            command = [self.millpond, "run", recipe, *source_of_its_own, "--out", out, "--memory", self.memory, "--quiet", *more]
            try:
                return run(command)
            finally:
                shutil.rmtree(out, ignore_errors=True)

        return once

    def peer(self, script, *arguments):
        """One run of a script of the peers that writes into a folder."""

        def once():
            out = self.work / "out-peer"
            shutil.rmtree(out, ignore_errors=True)
            try:
                return run([sys.executable, PEERS / script, *arguments, out])
            finally:
                shutil.rmtree(out, ignore_errors=True)

        return once


def show(title, found, rows=None):
    """Prints medians; ratios are to the first line."""
    print(f"\n### {title}\n\n| | seconds | ratio | rows/s | peak memory |\n|---|---|---|---|---|")
    first = None
    for name, figures in found.items():
        if isinstance(figures, str):
            print(f"| {name} | {figures.splitlines()[-1][:120]} | | | |")
            continue
        seconds, peak = figures
        first = first or seconds
        per_second = f"{rows / seconds / 1e6:.2f} M" if rows else ""
        print(f"| {name} | {seconds:.2f} | {seconds / first:.2f} | {per_second} | {peak // MIB:.0f} MiB |")
    sys.stdout.flush()


def exponent(points):
    """The slope of log seconds over log size, by least squares."""
    xs, ys = ([math.log(v) for v in column] for column in zip(*points))
    mean_x, mean_y = sum(xs) / len(xs), sum(ys) / len(ys)
    return sum((x - mean_x) * (y - mean_y) for x, y in zip(xs, ys)) / sum((x - mean_x) ** 2 for x in xs)


def peers(bench):
    for millions in bench.sizes:
        folder = bench.clicks(millions)
        commands = {f"Millpond, --memory {bench.memory}": bench.job(f"{folder}/*.parquet")}
        commands["DuckDB"] = bench.peer("clicks.py", "duckdb", folder)
        commands["Polars"] = bench.peer("clicks.py", "polars", folder)
        show(f"clicks, {millions} M rows, Parquet", in_turn(commands, bench.runs), millions * MILLION)
    smallest = bench.clicks(min(bench.sizes))
    found = in_turn({"scikit-learn": bench.peer("clicks.py", "sklearn", smallest)}, 1)
    show(f"clicks, {min(bench.sizes)} M rows, Parquet, one run", found, min(bench.sizes) * MILLION)


def emulator(bench):
    for millions in bench.sizes:
        folder = bench.clicks(millions)
        name = bench.table(folder)
        anew = Emulator(bench.millpond, bench.dataset_root, "--keep-messages", "0")
        with anew as reading, Emulator(bench.millpond, bench.dataset_root) as sending:
            again = bench.job(f"bigquery://{name}", "--emulator", sending)
            again()
            commands = {
                "Millpond from Parquet": bench.job(f"{folder}/*.parquet"),
                "Millpond from the emulator, read again": again,
                "Millpond from the emulator, read anew": bench.job(f"bigquery://{name}", "--emulator", reading),
                "Google's Python client and Polars, read anew": bench.peer("google_client.py", "job", reading, name, STREAMS),
            }
            show(f"clicks, {millions} M rows, emulator on the same cores", in_turn(commands, bench.runs), millions * MILLION)


def read(bench):
    millions = min(bench.sizes)
    name = bench.table(bench.clicks(millions))
    # A server that decodes while it is read from is what everybody would wait for.
    for streams in (1, STREAMS):
        with Emulator(bench.millpond, bench.dataset_root, "--streams", streams) as endpoint:

            def rust(how):
                return lambda: run([bench.read_path, how, endpoint, name, streams])

            commands = {
                "Google's Rust client, bytes only": rust("bare"),
                "Google's Rust client, decoded": rust("decoded"),
                "Millpond's scan": rust("engine"),
                "Google's Python client": lambda: run([sys.executable, PEERS / "google_client.py", "read", endpoint, name, streams]),
            }
            _, _, said = run([bench.read_path, "bare", endpoint, name, streams])
            # Whoever asks for something else than the line above has it kept, too.
            in_turn(commands, 1)
            size = json.loads(said)["bytes"]
            title = f"reading {millions} M rows ({size / 1e9:.2f} GB of messages) in {streams} stream{'s' * (streams > 1)}"
            show(title, in_turn(commands, bench.runs), millions * MILLION)


def offset(bench):
    points = []
    for rows in (100_000, 300_000, 1_000_000):
        name = bench.table(tables.clicks(bench.work / f"rows-{rows}", rows))
        recipes = {}
        for read_by in ("storage", "limit_offset"):
            text = CLICKS.read_text() + f"\nsource: {{table: 'bigquery://{name}', bigquery: {{}}}}\n"
            if read_by == "limit_offset":
                text = text.replace("bigquery: {}", f"bigquery: {{read: limit_offset, chunk_rows: {CHUNK_ROWS}, order_by: row_id}}")
            recipes[read_by] = bench.work / f"{read_by}.yaml"
            recipes[read_by].write_text(text)

        def ours(endpoint, read_by):
            """One run of our own job; the table is in the recipe."""
            return bench.job(None, "--emulator", endpoint, recipe=recipes[read_by])()

        def first_time(once):
            """With an emulator of its own, which has not kept any messages, nor results of the same queries."""

            def fresh():
                with Emulator(bench.millpond, bench.dataset_root, "--keep-messages", "0") as endpoint:
                    return once(endpoint)

            return fresh

        with Emulator(bench.millpond, bench.dataset_root) as keeping:
            ours(keeping, "storage")
            commands = {
                "Storage streams": first_time(lambda endpoint: ours(endpoint, "storage")),
                "Storage streams, read again": lambda: ours(keeping, "storage"),
                LIMIT_OFFSET: first_time(lambda endpoint: ours(endpoint, "limit_offset")),
                "the same with Google's Python client and Polars": first_time(
                    lambda endpoint: bench.peer("google_client.py", "offset", endpoint, name, CHUNK_ROWS)()
                ),
            }
            found = in_turn(commands, bench.runs)
        show(f"clicks, {rows:,} rows, emulator", found, rows)
        slow = found[LIMIT_OFFSET]
        if not isinstance(slow, str):
            points.append((rows, slow[0]))
    if len(points) > 1:
        print(f"\nLIMIT/OFFSET: seconds grow as rows to the power of {exponent(points):.2f}.")


NUMBERS = """
key: id
split: {hash: {columns: id, seed: 1, ratios: {train: 0.8, val: 0.1, test: 0.1}}}
features:
  - columns: x*
    steps: [{simple_imputer: mean}, standard_scaler]
dtype: float32
"""
WORDS = """
key: id
split: {hash: {columns: id, seed: 1, ratios: {train: 0.8, val: 0.1, test: 0.1}}}
features:
  - columns: word
    steps: [{ordinal_encoder: {order: frequency}}]
"""


def scaling(bench):
    ten = bench.clicks(10)
    source = f"{ten}/*.parquet"
    commands = {f"{slots} slot{'s' * (slots > 1)}": bench.job(source, "--slots", slots) for slots in (1, 2)}
    show("slots: clicks, 10 M rows", in_turn(commands, bench.runs), 10 * MILLION)

    sizes = [1, 3, 10, 50]
    commands = {f"{n} M rows": bench.job(f"{bench.clicks(n)}/*.parquet") for n in sizes}
    found = in_turn(commands, min(bench.runs, 3))
    show("rows: clicks", found)
    points = [(n, found[f"{n} M rows"][0]) for n in sizes if not isinstance(found[f"{n} M rows"], str)]
    print(f"\nSeconds grow as rows to the power of {exponent(points):.2f}.")

    recipe = bench.work / "numbers.yaml"
    recipe.write_text(NUMBERS)
    widths = [10, 100, 1_000, 2_000]
    commands = {f"{n:,} columns": bench.job(f"{tables.numbers(bench.work / f'numbers-{n}', n)}/*.parquet", recipe=recipe) for n in widths}
    show("columns: 100 M numbers, imputed and scaled", in_turn(commands, min(bench.runs, 3)))

    recipe = bench.work / "words.yaml"
    recipe.write_text(WORDS)
    counts = [10, 1_000, 100_000, 1_000_000, 10_000_000]
    commands = {f"{n:,} categories": bench.job(f"{tables.words(bench.work / f'words-{n}', n)}/*.parquet", recipe=recipe) for n in counts}
    show("categories: 10 M words, ordinal by frequency", in_turn(commands, min(bench.runs, 3)), 10_000_000)


def steps(_):
    print("\n### steps, one core\n\n```text", flush=True)
    subprocess.run(["cargo", "bench", "--locked", "-p", "millpond-benches"], cwd=ROOT, check=True)
    print("```")


def prepare(options):
    """Goes on in a Python that has the peers, with binaries that are built."""
    home = options.work.resolve() / "venv"
    python = home / "bin" / "python"
    wanted = (HERE / "requirements.txt").read_text()
    stamp = home / "requirements"
    if not stamp.exists() or stamp.read_text() != wanted:
        venv.create(home, with_pip=True, clear=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "-r", HERE / "requirements.txt"], check=True)
        stamp.write_text(wanted)
    if pathlib.Path(sys.prefix).resolve() != home:
        os.execv(python, [str(python), *sys.argv])
    if not options.millpond or not options.read_path:
        build = ["cargo", "build", "--release", "--locked", "--bins", "--example", "read_path", "--message-format", "json"]
        built = subprocess.run(build, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
        for line in filter(None, built.splitlines()):
            made = json.loads(line)
            if made.get("executable"):
                name = made["target"]["name"]
                options.millpond = options.millpond or (made["executable"] if name == "millpond" else None)
                options.read_path = options.read_path or (made["executable"] if name == "read_path" else None)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=pathlib.Path, required=True)
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=SECTIONS)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--rows", type=int, nargs="+", default=[2, 10], metavar="MILLIONS")
    parser.add_argument("--memory", default="1GiB")
    parser.add_argument("--millpond")
    parser.add_argument("--read-path")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    prepare(options)
    bench = Bench(options)
    print(f"{os.cpu_count()} cores, {options.runs} runs in turn, medians")
    for section in options.only:
        globals()[section](bench)


if __name__ == "__main__":
    main()
