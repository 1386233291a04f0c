//! The same work on several items, on several threads.

use std::sync::{Mutex, PoisonError};
use std::thread;

/// Does `work` on each item, on up to `threads` threads of which the caller's is one, and gives the results in the order of the items.
///
/// # Errors
/// That of the first item that failed, in the order of the items. No further item is begun once one has failed.
pub fn side_by_side<T: Send, R: Send, E: Send>(
    threads: usize,
    items: impl IntoIterator<Item = T>,
    work: impl Fn(T) -> Result<R, E> + Sync,
) -> Result<Vec<R>, E> {
    let items: Vec<T> = items.into_iter().collect();
    let helpers = threads.min(items.len()).saturating_sub(1);
    let queue = Mutex::new(Some(items.into_iter().enumerate()));
    let done = Mutex::new(Vec::new());
    let lend_a_hand = || {
        loop {
            let mut waiting = queue.lock().unwrap_or_else(PoisonError::into_inner);
            let Some((position, item)) = waiting.as_mut().and_then(Iterator::next) else {
                return;
            };
            drop(waiting);
            let result = work(item);
            if result.is_err() {
                // Items before this one were begun before it, so the first that fails is among those begun.
                *queue.lock().unwrap_or_else(PoisonError::into_inner) = None;
            }
            let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
            done.push((position, result));
        }
    };
    thread::scope(|scope| {
        for _ in 0..helpers {
            let named = thread::Builder::new().name("millpond-worker".to_owned());
            // Without this one the others have more to do.
            let _ = named.spawn_scoped(scope, lend_a_hand);
        }
        lend_a_hand();
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_unstable_by_key(|(position, _)| *position);
    done.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;
    use std::time::Duration;

    #[test]
    fn results_come_in_the_order_of_the_items_whoever_is_first() {
        for threads in [0, 1, 3, 200] {
            let squares = side_by_side(threads, 0..100_u64, |n| {
                if n % 7 == 0 {
                    thread::sleep(Duration::from_millis(1));
                }
                Ok::<_, ()>(n * n)
            });
            assert_eq!(
                squares.unwrap(),
                (0..100).map(|n| n * n).collect::<Vec<_>>()
            );
        }
        let none: Vec<u64> = side_by_side(2, Vec::<u64>::new(), Ok::<_, ()>).unwrap();
        assert!(none.is_empty());
    }

    #[test]
    fn two_items_are_at_work_at_a_time() {
        let (send, receive) = mpsc::channel();
        let receive = Mutex::new(receive);
        // The first waits for what the second sends.
        let met = side_by_side(2, [true, false], |waits| {
            if waits {
                let receive = receive.lock().unwrap();
                receive.recv_timeout(Duration::from_secs(20))
            } else {
                send.send(()).unwrap();
                Ok(())
            }
        });
        assert!(met.is_ok());
    }

    #[test]
    fn the_first_failure_in_order_is_told_and_ends_the_work() {
        let begun = AtomicUsize::new(0);
        let failed = side_by_side(2, 0..1_000, |n| {
            begun.fetch_add(1, Ordering::Relaxed);
            match n {
                3 => {
                    thread::sleep(Duration::from_millis(20));
                    Err(n)
                }
                4 => Err(n),
                n => Ok(n),
            }
        });
        assert_eq!(failed, Err(3));
        assert!(begun.into_inner() < 10);
    }
}
