//! Kept bytes. Owns the guard of a granted lease; the rules belong to the ledger.

use std::fmt;

use crate::account::Account;
use crate::error::BudgetError;
use crate::ledger::Keeper;

/// The right to keep some bytes, given back on drop. Never waits: a refusal means *spill instead*.
#[must_use = "dropping a lease gives its bytes back at once"]
pub struct Lease {
    account: Account,
    what: &'static str,
    bytes: usize,
}

impl Lease {
    /// Wraps bytes already counted as leased.
    pub(crate) fn granted(account: Account, what: &'static str, bytes: usize) -> Self {
        Self {
            account,
            what,
            bytes,
        }
    }

    /// Bytes this lease stands for.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds `bytes` to the lease.
    ///
    /// # Errors
    /// [`BudgetError::Refused`]; the lease keeps its old size.
    pub fn try_grow(&mut self, bytes: usize) -> Result<(), BudgetError> {
        self.account
            .try_keep(Keeper::Lease, self.what, self.bytes, bytes)?;
        self.bytes = self.bytes.saturating_add(bytes);
        Ok(())
    }

    /// Gives `bytes` back, at most what is held.
    pub fn shrink(&mut self, bytes: usize) {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        self.account.give_back(Keeper::Lease, bytes);
    }

    /// Makes the lease stand for exactly `bytes`. Shrinking always succeeds.
    ///
    /// # Errors
    /// [`BudgetError::Refused`] when it had to grow and may not; the lease keeps its old size.
    pub fn resize(&mut self, bytes: usize) -> Result<(), BudgetError> {
        if bytes > self.bytes {
            self.try_grow(bytes - self.bytes)
        } else {
            self.shrink(self.bytes - bytes);
            Ok(())
        }
    }

    /// Makes the lease stand for `bytes` even when there is no room: for memory that already exists and cannot be
    /// avoided. Others are refused until it is given back.
    pub(crate) fn resize_regardless(&mut self, bytes: usize) {
        if bytes > self.bytes {
            self.account
                .keep_regardless(Keeper::Lease, bytes - self.bytes);
            self.bytes = bytes;
        } else {
            self.shrink(self.bytes - bytes);
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.account.give_back(Keeper::Lease, self.bytes);
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease")
            .field("what", &self.what)
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
    }
}
