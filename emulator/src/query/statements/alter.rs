//! `ALTER TABLE`, `ALTER VIEW`, `ALTER MATERIALIZED VIEW` and `ALTER SCHEMA` as BigQuery writes them, taken apart.
//!
//! The parser of everything else knows other dialects' forms of these. Must not know what tables there are.

use std::fmt;

use datafusion::sql::sqlparser::ast::{ColumnDef, DataType, Expr, Ident, ObjectName, SqlOption};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::Token;

/// What is altered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Altered {
    Table,
    View,
    MaterializedView,
    Schema,
}

/// One statement.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Alter {
    pub altered: Altered,
    /// Whether the thing may be missing.
    pub if_exists: bool,
    pub name: ObjectName,
    /// At least one, to be done in order, or none of them.
    pub actions: Vec<Action>,
    text: String,
}

impl fmt::Display for Alter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// One change of it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Action {
    SetOptions(Vec<SqlOption>),
    AddColumn {
        if_not_exists: bool,
        column: Box<ColumnDef>,
    },
    DropColumn {
        if_exists: bool,
        name: Ident,
    },
    RenameColumn {
        if_exists: bool,
        from: Ident,
        to: Ident,
    },
    RenameTo(ObjectName),
    Column {
        if_exists: bool,
        name: Ident,
        change: ColumnChange,
    },
    /// The text of a collation.
    SetDefaultCollate(String),
    /// Keys are kept and enforced by nobody.
    AddPrimaryKey(Vec<Ident>),
    DropPrimaryKey {
        if_exists: bool,
    },
    AddForeignKey(ForeignKey),
    DropConstraint {
        if_exists: bool,
        name: Ident,
    },
    /// What the service has and this emulator has not, in its own words.
    Other(String),
}

/// Columns that are to be found in another table.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ForeignKey {
    pub if_not_exists: bool,
    pub name: Option<Ident>,
    pub columns: Vec<Ident>,
    pub table: ObjectName,
    pub referenced: Vec<Ident>,
}

/// What becomes of a column.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum ColumnChange {
    SetOptions(Vec<SqlOption>),
    SetDataType(DataType),
    SetDefault(Box<Expr>),
    DropDefault,
    DropNotNull,
}

/// Reads a statement whose first word is next.
///
/// # Errors
/// [`ParserError`] where it is none.
pub(in crate::query) fn parse(parser: &mut Parser<'_>) -> Result<Alter, ParserError> {
    let begin = parser.index();
    parser.expect_keyword(Keyword::ALTER)?;
    let altered = match parser.expect_one_of_keywords(&[
        Keyword::TABLE,
        Keyword::VIEW,
        Keyword::MATERIALIZED,
        Keyword::SCHEMA,
    ])? {
        Keyword::TABLE => Altered::Table,
        Keyword::VIEW => Altered::View,
        Keyword::SCHEMA => Altered::Schema,
        _ => {
            parser.expect_keyword(Keyword::VIEW)?;
            Altered::MaterializedView
        }
    };
    let if_exists = parser.parse_keywords(&[Keyword::IF, Keyword::EXISTS]);
    let name = parser.parse_object_name(true)?;
    let actions = parser.parse_comma_separated(action)?;
    // As it was written, but for the space between its words.
    let words: Vec<String> = (begin..parser.index())
        .map(|index| &parser.token_at(index).token)
        .filter(|token| !matches!(token, Token::Whitespace(_)))
        .map(ToString::to_string)
        .collect();
    Ok(Alter {
        altered,
        if_exists,
        name,
        actions,
        text: words.join(" "),
    })
}

fn action(parser: &mut Parser<'_>) -> Result<Action, ParserError> {
    let first = parser.expect_one_of_keywords(&[
        Keyword::SET,
        Keyword::ADD,
        Keyword::DROP,
        Keyword::RENAME,
        Keyword::ALTER,
    ])?;
    match first {
        Keyword::SET => set(parser),
        Keyword::ADD => add(parser),
        Keyword::DROP => drop(parser),
        Keyword::RENAME => {
            if parser.parse_keyword(Keyword::TO) {
                return Ok(Action::RenameTo(parser.parse_object_name(true)?));
            }
            parser.expect_keyword(Keyword::COLUMN)?;
            let if_exists = parser.parse_keywords(&[Keyword::IF, Keyword::EXISTS]);
            let from = parser.parse_identifier()?;
            parser.expect_keyword(Keyword::TO)?;
            let to = parser.parse_identifier()?;
            Ok(Action::RenameColumn {
                if_exists,
                from,
                to,
            })
        }
        _ => column(parser),
    }
}

fn set(parser: &mut Parser<'_>) -> Result<Action, ParserError> {
    if parser.parse_keywords(&[Keyword::DEFAULT, Keyword::COLLATE]) {
        return Ok(Action::SetDefaultCollate(parser.parse_literal_string()?));
    }
    Ok(Action::SetOptions(options(parser)?))
}

/// `OPTIONS (name = value, ...)`.
fn options(parser: &mut Parser<'_>) -> Result<Vec<SqlOption>, ParserError> {
    if !parser.peek_keyword(Keyword::OPTIONS) {
        return parser.expected("OPTIONS", parser.peek_token());
    }
    parser.parse_options(Keyword::OPTIONS)
}

fn add(parser: &mut Parser<'_>) -> Result<Action, ParserError> {
    if parser.parse_keywords(&[Keyword::PRIMARY, Keyword::KEY]) {
        let columns = columns_of_key(parser)?;
        parser.expect_keywords(&[Keyword::NOT, Keyword::ENFORCED])?;
        return Ok(Action::AddPrimaryKey(columns));
    }
    if parser.peek_keyword(Keyword::CONSTRAINT) || parser.peek_keyword(Keyword::FOREIGN) {
        return foreign_key(parser).map(Action::AddForeignKey);
    }
    if !parser.parse_keyword(Keyword::COLUMN) {
        return other(parser, "ADD");
    }
    let if_not_exists = parser.parse_keywords(&[Keyword::IF, Keyword::NOT, Keyword::EXISTS]);
    let column = Box::new(parser.parse_column_def()?);
    Ok(Action::AddColumn {
        if_not_exists,
        column,
    })
}

fn columns_of_key(parser: &mut Parser<'_>) -> Result<Vec<Ident>, ParserError> {
    parser.expect_token(&Token::LParen)?;
    let columns = parser.parse_comma_separated(Parser::parse_identifier)?;
    parser.expect_token(&Token::RParen)?;
    Ok(columns)
}

/// `CONSTRAINT name FOREIGN KEY (columns) REFERENCES table (columns) NOT ENFORCED`.
fn foreign_key(parser: &mut Parser<'_>) -> Result<ForeignKey, ParserError> {
    let mut if_not_exists = false;
    let name = if parser.parse_keyword(Keyword::CONSTRAINT) {
        if_not_exists = parser.parse_keywords(&[Keyword::IF, Keyword::NOT, Keyword::EXISTS]);
        Some(parser.parse_identifier()?)
    } else {
        None
    };
    parser.expect_keywords(&[Keyword::FOREIGN, Keyword::KEY])?;
    let columns = columns_of_key(parser)?;
    parser.expect_keyword(Keyword::REFERENCES)?;
    let table = parser.parse_object_name(true)?;
    let referenced = columns_of_key(parser)?;
    parser.expect_keywords(&[Keyword::NOT, Keyword::ENFORCED])?;
    Ok(ForeignKey {
        if_not_exists,
        name,
        columns,
        table,
        referenced,
    })
}

fn drop(parser: &mut Parser<'_>) -> Result<Action, ParserError> {
    if parser.parse_keyword(Keyword::CONSTRAINT) {
        let if_exists = parser.parse_keywords(&[Keyword::IF, Keyword::EXISTS]);
        let name = parser.parse_identifier()?;
        return Ok(Action::DropConstraint { if_exists, name });
    }
    if parser.parse_keywords(&[Keyword::PRIMARY, Keyword::KEY]) {
        let if_exists = parser.parse_keywords(&[Keyword::IF, Keyword::EXISTS]);
        return Ok(Action::DropPrimaryKey { if_exists });
    }
    if !parser.parse_keyword(Keyword::COLUMN) {
        return other(parser, "DROP");
    }
    let if_exists = parser.parse_keywords(&[Keyword::IF, Keyword::EXISTS]);
    let name = parser.parse_identifier()?;
    Ok(Action::DropColumn { if_exists, name })
}

fn column(parser: &mut Parser<'_>) -> Result<Action, ParserError> {
    parser.expect_keyword(Keyword::COLUMN)?;
    let if_exists = parser.parse_keywords(&[Keyword::IF, Keyword::EXISTS]);
    let name = parser.parse_identifier()?;
    let change = if parser.parse_keyword(Keyword::DROP) {
        if parser.parse_keyword(Keyword::DEFAULT) {
            ColumnChange::DropDefault
        } else {
            parser.expect_keywords(&[Keyword::NOT, Keyword::NULL])?;
            ColumnChange::DropNotNull
        }
    } else {
        parser.expect_keyword(Keyword::SET)?;
        if parser.parse_keyword(Keyword::DEFAULT) {
            ColumnChange::SetDefault(Box::new(parser.parse_expr()?))
        } else if parser.parse_keywords(&[Keyword::DATA, Keyword::TYPE]) {
            ColumnChange::SetDataType(parser.parse_data_type()?)
        } else {
            ColumnChange::SetOptions(options(parser)?)
        }
    };
    Ok(Action::Column {
        if_exists,
        name,
        change,
    })
}

/// The rest of a statement that is not known here; its first two words say what it is.
fn other(parser: &mut Parser<'_>, first: &str) -> Result<Action, ParserError> {
    let what = format!("{first} {}", parser.peek_token().token);
    while !matches!(parser.peek_token().token, Token::SemiColon | Token::EOF) {
        parser.next_token();
    }
    Ok(Action::Other(what))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use datafusion::sql::sqlparser::dialect::BigQueryDialect;

    use super::*;

    fn read(sql: &str) -> Result<Alter, ParserError> {
        let dialect = BigQueryDialect {};
        parse(&mut Parser::new(&dialect).try_with_sql(sql).unwrap())
    }

    #[test]
    fn every_form_is_read() {
        let alter = read(
            "ALTER TABLE IF EXISTS `p-1`.d.t ADD COLUMN IF NOT EXISTS a STRUCT<b INT64> OPTIONS (description = 'x'), \
             DROP COLUMN IF EXISTS c, ADD COLUMN e ARRAY<STRING>",
        )
        .unwrap();
        assert!(alter.if_exists && alter.altered == Altered::Table);
        assert_eq!(alter.actions.len(), 3);
        assert!(matches!(
            &alter.actions[0],
            Action::AddColumn { if_not_exists: true, column } if column.name.value == "a"
        ));
        assert_eq!(
            alter.actions[1],
            Action::DropColumn {
                if_exists: true,
                name: Ident::new("c")
            }
        );
        for (sql, wanted) in [
            ("ALTER TABLE t RENAME TO u", "RenameTo"),
            ("ALTER TABLE t RENAME COLUMN a TO b", "RenameColumn"),
            (
                "ALTER TABLE t SET OPTIONS (labels = [('a', 'b')])",
                "SetOptions",
            ),
            (
                "ALTER SCHEMA d SET DEFAULT COLLATE 'und:ci'",
                "SetDefaultCollate",
            ),
            (
                "ALTER TABLE t ALTER COLUMN a SET OPTIONS (description = NULL)",
                "SetOptions",
            ),
            (
                "ALTER TABLE t ALTER COLUMN a SET DATA TYPE NUMERIC(10, 2)",
                "SetDataType",
            ),
            (
                "ALTER TABLE t ALTER COLUMN a SET DEFAULT CURRENT_TIMESTAMP()",
                "SetDefault",
            ),
            (
                "ALTER TABLE t ALTER COLUMN IF EXISTS a DROP DEFAULT",
                "DropDefault",
            ),
            ("ALTER TABLE t ALTER COLUMN a DROP NOT NULL", "DropNotNull"),
            (
                "ALTER TABLE t ADD PRIMARY KEY (a, b) NOT ENFORCED",
                "AddPrimaryKey",
            ),
            ("ALTER TABLE t DROP PRIMARY KEY IF EXISTS", "DropPrimaryKey"),
            (
                "ALTER TABLE t ADD CONSTRAINT x FOREIGN KEY (a) REFERENCES u (a) NOT ENFORCED",
                "AddForeignKey",
            ),
            (
                "ALTER TABLE t ADD FOREIGN KEY (a) REFERENCES u (a) NOT ENFORCED",
                "AddForeignKey",
            ),
            (
                "ALTER TABLE t DROP CONSTRAINT IF EXISTS x",
                "DropConstraint",
            ),
            ("ALTER TABLE t ADD ROW DELETION POLICY x", "ADD ROW"),
            (
                "ALTER VIEW v SET OPTIONS (friendly_name = 'x')",
                "SetOptions",
            ),
            (
                "ALTER MATERIALIZED VIEW v SET OPTIONS (enable_refresh = true)",
                "SetOptions",
            ),
        ] {
            let alter = read(sql).unwrap_or_else(|e| panic!("{sql}: {e}"));
            assert!(
                format!("{:?}", alter.actions).contains(wanted),
                "{sql}: {alter:?}"
            );
        }
        let text = read("ALTER  TABLE\n t -- a comment\n SET OPTIONS(description='x')").unwrap();
        assert_eq!(
            text.to_string(),
            "ALTER TABLE t SET OPTIONS ( description = 'x' )"
        );
        for wrong in [
            "ALTER TABLE t",
            "ALTER TABLE t SET (a = 1)",
            "ALTER TABLE t ALTER COLUMN a",
            "ALTER TABLE t ALTER COLUMN a SET NOT NULL",
            "ALTER INDEX t SET OPTIONS ()",
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
