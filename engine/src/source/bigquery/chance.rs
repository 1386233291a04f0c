//! Where names that nobody else uses come from. Owns the machine's own chance, which is given as a parameter.

use std::hash::{BuildHasher, Hasher, RandomState};

/// A source of numbers that are never drawn twice.
#[derive(Debug, Clone, Copy)]
pub(super) struct Chance(pub fn() -> u128);

impl Chance {
    /// The machine's own.
    pub const SYSTEM: Self = Self(drawn);

    /// A name of 32 hexadecimal digits.
    pub fn name(self) -> String {
        format!("{:032x}", (self.0)())
    }
}

/// Every hasher is keyed by the operating system's chance.
fn drawn() -> u128 {
    let half = || u128::from(RandomState::new().build_hasher().finish());
    half() << 64 | half()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_differ() {
        let (a, b) = (Chance::SYSTEM.name(), Chance::SYSTEM.name());
        assert_eq!(a.len(), 32);
        assert_ne!(a, b);
    }
}
