//! How much memory open readers may keep: a bound on decoding at a time, and on decoders that wait for their client.
//!
//! A client that reads dozens of streams at once leaves most of them waiting. Each waiting decoder holds pages and
//! dictionaries; beyond the budget the one that has waited longest is dropped and made again when its turn comes. Only work
//! in progress ever waits for the budget, never something that waits for a client, so nothing can lock up.
//! Must not know what a decoder is.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// So many waiting decoders are kept whatever they weigh: a reader that is nearly alone must not begin anew each time.
const ALWAYS_KEPT: usize = 2;

/// The unit in which bytes are granted.
const GRAIN_BYTES: u64 = 4096;

/// A bound shared by all readers of a server; `D` is what a reader leaves with it while it waits.
pub(crate) struct DecodeBudget<D> {
    working: Arc<Semaphore>,
    grains: u32,
    parked_bytes: u64,
    parked: Mutex<Parked<D>>,
}

struct Parked<D> {
    /// Longest waiting first.
    decoders: VecDeque<(u64, u64, D)>,
    bytes: u64,
    next_ticket: u64,
}

/// Names a reader's place; tickets are never given twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ticket(u64);

impl<D> fmt::Debug for DecodeBudget<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DecodeBudget")
            .field("grains", &self.grains)
            .field("parked_bytes", &self.parked_bytes)
            .finish_non_exhaustive()
    }
}

impl<D> DecodeBudget<D> {
    /// Lets readers work on `bytes` at a time, and as much again wait.
    pub fn new(bytes: u64) -> Self {
        let grains = u32::try_from(bytes / GRAIN_BYTES)
            .unwrap_or(u32::MAX)
            .clamp(1, u32::try_from(Semaphore::MAX_PERMITS).unwrap_or(u32::MAX));
        Self {
            working: Arc::new(Semaphore::new(grains as usize)),
            grains,
            parked_bytes: bytes,
            parked: Mutex::new(Parked {
                decoders: VecDeque::new(),
                bytes: 0,
                next_ticket: 0,
            }),
        }
    }

    /// Waits until `bytes` may be worked on. More than the whole budget is granted when nobody else works.
    pub async fn work(&self, bytes: u64) -> Option<OwnedSemaphorePermit> {
        let grains = u32::try_from(bytes.div_ceil(GRAIN_BYTES))
            .unwrap_or(u32::MAX)
            .clamp(1, self.grains);
        // The semaphore is never closed.
        Arc::clone(&self.working)
            .acquire_many_owned(grains)
            .await
            .ok()
    }

    /// A place for one reader.
    pub fn ticket(&self) -> Ticket {
        let mut parked = self.lock();
        parked.next_ticket += 1;
        Ticket(parked.next_ticket)
    }

    /// Leaves a decoder of about `bytes` until it is taken back; it may be gone by then.
    pub fn park(&self, ticket: Ticket, bytes: u64, decoder: D) {
        let mut dropped = Vec::new();
        let mut parked = self.lock();
        parked.decoders.push_back((ticket.0, bytes, decoder));
        parked.bytes += bytes;
        while parked.bytes > self.parked_bytes && parked.decoders.len() > ALWAYS_KEPT {
            let Some((_, freed, decoder)) = parked.decoders.pop_front() else {
                break;
            };
            parked.bytes -= freed;
            dropped.push(decoder);
        }
        // Freed without the lock: it takes a while.
        drop(parked);
        drop(dropped);
    }

    /// Takes a decoder back, if it is still there.
    pub fn take(&self, ticket: Ticket) -> Option<D> {
        let mut parked = self.lock();
        let at = parked
            .decoders
            .iter()
            .position(|(owner, _, _)| *owner == ticket.0)?;
        let (_, bytes, decoder) = parked.decoders.remove(at)?;
        parked.bytes -= bytes;
        Some(decoder)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Parked<D>> {
        self.parked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_longest_waiting_make_room() {
        let budget = DecodeBudget::new(100 * GRAIN_BYTES);
        let tickets: Vec<Ticket> = (0..4).map(|_| budget.ticket()).collect();
        for (i, ticket) in tickets.iter().enumerate() {
            budget.park(*ticket, 40 * GRAIN_BYTES, i);
        }
        let left: Vec<Option<usize>> = tickets.iter().map(|t| budget.take(*t)).collect();
        assert_eq!(left, [None, None, Some(2), Some(3)]);
        // Two are kept even when each is larger than everything, and nothing is left behind in the count.
        for (i, ticket) in tickets.iter().enumerate() {
            budget.park(*ticket, 101 * GRAIN_BYTES, i);
        }
        let left: Vec<Option<usize>> = tickets.iter().map(|t| budget.take(*t)).collect();
        assert_eq!(left, [None, None, Some(2), Some(3)]);
        assert_eq!(budget.lock().bytes, 0);
    }

    #[tokio::test]
    async fn work_waits_for_work_and_a_giant_goes_alone() {
        let budget = DecodeBudget::<()>::new(10 * GRAIN_BYTES);
        let first = budget.work(6 * GRAIN_BYTES).await.unwrap();
        let mut second = Box::pin(budget.work(6 * GRAIN_BYTES));
        assert!(futures::poll!(&mut second).is_pending());
        drop(first);
        let second = second.await.unwrap();
        let mut giant = Box::pin(budget.work(1000 * GRAIN_BYTES));
        assert!(futures::poll!(&mut giant).is_pending());
        drop(second);
        assert!(giant.await.is_some());
    }
}
