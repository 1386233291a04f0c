#!/usr/bin/env bash
# Takes over into fuzz/corpus what the last runs of a target found: fuzz/keep.sh TARGET [FILES]. Inputs that reach nothing new
# are left out, and of the rest the FILES smallest are kept (40 by default), beside the seeds that have names.
set -euo pipefail
cd "$(dirname "$0")"

target="${1:?usage: fuzz/keep.sh TARGET [FILES]}"
files="${2:-40}"
directory="${FUZZ_TARGET_DIR:-$PWD/target}"
work="${FUZZ_WORK:-$directory/work}/$target"
merged="$(mktemp -d)"
trap 'rm -rf "$merged"' EXIT
"$directory/debug/$target" -merge=1 -max_len=9000 "$merged" "corpus/$target" "$work/corpus" 2>"$work/merge.log"
# Names that are hashes are libFuzzer's own; the others were written by people.
find "corpus/$target" -type f -regextype posix-extended -regex '.*/[0-9a-f]{40}' -delete
find "$merged" -type f -printf '%s %f\n' | sort -n | head -n "$files" | while read -r _ name; do
  cp -n "$merged/$name" "corpus/$target/$name"
done
printf '%s: %s inputs kept of %s\n' "$target" "$(find "corpus/$target" -type f | wc -l)" "$(find "$merged" -type f | wc -l)"
