#!/usr/bin/env bash
# Kills a run over a table of the emulator again and again until it gets to its end, and compares what it leaves with an
# undisturbed run: tests/harness/kill.sh MILLPOND [ROWS] [LEAST_SECONDS] [MOST_SECONDS].
#
# MILLPOND is the built command. By default 5,000,000 rows and a kill -9 every 3 to 8 seconds, each moment drawn from SEED (1).
# Needs room for about 0.5 GB per million rows, in WORK if that is set. The exit code is 0 only when all files are the same and
# no more units were read twice than were in work at a kill.
set -euo pipefail

millpond="$(realpath "${1:?usage: kill.sh MILLPOND [ROWS] [LEAST_SECONDS] [MOST_SECONDS]}")"
rows="${2:-5000000}"
least="${3:-3}"
most="${4:-8}"
slots="${SLOTS:-2}"
RANDOM="${SEED:-1}"
work="${WORK:-$(mktemp -d)}"
mkdir -p "$work"
server=""
run=""
tidy() {
  [ -n "$run" ] && kill -9 "$run" 2>/dev/null
  [ -n "$server" ] && kill "$server" 2>/dev/null
  [ -z "${WORK:-}" ] && rm -rf "$work"
  return 0
}
trap tidy EXIT

[ -d "$work/demo/data" ] || "$millpond" demo --rows "$rows" --out "$work/demo" >"$work/demo.log" 2>&1
table="$(cd "$work/demo/data" && find . -name '*.parquet' -printf '%h\n' | sort -u | head -n 1)"
address="bigquery://$(printf '%s' "${table#./}" | tr / .)"

port="${PORT:-0}"
"$millpond" emulator --data "$work/demo/data" --port "$port" --streams "${STREAMS:-40}" >"$work/emulator.log" 2>&1 &
server=$!
for _ in $(seq 100); do
  url="$(grep -ohE 'http://127\.0\.0\.1:[0-9]+' "$work/emulator.log" | head -n 1 || true)"
  [ -n "$url" ] && break
  sleep 0.1
done
[ -n "$url" ] || { cat "$work/emulator.log"; exit 1; }

# Both runs read the table as of one moment.
recipe="$work/recipe.yaml"
{
  printf 'source: {table: "%s", bigquery: {snapshot_time: "%s"}}\n' "$address" "$(date -u -d '-1 minute' +%Y-%m-%dT%H:%M:%SZ)"
  grep -v '^source:' "$work/demo/clicks.yaml"
} >"$recipe"
# In place of the shell that calls it, so that a kill meets the run itself.
once() { exec "$millpond" run "$recipe" --emulator "$url" --out "$1" --temp-dir "$work/temp" --slots "$slots" --quiet ${MEMORY:+--memory "$MEMORY"}; }
sums() { (cd "$1" && find . -type f ! -name report.json -print0 | sort -z | xargs -0 sha256sum); }
requests() { curl -fsS "$url/emulator/requests"; }

rm -rf "$work/clean" "$work/killed" "$work/temp"
mkdir "$work/temp"
began=$SECONDS
(once "$work/clean")
echo "undisturbed: $((SECONDS - began)) s"
requests >"$work/before.json"

kills=0
began=$SECONDS
while :; do
  once "$work/killed" &
  run=$!
  pause=$((least * 1000 + (RANDOM * 32768 + RANDOM) % ((most - least) * 1000 + 1)))
  ended=""
  for _ in $(seq $((pause / 50))); do
    sleep 0.05
    kill -0 "$run" 2>/dev/null || { ended=1; break; }
  done
  if [ -n "$ended" ]; then
    wait "$run" || { echo "the run failed after $kills kills"; exit 1; }
    run=""
    break
  fi
  kill -9 "$run" 2>/dev/null || true
  wait "$run" 2>/dev/null || true
  run=""
  [ -e "$work/killed/_SUCCESS" ] && break
  kills=$((kills + 1))
done
echo "killed $kills times: $((SECONDS - began)) s in all"
requests >"$work/after.json"

diff <(sums "$work/clean") <(sums "$work/killed") || { echo "the files differ"; exit 1; }
[ -z "$(ls -A "$work/temp")" ] || { echo "left behind:"; ls -A "$work/temp"; exit 1; }
python3 - "$work/before.json" "$work/after.json" "$kills" "$slots" <<'PYTHON'
import json
import sys
from collections import defaultdict

def calls(path):
    found = json.load(open(path))
    return found if isinstance(found, list) else found["requests"]

before, after, kills, slots = calls(sys.argv[1]), calls(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
reads = [c for c in after[len(before):] if c["call"] == "ReadRows"]
clean = sum(c["rows"] for c in before if c["call"] == "ReadRows")
# Streams of every session stand in the same order, so a unit is the position of its stream.
position = {}
for call in after[len(before):]:
    if call["call"] == "CreateReadSession":
        position.update({name: index for index, name in enumerate(call["streams"])})
ranges = defaultdict(list)
for read in reads:
    ranges[position.get(read["stream"], read["stream"])].append((read["offset"], read["offset"] + read["rows"]))
again, units = 0, 0
for spans in ranges.values():
    distinct, end = 0, 0
    for start, stop in sorted(spans):
        distinct += max(0, stop - max(start, end))
        end = max(end, stop)
    twice = sum(stop - start for start, stop in spans) - distinct
    again += twice
    units += twice > 0
print(f"rows sent twice: {again} of {clean}, in {units} of {len(ranges)} units")
if units > kills * slots:
    sys.exit(f"{units} units were read twice, and {kills} kills can have met {kills * slots} at most")
PYTHON
echo "the same files after $kills kills"
