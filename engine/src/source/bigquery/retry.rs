//! When to try again: which failures may pass, how long to wait, and when to stop.
//!
//! Owns the retry policy and its clockwork. Must not know what is being tried, nor turn failures into errors.

use std::error::Error as StdError;
use std::time::Duration;

use google_cloud_bigquery::Error as ServiceError;
use google_cloud_gax::error::rpc::{Code, StatusDetails};
use tokio::time::Instant;

/// How long to wait for what. Every field trades patience with a slow service against a late error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Timing {
    /// Longest silence of a read stream before it is opened anew at the row reached.
    pub idle: Duration,
    /// Longest wait for the answer to one attempt to create a session.
    pub answer: Duration,
    /// Longest wait for the credentials' first token.
    pub credentials: Duration,
    /// How long an endpoint may refuse connections.
    pub unreachable: Duration,
    /// How long attempts may fail without a single row arriving.
    pub stalled: Duration,
    /// Wait after the first failure; grows by 30 % with every further one.
    pub first_wait: Duration,
    /// Longest wait, unless the service asks for more.
    pub longest_wait: Duration,
}

impl Timing {
    /// For services across a network.
    pub const REMOTE: Self = Self {
        idle: Duration::from_secs(60),
        answer: Duration::from_secs(120),
        credentials: Duration::from_secs(30),
        unreachable: Duration::from_secs(60),
        stalled: Duration::from_secs(600),
        first_wait: Duration::from_millis(100),
        longest_wait: Duration::from_secs(30),
    };

    /// For servers on this machine, where a refused connection means that nobody is there.
    pub const LOOPBACK: Self = Self {
        unreachable: Duration::from_secs(3),
        stalled: Duration::from_secs(60),
        longest_wait: Duration::from_secs(2),
        ..Self::REMOTE
    };
}

/// Why an attempt failed, when another may succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// No connection.
    Unreachable,
    /// A connection or the service broke off.
    Interrupted,
    /// Nothing arrived for too long.
    Silent,
    /// The service asked to come back after this long.
    Told(Duration),
}

/// Texts of INTERNAL and UNKNOWN statuses that speak of the connection, not of the request. In lower case.
const TRANSPORT_TEXTS: [&str; 8] = [
    "rst_stream",
    "rst stream",
    "received unexpected eos on data frame from server",
    "connection closed with unknown cause",
    "http/2 error code: internal_error",
    "unexpected eof decoding stream",
    "grpc-status header missing",
    "transport error",
];

/// Why to try again after `error`; nothing when trying again cannot help.
pub(super) fn cause_of(error: &ServiceError) -> Option<Cause> {
    if is_untrusted(error) {
        return None;
    }
    if error.is_connect() {
        return Some(Cause::Unreachable);
    }
    if error.is_timeout() {
        return Some(Cause::Silent);
    }
    if error.is_authentication() {
        return error
            .is_transient_and_before_rpc()
            .then_some(Cause::Unreachable);
    }
    let Some(status) = error.status() else {
        // The connection broke before the service gave a status; a status page in place of one counts as no connection.
        return error.is_transport().then(|| {
            if chain_of(error).contains("content-type") {
                Cause::Unreachable
            } else {
                Cause::Interrupted
            }
        });
    };
    match status.code {
        Code::Unavailable | Code::Aborted | Code::Cancelled | Code::DeadlineExceeded => {
            Some(Cause::Interrupted)
        }
        Code::Internal | Code::Unknown => {
            let text = status.message.to_lowercase();
            let about_transport = TRANSPORT_TEXTS.iter().any(|known| text.contains(known));
            let says_nothing = status.code == Code::Unknown && text.trim().is_empty();
            (about_transport || says_nothing).then_some(Cause::Interrupted)
        }
        Code::ResourceExhausted => told_wait(&status.details).map(Cause::Told),
        _ => None,
    }
}

/// Whether the connection failed because the other side could not prove who it is.
pub(super) fn is_untrusted(error: &ServiceError) -> bool {
    error.status().is_none() && {
        let chain = chain_of(error);
        chain.contains("certificate") || chain.contains("unknownissuer")
    }
}

fn told_wait(details: &[StatusDetails]) -> Option<Duration> {
    details.iter().find_map(|detail| match detail {
        StatusDetails::RetryInfo(info) => {
            let delay = info.retry_delay.as_ref()?;
            Some(Duration::new(
                u64::try_from(delay.seconds()).ok()?,
                u32::try_from(delay.nanos()).ok()?,
            ))
        }
        _ => None,
    })
}

/// The texts of an error and all its sources, in lower case.
fn chain_of(error: &(dyn StdError + 'static)) -> String {
    let mut text = String::new();
    let mut current = Some(error);
    while let Some(e) = current {
        text.push_str(&e.to_string().to_lowercase());
        text.push('\n');
        current = e.source();
    }
    text
}

/// The failures since the last progress.
#[derive(Debug)]
pub(super) struct Attempts {
    timing: Timing,
    salt: u64,
    failures: u32,
    failing_since: Option<Instant>,
    unreachable_since: Option<Instant>,
}

impl Attempts {
    /// No failures yet. `salt` spreads the waits of streams that fail together; it should differ between them.
    pub fn new(timing: Timing, salt: u64) -> Self {
        Self {
            timing,
            salt,
            failures: 0,
            failing_since: None,
            unreachable_since: None,
        }
    }

    /// Forgets all failures: rows arrived.
    pub fn progress(&mut self) {
        self.failures = 0;
        self.failing_since = None;
        self.unreachable_since = None;
    }

    /// How many attempts failed since the last progress.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// Notes a failure at `now`: how long to wait before the next attempt, or nothing when it is time to give up.
    pub fn wait_after(&mut self, cause: Cause, now: Instant) -> Option<Duration> {
        self.failures = self.failures.saturating_add(1);
        let stalled_at = *self.failing_since.get_or_insert(now) + self.timing.stalled;
        let give_up_at = if cause == Cause::Unreachable {
            let unreachable_at =
                *self.unreachable_since.get_or_insert(now) + self.timing.unreachable;
            unreachable_at.min(stalled_at)
        } else {
            self.unreachable_since = None;
            stalled_at
        };
        let wait = match cause {
            Cause::Told(wait) => wait,
            _ => self.backoff(),
        };
        (now + wait <= give_up_at).then_some(wait)
    }

    /// An exponential wait, shortened by up to a quarter as the salt has it.
    fn backoff(&self) -> Duration {
        let steps = i32::try_from(self.failures.saturating_sub(1))
            .unwrap_or(i32::MAX)
            .min(64);
        let longest = self.timing.longest_wait.as_secs_f64();
        let full = (self.timing.first_wait.as_secs_f64() * 1.3_f64.powi(steps)).min(longest);
        let mixed = (self.salt ^ u64::from(self.failures)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let fraction = f64::from(u32::try_from(mixed >> 32).unwrap_or(0)) / f64::from(u32::MAX);
        Duration::from_secs_f64(full * (1.0 - 0.25 * fraction))
    }
}

#[cfg(test)]
mod tests;
