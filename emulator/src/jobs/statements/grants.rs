//! GRANT and REVOKE: who has which roles, kept with tables and datasets. Nobody is refused anything because of them.

use serde_json::{Map, Value, json};

use super::{Effect, invalid};
use crate::catalog::CatalogError;
use crate::jobs::JobError;
use crate::jobs::datasets;
use crate::jobs::query::{Running, reference};
use crate::query;
use crate::query::statements::grants::{DATASET_MEMBERS, DATASET_ROLES, Given, Grant, Granted};

/// Gives or takes roles.
pub(super) fn run(running: &Running<'_, '_>, grant: &Grant) -> Result<Effect, JobError> {
    for member in &grant.members {
        let known = member.split_once(':').is_some_and(|(kind, name)| {
            !name.is_empty() && DATASET_MEMBERS.iter().any(|(known, _)| *known == kind)
        });
        if !known {
            return Err(invalid(format!("Invalid grantee: {member}")));
        }
    }
    let name = match grant.given {
        Given::Given => "GRANT",
        Given::Taken => "REVOKE",
    };
    let catalog = running.work.catalog;
    let mut members = Map::new();
    if grant.granted == Granted::Schema {
        let (project, dataset) = datasets::parts(running, &grant.name)?;
        catalog.dataset(&project, &dataset)?;
        if !running.is_dry_run() {
            catalog.update_dataset(&project, &dataset, |resource| {
                let access = resource.entry("access").or_insert(json!([]));
                if let Value::Array(entries) = access {
                    of_dataset(entries, grant);
                }
            })?;
        }
        members.insert(
            "dclTargetDataset".to_owned(),
            json!({"projectId": project, "datasetId": dataset}),
        );
        return Ok(Effect {
            statement: name,
            members,
        });
    }
    let table = query::table_of(&grant.name, &running.defaults)?;
    let found = catalog.table(&table)?;
    let view = matches!(found.kind(), "VIEW" | "MATERIALIZED_VIEW");
    if view != (grant.granted == Granted::View) {
        let kind = found.kind();
        return Err(invalid(format!("{table} is a {kind}")));
    }
    if !running.is_dry_run() {
        catalog.update_table(&table, |metadata| {
            let policy = metadata.policy.get_or_insert(json!({"version": 1}));
            of_table(policy, grant);
            Ok::<(), CatalogError>(())
        })?;
    }
    let target = if view {
        "dclTargetView"
    } else {
        "dclTargetTable"
    };
    members.insert(target.to_owned(), reference(&table));
    Ok(Effect {
        statement: name,
        members,
    })
}

/// Changes the bindings of a table's policy.
fn of_table(policy: &mut Value, grant: &Grant) {
    let Value::Object(policy) = policy else {
        return;
    };
    let Value::Array(bindings) = policy.entry("bindings").or_insert(json!([])) else {
        return;
    };
    for role in &grant.roles {
        let at = bindings.iter().position(|b| b["role"] == json!(role));
        let mut members: Vec<Value> = at
            .and_then(|at| bindings.get(at)?["members"].as_array().cloned())
            .unwrap_or_default();
        changed(&mut members, grant);
        if let Some(at) = at {
            bindings.remove(at);
        }
        if !members.is_empty() {
            bindings.push(json!({"role": role, "members": members}));
        }
    }
    // It is another one now, for whoever has read it before.
    policy.remove("etag");
}

fn changed(members: &mut Vec<Value>, grant: &Grant) {
    for member in &grant.members {
        let member = json!(member);
        match grant.given {
            Given::Given if !members.contains(&member) => members.push(member),
            Given::Given => {}
            Given::Taken => members.retain(|own| *own != member),
        }
    }
}

/// Changes the entries of a dataset.
fn of_dataset(entries: &mut Vec<Value>, grant: &Grant) {
    for role in &grant.roles {
        let own = DATASET_ROLES.iter().find(|(_, role_id)| role_id == role);
        let role = own.map_or(role.as_str(), |(short, _)| short);
        for member in &grant.members {
            let Some((kind, name)) = member.split_once(':') else {
                continue;
            };
            let Some((_, key)) = DATASET_MEMBERS.iter().find(|(known, _)| *known == kind) else {
                continue;
            };
            let is = |entry: &Value| entry["role"] == json!(role) && entry[*key] == json!(name);
            match grant.given {
                Given::Taken => entries.retain(|entry| !is(entry)),
                Given::Given if entries.iter().any(is) => {}
                Given::Given => entries.push(json!({"role": role, *key: name})),
            }
        }
    }
}
