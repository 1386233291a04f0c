//! `CREATE TABLE FUNCTION` and `DROP TABLE FUNCTION`: a query with arguments, under a name.
//!
//! The parser of everything else does not know these. Must not know what tables or functions there are.

use std::fmt;

use datafusion::sql::sqlparser::ast::{DataType, Ident, ObjectName, Query, SqlOption};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::Token;

use crate::query::text::{literals, pipes};
use crate::query::{QueryError, unsupported};

/// One statement.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum TableFunction {
    Create(Box<CreateTableFunction>),
    Drop { if_exists: bool, name: ObjectName },
}

/// What is to be made.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct CreateTableFunction {
    pub or_replace: bool,
    pub if_not_exists: bool,
    pub name: ObjectName,
    /// Without a type those of ANY TYPE.
    pub arguments: Vec<(Ident, Option<DataType>)>,
    /// The columns that RETURNS names.
    pub returns: Option<Vec<(Ident, DataType)>>,
    pub options: Vec<SqlOption>,
    /// Can be written and read again.
    pub body: Query,
}

impl fmt::Display for TableFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Create(create) => write!(f, "CREATE TABLE FUNCTION {}", create.name),
            Self::Drop { name, .. } => write!(f, "DROP TABLE FUNCTION {name}"),
        }
    }
}

/// The statement, if it is one of these that is next.
///
/// # Errors
/// [`QueryError::Syntax`] where it begins as one and goes on otherwise, [`QueryError::Unsupported`] for tables as arguments.
pub(in crate::query) fn parse(
    parser: &mut Parser<'_>,
) -> Result<Option<TableFunction>, QueryError> {
    if parser.parse_keywords(&[Keyword::DROP, Keyword::TABLE, Keyword::FUNCTION]) {
        return Ok(Some(TableFunction::Drop {
            if_exists: parser.parse_keywords(&[Keyword::IF, Keyword::EXISTS]),
            name: parser.parse_object_name(true)?,
        }));
    }
    let words = [
        Keyword::CREATE,
        Keyword::OR,
        Keyword::REPLACE,
        Keyword::TABLE,
        Keyword::FUNCTION,
    ];
    let or_replace = parser.parse_keywords(&words);
    if !or_replace && !parser.parse_keywords(&[Keyword::CREATE, Keyword::TABLE, Keyword::FUNCTION])
    {
        return Ok(None);
    }
    let if_not_exists = parser.parse_keywords(&[Keyword::IF, Keyword::NOT, Keyword::EXISTS]);
    let name = parser.parse_object_name(true)?;
    parser.expect_token(&Token::LParen)?;
    let arguments = match parser.consume_token(&Token::RParen) {
        true => Vec::new(),
        false => {
            let arguments = parser.parse_comma_separated(argument)?;
            parser.expect_token(&Token::RParen)?;
            arguments
        }
    };
    if let Some((name, _)) = arguments
        .iter()
        .find(|(_, kind)| matches!(kind, Kind::Table))
    {
        return Err(unsupported(format!(
            "the argument {name} of a table function, which is a table,"
        )));
    }
    let typed = |(name, kind)| match kind {
        Kind::Typed(data_type) => (name, Some(data_type)),
        Kind::Any | Kind::Table => (name, None),
    };
    let returns = match parser.parse_keyword(Keyword::RETURNS) {
        true => {
            parser.expect_keyword(Keyword::TABLE)?;
            parser.expect_token(&Token::Lt)?;
            let columns = parser.parse_comma_separated(|parser| {
                Ok((parser.parse_identifier()?, parser.parse_data_type()?))
            })?;
            parser.expect_token(&Token::Gt)?;
            Some(columns)
        }
        false => None,
    };
    let options = parser.maybe_parse_options(Keyword::OPTIONS)?;
    parser.expect_keyword(Keyword::AS)?;
    let mut body = *parser.parse_query()?;
    pipes::expand(&mut body)?;
    literals::escape(&mut body);
    Ok(Some(TableFunction::Create(Box::new(CreateTableFunction {
        or_replace,
        if_not_exists,
        name,
        arguments: arguments.into_iter().map(typed).collect(),
        returns,
        options: options.unwrap_or_default(),
        body,
    }))))
}

enum Kind {
    Typed(DataType),
    Any,
    Table,
}

fn argument(parser: &mut Parser<'_>) -> Result<(Ident, Kind), ParserError> {
    let name = parser.parse_identifier()?;
    let kind = if parser.parse_keywords(&[Keyword::ANY, Keyword::TYPE]) {
        Kind::Any
    } else if parser.parse_keywords(&[Keyword::ANY, Keyword::TABLE]) {
        Kind::Table
    } else if parser.parse_keyword(Keyword::TABLE) {
        parser.expect_token(&Token::Lt)?;
        parser.parse_comma_separated(|parser| {
            Ok((parser.parse_identifier()?, parser.parse_data_type()?))
        })?;
        parser.expect_token(&Token::Gt)?;
        Kind::Table
    } else {
        Kind::Typed(parser.parse_data_type()?)
    };
    Ok((name, kind))
}
