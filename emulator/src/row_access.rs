//! Row access policies: which rows of a table somebody sees, and what needs all of them.
//!
//! Must not know how policies are kept, nor how a condition is run.

use serde::{Deserialize, Serialize};

use crate::catalog::Table;
use crate::jobs::USER;
use crate::name::TableName;

/// Longest name of a policy.
const MAX_NAME: usize = 256;

/// Kinds of those that a policy may be granted to, before the colon.
const GRANTEES: [&str; 6] = [
    "user",
    "serviceAccount",
    "group",
    "domain",
    "principal",
    "principalSet",
];

/// Those that are everybody.
const EVERYBODY: [&str; 2] = ["allUsers", "allAuthenticatedUsers"];

/// Some rows of a table for some people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RowAccessPolicy {
    pub name: String,
    /// A condition on the table's columns, in SQL.
    pub filter: String,
    /// `user:somebody@example.com` and the like.
    pub grantees: Vec<String>,
    /// Microseconds since 1970.
    pub created_us: i64,
    /// Microseconds since 1970.
    pub modified_us: i64,
}

/// Why something about row access was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RowAccessError {
    /// There is no such policy.
    #[error("Not found: Row access policy {policy} on table {table}")]
    NotFound {
        /// Name of the policy.
        policy: String,
        /// The table.
        table: TableName,
    },
    /// There is such a policy already.
    #[error("Already Exists: Row access policy {policy} on table {table}")]
    Exists {
        /// Name of the policy.
        policy: String,
        /// The table.
        table: TableName,
    },
    /// Dropping it would show all rows to everybody.
    #[error(
        "Row access policy {policy} is the last one on table {table}, without which everybody sees all rows. Use DROP ALL ROW ACCESS POLICIES, or force"
    )]
    Last {
        /// Name of the policy.
        policy: String,
        /// The table.
        table: TableName,
    },
    /// The name of a policy is none.
    #[error(
        "Invalid row access policy ID {policy:?}: it must be of letters, digits and underscores, {MAX_NAME} at most"
    )]
    InvalidName {
        /// The name as received.
        policy: String,
    },
    /// Nobody is called so.
    #[error("Invalid grantee: {grantee}")]
    InvalidGrantee {
        /// The text as received.
        grantee: String,
    },
    /// What has no rows of its own has no policies.
    #[error("Row access policies are not allowed on {table}, which is a {kind}")]
    NotATable {
        /// The table.
        table: TableName,
        /// What it is.
        kind: &'static str,
    },
    /// Something needs all rows of a table of which not all are seen.
    #[error(
        "Access Denied: Table {table}: {USER} does not see all rows of it, for which a row access policy with the filter TRUE is needed"
    )]
    NotAllRows {
        /// The table.
        table: TableName,
    },
    /// Rows of before cannot be told from those that are seen now.
    #[error(
        "Access Denied: BigQuery: Time travel on table {table} is forbidden as it has (or has had) row access policies."
    )]
    TimeTravel {
        /// The table.
        table: TableName,
    },
    /// Wildcards do not go with policies.
    #[error(
        "Wildcard tables cannot be queried together with row access policies, which table {table} has"
    )]
    Wildcard {
        /// The table.
        table: TableName,
    },
}

impl RowAccessPolicy {
    /// Whether the one who uses the emulator is among those it is granted to. Nobody is in a group here.
    fn is_granted(&self) -> bool {
        let (_, own_domain) = USER.split_once('@').unwrap_or_default();
        self.grantees.iter().any(|grantee| {
            EVERYBODY.contains(&grantee.as_str())
                || match grantee.split_once(':') {
                    Some(("user" | "serviceAccount", name)) => name.eq_ignore_ascii_case(USER),
                    Some(("domain", domain)) => domain.eq_ignore_ascii_case(own_domain),
                    _ => false,
                }
        })
    }

    /// Whether it lets all rows be seen, as BigQuery's `TRUE` filter does.
    fn is_true(&self) -> bool {
        let bare = |c: char| c.is_whitespace() || matches!(c, '(' | ')');
        self.filter.trim_matches(bare).eq_ignore_ascii_case("TRUE")
    }
}

/// Checks the name of a policy and those it is granted to.
///
/// # Errors
/// [`RowAccessError::InvalidName`] and [`RowAccessError::InvalidGrantee`].
pub(crate) fn check(policy: &str, grantees: &[String]) -> Result<(), RowAccessError> {
    let letters = policy
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || c == '_');
    if policy.is_empty() || policy.len() > MAX_NAME || !letters {
        let policy = policy.to_owned();
        return Err(RowAccessError::InvalidName { policy });
    }
    let known = |grantee: &&String| {
        EVERYBODY.contains(&grantee.as_str())
            || grantee
                .split_once(':')
                .is_some_and(|(kind, name)| GRANTEES.contains(&kind) && !name.is_empty())
    };
    match grantees.iter().find(|grantee| !known(grantee)) {
        None => Ok(()),
        Some(grantee) => Err(RowAccessError::InvalidGrantee {
            grantee: grantee.clone(),
        }),
    }
}

/// What is seen of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Visible {
    All,
    /// The rows that meet a condition, in SQL.
    Where(String),
}

impl Visible {
    /// What whoever uses the emulator sees of a table.
    pub fn of(table: &Table) -> Self {
        let policies = table.metadata.as_ref().map(|m| m.row_access.as_slice());
        Self::by(policies.unwrap_or_default())
    }

    fn by(policies: &[RowAccessPolicy]) -> Self {
        if policies.is_empty() {
            return Self::All;
        }
        let mut granted = policies.iter().filter(|p| p.is_granted()).peekable();
        if granted.peek().is_none() {
            return Self::Where("FALSE".to_owned());
        }
        let granted: Vec<&RowAccessPolicy> = granted.collect();
        if granted.iter().any(|p| p.is_true()) {
            return Self::All;
        }
        // A comment at the end of one must not hide the next.
        let filters: Vec<String> = granted
            .iter()
            .map(|p| format!("({}\n)", p.filter))
            .collect();
        Self::Where(filters.join(" OR "))
    }

    /// Refuses what needs all rows of a table.
    ///
    /// # Errors
    /// [`RowAccessError::NotAllRows`].
    pub fn check_all(table: &Table) -> Result<(), RowAccessError> {
        match Self::of(table) {
            Self::All => Ok(()),
            Self::Where(_) => Err(RowAccessError::NotAllRows {
                table: table.name.clone(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn policy(filter: &str, grantees: &[&str]) -> RowAccessPolicy {
        RowAccessPolicy {
            name: "p".to_owned(),
            filter: filter.to_owned(),
            grantees: grantees.iter().map(ToString::to_string).collect(),
            created_us: 0,
            modified_us: 0,
        }
    }

    #[test]
    fn rows_are_those_of_all_policies_that_are_granted() {
        let nothing = Visible::Where("FALSE".to_owned());
        assert_eq!(Visible::by(&[]), Visible::All);
        assert_eq!(Visible::by(&[policy("TRUE", &[])]), nothing);
        let others = ["user:a@x.com", "group:anonymous@localhost", "domain:x.com"];
        assert_eq!(Visible::by(&[policy("TRUE", &others)]), nothing);
        for own in [
            "user:Anonymous@localhost",
            "serviceAccount:anonymous@localhost",
            "domain:localhost",
            "allUsers",
            "allAuthenticatedUsers",
        ] {
            let two = [policy("a = 1", &["user:a@x.com", own]), policy("b", &[own])];
            let wanted = Visible::Where("(a = 1\n) OR (b\n)".to_owned());
            assert_eq!(Visible::by(&two), wanted, "{own}");
            let all = [policy("a = 1", &[own]), policy("( true )", &[own])];
            assert_eq!(Visible::by(&all), Visible::All, "{own}");
        }
    }

    #[test]
    fn names_are_of_letters_and_grantees_of_a_kind() {
        let grantees = |all: &[&str]| all.iter().map(ToString::to_string).collect::<Vec<_>>();
        let known = grantees(&[
            "user:a@x.com",
            "domain:x.com",
            "allUsers",
            "principal://i/x",
        ]);
        check("own_rows_1", &known).unwrap();
        for name in ["", "a-b", "ä", &"a".repeat(257)] {
            let refused = check(name, &[]).unwrap_err().to_string();
            assert!(
                refused.contains("Invalid row access policy ID"),
                "{refused}"
            );
        }
        for who in ["somebody", "user:", "specialGroup:x"] {
            let refused = check("p", &grantees(&[who])).unwrap_err().to_string();
            assert_eq!(refused, format!("Invalid grantee: {who}"));
        }
    }
}
