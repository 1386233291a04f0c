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

. "$here/venv.sh"
judge_venv google "$here/google_clients/requirements.txt"
if [[ $made == yes ]]; then
    source_of google-cloud-bigquery-storage==2.43.0 suite
    source_of google-cloud-bigquery==3.47.0 suites/google-cloud-bigquery
    source_of pandas-gbq==0.35.3 suites/pandas-gbq
    judge_venv_made
fi

if [[ $# -gt 0 ]]; then
    exec "$venv/bin/python" -B "$here/google_storage_suite.py" "$venv/suite" "$binary" "$@"
fi
"$venv/bin/python" -B "$here/google_storage_suite.py" "$venv/suite" "$binary"
exec "$venv/bin/python" -B "$here/google_suites.py" "$venv/suites" "$binary"
