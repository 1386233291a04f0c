//! Columns inside of structs, called by their dotted path: `user.geo.country`.
//!
//! Owns the path names, what of a struct is read for them, and how a column inside is taken out of a batch. Must not know
//! where batches come from. A column whose own name is the path goes before one inside of a struct.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch};
use arrow::compute::nullif;
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef};
use arrow::error::ArrowError;
use millpond_features::INSIDE_OF;

/// `schema` followed by every column inside of its structs, lists left out. A field inside has the name of its path, the
/// metadata entry [`INSIDE_OF`] with the name of the top-level column, and may be null when it or a struct around it may.
///
/// Fields whose own name holds a dot are reached through SQL alone, because their path could be read in two ways.
pub(crate) fn with_paths(schema: &SchemaRef) -> SchemaRef {
    let is_struct = |f: &FieldRef| matches!(f.data_type(), DataType::Struct(_));
    if !schema.fields().iter().any(is_struct) {
        return Arc::clone(schema);
    }
    let mut taken: HashSet<String> = schema.fields().iter().map(|f| f.name().clone()).collect();
    let mut all: Vec<FieldRef> = schema.fields().iter().cloned().collect();
    for root in schema.fields() {
        collect(
            root,
            root.name(),
            root.is_nullable(),
            root.name(),
            &mut taken,
            &mut all,
        );
    }
    Arc::new(Schema::new_with_metadata(all, schema.metadata().clone()))
}

fn collect(
    parent: &Field,
    path: &str,
    nullable: bool,
    root: &str,
    taken: &mut HashSet<String>,
    all: &mut Vec<FieldRef>,
) {
    let DataType::Struct(children) = parent.data_type() else {
        return;
    };
    for child in children {
        let name = format!("{path}.{}", child.name());
        let readable = !child.name().is_empty() && !child.name().contains('.');
        if !readable || !taken.insert(name.clone()) {
            continue;
        }
        let nullable = nullable || child.is_nullable();
        all.push(Arc::new(inside(child, &name, nullable, root)));
        collect(child, &name, nullable, root, taken, all);
    }
}

/// `field` as a column called `name` inside of the top-level column `root`.
fn inside(field: &Field, name: &str, nullable: bool, root: &str) -> Field {
    let mut metadata = field.metadata().clone();
    metadata.insert(INSIDE_OF.to_owned(), root.to_owned());
    Field::new(name, field.data_type().clone(), nullable).with_metadata(metadata)
}

/// The top-level column that `field` is inside of, when it is.
pub(crate) fn root_of(field: &Field) -> Option<&str> {
    field.metadata().get(INSIDE_OF).map(String::as_str)
}

/// `schema` without the columns that [`with_paths`] added.
pub(crate) fn without_paths(schema: &SchemaRef) -> SchemaRef {
    if schema.fields().iter().all(|f| root_of(f).is_none()) {
        return Arc::clone(schema);
    }
    let fields: Vec<FieldRef> = schema
        .fields()
        .iter()
        .filter(|f| root_of(f).is_none())
        .cloned()
        .collect();
    Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()))
}

/// Finds columns by name, many of them.
pub(crate) struct Places<'a> {
    fields: &'a Fields,
    by_name: HashMap<&'a str, usize>,
}

impl<'a> Places<'a> {
    /// Of the columns of `fields`.
    pub fn of(fields: &'a Fields) -> Self {
        let names = fields.iter().enumerate();
        // Of two columns of one name the first is meant, as Arrow has it.
        let by_name = names.rev().map(|(i, f)| (f.name().as_str(), i)).collect();
        Self { fields, by_name }
    }

    /// Where the column `name` is: the position of a top-level field, then positions inside of structs.
    pub fn locate(&self, name: &str) -> Option<Vec<usize>> {
        match self.by_name.get(name) {
            Some(index) => Some(vec![*index]),
            None => inside_of(self.fields, name),
        }
    }
}

/// Where the column `name` is, for a single one.
pub(crate) fn locate(fields: &Fields, name: &str) -> Option<Vec<usize>> {
    match fields.find(name) {
        Some((index, _)) => Some(vec![index]),
        None => inside_of(fields, name),
    }
}

fn inside_of(fields: &Fields, name: &str) -> Option<Vec<usize>> {
    fields.iter().enumerate().find_map(|(index, field)| {
        let DataType::Struct(children) = field.data_type() else {
            return None;
        };
        let rest = name
            .strip_prefix(field.name().as_str())?
            .strip_prefix('.')?;
        let mut path = locate(children, rest)?;
        path.insert(0, index);
        Some(path)
    })
}

/// The paths left when those below another one of them are taken away, each once, in the order given.
pub(crate) fn outermost(paths: &[Vec<usize>]) -> Vec<Vec<usize>> {
    let mut kept: Vec<Vec<usize>> = Vec::with_capacity(paths.len());
    let all: HashSet<&[usize]> = paths.iter().map(Vec::as_slice).collect();
    let mut seen = HashSet::new();
    for path in paths {
        let is_below = (1..path.len()).any(|end| path.get(..end).is_some_and(|p| all.contains(p)));
        if !is_below && seen.insert(path.as_slice()) {
            kept.push(path.clone());
        }
    }
    kept
}

/// The dotted name of `path`.
pub(crate) fn name_of(fields: &Fields, path: &[usize]) -> Option<String> {
    let (first, rest) = path.split_first()?;
    let field = fields.get(*first)?;
    if rest.is_empty() {
        return Some(field.name().clone());
    }
    let DataType::Struct(children) = field.data_type() else {
        return None;
    };
    Some(format!("{}.{}", field.name(), name_of(children, rest)?))
}

/// `fields` with nothing but what `paths` lead to, in the order of `fields`: what a reader delivers that was asked for `paths`.
pub(crate) fn pruned(fields: &Fields, paths: &[&[usize]]) -> Fields {
    let mut below: BTreeMap<usize, Vec<&[usize]>> = BTreeMap::new();
    for (first, rest) in paths.iter().filter_map(|path| path.split_first()) {
        below.entry(*first).or_default().push(rest);
    }
    let kept = below.into_iter().filter_map(|(index, below)| {
        let field = fields.get(index)?;
        Some(match field.data_type() {
            DataType::Struct(children) if below.iter().all(|rest| !rest.is_empty()) => {
                let children = DataType::Struct(pruned(children, &below));
                Arc::new(field.as_ref().clone().with_data_type(children))
            }
            _ => Arc::clone(field),
        })
    });
    kept.collect()
}

/// The columns wanted, and where they are in the batches a reader delivers.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    paths: Vec<Vec<usize>>,
    schema: SchemaRef,
}

impl Wanted {
    /// Finds `columns` in what is `delivered`; nothing when one of them is not there.
    pub fn find(delivered: &Fields, columns: &[String]) -> Option<Self> {
        let mut paths = Vec::with_capacity(columns.len());
        let mut fields = Vec::with_capacity(columns.len());
        let places = Places::of(delivered);
        for name in columns {
            let path = places.locate(name)?;
            fields.push(field_at(delivered, &path, name)?);
            paths.push(path);
        }
        Some(Self {
            paths,
            schema: Arc::new(Schema::new(fields)),
        })
    }

    /// The columns, in the order wanted.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The columns of a batch as delivered. A value inside of a struct that is null is null.
    ///
    /// # Errors
    /// When the batch has another shape than was found before.
    pub fn of(&self, batch: &RecordBatch) -> Result<Vec<ArrayRef>, ArrowError> {
        self.paths
            .iter()
            .map(|path| at(batch.columns(), path))
            .collect()
    }
}

fn field_at(fields: &Fields, path: &[usize], name: &str) -> Option<FieldRef> {
    let (first, rest) = path.split_first()?;
    let root = fields.get(*first)?;
    if rest.is_empty() {
        return Some(Arc::clone(root));
    }
    let (mut field, mut nullable) = (root, root.is_nullable());
    for index in rest {
        let DataType::Struct(children) = field.data_type() else {
            return None;
        };
        field = children.get(*index)?;
        nullable |= field.is_nullable();
    }
    Some(Arc::new(inside(field, name, nullable, root.name())))
}

fn at(columns: &[ArrayRef], path: &[usize]) -> Result<ArrayRef, ArrowError> {
    let lost = || ArrowError::SchemaError(format!("there is no column at {path:?}"));
    let (first, rest) = path.split_first().ok_or_else(lost)?;
    let mut current = Arc::clone(columns.get(*first).ok_or_else(lost)?);
    for index in rest {
        let parent = current.as_struct_opt().ok_or_else(lost)?;
        let child = Arc::clone(parent.columns().get(*index).ok_or_else(lost)?);
        current = match parent.nulls().filter(|nulls| nulls.null_count() > 0) {
            Some(valid) => nullif(&child, &BooleanArray::new(!valid.inner(), None))?,
            None => child,
        };
    }
    Ok(current)
}

/// The column `name` of `batch`: one of exactly this name, or the one inside of a struct that the path leads to.
pub(crate) fn column(batch: &RecordBatch, name: &str) -> Option<ArrayRef> {
    let path = locate(batch.schema_ref().fields(), name)?;
    at(batch.columns(), &path).ok()
}

#[cfg(test)]
mod tests;
