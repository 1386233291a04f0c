//! `CREATE ROW ACCESS POLICY` and its kin: a name, a table, whom it is for, and a condition on the table's rows.
//!
//! Must not know what policies there are.

use std::fmt;

use datafusion::sql::sqlparser::ast::ObjectName;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::Token;

use crate::catalog::Catalog;
use crate::name::TableName;
use crate::query::statements::files::{IfThere, expect, is, takes};
use crate::query::{
    Defaults, QueryError, plan, select,
    text::{escapes, literals, placeholders},
};

/// One statement.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum RowAccess {
    Create {
        there: IfThere,
        policy: String,
        table: ObjectName,
        grantees: Vec<String>,
        /// In SQL.
        filter: String,
    },
    Drop {
        if_exists: bool,
        policy: String,
        table: ObjectName,
    },
    DropAll {
        table: ObjectName,
    },
}

impl fmt::Display for RowAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Create {
                policy,
                table,
                filter,
                ..
            } => write!(
                f,
                "CREATE ROW ACCESS POLICY `{policy}` ON {table} FILTER USING ({filter})"
            ),
            Self::Drop { policy, table, .. } => {
                write!(f, "DROP ROW ACCESS POLICY `{policy}` ON {table}")
            }
            Self::DropAll { table } => write!(f, "DROP ALL ROW ACCESS POLICIES ON {table}"),
        }
    }
}

const POLICY: [&str; 3] = ["ROW", "ACCESS", "POLICY"];

/// The statement, if it is one of these that is next.
///
/// # Errors
/// [`ParserError`] where it begins as one and goes on otherwise.
pub(in crate::query) fn parse(parser: &mut Parser<'_>) -> Result<Option<RowAccess>, ParserError> {
    if takes(parser, &["DROP", "ALL", "ROW", "ACCESS", "POLICIES"]) {
        parser.expect_keyword(Keyword::ON)?;
        let table = parser.parse_object_name(true)?;
        return Ok(Some(RowAccess::DropAll { table }));
    }
    if takes(parser, &["DROP", "ROW", "ACCESS", "POLICY"]) {
        let if_exists = takes(parser, &["IF", "EXISTS"]);
        let policy = parser.parse_identifier()?.value;
        parser.expect_keyword(Keyword::ON)?;
        let table = parser.parse_object_name(true)?;
        return Ok(Some(RowAccess::Drop {
            if_exists,
            policy,
            table,
        }));
    }
    let replaces = is(parser, 1, "OR") && is(parser, 3, "ROW");
    if !is(parser, 0, "CREATE") || !(replaces || is(parser, 1, "ROW")) {
        return Ok(None);
    }
    expect(parser, &["CREATE"])?;
    if replaces {
        expect(parser, &["OR", "REPLACE"])?;
    }
    expect(parser, &POLICY)?;
    let there = match takes(parser, &["IF", "NOT", "EXISTS"]) {
        true if replaces => {
            return parser.expected("one of OR REPLACE and IF NOT EXISTS", parser.peek_token());
        }
        true => IfThere::Keep,
        false if replaces => IfThere::Replace,
        false => IfThere::Fail,
    };
    let policy = parser.parse_identifier()?.value;
    parser.expect_keyword(Keyword::ON)?;
    let table = parser.parse_object_name(true)?;
    let grantees = match takes(parser, &["GRANT", "TO"]) {
        true => {
            parser.expect_token(&Token::LParen)?;
            let all = parser.parse_comma_separated(Parser::parse_literal_string)?;
            parser.expect_token(&Token::RParen)?;
            all
        }
        false => Vec::new(),
    };
    expect(parser, &["FILTER", "USING"])?;
    parser.expect_token(&Token::LParen)?;
    let mut filter = parser.parse_expr()?;
    parser.expect_token(&Token::RParen)?;
    literals::escape(&mut filter);
    Ok(Some(RowAccess::Create {
        there,
        policy,
        table,
        grantees,
        filter: filter.to_string(),
    }))
}

/// Refuses a text that is no condition on the rows of a table. Blocks on the file system.
///
/// # Errors
/// [`QueryError`] where it cannot be read, is more than one expression, or is not one that WHERE takes.
pub(crate) async fn check(
    catalog: &Catalog,
    table: &TableName,
    filter: &str,
) -> Result<(), QueryError> {
    let text = placeholders::readable(filter);
    let mut parser = escapes::parser(&text)?;
    parser.parse_expr()?;
    parser.expect_token(&Token::EOF)?;
    let sql = visible(table, "1", filter);
    let defaults = Defaults {
        project: table.project().to_owned(),
        ..Defaults::default()
    };
    Box::pin(plan(catalog, select(&sql)?, &defaults, &[])).await?;
    Ok(())
}

/// The query of the rows of a table that meet a condition.
pub(in crate::query) fn visible(table: &TableName, list: &str, condition: &str) -> String {
    let (project, dataset, table) = (table.project(), table.dataset(), table.table());
    // The condition may end with a comment.
    format!("SELECT {list} FROM `{project}`.`{dataset}`.`{table}` WHERE ({condition}\n)")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::query::{Statement, statements};

    fn read(sql: &str) -> Result<RowAccess, String> {
        let mut all = statements::statements(sql).map_err(|e| e.to_string())?;
        match all.pop() {
            Some(Statement::RowAccess(statement)) => Ok(statement),
            other => Err(format!("{other:?}")),
        }
    }

    #[test]
    fn policies_are_read() {
        let made = read(
            r#"create or replace row access policy own on p.d.t grant to ("user:a@x.com", 'allUsers') filter using (a = 'it\'s' and (b or c in (1, 2)))"#,
        );
        let RowAccess::Create {
            there,
            policy,
            table,
            grantees,
            filter,
        } = made.unwrap()
        else {
            unreachable!("it creates");
        };
        assert_eq!((there, policy.as_str()), (IfThere::Replace, "own"));
        assert_eq!(table.to_string(), "p.d.t");
        assert_eq!(grantees, ["user:a@x.com", "allUsers"]);
        assert_eq!(filter, r"a = 'it\'s' AND (b OR c IN (1, 2))");
        for (sql, wanted) in [
            ("DROP ALL ROW ACCESS POLICIES ON d.t", "DROP ALL"),
            ("DROP ROW ACCESS POLICY IF EXISTS `x` ON d.t", "DROP ROW"),
            (
                "CREATE ROW ACCESS POLICY IF NOT EXISTS x ON d.t FILTER USING (TRUE)",
                "CREATE ROW",
            ),
        ] {
            assert_eq!(crate::query::kind(&read(sql).unwrap()), wanted, "{sql}");
        }
    }

    #[test]
    fn what_is_no_policy_is_refused() {
        for sql in [
            "CREATE ROW ACCESS POLICY x ON d.t",
            "CREATE ROW ACCESS POLICY x ON d.t FILTER USING TRUE",
            "CREATE ROW ACCESS POLICY x ON d.t GRANT TO () FILTER USING (TRUE)",
            "CREATE ROW ACCESS x ON d.t FILTER USING (TRUE)",
            "CREATE OR REPLACE ROW ACCESS POLICY IF NOT EXISTS x ON d.t FILTER USING (TRUE)",
            "DROP ROW ACCESS POLICY x",
            "DROP ALL ROW ACCESS POLICIES d.t",
        ] {
            let refused = read(sql).unwrap_err();
            assert!(refused.contains("Syntax error"), "{sql}: {refused}");
        }
    }
}
