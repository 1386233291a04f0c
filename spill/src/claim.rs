//! Bytes that cannot be put on disk. Owns the guard of what is being learned or encoded; the rules belong to the ledger.

use std::fmt;

use crate::account::Account;
use crate::error::BudgetError;
use crate::ledger::Keeper;

/// The right to hold bytes that have no place but memory, given back on drop.
///
/// Never waits, and pressure does not refuse it: a refusal means that the job cannot go on. What is in flight makes room
/// for it, because permits are granted only while everything together fits.
#[must_use = "dropping a claim gives its bytes back at once"]
pub struct Claim {
    account: Account,
    what: &'static str,
    bytes: usize,
}

impl Claim {
    /// A claim on nothing yet.
    pub(crate) fn empty(account: Account, what: &'static str) -> Self {
        Self {
            account,
            what,
            bytes: 0,
        }
    }

    /// Bytes this claim stands for.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Makes the claim stand for exactly `bytes`. Shrinking always succeeds.
    ///
    /// # Errors
    /// [`BudgetError::Refused`] when it had to grow and may not; the claim keeps its old size.
    pub fn resize(&mut self, bytes: usize) -> Result<(), BudgetError> {
        if bytes > self.bytes {
            let more = bytes - self.bytes;
            self.account
                .try_keep(Keeper::Claim, self.what, self.bytes, more)?;
        } else {
            self.account.give_back(Keeper::Claim, self.bytes - bytes);
        }
        self.bytes = bytes;
        Ok(())
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.account.give_back(Keeper::Claim, self.bytes);
    }
}

impl fmt::Debug for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claim")
            .field("what", &self.what)
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
    }
}
