//! Statements about files and copies as BigQuery writes them: `LOAD DATA`, `EXPORT DATA`, external tables, snapshots, clones and copies.
//!
//! The planner's parser knows none of these. Must not know what tables or files there are.

use std::fmt;

use datafusion::sql::sqlparser::ast::{
    CreateTable, Expr, ObjectName, Query, SqlOption, Statement as Parsed,
};
use datafusion::sql::sqlparser::dialect::BigQueryDialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::{Token, Whitespace};

/// One statement.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct FileStatement {
    pub act: FileAct,
    text: String,
}

impl fmt::Display for FileStatement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// What becomes of a table that there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IfThere {
    Fail,
    Keep,
    Replace,
}

/// How a table is made of another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CopyKind {
    Clone,
    Copy,
    Snapshot,
    /// Without its rows.
    Like,
}

/// What a statement does.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum FileAct {
    Load {
        /// The table as CREATE TABLE would describe it.
        table: Box<CreateTable>,
        overwrite: bool,
        files: Vec<SqlOption>,
        directories: bool,
    },
    Export {
        options: Vec<SqlOption>,
        query: Box<Query>,
    },
    CreateExternal {
        table: Box<CreateTable>,
        there: IfThere,
        options: Vec<SqlOption>,
        directories: bool,
        connection: Option<String>,
    },
    Copy {
        kind: CopyKind,
        there: IfThere,
        name: ObjectName,
        source: ObjectName,
        at: Option<Box<Expr>>,
        options: Vec<SqlOption>,
    },
    /// `DROP EXTERNAL TABLE` and `DROP SNAPSHOT TABLE`.
    Drop {
        snapshot: bool,
        if_exists: bool,
        name: ObjectName,
    },
}

/// Whether a word is next, `n` tokens ahead.
pub(in crate::query) fn is(parser: &Parser<'_>, n: usize, word: &str) -> bool {
    matches!(&parser.peek_nth_token(n).token, Token::Word(next)
        if next.quote_style.is_none() && next.value.eq_ignore_ascii_case(word))
}

pub(in crate::query) fn takes(parser: &mut Parser<'_>, words: &[&str]) -> bool {
    let there = words
        .iter()
        .enumerate()
        .all(|(n, word)| is(parser, n, word));
    if there {
        for _ in words {
            parser.next_token();
        }
    }
    there
}

pub(in crate::query) fn expect(parser: &mut Parser<'_>, words: &[&str]) -> Result<(), ParserError> {
    if takes(parser, words) {
        return Ok(());
    }
    parser.expected(&words.join(" "), parser.peek_token())
}

/// The statement, if it is one of these that is next.
///
/// # Errors
/// [`ParserError`] where it begins as one and goes on otherwise.
pub(in crate::query) fn parse(
    parser: &mut Parser<'_>,
) -> Result<Option<FileStatement>, ParserError> {
    let begin = parser.index();
    let act = if takes(parser, &["LOAD", "DATA"]) {
        Some(load(parser)?)
    } else if takes(parser, &["EXPORT", "DATA"]) {
        Some(export(parser)?)
    } else if is(parser, 0, "DROP") && is(parser, 2, "TABLE") {
        drop(parser)?
    } else if is(parser, 0, "CREATE") {
        parser.maybe_parse(create)?
    } else {
        None
    };
    Ok(act.map(|act| FileStatement {
        act,
        text: text(parser, begin, parser.index()),
    }))
}

/// Tokens as they were written.
fn text(parser: &Parser<'_>, from: usize, to: usize) -> String {
    let tokens = (from..to).map(|index| &parser.token_at(index).token);
    let text: String = tokens.map(ToString::to_string).collect();
    text.trim().to_owned()
}

/// What stands between the name of a table and the words that end its description, as CREATE TABLE reads it.
fn described(parser: &mut Parser<'_>, ends: &[&[&str]]) -> Result<CreateTable, ParserError> {
    let begin = parser.index();
    let mut depth = 0_usize;
    loop {
        let ended = ends.iter().any(|words| {
            let mut words = words.iter().enumerate();
            words.all(|(n, word)| is(parser, n, word))
        });
        let next = parser.peek_token().token;
        if depth == 0 && ended || matches!(next, Token::EOF | Token::SemiColon) {
            break;
        }
        match next {
            Token::LParen => depth += 1,
            Token::RParen => depth = depth.saturating_sub(1),
            _ => {}
        }
        parser.next_token();
    }
    let own = (begin..parser.index()).map(|index| parser.token_at(index).token.clone());
    let words = ["CREATE", " ", "TABLE", " "].map(|word| match word {
        " " => Token::Whitespace(Whitespace::Space),
        word => Token::make_keyword(word),
    });
    let mut table =
        Parser::new(&BigQueryDialect).with_tokens(words.into_iter().chain(own).collect());
    match table.parse_statement()? {
        Parsed::CreateTable(create) if table.peek_token().token == Token::EOF => Ok(create),
        _ => parser.expected("a table", parser.peek_token()),
    }
}

fn list(parser: &mut Parser<'_>) -> Result<Vec<SqlOption>, ParserError> {
    parser.expect_token(&Token::LParen)?;
    let options = parser.parse_comma_separated0(Parser::parse_sql_option, Token::RParen)?;
    parser.expect_token(&Token::RParen)?;
    Ok(options)
}

fn options(parser: &mut Parser<'_>) -> Result<Vec<SqlOption>, ParserError> {
    if takes(parser, &["OPTIONS"]) {
        return list(parser);
    }
    Ok(Vec::new())
}

/// `WITH CONNECTION name`.
fn connection(parser: &mut Parser<'_>) -> Result<Option<String>, ParserError> {
    if !takes(parser, &["WITH", "CONNECTION"]) {
        return Ok(None);
    }
    let name = parser.parse_object_name(true)?.to_string();
    Ok(Some(name.replace('`', "")))
}

/// `WITH PARTITION COLUMNS`, whose types are those that the directories show.
fn directories(parser: &mut Parser<'_>) -> Result<bool, ParserError> {
    if !takes(parser, &["WITH", "PARTITION", "COLUMNS"]) {
        return Ok(false);
    }
    if parser.peek_token().token == Token::LParen {
        return parser.expected("partition columns without a list", parser.peek_token());
    }
    Ok(true)
}

fn load(parser: &mut Parser<'_>) -> Result<FileAct, ParserError> {
    let overwrite = takes(parser, &["OVERWRITE"]);
    if !overwrite {
        expect(parser, &["INTO"])?;
    }
    let temporary = takes(parser, &["TEMP", "TABLE"]) || takes(parser, &["TEMPORARY", "TABLE"]);
    let mut table = described(parser, &[&["FROM", "FILES"]])?;
    table.temporary = temporary;
    expect(parser, &["FROM", "FILES"])?;
    let files = list(parser)?;
    let directories = directories(parser)?;
    connection(parser)?;
    Ok(FileAct::Load {
        table: Box::new(table),
        overwrite,
        files,
        directories,
    })
}

fn export(parser: &mut Parser<'_>) -> Result<FileAct, ParserError> {
    connection(parser)?;
    let options = options(parser)?;
    expect(parser, &["AS"])?;
    let query = parser.parse_query()?;
    Ok(FileAct::Export { options, query })
}

fn drop(parser: &mut Parser<'_>) -> Result<Option<FileAct>, ParserError> {
    let snapshot = takes(parser, &["DROP", "SNAPSHOT", "TABLE"]);
    if !snapshot && !takes(parser, &["DROP", "EXTERNAL", "TABLE"]) {
        return Ok(None);
    }
    let if_exists = takes(parser, &["IF", "EXISTS"]);
    let name = parser.parse_object_name(true)?;
    Ok(Some(FileAct::Drop {
        snapshot,
        if_exists,
        name,
    }))
}

/// A statement that makes an external table or one of another; an error for every other one, which is then read again.
fn create(parser: &mut Parser<'_>) -> Result<FileAct, ParserError> {
    expect(parser, &["CREATE"])?;
    let replace = takes(parser, &["OR", "REPLACE"]);
    let external = takes(parser, &["EXTERNAL"]);
    let snapshot = !external && takes(parser, &["SNAPSHOT"]);
    expect(parser, &["TABLE"])?;
    let there = match takes(parser, &["IF", "NOT", "EXISTS"]) {
        true => IfThere::Keep,
        false if replace => IfThere::Replace,
        false => IfThere::Fail,
    };
    if external {
        let ends: [&[&str]; 3] = [
            &["WITH", "CONNECTION"],
            &["WITH", "PARTITION", "COLUMNS"],
            &["OPTIONS"],
        ];
        let table = Box::new(described(parser, &ends)?);
        let mut named = connection(parser)?;
        let directories = directories(parser)?;
        if named.is_none() {
            named = connection(parser)?;
        }
        let options = options(parser)?;
        return Ok(FileAct::CreateExternal {
            table,
            there,
            options,
            directories,
            connection: named,
        });
    }
    let name = parser.parse_object_name(true)?;
    let kind = match snapshot {
        true => {
            expect(parser, &["CLONE"])?;
            CopyKind::Snapshot
        }
        false if takes(parser, &["CLONE"]) => CopyKind::Clone,
        false if takes(parser, &["COPY"]) => CopyKind::Copy,
        false => {
            expect(parser, &["LIKE"])?;
            CopyKind::Like
        }
    };
    let source = parser.parse_object_name(true)?;
    let at = match takes(parser, &["FOR", "SYSTEM_TIME", "AS", "OF"]) {
        true => Some(Box::new(parser.parse_expr()?)),
        false => None,
    };
    let options = options(parser)?;
    if parser.peek_keyword(Keyword::AS) {
        return parser.expected("no query", parser.peek_token());
    }
    Ok(FileAct::Copy {
        kind,
        there,
        name,
        source,
        at,
        options,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::query::{Statement, statements};

    fn act(sql: &str) -> Result<FileAct, String> {
        let mut all = statements::statements(sql).map_err(|e| e.to_string())?;
        match all.pop() {
            Some(Statement::Files(statement)) => Ok(statement.act),
            other => Err(format!("{other:?}")),
        }
    }

    #[test]
    fn loads_and_exports_are_read() {
        let load = act(
            "LOAD DATA OVERWRITE d.t (a INT64, s STRUCT<x STRING>) PARTITION BY DATE(at) CLUSTER BY a OPTIONS (description = 'x') FROM FILES (format = 'CSV', uris = ['gs://b/*']) WITH PARTITION COLUMNS",
        );
        let FileAct::Load {
            table,
            overwrite,
            files,
            directories,
        } = load.unwrap()
        else {
            unreachable!("it is a load")
        };
        assert_eq!(
            (table.name.to_string().as_str(), table.columns.len()),
            ("d.t", 2)
        );
        assert!(
            overwrite && directories && table.partition_by.is_some() && table.cluster_by.is_some()
        );
        assert_eq!(files.len(), 2);
        let temporary = act("load data into temp table t from files (uris = ['x'])").unwrap();
        assert!(matches!(temporary, FileAct::Load { table, .. } if table.temporary));
        let export = act("EXPORT DATA WITH CONNECTION `p.us.c` OPTIONS (uri = 'gs://b/*', format = 'CSV') AS SELECT 1 AS x").unwrap();
        assert!(matches!(export, FileAct::Export { options, .. } if options.len() == 2));
        assert!(act("LOAD DATA INTO d.t (a INT64").is_err());
        assert!(act("LOAD DATA d.t FROM FILES (uris = ['x'])").is_err());
        assert!(
            act("LOAD DATA INTO d.t FROM FILES (uris = ['x']) WITH PARTITION COLUMNS (a INT64)")
                .is_err()
        );
    }

    #[test]
    fn tables_made_of_others_are_told_from_those_made_of_columns() {
        let copy = |sql: &str| match act(sql) {
            Ok(FileAct::Copy { kind, there, .. }) => Some((kind, there)),
            _ => None,
        };
        assert_eq!(
            copy("CREATE TABLE d.a CLONE d.b"),
            Some((CopyKind::Clone, IfThere::Fail))
        );
        assert_eq!(
            copy("CREATE OR REPLACE TABLE d.a COPY d.b"),
            Some((CopyKind::Copy, IfThere::Replace))
        );
        let snapshot = "CREATE SNAPSHOT TABLE IF NOT EXISTS d.a CLONE d.b FOR SYSTEM_TIME AS OF CURRENT_TIMESTAMP() OPTIONS (description = 'x')";
        assert_eq!(copy(snapshot), Some((CopyKind::Snapshot, IfThere::Keep)));
        assert_eq!(
            copy("CREATE TABLE d.a LIKE d.b"),
            Some((CopyKind::Like, IfThere::Fail))
        );
        for other in [
            "CREATE TABLE d.a (x INT64)",
            "CREATE TABLE d.a AS SELECT 1 AS x",
            "CREATE VIEW d.v AS SELECT 1 AS x",
        ] {
            let all = statements::statements(other).unwrap();
            assert!(matches!(all.first(), Some(Statement::Plain(_))), "{other}");
        }
        let external = act(
            "CREATE OR REPLACE EXTERNAL TABLE d.e (a INT64) WITH CONNECTION `p.us.c` WITH PARTITION COLUMNS OPTIONS (uris = ['x'])",
        );
        assert!(
            matches!(external, Ok(FileAct::CreateExternal { directories: true, connection: Some(c), .. }) if c == "p.us.c")
        );
        let dropped = act("DROP SNAPSHOT TABLE IF EXISTS d.a");
        assert!(matches!(
            dropped,
            Ok(FileAct::Drop {
                snapshot: true,
                if_exists: true,
                ..
            })
        ));
    }
}
