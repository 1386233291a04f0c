#!/usr/bin/env bash
# Runs dbt-bigquery's own functional tests, unmodified, against the emulator of a built millpond.
#
#   conformance/dbt.sh target/release/millpond [--list-failures]
#
# dbt and the source distribution that holds the tests come from the package registry, once, into
# ${MILLPOND_VENV:-$HOME/.cache/millpond/venv}-dbt.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
binary=$(realpath "${1:?usage: conformance/dbt.sh MILLPOND_BINARY [--list-failures]}")
shift

venv=${MILLPOND_VENV:-$HOME/.cache/millpond/venv}-dbt
stamp=$venv/.millpond-requirements
if ! cmp -s "$here/dbt/requirements.txt" "$stamp"; then
    rm -rf "$venv"
    "${PYTHON:-python3}" -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$here/dbt/requirements.txt"
    release=$(grep '^dbt-bigquery==' "$here/dbt/requirements.txt")
    mkdir -p "$venv/suite"
    "$venv/bin/pip" download --quiet --disable-pip-version-check --no-deps --no-binary :all: --dest "$venv/suite" "$release"
    tar --extract --gzip --strip-components=1 --directory "$venv/suite" --file "$venv"/suite/*.tar.gz
    cp "$here/dbt/requirements.txt" "$stamp"
fi
exec "$venv/bin/python" -B "$here/dbt_suite.py" "$venv/suite" "$binary" "$@"
