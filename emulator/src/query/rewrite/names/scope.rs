//! What names can mean in one SELECT: columns of its tables, aliases of its list, and what USING has made one.

use datafusion::sql::sqlparser::ast::{Expr, Ident, JoinOperator};

use super::elements::Elements;
use super::{Columns, Names, QueryError, at, build, same, variables};
use crate::query::rewrite::gathered::AT;

/// Something behind FROM.
#[derive(Debug, Clone)]
pub(super) struct Relation {
    pub name: Option<String>,
    pub columns: Columns,
    /// Whether it is the elements of an array, whose fields may stand alone.
    pub elements: bool,
    /// The array that it is the elements of, if it is.
    pub array: Option<Box<Elements>>,
}

/// What the names of one SELECT can mean.
#[derive(Debug, Default)]
pub(super) struct Scope {
    pub relations: Vec<Relation>,
    /// Names that the SELECT list gives.
    pub results: Vec<String>,
    /// Columns that USING has made one, and what each is.
    pub merged: Vec<(String, Option<Expr>)>,
}

/// Which of two meanings a name has first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum First {
    Columns,
    Results,
}

/// Which side of a join has all its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kept {
    Left,
    Right,
    Both,
}

impl Kept {
    pub fn of(operator: &JoinOperator) -> Self {
        match operator {
            JoinOperator::Right(_) | JoinOperator::RightOuter(_) => Self::Right,
            JoinOperator::FullOuter(_) => Self::Both,
            _ => Self::Left,
        }
    }

    /// What a column of USING is, which both sides spell like this; relations from `left` on are those of the right side.
    pub fn column(self, scope: &Scope, left: usize, name: &str) -> Option<Expr> {
        let of = |relations: &[Relation]| {
            let has = |r: &&Relation| r.columns.iter().flatten().any(|c| same(c, name));
            let table = relations.iter().find(has)?.name.clone()?;
            let path = [table, name.to_owned()];
            let path = path.map(|part| Ident::with_quote('`', part)).to_vec();
            Some(Expr::CompoundIdentifier(path))
        };
        let (before, own) = scope.relations.split_at_checked(left)?;
        let earlier = scope.merged.iter().rev().find(|(m, _)| same(m, name));
        let before = || match earlier {
            Some((_, expr)) => expr.clone(),
            None => of(before),
        };
        match self {
            Self::Left => before(),
            Self::Right => of(own),
            Self::Both => Some(build::call("coalesce", vec![before()?, of(own)?])),
        }
    }
}

/// What a name means.
pub(super) enum Found {
    /// This column or alias.
    Name(String),
    /// A column that USING has made of two.
    Merged(Box<Expr>),
    /// A whole row of a table, as a struct.
    Row(Box<Expr>),
    /// A field of the elements called so.
    Field(String),
    /// Perhaps something of a relation whose columns are not known.
    Unknown,
    Nothing,
}

/// A row of a table as a struct of its columns.
fn row(table: &str, columns: &[String]) -> Expr {
    let columns = columns.iter().filter(|column| !is_pseudo(column));
    let fields = columns.flat_map(|column| {
        let path = [table, column.as_str()];
        let path = path.map(|part| Ident::with_quote('`', part)).to_vec();
        [build::text(column), Expr::CompoundIdentifier(path)]
    });
    build::call("named_struct", fields.collect())
}

/// Whether a column is none of the table's own.
fn is_pseudo(column: &str) -> bool {
    let column = column.to_ascii_uppercase();
    let named = ["_TABLE_SUFFIX", "_PARTITIONTIME", "_PARTITIONDATE"].contains(&column.as_str());
    named || column.eq_ignore_ascii_case(AT)
}

impl Names<'_> {
    /// The relation of a name; one whose name is spelled alike comes before others.
    pub(super) fn relation(&self, name: &str) -> Option<(&String, &Relation)> {
        let relations = self.scopes.iter().rev().flat_map(|s| &s.relations);
        let named = relations.filter_map(|r| Some((r.name.as_ref()?, r)));
        let exact = named.clone().find(|(n, _)| *n == name);
        exact.or_else(|| named.clone().find(|(n, _)| same(n, name)))
    }

    /// Whether a name is not that of a table or a column of the innermost SELECT, but of one around.
    pub(super) fn is_around(&self, name: &str) -> bool {
        let Some((scope, around)) = self.scopes.split_last() else {
            return false;
        };
        let named = |r: &Relation| r.name.as_ref().is_some_and(|n| same(n, name));
        // That it may be a field of an element is no more than a guess.
        let known = !matches!(
            self.find_in(scope, name),
            Ok(Found::Nothing | Found::Field(_))
        );
        let within = known || scope.relations.iter().any(named);
        !around.is_empty() && !within
    }

    /// Whether a relation of the innermost SELECT that is called otherwise has a column of this name.
    pub(super) fn is_column_beside(&self, name: &str) -> bool {
        let relations = self.scopes.last().into_iter().flat_map(|s| &s.relations);
        let mut others = relations.filter(|r| r.name.as_ref().is_none_or(|n| !same(n, name)));
        others.any(|r| r.columns.iter().flatten().any(|c| same(c, name)))
    }

    pub(super) fn is_column(&self, path: &[Ident]) -> bool {
        let [table, _] = path else { return false };
        let mut relations = self.scopes.iter().flat_map(|s| &s.relations);
        relations.any(|r| !r.elements && r.name.as_ref().is_some_and(|n| same(n, &table.value)))
    }

    pub(super) fn find_in(&self, scope: &Scope, name: &str) -> Result<Found, QueryError> {
        let mut found: Vec<&String> = Vec::new();
        let mut unknown = false;
        for relation in &scope.relations {
            match &relation.columns {
                Some(columns) => found.extend(columns.iter().find(|c| same(c, name))),
                None => unknown = true,
            }
        }
        let merged = scope.merged.iter().rev().find(|(m, _)| same(m, name));
        if let Some((_, Some(expr))) = merged {
            return Ok(Found::Merged(Box::new(expr.clone())));
        }
        match found.as_slice() {
            [first, rest @ ..] if rest.is_empty() || merged.is_some() => {
                Ok(Found::Name((*first).clone()))
            }
            [] => {
                let mut elements = scope.relations.iter().filter(|r| r.elements);
                match (unknown, elements.next(), elements.next()) {
                    (true, _, _) => Ok(Found::Unknown),
                    (
                        false,
                        Some(Relation {
                            name: Some(name), ..
                        }),
                        None,
                    ) => Ok(Found::Field(name.clone())),
                    _ => Ok(Found::Nothing),
                }
            }
            _ => Err(QueryError::Invalid {
                message: format!("Column name {name} is ambiguous"),
            }),
        }
    }

    /// What a name that stands alone means. Where it may be a field of elements or something farther out, their fields are looked at.
    pub(super) fn find(&mut self, ident: &Ident, first: First) -> Result<Found, QueryError> {
        let name = &ident.value;
        let mut perhaps: Vec<usize> = Vec::new();
        for (index, scope) in self.scopes.iter().enumerate().rev() {
            let result = scope.results.iter().find(|r| same(r, name));
            if let (Some(result), First::Results) = (result, first) {
                let found = Found::Name(result.clone());
                return self.unless_field(&perhaps, name, found);
            }
            match self.find_in(scope, name).map_err(|e| match e {
                QueryError::Invalid { message } => QueryError::Invalid {
                    message: message + &at(ident),
                },
                other => other,
            })? {
                Found::Nothing | Found::Field(_) => {}
                other => return self.unless_field(&perhaps, name, other),
            }
            if let Some(result) = result {
                let found = Found::Name(result.clone());
                return self.unless_field(&perhaps, name, found);
            }
            let named = scope.relations.iter();
            let mut named = named.filter_map(|r| Some((r.name.as_ref()?, r)));
            if let Some((relation, of)) = named.find(|(n, _)| same(n, name)) {
                let found = match &of.columns {
                    Some(columns) if !of.elements => Found::Row(Box::new(row(relation, columns))),
                    _ => Found::Name(relation.clone()),
                };
                return self.unless_field(&perhaps, name, found);
            }
            if scope.relations.iter().any(|relation| relation.elements) {
                perhaps.push(index);
            }
        }
        if variables::find(self.variables, name).is_some() {
            return self.unless_field(&perhaps, name, Found::Nothing);
        }
        self.field_of_any(&perhaps, name)
    }
}
