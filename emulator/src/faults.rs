//! Faults on demand: which call fails, after how much, how often, and in what way.
//!
//! A script is data and decides the same way every time; chance enters only through its seed. Must not know how a fault is
//! carried out.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tonic::Code;

/// Which calls a fault applies to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FaultTarget {
    /// CreateReadSession; nothing is served before the fault.
    CreateReadSession,
    /// ReadRows on any stream. Attempts are counted for each stream by itself.
    AnyStream,
    /// ReadRows on the stream at this position within its session.
    Stream(usize),
}

/// What happens.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum FaultAction {
    /// The call ends with a status.
    Abort {
        /// The gRPC code.
        code: Code,
        /// The message.
        message: String,
        /// Sent as a `google.rpc.RetryInfo` detail when present.
        retry_delay: Option<Duration>,
    },
    /// Nothing is sent for this long, then the call goes on.
    Stall(Duration),
    /// The connection is closed after about this many more bytes, in the middle of whatever is being sent. Every call on the
    /// connection ends with it.
    Cut {
        /// Bytes still sent.
        after_bytes: u64,
    },
}

impl FaultAction {
    /// An abort without a RetryInfo detail.
    #[must_use]
    pub fn abort(code: Code, message: impl Into<String>) -> Self {
        Self::Abort {
            code,
            message: message.into(),
            retry_delay: None,
        }
    }
}

/// One rule of a script.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    target: FaultTarget,
    after_responses: u64,
    attempts: u32,
    action: FaultAction,
}

/// Faults to be played. An empty script, the default, plays none.
///
/// ```
/// use millpond_emulator::{Code, FaultAction, FaultScript, FaultTarget};
/// // The first two reads of every stream end with UNAVAILABLE after three responses.
/// let script = FaultScript::new().fault(
///     FaultTarget::AnyStream,
///     3,
///     2,
///     FaultAction::abort(Code::Unavailable, "the server is going away"),
/// );
/// # let _ = script;
/// ```
#[derive(Debug, Clone, Default)]
pub struct FaultScript {
    rules: Vec<Rule>,
    random: Option<RandomFaults>,
}

/// Faults drawn from a seed: each of the first `attempts` reads of a stream fails with probability `percent`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RandomFaults {
    /// The seed. The draw depends on it, on the stream's position and on the attempt, and on nothing else.
    pub seed: u64,
    /// Chance of a fault for each attempt, 0 to 100.
    pub percent: u8,
    /// Only this many first attempts on each stream may fail.
    pub attempts: u32,
    /// A fault comes after fewer than this many responses.
    pub within_responses: u64,
}

impl FaultScript {
    /// A script without faults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a fault: `action` happens once `after_responses` responses have been sent, in each of the first `attempts` calls
    /// that `target` names. When several rules apply to a call, the first one added is played.
    #[must_use]
    pub fn fault(
        mut self,
        target: FaultTarget,
        after_responses: u64,
        attempts: u32,
        action: FaultAction,
    ) -> Self {
        self.rules.push(Rule {
            target,
            after_responses,
            attempts,
            action,
        });
        self
    }

    /// Adds random faults of the kinds a client is expected to survive; rules added with [`FaultScript::fault`] go first.
    #[must_use]
    pub fn random(mut self, faults: RandomFaults) -> Self {
        self.random = Some(faults);
        self
    }
}

/// A fault that has been chosen for a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PlannedFault {
    pub after_responses: u64,
    pub action: FaultAction,
}

/// A script and how far it has been played.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    script: FaultScript,
    attempts: Mutex<HashMap<String, u32>>,
}

impl Faults {
    pub fn new(script: FaultScript) -> Self {
        Self {
            script,
            attempts: Mutex::default(),
        }
    }

    /// The fault for a CreateReadSession call that begins now.
    pub fn on_create_session(&self) -> Option<FaultAction> {
        let attempt = self.attempt("");
        self.rule(attempt, |t| t == FaultTarget::CreateReadSession)
            .map(|f| f.action)
    }

    /// The fault for a ReadRows call that begins now on the stream `name`, at position `index` of its session.
    pub fn on_read(&self, name: &str, index: usize) -> Option<PlannedFault> {
        let attempt = self.attempt(name);
        self.rule(attempt, |t| {
            t == FaultTarget::AnyStream || t == FaultTarget::Stream(index)
        })
        .or_else(|| self.script.random.and_then(|r| draw(r, index, attempt)))
    }

    fn rule(&self, attempt: u32, applies: impl Fn(FaultTarget) -> bool) -> Option<PlannedFault> {
        let rule = self
            .script
            .rules
            .iter()
            .find(|r| applies(r.target) && attempt < r.attempts)?;
        Some(PlannedFault {
            after_responses: rule.after_responses,
            action: rule.action.clone(),
        })
    }

    /// How many calls with this key came before.
    fn attempt(&self, key: &str) -> u32 {
        if self.script.rules.is_empty() && self.script.random.is_none() {
            return 0;
        }
        let mut attempts = self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = attempts.entry(key.to_owned()).or_insert(0);
        let before = *count;
        *count = count.saturating_add(1);
        before
    }
}

fn draw(faults: RandomFaults, index: usize, attempt: u32) -> Option<PlannedFault> {
    if attempt >= faults.attempts {
        return None;
    }
    let a = mix(faults.seed ^ mix(index as u64 ^ (u64::from(attempt) << 32)));
    if a % 100 >= u64::from(faults.percent) {
        return None;
    }
    let b = mix(a);
    let action = match b % 4 {
        0 => FaultAction::abort(Code::Unavailable, "the service is currently unavailable"),
        1 => FaultAction::abort(Code::Internal, "Received RST_STREAM with error code 2"),
        2 => FaultAction::Stall(Duration::from_millis(20)),
        _ => FaultAction::Cut {
            after_bytes: mix(b) % 100_000,
        },
    };
    Some(PlannedFault {
        after_responses: (b >> 8) % faults.within_responses.max(1),
        action,
    })
}

/// The finaliser of SplitMix64 (Steele, Lea, Flood 2014): spreads a counter over all 64 bits.
pub(crate) fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_applies_to_the_first_attempts_of_each_stream() {
        let action = FaultAction::abort(Code::Unavailable, "x");
        let faults = Faults::new(
            FaultScript::new()
                .fault(
                    FaultTarget::Stream(1),
                    0,
                    1,
                    FaultAction::Stall(Duration::ZERO),
                )
                .fault(FaultTarget::AnyStream, 3, 2, action.clone()),
        );
        let planned = Some(PlannedFault {
            after_responses: 3,
            action,
        });
        assert_eq!(faults.on_read("a", 0), planned);
        assert_eq!(faults.on_read("a", 0), planned);
        assert_eq!(faults.on_read("a", 0), None);
        assert_ne!(faults.on_read("b", 1), planned);
        assert_eq!(faults.on_read("b", 1), planned);
        assert_eq!(faults.on_create_session(), None);
    }

    #[test]
    fn random_faults_depend_on_the_seed_alone() {
        let play = |seed| {
            let faults = Faults::new(FaultScript::new().random(RandomFaults {
                seed,
                percent: 50,
                attempts: 4,
                within_responses: 5,
            }));
            (0..40)
                .flat_map(|i| (0..6).map(move |_| i))
                .map(|i| faults.on_read(&format!("s{i}"), i))
                .collect::<Vec<_>>()
        };
        let first = play(1);
        assert_eq!(first, play(1));
        assert_ne!(first, play(2));
        let hits = first.iter().flatten().count();
        assert!((40..120).contains(&hits), "{hits} of 160 possible");
        assert!(first.iter().flatten().all(|f| f.after_responses < 5));
    }
}
