"""Google's own system tests of google-cloud-bigquery and pandas-gbq, unmodified, against the emulator of a built millpond, and
round trips of ours through the same clients.

    python google_suites.py SUITES_DIR MILLPOND_BINARY [NAME] [--list-failures]        NAME may be round-trips

SUITES_DIR holds the unpacked source distributions, `google-cloud-bigquery` and `pandas-gbq`. What fails for a known reason is
listed in `google_clients/NAME.known`. With `--list-failures` everything is run, and what fails is printed.
"""

import shutil
import sys
import tempfile
from pathlib import Path

from suites import HERE, PLUGINS, PROJECT, Suite, emulator, pytest

# How many tests of each release pass at least.
FLOORS = {"google-cloud-bigquery": 259, "pandas-gbq": 98}

# Ours, by the same clients.
ROUND_TRIPS = "round-trips"


def suite(name: str) -> Suite:
    return Suite(
        name=f"{name} system tests",
        tests=["tests/system"],
        below="tests/system",
        floor=FLOORS[name],
        timeout_seconds=60,
        known=HERE / "google_clients" / f"{name}.known",
        options=["-o", "timeout_func_only=true"],
        environment={"GBQ_PROJECT_ID": PROJECT},
    )


def main() -> int:
    suites, binary, *arguments = sys.argv[1:]
    everything = "--list-failures" in arguments
    names = [argument for argument in arguments if argument in (*FLOORS, ROUND_TRIPS)] or [ROUND_TRIPS, *FLOORS]
    sys.path.insert(0, str(PLUGINS))
    from public_objects import write_public_objects
    from public_tables import write_public_tables

    fine = True
    with tempfile.TemporaryDirectory(prefix="millpond-google-") as scratch:
        scratch = Path(scratch)
        write_public_tables(scratch / "data", PROJECT)
        write_public_objects(scratch / "data")
        with emulator(binary, scratch / "data") as address:
            for name in names:
                if name == ROUND_TRIPS:
                    fine &= pytest(scratch, address, str(PLUGINS / "round_trips.py")) == 0
                    continue
                shutil.copytree(Path(suites) / name / "tests", scratch / name / "tests")
                fine &= suite(name).run(scratch / name, address, everything=everything)
    return 0 if fine else 1


if __name__ == "__main__":
    raise SystemExit(main())
