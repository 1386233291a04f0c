"""Google's own system tests of google-cloud-bigquery and pandas-gbq, unmodified, against the emulator of a built millpond, and
round trips of ours through the same clients.

    python google_suites.py SUITES_DIR MILLPOND_BINARY [NAME] [--list-failures]        NAME may be round-trips

SUITES_DIR holds the unpacked source distributions, `google-cloud-bigquery` and `pandas-gbq`. What fails for a known reason is
listed in `google_clients/NAME.known`: those tests are not run, and every other one must pass or be skipped by its own suite.
With `--list-failures` everything is run, and what fails is printed in the form of those lists.
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

# Tests in the release, and how many of them pass at least.
SUITES = {"google-cloud-bigquery": (267, 238), "pandas-gbq": (118, 98)}

# Ours, by the same clients.
ROUND_TRIPS = "round-trips"

# A test that talks to a service nobody serves must not hold the others up.
TIMEOUT_SECONDS = 60


def known_failures(name: str) -> list[str]:
    lines = (HERE / "google_clients" / f"{name}.known").read_text().splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def results(report: Path) -> dict[str, str]:
    """The outcome of every test by its name, `file::[class::]test[case]`."""
    outcomes = {}
    for case in ElementTree.parse(report).getroot().iter("testcase"):
        path, _, rest = case.get("classname").partition("tests.system.")[2].partition(".")
        name = "::".join(part for part in (f"{path}.py", rest, case.get("name")) if part)
        outcome = next((child.tag for child in case if child.tag in ("failure", "error", "skipped")), "passed")
        if outcomes.get(name) not in ("failure", "error"):
            outcomes[name] = outcome
    return outcomes


def run(name: str, suites: Path, binary: str, address: str, scratch: Path, *, everything: bool) -> dict[str, str]:
    shutil.copytree(suites / name / "tests", scratch / name / "tests")
    report = scratch / f"{name}.xml"
    known = [] if everything else known_failures(name)
    environment = {
        **os.environ,
        "BIGQUERY_EMULATOR_HOST": address,
        "PROJECT_ID": PROJECT,
        "GOOGLE_CLOUD_PROJECT": PROJECT,
        "GBQ_PROJECT_ID": PROJECT,
        "PYTHONPATH": str(HERE / "google_clients"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "MILLPOND_KNOWN_FAILURES": "\n".join(known),
        # Nothing listens there: buckets are refused at once.
        "STORAGE_EMULATOR_HOST": "http://127.0.0.1:9",
    }
    pytest(scratch / name, environment, f"--junitxml={report}", "tests/system", stdout=subprocess.DEVNULL)
    return results(report)


def pytest(place: Path, environment: dict, *arguments: str, stdout=None) -> bool:
    ended = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-p", "redirect", "-p", "known", "-p", "no:cacheprovider"),
            *(f"--timeout={TIMEOUT_SECONDS}", "-o", "timeout_func_only=true"),
            *("-q", "--tb=short", "--no-header", "--disable-warnings", *arguments),
        ],
        cwd=place,
        env=environment,
        check=False,
        stdout=stdout,
    )
    return ended.returncode == 0


def round_trips(address: str, scratch: Path) -> bool:
    environment = {
        **os.environ,
        "BIGQUERY_EMULATOR_HOST": address,
        "PROJECT_ID": PROJECT,
        "PYTHONPATH": str(HERE / "google_clients"),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    return pytest(scratch, environment, str(HERE / "google_clients" / "round_trips.py"))


def judge(name: str, outcomes: dict[str, str], *, everything: bool) -> bool:
    collected, floor = SUITES[name]
    passed = sum(outcome == "passed" for outcome in outcomes.values())
    failed = sorted(test for test, outcome in outcomes.items() if outcome in ("failure", "error"))
    print(f"{name} system tests: {passed} of {collected} passed, {len(failed)} failed unexpectedly")
    for test in failed:
        print(f"    {test}")
    return everything or (not failed and passed >= floor)


def main() -> int:
    suites, binary, *arguments = sys.argv[1:]
    everything = "--list-failures" in arguments
    names = [argument for argument in arguments if argument in (*SUITES, ROUND_TRIPS)] or [ROUND_TRIPS, *SUITES]
    sys.path.insert(0, str(HERE / "google_clients"))
    from public_tables import write_public_tables

    fine = True
    with tempfile.TemporaryDirectory(prefix="millpond-google-") as scratch:
        scratch = Path(scratch)
        write_public_tables(scratch / "data", PROJECT)
        emulator = subprocess.Popen(
            [binary, "emulator", "--data", str(scratch / "data"), "--port", "0"],
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            address = re.search(r"http://\S+", emulator.stdout.readline()).group(0)
            for name in names:
                if name == ROUND_TRIPS:
                    fine &= round_trips(address, scratch)
                    continue
                outcomes = run(name, Path(suites), binary, address, scratch, everything=everything)
                fine &= judge(name, outcomes, everything=everything)
        finally:
            emulator.terminate()
            emulator.wait(timeout=30)
    return 0 if fine else 1


if __name__ == "__main__":
    raise SystemExit(main())
