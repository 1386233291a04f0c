//! The grammar of scripts, on the planner's tokens.

use datafusion::sql::sqlparser::ast::{BinaryOperator, Expr, Ident};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::{Location, Token};

use super::{Act, CreateProcedure, Place, Step, Steps, Way};
use crate::query::{
    QueryError,
    rewrite::build,
    statements,
    text::{escapes, placeholders},
};

/// Statements in statements, so many of them.
const MAX_DEPTH: usize = 50;

/// The steps of a whole text.
///
/// # Errors
/// [`QueryError`] where it cannot be read.
pub(crate) fn script(sql: &str) -> Result<Steps, QueryError> {
    let sql = placeholders::readable(sql);
    let mut reading = Reading {
        parser: escapes::parser(&sql)?,
        text: &sql,
        depth: 0,
    };
    let steps = reading.steps(&[])?;
    reading.expect_end()?;
    Ok(steps)
}

/// The steps of a procedure's body, BEGIN and END left out.
///
/// # Errors
/// [`QueryError`] where it cannot be read.
pub(crate) fn body(sql: &str) -> Result<Steps, QueryError> {
    let mut steps = script(sql)?;
    match steps.as_mut_slice() {
        [
            Step {
                act:
                    Act::Block {
                        body,
                        handler: None,
                        ..
                    },
                ..
            },
        ] => Ok(std::mem::take(body)),
        _ => Ok(steps),
    }
}

struct Reading<'a> {
    parser: Parser<'static>,
    text: &'a str,
    depth: usize,
}

impl Reading<'_> {
    /// Whether the next words are these; they are taken then.
    fn takes(&mut self, words: &[&str]) -> bool {
        let there = words.iter().enumerate().all(|(n, word)| self.is(n, word));
        if there {
            words.iter().for_each(|_| {
                self.parser.next_token();
            });
        }
        there
    }

    fn is(&self, n: usize, word: &str) -> bool {
        match &self.parser.peek_nth_token(n).token {
            Token::Word(next) => {
                next.quote_style.is_none() && next.value.eq_ignore_ascii_case(word)
            }
            _ => false,
        }
    }

    fn expect(&mut self, words: &[&str]) -> Result<(), QueryError> {
        if self.takes(words) {
            return Ok(());
        }
        let next = self.parser.peek_token();
        Ok(self.parser.expected(&words.join(" "), next)?)
    }

    fn expect_end(&mut self) -> Result<(), QueryError> {
        let next = self.parser.peek_token();
        match next.token {
            Token::EOF => Ok(()),
            _ => Ok(self.parser.expected("end of statement", next)?),
        }
    }

    /// Steps up to one of the words, which is not taken, or to the end.
    fn steps(&mut self, until: &[&str]) -> Result<Steps, QueryError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(QueryError::Invalid {
                message: format!("statements are nested deeper than {MAX_DEPTH} levels"),
            });
        }
        let mut steps = Vec::new();
        loop {
            while self.parser.consume_token(&Token::SemiColon) {}
            let ended = self.parser.peek_token().token == Token::EOF;
            if ended || until.iter().any(|word| self.is(0, word)) {
                self.depth -= 1;
                return Ok(steps);
            }
            let step = self.step()?;
            let late = steps
                .iter()
                .any(|before: &Step| !matches!(before.act, Act::Declare { .. }));
            if late && matches!(step.act, Act::Declare { .. }) {
                return Err(QueryError::Invalid {
                    message: format!(
                        "Variable declarations are allowed only at the start of a block or script at [{}:{}]",
                        step.start.line, step.start.column
                    ),
                });
            }
            steps.push(step);
            let next = self.parser.peek_token();
            let last = until.is_empty() && next.token == Token::EOF;
            if !last && next.token != Token::SemiColon {
                return Ok(self.parser.expected("end of statement", next)?);
            }
        }
    }

    fn step(&mut self) -> Result<Step, QueryError> {
        let first = self.parser.peek_token().span.start;
        let act = self.act()?;
        let last = self.parser.index().saturating_sub(1);
        let last = self.last_token_end(last);
        Ok(Step {
            start: place(first),
            end: place(last),
            text: self.slice(first, last).to_owned(),
            act,
        })
    }

    /// Where the last token at or before an index ends that is no space.
    fn last_token_end(&self, mut index: usize) -> Location {
        while index > 0
            && matches!(
                self.parser.token_at(index).token,
                Token::Whitespace(_) | Token::EOF
            )
        {
            index -= 1;
        }
        self.parser.token_at(index).span.end
    }

    fn slice(&self, from: Location, to: Location) -> &str {
        let at = |location: Location| {
            let mut line = 1;
            let mut column = 1;
            for (index, c) in self.text.char_indices() {
                if (line, column) >= (location.line, location.column) {
                    return index;
                }
                if c == '\n' {
                    line += 1;
                    column = 1;
                } else {
                    column += 1;
                }
            }
            self.text.len()
        };
        self.text.get(at(from)..at(to)).unwrap_or_default()
    }

    fn act(&mut self) -> Result<Act, QueryError> {
        let labelled = matches!(self.parser.peek_nth_token(0).token, Token::Word(_))
            && self.parser.peek_nth_token(1).token == Token::Colon;
        let label = if labelled {
            let label = self.parser.parse_identifier()?.value;
            self.parser.next_token();
            Some(label)
        } else {
            None
        };
        if self.is(0, "BEGIN") && !self.begins_transaction() {
            return self.block(label);
        }
        for (word, read) in [
            ("LOOP", Self::endless as fn(&mut Self, Option<String>) -> _),
            ("WHILE", Self::while_loop),
            ("REPEAT", Self::repeat),
            ("FOR", Self::for_loop),
        ] {
            if self.is(0, word) {
                self.parser.next_token();
                return read(self, label);
            }
        }
        if label.is_some() {
            let next = self.parser.peek_token();
            return Ok(self
                .parser
                .expected("BEGIN, FOR, LOOP, REPEAT or WHILE", next)?);
        }
        self.unlabelled()
    }

    fn unlabelled(&mut self) -> Result<Act, QueryError> {
        if self.takes(&["DECLARE"]) {
            return self.declare();
        }
        if self.takes(&["SET"]) {
            return self.set();
        }
        if self.takes(&["IF"]) {
            return self.conditions();
        }
        if self.takes(&["CASE"]) {
            return self.case();
        }
        if self.takes(&["BREAK"]) || self.takes(&["LEAVE"]) {
            return Ok(Act::Leave(self.optional_label()?));
        }
        if self.takes(&["CONTINUE"]) || self.takes(&["ITERATE"]) {
            return Ok(Act::Iterate(self.optional_label()?));
        }
        if self.takes(&["RAISE"]) {
            if self.takes(&["USING", "MESSAGE"]) {
                self.parser.expect_token(&Token::Eq)?;
                return Ok(Act::Raise(Some(self.parser.parse_expr()?)));
            }
            return Ok(Act::Raise(None));
        }
        if self.takes(&["RETURN"]) {
            return Ok(Act::Return);
        }
        if self.takes(&["EXECUTE", "IMMEDIATE"]) {
            return self.execute();
        }
        if self.takes(&["CALL"]) {
            let name = self.parser.parse_object_name(true)?;
            self.parser.expect_token(&Token::LParen)?;
            let arguments = self
                .parser
                .parse_comma_separated0(Parser::parse_expr, Token::RParen)?;
            self.parser.expect_token(&Token::RParen)?;
            return Ok(Act::Call { name, arguments });
        }
        if self.takes(&["ASSERT"]) {
            let condition = self.parser.parse_expr()?;
            let message = match self.parser.parse_keyword(Keyword::AS) {
                true => Some(self.parser.parse_expr()?),
                false => None,
            };
            return Ok(Act::Assert { condition, message });
        }
        let replaces = self.is(0, "CREATE") && self.is(1, "OR") && self.is(2, "REPLACE");
        if self.is(0, "CREATE") && self.is(if replaces { 3 } else { 1 }, "PROCEDURE") {
            return self.create_procedure();
        }
        if self.takes(&["DROP", "PROCEDURE"]) {
            return Ok(Act::DropProcedure {
                if_exists: self.takes(&["IF", "EXISTS"]),
                name: self.parser.parse_object_name(true)?,
            });
        }
        Ok(Act::Statement(statements::statement(&mut self.parser)?))
    }

    /// Whether a BEGIN is that of a transaction.
    fn begins_transaction(&self) -> bool {
        self.is(1, "TRANSACTION")
            || matches!(
                self.parser.peek_nth_token(1).token,
                Token::SemiColon | Token::EOF
            )
    }

    fn optional_label(&mut self) -> Result<Option<String>, QueryError> {
        match self.parser.peek_token().token {
            Token::Word(_) => Ok(Some(self.parser.parse_identifier()?.value)),
            _ => Ok(None),
        }
    }

    /// The label that may stand behind an END.
    fn end_label(&mut self, label: Option<&String>) -> Result<(), QueryError> {
        if let Some(label) = label
            && self.is(0, label)
        {
            self.parser.next_token();
        }
        Ok(())
    }

    fn block(&mut self, label: Option<String>) -> Result<Act, QueryError> {
        self.expect(&["BEGIN"])?;
        let body = self.steps(&["END", "EXCEPTION"])?;
        let handler = if self.takes(&["EXCEPTION"]) {
            self.expect(&["WHEN", "ERROR", "THEN"])?;
            Some(self.steps(&["END"])?)
        } else {
            None
        };
        self.expect(&["END"])?;
        self.end_label(label.as_ref())?;
        Ok(Act::Block {
            label,
            body,
            handler,
        })
    }

    fn endless(&mut self, label: Option<String>) -> Result<Act, QueryError> {
        let body = self.steps(&["END"])?;
        self.expect(&["END", "LOOP"])?;
        self.end_label(label.as_ref())?;
        Ok(Act::Loop {
            label,
            condition: None,
            body,
            until: None,
        })
    }

    fn while_loop(&mut self, label: Option<String>) -> Result<Act, QueryError> {
        let condition = Some(self.parser.parse_expr()?);
        self.expect(&["DO"])?;
        let body = self.steps(&["END"])?;
        self.expect(&["END", "WHILE"])?;
        self.end_label(label.as_ref())?;
        Ok(Act::Loop {
            label,
            condition,
            body,
            until: None,
        })
    }

    fn repeat(&mut self, label: Option<String>) -> Result<Act, QueryError> {
        let body = self.steps(&["UNTIL"])?;
        self.expect(&["UNTIL"])?;
        let until = Some(self.parser.parse_expr()?);
        self.expect(&["END", "REPEAT"])?;
        self.end_label(label.as_ref())?;
        Ok(Act::Loop {
            label,
            condition: None,
            body,
            until,
        })
    }

    fn for_loop(&mut self, label: Option<String>) -> Result<Act, QueryError> {
        let variable = self.parser.parse_identifier()?.value;
        self.expect(&["IN"])?;
        self.parser.expect_token(&Token::LParen)?;
        let query = self.parser.parse_query()?;
        self.parser.expect_token(&Token::RParen)?;
        self.expect(&["DO"])?;
        let body = self.steps(&["END"])?;
        self.expect(&["END", "FOR"])?;
        self.end_label(label.as_ref())?;
        Ok(Act::For {
            label,
            variable,
            query,
            body,
        })
    }

    fn declare(&mut self) -> Result<Act, QueryError> {
        let names = self.names()?;
        let data_type = match self.is(0, "DEFAULT") {
            true => None,
            false => Some(self.parser.parse_data_type()?),
        };
        let default = match self.takes(&["DEFAULT"]) {
            true => Some(self.parser.parse_expr()?),
            false => None,
        };
        Ok(Act::Declare {
            names,
            data_type,
            default,
        })
    }

    fn names(&mut self) -> Result<Vec<String>, QueryError> {
        let names = self
            .parser
            .parse_comma_separated(Parser::parse_identifier)?;
        Ok(names.into_iter().map(|n| n.value).collect())
    }

    fn set(&mut self) -> Result<Act, QueryError> {
        if self.parser.consume_token(&Token::LParen) {
            let names = self.names()?;
            self.parser.expect_token(&Token::RParen)?;
            self.parser.expect_token(&Token::Eq)?;
            let value = self.parser.parse_expr()?;
            return Ok(Act::Set {
                names,
                fields: true,
                value,
            });
        }
        // Names of system variables have dots in them.
        let path = self.parser.parse_object_name(false)?.to_string();
        self.parser.expect_token(&Token::Eq)?;
        Ok(Act::Set {
            names: vec![path.replace('`', "")],
            fields: false,
            value: self.parser.parse_expr()?,
        })
    }

    fn conditions(&mut self) -> Result<Act, QueryError> {
        let mut branches = Vec::new();
        loop {
            let condition = self.parser.parse_expr()?;
            self.expect(&["THEN"])?;
            let body = self.steps(&["ELSEIF", "ELSE", "END"])?;
            branches.push((condition, body));
            if !self.takes(&["ELSEIF"]) {
                break;
            }
        }
        let otherwise = match self.takes(&["ELSE"]) {
            true => self.steps(&["END"])?,
            false => Vec::new(),
        };
        self.expect(&["END", "IF"])?;
        Ok(Act::If {
            branches,
            otherwise,
        })
    }

    fn case(&mut self) -> Result<Act, QueryError> {
        let operand = match self.is(0, "WHEN") {
            true => None,
            false => Some(self.parser.parse_expr()?),
        };
        let mut branches = Vec::new();
        while self.takes(&["WHEN"]) {
            let mut condition = self.parser.parse_expr()?;
            if let Some(operand) = &operand {
                condition = build::binary(
                    Expr::Nested(Box::new(operand.clone())),
                    BinaryOperator::Eq,
                    Expr::Nested(Box::new(condition)),
                );
            }
            self.expect(&["THEN"])?;
            branches.push((condition, self.steps(&["WHEN", "ELSE", "END"])?));
        }
        let otherwise = match self.takes(&["ELSE"]) {
            true => self.steps(&["END"])?,
            false => Vec::new(),
        };
        self.expect(&["END", "CASE"])?;
        Ok(Act::If {
            branches,
            otherwise,
        })
    }

    fn execute(&mut self) -> Result<Act, QueryError> {
        let sql = self.parser.parse_expr()?;
        let into = match self.takes(&["INTO"]) {
            true => self.names()?,
            false => Vec::new(),
        };
        let mut using = Vec::new();
        if self.takes(&["USING"]) {
            using = self.parser.parse_comma_separated(|parser| {
                let value = parser.parse_expr()?;
                let name = match parser.parse_keyword(Keyword::AS) {
                    true => Some(parser.parse_identifier()?.value),
                    false => None,
                };
                Ok::<_, ParserError>((value, name))
            })?;
        }
        Ok(Act::Execute { sql, into, using })
    }

    fn create_procedure(&mut self) -> Result<Act, QueryError> {
        self.expect(&["CREATE"])?;
        let or_replace = self.takes(&["OR", "REPLACE"]);
        self.expect(&["PROCEDURE"])?;
        let if_not_exists = self.takes(&["IF", "NOT", "EXISTS"]);
        let name = self.parser.parse_object_name(true)?;
        self.parser.expect_token(&Token::LParen)?;
        let mut arguments: Vec<(Way, Ident, Option<_>)> = Vec::new();
        while self.parser.peek_token().token != Token::RParen {
            if !arguments.is_empty() {
                self.parser.expect_token(&Token::Comma)?;
            }
            let way = if self.takes(&["INOUT"]) {
                Way::InOut
            } else if self.takes(&["OUT"]) {
                Way::Out
            } else {
                self.takes(&["IN"]);
                Way::In
            };
            let argument = self.parser.parse_identifier()?;
            let data_type = match self.takes(&["ANY", "TYPE"]) {
                true => None,
                false => Some(self.parser.parse_data_type()?),
            };
            arguments.push((way, argument, data_type));
        }
        self.parser.expect_token(&Token::RParen)?;
        let options = self.parser.maybe_parse_options(Keyword::OPTIONS)?;
        let from = self.parser.peek_token().span.start;
        self.block(None)?;
        let to = self.last_token_end(self.parser.index().saturating_sub(1));
        Ok(Act::CreateProcedure(Box::new(CreateProcedure {
            or_replace,
            if_not_exists,
            name,
            arguments,
            options: options.unwrap_or_default(),
            body: self.slice(from, to).to_owned(),
        })))
    }
}

fn place(location: Location) -> Place {
    Place {
        line: location.line,
        column: location.column,
    }
}
