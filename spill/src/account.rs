//! The shared ledger behind its lock, and the line of those who wait for a permit. Owns the order of service and the
//! wake-ups; the rules are the ledger's.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::error::BudgetError;
use crate::ledger::{BudgetShares, BudgetUse, Keeper, Ledger, Pressure};
use crate::permit::Permit;

/// One ledger, shared by everything that holds bytes. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Account {
    state: Arc<Mutex<State>>,
}

struct State {
    ledger: Ledger,
    line: VecDeque<Waiter>,
    next_ticket: u64,
}

struct Waiter {
    ticket: u64,
    what: &'static str,
    bytes: usize,
    answer: oneshot::Sender<Permit>,
}

impl Account {
    pub(crate) fn new(limit_bytes: usize) -> Self {
        Self {
            state: Arc::new(Mutex::new(State {
                ledger: Ledger::new(limit_bytes),
                line: VecDeque::new(),
                next_ticket: 0,
            })),
        }
    }

    // Nothing panics while the lock is held, and plain counters stay meaningful even if something did.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn shares(&self) -> BudgetShares {
        *self.lock().ledger.shares()
    }

    pub(crate) fn reserve(&self, bytes: usize) {
        self.lock().ledger.reserve(bytes);
        self.serve_line();
    }

    pub(crate) fn held(&self) -> BudgetUse {
        let state = self.lock();
        BudgetUse {
            waiting: state.line.len(),
            ..state.ledger.held()
        }
    }

    pub(crate) fn peak_bytes(&self) -> usize {
        self.lock().ledger.peak_bytes()
    }

    pub(crate) fn pressure(&self) -> Pressure {
        self.lock().ledger.pressure()
    }

    pub(crate) fn set_pressure(&self, pressure: Pressure) {
        self.lock().ledger.set_pressure(pressure);
        self.serve_line();
    }

    /// Adds `bytes` to what `keeper` keeps, of which this reservation holds `own_bytes` already, or says why not.
    pub(crate) fn try_keep(
        &self,
        keeper: Keeper,
        what: &'static str,
        own_bytes: usize,
        bytes: usize,
    ) -> Result<(), BudgetError> {
        let mut state = self.lock();
        let available_bytes = state.ledger.room_to_keep(keeper, own_bytes, bytes);
        if bytes > available_bytes {
            return Err(BudgetError::Refused {
                what,
                requested_bytes: bytes,
                available_bytes,
                limit_bytes: state.ledger.shares().limit_bytes,
            });
        }
        state.ledger.keep(keeper, bytes);
        Ok(())
    }

    /// Adds `bytes` whether or not there is room, so that at least the numbers are true.
    pub(crate) fn keep_regardless(&self, keeper: Keeper, bytes: usize) {
        self.lock().ledger.keep(keeper, bytes);
    }

    pub(crate) fn give_back(&self, keeper: Keeper, bytes: usize) {
        if bytes > 0 {
            self.lock().ledger.give_back(keeper, bytes);
            self.serve_line();
        }
    }

    /// Waits in line for a permit.
    pub(crate) async fn permit(
        &self,
        what: &'static str,
        bytes: usize,
    ) -> Result<Permit, BudgetError> {
        loop {
            let (answer, granted) = oneshot::channel();
            let place = {
                let mut state = self.lock();
                let shares = *state.ledger.shares();
                if bytes > shares.in_flight_bytes {
                    return Err(too_large(what, bytes, &shares));
                }
                let others = state.ledger.held().permits;
                if state.line.is_empty() && state.ledger.admits_in_flight(bytes, others) {
                    state.ledger.issue_permit(bytes);
                    return Ok(Permit::issued(self.clone(), what, bytes));
                }
                let ticket = state.next_ticket;
                state.next_ticket += 1;
                state.line.push_back(Waiter {
                    ticket,
                    what,
                    bytes,
                    answer,
                });
                PlaceInLine {
                    account: self,
                    ticket,
                }
            };
            let answered = granted.await;
            drop(place);
            // The sender lives in the line, which lives as long as `self`: without an answer, ask again.
            if let Ok(permit) = answered {
                return Ok(permit);
            }
        }
    }

    /// Changes the size of a permit from `from` to `to` bytes without waiting.
    pub(crate) fn resize_permit(
        &self,
        what: &'static str,
        from: usize,
        to: usize,
    ) -> Result<(), BudgetError> {
        if to <= from {
            self.lock().ledger.sub_in_flight(from - to);
            self.serve_line();
            return Ok(());
        }
        let mut state = self.lock();
        let shares = *state.ledger.shares();
        if to > shares.in_flight_bytes {
            return Err(too_large(what, to, &shares));
        }
        let others = state.ledger.held().permits.saturating_sub(1);
        if !state.ledger.admits_in_flight(to - from, others) {
            let held = state.ledger.held();
            let in_share = shares.in_flight_bytes.saturating_sub(held.in_flight_bytes);
            let in_all = shares.counted_bytes.saturating_sub(held.total_bytes());
            return Err(BudgetError::Refused {
                what,
                requested_bytes: to - from,
                available_bytes: in_share.min(in_all),
                limit_bytes: shares.limit_bytes,
            });
        }
        state.ledger.add_in_flight(to - from);
        Ok(())
    }

    pub(crate) fn return_permit(&self, bytes: usize) {
        self.lock().ledger.return_permit(bytes);
        self.serve_line();
    }

    /// Ends a permit of `from` bytes and keeps `bytes` as a lease in one step, so that the rows are never counted twice
    /// and nobody can take their place in between.
    pub(crate) fn permit_to_lease(
        &self,
        what: &'static str,
        from: usize,
        bytes: usize,
    ) -> Result<(), BudgetError> {
        {
            let mut state = self.lock();
            state.ledger.return_permit(from);
            let available_bytes = state.ledger.room_to_keep(Keeper::Lease, 0, bytes);
            if bytes > available_bytes {
                // Not a new grant: the permit was out all the time.
                state.ledger.issue_permit(from);
                return Err(BudgetError::Refused {
                    what,
                    requested_bytes: bytes,
                    available_bytes,
                    limit_bytes: state.ledger.shares().limit_bytes,
                });
            }
            state.ledger.keep(Keeper::Lease, bytes);
        }
        self.serve_line();
        Ok(())
    }

    /// Grants permits from the head of the line while they fit.
    fn serve_line(&self) {
        loop {
            let (waiter, permit) = {
                let mut state = self.lock();
                let Some(head) = state.line.front() else {
                    return;
                };
                let others = state.ledger.held().permits;
                if !state.ledger.admits_in_flight(head.bytes, others) {
                    return;
                }
                let Some(waiter) = state.line.pop_front() else {
                    return;
                };
                state.ledger.issue_permit(waiter.bytes);
                let permit = Permit::issued(self.clone(), waiter.what, waiter.bytes);
                (waiter, permit)
            };
            // Outside the lock: the send wakes a task, and a permit nobody takes is returned by its own drop.
            drop(waiter.answer.send(permit));
        }
    }
}

fn too_large(what: &'static str, requested_bytes: usize, shares: &BudgetShares) -> BudgetError {
    BudgetError::TooLarge {
        what,
        requested_bytes,
        share_bytes: shares.in_flight_bytes,
        limit_bytes: shares.limit_bytes,
    }
}

/// Leaves the line when the waiting future is dropped, so that those behind it are not held up.
struct PlaceInLine<'a> {
    account: &'a Account,
    ticket: u64,
}

impl Drop for PlaceInLine<'_> {
    fn drop(&mut self) {
        let left = {
            let mut state = self.account.lock();
            let found = state.line.iter().position(|w| w.ticket == self.ticket);
            found.and_then(|at| state.line.remove(at))
        };
        if left.is_some() {
            self.account.serve_line();
        }
    }
}
