//! What stands below the options in each help text: examples to copy, exit codes, and what happens to files.

pub(super) const MILLPOND: &str = "\
Start here:
  millpond demo                                            see it work, in a few seconds
  millpond init 'rows/*.parquet' -l y -k id -o r.yaml      a recipe for your table, with reasons
  millpond plan r.yaml                                     what a run would read, how many times
  millpond run r.yaml --out out --memory 1GiB              the run
  millpond apply --fitted out/fitted.json --input new.parquet --out new

Exit codes:
    0 done                     5 source unavailable        9 unexpected schema
    2 recipe or usage          6 memory budget too small  10 unusable manifest or fitted.json
    3 credentials              7 disk                     11 results cannot be written
    4 not found                8 data                     130 interrupted, 143 terminated

Environment:
  BIGQUERY_EMULATOR_HOST   emulator in place of Google, as --emulator
  GOOGLE_APPLICATION_CREDENTIALS   file with credentials, as --credentials
  RUST_LOG                 log to stderr, for example RUST_LOG=millpond=debug";

pub(super) const RUN: &str = "\
Examples:
  millpond run clicks.yaml --source 'clicks/*.parquet' --out out
  millpond run clicks.yaml --source bigquery://my-project.shop.clicks --out out --memory 1GiB
  millpond run clicks.yaml --limit 100000 --out trial        a first try on few rows
  millpond run clicks.yaml --out out --json | jq .rows       the report for a program

Writes DIR/train, DIR/val and DIR/test as Parquet, DIR/fitted.json with all that was learned,
DIR/report.json, and DIR/_SUCCESS last. The same rows and recipe give the same bytes whatever the
slots, batch size or memory. Ctrl-C once ends the run and removes what it wrote; twice ends it at
once.";

pub(super) const PLAN: &str = "\
Examples:
  millpond plan clicks.yaml --source 'clicks/*.parquet'
  millpond plan clicks.yaml --source bigquery://my-project.shop.clicks
  millpond plan clicks.yaml --physical

Reads the table's schema and size, never its rows. With BigQuery it opens a read session, which
costs nothing until rows are read from it.";

pub(super) const INIT: &str = "\
Examples:
  millpond init 'clicks/*.parquet' --label label --key row_id -o clicks.yaml
  millpond init bigquery://my-project.shop.orders --label returned --index ordered_at
  millpond init houses.csv --label price --key id --force-categorical zip --drop 'internal_*'

Put globs in quotes, so that the shell leaves them alone. The recipe explains every choice in
comments; change what you know better. Nothing measured here goes into training data: medians,
means and categories are learned from the training rows when the recipe runs.";

pub(super) const SCHEMA: &str = "\
Example:
  millpond schema > millpond.schema.json

Then, as the first line of a recipe, for editors with a YAML language server:
  # yaml-language-server: $schema=millpond.schema.json";

pub(super) const APPLY: &str = "\
Examples:
  millpond apply --fitted out/fitted.json --input 'new/*.parquet' --out new_features
  millpond apply --fitted out/fitted.json --input bigquery://my-project.shop.today --out today

Values are the same, bit for bit, as those the run itself wrote for the same rows. Label, weight
and pass-through columns are handed on when the new rows have them.";

pub(super) const DEMO: &str = "\
Examples:
  millpond demo
  millpond demo --rows 2000000 --out big
  millpond demo --keep                       and read the table again from another terminal

Writes DIR/data (the table), DIR/clicks.yaml (the recipe) and DIR/out (the results). Nothing
leaves this machine.";

pub(super) const EMULATOR: &str = "\
Examples:
  millpond emulator --data ./data
  millpond emulator --data ./data --port 9060 --streams 4
  millpond emulator --data ./data --faults faults.yaml --session-life 60
  millpond run r.yaml --source bigquery://demo.shop.clicks --emulator http://127.0.0.1:9050 --out o

Serves DIR/PROJECT/DATASET/TABLE/*.parquet as PROJECT.DATASET.TABLE: the Storage Read API and the
REST calls it needs, on one port of 127.0.0.1, without credentials. Not for use on a network.
Ctrl-C ends it. GET /emulator/requests lists the calls it has answered, rows sent included.

A fault script names calls and what happens to them; the first rule that applies is played:
  faults:
    - method: ReadRows        # CreateReadSession, SplitReadStream, Rest, AppendRows and its like
      stream: 1               # position in the session [default: every stream]
      after_responses: 3      # [default: 0]
      skip_calls: 0           # calls let through first [default: 0]
      calls: 2                # calls that fail, counted for each stream [default: 1]
      fault: {abort: {code: UNAVAILABLE, message: going away, retry_after_ms: 500}}
    - method: Rest
      path: /tables/          # part of the path [default: every call]
      fault: {http: {status: 503, reason: backendError, message: try again}}
Faults: abort, stall_ms: N, slow_ms: N, cut_after_bytes: N, duplicate, flip_byte: N, truncate_to: N,
declare_length: N, row_count_off_by: N, expire_session, ignore_offset, lose_answer, http. Also,
beside `faults`, `write_seed: 7`: a script for methods that write, and
`random: {seed: 7, percent: 50, calls: 3, within_responses: 8}`: faults that clients survive.";
