//! `GRANT` and `REVOKE` as BigQuery writes them: roles, a table or a dataset, and who has them.
//!
//! The parser of everything else knows other dialects' forms of these. Must not know what tables there are.

use std::fmt;

use datafusion::sql::sqlparser::ast::ObjectName;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::Token;

/// Names that datasets have for roles, and what they are otherwise.
pub(crate) const DATASET_ROLES: &[(&str, &str)] = &[
    ("READER", "roles/bigquery.dataViewer"),
    ("WRITER", "roles/bigquery.dataEditor"),
    ("OWNER", "roles/bigquery.dataOwner"),
];

/// What a dataset calls a kind of member, by what its name begins with.
pub(crate) const DATASET_MEMBERS: &[(&str, &str)] = &[
    ("user", "userByEmail"),
    ("serviceAccount", "userByEmail"),
    ("group", "groupByEmail"),
    ("domain", "domain"),
    ("specialGroup", "specialGroup"),
];

/// Whether roles are given or taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Given {
    Given,
    Taken,
}

/// What they are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Granted {
    Schema,
    Table,
    View,
}

/// One statement.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Grant {
    pub given: Given,
    pub roles: Vec<String>,
    pub granted: Granted,
    pub name: ObjectName,
    /// `user:somebody@example.com` and the like.
    pub members: Vec<String>,
}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (verb, to) = match self.given {
            Given::Given => ("GRANT", "TO"),
            Given::Taken => ("REVOKE", "FROM"),
        };
        let granted = match self.granted {
            Granted::Schema => "SCHEMA",
            Granted::Table => "TABLE",
            Granted::View => "VIEW",
        };
        let roles: Vec<String> = self.roles.iter().map(|r| format!("`{r}`")).collect();
        let members: Vec<String> = self.members.iter().map(|m| format!("{m:?}")).collect();
        write!(
            f,
            "{verb} {} ON {granted} {} {to} {}",
            roles.join(", "),
            self.name,
            members.join(", ")
        )
    }
}

/// The statement, if it is one of these that is next.
///
/// # Errors
/// [`ParserError`] where it begins as one and goes on otherwise.
pub(in crate::query) fn parse(parser: &mut Parser<'_>) -> Result<Option<Grant>, ParserError> {
    let given = if parser.parse_keyword(Keyword::GRANT) {
        Given::Given
    } else if parser.parse_keyword(Keyword::REVOKE) {
        Given::Taken
    } else {
        return Ok(None);
    };
    let roles = parser.parse_comma_separated(role)?;
    parser.expect_keyword(Keyword::ON)?;
    let granted = if parser.parse_keyword(Keyword::SCHEMA) {
        Granted::Schema
    } else if parser.parse_keyword(Keyword::VIEW)
        || parser.parse_keywords(&[Keyword::MATERIALIZED, Keyword::VIEW])
    {
        Granted::View
    } else {
        if !parser.parse_keywords(&[Keyword::EXTERNAL, Keyword::TABLE]) {
            parser.expect_keyword(Keyword::TABLE)?;
        }
        Granted::Table
    };
    let name = parser.parse_object_name(true)?;
    parser.expect_keyword(match given {
        Given::Given => Keyword::TO,
        Given::Taken => Keyword::FROM,
    })?;
    let members = parser.parse_comma_separated(Parser::parse_literal_string)?;
    Ok(Some(Grant {
        given,
        roles,
        granted,
        name,
        members,
    }))
}

/// A role in backticks.
fn role(parser: &mut Parser<'_>) -> Result<String, ParserError> {
    let next = parser.next_token();
    match next.token {
        Token::Word(word) if word.quote_style == Some('`') => Ok(word.value),
        _ => parser.expected("a role in backticks", next),
    }
}
