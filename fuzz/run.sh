#!/usr/bin/env bash
# Runs one fuzz target: fuzz/run.sh TARGET [SECONDS]. TARGET is ipc, manifest, recipe, fitted or names; 60 seconds by default.
#
# Starts from fuzz/corpus/TARGET, which is not changed. What is found goes to the working corpus, by default below the target
# directory; FUZZ_WORK names another place. An input that breaks a promise is written to crash-* there, and the exit code is
# not 0. `fuzz/keep.sh TARGET` takes the inputs that reach new code over into fuzz/corpus.
set -euo pipefail
cd "$(dirname "$0")"

target="${1:?usage: fuzz/run.sh TARGET [SECONDS]}"
seconds="${2:-60}"
export CARGO_TARGET_DIR="${FUZZ_TARGET_DIR:-$PWD/target}" CARGO_INCREMENTAL=0 RUSTC_WRAPPER="$PWD/instrument.sh"
cargo build --locked --bin "$target"
work="${FUZZ_WORK:-$CARGO_TARGET_DIR/work}/$target"
mkdir -p "$work/corpus"
dictionary=()
[ -e "dictionaries/$target.txt" ] && dictionary=("-dict=dictionaries/$target.txt")
exec "$CARGO_TARGET_DIR/debug/$target" "$work/corpus" "corpus/$target" "${dictionary[@]}" \
  -max_total_time="$seconds" -max_len=9000 -timeout=120 -rss_limit_mb=2048 -print_final_stats=1 \
  -artifact_prefix="$work/"
