//! The jobs there have been, for queries about them.

use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;

use super::State;
use crate::query::JobsBefore;

/// What is remembered of jobs.
#[derive(Debug, Clone, Default)]
pub(super) struct Past(pub Arc<Mutex<State>>);

impl JobsBefore for Past {
    fn of(&self, project: &str) -> Vec<Value> {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let jobs = state.by_serial.values();
        jobs.filter(|job| job.project == project)
            .map(|job| job.to_json(""))
            .collect()
    }
}
