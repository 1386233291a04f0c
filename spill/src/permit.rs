//! Bytes in flight. Owns the guard of a granted permit; waiting and order belong to the account.

use std::fmt;

use crate::account::Account;
use crate::error::BudgetError;
use crate::lease::Lease;

/// The right to have some bytes in flight, given back on drop.
///
/// Whoever holds a permit finishes without asking for a second one; otherwise two holders could wait for each other.
/// [`Permit::resize`] does not wait and is allowed.
#[must_use = "dropping a permit gives its bytes back at once"]
pub struct Permit {
    account: Account,
    what: &'static str,
    bytes: usize,
    /// False once the bytes belong to a lease.
    out: bool,
}

impl Permit {
    /// Wraps bytes already counted in flight.
    pub(crate) fn issued(account: Account, what: &'static str, bytes: usize) -> Self {
        Self {
            account,
            what,
            bytes,
            out: true,
        }
    }

    /// Bytes this permit stands for.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Changes the size once it is better known (after decoding, say). Shrinking always succeeds; growing never waits.
    ///
    /// # Errors
    /// [`BudgetError::TooLarge`] above the whole in-flight share, [`BudgetError::Refused`] when other permits are out
    /// and there is no room. The permit keeps its old size then.
    pub fn resize(&mut self, bytes: usize) -> Result<(), BudgetError> {
        self.account.resize_permit(self.what, self.bytes, bytes)?;
        self.bytes = bytes;
        Ok(())
    }

    /// Turns bytes in flight into `bytes` kept ones in one step, so that a batch is not counted twice.
    ///
    /// # Errors
    /// The permit comes back with [`BudgetError::Refused`] when that much cannot be kept now.
    pub fn into_lease(mut self, bytes: usize) -> Result<Lease, (Self, BudgetError)> {
        match self.account.permit_to_lease(self.what, self.bytes, bytes) {
            Ok(()) => {
                self.out = false;
                Ok(Lease::granted(self.account.clone(), self.what, bytes))
            }
            Err(refusal) => Err((self, refusal)),
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if self.out {
            self.account.return_permit(self.bytes);
        }
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit")
            .field("what", &self.what)
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
    }
}
