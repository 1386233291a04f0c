"""Google's own system tests of google-cloud-bigquery-storage, unmodified, against the emulator of a built millpond.

    python google_storage_suite.py SUITE_DIR MILLPOND_BINARY [pytest arguments]

SUITE_DIR holds the unpacked source distribution. The tests run from a copy of its `tests` folder alone, so that the clients
under test are the installed ones. Exits with pytest's own code; the number of tests must be the one the release has.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
PROJECT = "millpond-conformance"

# Every test of release 2.43.0; fewer would mean that some were not collected.
EXPECTED_TESTS = 52


def main() -> int:
    suite, binary, *arguments = sys.argv[1:]
    sys.path.insert(0, str(HERE / "google_clients"))
    from public_tables import write_public_tables

    with tempfile.TemporaryDirectory(prefix="millpond-google-") as scratch:
        scratch = Path(scratch)
        data = scratch / "data"
        write_public_tables(data, PROJECT)
        shutil.copytree(Path(suite) / "tests", scratch / "tests")
        emulator = subprocess.Popen(
            [binary, "emulator", "--data", str(data), "--port", "0"],
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            serving = emulator.stdout.readline()
            address = re.search(r"http://\S+", serving).group(0)
            environment = {
                **os.environ,
                "BIGQUERY_EMULATOR_HOST": address,
                "PROJECT_ID": PROJECT,
                "GOOGLE_CLOUD_PROJECT": PROJECT,
                "PYTHONPATH": str(HERE / "google_clients"),
                "PYTHONDONTWRITEBYTECODE": "1",
            }
            report = scratch / "report.xml"
            result = subprocess.run(
                [
                    *(sys.executable, "-m", "pytest", "-p", "redirect", "-p", "no:cacheprovider"),
                    *("-q", "-ra", f"--junitxml={report}", *arguments, "tests/system"),
                ],
                cwd=scratch,
                env=environment,
                check=False,
            )
        finally:
            emulator.terminate()
            emulator.wait(timeout=30)
        counts = re.search(r'errors="(\d+)" failures="(\d+)" skipped="(\d+)" tests="(\d+)"', report.read_text())
        errors, failures, skipped, tests = map(int, counts.groups())
        passed = tests - errors - failures - skipped
        print(f"google-cloud-bigquery-storage system tests: {passed} of {EXPECTED_TESTS} passed")
        if not arguments and passed != EXPECTED_TESTS:
            return result.returncode or 1
        return result.returncode


if __name__ == "__main__":
    raise SystemExit(main())
