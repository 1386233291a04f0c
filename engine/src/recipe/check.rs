//! What is wrong with a recipe whatever table it meets.
//!
//! Owns the checks that need no schema. Must not know a source; checks against columns are the plan's.

use millpond_features::SplitSpec;

use super::Recipe;
use crate::error::{Error, Result};

/// What rounding may make of ratios that add up to 1.
const RATIO_TOLERANCE: f64 = 1e-9;

impl Recipe {
    /// Refuses what no table could make right: roles that overlap, no features, empty expressions, impossible ratios.
    ///
    /// # Errors
    /// Of kind [`Config`](crate::ErrorKind::Config), naming the key to correct.
    pub fn check(&self) -> Result<()> {
        self.check_roles()?;
        if self.features.is_empty() {
            return Err(Error::config(
                "features: the list is empty, name at least one set of columns and its steps",
            ));
        }
        if let Some(filter) = &self.filter
            && filter.trim().is_empty()
        {
            return Err(Error::config(
                "where: the condition is empty, leave the key out to keep every row",
            ));
        }
        for (name, sql) in self.derive.iter() {
            if name.trim().is_empty() {
                return Err(Error::config("derive: a column has an empty name"));
            }
            if sql.trim().is_empty() {
                return Err(Error::config(format!(
                    "derive.{name}: the SQL expression is empty"
                )));
            }
        }
        if self.limit == Some(0) {
            return Err(Error::config(
                "limit: 0 rows leave nothing to learn from, give at least 1 or leave the key out",
            ));
        }
        self.check_split()
    }

    /// Label, keys, weight and pass-through columns each have one role, and none is dropped.
    fn check_roles(&self) -> Result<()> {
        let mut taken: Vec<(&str, &str)> = Vec::new();
        let roles = [
            ("label", self.label.as_slice()),
            ("key", self.key.0.as_slice()),
            ("weight", self.weight.as_slice()),
            ("pass_through", self.pass_through.0.as_slice()),
        ];
        for (role, names) in roles {
            for name in names {
                if name.is_empty() {
                    return Err(Error::config(format!("{role}: a column has an empty name")));
                }
                if let Some((earlier, _)) = taken.iter().find(|(_, n)| n == name) {
                    return Err(Error::config(if *earlier == role {
                        format!("{role}: column \"{name}\" is named twice")
                    } else {
                        format!(
                            "{role}: column \"{name}\" is already the recipe's {earlier}, a column has one role"
                        )
                    }));
                }
                taken.push((role, name));
            }
        }
        for (role, name) in taken {
            if self.drop.iter().any(|dropped| dropped == name) {
                return Err(Error::config(format!(
                    "drop: column \"{name}\" is the recipe's {role} and cannot be dropped"
                )));
            }
        }
        Ok(())
    }

    fn check_split(&self) -> Result<()> {
        let columns = self.split.columns();
        if columns.is_empty() {
            return Err(Error::config("split: no column is named"));
        }
        let SplitSpec::Hash(hash) = &self.split else {
            return Ok(());
        };
        let ratios = [
            ("train", hash.ratios.train),
            ("val", hash.ratios.val),
            ("test", hash.ratios.test),
        ];
        for (split, ratio) in ratios {
            if !(0.0..=1.0).contains(&ratio) {
                return Err(Error::config(format!(
                    "split.hash.ratios.{split}: {ratio} is not between 0 and 1"
                )));
            }
        }
        let sum: f64 = ratios.iter().map(|(_, ratio)| ratio).sum();
        if (sum - 1.0).abs() > RATIO_TOLERANCE {
            return Err(Error::config(format!(
                "split.hash.ratios: train, val and test add up to {}, not 1",
                (sum * 1e9).round() / 1e9
            )));
        }
        if let Some(label) = &self.label
            && columns.contains(&label.as_str())
        {
            return Err(Error::config(format!(
                "split: hashing the label \"{label}\" would put all rows of one label into one split, hash a key instead"
            )));
        }
        Ok(())
    }
}
