"""dbt-bigquery's own functional tests, unmodified, against the emulator of a built millpond.

    python dbt_suite.py SUITE_DIR MILLPOND_BINARY [--list-failures]

SUITE_DIR holds the unpacked source distribution of dbt-bigquery. Those of its tests are run that say what every adapter of dbt
must do (seeds, models, snapshots, incremental models, documentation, hooks). What fails for a known reason is listed in
`dbt/dbt-bigquery.known`: those tests are not run, and every other one must pass or be skipped by the suite.
With `--list-failures` everything is run, and what fails is printed.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from pathlib import Path

HERE = Path(__file__).resolve().parent
PROJECT = "millpond-conformance"

# Below tests/functional, and how many pass at least.
TESTS = ["adapter/test_basic.py", "adapter/hooks"]
FLOOR = 18

# A job that never ends must not hold the others up.
TIMEOUT_SECONDS = 120


def known_failures() -> list[str]:
    lines = (HERE / "dbt" / "dbt-bigquery.known").read_text().splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def run(suite: Path, address: str, scratch: Path, *, everything: bool) -> dict[str, str]:
    """The outcome of every test by its name."""
    shutil.copytree(suite / "tests", scratch / "suite" / "tests")
    report = scratch / "dbt.xml"
    known = [] if everything else known_failures()
    environment = {
        **os.environ,
        "BIGQUERY_EMULATOR_HOST": address,
        "PROJECT_ID": PROJECT,
        "GOOGLE_CLOUD_PROJECT": PROJECT,
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
        "PYTHONPATH": str(HERE / "google_clients"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "MILLPOND_KNOWN_FAILURES": "\n".join(known),
    }
    subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-p", "redirect", "-p", "known", "-p", "no:cacheprovider"),
            *(f"--timeout={TIMEOUT_SECONDS}", f"--junitxml={report}"),
            *("-q", "--tb=short", "--no-header", "--disable-warnings"),
            *(f"tests/functional/{test}" for test in TESTS),
        ],
        cwd=scratch / "suite",
        env=environment,
        check=False,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    outcomes = {}
    for case in ElementTree.parse(report).getroot().iter("testcase"):
        name = f"{case.get('classname')}::{case.get('name')}"
        outcome = next((child.tag for child in case if child.tag in ("failure", "error", "skipped")), "passed")
        if outcomes.get(name) not in ("failure", "error"):
            outcomes[name] = outcome
    return outcomes


def main() -> int:
    suite, binary, *arguments = sys.argv[1:]
    everything = "--list-failures" in arguments
    with tempfile.TemporaryDirectory(prefix="millpond-dbt-") as scratch:
        scratch = Path(scratch)
        (scratch / "data").mkdir()
        emulator = subprocess.Popen(
            [binary, "emulator", "--data", str(scratch / "data"), "--port", "0"],
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            address = re.search(r"http://\S+", emulator.stdout.readline()).group(0)
            outcomes = run(Path(suite), address, scratch, everything=everything)
        finally:
            emulator.terminate()
            emulator.wait(timeout=30)
    passed = sum(outcome == "passed" for outcome in outcomes.values())
    failed = sorted(test for test, outcome in outcomes.items() if outcome in ("failure", "error"))
    print(f"dbt-bigquery functional tests: {passed} passed of {len(outcomes)} run, {len(failed)} failed unexpectedly")
    for test in failed:
        print(f"    {test}")
    return 0 if everything or (not failed and passed >= FLOOR) else 1


if __name__ == "__main__":
    raise SystemExit(main())
