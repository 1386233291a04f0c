//! Members of a query's configuration that change what it does, and that this emulator does not follow.

use serde_json::{Value, json};

use super::JobError;

/// Refuses a configuration that has one of them.
///
/// # Errors
/// [`JobError`] naming it.
pub(super) fn refuse(query: &Value) -> Result<(), JobError> {
    let functions = query["userDefinedFunctionResources"].as_array();
    let first_select = query["scriptOptions"]["keyResultStatement"] == "FIRST_SELECT";
    let member = if functions.is_some_and(|all| !all.is_empty()) {
        "userDefinedFunctionResources"
    } else if query["continuous"] == json!(true) {
        "continuous"
    } else if first_select {
        "scriptOptions.keyResultStatement FIRST_SELECT"
    } else {
        return Ok(());
    };
    let message = format!("{member} is not supported by this emulator");
    Err(JobError::new("invalidQuery", message).at("query"))
}
