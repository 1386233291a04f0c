//! Access policies of tables and routines: kept and given back. Nobody is refused anything because of them.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde_json::{Value, json};

use super::error::RestError;
use super::incoming::Body;
use super::tables::table_name;
use super::{Answer, Shared, blocking, resource};
use crate::catalog::{Catalog, CatalogError};
use crate::name::TableName;

/// The etag of a policy that was never set.
const NEVER_SET: &str = "ACAB";

/// What a policy is about.
#[derive(Debug, Clone)]
enum Holder {
    Table(TableName),
    /// Its name is made like a table's.
    Routine(TableName),
}

impl Holder {
    fn policy(&self, catalog: &Catalog) -> Result<Option<Value>, CatalogError> {
        match self {
            Self::Table(name) => {
                let table = catalog.table(name)?;
                Ok(table.metadata.as_ref().and_then(|m| m.policy.clone()))
            }
            Self::Routine(name) => catalog.routine_policy(name),
        }
    }

    fn update(
        &self,
        catalog: &Catalog,
        change: impl FnOnce(&mut Option<Value>),
    ) -> Result<(), CatalogError> {
        match self {
            Self::Table(name) => {
                catalog.update_table(name, |metadata| {
                    change(&mut metadata.policy);
                    Ok(())
                })?;
                Ok(())
            }
            Self::Routine(name) => catalog.update_routine_policy(name, change),
        }
    }
}

/// `TABLE:getIamPolicy`, `TABLE:setIamPolicy` or `TABLE:testIamPermissions`.
pub(super) async fn call(
    state: Shared,
    Path((project, dataset, call)): Path<(String, String, String)>,
    Body(body): Body,
) -> Answer {
    let (table, method) = call.split_once(':').unwrap_or((&call, ""));
    let holder = Holder::Table(table_name(&project, &dataset, table)?);
    answer(state, holder, method, body).await
}

/// The same of a routine.
pub(super) async fn call_of_routine(
    state: Shared,
    Path((project, dataset, call)): Path<(String, String, String)>,
    Body(body): Body,
) -> Answer {
    let (routine, method) = call.split_once(':').unwrap_or((&call, ""));
    let name = TableName::try_new(&project, &dataset, routine).map_err(CatalogError::from)?;
    answer(state, Holder::Routine(name), method, body).await
}

async fn answer(state: Shared, holder: Holder, method: &str, body: Value) -> Answer {
    match method {
        "getIamPolicy" => get(state, holder).await,
        "setIamPolicy" => set(state, holder, body).await,
        "testIamPermissions" => test(state, holder, &body).await,
        _ => Err(RestError::new(
            StatusCode::NOT_IMPLEMENTED,
            "notImplemented",
            "UNIMPLEMENTED",
            format!(
                "POST of method {method:?} on a table or a routine is not served by this emulator"
            ),
        )),
    }
}

async fn get(State(state): Shared, holder: Holder) -> Answer {
    let policy = blocking(&state, move |catalog| holder.policy(catalog)).await?;
    Ok(Json(match policy {
        None => json!({"etag": NEVER_SET}),
        Some(mut policy) => {
            policy["etag"] = json!(etag_of(&policy));
            policy
        }
    }))
}

/// The etag of a policy, which a statement has left without one.
fn etag_of(policy: &Value) -> String {
    let known = policy["etag"].as_str().map(str::to_owned);
    known.unwrap_or_else(|| resource::etag(&policy.to_string()))
}

async fn set(State(state): Shared, holder: Holder, body: Value) -> Answer {
    let mut policy = body["policy"].clone();
    let Value::Object(members) = &mut policy else {
        return Err(RestError::invalid("Required parameter is missing: policy"));
    };
    let seen = members.remove("etag");
    let etag = resource::etag(&Value::Object(members.clone()).to_string());
    members.insert("etag".to_owned(), json!(etag));
    members.entry("version").or_insert(json!(1));
    let kept = policy.clone();
    let changed = blocking(&state, move |catalog| {
        let mut current = true;
        holder.update(catalog, |known| {
            let old = known.as_ref().map_or_else(|| NEVER_SET.to_owned(), etag_of);
            current = seen
                .as_ref()
                .and_then(Value::as_str)
                .is_none_or(|seen| seen.is_empty() || seen == old);
            if current {
                *known = Some(kept);
            }
        })?;
        Ok::<_, RestError>(current)
    })
    .await?;
    if !changed {
        return Err(RestError::new(
            StatusCode::CONFLICT,
            "aborted",
            "ABORTED",
            "There were concurrent policy changes. Please retry the whole read-modify-write with exponential backoff."
                .to_owned(),
        ));
    }
    Ok(Json(policy))
}

/// Everybody may do everything here.
async fn test(State(state): Shared, holder: Holder, body: &Value) -> Answer {
    blocking(&state, move |catalog| holder.policy(catalog)).await?;
    Ok(all_of(body))
}

/// All permissions that are asked about.
pub(super) fn all_of(body: &Value) -> Json<Value> {
    let asked = body["permissions"].as_array();
    // Some clients put the list into a list.
    let asked: Vec<&Value> = asked
        .into_iter()
        .flatten()
        .flat_map(|p| {
            p.as_array()
                .map_or_else(|| vec![p], |all| all.iter().collect())
        })
        .collect();
    Json(json!({"permissions": asked}))
}
