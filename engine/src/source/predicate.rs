//! The small predicate language in which the plan offers conjuncts of `where` to a source.
//!
//! Owns the neutral form between SQL as planned and a source's own filter syntax. Must not know either.

/// A condition on the columns of one table, with SQL's three-valued logic.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Predicate {
    /// `column <comparison> literal`.
    Compare {
        /// The column's name.
        column: String,
        /// The operator.
        comparison: Comparison,
        /// The value compared with, of the column's own type.
        literal: Literal,
    },
    /// `column [NOT] IN (literals)`; the list is not empty and holds no null.
    In {
        /// The column's name.
        column: String,
        /// The values, of the column's own type.
        literals: Vec<Literal>,
        /// Whether the list is excluded.
        negated: bool,
    },
    /// `column IS NULL`.
    IsNull(String),
    /// `column IS NOT NULL`.
    IsNotNull(String),
    /// Both.
    And(Box<Predicate>, Box<Predicate>),
    /// Either.
    Or(Box<Predicate>, Box<Predicate>),
    /// Negation.
    Not(Box<Predicate>),
}

impl Predicate {
    /// Whether the condition is about `column`, perhaps among others.
    pub fn names(&self, column: &str) -> bool {
        match self {
            Self::Compare { column: c, .. }
            | Self::In { column: c, .. }
            | Self::IsNull(c)
            | Self::IsNotNull(c) => c == column,
            Self::And(left, right) | Self::Or(left, right) => {
                left.names(column) || right.names(column)
            }
            Self::Not(inner) => inner.names(column),
        }
    }
}

/// A comparison operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Comparison {
    /// `=`
    Equal,
    /// `<>`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

/// A literal whose meaning is the same everywhere. Floating point is left out on purpose: NaN compares differently.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Literal {
    /// A boolean.
    Bool(bool),
    /// A 64-bit integer.
    Int(i64),
    /// A string.
    Text(String),
    /// Days since 1970-01-01.
    Date(i32),
    /// Microseconds since 1970-01-01T00:00:00Z.
    Timestamp(i64),
    /// Microseconds since 1970-01-01T00:00:00 without a time zone.
    DateTime(i64),
}
