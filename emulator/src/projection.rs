//! Which columns a session reads: `selected_fields` resolved against a table's wire schema.
//!
//! Must not know about files or requests; leaves are counted in Parquet's depth-first order.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema};

/// A selected field that the table does not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("request failed: The following selected fields do not exist in the table schema: {field}")]
pub struct UnknownField {
    /// The field's dotted path as asked for.
    pub field: String,
}

/// Columns chosen from a schema, always in the schema's own order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Projection {
    /// The chosen top-level columns.
    pub columns: Vec<SelectedColumn>,
}

/// One chosen top-level column.
#[derive(Debug, Clone)]
pub(crate) struct SelectedColumn {
    /// Its field, structs pruned to what was chosen.
    pub field: FieldRef,
    /// The Parquet leaves it needs, ascending.
    pub leaves: Vec<usize>,
}

/// What is wanted of a field: everything, or some of its children.
enum Wanted {
    All,
    Children(BTreeMap<usize, Wanted>),
}

impl Projection {
    /// Resolves dotted paths; names match exactly or else ignoring case. No path at all selects every column.
    ///
    /// # Errors
    /// [`UnknownField`] for the first path that leads nowhere.
    pub fn resolve(schema: &Schema, selected: &[String]) -> Result<Self, UnknownField> {
        let mut wanted = Wanted::Children(BTreeMap::new());
        if selected.is_empty() {
            wanted = Wanted::All;
        }
        for path in selected {
            let steps: Vec<&str> = path.split('.').collect();
            want(schema.fields(), &steps, &mut wanted).ok_or_else(|| UnknownField {
                field: path.clone(),
            })?;
        }
        Ok(Self::from_wanted(schema, &wanted))
    }

    /// Whole top-level columns, by index.
    pub fn of_columns(schema: &Schema, indexes: &[usize]) -> Self {
        let wanted = indexes.iter().map(|i| (*i, Wanted::All)).collect();
        Self::from_wanted(schema, &Wanted::Children(wanted))
    }

    fn from_wanted(schema: &Schema, wanted: &Wanted) -> Self {
        let mut next_leaf = 0;
        let mut columns = Vec::new();
        for (index, field) in schema.fields().iter().enumerate() {
            let mut leaves = Vec::new();
            if let Some(field) = prune(field, child(wanted, index), &mut next_leaf, &mut leaves) {
                columns.push(SelectedColumn {
                    field: Arc::new(field),
                    leaves,
                });
            }
        }
        Self { columns }
    }

    /// The schema of the chosen columns.
    pub fn schema(&self) -> Schema {
        Schema::new(
            self.columns
                .iter()
                .map(|c| Arc::clone(&c.field))
                .collect::<Vec<_>>(),
        )
    }

    /// The Parquet leaves of all chosen columns.
    pub fn leaves(&self) -> impl Iterator<Item = usize> + '_ {
        self.columns.iter().flat_map(|c| c.leaves.iter().copied())
    }
}

/// Marks `steps` as wanted below `fields`; `None` when there is no such path.
fn want(fields: &Fields, steps: &[&str], wanted: &mut Wanted) -> Option<()> {
    let (step, rest) = steps.split_first()?;
    let (index, field) = find(fields, step)?;
    let slot = match wanted {
        // A parent selected as a whole already includes this child, but the path must still exist.
        Wanted::All => &mut Wanted::All,
        Wanted::Children(children) => children
            .entry(index)
            .or_insert_with(|| Wanted::Children(BTreeMap::new())),
    };
    if rest.is_empty() {
        *slot = Wanted::All;
        return Some(());
    }
    let children = match field.data_type() {
        DataType::Struct(children) => children,
        DataType::List(item) => match item.data_type() {
            DataType::Struct(children) => children,
            _ => return None,
        },
        _ => return None,
    };
    want(children, rest, slot)
}

/// A field by name: exactly, or else ignoring case as the service does.
pub(crate) fn find<'a>(fields: &'a Fields, name: &str) -> Option<(usize, &'a FieldRef)> {
    let lower = name.to_lowercase();
    fields
        .iter()
        .enumerate()
        .find(|(_, f)| f.name() == name)
        .or_else(|| {
            fields
                .iter()
                .enumerate()
                .find(|(_, f)| f.name().to_lowercase() == lower)
        })
}

fn child(wanted: &Wanted, index: usize) -> Option<&Wanted> {
    match wanted {
        Wanted::All => Some(&Wanted::All),
        Wanted::Children(children) => children.get(&index),
    }
}

/// Keeps what is wanted of a field and counts every leaf passed, wanted or not.
fn prune(
    field: &Field,
    wanted: Option<&Wanted>,
    next_leaf: &mut usize,
    leaves: &mut Vec<usize>,
) -> Option<Field> {
    let data_type = match field.data_type() {
        DataType::Struct(children) => {
            let mut kept = Vec::new();
            for (index, c) in children.iter().enumerate() {
                let of_child = wanted.and_then(|w| child(w, index));
                kept.extend(prune(c, of_child, next_leaf, leaves));
            }
            DataType::Struct(kept.into())
        }
        DataType::List(item) => {
            let kept = prune(item, wanted, next_leaf, leaves);
            DataType::List(Arc::new(kept?))
        }
        leaf => {
            if wanted.is_some() {
                leaves.push(*next_leaf);
            }
            *next_leaf += 1;
            leaf.clone()
        }
    };
    wanted?;
    Some(field.clone().with_data_type(data_type))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn schema() -> Schema {
        let point = Fields::from(vec![
            Field::new("lat", DataType::Float64, false),
            Field::new("Lon", DataType::Float64, true),
        ]);
        let items = DataType::List(Arc::new(Field::new(
            "item",
            DataType::Struct(point.clone()),
            true,
        )));
        Schema::new(vec![
            Field::new("id", DataType::Int64, false),
            Field::new("home", DataType::Struct(point), true),
            Field::new("stops", items, false),
            Field::new("name", DataType::Utf8, true),
        ])
    }

    fn resolve(paths: &[&str]) -> Result<Projection, UnknownField> {
        let paths: Vec<String> = paths.iter().map(|p| (*p).to_owned()).collect();
        Projection::resolve(&schema(), &paths)
    }

    #[test]
    fn table_order_wins_over_request_order() {
        let projection = resolve(&["name", "id"]).unwrap();
        let names: Vec<&str> = projection
            .columns
            .iter()
            .map(|c| c.field.name().as_str())
            .collect();
        assert_eq!(names, ["id", "name"]);
        assert_eq!(projection.leaves().collect::<Vec<_>>(), [0, 5]);
        assert_eq!(resolve(&[]).unwrap().schema(), schema());
    }

    #[test]
    fn nested_paths_prune_structs_and_repeated_structs() {
        let projection = resolve(&["stops.lat", "home.lon"]).unwrap();
        assert_eq!(projection.leaves().collect::<Vec<_>>(), [2, 3]);
        let DataType::Struct(home) = projection.columns[0].field.data_type().clone() else {
            unreachable!("home is a struct")
        };
        assert_eq!(
            home.iter().map(|f| f.name().as_str()).collect::<Vec<_>>(),
            ["Lon"]
        );
        let whole = resolve(&["home.lat", "home"]).unwrap();
        assert_eq!(whole.leaves().collect::<Vec<_>>(), [1, 2]);
        let whole = resolve(&["home", "home.lat"]).unwrap();
        assert_eq!(whole.leaves().collect::<Vec<_>>(), [1, 2]);
    }

    #[test]
    fn a_path_that_leads_nowhere_is_named() {
        for path in ["x", "home.x", "id.x", "home.lat.x", "", "home."] {
            assert_eq!(resolve(&["id", path]).unwrap_err().field, path);
        }
        assert!(resolve(&["home", "home.x"]).is_err());
    }
}
