//! GoogleSQL for the planner's parser: BigQuery's dialect as the parser has it, and the operators `<<` and `>>`, which it has not.

use std::any::TypeId;

use datafusion::sql::sqlparser::ast::{Expr, Statement};
use datafusion::sql::sqlparser::dialect::{BigQueryDialect, Dialect};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::Token;

use crate::query::rewrite::{build, likes, named_values};

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

/// `x LIKE ANY UNNEST(patterns)` or `x LIKE ALL (SELECT ...)`, if that is what comes next.
fn like_each(parser: &mut Parser, value: &Expr) -> Option<Result<Expr, ParserError>> {
    let word = |parser: &Parser, ahead: usize| match &parser.peek_nth_token_ref(ahead).token {
        Token::Word(word) if word.quote_style.is_none() => word.keyword,
        _ => Keyword::NoKeyword,
    };
    let negated = word(parser, 0) == Keyword::NOT;
    let first = usize::from(negated);
    let quantifier = word(parser, first + 1);
    let known = matches!(quantifier, Keyword::ALL | Keyword::ANY | Keyword::SOME);
    if word(parser, first) != Keyword::LIKE || !known {
        return None;
    }
    let of_array = word(parser, first + 2) == Keyword::UNNEST;
    let of_query = parser.peek_nth_token_ref(first + 2).token == Token::LParen
        && matches!(word(parser, first + 3), Keyword::SELECT | Keyword::WITH);
    if !of_array && !of_query {
        return None;
    }
    (0..first + 2 + usize::from(of_array)).for_each(|_| parser.advance_token());
    let patterns = |parser: &mut Parser| {
        parser.expect_token(&Token::LParen)?;
        let patterns = match of_array {
            true => parser.parse_expr()?,
            false => build::array_of(parser.parse_query()?),
        };
        parser.expect_token(&Token::RParen)?;
        let how = likes::Quantified {
            negated,
            one_is_enough: quantifier != Keyword::ALL,
        };
        Ok(likes::each(value, how, patterns))
    };
    Some(patterns(parser))
}

/// `WITH(a AS 1, b AS a + 1, a * b)`, if that is what comes next, as a call of the names, their values and the result.
fn with_names(parser: &mut Parser) -> Option<Result<Expr, ParserError>> {
    let begins = matches!(&parser.peek_token_ref().token, Token::Word(w) if w.keyword == Keyword::WITH)
        && parser.peek_nth_token_ref(1).token == Token::LParen;
    if !begins {
        return None;
    }
    let arguments = |parser: &mut Parser| {
        (0..2).for_each(|_| parser.advance_token());
        let mut arguments = Vec::new();
        loop {
            let named = matches!(&parser.peek_token_ref().token, Token::Word(_))
                && matches!(&parser.peek_nth_token_ref(1).token, Token::Word(w) if w.keyword == Keyword::AS);
            if !named {
                break;
            }
            let name = parser.parse_identifier()?;
            parser.expect_keyword(Keyword::AS)?;
            arguments.push(build::text(&name.value));
            arguments.push(parser.parse_expr()?);
            parser.expect_token(&Token::Comma)?;
        }
        arguments.push(parser.parse_expr()?);
        parser.expect_token(&Token::RParen)?;
        Ok(build::call(named_values::CALL, arguments))
    };
    Some(arguments(parser))
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

    fn parse_prefix(&self, parser: &mut Parser) -> Option<Result<Expr, ParserError>> {
        with_names(parser)
    }

    fn parse_infix(
        &self,
        parser: &mut Parser,
        expr: &Expr,
        precedence: u8,
    ) -> Option<Result<Expr, ParserError>> {
        if let Some(quantified) = like_each(parser, expr) {
            return Some(quantified);
        }
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
