//! Sessions that queries were part of.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Columns, Row, row, time};

pub(super) const SESSIONS: Columns = &[
    ("creation_time", "TIMESTAMP"),
    ("expiration_time", "TIMESTAMP"),
    ("is_active", "BOOLEAN"),
    ("last_modified_time", "TIMESTAMP"),
    ("principal_subject", "STRING"),
    ("project_id", "STRING"),
    ("project_number", "INTEGER"),
    ("session_id", "STRING"),
    ("user_email", "STRING"),
];

/// A session ends so long after its last query.
const IDLE_MS: i64 = 24 * 3_600_000;

/// A session ends so long after its first query, whatever comes then.
const LIFE_MS: i64 = 7 * IDLE_MS;

/// What the jobs of one session tell of it.
struct Session<'a> {
    created_ms: i64,
    modified_ms: i64,
    job: &'a Value,
}

/// The sessions of some jobs, in no particular order; `open` are those that have not been ended.
pub(super) fn rows<'a>(jobs: impl Iterator<Item = &'a Value>, open: &[String]) -> Vec<Row> {
    let mut sessions = BTreeMap::new();
    for job in jobs {
        let statistics = &job["statistics"];
        let Some(id) = statistics["sessionInfo"]["sessionId"].as_str() else {
            continue;
        };
        let ms = |key: &str| statistics[key].as_str().and_then(|ms| ms.parse().ok());
        let (Some(created_ms), Some(modified_ms)) = (ms("creationTime"), ms("endTime")) else {
            continue;
        };
        let session = sessions.entry(id).or_insert(Session {
            created_ms,
            modified_ms,
            job,
        });
        session.created_ms = created_ms.min(session.created_ms);
        session.modified_ms = modified_ms.max(session.modified_ms);
    }
    let at = |ms: i64| time(ms.saturating_mul(1000));
    let sessions = sessions.into_iter().map(|(id, session)| {
        let idle = session.modified_ms.saturating_add(IDLE_MS);
        let end = session.created_ms.saturating_add(LIFE_MS).min(idle);
        let user = &session.job["user_email"];
        row(json!({
            "creation_time": at(session.created_ms),
            "expiration_time": at(end),
            "is_active": open.iter().any(|open| open == id),
            "last_modified_time": at(session.modified_ms),
            "principal_subject": user.as_str().map(|user| format!("user:{user}")),
            "project_id": session.job["jobReference"]["projectId"],
            "session_id": id,
            "user_email": user,
        }))
    });
    sessions.collect()
}
