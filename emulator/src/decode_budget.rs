//! How much memory open readers may keep: a bound on decoding at a time, and on decoders that wait for their client.
//!
//! A decoder holds pages and dictionaries of every column, and making one again costs the pages before the row where it goes on.
//! So only a few readers have one at a time, each for a turn of many messages; the others wait for a place, first come first
//! served. A reader whose turn is over gives its place to whoever waits, and one whose client does not take what was made
//! loses it, so nothing can lock up.
//! Must not know what a decoder is.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// So many readers have a place whatever their decoders weigh: one that is nearly alone must not begin anew each time.
const ALWAYS_PLACED: usize = 2;

/// Bytes of messages after which a turn is over.
const TURN_BYTES: u64 = 256 << 20;

/// How often the first in the queue looks whether a place is free.
const LOOK: Duration = Duration::from_millis(5);

/// Looks in a row at a reader that does nothing after which it loses its place.
const IDLE_LOOKS: u32 = 20;

/// The unit in which bytes are granted.
const GRAIN_BYTES: u64 = 4096;

/// A bound shared by all readers of a server; `D` is what a reader leaves with it while it waits.
pub(crate) struct DecodeBudget<D> {
    working: Arc<Semaphore>,
    grains: u32,
    placed_bytes: u64,
    placed: Mutex<Placed<D>>,
    /// Those who wait for a place, one of whom looks for it.
    queue: tokio::sync::Mutex<()>,
    waiting: AtomicU64,
}

struct Placed<D> {
    readers: Vec<Reader<D>>,
    next_ticket: u64,
}

/// A reader that has a place.
struct Reader<D> {
    ticket: Ticket,
    bytes: u64,
    /// Bytes of messages made in this turn.
    made: u64,
    /// Messages made in this turn.
    steps: u64,
    /// Nothing while it works, or before it has begun.
    decoder: Option<D>,
    /// Whether it works at this moment.
    works: bool,
}

/// Names a reader; tickets are never given twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Ticket(u64);

impl<D> fmt::Debug for DecodeBudget<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DecodeBudget")
            .field("grains", &self.grains)
            .field("placed_bytes", &self.placed_bytes)
            .finish_non_exhaustive()
    }
}

impl<D> DecodeBudget<D> {
    /// Lets readers work on `bytes` at a time, and their decoders weigh as much.
    pub fn new(bytes: u64) -> Self {
        let grains = u32::try_from(bytes / GRAIN_BYTES)
            .unwrap_or(u32::MAX)
            .clamp(1, u32::try_from(Semaphore::MAX_PERMITS).unwrap_or(u32::MAX));
        Self {
            working: Arc::new(Semaphore::new(grains as usize)),
            grains,
            placed_bytes: bytes,
            placed: Mutex::new(Placed {
                readers: Vec::new(),
                next_ticket: 0,
            }),
            queue: tokio::sync::Mutex::new(()),
            waiting: AtomicU64::new(0),
        }
    }

    /// A name for one reader.
    pub fn ticket(&self) -> Ticket {
        let mut placed = self.lock();
        placed.next_ticket += 1;
        Ticket(placed.next_ticket)
    }

    /// Waits until the reader has a place for a decoder of about `bytes`.
    pub async fn enter(&self, ticket: Ticket, bytes: u64) {
        let others_wait = self.waiting.load(Ordering::Relaxed) > 0;
        if self.keeps_place(ticket, others_wait) {
            return;
        }
        let _counted = Counted::new(&self.waiting);
        let _first = self.queue.lock().await;
        let mut idle = HashMap::new();
        while !self.try_enter(ticket, bytes, &mut idle) {
            tokio::time::sleep(LOOK).await;
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

    /// Begins to make a message: hands out the reader's decoder, if it has left one and not lost its place since.
    pub fn begin(&self, ticket: Ticket) -> Option<D> {
        let mut placed = self.lock();
        let reader = placed.readers.iter_mut().find(|r| r.ticket == ticket)?;
        reader.works = true;
        reader.decoder.take()
    }

    /// Ends the making of a message of `made` bytes; the decoder is kept for the next.
    pub fn end(&self, ticket: Ticket, made: u64, decoder: Option<D>) {
        let mut placed = self.lock();
        if let Some(reader) = placed.readers.iter_mut().find(|r| r.ticket == ticket) {
            reader.works = false;
            reader.made = reader.made.saturating_add(made);
            reader.steps += 1;
            reader.decoder = decoder;
        }
    }

    /// Gives up the place, and what was left there.
    pub fn leave(&self, ticket: Ticket) {
        let mut placed = self.lock();
        let at = placed.readers.iter().position(|r| r.ticket == ticket);
        let left = at.map(|at| placed.readers.swap_remove(at));
        // Freed without the lock: it takes a while.
        drop(placed);
        drop(left);
    }

    /// Whether the reader has a place and may keep it.
    fn keeps_place(&self, ticket: Ticket, others_wait: bool) -> bool {
        let turn_over = {
            let placed = self.lock();
            let Some(reader) = placed.readers.iter().find(|r| r.ticket == ticket) else {
                return false;
            };
            reader.made >= TURN_BYTES
        };
        if turn_over && others_wait {
            self.leave(ticket);
            return false;
        }
        true
    }

    /// Takes a place if there is room, or after taking one away from a reader that does not use it. `idle` remembers the
    /// readers of the looks before.
    fn try_enter(
        &self,
        ticket: Ticket,
        bytes: u64,
        idle: &mut HashMap<Ticket, (u64, u32)>,
    ) -> bool {
        let mut placed = self.lock();
        let mut lost = None;
        if !self.has_room(&placed, bytes) {
            let unused = placed.readers.iter().position(|reader| {
                let (steps, looks) = idle.entry(reader.ticket).or_insert((reader.steps, 0));
                let same = !reader.works && *steps == reader.steps;
                *looks = if same { *looks + 1 } else { 0 };
                *steps = reader.steps;
                *looks >= IDLE_LOOKS
            });
            lost = unused.map(|at| placed.readers.swap_remove(at));
        }
        let entered = self.has_room(&placed, bytes);
        if entered {
            placed.readers.push(Reader {
                ticket,
                bytes,
                made: 0,
                steps: 0,
                decoder: None,
                works: false,
            });
        }
        drop(placed);
        drop(lost);
        entered
    }

    fn has_room(&self, placed: &Placed<D>, bytes: u64) -> bool {
        let taken: u64 = placed.readers.iter().map(|r| r.bytes).sum();
        placed.readers.len() < ALWAYS_PLACED || taken.saturating_add(bytes) <= self.placed_bytes
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Placed<D>> {
        self.placed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One more who waits, until dropped.
struct Counted<'a>(&'a AtomicU64);

impl<'a> Counted<'a> {
    fn new(count: &'a AtomicU64) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn entered(budget: &DecodeBudget<u32>, bytes: u64) -> Ticket {
        let ticket = budget.ticket();
        assert!(budget.try_enter(ticket, bytes, &mut HashMap::new()));
        ticket
    }

    #[test]
    fn places_are_bounded_by_bytes_but_two_are_always_there() {
        let budget = DecodeBudget::new(100);
        let first = entered(&budget, 40);
        let second = entered(&budget, 40);
        let third = budget.ticket();
        assert!(!budget.try_enter(third, 40, &mut HashMap::new()));
        assert!(budget.try_enter(third, 20, &mut HashMap::new()));
        for ticket in [first, second, third] {
            budget.leave(ticket);
        }
        entered(&budget, 1000);
        entered(&budget, 1000);
        assert!(!budget.try_enter(budget.ticket(), 1, &mut HashMap::new()));
    }

    #[test]
    fn a_decoder_waits_for_its_reader() {
        let budget = DecodeBudget::new(100);
        let ticket = entered(&budget, 40);
        assert_eq!(budget.begin(ticket), None);
        budget.end(ticket, 10, Some(7));
        assert!(budget.keeps_place(ticket, true));
        assert_eq!(budget.begin(ticket), Some(7));
        budget.end(ticket, TURN_BYTES, Some(8));
        // The turn is over: nothing changes until somebody waits.
        assert!(budget.keeps_place(ticket, false));
        assert!(!budget.keeps_place(ticket, true));
        assert_eq!(budget.begin(ticket), None);
    }

    #[test]
    fn who_does_nothing_loses_the_place_and_who_works_does_not() {
        let budget = DecodeBudget::new(100);
        let (idle, busy) = (entered(&budget, 80), entered(&budget, 80));
        budget.end(idle, 1, Some(1));
        assert_eq!(budget.begin(busy), None);
        let (third, mut seen) = (budget.ticket(), HashMap::new());
        let looks = (0..10 * IDLE_LOOKS)
            .take_while(|_| !budget.try_enter(third, 80, &mut seen))
            .count();
        assert!((1..=IDLE_LOOKS as usize).contains(&looks), "{looks}");
        assert_eq!(budget.begin(idle), None);
        // The one that works keeps its place however long that takes; now the newcomer has begun to work, too.
        assert_eq!(budget.begin(third), None);
        let (fourth, mut seen) = (budget.ticket(), HashMap::new());
        assert!((0..10 * IDLE_LOOKS).all(|_| !budget.try_enter(fourth, 80, &mut seen)));
        assert!(budget.keeps_place(busy, true) && budget.keeps_place(third, true));
    }

    #[tokio::test(start_paused = true)]
    async fn places_are_given_in_the_order_of_asking() {
        let budget = Arc::new(DecodeBudget::<u32>::new(100));
        let (first, second) = (entered(&budget, 80), entered(&budget, 80));
        for ticket in [first, second] {
            budget.begin(ticket);
        }
        let (third, fourth) = (budget.ticket(), budget.ticket());
        let mut asks = [third, fourth].map(|ticket| {
            let budget = Arc::clone(&budget);
            Box::pin(async move { budget.enter(ticket, 80).await })
        });
        for ask in &mut asks {
            assert!(futures::poll!(ask).is_pending());
        }
        budget.leave(first);
        let [third, fourth] = asks;
        third.await;
        let mut fourth = fourth;
        assert!(futures::poll!(&mut fourth).is_pending());
        budget.leave(second);
        fourth.await;
        assert_eq!(budget.waiting.load(Ordering::Relaxed), 0);
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
