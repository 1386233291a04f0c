//! Row access policies: made, replaced, dropped.

use serde_json::{Map, Value, json};

use super::Effect;
use crate::catalog::{CatalogError, LastOne, Put};
use crate::jobs::JobError;
use crate::jobs::query::{Running, reference};
use crate::name::TableName;
use crate::query;
use crate::query::statements::files::IfThere;
use crate::query::statements::row_access::RowAccess;
use crate::row_access::{self, RowAccessError};

/// Runs one statement; a dry run says what it would do.
pub(super) fn run(running: &Running<'_, '_>, statement: &RowAccess) -> Result<Effect, JobError> {
    match statement {
        RowAccess::Create {
            there,
            policy,
            table,
            grantees,
            filter,
        } => {
            let table = query::table_of(table, &running.defaults)?;
            let wanted = Wanted {
                there: *there,
                policy,
                grantees,
                filter,
            };
            create(running, &table, &wanted)
        }
        RowAccess::Drop {
            if_exists,
            policy,
            table,
        } => {
            let table = query::table_of(table, &running.defaults)?;
            let catalog = running.work.catalog;
            let operation = match catalog.row_access_policy(&table, policy) {
                Ok(_) => "DROP",
                Err(CatalogError::RowAccess(RowAccessError::NotFound { .. })) if *if_exists => {
                    "SKIP"
                }
                Err(e) => return Err(e.into()),
            };
            if operation == "DROP" && !running.is_dry_run() {
                let names = [policy.clone()];
                catalog.drop_row_access(&table, &names, LastOne::Kept)?;
            }
            let statement = "DROP_ROW_ACCESS_POLICY";
            Ok(effect(statement, operation, &table, policy))
        }
        RowAccess::DropAll { table } => {
            let table = query::table_of(table, &running.defaults)?;
            let catalog = running.work.catalog;
            let count = match running.is_dry_run() {
                true => catalog.row_access(&table)?.len(),
                false => catalog.drop_all_row_access(&table)?,
            };
            let mut effect = Effect::ddl("DROP_ROW_ACCESS_POLICY", "DROP", &table);
            effect.members.insert(
                "ddlAffectedRowAccessPolicyCount".to_owned(),
                json!(count.to_string()),
            );
            Ok(effect)
        }
    }
}

/// What a policy is to be.
struct Wanted<'s> {
    there: IfThere,
    policy: &'s str,
    grantees: &'s [String],
    filter: &'s str,
}

fn create(
    running: &Running<'_, '_>,
    table: &TableName,
    wanted: &Wanted<'_>,
) -> Result<Effect, JobError> {
    let Wanted {
        there,
        policy,
        grantees,
        filter,
    } = *wanted;
    let catalog = running.work.catalog;
    row_access::check(policy, grantees).map_err(CatalogError::from)?;
    let known = match catalog.row_access_policy(table, policy) {
        Ok(_) => true,
        Err(CatalogError::RowAccess(RowAccessError::NotFound { .. })) => false,
        Err(e) => return Err(e.into()),
    };
    let statement = "CREATE_ROW_ACCESS_POLICY";
    let operation = match (known, there) {
        (true, IfThere::Keep) => return Ok(effect(statement, "SKIP", table, policy)),
        (true, IfThere::Replace) => "REPLACE",
        _ => "CREATE",
    };
    let put = match there {
        IfThere::Replace => Put::Any,
        IfThere::Keep | IfThere::Fail => Put::New,
    };
    let checked = query::statements::row_access::check(catalog, table, filter);
    running.handle.block_on(checked)?;
    if !running.is_dry_run() {
        let grantees = Some(grantees.to_vec());
        catalog.put_row_access(table, policy, filter.to_owned(), grantees, put)?;
    }
    Ok(effect(statement, operation, table, policy))
}

fn effect(statement: &'static str, operation: &str, table: &TableName, policy: &str) -> Effect {
    let mut target = reference(table);
    target["policyId"] = json!(policy);
    let members: [(&str, Value); 2] = [
        ("ddlOperationPerformed", json!(operation)),
        ("ddlTargetRowAccessPolicy", target),
    ];
    let members = members.map(|(key, value)| (key.to_owned(), value));
    Effect {
        statement,
        members: Map::from_iter(members),
    }
}
