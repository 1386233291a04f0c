//! SQL over columns inside of structs.
//!
//! Owns the step from the field access that SQL writes, `user.geo.country` or `user['geo']['country']`, to the column of that
//! path, so that nothing else of the struct is read. Must not know sources.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, ScalarValue};
use datafusion::execution::SessionState;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{Expr, when};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Location, Token, Tokenizer};

use super::expression::repeatable;
use super::session::from_planning;
use crate::error::Result;
use crate::source::nested::root_of;

/// The function that takes a field out of a struct.
const GET_FIELD: &str = "get_field";

/// `sql` over `schema`, in which columns inside of structs are columns of their path; `what` names it in errors.
///
/// # Errors
/// When the SQL is wrong for the schema, or gives another value every time.
pub(super) fn parse(state: &SessionState, sql: &str, schema: &Schema, what: &str) -> Result<Expr> {
    let structs = with_structs(schema);
    let quoted = quoted(sql, &structs);
    let planned_over = DFSchema::try_from(structs).map_err(|e| from_planning(e, what))?;
    let expr = state
        .create_logical_expr(&quoted, &planned_over)
        .map_err(|e| from_planning(e, what))?;
    repeatable(&expr, sql, what)?;
    by_path(expr, schema).map_err(|e| from_planning(e, what))
}

/// `schema` after the column of `field` was added, in place of one of the same name and of everything inside of that.
pub(super) fn with_derived(schema: &Schema, field: FieldRef) -> SchemaRef {
    let replaced = |f: &FieldRef| f.name() == field.name() || root_of(f) == Some(field.name());
    let mut fields: Vec<FieldRef> = schema
        .fields()
        .iter()
        .filter(|f| !replaced(f))
        .cloned()
        .collect();
    fields.push(field);
    Arc::new(Schema::new(fields))
}

/// `schema` with a struct for every column that is known by parts of it alone, because SQL names the struct.
fn with_structs(schema: &Schema) -> SchemaRef {
    let mut parts: BTreeMap<&str, Parts<'_>> = BTreeMap::new();
    for field in schema.fields() {
        let Some(root) = root_of(field) else { continue };
        let path = field
            .name()
            .strip_prefix(root)
            .and_then(|rest| rest.strip_prefix('.'));
        if let (Some(path), true) = (path, schema.column_with_name(root).is_none()) {
            parts.entry(root).or_default().add(path, field);
        }
    }
    if parts.is_empty() {
        return Arc::new(schema.clone());
    }
    let mut fields: Vec<FieldRef> = schema.fields().iter().cloned().collect();
    for (root, parts) in parts {
        fields.push(Arc::new(Field::new(root, parts.data_type(), true)));
    }
    Arc::new(Schema::new(fields))
}

/// `sql` with quotes around the names in a path that are words of SQL, such as `user.age` and `valid.end`: what follows a dot
/// or comes before one is a name.
fn quoted<'a>(sql: &'a str, schema: &Schema) -> Cow<'a, str> {
    let Ok(tokens) = Tokenizer::new(&GenericDialect {}, sql).tokenize_with_location() else {
        return Cow::Borrowed(sql);
    };
    let is_struct = |name: &str| {
        let field = schema.field_with_name(name).ok();
        field.is_some_and(|f| matches!(f.data_type(), DataType::Struct(_)))
    };
    let mut made = String::with_capacity(sql.len() + 8);
    let mut copied = 0;
    let mut in_path = false;
    let mut before: Option<&Token> = None;
    for (index, found) in tokens.iter().enumerate() {
        let after_dot = matches!(before, Some(Token::Period));
        before = Some(&found.token);
        let Token::Word(word) = &found.token else {
            in_path &= found.token == Token::Period;
            continue;
        };
        let before_dot = tokens
            .get(index + 1)
            .is_some_and(|t| t.token == Token::Period);
        in_path = match after_dot {
            true => in_path,
            false => before_dot && is_struct(&word.value),
        };
        if !in_path || word.quote_style.is_some() || word.keyword == Keyword::NoKeyword {
            continue;
        }
        let Some(start) = offset(sql, found.span.start) else {
            continue;
        };
        made.push_str(sql.get(copied..start).unwrap_or_default());
        made.push_str(&format!("\"{}\"", word.value));
        copied = start + word.value.len();
    }
    if copied == 0 {
        return Cow::Borrowed(sql);
    }
    made.push_str(sql.get(copied..).unwrap_or_default());
    Cow::Owned(made)
}

/// Where in `sql` a place is that is told by line and column, both counted from 1.
fn offset(sql: &str, place: Location) -> Option<usize> {
    let before: usize = usize::try_from(place.line).ok()?.checked_sub(1)?;
    let column: usize = usize::try_from(place.column).ok()?.checked_sub(1)?;
    let start: usize = sql.split_inclusive('\n').take(before).map(str::len).sum();
    let line = sql.get(start..)?;
    let inside = line.char_indices().nth(column)?.0;
    Some(start + inside)
}

/// What is known of a struct.
#[derive(Default)]
struct Parts<'a> {
    whole: Option<&'a DataType>,
    children: BTreeMap<&'a str, Parts<'a>>,
}

impl<'a> Parts<'a> {
    fn add(&mut self, path: &'a str, field: &'a Field) {
        match path.split_once('.') {
            Some((first, rest)) => self.children.entry(first).or_default().add(rest, field),
            None => self.children.entry(path).or_default().whole = Some(field.data_type()),
        }
    }

    fn data_type(&self) -> DataType {
        if let Some(whole) = self.whole {
            return whole.clone();
        }
        let fields: Fields = self
            .children
            .iter()
            .map(|(name, parts)| Field::new(*name, parts.data_type(), true))
            .collect();
        DataType::Struct(fields)
    }
}

/// `expr` with every access to a field of a struct, as deep as it goes, replaced by the column of that path.
fn by_path(expr: Expr, schema: &Schema) -> datafusion::error::Result<Expr> {
    let replaced = expr.transform_down(|e| {
        let Some((column, names)) = accessed(&e) else {
            return Ok(Transformed::no(e));
        };
        // Below the last struct there may be a map, say, whose entries have no path.
        for depth in (1..=names.len()).rev() {
            let (path, rest) = names.split_at(depth);
            let path = format!("{}.{}", column.name, path.join("."));
            let is_inside =
                |f: &Field| root_of(f) == Some(column.name.as_str()) && *f.name() == path;
            if schema.fields().iter().any(|f| is_inside(f)) {
                let inner = Expr::Column(Column::new(column.relation.clone(), path));
                let full = match &e {
                    Expr::ScalarFunction(call) => rest.iter().fold(inner, |base, name| {
                        let name = Expr::Literal(ScalarValue::Utf8(Some(name.clone())), None);
                        Expr::ScalarFunction(ScalarFunction::new_udf(
                            Arc::clone(&call.func),
                            vec![base, name],
                        ))
                    }),
                    _ => inner,
                };
                return Ok(Transformed::new(full, true, TreeNodeRecursion::Jump));
            }
        }
        Ok(Transformed::no(e))
    })?;
    // A field of a struct that is null is null, which the function itself does not see to.
    let guarded = replaced.data.transform_up(|e| match &e {
        Expr::ScalarFunction(call) if call.func.name() == GET_FIELD => {
            let Some((base, names)) = call.args.split_first() else {
                return Ok(Transformed::no(e));
            };
            let mut value = base.clone();
            for name in names {
                let field = ScalarFunction::new_udf(
                    Arc::clone(&call.func),
                    vec![value.clone(), name.clone()],
                );
                value = when(value.is_not_null(), Expr::ScalarFunction(field)).end()?;
            }
            Ok(Transformed::yes(value))
        }
        _ => Ok(Transformed::no(e)),
    })?;
    Ok(guarded.data)
}

/// The column and the names of the fields, when `expr` is a field of a field ... of a column.
fn accessed(expr: &Expr) -> Option<(&Column, Vec<String>)> {
    let Expr::ScalarFunction(call) = expr else {
        return None;
    };
    if call.func.name() != GET_FIELD {
        return None;
    }
    let (base, names) = call.args.split_first()?;
    let (column, mut path) = match base {
        Expr::Column(column) => (column, Vec::new()),
        inner => accessed(inner)?,
    };
    for name in names {
        let Expr::Literal(
            ScalarValue::Utf8(Some(name))
            | ScalarValue::Utf8View(Some(name))
            | ScalarValue::LargeUtf8(Some(name)),
            _,
        ) = name
        else {
            return None;
        };
        path.push(name.clone());
    }
    (!path.is_empty()).then_some((column, path))
}

#[cfg(test)]
mod tests;
