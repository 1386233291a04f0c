//! Faults drawn from seeds: whatever the service and the network do, the output is that of a calm run, or there is none and
//! the error is the one that the fault asks for.
//!
//! `MILLPOND_STORMS=10000 cargo test --release -p millpond-cli --test integration storms` plays more of them than the default;
//! `MILLPOND_STORM=17` plays one again.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use millpond::{ByteSize, EarlierWork, Error, ErrorKind, Job, JobSettings, Recipe};
use millpond_emulator::{
    Code, Corruption, Emulator, FaultAction, FaultScript, FaultTarget, ManualClock, RunningEmulator,
};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use crate::rows::{ADDRESS, Draws, RECIPE, TABLE, orders, write_table};
use crate::served::NOW;
use crate::tree::{results, tree};

/// Storms played when nothing else is asked for.
const STORMS: u64 = 200;
/// Storms at a time: most of their time they wait.
const AT_A_TIME: usize = 16;
/// A storm that has not ended by then hangs. The waits of a storm add up to seconds; the rest is for a busy machine.
const DEADLINE: Duration = Duration::from_secs(240);
/// Runs of one storm before it is left alone.
const MOST_ATTEMPTS: usize = 4;
/// An hour before the time on the emulator's clock.
const SNAPSHOT: &str = "2026-03-01T11:00:00Z";

/// A script, and what may come of it.
struct Storm {
    script: FaultScript,
    /// Kinds of errors that its faults ask for; none when all of them can be survived.
    fatal: Vec<ErrorKind>,
    slots: usize,
    /// Bytes of a stream after which its rows are made durable.
    checkpoint: u64,
}

/// Faults that a client has to survive.
fn survivable(draws: &mut Draws) -> FaultAction {
    let transport = [
        "Received RST_STREAM with error code 2",
        "Received unexpected EOS on DATA frame from server",
        "HTTP/2 error code: INTERNAL_ERROR",
        "Connection closed with unknown cause",
    ];
    match draws.below(9) {
        0 | 1 => FaultAction::abort(Code::Unavailable, "the service is currently unavailable"),
        2 => FaultAction::abort(Code::Aborted, ""),
        3 => FaultAction::abort(Code::DeadlineExceeded, "deadline exceeded"),
        4 => FaultAction::abort(Code::Internal, transport[draws.below(4) as usize]),
        5 => FaultAction::abort(Code::Unknown, ""),
        6 => FaultAction::Abort {
            code: Code::ResourceExhausted,
            message: "quota exceeded".to_owned(),
            retry_delay: Some(Duration::from_millis(draws.below(40))),
        },
        7 => FaultAction::Stall(Duration::from_millis(draws.below(30))),
        _ => FaultAction::Cut {
            after_bytes: draws.below(6_000),
        },
    }
}

/// Faults that end the run unless their moment never comes, and how.
fn fatal(draws: &mut Draws, target: &FaultTarget) -> (FaultAction, ErrorKind) {
    let of_rows = *target != FaultTarget::CreateReadSession;
    let abort = |code, message: &str, kind| (FaultAction::abort(code, message), kind);
    match draws.below(if of_rows { 12 } else { 5 }) {
        0 => abort(Code::PermissionDenied, "permission denied", ErrorKind::Auth),
        1 => abort(
            Code::Unauthenticated,
            "request had invalid authentication credentials",
            ErrorKind::Auth,
        ),
        2 => abort(Code::NotFound, "not found: table", ErrorKind::NotFound),
        3 => abort(
            Code::Internal,
            "request failed: internal error",
            ErrorKind::Unavailable,
        ),
        4 => abort(
            Code::ResourceExhausted,
            "quota exceeded",
            ErrorKind::Unavailable,
        ),
        5 => abort(Code::DataLoss, "row cannot be read", ErrorKind::Data),
        6 => (FaultAction::ExpireSession, ErrorKind::Unavailable),
        7 => (FaultAction::IgnoreOffset, ErrorKind::Data),
        8 => (
            FaultAction::WrongRowCount {
                off_by: draws.below(9) as i64 - 4,
            },
            ErrorKind::Data,
        ),
        9 => (
            FaultAction::Corrupt(Corruption::TruncateTo {
                bytes: draws.below(64),
            }),
            ErrorKind::Data,
        ),
        10 => (
            FaultAction::Corrupt(Corruption::FlipByte { at: draws.below(4) }),
            ErrorKind::Data,
        ),
        _ => {
            let bytes = [0x7fff_fff0, 0xffff_fff0, 0x0100_0000][draws.below(3) as usize];
            (
                FaultAction::Corrupt(Corruption::DeclareLength { bytes }),
                ErrorKind::Data,
            )
        }
    }
}

fn storm(seed: u64) -> Storm {
    let mut draws = Draws::new(seed);
    let mut script = FaultScript::new();
    let mut kinds = Vec::new();
    for _ in 0..=draws.below(4) {
        let target = match draws.below(6) {
            0 => FaultTarget::CreateReadSession,
            1 | 2 => FaultTarget::AnyStream,
            _ => FaultTarget::Stream(draws.below(3) as usize),
        };
        let action = if draws.below(6) == 0 {
            let (action, kind) = fatal(&mut draws, &target);
            kinds.push(kind);
            action
        } else {
            survivable(&mut draws)
        };
        let attempts = 1 + draws.below(3) as u32;
        // An offset can only be ignored by a call that has one, which is never the first.
        let (after, skip) = match action {
            FaultAction::IgnoreOffset => (0, 1),
            _ => (draws.below(12), 0),
        };
        script = script.fault_later(target, after, skip, attempts, action);
    }
    Storm {
        script,
        fatal: kinds,
        slots: 1 + draws.below(4) as usize,
        checkpoint: [1, 5_000, 64 << 20][draws.below(3) as usize],
    }
}

/// Where many small files are soon written.
fn place() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir())
        .unwrap()
}

type Tree = BTreeMap<String, Vec<u8>>;

async fn serve(data: &Path, script: &FaultScript) -> RunningEmulator {
    let emulator = Emulator::builder()
        .data_dir(data)
        .streams(NonZeroU32::new(3).unwrap())
        .message_bytes(2 << 10)
        .clock(Arc::new(ManualClock::new(UNIX_EPOCH + NOW)))
        .faults(script.clone());
    emulator.start().await.unwrap()
}

/// Runs the recipe into `place`.
async fn run(
    emulator: &RunningEmulator,
    place: &Path,
    storm: &Storm,
    earlier_work: EarlierWork,
) -> Result<(), Error> {
    let recipe = format!(
        "source: {{table: \"{ADDRESS}\", bigquery: {{snapshot_time: \"{SNAPSHOT}\"}}}}\n{RECIPE}"
    );
    let settings = JobSettings {
        output: Some(place.join("out")),
        temp_dir: Some(place.join("temp")),
        memory: Some(ByteSize::gib(8)),
        slots: Some(storm.slots),
        checkpoint: Some(ByteSize::b(storm.checkpoint)),
        emulator: Some(emulator.endpoint()),
        earlier_work,
        ..JobSettings::default()
    };
    let job = Job::from_recipe(Recipe::from_yaml(&recipe).unwrap(), settings).unwrap();
    job.run().await.map(|_| ())
}

/// What is wrong with the directory of a job that succeeded.
async fn differs(calm: &Tree, place: &Path) -> Option<String> {
    let found = results(&place.join("out"));
    let differing: Vec<_> = calm
        .keys()
        .chain(found.keys())
        .filter(|name| found.get(*name) != calm.get(*name))
        .collect();
    if !differing.is_empty() {
        return Some(format!("the output differs: {differing:?}"));
    }
    // Tasks that were ended let go of their directory when they get to it.
    for _ in 0..100 {
        if tree(&place.join("temp")).is_empty() {
            return None;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Some(format!(
        "left behind: {:?}",
        tree(&place.join("temp")).keys()
    ))
}

/// How a storm went.
struct Played {
    /// The error that ended the first run, when one did.
    ended: Option<ErrorKind>,
    /// What is wrong with how it ended at last.
    wrong: Option<String>,
}

/// Plays a storm. A run that was ended goes on, on the same directory and against the same service, and at last starts over.
async fn play(data: &Path, calm: &Tree, storm: &Storm) -> Played {
    let place = place();
    let emulator = serve(data, &storm.script).await;
    let mut ended = None;
    let wrong = |ended, why| Played {
        ended,
        wrong: Some(why),
    };
    for _ in 0..MOST_ATTEMPTS {
        let Err(error) = run(&emulator, place.path(), storm, EarlierWork::Continue).await else {
            emulator.shutdown().await;
            return Played {
                ended,
                wrong: differs(calm, place.path()).await,
            };
        };
        ended.get_or_insert(error.kind());
        if !storm.fatal.contains(&error.kind()) {
            let expected = &storm.fatal;
            return wrong(
                ended,
                format!("ended with {error:?} where {expected:?} is expected"),
            );
        }
        let out = place.path().join("out");
        if out.exists() {
            let left = tree(&out);
            let left_behind: Vec<_> = left
                .keys()
                .filter(|name| name.contains(".tmp-") || *name == "_SUCCESS")
                .collect();
            if !left_behind.is_empty() {
                return Played {
                    ended,
                    wrong: Some(format!("left behind: {left_behind:?}")),
                };
            }
        }
    }
    // Every new session plays the script anew, and an expired one stays so: start over where it is calm.
    emulator.shutdown().await;
    let emulator = serve(data, &FaultScript::new()).await;
    let over = run(&emulator, place.path(), storm, EarlierWork::Discard).await;
    emulator.shutdown().await;
    match over {
        Ok(()) => Played {
            ended,
            wrong: differs(calm, place.path()).await,
        },
        Err(error) => wrong(ended, format!("does not start over: {error:?}")),
    }
}

#[test]
fn storms_change_nothing_or_are_told() {
    let number = |name: &str| {
        std::env::var(name)
            .ok()
            .and_then(|text| text.parse::<u64>().ok())
    };
    let seeds = match number("MILLPOND_STORM") {
        Some(seed) => seed..seed + 1,
        None => 0..number("MILLPOND_STORMS").unwrap_or(STORMS),
    };
    let total = seeds.end - seeds.start;
    let data = place();
    write_table(&data.path().join(TABLE), &orders(900, 61, 40));
    let (mut survived, mut failures) = (0, Vec::new());
    let mut kinds: BTreeMap<String, u64> = BTreeMap::new();
    Runtime::new().unwrap().block_on(async {
        let clean = place();
        let calm = Storm {
            script: FaultScript::new(),
            fatal: Vec::new(),
            slots: 2,
            checkpoint: 64 << 20,
        };
        let emulator = serve(data.path(), &calm.script).await;
        let ran = run(&emulator, clean.path(), &calm, EarlierWork::Continue).await;
        ran.unwrap();
        emulator.shutdown().await;
        let calm = Arc::new(results(&clean.path().join("out")));
        let mut playing = JoinSet::new();
        let mut open = seeds;
        loop {
            while playing.len() < AT_A_TIME {
                let Some(seed) = open.next() else { break };
                let (data, calm) = (data.path().to_owned(), Arc::clone(&calm));
                playing.spawn(async move {
                    let storm = storm(seed);
                    let played = tokio::time::timeout(DEADLINE, play(&data, &calm, &storm)).await;
                    let Played { ended, wrong } = played.unwrap_or_else(|_| Played {
                        ended: None,
                        wrong: Some(format!("hangs: no end within {DEADLINE:?}")),
                    });
                    (
                        ended,
                        wrong.map(|why| format!("seed {seed}: {why}; {:?}", storm.script)),
                    )
                });
            }
            let Some(done) = playing.join_next().await else {
                break;
            };
            let (ended, wrong) = done.unwrap();
            match ended {
                None => survived += u64::from(wrong.is_none()),
                Some(kind) => *kinds.entry(format!("{kind:?}")).or_default() += 1,
            }
            failures.extend(wrong);
        }
    });
    let hanging = failures
        .iter()
        .filter(|why| why.contains(": hangs: "))
        .count();
    println!(
        "{total} storms: {survived} gave the calm run's bytes at once; first runs ended by an error that was asked for, by kind: {kinds:?}, and gave the same bytes when they were run again; hanging: {hanging}; anything else: {}",
        failures.len() - hanging
    );
    assert!(
        failures.is_empty(),
        "{} of {total}: {}",
        failures.len(),
        failures.join("\n")
    );
    if total >= STORMS {
        let ended = total - survived;
        assert!(
            ended * 20 > total,
            "only {ended} of {total} storms ended a run"
        );
        assert!(
            survived * 2 > total,
            "only {survived} of {total} storms were survived"
        );
    }
}

/// Whatever is drawn, the same seed draws it again.
#[test]
fn a_seed_is_a_script() {
    let told = |seed| format!("{:?}", storm(seed).script);
    assert_eq!(told(5), told(5));
    assert_ne!(told(5), told(6));
}
