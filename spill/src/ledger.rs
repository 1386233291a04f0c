//! The arithmetic of the memory budget: which bytes are counted where, and what is admitted. Owns every limit and every
//! rule; knows nothing of waiting, locks or who asks.
//!
//! # Shares
//!
//! Of a limit `L` (what the user allows the whole process):
//!
//! | share | of | why |
//! |---|---|---|
//! | counted | 3/4 `L`, less when more is reserved | the rest is for what nobody counts: allocator slack, temporaries of kernels, code, stacks |
//! | in flight | 1/2 counted | permits together; one permit can be that large |
//! | kept | 3/4 counted | leases and operators together; the other quarter is always there for permits |
//! | leased | 1/4 counted | leases together; claims and operators are what cannot go to disk and find the rest free of leases |
//! | floor | 1/16 counted, at most 16 MiB | a reservation up to this size is never refused because of pressure |
//!
//! Leases, operators and permits together stay within *counted*. Four things may go above it, each bounded: the single
//! permit that is granted because no other is out (below), operators that grow without asking, the working memory of a
//! spill file, which must exist exactly when memory is short, and claims, which may fill *counted* without regard to
//! what is in flight at that moment. Without claims the sum of *kept* and *in flight* is at most 15/16 `L`; claims can
//! make it 9/8 `L` until the permits that are out come back, after which at most one at a time goes out.
//!
//! # Progress
//!
//! Only permits wait. A waiting permit is granted in order of arrival as soon as it fits, and without regard to the
//! counters when no permit is out. Holders of permits never wait for the ledger: leases and operators are answered at
//! once. So as long as a holder does not ask for a second permit while it holds one, every holder finishes, the number
//! of permits out falls to zero, and the head of the queue is granted at the latest then. By induction over the queue
//! everybody is served, whatever leases and operators hold and whatever the pressure is.

/// How much larger the process is than it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Pressure {
    /// The limits apply as they are.
    #[default]
    Calm,
    /// Shares are halved.
    High,
    /// Nothing is added above the floor, one permit at a time; who can put rows on disk does so.
    Critical,
}

impl Pressure {
    /// The share that is left of `bytes`.
    fn scale(self, bytes: usize) -> usize {
        match self {
            Self::Calm => bytes,
            Self::High => bytes / 2,
            Self::Critical => 0,
        }
    }
}

/// How a limit is divided. All in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BudgetShares {
    /// What the user allows the process.
    pub limit_bytes: usize,
    /// What may be handed out in total.
    pub counted_bytes: usize,
    /// What permits may hold together, and the largest single permit.
    pub in_flight_bytes: usize,
    /// What leases and operators may hold together.
    pub kept_bytes: usize,
    /// What leases may hold together.
    pub leased_bytes: usize,
    /// A reservation up to this size is not refused because of pressure.
    pub floor_bytes: usize,
}

impl BudgetShares {
    const MAX_FLOOR_BYTES: usize = 16 << 20;

    /// Divides `limit_bytes`, of which at least `reserved_bytes` are not to be handed out. Shares are rounded down.
    pub fn of(limit_bytes: usize, reserved_bytes: usize) -> Self {
        let uncounted_bytes = (limit_bytes / 4).max(reserved_bytes);
        let counted_bytes = limit_bytes.saturating_sub(uncounted_bytes);
        let kept_bytes = counted_bytes - counted_bytes / 4;
        Self {
            limit_bytes,
            counted_bytes,
            in_flight_bytes: counted_bytes / 2,
            kept_bytes,
            leased_bytes: counted_bytes / 4,
            floor_bytes: (counted_bytes / 16).min(Self::MAX_FLOOR_BYTES),
        }
    }
}

/// What is handed out at one moment. All in bytes unless named otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BudgetUse {
    /// Kept by leases.
    pub leased_bytes: usize,
    /// Reserved by query operators and claims.
    pub operator_bytes: usize,
    /// In flight under permits.
    pub in_flight_bytes: usize,
    /// Number of permits out.
    pub permits: usize,
    /// Number of requests waiting for a permit.
    pub waiting: usize,
}

impl BudgetUse {
    /// Everything that is handed out.
    pub fn total_bytes(&self) -> usize {
        self.kept_bytes().saturating_add(self.in_flight_bytes)
    }

    fn kept_bytes(&self) -> usize {
        self.leased_bytes.saturating_add(self.operator_bytes)
    }
}

/// Who keeps bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keeper {
    /// A lease: its owner can always spill.
    Lease,
    /// A query operator that can spill.
    SpillingOperator,
    /// A query operator for which a refusal is the end of the job; pressure does not refuse it.
    RigidOperator,
    /// A claim: bytes that have no place but memory, refused only when everything kept together would exceed *counted*.
    Claim,
}

/// Counters and rules.
#[derive(Debug)]
pub(crate) struct Ledger {
    shares: BudgetShares,
    held: BudgetUse,
    pressure: Pressure,
    peak_bytes: usize,
}

impl Ledger {
    pub(crate) fn new(limit_bytes: usize) -> Self {
        Self {
            shares: BudgetShares::of(limit_bytes, 0),
            held: BudgetUse::default(),
            pressure: Pressure::Calm,
            peak_bytes: 0,
        }
    }

    /// Divides the limit anew. What is handed out already stays out.
    pub(crate) fn reserve(&mut self, reserved_bytes: usize) {
        self.shares = BudgetShares::of(self.shares.limit_bytes, reserved_bytes);
    }

    pub(crate) fn shares(&self) -> &BudgetShares {
        &self.shares
    }

    pub(crate) fn held(&self) -> BudgetUse {
        self.held
    }

    pub(crate) fn peak_bytes(&self) -> usize {
        self.peak_bytes
    }

    pub(crate) fn pressure(&self) -> Pressure {
        self.pressure
    }

    pub(crate) fn set_pressure(&mut self, pressure: Pressure) {
        self.pressure = pressure;
    }

    /// How many more bytes `keeper`, whose own reservation is `own_bytes`, could take if it asked for `bytes`.
    pub(crate) fn room_to_keep(&self, keeper: Keeper, own_bytes: usize, bytes: usize) -> usize {
        if keeper == Keeper::Claim {
            return self
                .shares
                .counted_bytes
                .saturating_sub(self.held.kept_bytes());
        }
        let small = own_bytes.saturating_add(bytes) <= self.shares.floor_bytes;
        let scale = |share| match keeper {
            Keeper::RigidOperator => share,
            _ if small => share,
            _ => self.pressure.scale(share),
        };
        let in_kept = scale(self.shares.kept_bytes).saturating_sub(self.held.kept_bytes());
        let in_all = self
            .shares
            .counted_bytes
            .saturating_sub(self.held.total_bytes());
        let in_own = match keeper {
            Keeper::Lease => scale(self.shares.leased_bytes).saturating_sub(self.held.leased_bytes),
            Keeper::SpillingOperator | Keeper::RigidOperator | Keeper::Claim => usize::MAX,
        };
        in_kept.min(in_all).min(in_own)
    }

    /// Counts kept bytes, whether or not there is room: the rule is [`Self::room_to_keep`].
    pub(crate) fn keep(&mut self, keeper: Keeper, bytes: usize) {
        let counter = self.kept_counter(keeper);
        *counter = counter.saturating_add(bytes);
        self.note_peak();
    }

    /// Gives kept bytes back.
    pub(crate) fn give_back(&mut self, keeper: Keeper, bytes: usize) {
        let counter = self.kept_counter(keeper);
        *counter = counter.saturating_sub(bytes);
    }

    /// Whether a permit for `bytes` more can go out, given that `others` other permits are out.
    pub(crate) fn admits_in_flight(&self, bytes: usize, others: usize) -> bool {
        if others == 0 {
            return true;
        }
        let share = self.pressure.scale(self.shares.in_flight_bytes);
        self.held.in_flight_bytes.saturating_add(bytes) <= share
            && self.held.total_bytes().saturating_add(bytes) <= self.shares.counted_bytes
    }

    /// Counts a new permit.
    pub(crate) fn issue_permit(&mut self, bytes: usize) {
        self.held.permits += 1;
        self.add_in_flight(bytes);
    }

    /// Counts the end of a permit.
    pub(crate) fn return_permit(&mut self, bytes: usize) {
        self.held.permits = self.held.permits.saturating_sub(1);
        self.sub_in_flight(bytes);
    }

    /// Counts more bytes under an existing permit.
    pub(crate) fn add_in_flight(&mut self, bytes: usize) {
        self.held.in_flight_bytes = self.held.in_flight_bytes.saturating_add(bytes);
        self.note_peak();
    }

    /// Counts fewer bytes under an existing permit.
    pub(crate) fn sub_in_flight(&mut self, bytes: usize) {
        self.held.in_flight_bytes = self.held.in_flight_bytes.saturating_sub(bytes);
    }

    fn kept_counter(&mut self, keeper: Keeper) -> &mut usize {
        match keeper {
            Keeper::Lease => &mut self.held.leased_bytes,
            Keeper::SpillingOperator | Keeper::RigidOperator | Keeper::Claim => {
                &mut self.held.operator_bytes
            }
        }
    }

    fn note_peak(&mut self) {
        self.peak_bytes = self.peak_bytes.max(self.held.total_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_leave_room_for_permits_and_operators() {
        let s = BudgetShares::of(1 << 30, 0);
        assert_eq!(s.counted_bytes, 768 << 20);
        assert_eq!(s.in_flight_bytes, 384 << 20);
        assert_eq!(s.kept_bytes, 576 << 20);
        assert_eq!(s.leased_bytes, 192 << 20);
        assert_eq!(s.floor_bytes, 16 << 20);
        assert!(s.kept_bytes + s.in_flight_bytes <= s.limit_bytes / 16 * 15);
    }

    #[test]
    fn what_is_reserved_is_not_handed_out() {
        assert_eq!(
            BudgetShares::of(1 << 30, 256 << 20),
            BudgetShares::of(1 << 30, 0)
        );
        let small = BudgetShares::of(256 << 20, 112 << 20);
        assert_eq!(small.counted_bytes, 144 << 20);
        assert_eq!(BudgetShares::of(64 << 20, 65 << 20).counted_bytes, 0);
        let mut ledger = Ledger::new(256 << 20);
        ledger.reserve(112 << 20);
        assert_eq!(ledger.shares(), &small);
        assert_eq!(ledger.room_to_keep(Keeper::Claim, 0, 1), 144 << 20);
    }

    #[test]
    fn pressure_refuses_large_reservations_but_not_small_or_rigid_ones() {
        let mut ledger = Ledger::new(64 << 20);
        let floor = ledger.shares().floor_bytes;
        ledger.set_pressure(Pressure::Critical);
        assert_eq!(ledger.room_to_keep(Keeper::Lease, 0, floor + 1), 0);
        assert_eq!(ledger.room_to_keep(Keeper::Lease, floor, 1), 0);
        assert!(ledger.room_to_keep(Keeper::SpillingOperator, 0, floor) >= floor);
        assert!(ledger.room_to_keep(Keeper::RigidOperator, 0, floor * 4) >= floor * 4);
        ledger.set_pressure(Pressure::High);
        assert_eq!(
            ledger.room_to_keep(Keeper::Lease, 0, floor + 1),
            ledger.shares().leased_bytes / 2
        );
    }

    #[test]
    fn claims_may_fill_what_is_counted_and_then_hold_new_permits_back() {
        let mut ledger = Ledger::new(64 << 20);
        let shares = *ledger.shares();
        ledger.issue_permit(shares.in_flight_bytes);
        ledger.set_pressure(Pressure::Critical);
        let room = ledger.room_to_keep(Keeper::Claim, 0, 1);
        assert_eq!(room, shares.counted_bytes);
        ledger.keep(Keeper::Claim, room);
        assert_eq!(ledger.room_to_keep(Keeper::Claim, room, 1), 0);
        ledger.set_pressure(Pressure::Calm);
        assert!(!ledger.admits_in_flight(1, 1));
        assert!(ledger.peak_bytes() <= shares.limit_bytes / 8 * 9);
        ledger.give_back(Keeper::Claim, room);
        assert_eq!(ledger.held().total_bytes(), shares.in_flight_bytes);
    }

    #[test]
    fn operators_find_room_when_leases_took_all_they_may() {
        let mut ledger = Ledger::new(64 << 20);
        let shares = *ledger.shares();
        ledger.keep(Keeper::Lease, shares.leased_bytes);
        assert_eq!(ledger.room_to_keep(Keeper::Lease, 0, 1), 0);
        assert_eq!(
            ledger.room_to_keep(Keeper::SpillingOperator, 0, 1),
            shares.kept_bytes - shares.leased_bytes
        );
    }
}
