//! Work on the columns of a fit, several at a time.
//!
//! Owns who takes which column; must not know what is done with it.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

/// Calls `work` for each of `items`, on as many threads as there are `workers`.
///
/// # Errors
/// That of the first item that has one, whatever the order in which they were done. Items after it may not have been begun.
pub(super) fn side_by_side<T: Send, E: Send>(
    workers: usize,
    items: Vec<T>,
    work: impl Fn(T) -> Result<(), E> + Sync,
) -> Result<(), E> {
    if workers < 2 || items.len() < 2 {
        return items.into_iter().try_for_each(work);
    }
    let waiting = Mutex::new(items.into_iter().enumerate());
    let failed: Mutex<Option<(usize, E)>> = Mutex::new(None);
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                // Items are taken in order, so those before a failed one have been done or are being done.
                while lock(&failed).is_none() {
                    let Some((index, item)) = lock(&waiting).next() else {
                        break;
                    };
                    if let Err(error) = work(item) {
                        let mut failed = lock(&failed);
                        if failed.as_ref().is_none_or(|(first, _)| index < *first) {
                            *failed = Some((index, error));
                        }
                    }
                }
            });
        }
    });
    match failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some((_, error)) => Err(error),
        None => Ok(()),
    }
}

/// What is behind the lock is whole whenever it is not held; a panic ends the scope.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;

    #[test]
    fn every_item_is_done_once() {
        for workers in [0, 1, 2, 7] {
            let sum = AtomicUsize::new(0);
            let done = side_by_side(workers, (1..=100).collect(), |item| {
                sum.fetch_add(item, Ordering::Relaxed);
                Ok::<(), ()>(())
            });
            assert_eq!((done, sum.into_inner()), (Ok(()), 5050), "{workers}");
        }
    }

    #[test]
    fn the_first_of_several_errors_is_told() {
        for workers in [1, 2, 4] {
            let done = side_by_side(workers, (0..20).collect(), |item: u64| {
                // The later one fails sooner.
                thread::sleep(Duration::from_millis(if item == 3 { 50 } else { 1 }));
                if item == 3 || item == 4 {
                    Err(item)
                } else {
                    Ok(())
                }
            });
            assert_eq!(done, Err(3), "{workers}");
        }
    }
}
