#![allow(clippy::unwrap_used)]

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use super::*;

const LIMIT: usize = 64 << 20;

fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// The permit that must be there at once.
fn now(future: impl Future<Output = Result<Permit, BudgetError>>) -> Permit {
    match poll(pin!(future)) {
        Poll::Ready(permit) => permit.unwrap(),
        Poll::Pending => unreachable!("the permit was to be had at once"),
    }
}

/// Leases and operators that together keep all they may.
fn keep_all(budget: &MemoryBudget) -> (Lease, MemoryReservation) {
    let shares = budget.shares();
    let lease = budget.try_lease("test", shares.leased_bytes).unwrap();
    let operator = MemoryConsumer::new("operator").register(&budget.pool());
    operator
        .try_grow(shares.kept_bytes - shares.leased_bytes)
        .unwrap();
    (lease, operator)
}

#[test]
fn leases_are_exact_and_refused_above_their_share() {
    let budget = MemoryBudget::new(LIMIT);
    let share = budget.shares().leased_bytes;
    let mut lease = budget.try_lease("test", share - 10).unwrap();
    assert_eq!(budget.used(), share - 10);
    lease.try_grow(10).unwrap();
    let refusal = lease.try_grow(1).unwrap_err();
    assert_eq!(
        refusal,
        BudgetError::Refused {
            what: "test",
            requested_bytes: 1,
            available_bytes: 0,
            limit_bytes: LIMIT
        }
    );
    assert!(refusal.to_string().contains(&LIMIT.to_string()));
    lease.shrink(100);
    assert_eq!((lease.bytes(), budget.used()), (share - 100, share - 100));
    lease.resize(5).unwrap();
    assert!(lease.resize(share + 1).is_err());
    assert_eq!((lease.bytes(), budget.used()), (5, 5));
    drop(lease);
    assert_eq!((budget.used(), budget.peak()), (0, share));
}

#[test]
fn a_request_above_the_whole_share_is_refused_with_both_numbers() {
    let budget = MemoryBudget::new(LIMIT);
    let share = budget.shares().in_flight_bytes;
    let Poll::Ready(answer) = poll(pin!(budget.permit("batch", share + 1))) else {
        unreachable!("it waits for what can never be")
    };
    let expected = BudgetError::TooLarge {
        what: "batch",
        requested_bytes: share + 1,
        share_bytes: share,
        limit_bytes: LIMIT,
    };
    assert_eq!(answer.unwrap_err(), expected);
    assert_eq!(now(budget.permit("batch", share)).bytes(), share);
}

#[test]
fn the_line_is_served_in_order_even_when_a_later_request_would_fit() {
    let budget = MemoryBudget::new(LIMIT);
    let share = budget.shares().in_flight_bytes;
    let first = now(budget.permit("first", share / 2));
    let mut second = pin!(budget.permit("second", share));
    let mut third = pin!(budget.permit("third", 1));
    assert!(poll(second.as_mut()).is_pending());
    assert!(poll(third.as_mut()).is_pending());
    assert_eq!(budget.usage().waiting, 2);
    drop(first);
    assert!(poll(third.as_mut()).is_pending());
    let Poll::Ready(Ok(second)) = poll(second.as_mut()) else {
        unreachable!("the head of the line is served")
    };
    assert!(poll(third.as_mut()).is_pending());
    drop(second);
    assert!(poll(third.as_mut()).is_ready());
}

#[test]
fn who_gives_up_waiting_holds_nobody_up() {
    let budget = MemoryBudget::new(LIMIT);
    let share = budget.shares().in_flight_bytes;
    let first = now(budget.permit("first", share / 2));
    let mut second = Box::pin(budget.permit("second", share));
    let mut third = pin!(budget.permit("third", 1));
    assert!(poll(second.as_mut()).is_pending());
    assert!(poll(third.as_mut()).is_pending());
    drop(second);
    assert!(poll(third.as_mut()).is_ready());
    drop(first);
    assert_eq!(budget.used(), 0);
}

#[test]
fn a_permit_granted_to_a_dropped_future_comes_back() {
    let budget = MemoryBudget::new(LIMIT);
    let share = budget.shares().in_flight_bytes;
    let first = now(budget.permit("first", share));
    let mut second = Box::pin(budget.permit("second", share));
    let mut third = pin!(budget.permit("third", share));
    assert!(poll(second.as_mut()).is_pending());
    assert!(poll(third.as_mut()).is_pending());
    drop(first);
    assert_eq!(
        budget.usage().in_flight_bytes,
        share,
        "granted, not yet taken"
    );
    drop(second);
    let Poll::Ready(Ok(third)) = poll(third.as_mut()) else {
        unreachable!("the next in line is served")
    };
    drop(third);
    assert_eq!(budget.usage(), BudgetUse::default());
}

#[test]
fn one_permit_goes_out_whatever_is_kept_and_whatever_the_pressure() {
    let budget = MemoryBudget::new(LIMIT);
    let shares = budget.shares();
    let _kept = keep_all(&budget);
    budget.set_pressure(Pressure::Critical);
    let first = now(budget.permit("first", shares.in_flight_bytes));
    assert!(budget.used() > shares.counted_bytes && budget.used() <= LIMIT / 16 * 15);
    let mut second = pin!(budget.permit("second", 1));
    assert!(poll(second.as_mut()).is_pending());
    drop(first);
    assert!(poll(second.as_mut()).is_ready());
}

#[test]
fn room_made_by_a_lease_or_by_less_pressure_is_given_to_who_waits() {
    let budget = MemoryBudget::new(LIMIT);
    let shares = budget.shares();
    let (lease, _operator) = keep_all(&budget);
    let _first = now(budget.permit("first", 1));
    let left = shares.counted_bytes - budget.used();
    let mut second = pin!(budget.permit("second", left + 1));
    assert!(poll(second.as_mut()).is_pending());
    drop(lease);
    let Poll::Ready(Ok(_second)) = poll(second.as_mut()) else {
        unreachable!("there is room now")
    };
    budget.set_pressure(Pressure::Critical);
    let mut third = pin!(budget.permit("third", 1));
    assert!(poll(third.as_mut()).is_pending());
    budget.set_pressure(Pressure::Calm);
    assert!(poll(third.as_mut()).is_ready());
}

#[test]
fn a_permit_can_be_resized_without_waiting() {
    let budget = MemoryBudget::new(LIMIT);
    let share = budget.shares().in_flight_bytes;
    let mut first = now(budget.permit("first", 10));
    first.resize(share).unwrap();
    assert!(matches!(
        first.resize(share + 1),
        Err(BudgetError::TooLarge { .. })
    ));
    first.resize(100).unwrap();
    let _second = now(budget.permit("second", share - 100));
    assert!(matches!(
        first.resize(101),
        Err(BudgetError::Refused { .. })
    ));
    assert_eq!(
        (first.bytes(), budget.usage().in_flight_bytes),
        (100, share)
    );
}

#[test]
fn bytes_in_flight_become_kept_bytes_without_being_counted_twice() {
    let budget = MemoryBudget::new(LIMIT);
    let share = budget.shares().in_flight_bytes;
    let permit = now(budget.permit("batch", share));
    let lease = permit.into_lease(share / 2).unwrap();
    assert_eq!((budget.peak(), budget.used()), (share, share / 2));
    let _rest = budget
        .try_lease("test", budget.shares().leased_bytes - share / 2)
        .unwrap();
    let permit = now(budget.permit("batch", 8));
    let (permit, refusal) = permit.into_lease(8).unwrap_err();
    assert!(matches!(refusal, BudgetError::Refused { .. }));
    assert_eq!((permit.bytes(), budget.usage().in_flight_bytes), (8, 8));
    drop((permit, lease));
    assert_eq!(budget.usage().permits, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn permits_under_contention_never_exceed_their_share_and_all_are_served() {
    let budget = MemoryBudget::new(1 << 20);
    let share = budget.shares().in_flight_bytes;
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..32usize {
        let budget = budget.clone();
        tasks.spawn(async move {
            for round in 0..200usize {
                let bytes = 1 + (task * 7919 + round * 104_729) % share;
                if round % 17 == 3 {
                    // Give up at once, before or after being granted.
                    tokio::select! {
                        biased;
                        () = tokio::task::yield_now() => {}
                        _ = budget.permit("giver-up", bytes) => {}
                    }
                    continue;
                }
                let permit = budget.permit("task", bytes).await.unwrap();
                assert!(budget.usage().in_flight_bytes <= share);
                // Holders ask for leases too; a refusal is an answer.
                let lease = budget.try_lease("task", bytes);
                tokio::task::yield_now().await;
                drop(permit);
                tokio::task::yield_now().await;
                drop(lease);
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    assert_eq!(budget.usage(), BudgetUse::default());
    assert!(budget.peak() <= 1 << 20);
}
