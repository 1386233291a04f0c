//! Walks over parsed SQL. The parser's own walk is compiled anew for each kind of visitor, with every type of the syntax; this one is
//! compiled once for reading and once for changing, and calls visitors through a table of functions.
//!
//! Must not know what visitors look for.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, ObjectName, Query, Select, Statement, TableFactor, ValueWithSpan, Visit, VisitMut,
    Visitor, VisitorMut,
};

/// Shows `visitor` every part of `node`, in the order of the text.
///
/// # Errors
/// What the visitor breaks off with.
pub(crate) fn visit<N: Visit, V: Visitor>(node: &N, visitor: &mut V) -> Result<(), V::Break> {
    let mut held = Held::new(visitor);
    let _ = node.visit(&mut Reading(&mut held));
    held.result()
}

/// Lets `visitor` change every part of `node`, in the order of the text.
///
/// # Errors
/// What the visitor breaks off with; what it changed before stays changed.
pub(crate) fn visit_mut<N: VisitMut, V: VisitorMut>(
    node: &mut N,
    visitor: &mut V,
) -> Result<(), V::Break> {
    let mut held = Held::new(visitor);
    let _ = node.visit(&mut Changing(&mut held));
    held.result()
}

/// A visitor, and what it broke off with: visitors with any reason to break off look alike from outside.
struct Held<'a, V, B> {
    visitor: &'a mut V,
    broke: Option<B>,
}

impl<'a, V, B> Held<'a, V, B> {
    fn new(visitor: &'a mut V) -> Self {
        Self {
            visitor,
            broke: None,
        }
    }

    fn keep(&mut self, flow: ControlFlow<B>) -> ControlFlow<()> {
        flow.map_break(|broke| self.broke = Some(broke))
    }

    fn result(self) -> Result<(), B> {
        self.broke.map_or(Ok(()), Err)
    }
}

/// Any visitor that reads: the one that the parser's walk is compiled for.
struct Reading<'a>(&'a mut dyn Visitor<Break = ()>);

/// Any visitor that changes: the one that the parser's walk is compiled for.
struct Changing<'a>(&'a mut dyn VisitorMut<Break = ()>);

macro_rules! pass_on {
    ($visitor:ident through $any:ident: $($method:ident($node:ty),)*) => {
        impl<V: $visitor> $visitor for Held<'_, V, V::Break> {
            type Break = ();

            $(fn $method(&mut self, node: $node) -> ControlFlow<()> {
                let flow = self.visitor.$method(node);
                self.keep(flow)
            })*
        }

        impl $visitor for $any<'_> {
            type Break = ();

            $(fn $method(&mut self, node: $node) -> ControlFlow<()> {
                self.0.$method(node)
            })*
        }
    };
}

pass_on!(Visitor through Reading:
    pre_visit_query(&Query),
    post_visit_query(&Query),
    pre_visit_select(&Select),
    post_visit_select(&Select),
    pre_visit_relation(&ObjectName),
    post_visit_relation(&ObjectName),
    pre_visit_table_factor(&TableFactor),
    post_visit_table_factor(&TableFactor),
    pre_visit_expr(&Expr),
    post_visit_expr(&Expr),
    pre_visit_statement(&Statement),
    post_visit_statement(&Statement),
    pre_visit_value(&ValueWithSpan),
    post_visit_value(&ValueWithSpan),
);

pass_on!(VisitorMut through Changing:
    pre_visit_query(&mut Query),
    post_visit_query(&mut Query),
    pre_visit_select(&mut Select),
    post_visit_select(&mut Select),
    pre_visit_relation(&mut ObjectName),
    post_visit_relation(&mut ObjectName),
    pre_visit_table_factor(&mut TableFactor),
    post_visit_table_factor(&mut TableFactor),
    pre_visit_expr(&mut Expr),
    post_visit_expr(&mut Expr),
    pre_visit_statement(&mut Statement),
    post_visit_statement(&mut Statement),
    pre_visit_value(&mut ValueWithSpan),
    post_visit_value(&mut ValueWithSpan),
);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use datafusion::sql::sqlparser::dialect::BigQueryDialect;
    use datafusion::sql::sqlparser::parser::Parser;

    /// Writes down everything it is shown, and breaks off at an expression.
    #[derive(Default)]
    struct Seen {
        parts: Vec<String>,
        last: Option<&'static str>,
    }

    macro_rules! write_down {
        ($visitor:ident: $($method:ident($node:ty),)*) => {
            impl $visitor for Seen {
                type Break = String;

                $(fn $method(&mut self, node: $node) -> ControlFlow<String> {
                    let part = format!("{} {node}", stringify!($method));
                    self.parts.push(part.clone());
                    match self.last {
                        Some(last) if part == last => ControlFlow::Break(part),
                        _ => ControlFlow::Continue(()),
                    }
                })*
            }
        };
    }

    write_down!(Visitor:
        pre_visit_query(&Query), post_visit_query(&Query),
        pre_visit_select(&Select), post_visit_select(&Select),
        pre_visit_relation(&ObjectName), post_visit_relation(&ObjectName),
        pre_visit_table_factor(&TableFactor), post_visit_table_factor(&TableFactor),
        pre_visit_expr(&Expr), post_visit_expr(&Expr),
        pre_visit_statement(&Statement), post_visit_statement(&Statement),
        pre_visit_value(&ValueWithSpan), post_visit_value(&ValueWithSpan),
    );
    write_down!(VisitorMut:
        pre_visit_query(&mut Query), post_visit_query(&mut Query),
        pre_visit_select(&mut Select), post_visit_select(&mut Select),
        pre_visit_relation(&mut ObjectName), post_visit_relation(&mut ObjectName),
        pre_visit_table_factor(&mut TableFactor), post_visit_table_factor(&mut TableFactor),
        pre_visit_expr(&mut Expr), post_visit_expr(&mut Expr),
        pre_visit_statement(&mut Statement), post_visit_statement(&mut Statement),
        pre_visit_value(&mut ValueWithSpan), post_visit_value(&mut ValueWithSpan),
    );

    fn parsed() -> Vec<Statement> {
        let sql = "SELECT a + 1, (SELECT MAX(b) FROM d.u) FROM d.t AS x WHERE f(x.c) = 'y'";
        Parser::parse_sql(&BigQueryDialect, sql).unwrap()
    }

    #[test]
    fn visitors_see_what_the_parsers_own_walk_shows() {
        let (mut own, mut here) = (Seen::default(), Seen::default());
        assert!(Visit::visit(&parsed(), &mut own).is_continue());
        visit(&parsed(), &mut here).unwrap();
        assert_eq!(here.parts, own.parts);
        for kind in [
            "query",
            "select",
            "relation",
            "table_factor",
            "expr",
            "statement",
            "value",
        ] {
            for when in ["pre", "post"] {
                let seen = format!("{when}_visit_{kind} ");
                assert!(
                    own.parts.iter().any(|part| part.starts_with(&seen)),
                    "{seen}"
                );
            }
        }
        let mut changed = Seen::default();
        visit_mut(&mut parsed(), &mut changed).unwrap();
        assert_eq!(changed.parts, own.parts);
    }

    #[test]
    fn a_visitor_that_breaks_off_sees_no_more_and_says_why() {
        let last = "post_visit_expr b";
        let stopping = || Seen {
            last: Some(last),
            ..Seen::default()
        };
        let (mut reading, mut changing) = (stopping(), stopping());
        assert_eq!(visit(&parsed(), &mut reading).unwrap_err(), last);
        assert_eq!(visit_mut(&mut parsed(), &mut changing).unwrap_err(), last);
        assert_eq!(reading.parts.last().unwrap(), last);
        assert_eq!(changing.parts, reading.parts);
    }
}
