//! Scripts taken apart: statements, variables, and what decides which statement comes next.
//!
//! Must not know how anything is run.

use datafusion::sql::sqlparser::ast::{DataType, Expr, Ident, ObjectName, Query, SqlOption};

use super::{QueryError, Statement};

mod reading;
pub(crate) mod variables;

pub(crate) use reading::{body, script};

/// Where something stands in a text; lines and columns begin with one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Place {
    pub line: u64,
    pub column: u64,
}

/// One step of a script.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Step {
    pub start: Place,
    pub end: Place,
    /// As it was written.
    pub text: String,
    pub act: Act,
}

/// The steps of a body, run one after the other.
pub(crate) type Steps = Vec<Step>;

/// What a step does.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Act {
    Statement(Statement),
    Declare {
        names: Vec<String>,
        data_type: Option<DataType>,
        default: Option<Expr>,
    },
    Set {
        names: Vec<String>,
        /// Whether the names, in parentheses, take the fields of a struct.
        fields: bool,
        value: Expr,
    },
    If {
        branches: Vec<(Expr, Steps)>,
        otherwise: Steps,
    },
    Loop {
        label: Option<String>,
        /// Asked before each round.
        condition: Option<Expr>,
        body: Steps,
        /// Asked after each round.
        until: Option<Expr>,
    },
    For {
        label: Option<String>,
        variable: String,
        query: Box<Query>,
        body: Steps,
    },
    Leave(Option<String>),
    Iterate(Option<String>),
    Block {
        label: Option<String>,
        body: Steps,
        handler: Option<Steps>,
    },
    /// Without a message, what is being handled is raised again.
    Raise(Option<Expr>),
    Return,
    Execute {
        sql: Expr,
        into: Vec<String>,
        using: Vec<(Expr, Option<String>)>,
    },
    Call {
        name: ObjectName,
        arguments: Vec<Expr>,
    },
    Assert {
        condition: Expr,
        message: Option<Expr>,
    },
    CreateProcedure(Box<CreateProcedure>),
    DropProcedure {
        if_exists: bool,
        name: ObjectName,
    },
}

/// How an argument of a procedure goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    In,
    Out,
    InOut,
}

/// `CREATE PROCEDURE`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct CreateProcedure {
    pub or_replace: bool,
    pub if_not_exists: bool,
    pub name: ObjectName,
    /// Without a type it is any.
    pub arguments: Vec<(Way, Ident, Option<DataType>)>,
    pub options: Vec<SqlOption>,
    /// From BEGIN to END, as it was written.
    pub body: String,
}

impl Step {
    /// The only statement of a text that is no script.
    pub fn single(steps: &[Self]) -> Option<&Statement> {
        match steps {
            [
                Self {
                    act: Act::Statement(statement),
                    ..
                },
            ] => Some(statement),
            _ => None,
        }
    }
}

/// Whether two names of variables or labels are one.
pub(crate) fn same(one: &str, other: &str) -> bool {
    super::rewrite::names::same(one, other)
}

/// A query for the value of one expression.
///
/// # Errors
/// [`QueryError::Syntax`] for none.
pub(crate) fn query_for(value: Expr) -> Result<Query, QueryError> {
    use datafusion::sql::sqlparser::ast::{SelectItem, SetExpr};
    let mut query = super::select("SELECT 1")?;
    if let SetExpr::Select(select) = query.body.as_mut() {
        select.projection = vec![SelectItem::ExprWithAlias {
            expr: value,
            alias: Ident::with_quote('`', "value"),
        }];
    }
    Ok(query)
}

/// Whether an expression has a query in it.
pub(crate) fn has_query(expr: &Expr) -> bool {
    use datafusion::sql::sqlparser::ast::Visitor;
    use std::ops::ControlFlow;
    struct Queries;
    impl Visitor for Queries {
        type Break = ();
        fn pre_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
            ControlFlow::Break(())
        }
    }
    crate::syntax_walk::visit(expr, &mut Queries).is_err()
}
