//! Fields of elements that stand alone: `SELECT key FROM UNNEST(params)`. Which fields elements have is only asked where a name may
//! be something else.

use datafusion::sql::sqlparser::ast::{Expr, TableWithJoins};

use super::scope::{Found, Relation, Scope};
use super::{Names, QueryError, lateral, same, unsupported};

/// The array that a relation is the elements of.
#[derive(Debug, Clone)]
pub(super) struct Elements {
    array: Expr,
    /// The tables that it may be of, those of each SELECT around before those within.
    tables: Vec<Vec<TableWithJoins>>,
    /// Its fields, once they were asked for.
    fields: Option<Option<Vec<String>>>,
}

/// Whether a name is that of a field of elements.
enum Field {
    Of(String),
    /// Elements without such a field.
    None,
    /// Their fields cannot be told.
    Unknown,
}

impl Names<'_> {
    /// The columns of the last relation, which are the elements of an array behind the tables `before`: if a star asks for them, their
    /// fields.
    pub(super) fn take_elements(
        &mut self,
        unnest: &lateral::Unnest,
        before: &[TableWithJoins],
    ) -> Result<(), QueryError> {
        let elements = Elements {
            array: unnest.array().clone(),
            tables: self.seen_with(before),
            fields: None,
        };
        let fields = match (unnest.gives_fields(), unnest.columns()) {
            (true, Some(columns)) => Some(columns),
            (true, None) => match self.fields_of(&elements)? {
                // Elements without fields are columns themselves.
                Some(fields) if fields.is_empty() => return Ok(()),
                fields => fields,
            },
            (false, _) => {
                if let Some(relation) = self.elements(unnest) {
                    relation.array = Some(Box::new(elements));
                }
                return Ok(());
            }
        };
        if let Some(relation) = self.elements(unnest) {
            relation.columns = fields;
            relation.elements = false;
        }
        Ok(())
    }

    /// The tables of SELECTs around, and those that stand before in this one.
    pub(super) fn seen_with(&self, own: &[TableWithJoins]) -> Vec<Vec<TableWithJoins>> {
        let own = (!own.is_empty()).then(|| own.to_vec());
        self.around.iter().cloned().chain(own).collect()
    }

    /// The relation of the elements that were taken last; that of their positions is behind it.
    fn elements(&mut self, unnest: &lateral::Unnest) -> Option<&mut Relation> {
        let relations = &mut self.scopes.last_mut()?.relations;
        let behind = usize::from(unnest.has_offset());
        let at = relations.len().checked_sub(1 + behind)?;
        relations.get_mut(at)
    }

    fn fields_of(&mut self, elements: &Elements) -> Result<Option<Vec<String>>, QueryError> {
        match &elements.fields {
            Some(fields) => Ok(fields.clone()),
            None => self.fields_of_elements(&elements.array, elements.tables.clone()),
        }
    }

    /// What a name means that is `found` outside of the scopes `perhaps`, which have elements of arrays: one of their fields comes first.
    pub(super) fn unless_field(
        &mut self,
        perhaps: &[usize],
        name: &str,
        found: Found,
    ) -> Result<Found, QueryError> {
        match self.field(perhaps, name)? {
            Field::Of(relation) => Ok(Found::Field(relation)),
            Field::None => Ok(found),
            Field::Unknown => Err(unsupported(format!(
                "the name {name}, which may be a field of an element or a column around it,"
            ))),
        }
    }

    /// What a name means that is nothing else than perhaps a field.
    pub(super) fn field_of_any(
        &mut self,
        perhaps: &[usize],
        name: &str,
    ) -> Result<Found, QueryError> {
        let of = |scope: &Scope| {
            let elements = scope.relations.iter().filter(|r| r.elements);
            elements.filter_map(|r| r.name.clone()).collect::<Vec<_>>()
        };
        let scopes = perhaps.iter().filter_map(|index| self.scopes.get(*index));
        let all: Vec<String> = scopes.flat_map(of).collect();
        match all.as_slice() {
            [] => Ok(Found::Nothing),
            [one] => Ok(Found::Field(one.clone())),
            [first, ..] => match self.field(perhaps, name)? {
                Field::Of(relation) => Ok(Found::Field(relation)),
                Field::None => Ok(Found::Nothing),
                Field::Unknown => Ok(Found::Field(first.clone())),
            },
        }
    }

    /// The elements, in the innermost of some scopes, that have a field.
    fn field(&mut self, perhaps: &[usize], name: &str) -> Result<Field, QueryError> {
        let mut unknown = false;
        for index in perhaps {
            let count = self.scopes.get(*index).map_or(0, |s| s.relations.len());
            for at in 0..count {
                let relation = |names: &Self| names.scopes.get(*index)?.relations.get(at).cloned();
                let Some(Relation {
                    name: Some(called),
                    elements: true,
                    array,
                    ..
                }) = relation(self)
                else {
                    continue;
                };
                let fields = match &array {
                    Some(array) => self.fields_of(array)?,
                    None => None,
                };
                let scope = self.scopes.get_mut(*index);
                let relation = scope.and_then(|s| s.relations.get_mut(at));
                if let Some(array) = relation.and_then(|r| r.array.as_mut()) {
                    array.fields = Some(fields.clone());
                }
                match fields {
                    Some(fields) if fields.iter().any(|field| same(field, name)) => {
                        return Ok(Field::Of(called));
                    }
                    Some(_) => {}
                    None => unknown = true,
                }
            }
        }
        Ok(if unknown { Field::Unknown } else { Field::None })
    }
}
