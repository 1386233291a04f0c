//! The statements of a text: ALTER, GRANT and those about files, row access and table functions are read by this crate, all others by the planner's parser.

use std::fmt;

use datafusion::sql::sqlparser::ast::{ObjectName, Statement as Parsed};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::Token;

use super::{
    QueryError,
    text::{escapes, pipes, placeholders},
};
use alter::Alter;
use files::FileStatement;
use grants::Grant;
use row_access::RowAccess;
use table_functions::TableFunction;

pub(super) mod absent;
pub(crate) mod alter;
pub(crate) mod change;
pub(crate) mod column_defaults;
pub(crate) mod files;
pub(crate) mod grants;
pub(crate) mod merge;
pub(crate) mod row_access;
pub(crate) mod table_functions;

/// A statement: most are what the parser makes of them.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Statement {
    Plain(Box<Parsed>),
    Alter(Alter),
    Files(Box<FileStatement>),
    Grant(Grant),
    RowAccess(RowAccess),
    TableFunction(TableFunction),
    /// `UNDROP SCHEMA`.
    Undrop {
        if_not_exists: bool,
        name: ObjectName,
    },
}

impl fmt::Display for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain(statement) => statement.fmt(f),
            Self::Alter(alter) => alter.fmt(f),
            Self::Files(statement) => statement.fmt(f),
            Self::Grant(grant) => grant.fmt(f),
            Self::TableFunction(statement) => statement.fmt(f),
            Self::RowAccess(statement) => statement.fmt(f),
            Self::Undrop {
                if_not_exists: true,
                name,
            } => write!(f, "UNDROP SCHEMA IF NOT EXISTS {name}"),
            Self::Undrop { name, .. } => write!(f, "UNDROP SCHEMA {name}"),
        }
    }
}

/// The statements of a text, in order.
///
/// # Errors
/// [`QueryError::Syntax`] where it cannot be read.
pub(crate) fn statements(sql: &str) -> Result<Vec<Statement>, QueryError> {
    let sql = placeholders::readable(sql);
    let mut parser = escapes::parser(&sql)?;
    let mut statements = Vec::new();
    loop {
        while parser.consume_token(&Token::SemiColon) {}
        if parser.peek_token().token == Token::EOF {
            return Ok(statements);
        }
        statements.push(statement(&mut parser)?);
        let next = parser.peek_token();
        if !matches!(next.token, Token::SemiColon | Token::EOF) {
            return Ok(parser.expected("end of statement", next)?);
        }
    }
}

/// The statement that comes next.
///
/// # Errors
/// [`QueryError::Syntax`] where there is none, [`QueryError::Unsupported`] naming one that this emulator does not have.
pub(super) fn statement(parser: &mut Parser<'_>) -> Result<Statement, QueryError> {
    absent::refuse(parser)?;
    Ok(if parser.peek_keyword(Keyword::ALTER) {
        Statement::Alter(alter::parse(parser)?)
    } else if is_undrop(&parser.peek_token().token) {
        parser.next_token();
        parser.expect_keyword(Keyword::SCHEMA)?;
        Statement::Undrop {
            if_not_exists: parser.parse_keywords(&[Keyword::IF, Keyword::NOT, Keyword::EXISTS]),
            name: parser.parse_object_name(true)?,
        }
    } else if let Some(grant) = grants::parse(parser)? {
        Statement::Grant(grant)
    } else if let Some(statement) = row_access::parse(parser)? {
        Statement::RowAccess(statement)
    } else if let Some(statement) = table_functions::parse(parser)? {
        Statement::TableFunction(statement)
    } else if let Some(statement) = files::parse(parser)? {
        Statement::Files(Box::new(statement))
    } else {
        let mut plain = parser.parse_statement()?;
        pipes::expand(&mut plain)?;
        Statement::Plain(Box::new(plain))
    })
}

/// Whether a statement begins with a word that the planner's parser does not know.
fn is_undrop(token: &Token) -> bool {
    matches!(token, Token::Word(word) if word.quote_style.is_none() && word.value.eq_ignore_ascii_case("UNDROP"))
}
