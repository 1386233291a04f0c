//! Row access policies of a table: made, listed, described, changed, dropped.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use chrono::{DateTime, SecondsFormat};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::runtime::Handle;

use super::error::RestError;
use super::incoming::{Body, Params};
use super::tables::table_name;
use super::{Answer, Page, RestState, Shared, blocking, policies, precondition, resource};
use crate::catalog::{Catalog, CatalogError, LastOne, Put};
use crate::jobs::JobError;
use crate::name::TableName;
use crate::query;
use crate::row_access::{self, RowAccessPolicy};

/// The role that those have whom a policy is granted to.
const ROLE: &str = "roles/bigquery.filteredDataViewer";

type Named = (String, String, String, String);

fn described(table: &TableName, policy: &RowAccessPolicy) -> Value {
    let at = |us: i64| {
        DateTime::from_timestamp_micros(us)
            .map(|at| at.to_rfc3339_opts(SecondsFormat::Millis, true))
            .unwrap_or_default()
    };
    let content = format!("{policy:?}");
    json!({
        "etag": resource::etag(&content),
        "rowAccessPolicyReference": {
            "projectId": table.project(),
            "datasetId": table.dataset(),
            "tableId": table.table(),
            "policyId": policy.name,
        },
        "filterPredicate": policy.filter,
        "creationTime": at(policy.created_us),
        "lastModifiedTime": at(policy.modified_us),
    })
}

/// Which policies of a table are listed.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Listed {
    page_size: Option<usize>,
    page_token: Option<String>,
}

pub(super) async fn list(
    State(state): Shared,
    Path((project, dataset, table)): Path<(String, String, String)>,
    Params(asked): Params<Listed>,
) -> Answer {
    let all = blocking(&state, move |catalog| {
        let name = table_name(&project, &dataset, &table)?;
        let all = catalog.row_access(&name)?;
        let all = all.iter().map(|policy| described(&name, policy));
        Ok::<_, CatalogError>(all.collect::<Vec<Value>>())
    })
    .await?;
    let page = Page {
        max_results: asked.page_size,
        page_token: asked.page_token,
    };
    let (entries, next) = page.take(all)?;
    let mut body = json!({});
    if !entries.is_empty() {
        body["rowAccessPolicies"] = Value::Array(entries);
    }
    if let Some(next) = next {
        body["nextPageToken"] = json!(next);
    }
    Ok(Json(body))
}

pub(super) async fn insert(
    State(state): Shared,
    Path((project, dataset, table)): Path<(String, String, String)>,
    Body(body): Body,
) -> Answer {
    let id = body["rowAccessPolicyReference"]["policyId"].as_str();
    let id = id.unwrap_or_default().to_owned();
    let path = (project, dataset, table, id);
    put(&state, path, HeaderMap::new(), body, Put::New).await
}

async fn put(
    state: &Arc<RestState>,
    (project, dataset, table, policy): Named,
    headers: HeaderMap,
    body: Value,
    put: Put,
) -> Answer {
    let missing = |what: &str| {
        let text = format!("Required parameter is missing: {what}");
        RestError::invalid(&text)
    };
    let filter = body["filterPredicate"].as_str().map(str::to_owned);
    let filter = filter.filter(|filter| !filter.trim().is_empty());
    let grantees = match &body["grantees"] {
        Value::Null => None,
        Value::Array(all) => Some(
            all.iter()
                .map(|one| {
                    let text = one.as_str().map(str::to_owned);
                    text.ok_or_else(|| RestError::invalid("Invalid value for grantees"))
                })
                .collect::<Result<Vec<String>, _>>()?,
        ),
        _ => return Err(RestError::invalid("Invalid value for grantees")),
    };
    let made = blocking(state, move |catalog| {
        let name = table_name(&project, &dataset, &table)?;
        match put {
            // A table that is missing is the first thing to be told.
            Put::New => drop(catalog.table(&name)?),
            _ => {
                let known = catalog.row_access_policy(&name, &policy)?;
                precondition::check(&headers, &described(&name, &known))?;
            }
        }
        if policy.is_empty() {
            return Err(missing("rowAccessPolicyReference.policyId"));
        }
        let filter = filter.ok_or_else(|| missing("filterPredicate"))?;
        row_access::check(&policy, grantees.as_deref().unwrap_or_default())
            .map_err(CatalogError::from)?;
        let broken = |e: String| RestError::from(JobError::new("internalError", e));
        let handle = Handle::try_current().map_err(|e| broken(e.to_string()))?;
        handle
            .block_on(query::statements::row_access::check(
                catalog, &name, &filter,
            ))
            .map_err(JobError::from)?;
        let made = catalog.put_row_access(&name, &policy, filter, grantees, put)?;
        Ok::<_, RestError>(described(&name, &made))
    })
    .await?;
    Ok(Json(made))
}

pub(super) async fn get(
    State(state): Shared,
    Path((project, dataset, table, policy)): Path<Named>,
) -> Answer {
    let known = blocking(&state, move |catalog| {
        let name = table_name(&project, &dataset, &table)?;
        let known = catalog.row_access_policy(&name, &policy)?;
        Ok::<_, CatalogError>(described(&name, &known))
    })
    .await?;
    Ok(Json(known))
}

pub(super) async fn update(
    State(state): Shared,
    Path(path): Path<Named>,
    headers: HeaderMap,
    Body(body): Body,
) -> Answer {
    put(&state, path, headers, body, Put::Changed).await
}

/// Whether the last policy may go.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Force {
    force: Option<bool>,
}

fn last(force: bool) -> LastOne {
    if force {
        LastOne::Dropped
    } else {
        LastOne::Kept
    }
}

pub(super) async fn delete(
    State(state): Shared,
    Path((project, dataset, table, policy)): Path<Named>,
    Params(options): Params<Force>,
) -> Answer {
    let force = options.force.unwrap_or_default();
    remove(&state, (project, dataset, table), vec![policy], force).await
}

/// `rowAccessPolicies:batchDelete`.
pub(super) async fn batch_delete(
    State(state): Shared,
    Path(table): Path<(String, String, String)>,
    Body(body): Body,
) -> Answer {
    let ids = body["policyIds"].as_array().into_iter().flatten();
    let ids: Vec<String> = ids.filter_map(Value::as_str).map(str::to_owned).collect();
    if ids.is_empty() {
        return Err(RestError::invalid(
            "Required parameter is missing: policyIds",
        ));
    }
    let force = body["force"].as_bool().unwrap_or_default();
    remove(&state, table, ids, force).await
}

async fn remove(
    state: &Arc<RestState>,
    (project, dataset, table): (String, String, String),
    names: Vec<String>,
    force: bool,
) -> Answer {
    blocking(state, move |catalog: &Arc<Catalog>| {
        let name = table_name(&project, &dataset, &table)?;
        catalog.drop_row_access(&name, &names, last(force))
    })
    .await?;
    Ok(Json(json!({})))
}

/// The same, asked for with a slash before the colon, as a client for Rust does.
pub(super) async fn call_apart(
    state: Shared,
    Path((project, dataset, table, policy, call)): Path<(String, String, String, String, String)>,
    body: Body,
) -> Answer {
    let call = format!("{policy}/{call}");
    self::call(state, Path((project, dataset, table, call)), body).await
}

/// `POLICY:getIamPolicy` or `POLICY:testIamPermissions`.
pub(super) async fn call(
    State(state): Shared,
    Path((project, dataset, table, call)): Path<Named>,
    Body(body): Body,
) -> Answer {
    let (policy, method) = call.split_once(':').unwrap_or((&call, ""));
    let (policy, method) = (policy.trim_end_matches('/').to_owned(), method.to_owned());
    let known = blocking(&state, move |catalog| {
        let name = table_name(&project, &dataset, &table)?;
        catalog.row_access_policy(&name, &policy)
    })
    .await?;
    match method.as_str() {
        "getIamPolicy" => {
            let mut answer = json!({"version": 1, "etag": resource::etag(&format!("{known:?}"))});
            if !known.grantees.is_empty() {
                answer["bindings"] = json!([{"role": ROLE, "members": known.grantees}]);
            }
            Ok(Json(answer))
        }
        "testIamPermissions" => Ok(policies::all_of(&body)),
        _ => Err(RestError::new(
            StatusCode::NOT_IMPLEMENTED,
            "notImplemented",
            "UNIMPLEMENTED",
            format!("the method of {call} is not served by this emulator"),
        )),
    }
}
