"""Runs the millpond binary and reads what it leaves. Knows nothing of what the results should be."""

import contextlib
import json
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

SPLITS = ("train", "val", "test")


@dataclass
class Ended:
    """How a call of the binary ended."""

    code: int
    stdout: str
    stderr: str


class Output:
    """A finished output directory."""

    def __init__(self, path):
        self.path = Path(path)
        assert (self.path / "_SUCCESS").is_file(), f"{self.path} has no _SUCCESS"
        self.fitted = json.loads((self.path / "fitted.json").read_text())
        self.report = json.loads((self.path / "report.json").read_text())

    def split(self, name, key):
        """All rows of one split, ordered by `key`."""
        files = sorted((self.path / name).glob("*.parquet"))
        assert files, f"no shard of {name}"
        table = pa.concat_tables([pq.read_table(file) for file in files])
        return table.take(pc.sort_indices(table, sort_keys=[(key, "ascending")]))

    def feature_entries(self):
        """Entries of fitted.json, one for each column of each feature set, in recipe order."""
        return self.fitted["features"]["columns"]

    def side_table(self, name):
        """A vocabulary that is kept beside fitted.json."""
        return pq.read_table(self.path / self.fitted["tables"][name])


class Millpond:
    """The binary, away from the user's own settings."""

    def __init__(self, binary, scratch):
        self.binary = str(binary)
        self.scratch = Path(scratch)
        self.home = self.scratch / "home"
        self.home.mkdir()
        self.calls = 0

    def call(self, *arguments, timeout=240):
        environment = {
            "PATH": os.environ.get("PATH", ""),
            "HOME": str(self.home),
            "TMPDIR": str(self.scratch),
        }
        done = subprocess.run(
            [self.binary, *map(str, arguments)],
            env=environment,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        return Ended(done.returncode, done.stdout, done.stderr)

    def start(self, recipe, source, *options):
        """Runs `recipe`, a dictionary, on `source`, a table or a path; gives how it ended and the output path."""
        self.calls += 1
        place = self.scratch / f"call-{self.calls:04}"
        place.mkdir()
        if isinstance(source, pa.Table):
            pq.write_table(source, place / "rows.parquet", row_group_size=777)
            source = place / "rows.parquet"
        # JSON is YAML.
        (place / "recipe.yaml").write_text(json.dumps(recipe, indent=1))
        out = place / "out"
        ended = self.call("run", place / "recipe.yaml", "--source", source, "--out", out, "--quiet", *options)
        return ended, out

    def run(self, recipe, source, *options):
        """As `start`, for runs that must succeed."""
        ended, out = self.start(recipe, source, *options)
        assert ended.code == 0, f"exit {ended.code}: {ended.stderr}"
        return Output(out)

    def refused(self, recipe, source, *options):
        """As `start`, for runs that must fail: one line on stderr, nothing left behind."""
        ended, out = self.start(recipe, source, *options)
        assert ended.code != 0, "the run succeeded"
        lines = ended.stderr.splitlines()
        assert len(lines) == 1 and lines[0].startswith("error: "), ended.stderr
        assert not out.exists(), f"left behind: {sorted(out.rglob('*'))}"
        return ended

    @contextlib.contextmanager
    def emulator(self, data):
        """Serves the tables in `data`; gives the address."""
        command = [self.binary, "emulator", "--data", str(data), "--port", "0", "--streams", "3"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as server:
            try:
                address = None
                while address is None:
                    line = server.stdout.readline()
                    assert line, "the emulator ended"
                    address = re.search(r"http://127\.0\.0\.1:\d+", line)
                yield address[0]
            finally:
                server.terminate()


def numbers(column):
    """A column as float64, null as NaN."""
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.uint8())
    if pa.types.is_decimal(column.type):
        return np.array([np.nan if v is None else float(v) for v in column.to_pylist()], dtype=np.float64)
    if pa.types.is_integer(column.type):
        # Through Python's integers: an arrow cast refuses those that a float cannot hold exactly.
        return np.array([np.nan if v is None else float(v) for v in column.to_pylist()], dtype=np.float64)
    return column.cast(pa.float64()).to_numpy(zero_copy_only=False)


def objects(column, missing):
    """A column as Python objects, null and NaN as `missing`."""
    values = column.to_pylist()
    out = np.empty(len(values), dtype=object)
    for index, value in enumerate(values):
        absent = value is None or (isinstance(value, float) and value != value)
        out[index] = missing if absent else value
    return out
