//! What time it is, as far as sessions are concerned. Owns the comparison with the service's times; the time itself is given.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use google_cloud_wkt::Timestamp;

use super::session::Session;

/// A session this close to its end is taken for ended.
const MARGIN: Duration = Duration::from_secs(1);

/// A source of time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock(pub fn() -> SystemTime);

impl Clock {
    /// The machine's own.
    pub const SYSTEM: Self = Self(SystemTime::now);

    /// Now, as the service writes it.
    pub fn now(self) -> Option<Timestamp> {
        Timestamp::try_from((self.0)()).ok()
    }

    /// So much later than now, in milliseconds since 1970, as the REST API writes times.
    pub fn millis_after(self, later: Duration) -> Option<i64> {
        let time = (self.0)().checked_add(later)?;
        i64::try_from(time.duration_since(UNIX_EPOCH).ok()?.as_millis()).ok()
    }

    /// Whether the service still keeps `session`, as far as it said when it would end.
    pub fn is_alive(self, session: &Session) -> bool {
        let Some(Ok(end)) = session.expire_time.as_deref().map(Timestamp::try_from) else {
            return true;
        };
        let seconds = u64::try_from(end.seconds()).unwrap_or(0);
        let end = UNIX_EPOCH + Duration::from_secs(seconds);
        (self.0)() + MARGIN < end
    }
}
