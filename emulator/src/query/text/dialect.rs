//! GoogleSQL for the planner's parser: BigQuery's dialect as the parser has it, and the operators `<<` and `>>`, which it has not.

use std::any::TypeId;

use datafusion::sql::sqlparser::ast::{Expr, Statement};
use datafusion::sql::sqlparser::dialect::{BigQueryDialect, Dialect};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::Token;

use crate::query::rewrite::build;

/// Shifts bind tighter than `&`, `^` and `|`, and looser than `+`.
const SHIFT: u8 = 26;

/// The dialect. What it does not add is handed on.
#[derive(Debug)]
pub(crate) struct GoogleSql;

fn shift(token: &Token) -> Option<&'static str> {
    match token {
        Token::ShiftLeft => Some("millpond_shift_left"),
        Token::ShiftRight => Some("millpond_shift_right"),
        _ => None,
    }
}

macro_rules! as_bigquery {
    ($($method:ident),* $(,)?) => {
        $(fn $method(&self) -> bool {
            BigQueryDialect.$method()
        })*
    };
}

impl Dialect for GoogleSql {
    fn dialect(&self) -> TypeId {
        BigQueryDialect.dialect()
    }

    fn get_next_precedence(&self, parser: &Parser) -> Option<Result<u8, ParserError>> {
        shift(&parser.peek_token_ref().token).map(|_| Ok(SHIFT))
    }

    fn parse_infix(
        &self,
        parser: &mut Parser,
        expr: &Expr,
        precedence: u8,
    ) -> Option<Result<Expr, ParserError>> {
        let name = shift(&parser.peek_token_ref().token)?;
        parser.next_token();
        let right = parser.parse_subexpr(precedence);
        Some(right.map(|right| build::call(name, vec![expr.clone(), right])))
    }

    fn parse_statement(&self, parser: &mut Parser) -> Option<Result<Statement, ParserError>> {
        BigQueryDialect.parse_statement(parser)
    }

    fn is_delimited_identifier_start(&self, ch: char) -> bool {
        BigQueryDialect.is_delimited_identifier_start(ch)
    }

    fn is_identifier_start(&self, ch: char) -> bool {
        BigQueryDialect.is_identifier_start(ch)
    }

    fn is_identifier_part(&self, ch: char) -> bool {
        BigQueryDialect.is_identifier_part(ch)
    }

    fn is_column_alias(&self, keyword: &Keyword, parser: &mut Parser) -> bool {
        BigQueryDialect.is_column_alias(keyword, parser)
    }

    // `FROM t |> ...`; what may not follow is refused where pipes are made queries.
    fn supports_from_first_select(&self) -> bool {
        true
    }

    as_bigquery!(
        supports_projection_trailing_commas,
        supports_column_definition_trailing_commas,
        supports_triple_quoted_string,
        supports_window_function_null_treatment_arg,
        supports_string_literal_backslash_escape,
        supports_window_clause_named_window_reference,
        supports_parenthesized_set_variables,
        supports_select_wildcard_except,
        require_interval_qualifier,
        supports_struct_literal,
        supports_select_expr_star,
        supports_execute_immediate,
        supports_table_versioning,
        supports_group_by_expr,
        supports_pipe_operator,
        supports_create_table_multi_schema_info_sources,
        supports_select_wildcard_replace,
        supports_comma_separated_trim,
    );
}
