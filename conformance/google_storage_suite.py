"""Google's own system tests of google-cloud-bigquery-storage, unmodified, against the emulator of a built millpond.

    python google_storage_suite.py SUITE_DIR MILLPOND_BINARY [pytest arguments]

SUITE_DIR holds the unpacked source distribution. The tests run from a copy of its `tests` folder alone, so that the clients
under test are the installed ones. Exits with pytest's own code; the number of tests must be the one the release has.
"""

import re
import shutil
import sys
import tempfile
from pathlib import Path

from suites import PLUGINS, PROJECT, emulator, pytest

# Every test of release 2.43.0; fewer would mean that some were not collected.
EXPECTED_TESTS = 52


def main() -> int:
    suite, binary, *arguments = sys.argv[1:]
    sys.path.insert(0, str(PLUGINS))
    from public_tables import write_public_tables

    with tempfile.TemporaryDirectory(prefix="millpond-google-") as scratch:
        scratch = Path(scratch)
        write_public_tables(scratch / "data", PROJECT)
        shutil.copytree(Path(suite) / "tests", scratch / "tests")
        report = scratch / "report.xml"
        with emulator(binary, scratch / "data") as address:
            ended = pytest(scratch, address, "-ra", f"--junitxml={report}", *arguments, "tests/system")
        counts = re.search(r'errors="(\d+)" failures="(\d+)" skipped="(\d+)" tests="(\d+)"', report.read_text())
        errors, failures, skipped, tests = map(int, counts.groups())
        passed = tests - errors - failures - skipped
        print(f"google-cloud-bigquery-storage system tests: {passed} of {EXPECTED_TESTS} passed")
        if not arguments and passed != EXPECTED_TESTS:
            return ended or 1
        return ended


if __name__ == "__main__":
    raise SystemExit(main())
