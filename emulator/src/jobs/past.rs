//! The jobs there have been, for queries about them.

use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;

use super::State;
use super::sessions::Sessions;
use crate::query::JobsBefore;

/// What is remembered of jobs.
#[derive(Debug, Clone, Default)]
pub(super) struct Past {
    pub jobs: Arc<Mutex<State>>,
    pub sessions: Sessions,
}

impl JobsBefore for Past {
    fn of(&self, project: &str) -> Vec<Value> {
        let state = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        let jobs = state.by_serial.values();
        jobs.filter(|job| job.project == project)
            .map(|job| job.to_json(""))
            .collect()
    }

    fn open_sessions(&self) -> Vec<String> {
        self.sessions.names()
    }
}
