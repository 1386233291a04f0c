"""dbt-bigquery's own functional tests, unmodified, against the emulator of a built millpond.

    python dbt_suite.py SUITE_DIR MILLPOND_BINARY [--list-failures]

SUITE_DIR holds the unpacked source distribution of dbt-bigquery. Those of its tests are run that say what every adapter of dbt
must do (seeds, models, snapshots, incremental models, documentation, hooks), and those for its own ways of doing it. What fails for a known reason is listed in
`dbt/dbt-bigquery.known`. With `--list-failures` everything is run, and what fails is printed.
"""

import shutil
import sys
import tempfile
from pathlib import Path

from suites import HERE, Suite, emulator

SUITE = Suite(
    name="dbt-bigquery functional tests",
    tests=[
        f"tests/functional/adapter/{name}"
        for name in (
            "test_basic.py",
            "hooks",
            "incremental",
            "test_aliases.py",
            "column_types",
            "constraints",
            "test_simple_seed.py",
            "test_simple_snaphot.py",
            "test_changing_relation_type.py",
            "empty",
            "dbt_show",
            "unit_testing",
            "query_comment_test",
            "store_test_failures_tests",
            "simple_bigquery_view",
        )
    ],
    below="tests/functional",
    floor=110,
    timeout_seconds=120,
    known=HERE / "dbt" / "dbt-bigquery.known",
    environment={"DBT_SEND_ANONYMOUS_USAGE_STATS": "false"},
)


def main() -> int:
    suite, binary, *arguments = sys.argv[1:]
    with tempfile.TemporaryDirectory(prefix="millpond-dbt-") as scratch:
        scratch = Path(scratch)
        shutil.copytree(Path(suite) / "tests", scratch / "suite" / "tests")
        with emulator(binary, scratch / "data") as address:
            fine = SUITE.run(scratch / "suite", address, everything="--list-failures" in arguments)
    return 0 if fine else 1


if __name__ == "__main__":
    raise SystemExit(main())
