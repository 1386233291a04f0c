//! Faults on demand: which call fails, after how much, how often, and in what way.
//!
//! A script is data and decides the same way every time; chance enters only through its seed. Must not know how a fault is
//! carried out. The written form of a script is in `script_file.rs`, the drawing of a whole script in `seeded.rs`.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tonic::Code;

mod corruption;
mod script_file;
mod seeded;
mod write_method;

pub use corruption::Corruption;
pub use script_file::FaultScriptError;
pub(crate) use script_file::code_name;
pub use write_method::WriteMethod;

/// Which calls a fault applies to.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum FaultTarget {
    /// CreateReadSession; nothing is served before the fault.
    CreateReadSession,
    /// ReadRows on any stream. Attempts are counted for each stream by itself.
    AnyStream,
    /// ReadRows on the stream at this position within its session.
    Stream(usize),
    /// SplitReadStream on any stream; nothing is served before the fault.
    SplitReadStream,
    /// REST calls whose path holds this text; empty means every call. Attempts are counted for each path by itself.
    Rest(String),
    /// A method of the Storage Write API. Attempts are counted for each write stream by itself, and for CreateWriteStream and
    /// BatchCommitWriteStreams for each table.
    Write(WriteMethod),
}

/// What happens.
///
/// A REST call knows [`FaultAction::Http`], [`FaultAction::Abort`] (answered with the HTTP status of its code),
/// [`FaultAction::Stall`], [`FaultAction::Slow`] and [`FaultAction::Cut`]; a call without a stream of responses knows
/// [`FaultAction::Abort`], [`FaultAction::Stall`], [`FaultAction::Slow`] and [`FaultAction::Cut`]. ReadRows knows all but
/// [`FaultAction::Http`] and [`FaultAction::LoseAnswer`]. Methods that write, AppendRows among them, know the four and
/// [`FaultAction::LoseAnswer`]. What a call does not know leaves it alone.
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
    /// Every response from here on waits this long.
    Slow(Duration),
    /// The connection is closed after about this many more bytes, in the middle of whatever is being sent. Every call on the
    /// connection ends with it.
    Cut {
        /// Bytes still sent.
        after_bytes: u64,
    },
    /// The next response is sent twice.
    Duplicate,
    /// The next response's record batch is damaged.
    Corrupt(Corruption),
    /// The next response says this many more rows (fewer when negative) than it holds.
    WrongRowCount {
        /// What is added to the true count.
        off_by: i64,
    },
    /// The session expires here and now, for all its streams.
    ExpireSession,
    /// What was asked for is done, but the connection is closed instead of telling so.
    LoseAnswer,
    /// The offset of the request is ignored: the stream is served from its first row. Only at the beginning of a call.
    IgnoreOffset,
    /// A REST call is answered with an error body.
    Http {
        /// HTTP status, 400 to 599.
        status: u16,
        /// The `reason` of the error, such as `backendError` or `rateLimitExceeded`.
        reason: String,
        /// The message.
        message: String,
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
    /// Calls that are let through first.
    skip: u32,
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
/// // The same, as a file says it.
/// let written = FaultScript::from_yaml("
/// faults:
///   - method: ReadRows
///     after_responses: 3
///     calls: 2
///     fault: {abort: {code: UNAVAILABLE, message: the server is going away}}
/// ").expect("a valid script");
/// assert_eq!(script, written);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
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
        self,
        target: FaultTarget,
        after_responses: u64,
        attempts: u32,
        action: FaultAction,
    ) -> Self {
        self.fault_later(target, after_responses, 0, attempts, action)
    }

    /// As [`FaultScript::fault`], but the first `skip` calls that `target` names are left alone.
    #[must_use]
    pub fn fault_later(
        mut self,
        target: FaultTarget,
        after_responses: u64,
        skip: u32,
        attempts: u32,
        action: FaultAction,
    ) -> Self {
        self.rules.push(Rule {
            target,
            after_responses,
            skip,
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

    /// Whether nothing would ever be played.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty() && self.random.is_none()
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
        self.unary("CreateReadSession", |t| {
            *t == FaultTarget::CreateReadSession
        })
    }

    /// The fault for a SplitReadStream call that begins now.
    pub fn on_split(&self) -> Option<FaultAction> {
        self.unary("SplitReadStream", |t| *t == FaultTarget::SplitReadStream)
    }

    /// The fault for a REST call that begins now.
    pub fn on_rest(&self, path: &str) -> Option<FaultAction> {
        let applies =
            |t: &FaultTarget| matches!(t, FaultTarget::Rest(part) if path.contains(part.as_str()));
        self.unary(path, applies)
    }

    /// The fault for a ReadRows call that begins now on the stream `name`, at position `index` of its session.
    pub fn on_read(&self, name: &str, index: usize) -> Option<PlannedFault> {
        let attempt = self.attempt(name);
        self.rule(attempt, |t| {
            *t == FaultTarget::AnyStream || *t == FaultTarget::Stream(index)
        })
        .or_else(|| {
            self.script
                .random
                .and_then(|r| seeded::draw(r, index, attempt))
        })
    }

    /// The fault for a call of `method` that begins now on a write stream or a table.
    pub fn on_write(&self, method: WriteMethod, subject: &str) -> Option<PlannedFault> {
        let attempt = self.attempt(&format!("{} {subject}", method.name()));
        self.rule(attempt, |t| *t == FaultTarget::Write(method))
    }

    fn unary(&self, key: &str, applies: impl Fn(&FaultTarget) -> bool) -> Option<FaultAction> {
        let attempt = self.attempt(key);
        self.rule(attempt, applies).map(|f| f.action)
    }

    fn rule(&self, attempt: u32, applies: impl Fn(&FaultTarget) -> bool) -> Option<PlannedFault> {
        let rule = self.script.rules.iter().find(|r| {
            applies(&r.target) && (r.skip..r.skip.saturating_add(r.attempts)).contains(&attempt)
        })?;
        Some(PlannedFault {
            after_responses: rule.after_responses,
            action: rule.action.clone(),
        })
    }

    /// How many calls with this key came before.
    fn attempt(&self, key: &str) -> u32 {
        if self.script.is_empty() {
            return 0;
        }
        let mut attempts = self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = attempts.entry(key.to_owned()).or_insert(0);
        let before = *count;
        *count = count.saturating_add(1);
        before
    }
}

/// The finaliser of SplitMix64 (Steele, Lea, Flood 2014): spreads a counter over all 64 bits.
pub(crate) fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests;
