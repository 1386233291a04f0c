#!/usr/bin/env bash
# Cargo's compiler wrapper of the fuzz targets: only what reads bytes from outside counts its branches, so that everything else
# is compiled once and runs at full speed. A coverage pass of LLVM does it, which the stable compiler has too.
set -euo pipefail

rustc="$1"
shift
name=""
previous=""
for argument in "$@"; do
  [ "$previous" = "--crate-name" ] && name="$argument"
  previous="$argument"
done
case "$name" in
  millpond | millpond_features | millpond_spill | arrow_ipc | serde_saphyr | ipc | manifest | recipe | fitted | names)
    exec "$rustc" "$@" --cfg fuzzing -Cpasses=sancov-module \
      -Cllvm-args=-sanitizer-coverage-level=4 \
      -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
      -Cllvm-args=-sanitizer-coverage-pc-table \
      -Cllvm-args=-sanitizer-coverage-trace-compares
    ;;
  *) exec "$rustc" "$@" ;;
esac
