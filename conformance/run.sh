#!/usr/bin/env bash
# Judges a built millpond by the real scikit-learn, DuckDB and FarmHash, and its emulator by Google's Node clients, by dbt's
# functional tests, by SQLAlchemy's compliance tests and by Google's own system tests.
#
#   conformance/run.sh target/release/millpond [pytest arguments]
#   MILLPOND_BIN=target/debug/millpond conformance/run.sh
#
# Builds nothing. The judges are installed once into ${MILLPOND_VENV:-$HOME/.cache/millpond/venv}, Google's clients and their
# tests beside it. With pytest arguments only Millpond's own tests run; `conformance/google.sh BINARY` runs Google's alone, and
# `conformance/node.sh BINARY` the Node clients, `conformance/dbt.sh BINARY` dbt, `conformance/sqlalchemy.sh BINARY` SQLAlchemy.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
if [[ $# -gt 0 && $1 != -* ]]; then
    MILLPOND_BIN=$1
    shift
fi
if [[ -z ${MILLPOND_BIN:-} ]]; then
    echo "usage: conformance/run.sh MILLPOND_BINARY [pytest arguments], or set MILLPOND_BIN" >&2
    exit 2
fi
MILLPOND_BIN=$(realpath "$MILLPOND_BIN")
export MILLPOND_BIN
if [[ ! -x $MILLPOND_BIN ]]; then
    echo "$MILLPOND_BIN is not an executable file" >&2
    exit 2
fi

venv=${MILLPOND_VENV:-$HOME/.cache/millpond/venv}
stamp=$venv/.millpond-requirements
if ! cmp -s "$here/requirements.txt" "$stamp"; then
    "${PYTHON:-python3}" -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$here/requirements.txt"
    # Needs a C++ compiler; without it the tests that recompute the hash say that they were skipped.
    "$venv/bin/pip" install --quiet --disable-pip-version-check 'pyfarmhash==0.5.*' \
        || echo "pyfarmhash cannot be installed: the split is judged by its printed SQL only where it needs no hash" >&2
    cp "$here/requirements.txt" "$stamp"
fi

cd "$here"
if [[ $# -gt 0 ]]; then
    exec "$venv/bin/python" -B -m pytest -p no:cacheprovider -q -ra "$@" .
fi
"$venv/bin/python" -B -m pytest -p no:cacheprovider -q -ra .
"$here/node.sh" "$MILLPOND_BIN"
"$here/dbt.sh" "$MILLPOND_BIN"
"$here/sqlalchemy.sh" "$MILLPOND_BIN"
exec "$here/google.sh" "$MILLPOND_BIN"
