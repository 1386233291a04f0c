#!/usr/bin/env bash
# Runs the integration tests with as little memory as their runs can do with, so that rows wait on disk wherever they may:
# tests/harness/forced_spill.sh [SIZE] [cargo test arguments]. SIZE is 128MiB by default. Tests that set a budget of their own keep it.
set -euo pipefail
cd "$(dirname "$0")/../.."

export MILLPOND_TEST_MEMORY="${1:-128MiB}"
[ $# -gt 0 ] && shift
cargo test --workspace --locked --test integration "$@"
