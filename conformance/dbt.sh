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

. "$here/venv.sh"
judge_venv dbt "$here/dbt/requirements.txt"
if [[ $made == yes ]]; then
    source_of "$(grep '^dbt-bigquery==' "$here/dbt/requirements.txt")" suite
    judge_venv_made
fi
exec "$venv/bin/python" -B "$here/dbt_suite.py" "$venv/suite" "$binary" "$@"
