"""SQLAlchemy's compliance suite for dialects, as sqlalchemy-bigquery has it, unmodified, against the emulator of a built millpond.

    python sqlalchemy_suite.py SUITE_DIR MILLPOND_BINARY [--list-failures]

SUITE_DIR holds the unpacked source distribution of sqlalchemy-bigquery. What fails for a known reason is listed in
`sqlalchemy/sqlalchemy-bigquery.known`. With `--list-failures` everything is run, and what fails is printed.
"""

import shutil
import sys
import tempfile
from pathlib import Path

from suites import HERE, PROJECT, Suite, emulator

TESTS = "tests/sqlalchemy_dialect_compliance"

SUITE = Suite(
    name="sqlalchemy-bigquery compliance tests",
    tests=[TESTS],
    below=TESTS,
    floor=327,
    timeout_seconds=60,
    known=HERE / "sqlalchemy" / "sqlalchemy-bigquery.known",
    options=[
        f"--dburi=bigquery://{PROJECT}",
        "--requirements=sqlalchemy_bigquery.requirements:Requirements",
    ],
)


def main() -> int:
    suite, binary, *arguments = sys.argv[1:]
    with tempfile.TemporaryDirectory(prefix="millpond-sqlalchemy-") as scratch:
        scratch = Path(scratch)
        shutil.copytree(Path(suite) / "tests", scratch / "suite" / "tests")
        shutil.copy(Path(suite) / "setup.cfg", scratch / "suite")
        with emulator(binary, scratch / "data") as address:
            fine = SUITE.run(scratch / "suite", address, everything="--list-failures" in arguments)
    return 0 if fine else 1


if __name__ == "__main__":
    raise SystemExit(main())
