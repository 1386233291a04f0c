//! Faults by chance: everything follows from a seed, nothing from the machine or the time.

use std::time::Duration;

use tonic::Code;

use super::{
    Corruption, FaultAction, FaultScript, FaultTarget, PlannedFault, RandomFaults, WriteMethod, mix,
};

/// A drawn fault comes after fewer than this many responses.
const WITHIN_RESPONSES: u64 = 12;

/// A script drawn from a seed has at most this many rules.
const MAX_RULES: u64 = 5;

impl FaultScript {
    /// A whole script drawn from `seed`: one to five rules over all methods and all kinds of fault, those no client survives
    /// included. The same seed gives the same script on every machine and in every version that draws alike; printing it
    /// with [`FaultScript::to_yaml`] keeps it for good.
    ///
    /// Damage is drawn only where a client can notice it: the protocol has no checksum over values.
    #[must_use]
    pub fn from_seed(seed: u64) -> Self {
        let mut chance = Chance::new(seed);
        let mut script = Self::new();
        for _ in 0..=chance.below(MAX_RULES) {
            let target = target(&mut chance);
            let action = action(&mut chance, &target);
            let streamed = matches!(target, FaultTarget::AnyStream | FaultTarget::Stream(_));
            let at_begin = action == FaultAction::IgnoreOffset;
            let after_responses = if streamed && !at_begin {
                chance.below(WITHIN_RESPONSES)
            } else {
                0
            };
            // An offset can only be ignored by a call that has one, which is never the first.
            let skip = if at_begin { 1 } else { 0 };
            let calls = 1 + u32::try_from(chance.below(3)).unwrap_or(0);
            script = script.fault_later(target, after_responses, skip, calls, action);
        }
        script
    }
}

impl FaultScript {
    /// As [`FaultScript::from_seed`], over the methods that write.
    #[must_use]
    pub fn writes_from_seed(seed: u64) -> Self {
        let mut chance = Chance::new(seed ^ 0x77_7269_7465);
        let mut script = Self::new();
        for _ in 0..=chance.below(MAX_RULES) {
            let method = write_method(&mut chance);
            let action = write_action(&mut chance);
            let after_responses = match method {
                WriteMethod::AppendRows => chance.below(WITHIN_RESPONSES),
                _ => 0,
            };
            let calls = 1 + u32::try_from(chance.below(3)).unwrap_or(0);
            let target = FaultTarget::Write(method);
            script = script.fault(target, after_responses, calls, action);
        }
        script
    }
}

/// Most faults strike appends, which most calls are.
fn write_method(chance: &mut Chance) -> WriteMethod {
    let at = usize::try_from(chance.below(2 * WriteMethod::ALL.len() as u64)).unwrap_or(0);
    let method = WriteMethod::ALL.get(at);
    method.copied().unwrap_or(WriteMethod::AppendRows)
}

fn write_action(chance: &mut Chance) -> FaultAction {
    match chance.below(8) {
        0 => FaultAction::Stall(chance.millis(50)),
        1 => FaultAction::Slow(chance.millis(10)),
        2 => FaultAction::Cut { after_bytes: 0 },
        3 | 4 => FaultAction::LoseAnswer,
        5 => FaultAction::abort(
            Code::Aborted,
            "Closing the stream because server is restarted. This is expected and client is advised to reconnect.",
        ),
        _ => abort(chance),
    }
}

/// A row of numbers that follows from its seed.
struct Chance(u64);

impl Chance {
    fn new(seed: u64) -> Self {
        Self(mix(seed ^ 0xfa17_5eed))
    }

    fn below(&mut self, end: u64) -> u64 {
        self.0 = mix(self.0);
        // The upper half is taken: it decides nothing else.
        (self.0 >> 32) % end.max(1)
    }

    fn millis(&mut self, end: u64) -> Duration {
        Duration::from_millis(1 + self.below(end))
    }
}

fn target(chance: &mut Chance) -> FaultTarget {
    match chance.below(12) {
        0 => FaultTarget::CreateReadSession,
        1 => FaultTarget::Rest(String::new()),
        2..=5 => FaultTarget::Stream(usize::try_from(chance.below(4)).unwrap_or(0)),
        _ => FaultTarget::AnyStream,
    }
}

fn action(chance: &mut Chance, target: &FaultTarget) -> FaultAction {
    match target {
        FaultTarget::Rest(_) => rest_action(chance),
        FaultTarget::Write(_) => write_action(chance),
        FaultTarget::CreateReadSession | FaultTarget::SplitReadStream => match chance.below(4) {
            0 => FaultAction::Stall(chance.millis(50)),
            1 => FaultAction::Cut { after_bytes: 0 },
            _ => abort(chance),
        },
        FaultTarget::AnyStream | FaultTarget::Stream(_) => stream_action(chance),
    }
}

fn rest_action(chance: &mut Chance) -> FaultAction {
    let http = |status, reason: &str, message: &str| FaultAction::Http {
        status,
        reason: reason.to_owned(),
        message: message.to_owned(),
    };
    match chance.below(6) {
        0 => http(
            503,
            "backendError",
            "Error encountered during execution. Retrying may solve the problem.",
        ),
        1 => http(
            500,
            "internalError",
            "An internal error occurred and the request could not be completed.",
        ),
        2 => http(
            403,
            "rateLimitExceeded",
            "Exceeded rate limits: too many api requests per user per method for this user_method.",
        ),
        3 => http(403, "accessDenied", "Access Denied"),
        4 => FaultAction::Stall(chance.millis(50)),
        _ => FaultAction::Cut {
            after_bytes: chance.below(200),
        },
    }
}

fn stream_action(chance: &mut Chance) -> FaultAction {
    match chance.below(16) {
        0..=4 => abort(chance),
        5..=7 => FaultAction::Cut {
            after_bytes: chance.below(200_000),
        },
        8 => FaultAction::Stall(chance.millis(100)),
        9 => FaultAction::Slow(chance.millis(10)),
        10 => FaultAction::Duplicate,
        11 => FaultAction::WrongRowCount {
            off_by: if chance.below(2) == 0 { 1 } else { -1 },
        },
        12 => FaultAction::ExpireSession,
        13 => FaultAction::IgnoreOffset,
        14 => FaultAction::Corrupt(Corruption::TruncateTo {
            bytes: chance.below(64),
        }),
        _ => FaultAction::Corrupt(match chance.below(2) {
            0 => Corruption::FlipByte {
                at: chance.below(4),
            },
            _ => Corruption::DeclareLength {
                bytes: 0x7fff_fff0 + u32::try_from(chance.below(2)).unwrap_or(0) * 0x7fff_0000,
            },
        }),
    }
}

fn abort(chance: &mut Chance) -> FaultAction {
    let (code, message) = match chance.below(9) {
        0 => (Code::Unavailable, "the service is currently unavailable"),
        1 => (Code::Unavailable, "connection reset by peer"),
        2 => (Code::Internal, "Received RST_STREAM with error code 2"),
        3 => (
            Code::Internal,
            "Received unexpected EOS on DATA frame from server",
        ),
        4 => (Code::Internal, "HTTP/2 error code: INTERNAL_ERROR"),
        5 => (Code::Unknown, ""),
        6 => (
            Code::ResourceExhausted,
            "Exceeded quota for read rows requests",
        ),
        7 => (Code::Internal, "the request could not be completed"),
        _ => (
            Code::PermissionDenied,
            "the caller does not have permission",
        ),
    };
    let retry_delay =
        (code == Code::ResourceExhausted && chance.below(2) == 0).then(|| chance.millis(50));
    FaultAction::Abort {
        code,
        message: message.to_owned(),
        retry_delay,
    }
}

/// The random fault of one read, if it has one; only of kinds a client is expected to survive.
pub(super) fn draw(faults: RandomFaults, index: usize, attempt: u32) -> Option<PlannedFault> {
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_seed_gives_one_script_and_seeds_give_every_kind() {
        let mut kinds = BTreeSet::new();
        for seed in 0..500 {
            let script = FaultScript::from_seed(seed);
            assert_eq!(script, FaultScript::from_seed(seed));
            assert!((1..=5).contains(&script.rules.len()), "seed {seed}");
            for rule in &script.rules {
                let kind = format!("{:?}", rule.action);
                kinds.insert(kind.split([' ', '(']).next().unwrap().to_owned());
            }
        }
        let expected = [
            "Abort",
            "Corrupt",
            "Cut",
            "Duplicate",
            "ExpireSession",
            "Http",
            "IgnoreOffset",
            "Slow",
            "Stall",
            "WrongRowCount",
        ];
        assert_eq!(kinds.into_iter().collect::<Vec<_>>(), expected);
        assert_ne!(FaultScript::from_seed(1), FaultScript::from_seed(2));
    }

    #[test]
    fn scripts_of_writes_strike_every_method_and_know_nothing_of_reads() {
        let mut methods = BTreeSet::new();
        let mut kinds = BTreeSet::new();
        for seed in 0..500 {
            let script = FaultScript::writes_from_seed(seed);
            assert_eq!(script, FaultScript::writes_from_seed(seed));
            for rule in &script.rules {
                let FaultTarget::Write(method) = rule.target else {
                    unreachable!("{rule:?}")
                };
                methods.insert(method.name());
                let kind = format!("{:?}", rule.action);
                kinds.insert(kind.split([' ', '(']).next().unwrap().to_owned());
            }
        }
        assert_eq!(methods.len(), WriteMethod::ALL.len());
        let kinds: Vec<_> = kinds.into_iter().collect();
        assert_eq!(kinds, ["Abort", "Cut", "LoseAnswer", "Slow", "Stall"]);
    }
}
