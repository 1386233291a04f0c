//! Recipes: YAML from a user, then SQL and selectors inside of it.

use std::cell::OnceCell;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use millpond_features::{FeaturePlan, Roles};

use super::artefact::refused;
use super::document;
use crate::plan::{Session, SqlExpressions, full_schema};
use crate::{ErrorKind, Recipe};

/// A recipe with every key and most steps, as JSON.
const GOOD: &str = include_str!("good_recipe.json");

/// Any text gives an error of kind Config in one line, or a recipe whose YAML reads back as the same recipe; and such a
/// recipe either fits the columns of a table or is refused.
///
/// # Panics
/// When it does not.
pub fn recipe(bytes: &[u8]) {
    let Some(text) = document(bytes, GOOD) else {
        return;
    };
    let recipe = match Recipe::from_yaml(&text) {
        Ok(recipe) => recipe,
        Err(error) => return refused(&error, &[ErrorKind::Config]),
    };
    let written = recipe.to_yaml().expect("what was read can be written");
    let again = Recipe::from_yaml(&written)
        .unwrap_or_else(|e| panic!("what was written cannot be read: {e}: {written}"));
    let twice = again.to_yaml().expect("what was read can be written");
    assert_eq!(written, twice, "a recipe changes when it is written again");
    bind(&recipe);
}

/// What a job checks before it reads a row.
fn bind(recipe: &Recipe) {
    thread_local! {
        static SESSION: OnceCell<Session> = const { OnceCell::new() };
    }
    let schema = SESSION.with(|session| {
        let session =
            session.get_or_init(|| Session::for_expressions().expect("DataFusion starts"));
        full_schema(session, &table(), &recipe.derive.0)
    });
    let Ok(schema) = schema else { return };
    let roles = Roles {
        label: recipe.label.iter().cloned().collect(),
        key: recipe.key.0.clone(),
        weight: recipe.weight.iter().cloned().collect(),
        pass_through: recipe.pass_through.0.clone(),
    };
    let compiler = SqlExpressions::try_new().expect("DataFusion starts");
    let plan = FeaturePlan::try_new(&recipe.features, &schema, &roles, recipe.dtype, &compiler);
    if let Ok(plan) = plan {
        for column in plan.input_columns() {
            assert!(
                schema.field_with_name(column).is_ok(),
                "column {column:?} is read and not there"
            );
        }
    }
    if let Ok(splitter) = recipe.split.bind(&schema) {
        let sql = splitter.bigquery_sql();
        assert!(!sql.contains('\0'), "{sql:?} holds a null byte");
    }
}

/// The columns of the good recipe's table.
fn table() -> SchemaRef {
    let field = |name: &str, data_type| Field::new(name, data_type, true);
    Arc::new(Schema::new(vec![
        field("id", DataType::Int64),
        field("amount", DataType::Float64),
        field("items", DataType::Int64),
        field("vip", DataType::Boolean),
        field("country", DataType::Utf8),
        field("sku", DataType::Utf8),
        field(
            "ordered_at",
            DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        ),
        field("born", DataType::Date32),
        field("price", DataType::Decimal128(38, 9)),
        field("note", DataType::Utf8),
        field("returned", DataType::Int64),
    ]))
}
