#!/usr/bin/env bash
# Runs SQLAlchemy's compliance suite for dialects, as sqlalchemy-bigquery has it, against the emulator of a built millpond.
#
#   conformance/sqlalchemy.sh target/release/millpond [--list-failures]
#
# SQLAlchemy and the source distribution that holds the tests come from the package registry, once, into
# ${MILLPOND_VENV:-$HOME/.cache/millpond/venv}-sqlalchemy.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
binary=$(realpath "${1:?usage: conformance/sqlalchemy.sh MILLPOND_BINARY [--list-failures]}")
shift

. "$here/venv.sh"
judge_venv sqlalchemy "$here/sqlalchemy/requirements.txt"
if [[ $made == yes ]]; then
    source_of "$(grep '^sqlalchemy-bigquery==' "$here/sqlalchemy/requirements.txt")" suite
    judge_venv_made
fi
exec "$venv/bin/python" -B "$here/sqlalchemy_suite.py" "$venv/suite" "$binary" "$@"
