//! `millpond schema`.

use millpond::Recipe;

use crate::failure::Failure;
use crate::{console, summary};

/// Prints the JSON schema of recipes.
pub(crate) fn schema() -> Result<(), Failure> {
    console::print(&summary::json(&Recipe::json_schema())?);
    Ok(())
}
