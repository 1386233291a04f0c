"""Runs suites that are not ours, unmodified, against the emulator of a built millpond, and judges what came of them.

What fails for a known reason is listed in a file, one test to a line: those tests are not run, and every other one must pass or
be skipped by its own suite. Knows no suite.
"""

import contextlib
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
PROJECT = "millpond-conformance"

# Turn clients towards the emulator, and leave known failures out.
PLUGINS = HERE / "google_clients"


@contextlib.contextmanager
def emulator(binary: str, data: Path):
    """Serves the tables in `data`; gives the address."""
    data.mkdir(exist_ok=True)
    command = [binary, "emulator", "--data", str(data), "--port", "0"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        yield re.search(r"http://\S+", server.stdout.readline()).group(0)
    finally:
        server.terminate()
        server.wait(timeout=30)


@dataclass
class Suite:
    """Tests of one package, and what is expected of them."""

    name: str
    # Where the tests are that are run, and what names of tests begin behind.
    tests: list[str]
    below: str
    # How many pass at least.
    floor: int
    # A test that never ends must not hold the others up.
    timeout_seconds: int
    known: Path
    options: list[str] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)

    def known_failures(self) -> list[str]:
        lines = self.known.read_text().splitlines()
        return [line.strip() for line in lines if line.strip() and not line.startswith("#")]

    def run(self, place: Path, address: str, *, everything: bool) -> bool:
        """Runs the tests in the directory `place`, says what came of them, and whether that is fine."""
        report = place / "report.xml"
        known = [] if everything else self.known_failures()
        more = {"MILLPOND_KNOWN_FAILURES": "\n".join(known), "MILLPOND_TESTS_BELOW": f"{self.below}/"}
        options = [f"--timeout={self.timeout_seconds}", f"--junitxml={report}", *self.options, *self.tests]
        pytest(place, address, *options, plugins=["known"], more={**more, **self.environment}, quiet=True)
        outcomes = self.outcomes(report)
        passed = sum(outcome == "passed" for outcome in outcomes.values())
        failed = sorted(test for test, outcome in outcomes.items() if outcome in ("failure", "error"))
        run = len(outcomes)
        print(f"{self.name}: {passed} passed of {run} run, {len(failed)} failed unexpectedly", flush=True)
        for test in failed:
            print(f"    {test}")
        return everything or (not failed and passed >= self.floor)

    def outcomes(self, report: Path) -> dict[str, str]:
        """The outcome of every test by its name, `file.py::[class::]test[case]`."""
        outcomes = {}
        for case in ElementTree.parse(report).getroot().iter("testcase"):
            parts = case.get("classname").removeprefix(f"{self.below.replace('/', '.')}.").split(".")
            # Files are in lower case and their classes are not.
            cut = next((at for at, part in enumerate(parts) if part[:1].isupper()), len(parts))
            name = "::".join(["/".join(parts[:cut]) + ".py", *parts[cut:], case.get("name")])
            outcome = next((child.tag for child in case if child.tag in ("failure", "error", "skipped")), "passed")
            if outcomes.get(name) not in ("failure", "error"):
                outcomes[name] = outcome
        return outcomes


def pytest(place: Path, address: str, *arguments: str, plugins=(), more=None, quiet=False) -> int:
    """Runs pytest in `place` with the clients turned towards the emulator; gives its exit code."""
    environment = {
        **os.environ,
        "BIGQUERY_EMULATOR_HOST": address,
        "STORAGE_EMULATOR_HOST": address,
        "PROJECT_ID": PROJECT,
        "GOOGLE_CLOUD_PROJECT": PROJECT,
        "PYTHONPATH": str(PLUGINS),
        "PYTHONDONTWRITEBYTECODE": "1",
        **(more or {}),
    }
    with_plugins = [option for plugin in ("redirect", *plugins, "no:cacheprovider") for option in ("-p", plugin)]
    command = [sys.executable, "-m", "pytest", *with_plugins, "-q", "--tb=short", "--no-header", "--disable-warnings"]
    output = subprocess.DEVNULL if quiet else None
    ended = subprocess.run([*command, *arguments], cwd=place, env=environment, check=False, stdout=output, stderr=output)
    return ended.returncode
