#!/usr/bin/env bash
# Runs Google's Node clients against the emulator of a built millpond.
#
#   conformance/node.sh target/release/millpond
#
# The clients come from the package registry, once, into ${MILLPOND_VENV:-$HOME/.cache/millpond/venv}-node. Says so and ends
# well where there is no Node.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
MILLPOND_BIN=$(realpath "${1:?usage: conformance/node.sh MILLPOND_BINARY}")
export MILLPOND_BIN

if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
    echo "skipped: Google's Node clients, as node and npm are not installed"
    exit 0
fi
if (($(node --print 'process.versions.node.split(".")[0]') < 20)); then
    echo "skipped: Google's Node clients, as node $(node --version) is older than 20"
    exit 0
fi

place=${MILLPOND_VENV:-$HOME/.cache/millpond/venv}-node
stamp=$place/.millpond-lock
mkdir -p "$place"
cp "$here/node/package.json" "$here/node/package-lock.json" "$place"
if ! cmp -s "$here/node/package-lock.json" "$stamp"; then
    (cd "$place" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error)
    cp "$here/node/package-lock.json" "$stamp"
fi
# Modules are looked for beside the tests.
cp "$here"/node/*.mjs "$place"
cd "$place"
exec node --test --test-timeout=60000 rest.test.mjs storage.test.mjs
