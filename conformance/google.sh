#!/usr/bin/env bash
# Runs Google's own system tests, unmodified, against the emulator of a built millpond: those of google-cloud-bigquery-storage,
# and without pytest arguments those of google-cloud-bigquery and pandas-gbq too.
#
#   conformance/google.sh target/release/millpond [pytest arguments]
#
# The clients and the source distributions that hold the tests come from the package registry, once, into
# ${MILLPOND_VENV:-$HOME/.cache/millpond/venv}-google.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
binary=$(realpath "${1:?usage: conformance/google.sh MILLPOND_BINARY [pytest arguments]}")
shift

release=google-cloud-bigquery-storage==2.43.0
venv=${MILLPOND_VENV:-$HOME/.cache/millpond/venv}-google
stamp=$venv/.millpond-requirements
if ! cmp -s "$here/google_clients/requirements.txt" "$stamp"; then
    rm -rf "$venv"
    "${PYTHON:-python3}" -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$here/google_clients/requirements.txt"
    "$venv/bin/pip" download --quiet --disable-pip-version-check --no-deps --no-binary :all: --dest "$venv/suite" "$release"
    tar --extract --gzip --strip-components=1 --directory "$venv/suite" --file "$venv"/suite/*.tar.gz
    for more in google-cloud-bigquery==3.47.0 pandas-gbq==0.35.3; do
        name=${more%%==*}
        mkdir -p "$venv/suites/$name"
        "$venv/bin/pip" download --quiet --disable-pip-version-check --no-deps --no-binary :all: --dest "$venv/suites/$name" "$more"
        tar --extract --gzip --strip-components=1 --directory "$venv/suites/$name" --file "$venv/suites/$name"/*.tar.gz
    done
    cp "$here/google_clients/requirements.txt" "$stamp"
fi

if [[ $# -gt 0 ]]; then
    exec "$venv/bin/python" -B "$here/google_storage_suite.py" "$venv/suite" "$binary" "$@"
fi
"$venv/bin/python" -B "$here/google_storage_suite.py" "$venv/suite" "$binary"
exec "$venv/bin/python" -B "$here/google_suites.py" "$venv/suites" "$binary"
