//! Running units on slots: at most `slots` at a time, taken in order, the first error ending all.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use tokio::task::JoinSet;

use super::cancellation::Cancellation;
use crate::error::{Error, ErrorKind, Result};

/// What one slot does with the units it is given. A worker keeps its results until the drive is over.
#[async_trait]
pub(crate) trait UnitWorker: Send + 'static {
    /// Works through unit `index`.
    async fn run(&mut self, index: usize) -> Result<()>;
}

/// Gives the units to the workers, each to one, in the order given, and hands the workers back when all are done.
///
/// # Errors
/// The first error of a worker; the others are stopped and dropped.
pub(crate) async fn drive<W: UnitWorker>(
    workers: Vec<W>,
    units: impl IntoIterator<Item = usize>,
    cancellation: &Cancellation,
) -> Result<Vec<W>> {
    let units: Arc<[usize]> = units.into_iter().collect();
    let next = Arc::new(AtomicUsize::new(0));
    let mut tasks = JoinSet::new();
    for mut worker in workers {
        let (next, units) = (Arc::clone(&next), Arc::clone(&units));
        let cancellation = cancellation.clone();
        tasks.spawn(async move {
            loop {
                let Some(unit) = units.get(next.fetch_add(1, Ordering::Relaxed)) else {
                    return Ok::<W, Error>(worker);
                };
                cancellation.check()?;
                worker.run(*unit).await?;
            }
        });
    }
    let mut done = Vec::new();
    while let Some(joined) = tasks.join_next().await {
        let failure = match joined {
            Ok(Ok(worker)) => {
                done.push(worker);
                continue;
            }
            Ok(Err(error)) => error,
            Err(panic) => Error::with_source(
                ErrorKind::Data,
                "a worker failed unexpectedly; please report this with the recipe",
                panic,
            ),
        };
        // Nobody may still be writing when the caller clears up.
        tasks.shutdown().await;
        return Err(failure);
    }
    Ok(done)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    struct Collect(Vec<usize>, Option<usize>);

    #[async_trait]
    impl UnitWorker for Collect {
        async fn run(&mut self, index: usize) -> Result<()> {
            tokio::task::yield_now().await;
            if self.1 == Some(index) {
                return Err(Error::new(ErrorKind::Data, format!("unit {index}")));
            }
            self.0.push(index);
            Ok(())
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 3)]
    async fn every_unit_runs_once() {
        let workers = (0..3).map(|_| Collect(vec![], None)).collect();
        let done = drive(workers, 0..100, &Cancellation::new()).await.unwrap();
        let mut all: Vec<usize> = done.into_iter().flat_map(|w| w.0).collect();
        all.sort_unstable();
        assert_eq!(all, (0..100).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn the_first_error_ends_the_drive() {
        let workers = (0..2).map(|_| Collect(vec![], Some(7))).collect();
        let e = drive(workers, 0..100, &Cancellation::new())
            .await
            .err()
            .unwrap();
        assert_eq!(e.to_string(), "unit 7");
    }

    #[tokio::test]
    async fn cancelling_ends_the_drive() {
        let cancellation = Cancellation::new();
        cancellation.cancel(ErrorKind::Terminated);
        let e = drive(vec![Collect(vec![], None)], 0..3, &cancellation)
            .await
            .err()
            .unwrap();
        assert_eq!(e.kind(), ErrorKind::Terminated);
    }
}
