//! The memory budget of a job. Owns the public face of the one ledger and its adapter to DataFusion's memory pool; it is
//! the only file of this crate that names DataFusion. The shares and the proof that nobody waits for ever are in the
//! documentation of the ledger.

use std::fmt;
use std::sync::Arc;

use datafusion::error::DataFusionError;
use datafusion::execution::memory_pool::{
    MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation,
};

use crate::account::Account;
use crate::claim::Claim;
use crate::error::BudgetError;
use crate::lease::Lease;
use crate::ledger::{BudgetShares, BudgetUse, Keeper, Pressure};
use crate::permit::Permit;

/// The one ledger of a job's memory, exact to the byte. Clones share it.
///
/// | kind | call | when there is no room |
/// |---|---|---|
/// | in flight | [`permit`](Self::permit) | waits, first come first served |
/// | kept | [`try_lease`](Self::try_lease) | refused, the caller spills |
/// | learned, encoded | [`claim`](Self::claim) | refused only when all that is kept fills what is counted; the job fails |
/// | operators | [`pool`](Self::pool) | `ResourcesExhausted`, the operator spills or fails |
///
/// # How the limit is divided
///
/// Three quarters of the limit are handed out; the last quarter, or more when [`reserve`](Self::reserve) says so, is for
/// what cannot be counted (allocator slack, temporaries of kernels, code and stacks). Of what is handed out, permits may hold half, and leases and operators
/// together three quarters, so that a quarter is always free for permits; leases alone may hold a quarter, so that
/// claims and operators find the rest. [`shares`](Self::shares) gives the numbers. Leases, operators and permits together
/// stay within three quarters of the limit, except for one permit that is granted because no other is out, operators
/// that grow without asking, and the small working memory of spill files. Claims may fill three quarters by themselves.
///
/// # Why nobody waits for ever
///
/// Only permits wait, in order of arrival, and the head of the line is granted without regard to the counters when no
/// permit is out. Leases and operators are answered at once. So as long as a holder of a permit does not ask for a second one,
/// it finishes and returns it; the number of permits out reaches zero at the latest when all holders are done, and then
/// the head of the line goes on.
///
/// # Pressure
///
/// [`RssMonitor`](crate::RssMonitor) compares the real size of the process with the limit and sets a [`Pressure`], which
/// scales the shares down. Reservations up to [`BudgetShares::floor_bytes`] and operators that cannot spill are exempt:
/// a sort that is refused its first batch fails instead of spilling.
#[derive(Clone)]
pub struct MemoryBudget {
    account: Account,
}

impl MemoryBudget {
    /// A budget for a process that may take `limit` bytes in all.
    pub fn new(limit: usize) -> Self {
        Self {
            account: Account::new(limit),
        }
    }

    /// What the process may take, in bytes, as given to [`new`](Self::new).
    pub fn limit(&self) -> usize {
        self.account.shares().limit_bytes
    }

    /// How the limit is divided.
    pub fn shares(&self) -> BudgetShares {
        self.account.shares()
    }

    /// Sets at least `bytes` of the limit aside for what nobody counts, instead of the quarter that always is. Nothing already
    /// granted is taken back.
    pub fn reserve(&self, bytes: usize) {
        self.account.reserve(bytes);
    }

    /// Bytes handed out now: leases, operators and permits.
    pub fn used(&self) -> usize {
        self.account.held().total_bytes()
    }

    /// The most [`used`](Self::used) ever was, in bytes.
    pub fn peak(&self) -> usize {
        self.account.peak_bytes()
    }

    /// What is handed out now, by kind.
    pub fn usage(&self) -> BudgetUse {
        self.account.held()
    }

    /// The pressure set last.
    pub fn pressure(&self) -> Pressure {
        self.account.pressure()
    }

    /// Scales the shares for what is asked from now on. Nothing already granted is taken back.
    pub fn set_pressure(&self, pressure: Pressure) {
        self.account.set_pressure(pressure);
    }

    /// Bytes to keep. Never waits. `what` names the asker in errors.
    ///
    /// # Errors
    /// [`BudgetError::Refused`] when they do not fit now: spill instead.
    pub fn try_lease(&self, what: &'static str, bytes: usize) -> Result<Lease, BudgetError> {
        let mut lease = Lease::granted(self.account.clone(), what, 0);
        lease.try_grow(bytes)?;
        Ok(lease)
    }

    /// A claim, empty at first, on bytes that cannot be put on disk. `what` names the asker in errors.
    pub fn claim(&self, what: &'static str) -> Claim {
        Claim::empty(self.account.clone(), what)
    }

    /// A lease that is made large enough whatever the counters say; see the callers for why that is bounded.
    pub(crate) fn lease_regardless(&self, what: &'static str, bytes: usize) -> Lease {
        let mut lease = Lease::granted(self.account.clone(), what, 0);
        lease.resize_regardless(bytes);
        lease
    }

    /// Bytes in flight. Waits until there is room, first come first served; `what` names the asker in errors.
    ///
    /// Cancel safe: dropping the future leaves the line, and gives the bytes back if they were granted meanwhile.
    /// A task that holds a permit must not wait for another.
    ///
    /// # Errors
    /// [`BudgetError::TooLarge`] at once when `bytes` exceeds [`BudgetShares::in_flight_bytes`].
    pub async fn permit(&self, what: &'static str, bytes: usize) -> Result<Permit, BudgetError> {
        self.account.permit(what, bytes).await
    }

    /// This ledger as the memory pool of a DataFusion runtime. A refusal is a bare `ResourcesExhausted`, which is what
    /// operators look for before they spill.
    pub fn pool(&self) -> Arc<dyn MemoryPool> {
        Arc::new(self.clone())
    }
}

impl fmt::Debug for MemoryBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryBudget")
            .field("limit", &self.limit())
            .field("held", &self.usage())
            .field("pressure", &self.pressure())
            .finish_non_exhaustive()
    }
}

impl fmt::Display for MemoryBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}(used: {} bytes, limit: {} bytes)",
            MemoryPool::name(self),
            self.used(),
            self.limit()
        )
    }
}

fn keeper_of(consumer: &MemoryConsumer) -> Keeper {
    if consumer.can_spill() {
        Keeper::SpillingOperator
    } else {
        Keeper::RigidOperator
    }
}

impl MemoryPool for MemoryBudget {
    fn name(&self) -> &str {
        "millpond"
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        self.account
            .keep_regardless(keeper_of(reservation.consumer()), additional);
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        self.account
            .give_back(keeper_of(reservation.consumer()), shrink);
    }

    fn try_grow(
        &self,
        reservation: &MemoryReservation,
        additional: usize,
    ) -> Result<(), DataFusionError> {
        let consumer = reservation.consumer();
        self.account
            .try_keep(
                keeper_of(consumer),
                "operator",
                reservation.size(),
                additional,
            )
            .map_err(|refusal| {
                let name = consumer.name();
                let held = reservation.size();
                DataFusionError::ResourcesExhausted(format!(
                    "{refusal} ({name}, which holds {held} bytes)"
                ))
            })
    }

    fn reserved(&self) -> usize {
        self.account.held().operator_bytes
    }

    fn memory_limit(&self) -> MemoryLimit {
        // What operators may get at best, not the limit of the process.
        MemoryLimit::Finite(self.account.shares().kept_bytes)
    }
}

#[cfg(test)]
mod tests;

/// The tests that need DataFusion by name.
#[cfg(test)]
mod pool_tests {
    #![allow(clippy::unwrap_used)]

    use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
    use datafusion::common::utils::memory::get_record_batch_memory_size;

    use super::*;
    use crate::batch_size::batch_memory_bytes;

    #[test]
    fn a_refusal_is_bare_and_names_the_operator() {
        let budget = MemoryBudget::new(64 << 20);
        let sort = MemoryConsumer::new("sort").with_can_spill(true);
        let sort = sort.register(&budget.pool());
        let error = sort.try_grow(budget.shares().kept_bytes + 1).unwrap_err();
        assert!(matches!(&error, DataFusionError::ResourcesExhausted(m) if m.contains("sort")));
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn operators_and_leases_draw_on_one_ledger() {
        let budget = MemoryBudget::new(64 << 20);
        let shares = budget.shares();
        let pool = budget.pool();
        let sort = MemoryConsumer::new("sort").register(&pool);
        let lease = budget.try_lease("test", shares.leased_bytes).unwrap();
        sort.try_grow(shares.kept_bytes - shares.leased_bytes)
            .unwrap();
        assert!(sort.try_grow(1).is_err());
        drop(lease);
        sort.try_grow(1).unwrap();
        sort.grow(shares.counted_bytes);
        assert_eq!(pool.reserved(), sort.size());
        assert_eq!(budget.used(), sort.size());
        assert!(budget.try_lease("test", 1).is_err());
        drop(sort);
        assert_eq!((budget.used(), pool.reserved()), (0, 0));
    }

    #[test]
    fn under_pressure_a_small_or_rigid_operator_still_gets_its_memory() {
        let budget = MemoryBudget::new(64 << 20);
        let pool = budget.pool();
        budget.set_pressure(Pressure::Critical);
        let sort = MemoryConsumer::new("sort")
            .with_can_spill(true)
            .register(&pool);
        sort.try_grow(budget.shares().floor_bytes).unwrap();
        assert!(sort.try_grow(1).is_err());
        let join = MemoryConsumer::new("join").register(&pool);
        join.try_grow(budget.shares().floor_bytes * 2).unwrap();
    }

    #[test]
    fn batches_measure_as_operators_measure_them() {
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None, Some(3)]));
        let text: ArrayRef = Arc::new(StringArray::from(vec!["a", "bb", "ccc"]));
        let columns = [("a", numbers.slice(0, 1)), ("b", numbers.slice(1, 1))];
        let columns = columns.into_iter().chain([("c", text.slice(2, 1))]);
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        assert_eq!(
            batch_memory_bytes(&batch),
            get_record_batch_memory_size(&batch)
        );
    }
}
