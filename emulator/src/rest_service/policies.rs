//! Access policies of tables: kept and given back. Nobody is refused anything because of them.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde_json::{Value, json};

use super::error::RestError;
use super::incoming::Body;
use super::tables::table_name;
use super::{Answer, Shared, blocking, resource};

/// The etag of a policy that was never set.
const NEVER_SET: &str = "ACAB";

/// `TABLE:getIamPolicy`, `TABLE:setIamPolicy` or `TABLE:testIamPermissions`.
pub(super) async fn call(
    state: Shared,
    Path((project, dataset, call)): Path<(String, String, String)>,
    Body(body): Body,
) -> Answer {
    let (table, method) = call.split_once(':').unwrap_or((&call, ""));
    let table = (project, dataset, table.to_owned());
    match method {
        "getIamPolicy" => get(state, table).await,
        "setIamPolicy" => set(state, table, body).await,
        "testIamPermissions" => test(state, table, &body).await,
        _ => Err(RestError::new(
            StatusCode::NOT_IMPLEMENTED,
            "notImplemented",
            "UNIMPLEMENTED",
            format!("the method of {call} is not served by this emulator"),
        )),
    }
}

type Named = (String, String, String);

async fn get(State(state): Shared, (project, dataset, table): Named) -> Answer {
    let table = blocking(&state, move |catalog| {
        catalog.table(&table_name(&project, &dataset, &table)?)
    })
    .await?;
    let policy = table.metadata.as_ref().and_then(|m| m.policy.clone());
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

async fn set(State(state): Shared, (project, dataset, table): Named, body: Value) -> Answer {
    let mut policy = body["policy"].clone();
    let Value::Object(members) = &mut policy else {
        return Err(RestError::invalid("Required parameter is missing: policy"));
    };
    let seen = members.remove("etag");
    let etag = resource::etag(&Value::Object(members.clone()).to_string());
    members.insert("etag".to_owned(), json!(etag));
    members.entry("version").or_insert(json!(1));
    let kept = policy.clone();
    let name = table_name(&project, &dataset, &table)?;
    let changed = blocking(&state, move |catalog| {
        let mut current = true;
        catalog.update_table(&name, |metadata| {
            let old = metadata
                .policy
                .as_ref()
                .map_or_else(|| NEVER_SET.to_owned(), etag_of);
            current = seen
                .as_ref()
                .and_then(Value::as_str)
                .is_none_or(|seen| seen.is_empty() || seen == old);
            if current {
                metadata.policy = Some(kept);
            }
            Ok(())
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
async fn test(State(state): Shared, (project, dataset, table): Named, body: &Value) -> Answer {
    blocking(&state, move |catalog| {
        catalog.table(&table_name(&project, &dataset, &table)?)
    })
    .await?;
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
