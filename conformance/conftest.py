"""The binary under test, once per session."""

import os

import pytest

from millpond_process import Millpond


@pytest.fixture(scope="session")
def millpond(tmp_path_factory):
    binary = os.environ.get("MILLPOND_BIN")
    if not binary:
        pytest.exit("set MILLPOND_BIN, or call conformance/run.sh", returncode=2)
    return Millpond(binary, tmp_path_factory.mktemp("millpond"))
